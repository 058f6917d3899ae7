//! Steps and states as a story tells them.

use std::fmt;

use super::{Action, Looker, PLACES, World};
use crate::reader::list;

impl fmt::Display for Looker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Looker::Task(task) => write!(f, "task {task}"),
            Looker::Relay(process) => write!(f, "relay {process}"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |place: &usize| ['x', 'y'][*place];
        match self {
            Action::Claim(task) => write!(f, "task {task} claims its input partition"),
            Action::LookAgain(task) => {
                write!(
                    f,
                    "task {task}, with nothing to do, finds its checkpoint elsewhere"
                )
            }
            Action::AskEnds(by) => write!(f, "{by} looks into the log: where it ends"),
            Action::KeepIds => write!(f, "and keeps the ids that the database does not know"),
            Action::Decide(task) => write!(f, "task {task} decides, or is refused"),
            Action::Lead(it) => write!(f, "relay {it} leads"),
            Action::Enqueue(it, place) => {
                write!(f, "relay {it} sends an output to {}", name(place))
            }
            Action::Land(it, place) => write!(f, "it lands in {} (relay {it})", name(place)),
            Action::Acknowledge(it, place) => {
                write!(f, "relay {it} hears of it from {}", name(place))
            }
            Action::Back => write!(f, "a backup is taken"),
            Action::Restore => write!(f, "the backup takes the database's place"),
            Action::Drop => write!(f, "empty tables take the database's place"),
            Action::Crash(it) => write!(f, "process {it} crashes and starts again"),
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "decided up to {:?}; ", self.database.checkpoints)?;
        for (place, name) in PLACES.iter().zip(["x", "y"]) {
            if self.log[*place].is_empty() && self.database.outbox[*place].is_empty() {
                continue;
            }
            let outbox = list(&self.database.outbox[*place]);
            let applied: String = self.readers[*place].applied.iter().collect();
            let log = list(&self.log[*place]);
            write!(
                f,
                "{name}: outbox [{outbox}] log [{log}] applied [{applied}]"
            )?;
            for process in &self.processes {
                let under_way = &process.relay.under_way[*place];
                let landed = process.relay.landed[*place].len();
                if under_way.len() > landed {
                    write!(f, " under way [{}]", list(&under_way[landed..]))?;
                }
            }
            write!(f, "; ")?;
        }
        Ok(())
    }
}
