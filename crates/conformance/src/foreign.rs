//! Bytes that no decent client sends, and requests that only one of the logs has.

use anyhow::{bail, ensure};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    GroupId, ResponseHeader,
};
use kafka_protocol::protocol::Decodable;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, FutureRecord, Producer};

use crate::Log;
use crate::differences::{NEW_GROUPS, NEW_REQUESTS, TRANSACTIONS};
use crate::kit::{WAIT, blocking, name, send};
use crate::raw::{Connection, said, string, topic_name};

fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let head = [
        key.to_be_bytes(),
        version.to_be_bytes(),
        [0, 0],
        [0, 7],
        [0xff, 0xff],
    ]
    .concat();
    let length = (head.len() + body.len()) as u32;
    [&length.to_be_bytes()[..], &head, body].concat()
}

pub(crate) async fn foreign_bytes_close_their_own_connection_and_no_other(
    log: Log,
) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let producer = log.producer()?;
    let address = log.addresses().next().unwrap_or_default().to_owned();
    let cases = [
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("TLS", vec![0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]),
        ("a length below zero", vec![0xff; 12]),
        ("an unknown request", request(999, 0, &[])),
        ("an unknown version", request(3, 99, &[])),
        (
            "an array of two billion",
            request(3, 1, &[0x7f, 0xff, 0xff, 0xff, 0, 1, b'x']),
        ),
        ("a body cut short", request(2, 4, &[0, 0])),
    ];
    for (i, (what, bytes)) in (0..).zip(cases) {
        let mut connection = Connection::open(&address).await?;
        connection.write(&bytes).await?;
        let answer = connection.frame().await?;
        ensure!(answer.is_none(), "{what} was answered");
        let offset = send(&producer, FutureRecord::to(&topic).payload(what)).await?;
        ensure!(offset == i, "{what}: offset {offset}");
    }
    Ok(())
}

/// KIP-511: a client may ask in a form that is too new, and is told which there are.
pub(crate) async fn a_question_for_versions_that_is_too_new_is_answered_in_the_oldest_form(
    log: Log,
) -> anyhow::Result<()> {
    let mut node = log.node().await?;
    node.write(&request(ApiKey::ApiVersions as i16, 99, &[0]))
        .await?;
    let Some(answer) = node.frame().await? else {
        bail!("the connection was closed")
    };
    ensure!(
        answer[..4] == [0, 0, 0, 7],
        "correlation id {:?}",
        &answer[..4]
    );
    ensure!(
        answer[4..6] == 35i16.to_be_bytes(),
        "error {:?}",
        &answer[4..6]
    );
    Ok(())
}

pub(crate) async fn transactions_are_taken_or_refused_for_good(log: Log) -> anyhow::Result<()> {
    let producer: BaseProducer = log
        .client()
        .set("transactional.id", name("transaction"))
        .create()?;
    let begun = blocking(move || {
        Ok(match producer.init_transactions(WAIT) {
            Ok(()) => "None".to_owned(),
            Err(KafkaError::Transaction(error)) => {
                ensure!(error.is_fatal(), "{error} is not final");
                format!("{:?}", error.code())
            }
            Err(other) => bail!(other),
        })
    });
    log.differs(TRANSACTIONS, begun.await?)
}

pub(crate) async fn requests_that_a_log_does_not_have_are_not_listed(
    log: Log,
) -> anyhow::Result<()> {
    let ask = ApiVersionsRequest::default()
        .with_client_software_name(string("conformance"))
        .with_client_software_version(string("1"));
    let versions = log.node().await?.ask(3, &ask).await?;
    let listed = |key: ApiKey| {
        versions
            .api_keys
            .iter()
            .any(|api| api.api_key == key as i16)
    };
    for key in [
        ApiKey::AddPartitionsToTxn,
        ApiKey::EndTxn,
        ApiKey::ConsumerGroupHeartbeat,
        ApiKey::ShareGroupHeartbeat,
    ] {
        log.differs(
            NEW_REQUESTS,
            if listed(key) { "listed" } else { "not listed" },
        )?;
    }
    // What every client begins with is there on each.
    for key in [
        ApiKey::Produce,
        ApiKey::Fetch,
        ApiKey::JoinGroup,
        ApiKey::Metadata,
    ] {
        ensure!(listed(key), "{key:?}");
    }
    Ok(())
}

/// KIP-848. A request that is not listed closes its connection.
pub(crate) async fn the_newer_group_protocol_is_taken_or_refused(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let group = name("group");
    let ask = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(string(&group)))
        .with_instance_id(None)
        .with_rack_id(None)
        .with_rebalance_timeout_ms(20_000)
        .with_subscribed_topic_names(Some(vec![topic_name(&topic)]))
        .with_server_assignor(None)
        .with_topic_partitions(Some(Vec::new()));
    let mut coordinator = log.coordinator(&group).await?;
    coordinator.send(0, &ask).await?;
    let found = match coordinator.frame().await? {
        None => "refused",
        Some(mut frame) => {
            ResponseHeader::decode(&mut frame, 1)?;
            let answer = ConsumerGroupHeartbeatResponse::decode(&mut frame, 0)?;
            let error = said(answer.error_code);
            ensure!(error == "None" && answer.member_epoch > 0, "{answer:?}");
            "taken"
        }
    };
    log.differs(NEW_GROUPS, found)
}
