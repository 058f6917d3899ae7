//! What a caller is told when a command did not come to its end.

use std::{collections::HashMap, time::Duration};

use compline_api::error::{DOMAIN, invalid_argument};
use compline_event::Token;
use compline_eventlog::AppendError;
use compline_readmodel::ReadError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::command::Command;

/// What a caller should wait before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The command was decided, and another version was there than it expected.
pub(crate) fn stale(command: &Command, current_version: u64) -> Status {
    let entity = &command.entity;
    let mut about = HashMap::from([
        ("resource".to_owned(), entity.clone()),
        ("current_version".to_owned(), current_version.to_string()),
    ]);
    if let Some(expected) = command.expected_version {
        about.insert("expected_version".to_owned(), expected.to_string());
    }
    let message = format!(
        "{entity} is at version {current_version}, which this command did not expect; nothing \
         changed. Look again, then send it with a new request_id"
    );
    let details = ErrorDetails::with_error_info("STALE_VERSION", DOMAIN, about);
    Status::with_error_details(Code::Aborted, message, details)
}

/// The command was decided, and would have left nobody who could issue a key.
pub(crate) fn last_admin(command: &Command) -> Status {
    let entity = &command.entity;
    let message = format!(
        "{entity} is the tenant's last live admin key, and nobody could create another without \
         one; nothing changed. Create another admin key, then revoke this one with a new request_id"
    );
    let details =
        ErrorDetails::with_precondition_failure_violation("LAST_ADMIN_KEY", entity, &message);
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

pub(crate) fn used_by_another(earlier: &str) -> Status {
    invalid_argument(
        "request_id",
        format!("was used before, for {earlier} of the same resource"),
    )
}

/// The log did not acknowledge; that is not a "no".
pub(crate) fn not_appended(error: &AppendError) -> Status {
    match error {
        AppendError::Fatal { .. } => {
            tracing::error!(%error, "a command could not be appended; the service ends");
        }
        error => tracing::warn!(%error, "a command could not be appended"),
    }
    let message = "the log cannot be reached; the command may still take effect, so repeat it \
                   with the same request_id";
    let details = ErrorDetails::with_retry_info(Some(RETRY_AFTER));
    Status::with_error_details(Code::Unavailable, message, details)
}

/// Appended, but its verdict is not to be had.
pub(crate) fn no_verdict(appended: &Token, error: ReadError) -> Status {
    let ReadError::TimedOut { .. } = error else {
        return unreadable(error);
    };
    let message = format!(
        "the command was appended at {appended}, and its verdict has not been seen in time; \
         the same request_id may be repeated"
    );
    let about = HashMap::from([("appended".to_owned(), appended.to_string())]);
    let mut details = ErrorDetails::with_error_info("VERDICT_NOT_SEEN", DOMAIN, about);
    details.set_retry_info(Some(RETRY_AFTER));
    Status::with_error_details(Code::DeadlineExceeded, message, details)
}

/// The read model has passed the command and knows nothing of it.
pub(crate) fn parked(keys: &[String]) -> Status {
    tracing::error!(
        ?keys,
        "a command was appended behind an event that is parked"
    );
    Status::failed_precondition(
        "the command was appended behind an event that could not be applied; it takes effect \
         when the operator has redriven it",
    )
}

/// Logged here, for callers are told nothing of the database.
pub(crate) fn unreadable(error: ReadError) -> Status {
    tracing::warn!(%error, "a read model cannot be read");
    compline_api::error::unavailable("the read model", RETRY_AFTER)
}

pub(crate) fn database(error: impl Into<ReadError>) -> Status {
    unreadable(error.into())
}
