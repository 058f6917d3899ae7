//! What went wrong, in lines for people.

use std::io;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The whole chain of causes on one line, a cause that its effect already quotes
/// left out.
pub fn line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = match cause.downcast_ref::<Status>() {
            Some(status) => of_status(status),
            None => cause.to_string(),
        };
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Whether the reader of our output went away, which is its right. Writing output
/// fails with an `io::Error` of its own; one inside a client's error is a peer that
/// hung up, and no success.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A gRPC status with the fields that were wrong.
pub fn of_status(status: &Status) -> String {
    let mut text = code_name(status.code()).to_owned();
    if !status.message().is_empty() {
        text.push_str(": ");
        text.push_str(status.message());
    }
    let details = status.get_error_details();
    if let Some(bad_request) = details.bad_request() {
        let fields: Vec<String> = bad_request
            .field_violations
            .iter()
            .map(|violation| format!("{}: {}", violation.field, violation.description))
            // Our own services say them in the message too; others may not.
            .filter(|violation| !status.message().contains(violation))
            .collect();
        if !fields.is_empty() {
            text.push_str(&format!(" [{}]", fields.join("; ")));
        }
    }
    text
}

const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_wrong_field_is_named() {
        let details = ErrorDetails::with_bad_request_violation("page_size", "0 to 1000, not -1");
        let status = Status::with_error_details(Code::InvalidArgument, "bad argument", details);
        assert_eq!(
            of_status(&status),
            "INVALID_ARGUMENT: bad argument [page_size: 0 to 1000, not -1]"
        );
    }

    #[test]
    fn causes_stand_on_one_line_and_once() {
        let error = anyhow::anyhow!("disk full")
            .context("cannot write x: disk full")
            .context("up");
        assert_eq!(line(&error), "up: cannot write x: disk full");
        let error = Err::<(), _>(Status::not_found("ads/1"))
            .context("show")
            .unwrap_err();
        assert_eq!(line(&error), "show: NOT_FOUND: ads/1");
    }
}
