//! Meta asks whether the endpoint is ours, while the app subscribes: it names a token that we
//! chose, and wants its challenge back.
//! <https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests>

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use compline_runtime::Secret;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Meta's challenges are numbers of ten digits; we are no mirror for more than that, bytes.
const LONGEST_CHALLENGE: usize = 256;

#[derive(Debug, Clone)]
pub(crate) struct Tokens(std::sync::Arc<[[u8; 32]]>);

#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    #[serde(rename = "hub.mode")]
    mode: String,
    #[serde(rename = "hub.verify_token")]
    verify_token: String,
    #[serde(rename = "hub.challenge")]
    challenge: String,
}

impl Tokens {
    pub(crate) fn new(tokens: &[Secret]) -> Self {
        Self(tokens.iter().map(|token| hash(token.expose())).collect())
    }

    /// Compares hashes, so that the time taken tells neither a token's length nor its beginning.
    fn know(&self, token: &str) -> bool {
        let token = hash(token);
        let mut known = Choice::from(0);
        for live in self.0.iter() {
            known |= live.ct_eq(&token);
        }
        known.into()
    }
}

pub(crate) async fn answer(
    State(tokens): State<Tokens>,
    question: Result<Query<Question>, QueryRejection>,
) -> Response {
    match question {
        Ok(Query(question)) if is_ours(&tokens, &question) => {
            tracing::info!("Meta verified this endpoint");
            let headers = [
                (header::CONTENT_TYPE, "text/plain"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, question.challenge).into_response()
        }
        _ => {
            tracing::debug!("a verification with another mode or token was refused");
            StatusCode::FORBIDDEN.into_response()
        }
    }
}

fn is_ours(tokens: &Tokens, question: &Question) -> bool {
    question.mode == "subscribe"
        && (1..=LONGEST_CHALLENGE).contains(&question.challenge.len())
        && tokens.know(&question.verify_token)
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
