//! Protocol §1: two owners, partitions that share transactions, a Postgres that forgets its tail.
//!
//! The log stands: each partition holds an engine's outputs, some of them twice. The group gives a
//! partition to one owner and takes it away again; whoever lost it may notice late, and goes on
//! until then. A transaction takes the fence (and with it the row's lock) in one step and commits
//! in another. Postgres, with `synchronous_commit = off`, comes back from a crash with any of the
//! commits since the last claim, which alone waits for the disk.
//!
//! An epoch is only ever compared with the row's, so the row says who claimed it last.

mod transaction;
mod words;

use stateright::{Model, Property};

use self::transaction::sift;
use crate::{
    guard::{Guard, Guards},
    part::Part,
    promise,
};

const OWNERS: [Owner; 2] = [Owner::A, Owner::B];

/// Most records of a partition in one batch.
const BATCH: usize = 2;

#[derive(Clone, Debug)]
pub(crate) struct Projector {
    pub(crate) guards: Guards,
    /// The numbers that the records of each partition carry.
    pub(crate) log: Vec<Vec<u8>>,
    /// How often fate may strike.
    pub(crate) strikes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    A,
    B,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// What Postgres may come back with: what is synced, then each commit since. The last one is
    /// what it shows.
    postgres: Vec<Tables>,
    owners: [Memory; 2],
    /// Whom the group gives each partition.
    assigned: Vec<Owner>,
    /// Who was answered a claim last; no table holds it.
    claimed: Vec<Option<Owner>>,
    /// Somebody else has written since.
    zombie_wrote: bool,
    strikes: u8,
}

/// One for each partition.
type Tables = Vec<Row>;

/// The checkpoint, the mark, and the rows that were folded: here, the numbers applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Row {
    next: usize,
    epoch_of: Option<Owner>,
    mark: Option<u8>,
    applied: Vec<u8>,
}

/// What a process remembers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Memory {
    holds: Vec<Hold>,
    transaction: Option<Vec<Batch>>,
    /// Marks, kept longer than a transaction: never, while the guards hold.
    kept: Vec<Option<u8>>,
    /// Marks that are written after their transaction: never, while the guards hold.
    unwritten: Vec<Option<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Hold {
    No,
    Claiming,
    /// A fence that stands here.
    At(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Batch {
    partition: usize,
    from: usize,
    to: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Assign(usize, Owner),
    Notice(Owner, usize),
    Claim(Owner, usize),
    /// An owner without work looks where its checkpoint is.
    Look(Owner, usize),
    Begin(Owner, Vec<Batch>),
    Commit(Owner),
    CommitUnanswered(Owner),
    RollBack(Owner),
    WriteMark(Owner, usize),
    Crash(Owner),
    /// Postgres comes back with so many of the commits that were not synced.
    CrashPostgres(usize),
}

impl Projector {
    fn tables<'a>(&self, world: &'a World) -> &'a Tables {
        world.postgres.last().expect("something is always synced")
    }

    fn is_locked(world: &World, partition: usize) -> bool {
        let transactions = world.owners.iter().filter_map(|it| it.transaction.as_ref());
        transactions.flatten().any(|it| it.partition == partition)
    }

    fn begins(&self, world: &World, owner: Owner, actions: &mut Vec<Action>) {
        let memory = &world.owners[owner as usize];
        let mut heads = Vec::new();
        for (partition, hold) in memory.holds.iter().enumerate() {
            let Hold::At(from) = *hold else { continue };
            if Self::is_locked(world, partition) || memory.unwritten[partition].is_some() {
                continue;
            }
            let end = self.log[partition].len().min(from + BATCH);
            for to in from + 1..=end {
                let batch = Batch {
                    partition,
                    from,
                    to,
                };
                actions.push(Action::Begin(owner, vec![batch]));
            }
            if from < end {
                heads.push(Batch {
                    partition,
                    from,
                    to: end,
                });
            }
        }
        if heads.len() > 1 {
            actions.push(Action::Begin(owner, heads));
        }
    }
}

/// The promises.
impl Projector {
    fn doubles_nothing(&self, world: &World) -> bool {
        self.tables(world).iter().all(|Row { applied, .. }| {
            let twice = |(at, number)| applied[..at].contains(number);
            !applied.iter().enumerate().any(twice)
        })
    }

    fn loses_and_moves_nothing(&self, world: &World) -> bool {
        let mut rows = self.tables(world).iter().zip(&self.log);
        rows.all(|(row, log)| row.applied == sift(&log[..row.next], &mut None))
    }

    fn fences_zombies(&self, world: &World) -> bool {
        !world.zombie_wrote
    }
}

impl Model for Projector {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let partitions = self.log.len();
        let memory = |hold| Memory {
            holds: vec![hold; partitions],
            transaction: None,
            kept: vec![None; partitions],
            unwritten: vec![None; partitions],
        };
        vec![World {
            postgres: vec![vec![Row::default(); partitions]],
            owners: [memory(Hold::Claiming), memory(Hold::No)],
            assigned: vec![Owner::A; partitions],
            claimed: vec![None; partitions],
            zombie_wrote: false,
            strikes: self.strikes,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for owner in OWNERS {
            let memory = &world.owners[owner as usize];
            for partition in 0..self.log.len() {
                actions.push(Action::Notice(owner, partition));
                actions.push(Action::Claim(owner, partition));
                actions.push(Action::Look(owner, partition));
                actions.push(Action::WriteMark(owner, partition));
            }
            match memory.transaction {
                None => self.begins(world, owner, actions),
                Some(_) => actions.push(Action::Commit(owner)),
            }
        }
        for owner in OWNERS {
            actions.extend((0..self.log.len()).map(|it| Action::Assign(it, owner)));
            actions.extend([
                Action::CommitUnanswered(owner),
                Action::RollBack(owner),
                Action::Crash(owner),
            ]);
        }
        actions.extend((0..world.postgres.len()).map(Action::CrashPostgres));
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        if self.is_fate(&action) {
            world.strikes = world.strikes.checked_sub(1)?;
        }
        match action {
            Action::Assign(partition, owner) => {
                let hold = &mut world.owners[owner as usize].holds[partition];
                if world.assigned[partition] == owner || *hold != Hold::No {
                    return None;
                }
                world.assigned[partition] = owner;
                *hold = Hold::Claiming;
            }
            Action::Notice(owner, partition) => {
                let memory = &mut world.owners[owner as usize];
                let hold = &mut memory.holds[partition];
                let busy = memory.transaction.is_some();
                if world.assigned[partition] == owner || *hold == Hold::No || busy {
                    return None;
                }
                *hold = Hold::No;
            }
            Action::Claim(owner, partition) => {
                if Self::is_locked(&world, partition) {
                    return None;
                }
                let mut tables = self.tables(&world).clone();
                let hold = &mut world.owners[owner as usize].holds[partition];
                if *hold != Hold::Claiming {
                    return None;
                }
                tables[partition].epoch_of = Some(owner);
                *hold = Hold::At(tables[partition].next);
                world.claimed[partition] = Some(owner);
                if self.guards.hold(Guard::SyncedClaim) {
                    world.postgres.clear();
                }
                world.postgres.push(tables);
            }
            Action::Look(owner, partition) => {
                let row = &self.tables(&world)[partition];
                let memory = &world.owners[owner as usize];
                let is_idle = memory.holds[partition] == Hold::At(self.log[partition].len());
                if !self.guards.hold(Guard::IdleLook) || !is_idle || memory.transaction.is_some() {
                    return None;
                }
                let hold = self.look_again(row, owner);
                world.owners[owner as usize].holds[partition] = hold;
            }
            Action::Begin(owner, batches) => self.begin(&mut world, owner, batches)?,
            Action::Commit(owner) => {
                let batches = world.owners[owner as usize].transaction.take()?;
                self.write(&mut world, owner, &batches);
                for batch in batches {
                    world.owners[owner as usize].holds[batch.partition] = Hold::At(batch.to);
                }
            }
            Action::CommitUnanswered(owner) => {
                let batches = world.owners[owner as usize].transaction.take()?;
                self.write(&mut world, owner, &batches);
                self.forget(&mut world, owner, &batches);
            }
            Action::RollBack(owner) => {
                let batches = world.owners[owner as usize].transaction.take()?;
                self.forget(&mut world, owner, &batches);
            }
            Action::WriteMark(owner, partition) => {
                let mut tables = self.tables(&world).clone();
                let mark = world.owners[owner as usize].unwritten[partition].take()?;
                tables[partition].mark = Some(mark);
                world.postgres.push(tables);
            }
            Action::Crash(owner) => {
                let memory = &mut world.owners[owner as usize];
                memory.transaction = None;
                for partition in 0..self.log.len() {
                    memory.kept[partition] = None;
                    memory.unwritten[partition] = None;
                    memory.holds[partition] = match world.assigned[partition] == owner {
                        true => Hold::Claiming,
                        false => Hold::No,
                    };
                }
            }
            Action::CrashPostgres(kept) => {
                world.postgres.truncate(kept + 1);
                world.postgres.drain(..kept);
                for owner in OWNERS {
                    let memory = &mut world.owners[owner as usize];
                    for batch in memory.transaction.take().into_iter().flatten() {
                        self.forget(&mut world, owner, &[batch]);
                    }
                }
            }
        }
        if world.strikes == 0 {
            // Nothing will ask any more what a crash would bring back.
            world.postgres.drain(..world.postgres.len() - 1);
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(promise::DOUBLED, Self::doubles_nothing),
            Property::always(promise::LOST_OR_MOVED, Self::loses_and_moves_nothing),
            Property::always(promise::FENCED, Self::fences_zombies),
        ]
    }
}

impl Part for Projector {
    fn is_done(&self, world: &World) -> bool {
        let mut rows = self.tables(world).iter().zip(&self.log);
        rows.all(|(row, log)| row.next == log.len())
    }

    fn is_fate(&self, action: &Action) -> bool {
        matches!(
            action,
            Action::Assign(..)
                | Action::CommitUnanswered(_)
                | Action::RollBack(_)
                | Action::Crash(_)
                | Action::CrashPostgres(_)
        )
    }
}
