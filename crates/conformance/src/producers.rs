//! Idempotent producers, batch by batch, and batches that are not to be had.

use anyhow::ensure;
use bytes::{Bytes, BytesMut};

use crate::Log;
use crate::kit::name;
use crate::raw::{Connection, NOBODY, Numbered, PRODUCE, batch, produce};

/// What a batch is answered with: an error's name, and the offset.
type Said = (String, i64);

fn fine(offset: i64) -> Said {
    ("None".to_owned(), offset)
}

fn refused(error: &str) -> Said {
    (error.to_owned(), -1)
}

async fn numbered(log: &Log) -> anyhow::Result<(String, Connection, i64)> {
    let topic = log.topic(1, &[]).await?;
    let leader = log.leader(&topic, 0).await?;
    Ok((topic, leader, log.producer_id().await?))
}

pub(crate) async fn a_batch_sent_twice_is_written_once_and_gets_its_offset_again(
    log: Log,
) -> anyhow::Result<()> {
    let (topic, mut leader, id) = numbered(&log).await?;
    // Five batches may be under way, so five are remembered.
    for again in 0..2 {
        for i in 0..5 {
            let sequence = i * 2;
            let records = batch(
                Numbered {
                    id,
                    epoch: 0,
                    sequence,
                },
                &["a", "b"],
            )?;
            let found = leader.produce(&topic, records).await?;
            ensure!(found == fine(i64::from(sequence)), "{again}: {found:?}");
        }
    }
    let records = batch(
        Numbered {
            id,
            epoch: 0,
            sequence: 10,
        },
        &["c"],
    )?;
    ensure!(leader.produce(&topic, records).await? == fine(10));
    let forgotten = batch(
        Numbered {
            id,
            epoch: 0,
            sequence: 0,
        },
        &["a", "b"],
    )?;
    let found = leader.produce(&topic, forgotten).await?;
    ensure!(found == refused("OutOfOrderSequenceNumber"), "{found:?}");
    ensure!(values(&log, &topic, 11).await?.join("") == "ababababab".to_owned() + "c");
    Ok(())
}

pub(crate) async fn a_hole_in_the_sequence_is_refused_and_its_filling_taken(
    log: Log,
) -> anyhow::Result<()> {
    takes(
        &log,
        &[
            (0, 0, fine(0)),
            (0, 2, refused("OutOfOrderSequenceNumber")),
            (0, 1, fine(1)),
            (0, 2, fine(2)),
        ],
    )
    .await
}

pub(crate) async fn an_old_epoch_is_fenced_and_a_new_one_begins_at_zero(
    log: Log,
) -> anyhow::Result<()> {
    takes(
        &log,
        &[
            (0, 0, fine(0)),
            (1, 1, refused("OutOfOrderSequenceNumber")),
            (1, 0, fine(1)),
            (0, 1, refused("InvalidProducerEpoch")),
            (1, 1, fine(2)),
        ],
    )
    .await
}

/// A partition that does not know a producer, because its records expired or it was quiet for a
/// day, takes whatever number comes next; behind the largest number comes 0.
pub(crate) async fn an_unknown_producer_may_begin_anywhere(log: Log) -> anyhow::Result<()> {
    takes(
        &log,
        &[
            (3, i32::MAX, fine(0)),
            (3, 1, refused("OutOfOrderSequenceNumber")),
            (3, 0, fine(1)),
        ],
    )
    .await
}

/// One producer's batches of one record, each of an epoch and a sequence, and what is said to them.
async fn takes(log: &Log, batches: &[(i16, i32, Said)]) -> anyhow::Result<()> {
    let (topic, mut leader, id) = numbered(log).await?;
    for (epoch, sequence, wanted) in batches {
        let numbered = Numbered {
            id,
            epoch: *epoch,
            sequence: *sequence,
        };
        let found = leader.produce(&topic, batch(numbered, &["v"])?).await?;
        ensure!(
            found == *wanted,
            "epoch {epoch}, sequence {sequence}: {found:?}"
        );
    }
    Ok(())
}

/// Connections end after any number of answers; what had none is sent again.
pub(crate) async fn nothing_is_lost_doubled_or_reordered_when_connections_break(
    log: Log,
) -> anyhow::Result<()> {
    const BATCHES: i32 = 60;
    let (topic, mut leader, id) = numbered(&log).await?;
    let mut acknowledged = 0;
    let mut round = 0;
    while acknowledged < BATCHES {
        let until = BATCHES.min(acknowledged + 5);
        for sequence in acknowledged..until {
            let value = sequence.to_string();
            let records = batch(
                Numbered {
                    id,
                    epoch: 0,
                    sequence,
                },
                &[&value],
            )?;
            leader
                .send(PRODUCE, &produce(&topic, 0, -1, records))
                .await?;
        }
        round += 1;
        for _ in 0..(until - acknowledged).min(round % 5) {
            let answer = leader.receive::<kafka_protocol::messages::ProduceRequest>(PRODUCE);
            let answer = answer.await?;
            let part = &answer.responses[0].partition_responses[0];
            ensure!(
                (part.error_code, part.base_offset) == (0, i64::from(acknowledged)),
                "{part:?} for batch {acknowledged}"
            );
            acknowledged += 1;
        }
        leader = log.leader(&topic, 0).await?;
    }
    let wanted: Vec<_> = (0..BATCHES).map(|i| i.to_string()).collect();
    ensure!(values(&log, &topic, BATCHES as usize).await? == wanted);
    Ok(())
}

pub(crate) async fn a_batch_that_is_not_sound_is_refused_and_not_stored(
    log: Log,
) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let mut leader = log.leader(&topic, 0).await?;
    let sound = batch(NOBODY, &["v"])?;
    let flipped = |at: usize| {
        let mut bytes = BytesMut::from(&sound[..]);
        bytes[at] ^= 1;
        bytes.freeze()
    };
    let mut control = BytesMut::from(&sound[..]);
    control[22] |= 0x20;
    let sum = crc32c::crc32c(&control[21..]);
    control[17..21].copy_from_slice(&sum.to_be_bytes());
    let two = Bytes::from([&sound[..], &sound[..]].concat());
    for (what, records, wanted) in [
        (
            "a byte of a record",
            flipped(sound.len() - 2),
            "CorruptMessage",
        ),
        ("a byte of the sum", flipped(17), "CorruptMessage"),
        ("two batches", two, "InvalidRecord"),
        ("a control batch", control.freeze(), "InvalidRecord"),
    ] {
        let found = leader.produce(&topic, records).await?;
        ensure!(found == refused(wanted), "{what}: {found:?}");
    }
    ensure!(leader.produce(&topic, sound).await? == fine(0));
    Ok(())
}

pub(crate) async fn what_cannot_be_appended_to_is_named(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let mut leader = log.leader(&topic, 0).await?;
    let unknown = name("topic");
    for (topic, partition, acks, wanted) in [
        (&unknown, 0, -1, "UnknownTopicOrPartition"),
        (&topic, 1, -1, "UnknownTopicOrPartition"),
        (&topic, -1, -1, "UnknownTopicOrPartition"),
        (&topic, 0, 2, "InvalidRequiredAcks"),
    ] {
        let records = batch(NOBODY, &["v"])?;
        let found = leader.produce_to(topic, partition, acks, records).await?;
        ensure!(
            found == refused(wanted),
            "{topic} {partition} {acks}: {found:?}"
        );
    }
    let known = leader.metadata(&unknown).await?;
    let error = crate::raw::said(known.topics[0].error_code);
    ensure!(error == "UnknownTopicOrPartition", "{error}");
    Ok(())
}

async fn values(log: &Log, topic: &str, count: usize) -> anyhow::Result<Vec<String>> {
    let read = log.read(topic, count).await?;
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    Ok(read
        .iter()
        .map(|message| text(rdkafka::Message::payload(message)))
        .collect())
}
