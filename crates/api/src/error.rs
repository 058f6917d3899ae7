//! Refusals with details that a program can act on (google.rpc, AIP-193).
//!
//! | what is wrong | code | detail |
//! |---|---|---|
//! | an argument | INVALID_ARGUMENT | BadRequest: field and what was expected |
//! | no such resource, or another tenant's | NOT_FOUND | ResourceInfo |
//! | a version that is no longer current | ABORTED | ResourceInfo |
//! | a role that may not | PERMISSION_DENIED | ErrorInfo |
//! | a position not reached in time | DEADLINE_EXCEEDED | ErrorInfo: wanted and seen |
//! | we cannot just now | UNAVAILABLE | RetryInfo |

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::name;

/// Of every `ErrorInfo` that we send.
pub const DOMAIN: &str = "compline";

/// `field` is the path in the request, such as `consistency.min_position[1].topic`.
pub fn invalid_argument(field: &str, description: impl Into<String>) -> Status {
    invalid_arguments([(field.to_owned(), description.into())])
}

/// Several fields at once, so that a caller mends them in one go.
pub fn invalid_arguments(violations: impl IntoIterator<Item = (String, String)>) -> Status {
    let violations: Vec<FieldViolation> = violations
        .into_iter()
        .map(|(field, description)| FieldViolation::new(field, description))
        .collect();
    let message = violations
        .iter()
        .map(|violation| format!("{}: {}", violation.field, violation.description))
        .collect::<Vec<_>>()
        .join("; ");
    let details = ErrorDetails::with_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// `resource` is a resource name. The answer is the same whether it never was or
/// is another tenant's.
pub fn not_found(resource: &str) -> Status {
    let details = resource_info(resource, "it does not exist, or is not yours");
    Status::with_error_details(Code::NotFound, format!("no {resource}"), details)
}

/// The caller's `expected_version` is not, or no longer, the resource's.
pub fn stale_version(resource: &str, expected: u64) -> Status {
    let message = format!("{resource} is not at version {expected}; read it again");
    let details = resource_info(resource, "its version is another");
    Status::with_error_details(Code::Aborted, message, details)
}

pub fn permission_denied(needed: &str) -> Status {
    let info = HashMap::from([("needed".to_owned(), needed.to_owned())]);
    let details = ErrorDetails::with_error_info("PERMISSION_DENIED", DOMAIN, info);
    Status::with_error_details(
        Code::PermissionDenied,
        format!("this needs {needed}"),
        details,
    )
}

/// Both are printed positions, such as `ad/3@120`.
pub fn position_not_reached(wanted: &str, seen: &str) -> Status {
    let info = HashMap::from([
        ("wanted".to_owned(), wanted.to_owned()),
        ("seen".to_owned(), seen.to_owned()),
    ]);
    let details = ErrorDetails::with_error_info("POSITION_NOT_REACHED", DOMAIN, info);
    let message = format!("the read model has not reached {wanted} in time");
    Status::with_error_details(Code::DeadlineExceeded, message, details)
}

/// What `what` names does not answer just now; the same call may work after
/// `retry_after`.
pub fn unavailable(what: &str, retry_after: Duration) -> Status {
    let details = ErrorDetails::with_retry_info(Some(retry_after));
    Status::with_error_details(
        Code::Unavailable,
        format!("{what} cannot be reached right now"),
        details,
    )
}

fn resource_info(resource: &str, description: &str) -> ErrorDetails {
    ErrorDetails::with_resource_info(name::resource_type(resource), resource, "", description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_argument_names_its_field() {
        let status = invalid_argument("page_size", "must not be negative");
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, "page_size");
        assert_eq!(violations[0].description, "must not be negative");
    }

    #[test]
    fn a_missing_resource_is_named_with_its_type() {
        let status = not_found("ads/1");
        let details = status.get_error_details();
        let info = details.resource_info().unwrap();
        assert_eq!(
            (info.resource_type.as_str(), info.resource_name.as_str()),
            ("compline/Ad", "ads/1")
        );
    }
}
