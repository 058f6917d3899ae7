//! The facts: generated event types, their envelope, ids, keys and the catalogue
//! that says which event stands on which topic under which key.
//!
//! Every other room imports this one; it imports none and does no I/O. It reads
//! no clock and draws no random number: ids and times arrive as arguments, so
//! folding a log twice gives the same bytes.

pub mod account;
pub mod catalogue;
pub mod command;
pub mod envelope;
pub mod id;
pub mod partition;
pub mod position;
pub mod timestamp;

/// Generated from `proto/compline/event`.
#[allow(clippy::all, missing_debug_implementations, unreachable_pub)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/proto.rs"));
}

pub use account::AdAccountId;
pub use catalogue::{Event, Topic};
pub use envelope::{DecodeError, Envelope, Recorded, Source, Stamp};
pub use id::{EventId, TenantId};
pub use position::{Offset, Partition, Position, RecordId, Token};
pub use proto::compline::event::{
    account::v1 as account_events, activity::v1 as activity_events, ad::v1 as ad_events,
    envelope::v1 as envelope_proto, tenant::v1 as tenant_events, webhook::v1 as webhook_events,
};

/// The `FileDescriptorSet` of all event messages, for tools that print them.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
