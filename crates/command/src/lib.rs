//! The way in for decisions of people: checks a command, appends it as an event,
//! and answers with what became of it.
//!
//! ```text
//! gRPC ─▶ who may? well-formed? ─▶ known request? ─▶ LOG ─▶ tenancy projection's verdict ─▶ answer
//! ```
//!
//! | what became of it | answer |
//! |---|---|
//! | effective, now or by an earlier call with the same request_id | the resource as it is now, and a token |
//! | effective by an earlier call that made a key | the same without the secret; if that answer was lost, revoke the key and make another, as the operator where it was the tenant's first |
//! | it held before | the same, `unchanged`; nothing is appended, and the request_id is as new as before |
//! | another version than the expected one | ABORTED with the current version; nothing changed |
//! | the tenant's last live admin key was to be revoked | FAILED_PRECONDITION; nothing changed |
//! | the log did not acknowledge it | UNAVAILABLE; it may still appear, so repeat the same request_id |
//! | appended, no verdict in time | DEADLINE_EXCEEDED; repeat the same request_id |
//!
//! Invariants:
//! - it writes nothing but the log, and decides nothing that the log's order
//!   decides: a check against a view only spares a hopeless append;
//! - one request id on one entity is one command however often it is sent;
//! - a caller who leaves does not part the events of one request;
//! - an appender that failed for good ends the service, which then is started anew;
//! - a secret leaves in one answer and is nowhere else, its hash alone is appended.

mod accounts;
mod api_keys;
pub mod auth;
mod check;
mod command;
mod commands;
mod error;
mod failure;
pub mod metric;
mod notifications;
mod refuse;
mod serve;
mod tenants;
mod token;

use compline_api::command::{
    account_service_server::AccountServiceServer, api_key_service_server::ApiKeyServiceServer,
    notification_service_server::NotificationServiceServer,
    tenant_service_server::TenantServiceServer,
};
use tonic::service::Routes;

pub use commands::{Clock, Commands};
pub use error::CommandError;
pub use serve::serve;

/// All command services, for a server that recognizes callers by
/// [`auth::WithOperator`]. `max_message` is the server's, in bytes.
pub fn routes(commands: &Commands, max_message: usize) -> Routes {
    let tenants = TenantServiceServer::new(tenants::Tenants(commands.clone()));
    let accounts = AccountServiceServer::new(accounts::Accounts(commands.clone()));
    let keys = ApiKeyServiceServer::new(api_keys::ApiKeys(commands.clone()));
    let notifications =
        NotificationServiceServer::new(notifications::Notifications(commands.clone()));
    Routes::new(tenants.max_decoding_message_size(max_message))
        .add_service(accounts.max_decoding_message_size(max_message))
        .add_service(keys.max_decoding_message_size(max_message))
        .add_service(notifications.max_decoding_message_size(max_message))
}
