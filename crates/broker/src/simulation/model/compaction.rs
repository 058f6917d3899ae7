//! What compaction may take, and what it must leave.

use std::collections::{BTreeMap, BTreeSet};

use super::{Batch, Checked, Model, Place, must};
use crate::batch::{HEADER, Header, Records};
use crate::simulation::requests::key;

impl Batch {
    /// Whether a batch that stands in a log is this one, perhaps without some of its records.
    pub(in crate::simulation) fn became(&self, header: &Header, bytes: &[u8]) -> bool {
        let own = Header::parse(&self.bytes);
        let own = own.expect("a batch that was built has a header");
        let sent: Vec<_> = Records::new(&own, &self.bytes[HEADER..])
            .flatten()
            .collect();
        let mut left = Records::new(header, &bytes[HEADER..]).flatten();
        let range = header.next_offset() - header.base_offset;
        let same_sender = (
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
        ) == (own.producer_id, own.producer_epoch, own.base_sequence);
        range == i64::from(self.records)
            && same_sender
            && left.all(|record| {
                let at = usize::try_from(record.offset - header.base_offset);
                let sent = at.ok().and_then(|at| sent.get(at));
                sent.is_some_and(|sent| (sent.key, sent.value) == (record.key, record.value))
            })
    }

    fn is_tombstone(&self, record: i32) -> bool {
        self.ends_with_tombstone && record + 1 == self.records
    }
}

impl Model {
    /// Of each key the last record that is known is there, unless another one came after it that
    /// nobody was told of, or it is a tombstone.
    pub(in crate::simulation) fn check_compaction(
        &self,
        place: Place,
        start: i64,
        seen: &BTreeSet<i64>,
    ) -> Checked {
        let Some(partition) = self.partitions.get(&place) else {
            return Ok(());
        };
        let mut last = BTreeMap::new();
        for (offset, id) in partition.known() {
            for record in 0..self.batches[id].records {
                last.insert(key(id, record), (offset + i64::from(record), id, record));
            }
        }
        for (key, (offset, id, record)) in last {
            let fine = offset < start
                || seen.contains(&offset)
                || self.batches[id].is_tombstone(record)
                || self.has_unknown_tombstone(place, &key);
            must(fine, || {
                format!("the last record of {key}, at {offset}, was compacted away")
            })?;
        }
        Ok(())
    }

    /// A tombstone that may be in the log, or have been.
    fn has_unknown_tombstone(&self, place: Place, of: &str) -> bool {
        let sent = self.batches.iter().enumerate();
        let mut unknown = sent.filter(|(_, batch)| batch.place == place && batch.at.is_none());
        unknown.any(|(id, batch)| batch.ends_with_tombstone && key(id, batch.records - 1) == of)
    }
}
