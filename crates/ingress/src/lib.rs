//! Webhooks in. The first step of the street: a vendor's signed POST becomes a `WebhookReceived`
//! in the log, byte for byte as it was signed.
//!
//! ```text
//! GET  /webhooks/meta    ─▶ verify token ─▶ the challenge
//! POST /webhooks/meta    ─▶ signature ─▶ key ─▶ webhook.meta   ─▶ acknowledged ─▶ 200
//! POST /webhooks/stripe  ─▶ signature ─▶ key ─▶ webhook.stripe ─▶ acknowledged ─▶ 200
//! ```
//!
//! Invariants:
//! - 200 means that the log has the delivery on disk; everything else leaves the sender to retry;
//! - nothing is appended whose signature does not hold over the bytes as they came;
//! - it decides nothing and trusts no content type: what is signed is appended, JSON or not;
//! - it knows no database, no tenant and no meaning of a body beyond the id that orders it;
//! - no secret and no signature reaches a log line, an answer or a metric.

mod body;
mod clock;
mod config;
mod door;
mod error;
mod failure;
mod handshake;
mod header;
mod ingress;
pub mod key;
mod meter;
pub mod metric;
mod refusal;
pub mod sample;
pub mod signature;
mod throttle;
mod vendor;

pub use clock::Clock;
pub use config::{IngressConfig, MetaConfig, StripeConfig};
pub use error::IngressError;
pub use ingress::Ingress;
