//! The making of a batch.

use super::{Codec, HEADER, put_varint, seal};

/// A record that the broker writes for itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRecord<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
}

/// Who a batch is from; by default nobody in particular.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
}

impl Default for Sender {
    fn default() -> Self {
        Sender {
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
        }
    }
}

/// A batch of records of one moment, not compressed. `records` is not empty.
pub(crate) fn build(records: &[NewRecord<'_>], timestamp: i64) -> Vec<u8> {
    let records: Vec<_> = records.iter().map(|record| (*record, timestamp)).collect();
    build_as(&records, Codec::None, Sender::default())
}

/// A batch of records with their timestamps. `records` is not empty.
pub(crate) fn build_as(records: &[(NewRecord<'_>, i64)], codec: Codec, sender: Sender) -> Vec<u8> {
    let first = records.first().map_or(0, |(_, timestamp)| *timestamp);
    let newest = records.iter().map(|(_, timestamp)| *timestamp).max();
    let mut unpacked = Vec::new();
    let mut body = Vec::new();
    for (delta, (record, timestamp)) in records.iter().enumerate() {
        body.clear();
        body.push(0);
        put_varint(&mut body, timestamp - first);
        put_varint(&mut body, delta as i64);
        for field in [Some(record.key), record.value] {
            put_varint(&mut body, field.map_or(-1, |field| field.len() as i64));
            body.extend_from_slice(field.unwrap_or_default());
        }
        put_varint(&mut body, 0);
        put_varint(&mut unpacked, body.len() as i64);
        unpacked.extend_from_slice(&body);
    }
    let count = records.len() as i32;
    let mut batch = vec![0; HEADER];
    batch.extend(
        codec
            .pack(&unpacked)
            .expect("memory takes all that is written"),
    );
    batch[16] = 2;
    batch[21..23].copy_from_slice(&codec.number().to_be_bytes());
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    batch[27..35].copy_from_slice(&first.to_be_bytes());
    batch[35..43].copy_from_slice(&newest.unwrap_or(first).to_be_bytes());
    batch[43..51].copy_from_slice(&sender.producer_id.to_be_bytes());
    batch[51..53].copy_from_slice(&sender.producer_epoch.to_be_bytes());
    batch[53..57].copy_from_slice(&sender.base_sequence.to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    seal(&mut batch);
    batch
}

/// A batch of a value and a tombstone.
#[cfg(test)]
pub(crate) fn sample() -> Vec<u8> {
    let value = NewRecord {
        key: b"k",
        value: Some(b"v"),
    };
    let tombstone = NewRecord {
        key: b"l",
        value: None,
    };
    build(&[value, tombstone], 1_000)
}
