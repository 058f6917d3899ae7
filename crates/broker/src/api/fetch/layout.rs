//! How an answer lies in memory: what the protocol says is encoded around gaps, into which the
//! records are read, so that no byte of them is moved twice.
//!
//! The answer, a topic of it and a partition of it have one form: each ends with the number of
//! what it holds, and with that. So each is encoded as if it held nothing, and its end put right.

use std::mem;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::protocol::Encodable;

use crate::api::Unsayable;

/// From this version on lengths are varints, and everything ends with tagged fields.
const FLEXIBLE: i16 = 12;
/// About what is said around the records of one partition.
const AROUND: usize = 64;

/// Puts `answer` behind what there is, and gives a gap for the records of each of its partitions,
/// which have these sizes.
pub(super) fn encode(
    into: &mut BytesMut,
    mut answer: FetchResponse,
    sizes: &[usize],
    version: i16,
) -> Result<Vec<Range<usize>>, Unsayable> {
    into.reserve(sizes.iter().map(|size| size + AROUND).sum());
    let mut layout = Layout { into, version };
    let mut gaps = Vec::with_capacity(sizes.len());
    let mut sizes = sizes.iter();
    let topics = mem::take(&mut answer.responses);
    layout.begin(&answer, topics.len())?;
    for mut topic in topics {
        let partitions = mem::take(&mut topic.partitions);
        layout.begin(&topic, partitions.len())?;
        for (mut partition, size) in partitions.into_iter().zip(&mut sizes) {
            partition.records = Some(Bytes::new());
            layout.begin(&partition, *size)?;
            gaps.push(layout.gap(*size));
            layout.end();
        }
        layout.end();
    }
    layout.end();
    Ok(gaps)
}

struct Layout<'a> {
    into: &'a mut BytesMut,
    version: i16,
}

impl Layout<'_> {
    /// What holds `count` things, which are to follow, and was given without them.
    fn begin(&mut self, holder: &impl Encodable, count: usize) -> Result<(), Unsayable> {
        holder.encode(self.into, self.version)?;
        if self.version < FLEXIBLE {
            self.into.truncate(self.into.len() - 4);
            self.into.put_i32(count as i32);
            return Ok(());
        }
        // A number that takes one byte, and no tagged fields.
        self.into.truncate(self.into.len() - 2);
        let mut rest = count as u32 + 1;
        while rest >= 0x80 {
            self.into.put_u8(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.into.put_u8(rest as u8);
        Ok(())
    }

    fn gap(&mut self, size: usize) -> Range<usize> {
        let from = self.into.len();
        self.into.put_bytes(0, size);
        from..from + size
    }

    fn end(&mut self) {
        if self.version >= FLEXIBLE {
            self.into.put_u8(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    /// Topics by the sizes of their partitions' records.
    fn answer(topics: &[Vec<usize>]) -> FetchResponse {
        let topics = topics.iter().enumerate().map(|(number, sizes)| {
            let name = StrBytes::from_string("t".repeat(number * 100));
            let partitions = sizes.iter().map(|size| {
                PartitionData::default()
                    .with_partition_index(7)
                    .with_aborted_transactions(None)
                    .with_records(Some(vec![*size as u8; *size].into()))
            });
            FetchableTopicResponse::default()
                .with_topic(TopicName(name))
                .with_partitions(partitions.collect())
        });
        FetchResponse::default().with_responses(topics.collect())
    }

    #[test]
    fn an_answer_with_its_gaps_filled_is_the_whole_answer() {
        for topics in [
            vec![],
            vec![vec![]],
            vec![vec![0], vec![], vec![1, 16_383, 127, 0, 126, 1 << 21]],
            vec![vec![16_382, 3], vec![5; 200], vec![0]],
        ] {
            for version in 4..=12 {
                let answer = answer(&topics);
                let mut whole = BytesMut::from(&b"begun"[..]);
                answer.encode(&mut whole, version).unwrap();
                let sizes = topics.concat();
                let mut bytes = BytesMut::from(&b"begun"[..]);
                let gaps = encode(&mut bytes, answer, &sizes, version).unwrap();
                for (gap, size) in gaps.into_iter().zip(sizes) {
                    bytes[gap].fill(size as u8);
                }
                assert!(bytes == whole, "{topics:?} in version {version}");
            }
        }
    }
}
