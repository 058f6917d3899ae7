//! What cannot be left out: the HTTP server, the signature, the send.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ::http::{HeaderMap, StatusCode};
use anyhow::{Context as _, Result};
use axum::{Router, body::Bytes, extract::State, routing::post};
use compline_event::{Topic, partition::partition_of};
use compline_ingress::sample;
use compline_runtime::http;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use sha2::Sha256;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    ads::{self, ACCOUNTS},
    house::{OwnLog, partitions_of},
};

struct Limit {
    mac: Hmac<Sha256>,
    producer: FutureProducer,
    topic: String,
    /// In turns: those that the keys of the bodies lead to, uneven as they are. A
    /// partition with five requests in flight makes librdkafka spin.
    partitions: Vec<i32>,
    next: AtomicUsize,
}

pub(super) fn serve(
    own: &OwnLog,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<JoinHandle<Result<()>>> {
    let limit = Limit {
        mac: Hmac::new_from_slice(sample::META_APP_SECRET.as_bytes())
            .expect("HMAC takes a key of any length"),
        // As `eventlog` sets its producers, where it matters for speed or safety.
        producer: ClientConfig::new()
            .set("bootstrap.servers", own.bootstrap())
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("socket.nagle.disable", "true")
            .set("message.timeout.ms", "5000")
            .create()
            .context("the limit's producer")?,
        topic: own.log.topic_name(Topic::WebhookMeta),
        partitions: (0..ACCOUNTS)
            .map(|number| {
                let key = ads::account(number);
                partition_of(key.as_bytes(), partitions_of(Topic::WebhookMeta)).0
            })
            .collect(),
        next: AtomicUsize::new(0),
    };
    let routes = Router::new()
        .route("/webhooks/meta", post(receive))
        .with_state(Arc::new(limit));
    Ok(tokio::spawn(async move {
        let config = http::HttpConfig::default();
        Ok(http::serve("limit", listener, routes, &config, stop).await?)
    }))
}

async fn receive(
    State(limit): State<Arc<Limit>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, StatusCode> {
    limit
        .is_signed(&headers, &body)
        .ok_or(StatusCode::UNAUTHORIZED)?;
    let number = limit.next.fetch_add(1, Ordering::Relaxed);
    let record = FutureRecord::<(), [u8]>::to(&limit.topic)
        .partition(limit.partitions[number % limit.partitions.len()])
        .payload(&body[..]);
    let sent = limit.producer.send_result(record);
    let delivered = sent.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?.await;
    match delivered {
        Ok(Ok(_)) => Ok(StatusCode::OK),
        _ => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

impl Limit {
    fn is_signed(&self, headers: &HeaderMap, body: &[u8]) -> Option<()> {
        let claimed = headers.get("x-hub-signature-256")?.to_str().ok()?;
        let claimed = hex::decode(claimed.strip_prefix("sha256=")?).ok()?;
        let mut mac = self.mac.clone();
        mac.update(body);
        mac.verify_slice(&claimed).ok()
    }
}
