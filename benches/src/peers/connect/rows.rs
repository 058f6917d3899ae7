//! What the sink reads: for each event, the row of `ad` after it, on the partition and at
//! the offset of the event itself.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    ads::ADS,
    house::partitions_of,
    project::{Events, Nth},
};
use compline_event::Topic;

pub(super) const TOPIC: &str = "ad-rows";
const WAIT: Duration = Duration::from_secs(60);

pub(super) async fn append(bootstrap: &str, events: &Events) -> Result<()> {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5");
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let partitions = i32::try_from(partitions_of(Topic::Ad))?;
    let new = NewTopic::new(TOPIC, partitions, TopicReplication::Fixed(-1));
    for made in admin.create_topics([&new], &AdminOptions::new()).await? {
        made.map_err(|(_, code)| code)?;
    }
    let producer: ThreadedProducer<DefaultProducerContext> = client.create()?;
    for (number, partition, offset) in events.places() {
        let row = serde_json::to_vec(&row(number, partition, offset)?)?;
        let mut record = BaseRecord::<(), [u8]>::to(TOPIC)
            .partition(partition)
            .payload(&row);
        while let Err((error, again)) = producer.send(record) {
            match error {
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => record = again,
                error => return Err(error.into()),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    producer.flush(WAIT).context("the rows")
}

fn row(number: usize, partition: i32, offset: i64) -> Result<Value> {
    let nth = Nth::new(number);
    let at = |time: OffsetDateTime| time.format(&Rfc3339);
    Ok(json!({
        "tenant_id": nth.tenant.as_uuid(),
        "ad_id": nth.ad.ad_id,
        "ad_account_id": nth.ad.account,
        "level": "AD",
        "status": nth.new_status,
        "old_status": nth.old_status,
        "reason": nth.reason,
        "placements": format!("{{{}}}", nth.placements.join(",")),
        "status_changed_at": at(nth.changed_at)?,
        "fetch_needed": false,
        "open_issues": 0,
        // Each ad has its turn.
        "version": number / ADS + 1,
        "updated_at": at(nth.recorded_at)?,
        "log_partition": partition,
        "log_offset": offset,
    }))
}

/// The rows' schema, as Connect's JSON converter takes it.
pub(super) fn schema() -> Value {
    let fields: Vec<Value> = [
        ("tenant_id", "string"),
        ("ad_id", "string"),
        ("ad_account_id", "string"),
        ("level", "string"),
        ("status", "string"),
        ("old_status", "string"),
        ("reason", "string"),
        ("placements", "string"),
        ("status_changed_at", "string"),
        ("fetch_needed", "boolean"),
        ("open_issues", "int32"),
        ("version", "int64"),
        ("updated_at", "string"),
        ("log_partition", "int32"),
        ("log_offset", "int64"),
    ]
    .into_iter()
    .map(|(field, kind)| json!({"field": field, "type": kind, "optional": false}))
    .collect();
    json!({"type": "struct", "name": "ad", "optional": false, "fields": fields})
}
