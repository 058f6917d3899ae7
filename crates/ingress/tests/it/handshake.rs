//! Meta's question, and everyone else's.

use crate::peer::{head, send};
use crate::street::{config, without_log};

#[tokio::test]
async fn the_challenge_comes_back_to_whoever_knows_a_live_token() {
    let street = without_log(config()).await;
    for (token, challenge, expected) in [
        ("sample-verify-token", "1158201444", "1158201444"),
        ("the%20next+token%20%26%20more", "%3Cb%3E+x", "<b> x"),
    ] {
        let path = format!(
            "/webhooks/meta?hub.mode=subscribe&hub.challenge={challenge}&hub.verify_token={token}"
        );
        let answer = send(street.address, &head("GET", &path, &[])).await;
        assert_eq!((answer.status, &*answer.body), (200, expected));
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test]
async fn any_other_question_is_forbidden() {
    let street = without_log(config()).await;
    let long = format!(
        "hub.mode=subscribe&hub.verify_token=sample-verify-token&hub.challenge={}",
        "1".repeat(257)
    );
    for query in [
        "",
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=sample-verify-toke",
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=sample-verify-token2",
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
        "hub.mode=subscribe&hub.challenge=1",
        "hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=sample-verify-token",
        "hub.challenge=1&hub.verify_token=sample-verify-token",
        "hub.mode=subscribe&hub.verify_token=sample-verify-token",
        "hub.mode=subscribe&hub.challenge=&hub.verify_token=sample-verify-token",
        "hub.mode=subscribe&hub.challenge=1&hub.challenge=2&hub.verify_token=sample-verify-token",
        "hub.mode=subscribe&hub.challenge=%ff%fe&hub.verify_token=%ff",
        &long,
    ] {
        let path = format!("/webhooks/meta?{query}");
        let answer = send(street.address, &head("GET", &path, &[])).await;
        assert_eq!((answer.status, &*answer.body), (403, ""), "{query}");
    }
}

#[tokio::test]
async fn without_a_token_nobody_is_answered() {
    let mut config = config();
    config.meta.verify_tokens.clear();
    let street = without_log(config).await;
    let path = "/webhooks/meta?hub.mode=subscribe&hub.challenge=1&hub.verify_token=";
    let answer = send(street.address, &head("GET", path, &[])).await;
    assert_eq!(answer.status, 403);
}
