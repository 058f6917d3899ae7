//! The names of the metrics that this crate records, and their help.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Labels: `server`.
pub const CONNECTIONS_OPEN: &str = "server_connections_open";
/// Labels: `server`.
pub const CONNECTIONS_REFUSED: &str = "server_connections_refused_total";
/// Labels: `service`, `method`, `code`. Methods that no descriptor names count as `other`.
pub const GRPC_REQUESTS: &str = "grpc_requests_total";
/// Labels: `service`, `method`. Until the last byte of the answer.
pub const GRPC_SECONDS: &str = "grpc_request_seconds";
/// Labels: `service`, `method`.
pub const GRPC_IN_FLIGHT: &str = "grpc_requests_in_flight";
/// Labels: `server`, `method`, `route`, `status`. Paths without a route count as `other`.
pub const HTTP_REQUESTS: &str = "http_requests_total";
/// Labels: `server`, `method`, `route`. Until the answer's head.
pub const HTTP_SECONDS: &str = "http_request_seconds";
/// Labels: `server`, `limit` (`global` or `per_ip`).
pub const HTTP_RATE_LIMITED: &str = "http_rate_limited_total";
/// Labels: `check`. 1 when ready, 0.5 when degraded, else 0.
pub const HEALTH_CHECK: &str = "health_check";

/// Gives every name its help. Called once the recorder is installed.
pub fn describe() {
    describe_gauge!(CONNECTIONS_OPEN, "Connections that are open now");
    describe_counter!(
        CONNECTIONS_REFUSED,
        "Connections closed at once because the server's limit was reached"
    );
    describe_counter!(GRPC_REQUESTS, "gRPC requests answered, by status code");
    describe_histogram!(
        GRPC_SECONDS,
        Unit::Seconds,
        "Time to answer a gRPC request, to the end of the answer"
    );
    describe_gauge!(GRPC_IN_FLIGHT, "gRPC requests being answered now");
    describe_counter!(HTTP_REQUESTS, "HTTP requests answered, by status");
    describe_histogram!(
        HTTP_SECONDS,
        Unit::Seconds,
        "Time to answer an HTTP request, to the head of the answer"
    );
    describe_counter!(
        HTTP_RATE_LIMITED,
        "HTTP requests refused with 429 because a rate limit was reached"
    );
    describe_gauge!(
        HEALTH_CHECK,
        "State of a health check: 1 ready, 0.5 degraded, 0 starting or stopping"
    );
}
