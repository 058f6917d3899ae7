//! What a delivery that is not taken is told, counted as and logged as.
//!
//! | why | answer | again? | `outcome` |
//! |---|---|---|---|
//! | no, wrong or old signature | 401 | | `signature_…` |
//! | body over the limit | 413 | | `body_too_large` |
//! | body slower than its time | 408 | | `body_too_slow` |
//! | the sender broke off | 400, to nobody | | `body_broken_off` |
//! | bodies use up their memory | 503 | 1 s | `no_memory` |
//! | the log does not acknowledge | 503 | 5 s | `log_unavailable` |
//! | the appender failed for good | 503 | 5 s | `log_failed` |
//! | the log takes no record so large | 413 | | `record_too_large` |

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use compline_eventlog::AppendError;

use crate::body::Unread;
use crate::signature::Refused;

/// The log's absence is told in seconds, not minutes: a broker restarts within a few, and the
/// vendors' own waits grow from here.
const LOG_RETRY_SECONDS: u16 = 5;
/// Memory is free again as soon as a body before it was appended.
const MEMORY_RETRY_SECONDS: u16 = 1;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    Unsigned(Refused),
    #[error("{}", unread(*.0))]
    Unread(Unread),
    #[error(transparent)]
    Log(AppendError),
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Refusal::Unsigned(_) => StatusCode::UNAUTHORIZED,
            Refusal::Unread(Unread::TooLarge) | Refusal::Log(AppendError::TooLarge { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Refusal::Unread(Unread::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            Refusal::Unread(Unread::BrokenOff) => StatusCode::BAD_REQUEST,
            Refusal::Unread(Unread::NoMemory)
            | Refusal::Log(AppendError::Unavailable { .. } | AppendError::Fatal { .. }) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Refusal::Log(AppendError::NotAnEnvelope { .. }) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn retry_after_seconds(&self) -> Option<u16> {
        match self {
            Refusal::Unread(Unread::NoMemory) => Some(MEMORY_RETRY_SECONDS),
            refusal if refusal.status() == StatusCode::SERVICE_UNAVAILABLE => {
                Some(LOG_RETRY_SECONDS)
            }
            _ => None,
        }
    }

    /// In metrics.
    /// All that [`Refusal::outcome`] gives.
    pub(crate) const OUTCOMES: [&str; 12] = [
        "signature_missing",
        "signature_repeated",
        "signature_malformed",
        "signature_mismatch",
        "signature_expired",
        "body_too_large",
        "body_too_slow",
        "body_broken_off",
        "no_memory",
        "log_unavailable",
        "log_failed",
        "record_too_large",
    ];

    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Refusal::Unsigned(Refused::Missing) => "signature_missing",
            Refusal::Unsigned(Refused::Repeated) => "signature_repeated",
            Refusal::Unsigned(Refused::Malformed) => "signature_malformed",
            Refusal::Unsigned(Refused::Mismatch) => "signature_mismatch",
            Refusal::Unsigned(Refused::Expired) => "signature_expired",
            Refusal::Unread(Unread::TooLarge) => "body_too_large",
            Refusal::Unread(Unread::TooSlow) => "body_too_slow",
            Refusal::Unread(Unread::BrokenOff) => "body_broken_off",
            Refusal::Unread(Unread::NoMemory) => "no_memory",
            Refusal::Log(AppendError::Unavailable { .. }) => "log_unavailable",
            Refusal::Log(AppendError::Fatal { .. } | AppendError::NotAnEnvelope { .. }) => {
                "log_failed"
            }
            Refusal::Log(AppendError::TooLarge { .. }) => "record_too_large",
        }
    }
}

impl IntoResponse for Refusal {
    /// The reason is for whoever set the sender up; what the log said is not theirs to read.
    fn into_response(self) -> Response {
        let reason = match &self {
            Refusal::Unsigned(refused) => refused.to_string(),
            Refusal::Unread(why) => unread(*why).to_owned(),
            Refusal::Log(_) => "the delivery could not be stored".to_owned(),
        };
        let mut response = (self.status(), reason).into_response();
        if let Some(seconds) = self.retry_after_seconds() {
            let seconds = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Refusal::Unsigned(refused)
    }
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        Refusal::Unread(unread)
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        Refusal::Log(error)
    }
}

fn unread(why: Unread) -> &'static str {
    match why {
        Unread::TooLarge => "the body is over the limit",
        Unread::TooSlow => "the body took too long",
        Unread::BrokenOff => "the body broke off",
        Unread::NoMemory => "too many bodies are under way",
    }
}
