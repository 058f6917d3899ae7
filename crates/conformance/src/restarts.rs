//! What outlives the log's processes.

use anyhow::ensure;
use rdkafka::producer::FutureRecord;

use crate::Log;
use crate::kit::{name, send};
use crate::members::Member;
use crate::raw::{Numbered, batch};

/// Records, topics, committed offsets, producers' numbering; a client that was sending goes on,
/// and nothing of it is lost or doubled.
pub(crate) async fn what_was_acknowledged_outlives_a_restart(log: Log) -> anyhow::Result<()> {
    let (topic, sent_to) = (log.topic(1, &[]).await?, log.topic(1, &[]).await?);
    let group = name("group");
    let mut member = Member::of(&log, &group, &topic, None).await?;
    ensure!(member.commit(&topic, 41).await? == "None");
    let id = log.producer_id().await?;
    let numbered = |sequence| Numbered {
        id,
        epoch: 0,
        sequence,
    };
    let mut leader = log.leader(&topic, 0).await?;
    for i in 0..3 {
        let said = leader.produce(&topic, batch(numbered(i), &["v"])?).await?;
        ensure!(said == ("None".to_owned(), i64::from(i)), "{said:?}");
    }
    let producer = log.producer()?;
    let (sending, to) = (producer.clone(), sent_to.clone());
    let sending = tokio::spawn(async move {
        for i in 0..200 {
            let value = i.to_string();
            send(&sending, FutureRecord::to(&to).key("k").payload(&value)).await?;
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    });
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    ensure!(!sending.is_finished(), "all was sent before the restart");

    log.restart().await?;
    sending.await??;

    ensure!(
        Member::of(&log, &group, &topic, None)
            .await?
            .committed(&topic)
            .await?
            == 41
    );
    let mut leader = log.leader(&topic, 0).await?;
    for (sequence, wanted) in [(2, 2), (3, 3)] {
        let said = leader
            .produce(&topic, batch(numbered(sequence), &["v"])?)
            .await?;
        ensure!(said == ("None".to_owned(), wanted), "{sequence}: {said:?}");
    }
    ensure!(
        log.producer_id().await? != id,
        "a producer id is given again"
    );
    let read = log.read(&sent_to, 200).await?;
    for (i, message) in (0..).zip(&read) {
        let value: Option<&[u8]> = rdkafka::Message::payload(message);
        ensure!(value == Some(i.to_string().as_bytes()), "{i}: {value:?}");
    }
    ensure!(log.read(&topic, 4).await?.len() == 4);
    Ok(())
}
