//! One vendor's deliveries: read, check, append, answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use compline_event::webhook_events::WebhookReceived;
use compline_event::{Envelope, Event, EventId};
use compline_eventlog::{AppendError, Appender, append_span};
use compline_runtime::telemetry::trace_context;
use time::OffsetDateTime;
use tracing::Instrument;
use uuid::{NoContext, Timestamp, Uuid};

use crate::body::{Held, Memory};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::header;
use crate::meter::Meters;
use crate::refusal::Refusal;
use crate::signature::{Keys, Refused};
use crate::throttle::Throttle;
use crate::vendor::Vendor;

#[derive(Debug, Clone)]
pub(crate) struct Door(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    vendor: Vendor,
    keys: Keys,
    memory: Memory,
    clock: Clock,
    appender: Appender,
    failure: Failure,
    meters: Meters,
    unsigned: Throttle,
}

/// What all doors have in common.
#[derive(Debug, Clone)]
pub(crate) struct Hall {
    pub(crate) memory: Memory,
    pub(crate) clock: Clock,
    pub(crate) appender: Appender,
    pub(crate) failure: Failure,
}

impl Door {
    pub(crate) fn new(vendor: Vendor, keys: Keys, hall: &Hall) -> Self {
        Self(Arc::new(Inner {
            vendor,
            keys,
            memory: hall.memory.clone(),
            clock: hall.clock.clone(),
            appender: hall.appender.clone(),
            failure: hall.failure.clone(),
            meters: Meters::new(vendor.label()),
            unsigned: Throttle::default(),
        }))
    }

    /// The handler of the vendor's route.
    pub(crate) async fn receive(State(Door(door)): State<Door>, request: Request) -> Response {
        let in_flight = door.meters.enter();
        let delivered = door.deliver(request).await;
        drop(in_flight);
        match delivered {
            Ok(()) => {
                door.meters.appended.increment(1);
                StatusCode::OK.into_response()
            }
            Err(refusal) => {
                door.tell(&refusal);
                refusal.into_response()
            }
        }
    }
}

impl Inner {
    async fn deliver(&self, request: Request) -> Result<(), Refusal> {
        let (head, body) = request.into_parts();
        if !head.headers.contains_key(self.vendor.signature_header()) {
            // Known before the body; nobody's bytes are read for nothing.
            return Err(Refused::Missing.into());
        }
        let body = self.memory.read(body).await?;
        let now = self.clock.now();
        self.vendor
            .verify(&self.keys, &head.headers, &body.bytes, now)?;
        self.append(&head, body, now).await
    }

    /// Returns once the log has the delivery on disk. The body keeps its place in memory until
    /// then: what waits for the log is bounded too.
    async fn append(&self, head: &Parts, body: Held, now: OffsetDateTime) -> Result<(), Refusal> {
        let started = Instant::now();
        let placed = self.vendor.place(&body.bytes);
        let topic = self.vendor.topic();
        let span = trace_context::step(|| append_span(topic));
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>();
        let envelope = Envelope {
            event_id: EventId::new(new_id(now)),
            tenant: None,
            occurred_at: placed.occurred_at.unwrap_or(now),
            recorded_at: now,
            source: self.vendor.source(),
            actor: String::new(),
            causation_id: None,
            correlation_id: None,
            stamp: None,
            traceparent: trace_context::traceparent(&span)
                .or_else(trace_context::current_traceparent)
                .unwrap_or_default(),
            event: Event::WebhookReceived(WebhookReceived {
                body: body.bytes.clone(),
                headers: header::kept(&head.headers),
                remote_address: peer.map_or_else(String::new, |ConnectInfo(peer)| peer.to_string()),
            }),
        };
        let at = self
            .appender
            .append(topic, None, placed.key, &envelope)
            .instrument(span.clone())
            .await?;
        span.record("messaging.destination.partition.id", at.partition.0);
        span.record("messaging.kafka.offset", at.offset.0);
        self.meters.append_seconds.record(started.elapsed());
        self.meters.body_bytes.increment(body.bytes.len() as u64);
        Ok(())
    }

    /// Counts and logs, once. Before the signature held, anyone can cause a line, so those are
    /// rationed; behind it every single one matters.
    fn tell(&self, refusal: &Refusal) {
        let source = self.vendor.label();
        self.meters.refused(refusal.outcome());
        match refusal {
            Refusal::Unsigned(reason) => {
                let Some(held_back) = self.unsigned.pass(self.clock.now()) else {
                    return;
                };
                tracing::warn!(
                    source,
                    %reason,
                    held_back,
                    "a delivery was refused, told at most once a minute"
                );
            }
            Refusal::Unread(_) => {
                tracing::debug!(source, reason = %refusal, "a delivery's body was not read");
            }
            Refusal::Log(error @ AppendError::Fatal { .. }) => {
                tracing::error!(source, %error, "a signed delivery could not be appended");
                self.failure.happen(error.to_string());
            }
            Refusal::Log(error) => {
                tracing::warn!(source, %error, "a signed delivery could not be appended");
            }
        }
    }
}

/// A new fact's id, from the same clock as its time.
fn new_id(now: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.nanosecond()))
}
