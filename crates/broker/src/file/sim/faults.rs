//! What goes wrong on a simulated disk, and when.

use std::io;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How often a call fails, of each kind; 0 is never, 1 is always.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) sync: f64,
    pub(crate) open: f64,
    pub(crate) rename: f64,
    pub(crate) read: f64,
    pub(crate) write: f64,
    /// A read that gives less than there is.
    pub(crate) short_read: f64,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    Sync,
    Open,
    Rename,
    Read,
    Write,
    Other,
}

/// What the next call on the disk meets.
#[derive(Debug)]
pub(super) struct Fate {
    pub(super) rng: StdRng,
    pub(super) faults: Faults,
    /// Bytes that can still be written before the disk is full.
    pub(super) room: Option<u64>,
    /// Calls that are still carried out before whoever makes them is gone.
    pub(super) calls_left: Option<u64>,
    pub(super) calls: u64,
    /// Calls that failed for one of `faults`.
    pub(super) failed: u64,
}

impl Fate {
    pub(super) fn new(seed: u64) -> Fate {
        Fate {
            rng: StdRng::seed_from_u64(seed),
            faults: Faults::default(),
            room: None,
            calls_left: None,
            calls: 0,
            failed: 0,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.calls_left == Some(0)
    }

    /// Whether a call is carried out.
    pub(super) fn meet(&mut self, call: Call) -> io::Result<()> {
        self.calls += 1;
        if let Some(left) = &mut self.calls_left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Err(gone());
            }
        }
        let chance = match call {
            Call::Sync => self.faults.sync,
            Call::Open => self.faults.open,
            Call::Rename => self.faults.rename,
            Call::Read => self.faults.read,
            Call::Write => self.faults.write,
            Call::Other => 0.0,
        };
        if chance > 0.0 && self.rng.random_bool(chance) {
            self.failed += 1;
            return Err(io::Error::other("an input/output error of the simulation"));
        }
        Ok(())
    }

    /// How much of `wanted` bytes there is room for.
    pub(super) fn take_room(&mut self, wanted: usize) -> usize {
        let Some(room) = &mut self.room else {
            return wanted;
        };
        let taken = (wanted as u64).min(*room);
        *room -= taken;
        taken as usize
    }

    /// How much of `wanted` bytes a read gives.
    pub(super) fn read_size(&mut self, wanted: usize) -> usize {
        let short = wanted > 1
            && self.faults.short_read > 0.0
            && self.rng.random_bool(self.faults.short_read);
        if short {
            self.rng.random_range(1..wanted)
        } else {
            wanted
        }
    }
}

pub(super) fn gone() -> io::Error {
    io::Error::other("the simulated machine has stopped")
}
