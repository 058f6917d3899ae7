//! `Stripe-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>…]`, HMAC-SHA256 with the endpoint's
//! secret over `t`, a dot and the raw body. While a secret is being rolled there is a `v1` for
//! each. <https://docs.stripe.com/webhooks/signature>

use time::OffsetDateTime;

use super::{Digest, Keys, Refused, digest, key, only, parse_hex};

pub const HEADER: &str = "stripe-signature";

/// How old a signature may be, the default of Stripe's SDKs. Nothing is said of the future there.
pub const TOLERANCE_SECONDS: i64 = 300;

pub fn verify<'a>(
    keys: &Keys,
    header: impl Iterator<Item = &'a [u8]>,
    body: &[u8],
    now: OffsetDateTime,
) -> Result<(), Refused> {
    let header = parse(only(header)?).ok_or(Refused::Malformed)?;
    if !keys.any_signed(&[header.signed_at_text, b".", body], &header.signatures) {
        return Err(Refused::Mismatch);
    }
    // After the signature, so that nobody learns our clock by trying.
    let age_seconds = now.unix_timestamp().saturating_sub(header.signed_at);
    if age_seconds > TOLERANCE_SECONDS {
        return Err(Refused::Expired);
    }
    Ok(())
}

/// The header's value as Stripe would send it; for tools and tests that play Stripe.
pub fn sign(secret: &str, signed_at: OffsetDateTime, body: &[u8]) -> String {
    let t = signed_at.unix_timestamp();
    let signature = digest(key(secret), &[t.to_string().as_bytes(), b".", body]);
    format!("t={t},v1={}", hex::encode(signature))
}

struct Header<'a> {
    signed_at: i64,
    /// As it stands there: the text is what was signed.
    signed_at_text: &'a [u8],
    signatures: Vec<Digest>,
}

/// `None` without exactly one `t`, or without any `v1`. Other schemes are passed over, `v0` among
/// them: it is Stripe's test scheme and signs for nothing.
fn parse(header: &[u8]) -> Option<Header<'_>> {
    let mut signed_at_text = None;
    let mut v1_count = 0;
    let mut signatures = Vec::with_capacity(2);
    for item in header.split(|byte| *byte == b',') {
        if let Some(text) = item.strip_prefix(b"t=") {
            if signed_at_text.replace(text).is_some() {
                return None;
            }
        } else if let Some(text) = item.strip_prefix(b"v1=") {
            v1_count += 1;
            signatures.extend(parse_hex(text));
        }
    }
    let signed_at_text = signed_at_text?;
    if v1_count == 0 || !signed_at_text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(Header {
        signed_at: std::str::from_utf8(signed_at_text).ok()?.parse().ok()?,
        signed_at_text,
        signatures,
    })
}
