//! Rows that were read, and which of them were changed since.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

#[derive(Clone, Debug)]
pub(crate) struct Table<K, V> {
    rows: HashMap<K, V>,
    changed: HashSet<K>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            rows: HashMap::new(),
            changed: HashSet::new(),
        }
    }
}

impl<K: Clone + Eq + Hash + Ord, V> Table<K, V> {
    /// Takes in what is stored.
    pub(crate) fn read(&mut self, key: K, row: V) {
        self.rows.insert(key, row);
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key)
    }

    pub(crate) fn put(&mut self, key: K, row: V) {
        self.changed.insert(key.clone());
        self.rows.insert(key, row);
    }

    /// What must be written, in the order of the keys: two batches that lock rows
    /// in one order cannot deadlock.
    pub(crate) fn into_changed(mut self) -> Vec<(K, V)> {
        let mut keys: Vec<K> = self.changed.into_iter().collect();
        keys.sort_unstable();
        let row = |key| self.rows.remove_entry(&key);
        keys.into_iter().filter_map(row).collect()
    }
}
