//! The records inside of a batch.

use std::io::{self, BufRead};

use super::{HEADER, Header};

/// A record, as far as the broker looks into it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(super) attributes: u8,
    /// All that follows the timestamp.
    pub(super) rest: &'a [u8],
}

/// Walks unpacked records. Yields `None` inside for a record that is not sound, once, and ends
/// there.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    header: Header,
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// Walks the records of the batch that has this header, as [`super::unpack`] gave them.
    pub(crate) fn new(header: &Header, unpacked: &'a [u8]) -> Self {
        Records {
            header: *header,
            rest: unpacked,
        }
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let length = usize::try_from(varint(&mut self.rest)?).ok()?;
        let (mut body, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        let (attributes, after) = body.split_first()?;
        body = after;
        let timestamp_delta = varint(&mut body)?;
        let rest = body;
        let offset_delta = varint(&mut body)?;
        let key = field(&mut body)?;
        let value = field(&mut body)?;
        let headers = varint(&mut body)?;
        for _ in 0..headers {
            field(&mut body)??;
            field(&mut body)?;
        }
        let offset = self.header.base_offset.checked_add(offset_delta)?;
        (headers >= 0 && body.is_empty()).then_some(Record {
            offset,
            timestamp: self.header.timestamp(timestamp_delta),
            key,
            value,
            attributes: *attributes,
            rest,
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
            return Some(unzigzag(value));
        }
    }
    None
}

/// A record without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sketch {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) has_key: bool,
}

/// Walks the records of any batch while they are unpacked, in little memory. Ends after an error.
pub(crate) struct Sketches<'a> {
    header: Header,
    unpacked: Box<dyn BufRead + 'a>,
    ended: bool,
}

impl<'a> Sketches<'a> {
    pub(crate) fn new(header: &Header, batch: &'a [u8]) -> io::Result<Sketches<'a>> {
        let codec = header.codec().ok_or(io::ErrorKind::InvalidData)?;
        Ok(Sketches {
            header: *header,
            unpacked: codec.reader(&batch[HEADER..])?,
            ended: false,
        })
    }

    fn sketch(&mut self) -> io::Result<Option<Sketch>> {
        if self.unpacked.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut prefix = Body {
            from: &mut *self.unpacked,
            left: u64::MAX,
        };
        let length = prefix.varint()?;
        let mut body = Body {
            from: &mut *self.unpacked,
            left: u64::try_from(length).map_err(|_| io::ErrorKind::InvalidData)?,
        };
        let _attributes = body.byte()?;
        let timestamp_delta = body.varint()?;
        let offset_delta = body.varint()?;
        let has_key = body.skip_field()?;
        let _has_value = body.skip_field()?;
        let headers = body.varint()?;
        for _ in 0..headers {
            if !body.skip_field()? {
                return Err(io::ErrorKind::InvalidData.into());
            }
            body.skip_field()?;
        }
        let offset = self.header.base_offset.checked_add(offset_delta);
        match offset {
            Some(offset) if headers >= 0 && body.left == 0 => Ok(Some(Sketch {
                offset,
                timestamp: self.header.timestamp(timestamp_delta),
                has_key,
            })),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl Iterator for Sketches<'_> {
    type Item = io::Result<Sketch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let sketch = self.sketch().transpose();
        self.ended = !matches!(sketch, Some(Ok(_)));
        sketch
    }
}

/// Bytes that are read and counted.
struct Body<'a, 'b> {
    from: &'a mut (dyn BufRead + 'b),
    left: u64,
}

impl Body<'_, '_> {
    fn byte(&mut self) -> io::Result<u8> {
        let bytes = self.from.fill_buf()?;
        match bytes.first() {
            Some(byte) if self.left > 0 => {
                let byte = *byte;
                self.from.consume(1);
                self.left -= 1;
                Ok(byte)
            }
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn varint(&mut self) -> io::Result<i64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(unzigzag(value));
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    /// Whether it was there; null is not.
    fn skip_field(&mut self) -> io::Result<bool> {
        let Ok(mut length) = u64::try_from(self.varint()?) else {
            return Ok(false);
        };
        if length > self.left {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.left -= length;
        while length > 0 {
            let there = self.from.fill_buf()?.len();
            if there == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let step = there.min(usize::try_from(length).unwrap_or(usize::MAX));
            self.from.consume(step);
            length -= step as u64;
        }
        Ok(true)
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::super::{NewRecord, build};
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
        let read: Vec<_> = Records::new(&header, &batch[HEADER..])
            .map(Option::unwrap)
            .collect();
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
            let read: Vec<_> = Records::new(&header, &batch[HEADER..cut]).collect();
            assert_eq!(read, [None]);
            let mut sketches = Sketches::new(&header, &batch[..cut]).unwrap();
            assert!(sketches.next().unwrap().is_err() && sketches.next().is_none());
        }
    }
}
