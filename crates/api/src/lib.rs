//! The gRPC surface: generated stubs and descriptor bytes, resource names,
//! paging, filters and error details. It is all that the BFF ever sees, so it
//! knows neither log nor tables.

pub mod error;
pub mod filter;
pub mod key;
pub mod name;
pub mod order;
pub mod page;
pub mod timestamp;
pub mod token;

/// Generated from `proto/compline/query` and `proto/compline/command`.
#[allow(clippy::all, missing_debug_implementations, unreachable_pub)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/proto.rs"));
}

pub use proto::compline::{command::v1 as command, query::v1 as query};

/// The `FileDescriptorSet` of all services.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// Of the query services, for the reflection of the door that serves them.
pub const QUERY_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/query.binpb"));

/// Of the command services, for the reflection of the door that serves them.
pub const COMMAND_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/command.binpb"));
