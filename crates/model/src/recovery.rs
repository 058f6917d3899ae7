//! Protocol §2, "tables lost, or older than the log": an engine whose database goes back.
//!
//! Each input partition has a task, in one process or in two; one process relays. Each input
//! brings an output on each output partition. A backup is taken at any time, and at any time the
//! database is the backup, or empty tables, on a server that was just started; sessions end with
//! the old one, what is under way to the log goes on. What a task does in one transaction is one
//! step here, for the model of the engine has its parts. Looking into the log is two: the ends are
//! asked for, then the ids are kept.
//!
//! An output goes by the input that it is about, and by its partition.

mod look;
mod words;

use std::collections::BTreeSet;

use stateright::{Model, Property};

use crate::{
    guard::{Guard, Guards},
    part::Part,
    promise,
    reader::{Output, Reader},
};

const PLACES: [usize; 2] = [0, 1];

#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    pub(crate) guards: Guards,
    /// The inputs of each partition, and which process decides over them.
    pub(crate) inputs: Vec<(Vec<char>, usize)>,
    pub(crate) processes: usize,
    /// How many output partitions each input has an output for.
    pub(crate) places: usize,
    /// Whether the server and its sessions stay: then the tables are only ever emptied, and
    /// while nobody looks and nothing is under way. More is not promised.
    pub(crate) server_stays: bool,
    /// How often fate may strike.
    pub(crate) strikes: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    database: Database,
    backup: Option<Database>,
    /// Counts the servers; a process compares the one that it knows.
    server: u8,
    /// Who holds the relay's lock.
    leader: Option<usize>,
    tasks: Vec<Task>,
    processes: Vec<Process>,
    /// Who looks, in which process, and which ends it was told.
    looking: Option<Look>,
    log: [Vec<Output>; 2],
    readers: [Reader; 2],
    strikes: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Database {
    checkpoints: Vec<usize>,
    last_number: [u8; 2],
    outbox: [Vec<Output>; 2],
    /// Up to where the log's outputs are known.
    acked: [usize; 2],
    told: [BTreeSet<char>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Task {
    Claims,
    /// It has a fence that stands here, and must look into the log.
    Prepares(usize),
    Runs(usize),
}

/// What a process remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Process {
    /// The ledger: the server that was looked at, and the numbers known as drawn.
    server: Option<u8>,
    known: [u8; 2],
    has_found: bool,
    relay: Relay,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Relay {
    has_looked: bool,
    under_way: [Vec<Output>; 2],
    /// Offsets of those in front that have landed.
    landed: [Vec<usize>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Look {
    by: Looker,
    ends: [usize; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Looker {
    Task(usize),
    Relay(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Claim(usize),
    /// A task without work looks where its checkpoint is.
    LookAgain(usize),
    AskEnds(Looker),
    KeepIds,
    Decide(usize),
    Lead(usize),
    Enqueue(usize, usize),
    Land(usize, usize),
    Acknowledge(usize, usize),
    Back,
    Restore,
    Drop,
    Crash(usize),
}

impl Recovery {
    fn decide(&self, world: &mut World, task: usize) -> Option<()> {
        let Task::Runs(next) = world.tasks[task] else {
            return None;
        };
        let (inputs, process) = &self.inputs[task];
        let about = *inputs.get(next)?;
        let process = &mut world.processes[*process];
        let mut database = world.database.clone();
        let mut known = process.known;
        let mut went_back = database.checkpoints[task] != next;
        for place in PLACES.into_iter().take(self.places) {
            if process.has_found && database.told[place].remove(&about) {
                continue;
            }
            let number = database.last_number[place] + 1;
            let refused = process.server != Some(world.server) || number <= known[place];
            went_back |= refused && self.guards.hold(Guard::Ledger);
            database.last_number[place] = number;
            database.outbox[place].push(Output {
                producer: 0,
                number,
                about,
            });
            known[place] = number;
        }
        if went_back {
            // Rolled back.
            world.tasks[task] = Task::Claims;
            return Some(());
        }
        database.checkpoints[task] += 1;
        process.known = known;
        world.database = database;
        world.tasks[task] = Task::Runs(next + 1);
        Some(())
    }

    fn enqueue(&self, world: &mut World, process: usize, place: usize) -> Option<()> {
        let relay = &mut world.processes[process].relay;
        let may = relay.has_looked || !self.guards.hold(Guard::RelayLooks);
        if world.leader != Some(process) || !may {
            return None;
        }
        let last = relay.under_way[place].last().map_or(0, |it| it.number);
        let mut outbox = world.database.outbox[place].iter();
        let next = *outbox.find(|it| it.number > last)?;
        relay.under_way[place].push(next);
        Some(())
    }

    /// Hears it, and writes it where the session still is.
    fn acknowledge(world: &mut World, process: usize, place: usize) -> Option<()> {
        let relay = &mut world.processes[process].relay;
        if relay.landed[place].is_empty() {
            return None;
        }
        let offset = relay.landed[place].remove(0);
        let Output { number, .. } = relay.under_way[place].remove(0);
        if world.leader == Some(process) {
            world.database.outbox[place].retain(|it| it.number > number);
            world.database.acked[place] = offset + 1;
        }
        Some(())
    }

    fn go_back(&self, world: &mut World, to: Database) -> Option<()> {
        world.database = to;
        if self.server_stays {
            let is_told = |it: &Process| it.relay.under_way.iter().all(Vec::is_empty);
            let is_quiet = world.looking.is_none() && world.processes.iter().all(is_told);
            return is_quiet.then_some(());
        }
        world.server += 1;
        // Sessions end.
        world.leader = None;
        world.looking = None;
        for process in &mut world.processes {
            process.relay.has_looked = false;
        }
        Some(())
    }

    fn is_decided(&self, world: &World) -> bool {
        let mut inputs = self.inputs.iter().zip(&world.database.checkpoints);
        let is_told = world.database.outbox.iter().all(Vec::is_empty);
        is_told && inputs.all(|((inputs, _), next)| *next == inputs.len())
    }
}

impl Database {
    fn empty(partitions: usize) -> Self {
        Self {
            checkpoints: vec![0; partitions],
            last_number: [0; 2],
            outbox: [Vec::new(), Vec::new()],
            acked: [0; 2],
            told: [BTreeSet::new(), BTreeSet::new()],
        }
    }
}

impl Relay {
    fn is_settled(&self) -> bool {
        PLACES
            .iter()
            .all(|it| self.landed[*it].len() == self.under_way[*it].len())
    }
}

/// The promises.
impl Recovery {
    fn loses_nothing(&self, world: &World) -> bool {
        let is_quiet = world.processes.iter().all(|it| it.relay.is_settled());
        let is_told = is_quiet && self.is_decided(world);
        let readers = world.log.iter().zip(&world.readers);
        readers.take(self.places).all(|(log, reader)| {
            let mut inputs = self.inputs.iter().flat_map(|(inputs, _)| inputs);
            let has_log = log.iter().all(|output| reader.has(output.about));
            has_log && (!is_told || inputs.all(|about| reader.has(*about)))
        })
    }

    fn doubles_nothing(&self, world: &World) -> bool {
        !world.readers.iter().any(Reader::has_twice)
    }

    fn has_no_hole(&self, world: &World) -> bool {
        !world.readers.iter().any(|reader| reader.has_stopped)
    }
}

impl Model for Recovery {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            database: Database::empty(self.inputs.len()),
            backup: None,
            server: 0,
            leader: None,
            tasks: vec![Task::Claims; self.inputs.len()],
            processes: vec![Process::default(); self.processes],
            looking: None,
            log: [Vec::new(), Vec::new()],
            readers: [Reader::default(), Reader::default()],
            strikes: self.strikes,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for task in 0..self.inputs.len() {
            match world.tasks[task] {
                Task::Claims => actions.push(Action::Claim(task)),
                Task::Prepares(_) => actions.push(Action::AskEnds(Looker::Task(task))),
                Task::Runs(_) => actions.extend([Action::Decide(task), Action::LookAgain(task)]),
            }
        }
        if world.looking.is_some() {
            actions.push(Action::KeepIds);
        }
        for (process, Process { relay, .. }) in world.processes.iter().enumerate() {
            match world.leader {
                None => actions.push(Action::Lead(process)),
                Some(leader) if leader != process => {}
                Some(_) => {
                    actions.push(Action::AskEnds(Looker::Relay(process)));
                    actions.extend((0..self.places).map(|it| Action::Enqueue(process, it)));
                }
            }
            for place in (0..self.places).filter(|it| !relay.under_way[*it].is_empty()) {
                let [land, hear] = [Action::Land, Action::Acknowledge];
                actions.extend([land(process, place), hear(process, place)]);
            }
        }
        if world.strikes > 0 {
            actions.push(Action::Drop);
            if !self.server_stays {
                actions.extend([Action::Back, Action::Restore]);
            }
            actions.extend((0..self.processes).map(Action::Crash));
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        if self.is_fate(&action) {
            world.strikes = world.strikes.checked_sub(1)?;
        }
        match action {
            Action::Claim(task) => {
                if world.tasks[task] != Task::Claims {
                    return None;
                }
                world.tasks[task] = Task::Prepares(world.database.checkpoints[task]);
            }
            Action::LookAgain(task) => {
                let (inputs, _) = &self.inputs[task];
                let is_idle = world.tasks[task] == Task::Runs(inputs.len());
                let is_there = world.database.checkpoints[task] == inputs.len();
                if !self.guards.hold(Guard::IdleLook) || !is_idle || is_there {
                    return None;
                }
                world.tasks[task] = Task::Claims;
            }
            Action::AskEnds(by) => self.ask_ends(&mut world, by)?,
            Action::KeepIds => self.keep_ids(&mut world)?,
            Action::Decide(task) => self.decide(&mut world, task)?,
            Action::Lead(process) => {
                let relay = &world.processes[process].relay;
                if world.leader.is_some() || relay.under_way.iter().any(|it| !it.is_empty()) {
                    return None;
                }
                world.leader = Some(process);
                world.processes[process].relay = Relay::default();
            }
            Action::Enqueue(process, place) => self.enqueue(&mut world, process, place)?,
            Action::Land(process, place) => {
                let relay = &mut world.processes[process].relay;
                let output = *relay.under_way[place].get(relay.landed[place].len())?;
                relay.landed[place].push(world.log[place].len());
                world.log[place].push(output);
                world.readers[place].take(output);
            }
            Action::Acknowledge(process, place) => Self::acknowledge(&mut world, process, place)?,
            Action::Back => {
                if world.backup.replace(world.database.clone()).is_some() {
                    return None;
                }
            }
            Action::Restore => {
                let backup = world.backup.clone()?;
                self.go_back(&mut world, backup)?;
            }
            Action::Drop => self.go_back(&mut world, Database::empty(self.inputs.len()))?,
            Action::Crash(process) => {
                world.processes[process] = Process::default();
                world.leader.take_if(|it| *it == process);
                world
                    .looking
                    .take_if(|it| self.process_of(it.by) == process);
                for (task, (_, at)) in self.inputs.iter().enumerate() {
                    if *at == process {
                        world.tasks[task] = Task::Claims;
                    }
                }
            }
        }
        if world.strikes == 0 {
            world.backup = None;
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(promise::LOST, Self::loses_nothing),
            Property::always(promise::DOUBLED, Self::doubles_nothing),
            Property::always(promise::HOLE, Self::has_no_hole),
        ]
    }
}

impl Part for Recovery {
    fn is_done(&self, world: &World) -> bool {
        self.is_decided(world) && world.processes.iter().all(|it| it.relay.is_settled())
    }

    fn is_fate(&self, action: &Action) -> bool {
        matches!(action, Action::Restore | Action::Drop | Action::Crash(_))
    }
}
