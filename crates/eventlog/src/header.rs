//! What a reader may know of a record without decoding it. ASCII text, so that
//! any Kafka tool shows it.

use std::str;

use bytes::Bytes;
use compline_event::{DecodeError, Envelope, EventId, Stamp, TenantId, envelope_proto};
use prost::Message as _;
use rdkafka::message::{BorrowedHeaders, Header, Headers as _, OwnedHeaders};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) const EVENT_ID: &str = "event-id";
pub(crate) const TYPE: &str = "type";
pub(crate) const VERSION: &str = "version";
pub(crate) const TENANT: &str = "tenant";
pub(crate) const PRODUCER: &str = "producer";
pub(crate) const NUMBER: &str = "number";
pub(crate) const TRACEPARENT: &str = "traceparent";

/// W3C's trace context is 55 characters; anything much longer is not one.
const TRACEPARENT_LIMIT: usize = 64;

/// A record's headers, as they were written.
///
/// Names and values stand one after another in one piece of memory, each behind
/// its length: most readers ask for one or two of them, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Bytes);

impl Headers {
    /// The value of the last header of that name, as Kafka's clients read it.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| value)
            .last()
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.get(name)?).ok()
    }

    /// Names and values in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let name = take(&mut rest)?;
            let value = take(&mut rest)?;
            Some((str::from_utf8(name).unwrap_or_default(), value))
        })
    }

    pub(crate) fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Appends `headers` to `buffer` in the form that `iter` reads.
    pub(crate) fn write(headers: &BorrowedHeaders, buffer: &mut Vec<u8>) {
        for header in headers.iter() {
            put(buffer, header.key.as_bytes());
            put(buffer, header.value.unwrap_or_default());
        }
    }
}

impl<'a> FromIterator<(&'a str, &'a [u8])> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a [u8])>>(headers: I) -> Self {
        let mut buffer = Vec::new();
        for (name, value) in headers {
            put(&mut buffer, name.as_bytes());
            put(&mut buffer, value);
        }
        Self(buffer.into())
    }
}

fn put(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a record is below 4 GiB");
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(bytes);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (bytes, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    Some(bytes)
}

/// What of an envelope goes into its record's headers and time.
#[derive(Debug, PartialEq)]
pub(crate) struct Label {
    event_id: EventId,
    event_type: String,
    version: u32,
    tenant: Option<TenantId>,
    stamp: Option<Stamp>,
    traceparent: String,
    recorded_at: OffsetDateTime,
}

impl Label {
    pub(crate) fn of(envelope: &Envelope) -> Self {
        Self {
            event_id: envelope.event_id,
            event_type: envelope.event.type_name().to_owned(),
            version: envelope.event.version(),
            tenant: envelope.tenant,
            stamp: envelope.stamp.clone(),
            traceparent: envelope.traceparent.clone(),
            recorded_at: envelope.recorded_at,
        }
    }

    /// Reads the envelope but not the payload, which may be long.
    pub(crate) fn of_encoded(bytes: Bytes) -> Result<Self, DecodeError> {
        let raw = envelope_proto::Envelope::decode(bytes).map_err(DecodeError::Envelope)?;
        let id =
            |bytes: &[u8], field| Uuid::from_slice(bytes).map_err(|_| DecodeError::Field { field });
        let tenant = match raw.tenant_id.is_empty() {
            true => None,
            false => Some(TenantId::new(id(&raw.tenant_id, "tenant_id")?)),
        };
        let recorded_at = raw
            .recorded_at
            .as_ref()
            .and_then(compline_event::timestamp::from_proto)
            .ok_or(DecodeError::Field {
                field: "recorded_at",
            })?;
        Ok(Self {
            event_id: EventId::new(id(&raw.event_id, "event_id")?),
            event_type: raw.r#type,
            version: raw.version,
            tenant,
            stamp: (!raw.producer.is_empty()).then_some(Stamp {
                producer: raw.producer,
                number: raw.number,
            }),
            traceparent: raw.traceparent,
            recorded_at,
        })
    }

    pub(crate) fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// The record's time, milliseconds since 1970.
    pub(crate) fn timestamp_ms(&self) -> i64 {
        let ms = self
            .recorded_at
            .unix_timestamp_nanos()
            .div_euclid(1_000_000);
        i64::try_from(ms).expect("years up to 9999 fit")
    }

    pub(crate) fn to_headers(&self) -> OwnedHeaders {
        let mut headers = OwnedHeaders::new_with_capacity(7)
            .insert(header(EVENT_ID, &self.event_id.to_string()))
            .insert(header(TYPE, &self.event_type))
            .insert(header(VERSION, &self.version.to_string()));
        if let Some(tenant) = self.tenant {
            headers = headers.insert(header(TENANT, &tenant.to_string()));
        }
        if let Some(Stamp { producer, number }) = &self.stamp {
            headers = headers
                .insert(header(PRODUCER, producer))
                .insert(header(NUMBER, &number.to_string()));
        }
        let trace = &self.traceparent;
        if !trace.is_empty() && trace.len() <= TRACEPARENT_LIMIT && trace.is_ascii() {
            headers = headers.insert(header(TRACEPARENT, trace));
        }
        headers
    }
}

fn header<'a>(key: &'a str, value: &'a str) -> Header<'a, &'a str> {
    Header {
        key,
        value: Some(value),
    }
}
