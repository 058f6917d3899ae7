//! A record as it stands in the log, undecoded.

use bytes::Bytes;
use compline_event::{
    DecodeError, Envelope, EventId, Offset, Partition, RecordId, Recorded, Stamp, TenantId, Topic,
};
use rdkafka::{Message as _, message::BorrowedMessage};

use crate::header::{self, Headers};

/// What stands at one place of the log. Cloning it copies no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub at: RecordId,
    pub key: Bytes,
    /// Milliseconds since 1970, by our clock: the envelope's `recorded_at`.
    pub timestamp_ms: i64,
    pub headers: Headers,
    /// An encoded envelope.
    pub value: Bytes,
}

impl Record {
    /// # Errors
    /// What is not an event of ours, permanently.
    pub fn decode(&self) -> Result<Recorded, DecodeError> {
        Ok(Recorded {
            at: self.at,
            key: self.key.clone(),
            envelope: Envelope::decode(self.value.clone())?,
        })
    }

    /// On engine outputs: whose output it is and which.
    pub fn stamp(&self) -> Option<Stamp> {
        Some(Stamp {
            producer: self.headers.text(header::PRODUCER)?.to_owned(),
            number: self.headers.text(header::NUMBER)?.parse().ok()?,
        })
    }

    pub fn event_id(&self) -> Option<EventId> {
        self.headers.text(header::EVENT_ID)?.parse().ok()
    }

    pub fn type_name(&self) -> Option<&str> {
        self.headers.text(header::TYPE)
    }

    pub fn version(&self) -> Option<u32> {
        self.headers.text(header::VERSION)?.parse().ok()
    }

    pub fn tenant(&self) -> Option<TenantId> {
        self.headers.text(header::TENANT)?.parse().ok()
    }

    pub fn traceparent(&self) -> Option<&str> {
        self.headers.text(header::TRACEPARENT)
    }

    /// Bytes of key and value.
    pub fn size(&self) -> usize {
        self.key.len() + self.value.len()
    }

    /// Copies the record out of librdkafka's memory, which holds a whole fetched
    /// answer for as long as one record of it is borrowed. One piece of memory
    /// for key, headers and value.
    pub(crate) fn copy(topic: Topic, message: &BorrowedMessage<'_>) -> Self {
        let key = message.key().unwrap_or_default();
        let value = message.payload().unwrap_or_default();
        let mut buffer = Vec::with_capacity(key.len() + value.len() + 256);
        buffer.extend_from_slice(key);
        buffer.extend_from_slice(value);
        if let Some(headers) = message.headers() {
            Headers::write(headers, &mut buffer);
        }
        let (key_end, value_end) = (key.len(), key.len() + value.len());
        let buffer = Bytes::from(buffer);
        Self {
            at: RecordId {
                topic,
                partition: Partition(message.partition()),
                offset: Offset(message.offset()),
            },
            key: buffer.slice(..key_end),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
            headers: Headers::from_bytes(buffer.slice(value_end..)),
            value: buffer.slice(key_end..value_end),
        }
    }
}
