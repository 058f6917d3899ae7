//! The envelope, typed. Bytes are parsed here, at the edge of the log, once.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use prost::Message as _;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    catalogue::Event,
    envelope_proto,
    id::{EventId, TenantId},
    position::RecordId,
    timestamp,
};

/// A fact with everything that every fact carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    pub event_id: EventId,
    /// Absent only on raw webhooks.
    pub tenant: Option<TenantId>,
    /// By the source's clock.
    pub occurred_at: OffsetDateTime,
    /// By ours.
    pub recorded_at: OffsetDateTime,
    pub source: Source,
    /// An API key's id, a user's subject, an engine's name; empty when nobody
    /// acted, as for a webhook.
    pub actor: String,
    pub causation_id: Option<EventId>,
    pub correlation_id: Option<EventId>,
    /// On engine outputs.
    pub stamp: Option<Stamp>,
    /// W3C trace context, empty when the cause was not traced.
    pub traceparent: String,
    pub event: Event,
}

/// A fact and where it stands in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub at: RecordId,
    pub key: Bytes,
    pub envelope: Envelope,
}

/// Who told us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    MetaWebhook,
    Stripe,
    User,
    Engine(String),
}

/// An engine's output number: from 1, without holes per engine and partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub producer: String,
    pub number: u64,
}

/// Bytes that are not an event of ours. Permanent: no retry mends it.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("not an envelope")]
    Envelope(#[source] prost::DecodeError),
    #[error("envelope field {field} is missing or out of range")]
    Field { field: &'static str },
    #[error("payload of {event_type} does not parse")]
    Payload {
        event_type: &'static str,
        source: prost::DecodeError,
    },
    #[error(
        "no event {event_type} of version {version} is known: a newer build may have written it"
    )]
    UnknownType { event_type: String, version: u32 },
    #[error(
        "{event_type} has version {version}, and this build writes version {newest}: {}",
        beyond(*.version, *.newest)
    )]
    UnknownVersion {
        event_type: &'static str,
        version: u32,
        newest: u32,
    },
}

fn beyond(version: u32, newest: u32) -> &'static str {
    match version > newest {
        true => "a newer build has written it",
        false => "there is no upcaster from the one to the other",
    }
}

impl Envelope {
    pub fn encode(&self) -> Bytes {
        let uuid_bytes = |id: Option<Uuid>| {
            id.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes()))
        };
        let (producer, number) = match &self.stamp {
            Some(stamp) => (stamp.producer.clone(), stamp.number),
            None => (String::new(), 0),
        };
        envelope_proto::Envelope {
            event_id: uuid_bytes(Some(self.event_id.as_uuid())),
            tenant_id: uuid_bytes(self.tenant.map(TenantId::as_uuid)),
            r#type: self.event.type_name().to_owned(),
            version: self.event.version(),
            occurred_at: Some(timestamp::to_proto(self.occurred_at)),
            recorded_at: Some(timestamp::to_proto(self.recorded_at)),
            source: self.source.to_string(),
            actor: self.actor.clone(),
            causation_id: uuid_bytes(self.causation_id.map(EventId::as_uuid)),
            correlation_id: uuid_bytes(self.correlation_id.map(EventId::as_uuid)),
            producer,
            number,
            traceparent: self.traceparent.clone(),
            payload: self.event.encode(),
        }
        .encode_to_vec()
        .into()
    }

    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let raw = envelope_proto::Envelope::decode(bytes).map_err(DecodeError::Envelope)?;
        let clock = |at: &Option<prost_types::Timestamp>, field| {
            at.as_ref()
                .and_then(timestamp::from_proto)
                .ok_or(DecodeError::Field { field })
        };
        let stamp = (!raw.producer.is_empty()).then_some(Stamp {
            producer: raw.producer,
            number: raw.number,
        });
        Ok(Self {
            event_id: EventId::new(
                parse_uuid(&raw.event_id, "event_id")?
                    .ok_or(DecodeError::Field { field: "event_id" })?,
            ),
            tenant: parse_uuid(&raw.tenant_id, "tenant_id")?.map(TenantId::new),
            occurred_at: clock(&raw.occurred_at, "occurred_at")?,
            recorded_at: clock(&raw.recorded_at, "recorded_at")?,
            source: raw
                .source
                .parse()
                .map_err(|UnknownSource| DecodeError::Field { field: "source" })?,
            actor: raw.actor,
            causation_id: parse_uuid(&raw.causation_id, "causation_id")?.map(EventId::new),
            correlation_id: parse_uuid(&raw.correlation_id, "correlation_id")?.map(EventId::new),
            stamp,
            traceparent: raw.traceparent,
            event: Event::decode(&raw.r#type, raw.version, raw.payload)?,
        })
    }

    /// The id in an envelope's bytes, whatever its payload is.
    pub fn id_of(bytes: Bytes) -> Result<EventId, DecodeError> {
        let raw = envelope_proto::Envelope::decode(bytes).map_err(DecodeError::Envelope)?;
        let id = parse_uuid(&raw.event_id, "event_id")?;
        let id = id.ok_or(DecodeError::Field { field: "event_id" })?;
        Ok(EventId::new(id))
    }

    /// The bytes of the same fact as another output of its producer.
    pub fn renumbered(bytes: Bytes, number: u64) -> Result<Bytes, DecodeError> {
        let mut raw = envelope_proto::Envelope::decode(bytes).map_err(DecodeError::Envelope)?;
        raw.number = number;
        Ok(raw.encode_to_vec().into())
    }

    /// The tenant of an event that must have one.
    pub fn require_tenant(&self) -> Result<TenantId, DecodeError> {
        self.tenant.ok_or(DecodeError::Field { field: "tenant_id" })
    }
}

fn parse_uuid(bytes: &[u8], field: &'static str) -> Result<Option<Uuid>, DecodeError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    Uuid::from_slice(bytes)
        .map(Some)
        .map_err(|_| DecodeError::Field { field })
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::MetaWebhook => f.write_str("meta_webhook"),
            Source::Stripe => f.write_str("stripe"),
            Source::User => f.write_str("user"),
            Source::Engine(name) => write!(f, "engine:{name}"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("unknown source")]
pub struct UnknownSource;

impl FromStr for Source {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "meta_webhook" => Ok(Source::MetaWebhook),
            "stripe" => Ok(Source::Stripe),
            "user" => Ok(Source::User),
            _ => text
                .strip_prefix("engine:")
                .filter(|name| !name.is_empty())
                .map(|name| Source::Engine(name.to_owned()))
                .ok_or(UnknownSource),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ad_events::AdStatusChanged;

    fn envelope() -> Envelope {
        Envelope {
            event_id: EventId::new(Uuid::from_u128(1)),
            tenant: Some(TenantId::new(Uuid::from_u128(2))),
            occurred_at: OffsetDateTime::from_unix_timestamp(1_703_500_800).unwrap(),
            recorded_at: OffsetDateTime::from_unix_timestamp_nanos(1_703_500_801_123_456_789)
                .unwrap(),
            source: Source::Engine("ad".into()),
            actor: "engine:ad".into(),
            causation_id: Some(EventId::new(Uuid::from_u128(3))),
            correlation_id: None,
            stamp: Some(Stamp {
                producer: "ad".into(),
                number: 7,
            }),
            traceparent: String::new(),
            event: Event::AdStatusChanged(AdStatusChanged {
                ad_id: "23849203842934".into(),
                new_status: "DISAPPROVED".into(),
                ..Default::default()
            }),
        }
    }

    #[test]
    fn reads_as_it_was_written() {
        let envelope = envelope();
        assert_eq!(Envelope::decode(envelope.encode()).unwrap(), envelope);
    }

    #[test]
    fn another_number_changes_nothing_else() {
        let mut envelope = envelope();
        let renumbered = Envelope::renumbered(envelope.encode(), 9).unwrap();
        envelope.stamp.as_mut().unwrap().number = 9;
        assert_eq!(renumbered, envelope.encode());
        assert_eq!(Envelope::id_of(renumbered).unwrap(), envelope.event_id);
    }

    #[test]
    fn a_broken_field_is_named() {
        let mut raw = envelope_proto::Envelope::decode(envelope().encode()).unwrap();
        raw.event_id = Bytes::from_static(b"short");
        let error = Envelope::decode(raw.encode_to_vec().into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "envelope field event_id is missing or out of range"
        );
    }
}
