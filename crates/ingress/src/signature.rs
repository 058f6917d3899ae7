//! Who signed: pure checks over the bytes as they came, with the live secrets and a time.
//!
//! | what came | [`meta`] | [`stripe`] |
//! |---|---|---|
//! | right, under any live secret | taken | taken |
//! | right, hex in upper case | taken | taken |
//! | right, older than the tolerance | – | `Expired` |
//! | right, dated in the future | – | taken, as Stripe's own SDKs do |
//! | several signatures, one right | – | taken |
//! | only `sha1=`, only `v0` | `Malformed` | `Malformed` |
//! | cut short, or not hex | `Malformed` | `Mismatch`, it may stand beside a right one |
//! | of other bytes, or an unknown secret | `Mismatch` | `Mismatch` |
//! | the header twice | `Repeated` | `Repeated` |
//! | no header | `Missing` | `Missing` |

pub mod meta;
pub mod stripe;

use std::fmt;

use compline_runtime::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// An HMAC-SHA256, bytes.
const DIGEST_BYTES: usize = 32;

type Digest = [u8; DIGEST_BYTES];

/// The secrets that are live, made ready once: hashing a key into its two pads costs as much as
/// hashing 128 bytes of body.
#[derive(Clone)]
pub struct Keys(Vec<Hmac<Sha256>>);

/// Why a delivery is not taken for its vendor's. Says nothing of what would have been right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the signature header is missing")]
    Missing,
    #[error("the signature header is there more than once")]
    Repeated,
    #[error("the signature header does not read as one")]
    Malformed,
    #[error("the signature is not of this body under any live secret")]
    Mismatch,
    #[error("the signature is older than {} s", stripe::TOLERANCE_SECONDS)]
    Expired,
}

impl Keys {
    pub fn new(secrets: &[Secret]) -> Self {
        Self(secrets.iter().map(|secret| key(secret.expose())).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of `signatures` is that of the `parts`, one after another, under one of the
    /// secrets. Takes as long for a near miss as for nonsense.
    fn any_signed(&self, parts: &[&[u8]], signatures: &[Digest]) -> bool {
        let mut signed = Choice::from(0);
        for key in &self.0 {
            let expected = digest(key.clone(), parts);
            for signature in signatures {
                signed |= expected.ct_eq(signature);
            }
        }
        signed.into()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} x [redacted])", self.0.len())
    }
}

fn key(secret: &str) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length")
}

fn digest(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> Digest {
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The one value of a header that may not be repeated: of two, a proxy in front and we could each
/// take another.
fn only<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<&'a [u8], Refused> {
    let first = values.next().ok_or(Refused::Missing)?;
    match values.next() {
        Some(_) => Err(Refused::Repeated),
        None => Ok(first),
    }
}

fn parse_hex(text: &[u8]) -> Option<Digest> {
    let mut bytes = Digest::default();
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}
