//! Kafka's requests one by one, where a client would say something wiser.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    FindCoordinatorRequest, InitProducerIdRequest, MetadataRequest, MetadataResponse,
    ProduceRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{
    Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::Log;
use crate::kit::WAIT;

/// A connection to one node.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    asked: i32,
    answered: i32,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> anyhow::Result<Connection> {
        let stream = timeout(WAIT, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            asked: 0,
            answered: 0,
        })
    }

    pub(crate) async fn ask<R: Request>(
        &mut self,
        version: i16,
        ask: &R,
    ) -> anyhow::Result<R::Response> {
        self.send(version, ask).await?;
        self.receive::<R>(version).await
    }

    pub(crate) async fn send<R: Request>(&mut self, version: i16, ask: &R) -> anyhow::Result<()> {
        let mut body = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.asked)
            .with_client_id(Some(StrBytes::from_static_str("conformance")));
        header.encode(&mut body, R::header_version(version))?;
        ask.encode(&mut body, version)?;
        self.asked += 1;
        let length = u32::try_from(body.len())?;
        self.write(&[&length.to_be_bytes()[..], &body].concat())
            .await
    }

    /// The answer to the oldest request that has none yet.
    pub(crate) async fn receive<R: Request>(
        &mut self,
        version: i16,
    ) -> anyhow::Result<R::Response> {
        let frame = self.frame().await?;
        let mut frame = frame.context("the connection was closed in place of an answer")?;
        let header = ResponseHeader::decode(
            &mut frame,
            <R::Response as HeaderVersion>::header_version(version),
        )?;
        ensure!(
            header.correlation_id == self.answered,
            "an answer to request {} in place of {}",
            header.correlation_id,
            self.answered
        );
        self.answered += 1;
        R::Response::decode(&mut frame, version)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(timeout(WAIT, self.stream.write_all(bytes)).await??)
    }

    /// The next answer behind its length; `None` when the other side closed.
    pub(crate) async fn frame(&mut self) -> anyhow::Result<Option<Bytes>> {
        let reading = async {
            let length = match self.stream.read_u32().await {
                Ok(length) => length,
                Err(_) => return Ok(None),
            };
            let mut bytes = vec![0; length as usize];
            self.stream.read_exact(&mut bytes).await?;
            Ok(Some(Bytes::from(bytes)))
        };
        timeout(WAIT, reading)
            .await
            .context("neither an answer nor an end of the connection")?
    }
}

impl Log {
    /// Some node.
    pub(crate) async fn node(&self) -> anyhow::Result<Connection> {
        Connection::open(self.addresses().next().context("an address")?).await
    }

    /// The node that leads a partition.
    pub(crate) async fn leader(&self, topic: &str, partition: i32) -> anyhow::Result<Connection> {
        let known = self.node().await?.metadata(topic).await?;
        let leader = known.topics[0]
            .partitions
            .iter()
            .find(|found| found.partition_index == partition)
            .context("the partition")?
            .leader_id;
        let node = known.brokers.iter().find(|node| node.node_id == leader);
        let node = node.context("the leader")?;
        Connection::open(&format!("{}:{}", &*node.host, node.port)).await
    }

    /// The node that coordinates a group.
    pub(crate) async fn coordinator(&self, group: &str) -> anyhow::Result<Connection> {
        let ask = FindCoordinatorRequest::default().with_key(string(group));
        let until = Instant::now() + WAIT;
        loop {
            let found = self.node().await?.ask(3, &ask).await?;
            if found.error_code == 0 {
                return Connection::open(&format!("{}:{}", &*found.host, found.port)).await;
            }
            // The first group of a cluster waits for its topic of offsets.
            ensure!(Instant::now() < until, "{}", said(found.error_code));
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// A new producer id, at epoch 0.
    pub(crate) async fn producer_id(&self) -> anyhow::Result<i64> {
        let ask = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000);
        let until = Instant::now() + WAIT;
        let given = loop {
            let given = self.node().await?.ask(4, &ask).await?;
            if given.error_code == 0 {
                break given;
            }
            // Of a node that has just begun.
            ensure!(Instant::now() < until, "{}", said(given.error_code));
            sleep(Duration::from_millis(100)).await;
        };
        ensure!(given.producer_epoch == 0, "{}", given.producer_epoch);
        Ok(given.producer_id.0)
    }
}

impl Connection {
    pub(crate) async fn metadata(&mut self, topic: &str) -> anyhow::Result<MetadataResponse> {
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
        let ask = MetadataRequest::default()
            .with_topics(Some(vec![topic]))
            .with_allow_auto_topic_creation(false);
        self.ask(9, &ask).await
    }

    /// Appends to partition 0; gives what was said of it and the first offset.
    pub(crate) async fn produce(
        &mut self,
        topic: &str,
        records: Bytes,
    ) -> anyhow::Result<(String, i64)> {
        let until = Instant::now() + WAIT;
        loop {
            let (error, offset) = self.produce_to(topic, 0, -1, records.clone()).await?;
            // A node may lead a moment before it knows.
            if error != "NotLeaderOrFollower" {
                return Ok((error, offset));
            }
            ensure!(Instant::now() < until, "{error}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn produce_to(
        &mut self,
        topic: &str,
        partition: i32,
        acks: i16,
        records: Bytes,
    ) -> anyhow::Result<(String, i64)> {
        let ask = produce(topic, partition, acks, records);
        let answer = self.ask(PRODUCE, &ask).await?;
        let Some(answer) = answer
            .responses
            .first()
            .and_then(|topic| topic.partition_responses.first())
        else {
            bail!("no answer for the partition")
        };
        Ok((said(answer.error_code), answer.base_offset))
    }
}

/// The newest version of Produce that names topics by their names.
pub(crate) const PRODUCE: i16 = 9;

pub(crate) fn produce(topic: &str, partition: i32, acks: i16, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(acks)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic])
}

/// Whose batch it is, and where in their numbering; -1 is nobody's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbered {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
}

pub(crate) const NOBODY: Numbered = Numbered {
    id: -1,
    epoch: -1,
    sequence: -1,
};

/// One batch, not compressed. It is from now: what a producer of old records did is forgotten.
pub(crate) fn batch(numbered: Numbered, values: &[&str]) -> anyhow::Result<Bytes> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now_ms = i64::try_from(now.as_millis())?;
    let records: Vec<_> = (0i32..)
        .zip(values)
        .map(|(i, value)| Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: numbered.id,
            producer_epoch: numbered.epoch,
            timestamp_type: TimestampType::Creation,
            offset: i64::from(i),
            sequence: numbered.sequence.wrapping_add(i),
            timestamp: now_ms,
            key: Some(Bytes::from_static(b"k")),
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            headers: Default::default(),
        })
        .collect();
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, &records, &options)?;
    Ok(bytes.freeze())
}

pub(crate) fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(string(name))
}

/// An error's name; "None" where there is none.
pub(crate) fn said(code: i16) -> String {
    match (code, ResponseError::try_from_code(code)) {
        (0, _) => "None".to_owned(),
        (_, Some(error)) => format!("{error:?}"),
        (code, None) => format!("error {code}"),
    }
}
