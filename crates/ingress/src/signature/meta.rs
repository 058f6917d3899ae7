//! `X-Hub-Signature-256: sha256=<hex>`, HMAC-SHA256 with the app's secret over the raw body.
//! <https://developers.facebook.com/docs/graph-api/webhooks/getting-started#validate-payloads>

use super::{Keys, Refused, digest, key, only, parse_hex};

pub const HEADER: &str = "x-hub-signature-256";

/// Checks the header's values against the body, byte for byte as it came: Meta signs what it
/// escaped, so a body that was parsed and written again is another one.
pub fn verify<'a>(
    keys: &Keys,
    header: impl Iterator<Item = &'a [u8]>,
    body: &[u8],
) -> Result<(), Refused> {
    let signature = only(header)?
        .strip_prefix(b"sha256=")
        .and_then(parse_hex)
        .ok_or(Refused::Malformed)?;
    match keys.any_signed(&[body], &[signature]) {
        true => Ok(()),
        false => Err(Refused::Mismatch),
    }
}

/// The header's value as Meta would send it; for tools and tests that play Meta.
pub fn sign(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(digest(key(secret), &[body])))
}
