//! Kafka's record batch, version 2, as bytes: what the broker must read of it, and nothing more.
//! Batches are stored as they came; only base offset, leader epoch and, where the topic says so,
//! the append time are the broker's to write. Layout: <https://kafka.apache.org/documentation/#recordbatch>.

mod build;
mod check;
mod codec;
mod filter;
mod records;

use std::borrow::Cow;
use std::io::{self, IoSlice};

pub(crate) use build::{NewRecord, build};
#[cfg(test)]
pub(crate) use build::{Sender, build_as, sample};
pub(crate) use check::{Fault, check, is_packed};
pub(crate) use codec::Codec;
pub(crate) use filter::{Filtered, filter};
pub(crate) use records::{Record, Records, Sketches};

/// Bytes before the first record.
pub(crate) const HEADER: usize = 61;
/// Bytes before the length counts: base offset and the length itself.
const PREFIX: usize = 12;
/// Bytes that no sum covers.
pub(crate) const SUM_FROM: usize = 21;
/// The leader epoch that is written into each batch: one node is its own leader, always the first.
pub(crate) const LEADER_EPOCH: i32 = 0;

const COMPRESSION: i16 = 0x07;
const APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

/// The fixed part of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    /// Bytes of the whole batch.
    pub(crate) size: usize,
    attributes: i16,
    last_offset_delta: i32,
    base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) records: i32,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N]
        .try_into()
        .expect("the slice has the array's length")
}

impl Header {
    /// Reads the fixed part; `None` when there are too few bytes or they cannot be a batch. Says
    /// nothing about the sum.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Header> {
        if bytes.len() < HEADER || bytes[16] != 2 {
            return None;
        }
        let size = usize::try_from(i32::from_be_bytes(array(bytes, 8))).ok()? + PREFIX;
        let header = Header {
            base_offset: i64::from_be_bytes(array(bytes, 0)),
            size,
            attributes: i16::from_be_bytes(array(bytes, 21)),
            last_offset_delta: i32::from_be_bytes(array(bytes, 23)),
            base_timestamp: i64::from_be_bytes(array(bytes, 27)),
            max_timestamp: i64::from_be_bytes(array(bytes, 35)),
            producer_id: i64::from_be_bytes(array(bytes, 43)),
            producer_epoch: i16::from_be_bytes(array(bytes, 51)),
            base_sequence: i32::from_be_bytes(array(bytes, 53)),
            records: i32::from_be_bytes(array(bytes, 57)),
        };
        let sound = size >= HEADER && header.base_offset >= 0 && header.last_offset_delta >= 0;
        sound.then_some(header)
    }

    pub(crate) fn next_offset(&self) -> i64 {
        // Of what is rotten, the base may be anything.
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta) + 1)
    }

    /// Sequences wrap from the largest `i32` to 0.
    pub(crate) fn last_sequence(&self) -> i32 {
        ((i64::from(self.base_sequence) + i64::from(self.last_offset_delta)) & i64::from(i32::MAX))
            as i32
    }

    /// `None` for a number that stands for no codec.
    pub(crate) fn codec(&self) -> Option<Codec> {
        Codec::from_number(self.attributes & COMPRESSION)
    }

    /// From when on compaction may take the batch's tombstones away (KIP-534). It stands in place
    /// of the base timestamp, to which the records' timestamps are relative all the same.
    pub(crate) fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Of a record that says that it is so much after the base timestamp.
    fn timestamp(&self, delta: i64) -> i64 {
        if self.attributes & APPEND_TIME != 0 {
            self.max_timestamp
        } else {
            // What clients compute, which wraps.
            self.base_timestamp.wrapping_add(delta)
        }
    }
}

/// Whether the sum over a whole batch is right.
pub(crate) fn sum_is_right(batch: &[u8]) -> bool {
    batch.len() >= HEADER && crc32c::crc32c(&batch[SUM_FROM..]) == sum_of(batch)
}

/// The sum that a batch says it has.
pub(crate) fn sum_of(batch: &[u8]) -> u32 {
    u32::from_be_bytes(array(batch, 17))
}

/// The records of a whole batch, unpacked.
pub(crate) fn unpack<'a>(header: &Header, batch: &'a [u8]) -> io::Result<Cow<'a, [u8]>> {
    let codec = header
        .codec()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an unknown codec"))?;
    codec.unpack(&batch[HEADER..])
}

/// Writes length, leader epoch and sum into a batch that is whole else.
fn seal(batch: &mut [u8]) {
    let length = (batch.len() - PREFIX) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[12..16].copy_from_slice(&LEADER_EPOCH.to_be_bytes());
    let sum = crc32c::crc32c(&batch[SUM_FROM..]);
    batch[17..21].copy_from_slice(&sum.to_be_bytes());
}

/// Writes a number as records hold it: zigzag, seven bits a byte.
fn put_varint(into: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        into.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    into.push(rest as u8);
}

/// What the broker writes in place of a batch's fixed part.
#[derive(Debug)]
pub(crate) struct Stamp([u8; HEADER]);

impl Stamp {
    /// Stamps a checked batch with its offset and, if given, the time of its append; changes
    /// `header` to what will be read back.
    pub(crate) fn new(
        batch: &[u8],
        header: &mut Header,
        base_offset: i64,
        append_time: Option<i64>,
    ) -> Stamp {
        let mut bytes: [u8; HEADER] = array(batch, 0);
        header.base_offset = base_offset;
        bytes[0..8].copy_from_slice(&base_offset.to_be_bytes());
        bytes[12..16].copy_from_slice(&LEADER_EPOCH.to_be_bytes());
        // The horizon is for the broker to set.
        let own = header.attributes & !APPEND_TIME & !DELETE_HORIZON;
        let attributes = own | append_time.map_or(0, |_| APPEND_TIME);
        header.attributes = attributes;
        header.max_timestamp = append_time.unwrap_or(header.max_timestamp);
        let sent = (
            i16::from_be_bytes(array(batch, 21)),
            i64::from_be_bytes(array(batch, 35)),
        );
        // The sum covers what follows; offset and epoch are outside of it for this very reason.
        if sent != (header.attributes, header.max_timestamp) {
            bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
            bytes[35..43].copy_from_slice(&header.max_timestamp.to_be_bytes());
            let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[SUM_FROM..]), &batch[HEADER..]);
            bytes[17..21].copy_from_slice(&sum.to_be_bytes());
        }
        Stamp(bytes)
    }

    /// The stamped batch, without a copy of its records.
    pub(crate) fn parts<'a>(&'a self, batch: &'a [u8]) -> [IoSlice<'a>; 2] {
        [IoSlice::new(&self.0), IoSlice::new(&batch[HEADER..])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_changes_offset_and_append_time_and_keeps_the_sum_right() {
        let batch = sample();
        let mut header = check(&batch, 1 << 20, false).unwrap();
        for append_time in [None, Some(77)] {
            let stamp = Stamp::new(&batch, &mut header, 500, append_time);
            let written: Vec<u8> = stamp
                .parts(&batch)
                .iter()
                .flat_map(|part| part.to_vec())
                .collect();
            assert!(sum_is_right(&written));
            let read = Header::parse(&written).unwrap();
            assert_eq!(read, header);
            assert_eq!((read.base_offset, read.next_offset()), (500, 502));
            assert_eq!(read.max_timestamp, append_time.unwrap_or(1_000));
        }
    }
}
