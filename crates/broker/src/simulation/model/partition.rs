//! What is known of one partition.

use std::collections::BTreeMap;

use super::{BatchId, Checked, must};

#[derive(Debug, Default)]
pub(in crate::simulation) struct PartitionModel {
    /// Which batch begins where; what was once there is there, until it is deleted.
    at: BTreeMap<i64, BatchId>,
    /// The largest end that anyone was told or shown. No offset below is given again.
    shown: i64,
    /// Deleted up to here, and the deletion was confirmed.
    start: i64,
    /// A deletion up to here was at least begun.
    may_start: i64,
}

impl PartitionModel {
    pub(super) fn put(&mut self, offset: i64, id: BatchId, end: i64) -> Checked {
        let there = *self.at.entry(offset).or_insert(id);
        must(there == id, || {
            format!("batch {id} stands at {offset}, where batch {there} was")
        })?;
        self.shown = self.shown.max(end);
        Ok(())
    }

    pub(in crate::simulation) fn known(&self) -> impl Iterator<Item = (i64, BatchId)> {
        self.at.iter().map(|(offset, id)| (*offset, *id))
    }

    /// Batches that begin before an offset.
    pub(in crate::simulation) fn known_before(
        &self,
        offset: i64,
    ) -> impl Iterator<Item = (i64, BatchId)> {
        self.at.range(..offset).map(|(offset, id)| (*offset, *id))
    }

    /// Whether sequences may be missing because records were deleted unseen.
    pub(super) fn has_holes(&self) -> bool {
        self.may_start > 0
    }

    pub(in crate::simulation) fn shown(&self) -> i64 {
        self.shown
    }

    pub(in crate::simulation) fn start(&self) -> i64 {
        self.start
    }

    pub(in crate::simulation) fn may_start(&self) -> i64 {
        self.may_start
    }

    /// Somebody was shown a high watermark.
    pub(in crate::simulation) fn see_high_watermark(&mut self, offset: i64) -> Checked {
        must(offset >= self.shown, || {
            format!(
                "the high watermark is {offset}, and {} was shown",
                self.shown
            )
        })?;
        self.shown = offset;
        Ok(())
    }

    /// Somebody was shown where the log begins.
    pub(in crate::simulation) fn see_start(&self, offset: i64) -> Checked {
        must((self.start..=self.may_start).contains(&offset), || {
            format!(
                "the log begins at {offset}, not from {} to {}",
                self.start, self.may_start
            )
        })
    }

    pub(in crate::simulation) fn begin_deletion(&mut self, offset: i64) {
        self.may_start = self.may_start.max(offset);
    }

    pub(in crate::simulation) fn confirm_deletion(&mut self, offset: i64) {
        self.begin_deletion(offset);
        self.start = self.start.max(offset);
    }
}
