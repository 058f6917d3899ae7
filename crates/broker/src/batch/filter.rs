//! A batch that loses some of its records to compaction.
//!
//! What is left keeps its offsets and its order, and the batch keeps the range of offsets and of
//! sequences that it had, as Kafka's `MemoryRecords.filterTo` does it.

use std::io;

use super::{
    COMPRESSION, Codec, DELETE_HORIZON, HEADER, Header, Record, Records, put_varint, seal, unpack,
};

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Filtered {
    Unchanged,
    Changed(Vec<u8>),
    /// No record is left.
    Gone,
}

/// Keeps the records for which `keep` holds. Tombstones among them that have no delete horizon
/// yet get `horizon`. A batch that is left without records stays as an empty one with
/// `keep_empty`.
pub(crate) fn filter(
    header: &Header,
    batch: &[u8],
    horizon: i64,
    keep_empty: bool,
    mut keep: impl FnMut(&Record<'_>) -> bool,
) -> io::Result<Filtered> {
    if header.records == 0 {
        return Ok(if keep_empty {
            Filtered::Unchanged
        } else {
            Filtered::Gone
        });
    }
    let unpacked = unpack(header, batch)?;
    // Looked through twice, because a list of what is left may be many times what it lists.
    let mut left = Left::default();
    for record in Records::new(header, &unpacked) {
        let record = record.ok_or(io::ErrorKind::InvalidData)?;
        if keep(&record) {
            left.records += 1;
            left.newest = left.newest.max(Some(record.timestamp));
            left.tombstones |= record.value.is_none();
        }
    }
    if left.records == 0 {
        return Ok(if keep_empty {
            Filtered::Changed(empty(header, batch))
        } else {
            Filtered::Gone
        });
    }
    let begins_delay = left.tombstones && header.delete_horizon().is_none();
    if left.records == header.records && !begins_delay {
        return Ok(Filtered::Unchanged);
    }
    let horizon = begins_delay.then_some(horizon);
    let records = Records::new(header, &unpacked)
        .flatten()
        .filter(|record| keep(record));
    rebuild(header, batch, &left, records, horizon).map(Filtered::Changed)
}

#[derive(Default)]
struct Left {
    records: i32,
    newest: Option<i64>,
    tombstones: bool,
}

fn rebuild<'a>(
    header: &Header,
    batch: &[u8],
    left: &Left,
    records: impl Iterator<Item = Record<'a>>,
    horizon: Option<i64>,
) -> io::Result<Vec<u8>> {
    let base_timestamp = horizon.unwrap_or(header.base_timestamp);
    let mut unpacked = Vec::new();
    let mut timestamp = Vec::new();
    for record in records {
        timestamp.clear();
        put_varint(
            &mut timestamp,
            record.timestamp.wrapping_sub(base_timestamp),
        );
        let length = 1 + timestamp.len() + record.rest.len();
        put_varint(&mut unpacked, length as i64);
        unpacked.push(record.attributes);
        unpacked.extend_from_slice(&timestamp);
        unpacked.extend_from_slice(record.rest);
    }
    let attributes = header.attributes | horizon.map_or(0, |_| DELETE_HORIZON);
    let codec = header.codec().unwrap_or(Codec::None);
    let mut rebuilt = batch[..HEADER].to_vec();
    rebuilt.extend(codec.pack(&unpacked)?);
    rebuilt[21..23].copy_from_slice(&attributes.to_be_bytes());
    rebuilt[27..35].copy_from_slice(&base_timestamp.to_be_bytes());
    let newest = left.newest.unwrap_or(header.max_timestamp);
    rebuilt[35..43].copy_from_slice(&newest.to_be_bytes());
    rebuilt[57..61].copy_from_slice(&left.records.to_be_bytes());
    seal(&mut rebuilt);
    Ok(rebuilt)
}

/// A batch of no records, which says how far its producer came and where the log goes on.
fn empty(header: &Header, batch: &[u8]) -> Vec<u8> {
    let mut rebuilt = batch[..HEADER].to_vec();
    let attributes = header.attributes & !COMPRESSION & !DELETE_HORIZON;
    rebuilt[21..23].copy_from_slice(&attributes.to_be_bytes());
    rebuilt[27..35].copy_from_slice(&(-1i64).to_be_bytes());
    rebuilt[57..61].fill(0);
    seal(&mut rebuilt);
    rebuilt
}
