//! Protocol §2, "two inputs that meet": webhooks of an account that nobody knows, and its
//! connection.
//!
//! Each input stands on a partition of its own and is decided over in its own transaction. A
//! webhook that comes before the connection waits in a row; the connection tells what waits. The
//! rows are written as differences, as Postgres does it under READ COMMITTED: what one transaction
//! does not touch, another's commit does not undo.

use std::fmt;

use stateright::{Model, Property};

use crate::{
    guard::{Guard, Guards},
    part::Part,
    promise,
};

#[derive(Clone, Debug)]
pub(crate) struct Meeting {
    pub(crate) guards: Guards,
    /// Webhooks beside the connection.
    pub(crate) webhooks: usize,
    /// How often fate may strike.
    pub(crate) strikes: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// The entity's row, when there is one.
    row: Option<Entity>,
    tasks: Vec<Task>,
    /// Webhooks, each as often as it was told.
    told: Vec<usize>,
    strikes: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Entity {
    is_connected: bool,
    waiting: Vec<usize>,
}

/// Task 0 is the connection's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Task {
    Idle,
    Open {
        lock: Lock,
        /// The entity as it was read.
        read: Option<Entity>,
    },
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lock {
    None,
    Held,
    /// `FOR UPDATE` on a row that is not there.
    OfNothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Begin(usize),
    Lock(usize),
    Read(usize),
    Commit(usize),
    RollBack(usize),
}

impl Meeting {
    fn lock(&self, world: &mut World, task: usize) -> Option<()> {
        let held = |task: &Task| {
            matches!(
                task,
                Task::Open {
                    lock: Lock::Held,
                    ..
                }
            )
        };
        let is_held = world.tasks.iter().any(held);
        let has_row = world.row.is_some();
        let Task::Open { lock, read } = &mut world.tasks[task] else {
            return None;
        };
        if *lock != Lock::None || read.is_none() != self.guards.hold(Guard::ReadAfterLock) {
            return None;
        }
        *lock = match self.guards.hold(Guard::EntityLock) || has_row {
            true if is_held => return None,
            true => Lock::Held,
            false => Lock::OfNothing,
        };
        Some(())
    }

    fn read(&self, world: &mut World, task: usize) -> Option<()> {
        let entity = world.row.clone().unwrap_or_default();
        let Task::Open { lock, read } = &mut world.tasks[task] else {
            return None;
        };
        let has_locked = *lock != Lock::None;
        if read.is_some() || has_locked != self.guards.hold(Guard::ReadAfterLock) {
            return None;
        }
        *read = Some(entity);
        Some(())
    }

    fn commit(world: &mut World, task: usize) -> Option<()> {
        let Task::Open {
            lock,
            read: Some(read),
        } = &world.tasks[task]
        else {
            return None;
        };
        if *lock == Lock::None {
            return None;
        }
        let row = world.row.get_or_insert_default();
        if task == 0 {
            row.is_connected = true;
            row.waiting
                .retain(|webhook| !read.waiting.contains(webhook));
            world.told.extend(&read.waiting);
        } else if read.is_connected {
            world.told.push(task);
        } else {
            row.waiting.push(task);
        }
        world.tasks[task] = Task::Done;
        Some(())
    }
}

/// The promises.
impl Meeting {
    fn loses_nothing(&self, world: &World) -> bool {
        let is_decided = world.tasks.iter().all(|task| *task == Task::Done);
        !is_decided || (1..=self.webhooks).all(|webhook| world.told.contains(&webhook))
    }

    fn doubles_nothing(&self, World { told, .. }: &World) -> bool {
        let twice = |(at, webhook)| told[..at].contains(webhook);
        !told.iter().enumerate().any(twice)
    }
}

impl Model for Meeting {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            row: None,
            tasks: vec![Task::Idle; self.webhooks + 1],
            told: Vec::new(),
            strikes: self.strikes,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for task in 0..world.tasks.len() {
            actions.extend([
                Action::Begin(task),
                Action::Lock(task),
                Action::Read(task),
                Action::Commit(task),
            ]);
        }
        actions.extend((0..world.tasks.len()).map(Action::RollBack));
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Begin(task) => {
                if world.tasks[task] != Task::Idle {
                    return None;
                }
                world.tasks[task] = Task::Open {
                    lock: Lock::None,
                    read: None,
                };
            }
            Action::Lock(task) => self.lock(&mut world, task)?,
            Action::Read(task) => self.read(&mut world, task)?,
            Action::Commit(task) => Self::commit(&mut world, task)?,
            Action::RollBack(task) => {
                world.strikes = world.strikes.checked_sub(1)?;
                if !matches!(world.tasks[task], Task::Open { .. }) {
                    return None;
                }
                world.tasks[task] = Task::Idle;
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(promise::LOST, Self::loses_nothing),
            Property::always(promise::DOUBLED, Self::doubles_nothing),
        ]
    }
}

impl Part for Meeting {
    fn is_done(&self, world: &World) -> bool {
        world.told.len() == self.webhooks
    }

    fn is_fate(&self, action: &Action) -> bool {
        matches!(action, Action::RollBack(_))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let input = |task: &usize| match task {
            0 => "the connection".to_owned(),
            webhook => format!("webhook {webhook}"),
        };
        match self {
            Action::Begin(task) => write!(f, "a transaction begins for {}", input(task)),
            Action::Lock(task) => write!(f, "it locks the account for {}", input(task)),
            Action::Read(task) => write!(f, "it reads the account for {}", input(task)),
            Action::Commit(task) => write!(f, "it commits what follows from {}", input(task)),
            Action::RollBack(task) => write!(f, "it is rolled back for {}", input(task)),
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.row {
            None => write!(f, "no row"),
            Some(Entity {
                is_connected,
                waiting,
            }) => {
                let is = if *is_connected {
                    "connected"
                } else {
                    "unknown"
                };
                write!(f, "the account is {is}, webhooks {waiting:?} wait")
            }
        }?;
        write!(f, "; told {:?}", self.told)
    }
}
