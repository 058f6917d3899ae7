//! Kafka's record batch, version 2, as bytes: what the broker must read of it, and nothing more.
//! Batches are stored as they came; only base offset, leader epoch and, where the topic says so,
//! the append time are the broker's to write. Layout: <https://kafka.apache.org/documentation/#recordbatch>.

mod records;

use std::io::IoSlice;

pub(crate) use records::{NewRecord, Records, build};

/// Bytes before the first record.
pub(crate) const HEADER: usize = 61;
/// Bytes before the length counts: base offset and the length itself.
const PREFIX: usize = 12;
const CRC_FROM: usize = 21;
/// The leader epoch that is written into each batch: one node is its own leader, always the first.
pub(crate) const LEADER_EPOCH: i32 = 0;

const COMPRESSION: i16 = 0x07;
const APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

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

/// What is wrong with a batch that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Cut short, longer than it says, or its sum is wrong.
    Corrupt,
    /// Not version 2.
    OldFormat,
    /// Sound bytes that say something impossible.
    Invalid(&'static str),
    TooLarge,
    UnknownCompression,
    Transactional,
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
        self.base_offset + i64::from(self.last_offset_delta) + 1
    }

    /// Sequences wrap from the largest `i32` to 0.
    pub(crate) fn last_sequence(&self) -> i32 {
        ((i64::from(self.base_sequence) + i64::from(self.last_offset_delta)) & i64::from(i32::MAX))
            as i32
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.attributes & COMPRESSION != 0
    }

    fn has_append_time(&self) -> bool {
        self.attributes & APPEND_TIME != 0
    }
}

/// Whether the sum over a whole batch is right.
pub(crate) fn sum_is_right(batch: &[u8]) -> bool {
    batch.len() >= HEADER
        && crc32c::crc32c(&batch[CRC_FROM..]) == u32::from_be_bytes(array(batch, 17))
}

/// Checks what a client wants appended: exactly one batch, sound in all that can be seen without
/// unpacking it.
pub(crate) fn check(bytes: &[u8], largest: usize) -> Result<Header, Fault> {
    if bytes.len() < HEADER {
        return Err(Fault::Corrupt);
    }
    if bytes[16] != 2 {
        return Err(Fault::OldFormat);
    }
    let mut header = Header::parse(bytes).ok_or(Fault::Corrupt)?;
    if header.size > bytes.len() {
        return Err(Fault::Corrupt);
    }
    if header.size < bytes.len() {
        return Err(Fault::Invalid(
            "one record batch per partition is taken, this is more",
        ));
    }
    if bytes.len() > largest {
        return Err(Fault::TooLarge);
    }
    if !sum_is_right(bytes) {
        return Err(Fault::Corrupt);
    }
    if header.attributes & CONTROL != 0 {
        return Err(Fault::Invalid("clients cannot write control batches"));
    }
    if header.attributes & TRANSACTIONAL != 0 {
        return Err(Fault::Transactional);
    }
    if header.attributes & COMPRESSION > 4 {
        return Err(Fault::UnknownCompression);
    }
    if header.records < 1 || header.records - 1 != header.last_offset_delta {
        return Err(Fault::Invalid(
            "the number of records and the last offset disagree",
        ));
    }
    if header.producer_id >= 0 && (header.producer_epoch < 0 || header.base_sequence < 0) {
        return Err(Fault::Invalid(
            "a producer id needs an epoch and a sequence",
        ));
    }
    if !header.is_compressed() {
        let mut seen = 0;
        let mut newest = i64::MIN;
        for record in Records::new(&header, bytes) {
            let record = record.ok_or(Fault::Invalid("a record is cut short"))?;
            if record.offset - header.base_offset != seen {
                return Err(Fault::Invalid("the records' offsets have holes"));
            }
            seen += 1;
            newest = newest.max(record.timestamp);
        }
        if seen != i64::from(header.records) {
            return Err(Fault::Invalid("fewer or more records than the batch says"));
        }
        // Look-ups by time rely on it, so it is put right instead of believed, as Kafka does.
        header.max_timestamp = newest;
    }
    Ok(header)
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
        let attributes = match append_time {
            Some(_) => header.attributes | APPEND_TIME,
            None => header.attributes & !APPEND_TIME,
        };
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
            let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[CRC_FROM..]), &batch[HEADER..]);
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

    fn sample() -> Vec<u8> {
        build(
            &[
                NewRecord {
                    key: b"k",
                    value: Some(b"v"),
                },
                NewRecord {
                    key: b"l",
                    value: None,
                },
            ],
            1_000,
        )
    }

    fn resum(batch: &mut [u8]) {
        let sum = crc32c::crc32c(&batch[CRC_FROM..]);
        batch[17..21].copy_from_slice(&sum.to_be_bytes());
    }

    #[test]
    fn a_sound_batch_passes_and_each_fault_is_named() {
        let header = check(&sample(), 1 << 20).unwrap();
        assert_eq!(
            (header.records, header.max_timestamp, header.next_offset()),
            (2, 1_000, 2)
        );

        type Damage = fn(&mut Vec<u8>);
        let cases: [(Damage, Fault); 9] = [
            (|b| b.truncate(40), Fault::Corrupt),
            (|b| b.truncate(b.len() - 1), Fault::Corrupt),
            (|b| b[16] = 1, Fault::OldFormat),
            (|b| *b.last_mut().unwrap() ^= 1, Fault::Corrupt),
            (
                |b| b.extend(sample()),
                Fault::Invalid("one record batch per partition is taken, this is more"),
            ),
            (
                |b| b[22] |= 0x20,
                Fault::Invalid("clients cannot write control batches"),
            ),
            (|b| b[22] |= 0x10, Fault::Transactional),
            (|b| b[22] |= 0x07, Fault::UnknownCompression),
            (
                |b| b[60] = 9,
                Fault::Invalid("the number of records and the last offset disagree"),
            ),
        ];
        for (i, (damage, fault)) in cases.into_iter().enumerate() {
            let mut batch = sample();
            damage(&mut batch);
            if i > 4 {
                resum(&mut batch);
            }
            assert_eq!(check(&batch, 1 << 20), Err(fault), "case {i}");
        }
        assert_eq!(check(&sample(), 10), Err(Fault::TooLarge));
    }

    #[test]
    fn a_stamp_changes_offset_and_append_time_and_keeps_the_sum_right() {
        let batch = sample();
        let mut header = check(&batch, 1 << 20).unwrap();
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
