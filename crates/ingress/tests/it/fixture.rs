//! What signers that we did not write made of our bodies; `dev/fixtures/run` makes it again.

use std::path::PathBuf;
use std::sync::LazyLock;

use serde::Deserialize;
use time::OffsetDateTime;

/// When the fixtures of Stripe were signed, and what the clock of these tests shows.
pub(crate) const SIGNED_AT: i64 = 1_703_500_800;

pub(crate) const META_SECRETS: [&str; 3] = ["sample-app-secret", "the-next-app-secret", "ключ-🔑"];
pub(crate) const STRIPE_SECRETS: [&str; 2] = ["whsec_sample", "whsec_the_next_one"];

#[derive(Deserialize)]
pub(crate) struct Fixture {
    /// `meta/…` or `stripe/…`.
    #[serde(rename = "body")]
    pub(crate) path: String,
    pub(crate) signer: String,
    pub(crate) secret: String,
    pub(crate) header: String,
    #[serde(skip)]
    pub(crate) body: Vec<u8>,
}

pub(crate) static ALL: LazyLock<Vec<Fixture>> = LazyLock::new(|| {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let text = std::fs::read(folder.join("signatures.json")).unwrap();
    let mut all: Vec<Fixture> = serde_json::from_slice(&text).unwrap();
    for fixture in &mut all {
        fixture.body = std::fs::read(folder.join(&fixture.path)).unwrap();
    }
    all
});

pub(crate) fn of(vendor: &str) -> impl Iterator<Item = &'static Fixture> {
    ALL.iter().filter(move |it| it.path.starts_with(vendor))
}

pub(crate) fn one(path: &str, secret: &str) -> &'static Fixture {
    ALL.iter()
        .find(|it| it.path == path && it.secret == secret)
        .unwrap()
}

pub(crate) fn seconds_after_signing(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(SIGNED_AT + seconds).unwrap()
}
