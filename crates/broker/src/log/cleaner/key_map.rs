//! The newest offset of each key, for as many keys as there is room for.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;

/// Two hashes under keys of their own, 128 bits together: that two of a million keys share them
/// is as good as impossible, so that the keys themselves need not be held.
type Hash = [u64; 2];

#[derive(Debug)]
pub(super) struct KeyMap {
    hashers: [RandomState; 2],
    newest: HashMap<Hash, i64>,
    most: usize,
}

impl KeyMap {
    pub(super) fn new(most: usize) -> KeyMap {
        KeyMap {
            hashers: [RandomState::new(), RandomState::new()],
            newest: HashMap::new(),
            most,
        }
    }

    fn hash(&self, key: &[u8]) -> Hash {
        [0, 1].map(|which| self.hashers[which].hash_one(key))
    }

    /// Takes note of a record; they come in order. False when there is no room for its key.
    pub(super) fn note(&mut self, key: &[u8], offset: i64) -> bool {
        let hash = self.hash(key);
        let room = self.newest.len() < self.most;
        match self.newest.entry(hash) {
            Entry::Occupied(mut seen) => {
                seen.insert(offset);
                true
            }
            Entry::Vacant(place) if room => {
                place.insert(offset);
                true
            }
            Entry::Vacant(_) => false,
        }
    }

    /// Whether no newer record of the key was noted than the one at `offset`.
    pub(super) fn is_newest(&self, key: &[u8], offset: i64) -> bool {
        self.newest
            .get(&self.hash(key))
            .is_none_or(|newest| *newest <= offset)
    }
}
