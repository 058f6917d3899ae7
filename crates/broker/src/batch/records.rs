//! The records inside of a batch that is not compressed, and the making of such a batch.

use super::{CRC_FROM, HEADER, Header};

/// A record, as far as the broker looks into it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
}

/// Walks an uncompressed batch. Yields `None` inside for a record that is not sound, once, and
/// ends there.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    header: Header,
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub(crate) fn new(header: &Header, batch: &'a [u8]) -> Self {
        debug_assert!(!header.is_compressed());
        Records {
            header: *header,
            rest: &batch[HEADER..],
        }
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let length = usize::try_from(varint(&mut self.rest)?).ok()?;
        let (mut body, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        let (_attributes, after) = body.split_first()?;
        body = after;
        let timestamp_delta = varint(&mut body)?;
        let offset_delta = varint(&mut body)?;
        let key = field(&mut body)?;
        let value = field(&mut body)?;
        let headers = varint(&mut body)?;
        for _ in 0..headers {
            field(&mut body)??;
            field(&mut body)?;
        }
        let timestamp = match self.header.has_append_time() {
            true => self.header.max_timestamp,
            false => self.header.base_timestamp.checked_add(timestamp_delta)?,
        };
        let offset = self.header.base_offset.checked_add(offset_delta)?;
        (headers >= 0 && body.is_empty()).then_some(Record {
            offset,
            timestamp,
            key,
            value,
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Option<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_none() {
            self.rest = &[];
        }
        Some(record)
    }
}

/// A byte field with its length before it; the inner `None` is Kafka's null.
fn field<'a>(from: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint(from)?;
    if length < 0 {
        return Some(None);
    }
    let (field, rest) = from.split_at_checked(usize::try_from(length).ok()?)?;
    *from = rest;
    Some(Some(field))
}

fn varint(from: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

/// A record that the broker writes for itself.
#[derive(Debug)]
pub(crate) struct NewRecord<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
}

/// A batch of records of one moment, not compressed, of no producer. `records` is not empty.
pub(crate) fn build(records: &[NewRecord<'_>], timestamp: i64) -> Vec<u8> {
    let mut batch = vec![0; HEADER];
    let mut body = Vec::new();
    for (delta, record) in records.iter().enumerate() {
        body.clear();
        body.push(0);
        put_varint(&mut body, 0);
        put_varint(&mut body, delta as i64);
        for field in [Some(record.key), record.value] {
            put_varint(&mut body, field.map_or(-1, |field| field.len() as i64));
            body.extend_from_slice(field.unwrap_or_default());
        }
        put_varint(&mut body, 0);
        put_varint(&mut batch, body.len() as i64);
        batch.extend_from_slice(&body);
    }
    let count = records.len() as i32;
    let length = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    batch[27..35].copy_from_slice(&timestamp.to_be_bytes());
    batch[35..43].copy_from_slice(&timestamp.to_be_bytes());
    // No producer: id, epoch and sequence are all -1.
    batch[43..57].fill(0xff);
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    let sum = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[17..21].copy_from_slice(&sum.to_be_bytes());
    batch
}

fn put_varint(into: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        into.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    into.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_is_read_back() {
        let long = vec![7; 300];
        let batch = build(
            &[
                NewRecord {
                    key: b"",
                    value: Some(&long),
                },
                NewRecord {
                    key: b"b",
                    value: None,
                },
            ],
            5,
        );
        let header = Header::parse(&batch).unwrap();
        let read: Vec<_> = Records::new(&header, &batch).map(Option::unwrap).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(
            (read[0].offset, read[0].timestamp, read[0].key),
            (0, 5, Some(&b""[..]))
        );
        assert_eq!(read[0].value, Some(&long[..]));
        assert_eq!(
            (read[1].offset, read[1].key, read[1].value),
            (1, Some(&b"b"[..]), None)
        );
    }

    #[test]
    fn a_cut_record_ends_the_walk() {
        let batch = build(
            &[NewRecord {
                key: b"key",
                value: Some(b"value"),
            }],
            5,
        );
        let header = Header::parse(&batch).unwrap();
        for cut in HEADER + 1..batch.len() {
            let read: Vec<_> = Records::new(&header, &batch[..cut]).collect();
            assert_eq!(read, [None]);
        }
    }
}
