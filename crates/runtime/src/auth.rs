//! Who calls: the trait that knows keys, and the layer that asks it before any method runs, and again
//! while one goes on.
//!
//! This crate holds no keys. A role implements [`Authenticate`] (with a small, bounded cache if its
//! look-ups cost something) and hands it to [`crate::grpc::GrpcServer::authenticate`].

mod lapse;
mod layer;

use std::fmt;

use async_trait::async_trait;
use tonic::{Request, Status};
use uuid::Uuid;

pub use layer::{Auth, AuthLayer};

/// A caller that has been recognized. Tenant and role come from the key or token alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Whose data the caller sees. None for callers above all tenants.
    pub tenant: Option<Uuid>,
    /// Who it is within that, for audit trails: a key's id, a token's subject.
    pub subject: String,
    pub role: Role,
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Runs this machine; may create tenants.
    Operator,
    Admin,
    Auditor,
    Standard,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::Standard => "standard",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Recognizes callers by what they carry.
#[async_trait]
pub trait Authenticate: Send + Sync + 'static {
    /// `bearer` is the key or token without its scheme, never empty. Asked at the start of a call
    /// and twice a second while it goes on.
    async fn authenticate(&self, bearer: &str) -> Result<Principal, AuthError>;
}

/// Why a caller was not let in. Says nothing about which part of a key was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// → UNAUTHENTICATED
    #[error("no key given: send metadata `authorization: Bearer <key>` or `x-api-key: <key>`")]
    Missing,
    /// → UNAUTHENTICATED
    #[error("the key is not valid")]
    Invalid,
    /// The keys could not be looked up; the same key may work later. → UNAVAILABLE
    #[error("keys cannot be checked right now")]
    Unavailable,
}

impl From<AuthError> for Status {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Missing | AuthError::Invalid => Status::unauthenticated(error.to_string()),
            AuthError::Unavailable => Status::unavailable(error.to_string()),
        }
    }
}

/// The caller of a method behind [`AuthLayer`].
///
/// INTERNAL where the layer is missing: better no answer than an answer to nobody.
// tonic's own methods return a `Status` by value.
#[allow(clippy::result_large_err)]
pub fn principal<T>(request: &Request<T>) -> Result<&Principal, Status> {
    request
        .extensions()
        .get::<Principal>()
        .ok_or_else(|| Status::internal("no caller was recognized for this request"))
}
