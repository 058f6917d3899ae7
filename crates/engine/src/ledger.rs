//! What this process knows as decided, so that a database that goes back under it
//! is noticed before a number is drawn twice.
//!
//! After a failover to a copy without the last commit, the fences of idle partitions
//! still hold. The next of their transactions would draw numbers that were told
//! already, and every reader would drop what they stand for. So each draw is held
//! against the server that the last look into the log was made on, and against the
//! numbers that are known as drawn:
//!
//! | known as drawn | because |
//! |---|---|
//! | all numbers before those just drawn | a counter is locked until its transaction ends: who drew them has committed |
//! | a transaction's own | its commit was answered |
//! | up to the counters after a look into the log | this is what is gone on from |
//!
//! Numbers of a transaction that was rolled back are drawn again, so they are never
//! known. Nor are those of a commit without an answer: its partition begins anew,
//! with a look. A look replaces all that was known when it began; thus a draw that
//! is refused makes its partition look, and is not refused for the same reason
//! again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use compline_event::{Partition, Topic};
use time::OffsetDateTime;
use tokio::{task, time::Instant};

use crate::metric;

/// What was staged longer ago than any transaction lasts was rolled back.
const LONGEST: Duration = Duration::from_secs(600);

pub(crate) type Place = (Topic, Partition);

/// Which run of which server: when it started. A copy that takes over, and a server
/// that was restored, have another.
pub(crate) type Server = OffsetDateTime;

/// The numbers of one transaction in one output partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    pub(crate) place: Place,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// The database is not the one that this process has looked at last.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WentBack {
    #[error("the database's server was started at {found}, after the log was looked into")]
    OtherServer { found: Server },
    #[error("{topic}/{partition}: number {drawn} is drawn, and {known} was drawn before")]
    Number {
        topic: Topic,
        partition: Partition,
        drawn: i64,
        known: i64,
    },
}

/// What a transaction has sealed, for when it is committed.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) draws: Vec<Draw>,
    /// Outputs that were left out because the log holds them.
    pub(crate) left_out: u64,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    engine: &'static str,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    server: Option<Server>,
    known: HashMap<Place, Known>,
    /// Grows with each thing that gets known.
    moment: Moment,
    /// By task: a transaction is sealed and committed in one, and it runs one at a
    /// time.
    sealed: HashMap<Option<task::Id>, (Instant, Sealed)>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    number: i64,
    at: Moment,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Ledger {
    pub(crate) fn new(engine: &'static str) -> Self {
        Self {
            engine,
            memory: Mutex::default(),
        }
    }

    /// Refuses draws from a database that went back. To be asked while the counters
    /// are locked.
    pub(crate) fn check(&self, server: Server, draws: &[Draw]) -> Result<(), WentBack> {
        let mut memory = self.memory();
        if memory.server != Some(server) {
            return Err(WentBack::OtherServer { found: server });
        }
        for draw in draws {
            let (topic, partition) = draw.place;
            let known = memory.known.get(&draw.place).map(|known| known.number);
            if let Some(known) = known.filter(|known| draw.first <= *known) {
                return Err(WentBack::Number {
                    topic,
                    partition,
                    drawn: draw.first,
                    known,
                });
            }
        }
        for draw in draws {
            memory.learn(draw.place, draw.first - 1);
        }
        Ok(())
    }

    /// Keeps what the transaction of this task will have decided once it is
    /// committed. What an earlier one of the task had sealed was rolled back.
    pub(crate) fn seal(&self, sealed: Sealed) {
        let sealed = (Instant::now(), sealed);
        self.memory().sealed.insert(task::try_id(), sealed);
    }

    /// The transaction of this task is committed.
    pub(crate) fn committed(&self) {
        let mut memory = self.memory();
        let Some((_, Sealed { draws, left_out })) = memory.sealed.remove(&task::try_id()) else {
            return;
        };
        let mut outputs = 0;
        for draw in draws {
            memory.learn(draw.place, draw.last);
            outputs += u64::try_from(draw.last - draw.first + 1).unwrap_or(0);
        }
        metrics::counter!(metric::OUTPUTS, "engine" => self.engine).increment(outputs);
        metrics::counter!(metric::NOT_TOLD_AGAIN, "engine" => self.engine).increment(left_out);
    }

    /// To be asked before the counters are read for [`Ledger::looked`].
    pub(crate) fn moment(&self) -> Moment {
        self.memory().moment
    }

    /// The log was looked into on `server`, and its counters stand at `drawn`. What
    /// was known at `moment` counts no more.
    pub(crate) fn looked(&self, moment: Moment, server: Server, drawn: HashMap<Place, i64>) {
        let mut memory = self.memory();
        memory.server = Some(server);
        memory.known.retain(|_, known| known.at > moment);
        memory.sealed.retain(|_, (at, _)| at.elapsed() < LONGEST);
        for (place, number) in drawn {
            memory.learn(place, number);
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("nobody panics while holding it")
    }
}

impl Memory {
    fn learn(&mut self, place: Place, number: i64) {
        self.moment.0 += 1;
        let at = self.moment;
        let known = self.known.entry(place).or_insert(Known { number, at });
        if known.number < number {
            *known = Known { number, at };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = (Topic::Ad, Partition(3));
    const SERVER: Server = OffsetDateTime::UNIX_EPOCH;

    fn draw(first: i64, last: i64) -> Draw {
        Draw {
            place: PLACE,
            first,
            last,
        }
    }

    fn seal(ledger: &Ledger, first: i64, last: i64) {
        let draws = vec![draw(first, last)];
        ledger.check(SERVER, &draws).unwrap();
        ledger.seal(Sealed { draws, left_out: 0 });
    }

    fn went_back(drawn: i64, known: i64) -> Result<(), WentBack> {
        Err(WentBack::Number {
            topic: PLACE.0,
            partition: PLACE.1,
            drawn,
            known,
        })
    }

    fn looked_at(number: i64) -> Ledger {
        let ledger = Ledger::new("counting");
        ledger.looked(ledger.moment(), SERVER, HashMap::from([(PLACE, number)]));
        ledger
    }

    #[test]
    fn only_what_is_committed_is_known_as_drawn() {
        let ledger = looked_at(100);
        seal(&ledger, 101, 105);
        // It was rolled back, and so is the next one.
        seal(&ledger, 101, 103);
        assert_eq!(ledger.check(SERVER, &[draw(101, 105)]), Ok(()));
        seal(&ledger, 101, 105);
        ledger.committed();
        assert_eq!(ledger.check(SERVER, &[draw(101, 105)]), went_back(101, 105));
        assert_eq!(ledger.check(SERVER, &[draw(105, 105)]), went_back(105, 105));
        // Drawn by another process meanwhile.
        assert_eq!(ledger.check(SERVER, &[draw(111, 111)]), Ok(()));
        assert_eq!(ledger.check(SERVER, &[draw(106, 111)]), went_back(106, 110));
        // A commit that sealed nothing commits nothing of before.
        ledger.committed();
        assert_eq!(ledger.check(SERVER, &[draw(111, 111)]), Ok(()));
    }

    #[test]
    fn a_look_ends_a_refusal_and_forgets_nothing_of_meanwhile() {
        let ledger = looked_at(100);
        seal(&ledger, 101, 105);
        ledger.committed();
        // 101 to 105 were lost before they were told.
        ledger.looked(ledger.moment(), SERVER, HashMap::from([(PLACE, 100)]));
        let moment = ledger.moment();
        seal(&ledger, 101, 102);
        ledger.committed();
        ledger.looked(moment, SERVER, HashMap::from([(PLACE, 100)]));
        assert_eq!(ledger.check(SERVER, &[draw(101, 101)]), went_back(101, 102));
    }

    #[test]
    fn nothing_is_drawn_from_a_server_that_was_not_looked_at() {
        let other = SERVER + Duration::from_secs(1);
        let draws = [draw(101, 101)];
        let found = Err(WentBack::OtherServer { found: other });
        let ledger = looked_at(100);
        assert_eq!(ledger.check(other, &draws), found);
        ledger.looked(ledger.moment(), other, HashMap::from([(PLACE, 100)]));
        assert_eq!(ledger.check(other, &draws), Ok(()));
    }
}
