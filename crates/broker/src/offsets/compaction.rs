//! A smaller edition of the offsets' log takes the place of the one that is written, and nobody
//! who commits or asks waits for the disk meanwhile.
//!
//! | step | changes go to | a start after a crash finds |
//! |---|---|---|
//! | the map is written aside, some keys at a time | the old edition, and are remembered | the old one |
//! | what was remembered is written behind it | both, and are answered when both are synced | the old one |
//! | the new one is synced | both | the old one |
//! | it is named | both | either; both hold all that was answered |
//! | the old one is removed | the new one | the new one |
//!
//! Keys that are written while others change make no consistent picture, but all that changed
//! since the first one stands behind them.

use std::ops::Bound;
use std::sync::Arc;

use super::edition::{self, Editions};
use super::{Entry, Key, Offsets};
use crate::Error;
use crate::partition::Partition;

/// A log below this size is left as it is. Simulated ones are small.
const WORTH_COMPACTING: u64 = if cfg!(test) { 2 << 10 } else { 8 << 20 };
/// Records of one batch when an edition is written.
const BATCH: usize = 1_000;

/// What becomes of changes while an edition is made.
#[derive(Debug)]
pub(super) enum Successor {
    /// What changed since it was begun.
    Behind(Vec<Entry>),
    /// It holds all that the old one does.
    Abreast { log: Arc<Partition>, is_named: bool },
}

impl Successor {
    /// Where changes have to be written, too.
    pub(super) fn log(&self) -> Option<&Arc<Partition>> {
        match self {
            Successor::Behind(_) => None,
            Successor::Abreast { log, .. } => Some(log),
        }
    }
}

/// Has the successor know of a change that the old edition has taken.
///
/// # Errors
/// The successor cannot take it and cannot be given up any more. The next start may then find the
/// change or not.
pub(super) fn repeat(
    successor: &mut Option<Successor>,
    entries: &[Entry],
    now_ms: i64,
) -> Result<(), Error> {
    match successor {
        None => Ok(()),
        Some(Successor::Behind(since)) => {
            since.extend_from_slice(entries);
            Ok(())
        }
        Some(Successor::Abreast { log, is_named }) => {
            let Err(error) = edition::append(log, entries, now_ms) else {
                return Ok(());
            };
            if *is_named {
                return Err(error);
            }
            tracing::warn!(
                error = error.with_sources(),
                "a smaller log of committed offsets is given up"
            );
            log.set_deleted(true);
            *successor = None;
            Ok(())
        }
    }
}

impl Offsets {
    /// Writes a smaller edition if most of the log no longer counts; waits for the disk. Gives it
    /// if there is one, for some of it is not synced yet.
    pub(crate) fn compact_if_worth(&self, now_ms: i64) -> Result<Option<Arc<Partition>>, Error> {
        let _compacting = self.compacting.lock().expect("no holder panics");
        let edition = {
            let mut state = self.state();
            let bytes = state.log.log().bytes();
            if bytes < WORTH_COMPACTING || bytes < 4 * state.first_bytes {
                return Ok(None);
            }
            state.successor = Some(Successor::Behind(Vec::new()));
            state.edition + 1
        };
        let editions = Editions {
            disk: &self.disk,
            folder: &self.folder,
            mode: self.mode,
        };
        match self.succeed(&editions, edition, now_ms) {
            Ok(Some(log)) => {
                if let Err(error) = editions.remove(edition - 1) {
                    tracing::warn!(error = error.with_sources(), "the next start removes it");
                }
                Ok(Some(log))
            }
            // Nobody knows which edition the next start finds, and nobody is answered any more.
            Err(error @ Error::Sync { .. }) => Err(error),
            given_up => {
                let left = self.state().successor.take();
                if let Some(log) = left.as_ref().and_then(Successor::log) {
                    log.set_deleted(true);
                }
                // It may be the disk that is full.
                let _ = editions.discard_aside(edition);
                given_up
            }
        }
    }

    /// `None` when the new edition was given up.
    fn succeed(
        &self,
        editions: &Editions<'_>,
        edition: u64,
        now_ms: i64,
    ) -> Result<Option<Arc<Partition>>, Error> {
        let new = Arc::new(editions.begin_aside(edition, now_ms)?);
        self.write_map(&new, now_ms)?;
        new.sync()?;
        {
            let mut state = self.state();
            if let Some(Successor::Behind(since)) = state.successor.take()
                && !since.is_empty()
            {
                edition::append(&new, &since, now_ms)?;
            }
            let log = new.clone();
            let is_named = false;
            state.successor = Some(Successor::Abreast { log, is_named });
        }
        new.sync()?;
        match &mut self.state().successor {
            Some(Successor::Abreast { is_named, .. }) => *is_named = true,
            _ => return Ok(None),
        }
        editions.name(edition, &new)?;
        let first_bytes = new.log().bytes();
        let mut state = self.state();
        state.successor = None;
        state.edition = edition;
        state.first_bytes = first_bytes;
        let old = std::mem::replace(&mut state.log, new.clone());
        // Whoever waits for it goes on: the new one holds all of it, synced.
        old.set_deleted(true);
        Ok(Some(new))
    }

    fn write_map(&self, new: &Partition, now_ms: i64) -> Result<(), Error> {
        let mut last: Option<Key> = None;
        loop {
            let entries: Vec<Entry> = {
                let state = self.state();
                let behind = last.map_or(Bound::Unbounded, Bound::Excluded);
                let next = state.by_key.range((behind, Bound::Unbounded)).take(BATCH);
                next.map(|(key, committed)| (key.clone(), Some(committed.clone())))
                    .collect()
            };
            let Some((key, _)) = entries.last() else {
                return Ok(());
            };
            last = Some(key.clone());
            edition::append(new, &entries, now_ms)?;
        }
    }
}
