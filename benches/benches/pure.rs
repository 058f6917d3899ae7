//! The pure parts, without log and Postgres: what one core can do at most.

use std::hint::black_box;

use bytes::Bytes;
use compline_ad::AdEngine;
use compline_ad_status::{AdStatus, Rows};
use compline_api::filter::{Field, Filter, Kind, Operand};
use compline_engine::{Engine as _, Outputs};
use compline_event::{
    Envelope, Event, EventId, Offset, Partition, RecordId, Recorded, Source, TenantId, Topic,
    account_events::AccountConnected, ad_events::AdStatusChanged, envelope_proto::Precondition,
    timestamp, webhook_events::WebhookReceived,
};
use compline_readmodel::Projection as _;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

const BATCH: usize = 1_000;
const ADS: usize = 500;
const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
const TENANT: TenantId = TenantId::new(Uuid::from_u128(7));
const ACCOUNT: &str = "123456789";

criterion_group!(pure, decide, apply, decode, filter);
criterion_main!(pure);

fn decide(c: &mut Criterion) {
    let webhooks: Vec<Recorded> = (0..BATCH).map(webhook).collect();
    let mut connected = Default::default();
    AdEngine
        .decide(&mut connected, &connection(), &mut Outputs::default())
        .expect("an account can be connected");
    let mut group = c.benchmark_group("ad engine");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("decide", |b| {
        b.iter_batched(
            || connected.clone(),
            |mut state| {
                let mut outputs = Outputs::default();
                for webhook in &webhooks {
                    AdEngine
                        .decide(&mut state, webhook, &mut outputs)
                        .expect("no webhook is an error");
                }
                assert!(outputs.len() >= BATCH, "a webhook changed nothing");
                outputs
            },
            BatchSize::LargeInput,
        );
    });
}

fn apply(c: &mut Criterion) {
    let events: Vec<Recorded> = (0..BATCH).map(changed).collect();
    let mut group = c.benchmark_group("ad-status");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("apply", |b| {
        b.iter_batched(
            Rows::default,
            |mut rows| {
                for event in &events {
                    AdStatus::apply(&mut rows, event).expect("every event applies");
                }
                rows
            },
            BatchSize::LargeInput,
        );
    });
}

fn decode(c: &mut Criterion) {
    let encoded: Vec<Bytes> = (0..BATCH).map(|n| changed(n).envelope.encode()).collect();
    let mut group = c.benchmark_group("envelope");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("decode", |b| {
        b.iter(|| {
            for bytes in &encoded {
                black_box(Envelope::decode(bytes.clone()).expect("it was encoded"));
            }
        });
    });
}

/// As a watcher evaluates it on every changed row.
fn filter(c: &mut Criterion) {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Column {
        Status,
        Reason,
        FetchNeeded,
    }
    const SCHEMA: &[Field<Column>] = &[
        Field {
            name: "status",
            field: Column::Status,
            kind: Kind::Text,
        },
        Field {
            name: "reason",
            field: Column::Reason,
            kind: Kind::Text,
        },
        Field {
            name: "fetch_needed",
            field: Column::FetchNeeded,
            kind: Kind::Bool,
        },
    ];
    let text = r#"(status = "DISAPPROVED" OR fetch_needed = true) AND -reason:"alcohol""#;
    let filter = Filter::parse(text, SCHEMA).expect("it is a filter");
    let rows: Vec<(&str, &str)> = (0..BATCH)
        .map(|number| (status(number), "Ads may not promote unsafe supplements"))
        .collect();
    let mut group = c.benchmark_group("filter");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("matches", |b| {
        b.iter(|| {
            let matching = rows.iter().filter(|(status, reason)| {
                filter.matches(&|column| match column {
                    Column::Status => Operand::Text(status),
                    Column::Reason => Operand::Text(reason),
                    Column::FetchNeeded => Operand::Bool(false),
                })
            });
            assert!((1..BATCH).contains(&black_box(matching.count())));
        });
    });
}

/// Another one than the ad had before.
fn status(number: usize) -> &'static str {
    match number / ADS % 2 {
        0 => "ACTIVE",
        _ => "DISAPPROVED",
    }
}

fn ad_id(number: usize) -> String {
    format!("{}", 23_849_200_000_000 + number % ADS)
}

fn webhook(number: usize) -> Recorded {
    let (ad_id, status) = (ad_id(number), status(number));
    let at = NOW.unix_timestamp() + i64::try_from(number).unwrap_or(0);
    let body = format!(
        r#"{{"object":"ad_account","entry":[{{"id":"{ACCOUNT}","time":{at},"changes":[{{"field":"ad_status","value":{{"ad_id":"{ad_id}","ad_account_id":"{ACCOUNT}","level":"AD","status":"{status}","reason":"Ads may not promote unsafe supplements","placements":["facebook_feed","instagram_stories"]}}}}]}}]}}"#
    );
    let event = Event::WebhookReceived(WebhookReceived {
        body: body.into(),
        ..Default::default()
    });
    recorded(number, Topic::WebhookMeta, None, event)
}

fn connection() -> Recorded {
    let event = Event::AccountConnected(AccountConnected {
        ad_account_id: ACCOUNT.to_owned(),
        display_name: String::new(),
        precondition: Some(Precondition {
            request_id: Bytes::copy_from_slice(Uuid::from_u128(1).as_bytes()),
            expected_version: None,
        }),
    });
    recorded(0, Topic::Account, Some(TENANT), event)
}

fn changed(number: usize) -> Recorded {
    let event = Event::AdStatusChanged(AdStatusChanged {
        ad_account_id: ACCOUNT.to_owned(),
        ad_id: ad_id(number),
        old_status: "PENDING_REVIEW".to_owned(),
        new_status: status(number).to_owned(),
        reason: "Ads may not promote unsafe supplements".to_owned(),
        placements: vec!["facebook_feed".to_owned(), "instagram_stories".to_owned()],
        changed_at: Some(timestamp::to_proto(NOW)),
        ..Default::default()
    });
    recorded(number, Topic::Ad, Some(TENANT), event)
}

fn recorded(number: usize, topic: Topic, tenant: Option<TenantId>, event: Event) -> Recorded {
    let offset = i64::try_from(number).unwrap_or(0);
    Recorded {
        at: RecordId {
            topic,
            partition: Partition(0),
            offset: Offset(offset),
        },
        key: Bytes::from(ad_id(number)),
        envelope: Envelope {
            event_id: EventId::new(Uuid::from_u128(number as u128 + 1)),
            tenant,
            occurred_at: NOW,
            recorded_at: NOW + Duration::milliseconds(offset),
            source: Source::MetaWebhook,
            actor: String::new(),
            causation_id: None,
            correlation_id: None,
            stamp: None,
            traceparent: String::new(),
            event,
        },
    }
}
