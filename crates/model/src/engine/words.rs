//! Steps and states as a story tells them.

use std::fmt;

use super::{Action, World};
use crate::reader::list;

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Decide(it) => write!(f, "task {it} begins a transaction and decides"),
            Action::Draw(it) => write!(f, "task {it} draws a number"),
            Action::Tell(it) => write!(f, "task {it} tells it"),
            Action::Commit(it) => write!(f, "task {it} commits"),
            Action::RollBack(it) => write!(f, "task {it} crashes, its transaction is rolled back"),
            Action::Lead(it) => write!(f, "relay {it} leads"),
            Action::Enqueue(it) => write!(f, "relay {it} sends the next output"),
            Action::Land(it) => write!(f, "an append of relay {it} lands in the log"),
            Action::Acknowledge(it) => write!(f, "relay {it} hears the acknowledgement"),
            Action::Forget(it) => write!(f, "relay {it} deletes what is acknowledged"),
            Action::Depose(it) => write!(f, "relay {it} loses its session and does not know yet"),
            Action::TimeOut(it) => write!(f, "an append of relay {it} times out, others go on"),
            Action::Crash(it) => write!(f, "relay {it} crashes"),
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let applied: String = self.reader.applied.iter().collect();
        write!(f, "outbox [{}]; ", list(&self.outbox))?;
        for (number, relay) in self.relays.iter().enumerate() {
            if !relay.under_way.is_empty() {
                write!(
                    f,
                    "relay {number} has [{}] under way; ",
                    list(&relay.under_way)
                )?;
            }
        }
        write!(f, "log [{}]; applied [{applied}]", list(&self.log))?;
        match self.reader.has_stopped {
            true => write!(f, ", stopped at a hole"),
            false => Ok(()),
        }
    }
}
