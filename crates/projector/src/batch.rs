//! A batch before the database sees it: sifted, by headers alone, into what is
//! applied, what joins a parked key, and what is dropped. Pure.

use std::collections::{HashMap, HashSet};

use compline_event::{Offset, Stamp};
use compline_eventlog::Record;
use compline_readmodel::{
    Marks, Taken,
    park::{NewlyParked, ParkedRecord},
};

/// An error with its causes, for an operator to read long after.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// What trying has found out about the batch: offsets that no retry can apply,
/// and why.
pub(crate) type Poison = HashMap<Offset, String>;

/// A batch, sorted by what is to be done with each record.
#[derive(Debug, Default)]
pub(crate) struct Sifted {
    /// Indices of the records to apply, in log order.
    pub(crate) apply: Vec<usize>,
    pub(crate) newly_parked: Vec<NewlyParked>,
    pub(crate) joined: Vec<ParkedRecord>,
    pub(crate) dropped: usize,
}

/// A producer's numbers have a hole: something was lost before us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) offset: Offset,
    pub(crate) producer: String,
    pub(crate) expected: u64,
    pub(crate) found: u64,
}

/// Goes through the batch in log order. `parked` are the keys that were parked
/// before it; `marks` moves for every output taken, applied or parked.
pub(crate) fn sift(
    records: &[Record],
    marks: &mut Marks,
    mut parked: HashSet<Vec<u8>>,
    poison: &Poison,
) -> Result<Sifted, Hole> {
    let mut sifted = Sifted::default();
    for (index, record) in records.iter().enumerate() {
        if let Some(Stamp { producer, number }) = record.stamp() {
            match marks.take(&producer, number) {
                Taken::Take => {}
                Taken::Drop => {
                    sifted.dropped += 1;
                    continue;
                }
                Taken::Hole { expected } => {
                    return Err(Hole {
                        offset: record.at.offset,
                        producer,
                        expected,
                        found: number,
                    });
                }
            }
        }
        if parked.contains(&record.key[..]) {
            sifted.joined.push(pointer(record));
        } else if let Some(reason) = poison.get(&record.at.offset) {
            parked.insert(record.key.to_vec());
            sifted.newly_parked.push(NewlyParked {
                record: pointer(record),
                tenant: record.tenant(),
                reason: reason.clone(),
            });
        } else {
            sifted.apply.push(index);
        }
    }
    Ok(sifted)
}

fn pointer(record: &Record) -> ParkedRecord {
    ParkedRecord {
        key: record.key.to_vec(),
        offset: record.at.offset,
        event_id: record.event_id(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use compline_event::{Partition, RecordId, Topic};
    use compline_eventlog::Headers;

    use super::*;

    fn record(offset: i64, key: &'static str, number: u64) -> Record {
        Record {
            at: RecordId {
                topic: Topic::Ad,
                partition: Partition(0),
                offset: Offset(offset),
            },
            key: Bytes::from_static(key.as_bytes()),
            timestamp_ms: 0,
            headers: Headers::from_iter([
                ("producer", &b"ad"[..]),
                ("number", number.to_string().as_bytes()),
            ]),
            value: Bytes::new(),
        }
    }

    fn poison(offset: i64) -> Poison {
        Poison::from([(Offset(offset), "nonsense".to_owned())])
    }

    #[test]
    fn a_poison_event_stops_its_key_and_no_other() {
        let records = [
            record(0, "a", 1),
            record(1, "b", 2),
            record(2, "a", 3),
            record(3, "b", 4),
        ];
        let mut marks = Marks::default();
        let sifted = sift(&records, &mut marks, HashSet::new(), &poison(1)).unwrap();
        assert_eq!(sifted.apply, [0, 2]);
        assert_eq!(sifted.newly_parked.len(), 1);
        assert_eq!(sifted.newly_parked[0].record.offset, Offset(1));
        assert_eq!(sifted.newly_parked[0].reason, "nonsense");
        assert_eq!(sifted.joined.len(), 1, "the later event of b");
        assert_eq!(marks.of("ad"), Some(4), "parked is taken too");
    }

    #[test]
    fn a_parked_key_stays_parked_in_later_batches() {
        let parked = HashSet::from([b"a".to_vec()]);
        let records = [record(4, "a", 5), record(5, "b", 6)];
        let sifted = sift(&records, &mut Marks::default(), parked, &Poison::new()).unwrap();
        assert_eq!(sifted.apply, [1]);
        assert_eq!(sifted.joined[0].offset, Offset(4));
        assert!(sifted.newly_parked.is_empty());
    }

    #[test]
    fn repeats_are_dropped_and_holes_stop() {
        let records = [record(0, "a", 5), record(1, "a", 5), record(2, "a", 7)];
        let sift = |records| {
            sift(
                records,
                &mut Marks::default(),
                HashSet::new(),
                &Poison::new(),
            )
        };
        let hole = sift(&records).unwrap_err();
        assert_eq!((hole.expected, hole.found), (6, 7));
        assert_eq!(hole.offset, Offset(2));
        let sifted = sift(&records[..2]).unwrap();
        assert_eq!((sifted.apply.len(), sifted.dropped), (1, 1));
    }
}
