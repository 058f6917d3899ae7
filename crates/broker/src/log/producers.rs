//! What a partition remembers of idempotent producers, and its verdict over their batches.
//!
//! | producer known | epoch | sequence | verdict |
//! |---|---|---|---|
//! | no | any | any | append (its state may have expired; UNKNOWN_PRODUCER_ID is not given any more) |
//! | yes | older | any | fenced |
//! | yes | newer | 0 | append |
//! | yes | newer | other | out of order |
//! | yes | same | of one of the last five batches | duplicate |
//! | yes | same | follows the last one | append |
//! | yes | same | other | out of order |
//!
//! This is Kafka's table: `ProducerAppendInfo.checkProducerEpoch` and `checkSequence`.

use std::collections::{HashMap, VecDeque};

use crate::batch::Header;

/// librdkafka and Kafka's own client keep at most five requests under way.
const REMEMBERED: usize = 5;
const MAGIC: u32 = 0x6c70_7273;

/// All producers of one partition.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Producers(HashMap<i64, Producer>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    /// Oldest first, never empty.
    batches: VecDeque<Sent>,
    /// When it was last heard of, by the broker's clock.
    seen_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    first: i32,
    last: i32,
    offset: i64,
    next_offset: i64,
}

/// A producer, for those who look at a partition from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownProducer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) last_sequence: i32,
    pub(crate) last_offset: i64,
    pub(crate) seen_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// It is there already.
    Duplicate {
        offset: i64,
        next_offset: i64,
    },
    OutOfOrder,
    Fenced,
}

impl Producers {
    pub(crate) fn judge(&self, header: &Header) -> Verdict {
        if header.producer_id < 0 {
            return Verdict::Append;
        }
        let Some(known) = self.0.get(&header.producer_id) else {
            return Verdict::Append;
        };
        if header.producer_epoch < known.epoch {
            return Verdict::Fenced;
        }
        if header.producer_epoch > known.epoch {
            return if header.base_sequence == 0 {
                Verdict::Append
            } else {
                Verdict::OutOfOrder
            };
        }
        let (first, last) = (header.base_sequence, header.last_sequence());
        if let Some(sent) = known
            .batches
            .iter()
            .find(|sent| (sent.first, sent.last) == (first, last))
        {
            return Verdict::Duplicate {
                offset: sent.offset,
                next_offset: sent.next_offset,
            };
        }
        match known.batches.back() {
            Some(newest) if first != follow(newest.last) => Verdict::OutOfOrder,
            _ => Verdict::Append,
        }
    }

    /// Takes note of a batch that is in the log now.
    pub(crate) fn note(&mut self, header: &Header, now_ms: i64) {
        if header.producer_id < 0 {
            return;
        }
        let producer = self
            .0
            .entry(header.producer_id)
            .or_insert_with(|| Producer {
                epoch: header.producer_epoch,
                batches: VecDeque::with_capacity(REMEMBERED),
                seen_ms: now_ms,
            });
        if header.producer_epoch > producer.epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == REMEMBERED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Sent {
            first: header.base_sequence,
            last: header.last_sequence(),
            offset: header.base_offset,
            next_offset: header.next_offset(),
        });
        producer.seen_ms = now_ms;
    }

    /// Forgets who was not heard of since `before_ms`.
    pub(crate) fn expire(&mut self, before_ms: i64) {
        self.0.retain(|_, producer| producer.seen_ms >= before_ms);
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = KnownProducer> {
        self.0.iter().map(|(&id, producer)| KnownProducer {
            id,
            epoch: producer.epoch,
            last_sequence: producer.batches.back().map_or(-1, |sent| sent.last),
            last_offset: producer
                .batches
                .back()
                .map_or(-1, |sent| sent.next_offset - 1),
            seen_ms: producer.seen_ms,
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC.to_be_bytes());
        bytes.extend((self.0.len() as u32).to_be_bytes());
        for (id, producer) in &self.0 {
            bytes.extend(id.to_be_bytes());
            bytes.extend(producer.epoch.to_be_bytes());
            bytes.extend(producer.seen_ms.to_be_bytes());
            bytes.push(producer.batches.len() as u8);
            for sent in &producer.batches {
                bytes.extend(sent.first.to_be_bytes());
                bytes.extend(sent.last.to_be_bytes());
                bytes.extend(sent.offset.to_be_bytes());
                bytes.extend(sent.next_offset.to_be_bytes());
            }
        }
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    /// `None` when the bytes are not a whole snapshot.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Producers> {
        let (mut rest, sum) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(rest) != u32::from_be_bytes(*sum)
            || take(&mut rest)? != MAGIC.to_be_bytes()
        {
            return None;
        }
        let count = u32::from_be_bytes(take(&mut rest)?);
        let mut producers = HashMap::new();
        for _ in 0..count {
            let id = i64::from_be_bytes(take(&mut rest)?);
            let epoch = i16::from_be_bytes(take(&mut rest)?);
            let seen_ms = i64::from_be_bytes(take(&mut rest)?);
            let [batches] = take(&mut rest)?;
            let batches = (0..batches)
                .map(|_| decode_sent(&mut rest))
                .collect::<Option<_>>()?;
            producers.insert(
                id,
                Producer {
                    epoch,
                    batches,
                    seen_ms,
                },
            );
        }
        rest.is_empty().then_some(Producers(producers))
    }
}

fn decode_sent(rest: &mut &[u8]) -> Option<Sent> {
    Some(Sent {
        first: i32::from_be_bytes(take(rest)?),
        last: i32::from_be_bytes(take(rest)?),
        offset: i64::from_be_bytes(take(rest)?),
        next_offset: i64::from_be_bytes(take(rest)?),
    })
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*taken)
}

fn follow(sequence: i32) -> i32 {
    if sequence == i32::MAX {
        0
    } else {
        sequence + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{NewRecord, build};

    fn sent(id: i64, epoch: i16, sequence: i32, records: usize, offset: i64) -> Header {
        let list: Vec<_> = (0..records)
            .map(|_| NewRecord {
                key: b"k",
                value: None,
            })
            .collect();
        let mut header = Header::parse(&build(&list, 0)).unwrap();
        header.producer_id = id;
        header.producer_epoch = epoch;
        header.base_sequence = sequence;
        header.base_offset = offset;
        header
    }

    #[test]
    fn each_row_of_the_table() {
        let mut producers = Producers::default();
        assert_eq!(producers.judge(&sent(7, 3, 40, 1, 0)), Verdict::Append);
        for i in 0..6 {
            let header = sent(7, 3, i * 2, 2, i64::from(i) * 2);
            assert_eq!(producers.judge(&header), Verdict::Append);
            producers.note(&header, 1);
        }
        assert_eq!(producers.judge(&sent(7, 2, 12, 1, 0)), Verdict::Fenced);
        assert_eq!(producers.judge(&sent(7, 4, 0, 1, 0)), Verdict::Append);
        assert_eq!(producers.judge(&sent(7, 4, 12, 1, 0)), Verdict::OutOfOrder);
        assert_eq!(
            producers.judge(&sent(7, 3, 10, 2, 0)),
            Verdict::Duplicate {
                offset: 10,
                next_offset: 12
            }
        );
        assert_eq!(
            producers.judge(&sent(7, 3, 2, 2, 0)),
            Verdict::Duplicate {
                offset: 2,
                next_offset: 4
            }
        );
        assert_eq!(
            producers.judge(&sent(7, 3, 0, 2, 0)),
            Verdict::OutOfOrder,
            "the sixth last is forgotten"
        );
        assert_eq!(producers.judge(&sent(7, 3, 12, 1, 0)), Verdict::Append);
        assert_eq!(producers.judge(&sent(7, 3, 13, 1, 0)), Verdict::OutOfOrder);
        assert_eq!(producers.judge(&sent(-1, -1, -1, 1, 0)), Verdict::Append);
        assert_eq!(
            Producers::decode(&producers.encode()),
            Some(producers.clone())
        );
        producers.expire(1);
        assert_eq!(producers.judge(&sent(7, 3, 13, 1, 0)), Verdict::OutOfOrder);
        producers.expire(2);
        assert_eq!(producers, Producers::default());
        assert_eq!(
            producers.judge(&sent(7, 3, 13, 1, 0)),
            Verdict::Append,
            "Kafka takes any sequence of a producer that it does not know"
        );
    }

    #[test]
    fn a_bumped_epoch_forgets_the_batches_of_the_old_one() {
        let mut producers = Producers::default();
        producers.note(&sent(7, 0, 0, 2, 0), 0);
        producers.note(&sent(7, 1, 0, 1, 2), 0);
        assert_eq!(producers.judge(&sent(7, 0, 0, 2, 0)), Verdict::Fenced);
        assert_eq!(producers.judge(&sent(7, 1, 0, 2, 0)), Verdict::OutOfOrder);
        assert_eq!(
            producers.judge(&sent(7, 1, 0, 1, 0)),
            Verdict::Duplicate {
                offset: 2,
                next_offset: 3
            }
        );
        assert_eq!(producers.judge(&sent(7, 1, 1, 1, 3)), Verdict::Append);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let mut producers = Producers::default();
        producers.note(&sent(1, 0, i32::MAX - 1, 3, 0), 0);
        assert_eq!(producers.judge(&sent(1, 0, 1, 1, 3)), Verdict::Append);
        assert_eq!(producers.judge(&sent(1, 0, 0, 1, 3)), Verdict::OutOfOrder);
    }

    #[test]
    fn a_damaged_snapshot_is_not_read() {
        let mut producers = Producers::default();
        producers.note(&sent(1, 0, 0, 3, 0), 0);
        let mut bytes = producers.encode();
        bytes[9] ^= 1;
        assert_eq!(Producers::decode(&bytes), None);
    }
}
