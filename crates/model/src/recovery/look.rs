//! The look into the log: its ends, then the ids behind what is known.

use super::{Database, Look, Looker, PLACES, Recovery, Task, World};
use crate::{guard::Guard, reader::Output};

impl Recovery {
    pub(super) fn process_of(&self, looker: Looker) -> usize {
        match looker {
            Looker::Task(task) => self.inputs[task].1,
            Looker::Relay(process) => process,
        }
    }

    pub(super) fn ask_ends(&self, world: &mut World, by: Looker) -> Option<()> {
        let wants = match by {
            Looker::Task(task) => matches!(world.tasks[task], Task::Prepares(_)),
            Looker::Relay(process) => {
                world.leader == Some(process) && !world.processes[process].relay.has_looked
            }
        };
        let is_settled = world.processes.iter().all(|it| it.relay.is_settled());
        if !wants
            || world.looking.is_some()
            || !is_settled && self.guards.hold(Guard::SettledAppends)
        {
            return None;
        }
        let ends = PLACES.map(|place| world.log[place].len());
        world.looking = Some(Look { by, ends });
        Some(())
    }

    /// `engine::recovery::look`, from the numbers drawn on.
    pub(super) fn keep_ids(&self, world: &mut World) -> Option<()> {
        let Look { by, ends } = world.looking.take()?;
        let database = &mut world.database;
        for place in PLACES {
            let from = database.acked[place].min(ends[place]);
            self.adopt(database, place, &world.log[place][from..ends[place]]);
            database.acked[place] = database.acked[place].max(ends[place]);
        }
        let process = &mut world.processes[self.process_of(by)];
        process.server = Some(world.server);
        process.known = database.last_number;
        process.has_found = database.told.iter().any(|told| !told.is_empty());
        match by {
            Looker::Relay(_) => process.relay.has_looked = true,
            Looker::Task(task) => {
                if let Task::Prepares(next) = world.tasks[task] {
                    world.tasks[task] = Task::Runs(next);
                }
            }
        }
        Some(())
    }

    fn adopt(&self, database: &mut Database, place: usize, found: &[Output]) {
        let Some(last_number) = found.iter().map(|it| it.number).max() else {
            return;
        };
        let drawn = database.last_number[place];
        let outbox = &mut database.outbox[place];
        database.last_number[place] = drawn.max(last_number);
        let is_known = |it: &Output, outbox: &[Output]| match self.guards.hold(Guard::Renumbering) {
            true => outbox.iter().any(|decided| decided.about == it.about),
            false => it.number <= drawn,
        };
        for it in found.iter().filter(|it| !is_known(it, outbox)) {
            database.told[place].insert(it.about);
            if !self.guards.hold(Guard::RecoveryById) {
                // Silent up to the last output's input.
                let told = &mut database.told;
                told.iter_mut().for_each(|told| _ = told.insert(it.about));
            }
        }
        if self.guards.hold(Guard::Renumbering) {
            outbox.retain(|decided| found.iter().all(|it| it.about != decided.about));
            for (number, decided) in (last_number + 1..).zip(outbox.iter_mut()) {
                decided.number = number;
            }
            database.last_number[place] = outbox.last().map_or(last_number, |it| it.number);
        }
    }
}
