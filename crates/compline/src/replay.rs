//! Records of the log as people and programs read them.
//!
//! What is filtered out is never decoded: type, tenant and event id stand in a
//! record's headers. What cannot be decoded is shown all the same, with the
//! reason: an analyst looks for just that.

pub mod topic;

use std::collections::HashMap;

use compline_event::{EventId, TenantId, envelope_proto, timestamp};
use compline_eventlog::Record;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::{show, wire_json};

/// Which records are wanted. Empty: all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub key: Option<String>,
    pub event_type: Option<String>,
    pub tenant: Option<TenantId>,
    pub event_id: Option<EventId>,
}

impl Filter {
    pub fn takes(&self, record: &Record) -> bool {
        let key = self.key.as_ref().map(String::as_bytes);
        key.is_none_or(|key| record.key == key)
            && (self.event_type.as_deref()).is_none_or(|name| record.type_name() == Some(name))
            && (self.tenant).is_none_or(|tenant| record.tenant() == Some(tenant))
            && (self.event_id).is_none_or(|id| record.event_id() == Some(id))
    }
}

/// Decodes records; remembers the descriptors that it has looked up.
#[derive(Debug, Default)]
pub struct Decoder {
    descriptors: HashMap<(String, u32), Option<MessageDescriptor>>,
}

impl Decoder {
    /// Everything that the record says, as one JSON object. Of an envelope every field
    /// is there, at its default too, and null where there is none.
    pub fn to_json(&mut self, record: &Record) -> Value {
        let mut shown = Map::new();
        shown.insert("at".into(), record.at.to_string().into());
        shown.insert("key".into(), lossy(&record.key).into());
        match envelope_proto::Envelope::decode(record.value.clone()) {
            Ok(envelope) => self.add_envelope(&envelope, &mut shown),
            Err(error) => {
                shown.insert("problem".into(), format!("not an envelope: {error}").into());
                shown.insert("valueHex".into(), hex::encode(&record.value).into());
            }
        }
        Value::Object(shown)
    }

    /// One line: where, when, what, whose, key, payload.
    pub fn to_line(&mut self, record: &Record) -> String {
        let shown = self.to_json(record);
        let text = |field: &str| shown[field].as_str().unwrap_or("-").to_owned();
        let payload = match &shown["payload"] {
            Value::Null => text("problem"),
            payload => payload.to_string(),
        };
        format!(
            "{}  {}  {}  tenant={}  key={}  {payload}",
            text("at"),
            text("recordedAt"),
            text("type"),
            text("tenantId"),
            text("key"),
        )
    }

    fn add_envelope(
        &mut self,
        envelope: &envelope_proto::Envelope,
        shown: &mut Map<String, Value>,
    ) {
        let fields: [(&str, Value); 13] = [
            ("eventId", uuid(&envelope.event_id).into()),
            ("tenantId", uuid(&envelope.tenant_id).into()),
            ("type", envelope.r#type.as_str().into()),
            ("version", envelope.version.into()),
            ("occurredAt", clock(envelope.occurred_at.as_ref()).into()),
            ("recordedAt", clock(envelope.recorded_at.as_ref()).into()),
            ("source", envelope.source.as_str().into()),
            ("actor", envelope.actor.as_str().into()),
            ("causationId", uuid(&envelope.causation_id).into()),
            ("correlationId", uuid(&envelope.correlation_id).into()),
            ("producer", envelope.producer.as_str().into()),
            // As protobuf writes 64 bits, which a double does not hold.
            ("number", envelope.number.to_string().into()),
            ("traceparent", envelope.traceparent.as_str().into()),
        ];
        shown.extend(fields.map(|(name, value)| (name.to_owned(), value)));
        match self.payload(&envelope.r#type, envelope.version, &envelope.payload) {
            Ok(payload) => shown.insert("payload".into(), payload),
            Err(problem) => {
                shown.insert("problem".into(), problem.into());
                shown.insert("payloadHex".into(), hex::encode(&envelope.payload).into())
            }
        };
    }

    fn payload(&mut self, event_type: &str, version: u32, payload: &[u8]) -> Result<Value, String> {
        let known = (self.descriptors)
            .entry((event_type.to_owned(), version))
            .or_insert_with(|| wire_json::event_descriptor(event_type, version));
        let descriptor = (known.clone())
            .ok_or_else(|| format!("no event {event_type} of version {version} is known"))?;
        let message = DynamicMessage::decode(descriptor, payload)
            .map_err(|error| format!("the payload does not parse: {error}"))?;
        let value = wire_json::to_value(&message);
        Ok(match event_type {
            "WebhookReceived" => readable_webhook(value, payload),
            _ => value,
        })
    }
}

/// A webhook's body and headers are bytes, which canonical JSON writes as base64;
/// most are JSON and text.
fn readable_webhook(canonical: Value, payload: &[u8]) -> Value {
    let Ok(webhook) = compline_event::webhook_events::WebhookReceived::decode(payload) else {
        return canonical;
    };
    let headers: Map<String, Value> = webhook
        .headers
        .iter()
        .map(|header| (header.name.clone(), lossy(&header.value).into()))
        .collect();
    let body = match (
        serde_json::from_slice::<Value>(&webhook.body),
        std::str::from_utf8(&webhook.body),
    ) {
        (Ok(body), _) => ("body", body),
        (Err(_), Ok(text)) => ("bodyText", text.into()),
        (Err(_), Err(_)) => ("bodyBase64", canonical["body"].clone()),
    };
    json!({
        body.0: body.1,
        "headers": headers,
        "remoteAddress": webhook.remote_address,
    })
}

/// Text, or `0x…` when the bytes are none.
fn lossy(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("0x{}", hex::encode(bytes)),
    }
}

/// `None` when absent.
fn uuid(bytes: &[u8]) -> Option<String> {
    match Uuid::from_slice(bytes) {
        Ok(uuid) => Some(uuid.to_string()),
        Err(_) if bytes.is_empty() => None,
        Err(_) => Some(format!("0x{}", hex::encode(bytes))),
    }
}

/// `None` when absent, or beyond the calendar.
fn clock(at: Option<&prost_types::Timestamp>) -> Option<String> {
    let at = at.and_then(timestamp::from_proto)?;
    at.format(&Rfc3339).ok()
}

/// Where a replay begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Offset(i64),
    Time(time::OffsetDateTime),
}

impl Place {
    /// An offset, a time (RFC 3339), or an age such as `90m` before `now`.
    pub fn parse(text: &str, now: time::OffsetDateTime) -> Result<Self, String> {
        if let Ok(offset) = text.parse::<i64>() {
            return match offset {
                0.. => Ok(Place::Offset(offset)),
                _ => Err("an offset is not negative".to_owned()),
            };
        }
        if let Some(age) = compline_runtime::config::duration::parse(text) {
            return Ok(Place::Time(now - age));
        }
        time::OffsetDateTime::parse(text, &Rfc3339)
            .map(Place::Time)
            .map_err(|_| {
                format!(
                    "{text:?} is neither an offset, nor a time such as {}, nor an age such as 90m",
                    show::instant(now)
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use compline_event::webhook_events::{Header, WebhookReceived};
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn a_place_is_an_offset_a_time_or_an_age() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        assert_eq!(Place::parse("12", now), Ok(Place::Offset(12)));
        let hour = Place::Time(now - time::Duration::HOUR);
        assert_eq!(Place::parse("1h", now), Ok(hour));
        let shown = show::instant(now - time::Duration::HOUR);
        assert_eq!(Place::parse(&shown, now), Ok(hour));
        for nonsense in ["-1", "yesterday", ""] {
            assert!(Place::parse(nonsense, now).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_body_is_shown_as_what_it_is() {
        let shown = |body: &[u8]| {
            let webhook = WebhookReceived {
                body: body.to_vec().into(),
                headers: vec![Header {
                    name: "user-agent".into(),
                    value: "x".into(),
                }],
                remote_address: String::new(),
            };
            Decoder::default()
                .payload("WebhookReceived", 1, &webhook.encode_to_vec())
                .unwrap()
        };
        assert_eq!(shown(b"{\"a\":1}")["body"]["a"], 1);
        assert_eq!(shown(b"{\"a\":1}")["headers"]["user-agent"], "x");
        assert_eq!(shown(b"a=1")["bodyText"], "a=1");
        assert_eq!(shown(b"\xff")["bodyBase64"], "/w==");
    }

    #[test]
    fn an_unknown_type_is_shown_with_the_reason() {
        for (event_type, version) in [("AdPainted", 1), ("WebhookReceived", 2)] {
            let shown = Decoder::default().payload(event_type, version, b"");
            let says = format!("no event {event_type} of version {version} is known");
            assert_eq!(shown, Err(says));
        }
    }
}
