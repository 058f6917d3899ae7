//! The bytes of one file: as programs see them, as the disk has them, and what is under way.

use std::collections::VecDeque;

use rand::Rng;
use rand::rngs::StdRng;

use crate::clock::now_ms;

/// What a disk writes at once, or not at all.
const SECTOR: usize = 512;

#[derive(Debug, Default, Clone)]
pub(super) struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Written since the last sync, oldest first.
    unsynced: VecDeque<Change>,
    /// The number of the first of them; they are counted from the file's beginning.
    first_unsynced: u64,
    modified_ms: i64,
}

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl Content {
    /// A file that is on disk as it is.
    pub(super) fn settled(bytes: Vec<u8>) -> Content {
        Content {
            durable: bytes.clone(),
            bytes,
            modified_ms: now_ms(),
            ..Content::default()
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.change(Change::Write {
            at,
            bytes: bytes.to_vec(),
        });
    }

    pub(super) fn resize(&mut self, size: usize) {
        if size != self.bytes.len() {
            self.change(Change::Resize(size));
        }
    }

    pub(super) fn modified_ms(&self) -> i64 {
        self.modified_ms
    }

    fn change(&mut self, change: Change) {
        self.modified_ms = now_ms();
        change.apply(&mut self.bytes);
        self.unsynced.push_back(change);
    }

    /// What a sync that begins now makes durable: everything before the number that this gives.
    pub(super) fn written(&self) -> u64 {
        self.first_unsynced + self.unsynced.len() as u64
    }

    pub(super) fn synced(&mut self, until: u64) {
        for change in self.take_until(until) {
            change.apply(&mut self.durable);
        }
    }

    /// A sync that failed: the kernel calls all of it clean, and only a beginning is on disk.
    pub(super) fn sync_failed(&mut self, until: u64, rng: &mut StdRng) {
        let changes = self.take_until(until);
        let written = rng.random_range(0..=changes.len());
        for change in &changes[..written] {
            change.apply(&mut self.durable);
        }
    }

    fn take_until(&mut self, until: u64) -> Vec<Change> {
        let count = until.saturating_sub(self.first_unsynced) as usize;
        let taken: Vec<_> = self.unsynced.drain(..count).collect();
        self.first_unsynced += taken.len() as u64;
        taken
    }

    /// Changes bytes behind everyone's back.
    pub(super) fn damage(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.bytes);
        self.durable = self.bytes.clone();
        self.first_unsynced = self.written();
        self.unsynced.clear();
    }

    /// What is found after a power loss when of what was not synced the first `keep` bytes got
    /// to the disk.
    pub(super) fn with_tail(&self, keep: usize) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let more = self.bytes.get(bytes.len()..).unwrap_or_default();
        bytes.extend_from_slice(&more[..keep.min(more.len())]);
        bytes
    }

    /// What is found after a power loss, one of the many things that may be.
    pub(super) fn by_chance(&self, rng: &mut StdRng) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        match rng.random_range(0..10) {
            0..3 => {}
            3..5 => self
                .unsynced
                .iter()
                .for_each(|change| change.apply(&mut bytes)),
            _ => self.torn(&mut bytes, rng),
        }
        bytes
    }

    /// The end of the file grew up to some point, and each sector before it was rewritten up to
    /// some point; the write at the end is torn.
    fn torn(&self, bytes: &mut Vec<u8>, rng: &mut StdRng) {
        let mut size = bytes.len();
        let (mut at_end, mut inside) = (Vec::new(), Vec::new());
        for change in &self.unsynced {
            match change {
                Change::Write { at, bytes } if *at + bytes.len() <= size => inside.push(change),
                Change::Write { at, bytes } => {
                    size = at + bytes.len();
                    at_end.push(change);
                }
                Change::Resize(to) => {
                    size = *to;
                    at_end.push(change);
                }
            }
        }
        let kept = rng.random_range(0..=at_end.len());
        for change in &at_end[..kept] {
            change.apply(bytes);
        }
        if let Some(Change::Write {
            at,
            bytes: under_way,
        }) = at_end.get(kept)
        {
            let part = rng.random_range(0..under_way.len().max(1));
            Change::write(*at, &under_way[..part]).apply(bytes);
        }
        if bytes.len() < self.bytes.len() && rng.random_ratio(1, 3) {
            // The size got to the disk before the bytes did.
            let old = rng.random_range(bytes.len()..=self.bytes.len());
            let zeros: bool = rng.random();
            bytes.resize_with(old, || if zeros { 0 } else { rng.random() });
        }
        let mut stuck = Vec::new();
        for change in inside {
            let Change::Write { at, bytes: written } = change else {
                continue;
            };
            let sector = at / SECTOR;
            if stuck.contains(&sector) || at + written.len() > bytes.len() {
                continue;
            }
            if rng.random_ratio(1, 4) {
                stuck.push(sector);
            } else {
                change.apply(bytes);
            }
        }
    }
}

impl Change {
    fn write(at: usize, bytes: &[u8]) -> Change {
        Change::Write {
            at,
            bytes: bytes.to_vec(),
        }
    }

    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes } => {
                let end = at + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*at..end].copy_from_slice(bytes);
            }
            Change::Resize(size) => to.resize(*size, 0),
        }
    }
}
