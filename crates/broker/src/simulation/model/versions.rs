//! What a committed offset may be: one that was confirmed last, or one that was sent after it.

use super::{Checked, must};

/// Every value that was ever sent, the first one being nothing.
#[derive(Debug)]
pub(in crate::simulation) struct Versions {
    values: Vec<Option<i64>>,
    /// Older ones cannot be any more.
    floor: usize,
}

impl Default for Versions {
    fn default() -> Self {
        Versions {
            values: vec![None],
            floor: 0,
        }
    }
}

impl Versions {
    /// Somebody sends a value, or a deletion, and gets a number for it.
    pub(in crate::simulation) fn send(&mut self, value: Option<i64>) -> usize {
        self.values.push(value);
        self.values.len() - 1
    }

    pub(in crate::simulation) fn confirm(&mut self, version: usize) {
        self.floor = self.floor.max(version);
    }

    pub(in crate::simulation) fn floor(&self) -> usize {
        self.floor
    }

    /// Somebody who asked when `floor` held was shown a value.
    pub(in crate::simulation) fn see(&mut self, value: Option<i64>, floor: usize) -> Checked {
        let at = (floor..self.values.len()).find(|at| self.values[*at] == value);
        must(at.is_some(), || {
            let allowed = &self.values[floor..];
            format!("the committed offset is {value:?}, and may only be one of {allowed:?}")
        })?;
        self.confirm(at.unwrap_or(0));
        Ok(())
    }

    pub(in crate::simulation) fn next(&self) -> i64 {
        self.values
            .iter()
            .flatten()
            .max()
            .map_or(0, |last| last + 1)
    }
}
