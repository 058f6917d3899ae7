//! Steps and states as a story tells them.

use std::fmt;

use super::{Action, Batch, OWNERS, Row, World};

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Batch {
            partition,
            from,
            to,
        } = self;
        write!(f, "p{partition}[{from}..{to}]")
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Assign(partition, owner) => {
                write!(
                    f,
                    "the group takes p{partition} away and gives it to {owner:?}"
                )
            }
            Action::Notice(owner, partition) => {
                write!(f, "{owner:?} notices that p{partition} is another's")
            }
            Action::Claim(owner, partition) => write!(f, "{owner:?} claims p{partition}"),
            Action::Look(owner, partition) => {
                write!(
                    f,
                    "{owner:?}, with nothing to do, looks where p{partition} is"
                )
            }
            Action::Begin(owner, batches) => {
                let batches: Vec<_> = batches.iter().map(Batch::to_string).collect();
                let batches = batches.join(" and ");
                write!(
                    f,
                    "{owner:?} begins a transaction with {batches}: the fence"
                )
            }
            Action::Commit(owner) => write!(f, "{owner:?} commits"),
            Action::CommitUnanswered(owner) => {
                write!(f, "{owner:?} commits, and never hears the answer")
            }
            Action::RollBack(owner) => write!(f, "{owner:?}'s transaction is rolled back"),
            Action::WriteMark(owner, partition) => {
                write!(f, "{owner:?} writes the mark of p{partition}")
            }
            Action::Crash(owner) => write!(f, "{owner:?} crashes and starts again"),
            Action::CrashPostgres(kept) => {
                write!(
                    f,
                    "Postgres crashes and keeps {kept} of its unsynced commits"
                )
            }
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.postgres.last().into_iter().flatten();
        for (partition, row) in rows.enumerate() {
            let Row {
                next,
                epoch_of,
                mark,
                applied,
            } = row;
            let epoch_of = epoch_of.map_or("nobody".to_owned(), |it| format!("{it:?}"));
            write!(f, "p{partition}: next {next}, claimed by {epoch_of}, ")?;
            write!(f, "mark {}, applied {applied:?}; ", mark.unwrap_or(0))?;
        }
        for (owner, memory) in OWNERS.iter().zip(&self.owners) {
            write!(f, "{owner:?} {:?} ", memory.holds)?;
        }
        Ok(())
    }
}
