//! What differs between the senders.

use axum::http::HeaderMap;
use compline_event::{Source, Topic};
use time::OffsetDateTime;

use crate::key::{self, Placed};
use crate::signature::{Keys, Refused, meta, stripe};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vendor {
    Meta,
    Stripe,
}

impl Vendor {
    /// In metrics and logs.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Vendor::Meta => "meta",
            Vendor::Stripe => "stripe",
        }
    }

    pub(crate) fn topic(self) -> Topic {
        match self {
            Vendor::Meta => Topic::WebhookMeta,
            Vendor::Stripe => Topic::WebhookStripe,
        }
    }

    pub(crate) fn source(self) -> Source {
        match self {
            Vendor::Meta => Source::MetaWebhook,
            Vendor::Stripe => Source::Stripe,
        }
    }

    pub(crate) fn signature_header(self) -> &'static str {
        match self {
            Vendor::Meta => meta::HEADER,
            Vendor::Stripe => stripe::HEADER,
        }
    }

    pub(crate) fn verify(
        self,
        keys: &Keys,
        headers: &HeaderMap,
        body: &[u8],
        now: OffsetDateTime,
    ) -> Result<(), Refused> {
        let values = headers.get_all(self.signature_header());
        let values = values.iter().map(|value| value.as_bytes());
        match self {
            Vendor::Meta => meta::verify(keys, values, body),
            Vendor::Stripe => stripe::verify(keys, values, body, now),
        }
    }

    pub(crate) fn place(self, body: &[u8]) -> Placed {
        match self {
            Vendor::Meta => key::of_meta(body),
            Vendor::Stripe => key::of_stripe(body),
        }
    }
}
