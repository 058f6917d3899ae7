//! A request's body exactly as it was sent.

use std::error::Error;

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError};
use tower_http::timeout::TimeoutError;

/// The whole body, for handlers that check a signature over it. Refused with 413 when it is too
/// large, 408 when it takes too long, 400 when the peer breaks it off.
#[derive(Debug, Clone)]
pub struct RawBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        match request.into_body().collect().await {
            Ok(body) => Ok(Self(body.to_bytes())),
            Err(error) => Err(status_of(&error).into_response()),
        }
    }
}

/// Each layer wraps the error of the one below it, so the cause is looked for all the way down.
fn status_of(error: &(dyn Error + 'static)) -> StatusCode {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return StatusCode::PAYLOAD_TOO_LARGE;
        }
        if error.is::<TimeoutError>() {
            return StatusCode::REQUEST_TIMEOUT;
        }
        cause = error.source();
    }
    StatusCode::BAD_REQUEST
}
