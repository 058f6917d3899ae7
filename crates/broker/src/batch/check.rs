//! What the broker asks of a batch before it takes it.

use super::{CONTROL, Codec, HEADER, Header, Records, Sketches, TRANSACTIONAL, sum_is_right};

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

/// Checks what a client wants appended: exactly one batch of at most `largest` bytes, sound down
/// to each record. With `keyed`, as compaction needs it, no record may lack a key.
pub(crate) fn check(bytes: &[u8], largest: usize, keyed: bool) -> Result<Header, Fault> {
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
    if header.codec().is_none() {
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
    // Look-ups by time rely on it, so it is put right instead of believed, as Kafka does.
    header.max_timestamp = check_records(&header, bytes, keyed)?;
    Ok(header)
}

/// Whether [`check`] unpacks. A few KiB may then take 128 MiB and a tenth of a second, so it is no
/// work for a thread that serves connections, nor for many at once.
pub(crate) fn is_packed(bytes: &[u8]) -> bool {
    let codec = Header::parse(bytes).and_then(|header| header.codec());
    codec != Some(Codec::None)
}

/// Gives the largest timestamp.
fn check_records(header: &Header, batch: &[u8], keyed: bool) -> Result<i64, Fault> {
    let mut seen = 0;
    let mut newest = i64::MIN;
    let mut take = |offset: i64, timestamp: i64, has_key: bool| {
        if offset - header.base_offset != seen {
            return Err(Fault::Invalid("the records' offsets have holes"));
        }
        if keyed && !has_key {
            return Err(Fault::Invalid(
                "a compacted topic takes no record without a key",
            ));
        }
        seen += 1;
        newest = newest.max(timestamp);
        Ok(())
    };
    if header.codec() == Some(Codec::None) {
        for record in Records::new(header, &batch[HEADER..]) {
            let record = record.ok_or(UNSOUND)?;
            take(record.offset, record.timestamp, record.key.is_some())?;
        }
    } else {
        for record in Sketches::new(header, batch).map_err(|_| UNSOUND)? {
            let record = record.map_err(|_| UNSOUND)?;
            take(record.offset, record.timestamp, record.has_key)?;
        }
    }
    if seen != i64::from(header.records) {
        return Err(Fault::Invalid("fewer or more records than the batch says"));
    }
    Ok(newest)
}

const UNSOUND: Fault = Fault::Invalid("a record is cut short or cannot be unpacked");

#[cfg(test)]
mod tests {
    use super::super::{SUM_FROM, sample};
    use super::*;

    fn resum(batch: &mut [u8]) {
        let sum = crc32c::crc32c(&batch[SUM_FROM..]);
        batch[17..21].copy_from_slice(&sum.to_be_bytes());
    }

    #[test]
    fn a_sound_batch_passes_and_each_fault_is_named() {
        let header = check(&sample(), 1 << 20, false).unwrap();
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
            assert_eq!(check(&batch, 1 << 20, false), Err(fault), "case {i}");
        }
        assert_eq!(check(&sample(), 10, false), Err(Fault::TooLarge));
    }
}
