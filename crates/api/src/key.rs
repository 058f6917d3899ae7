//! API keys as callers hold them: `cpl_<tenant>_<id>_<secret>`.
//!
//! The tenant stands in the key so that even its look-up runs under that tenant.
//! Nobody keeps the secret but the caller: the log and the read model know its
//! SHA-256. It is 256 random bits, so a plain hash is as good as a slow one.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

const PREFIX: &str = "cpl";
const SECRET_BYTES: usize = 32;
const MAX_ID_BYTES: usize = 64;

/// A key with its secret. `Debug` shows only whose it is.
#[derive(Clone)]
pub struct ApiKey {
    /// Nil for the operator's.
    pub tenant: Uuid,
    pub key_id: String,
    secret: [u8; SECRET_BYTES],
}

/// Says nothing of what was found: it may have been almost a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API key: one reads cpl_<tenant>_<id>_<secret>")]
pub struct ApiKeyError;

impl ApiKey {
    /// Draws a new secret. `key_id` is 1 to 64 ASCII letters and digits.
    pub fn generate(tenant: Uuid, key_id: impl Into<String>) -> Self {
        let key_id = key_id.into();
        debug_assert!(is_id(&key_id), "{key_id}");
        Self {
            tenant,
            key_id,
            secret: rand::random(),
        }
    }

    /// The whole key: show it once, to whom it belongs.
    pub fn reveal(&self) -> String {
        let (tenant, secret) = (self.tenant.simple(), hex::encode(self.secret));
        format!("{PREFIX}_{tenant}_{}_{secret}", self.key_id)
    }

    /// What may be kept of the secret.
    pub fn secret_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// Whether its secret is the one that was hashed, in a time that does not tell.
    pub fn matches(&self, secret_sha256: &[u8; 32]) -> bool {
        self.secret_sha256().ct_eq(secret_sha256).into()
    }
}

impl FromStr for ApiKey {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<Self, ApiKeyError> {
        let mut parts = text.split('_');
        let mut part = || parts.next().ok_or(ApiKeyError);
        let (prefix, tenant, key_id, secret) = (part()?, part()?, part()?, part()?);
        if prefix != PREFIX || !is_id(key_id) || parts.next().is_some() {
            return Err(ApiKeyError);
        }
        let tenant = Uuid::try_parse(tenant).map_err(|_| ApiKeyError)?;
        let mut bytes = [0; SECRET_BYTES];
        hex::decode_to_slice(secret, &mut bytes).map_err(|_| ApiKeyError)?;
        Ok(Self {
            tenant,
            key_id: key_id.to_owned(),
            secret: bytes,
        })
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("tenant", &self.tenant)
            .field("key_id", &self.key_id)
            .field("secret", &"[redacted]")
            .finish()
    }
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: Uuid = Uuid::from_u128(7);

    #[test]
    fn a_key_reads_as_it_was_revealed() {
        let key = ApiKey::generate(TENANT, "k1");
        let read: ApiKey = key.reveal().parse().unwrap();
        assert_eq!((read.tenant, read.key_id.as_str()), (TENANT, "k1"));
        assert!(read.matches(&key.secret_sha256()));
        assert!(!ApiKey::generate(TENANT, "k1").matches(&key.secret_sha256()));
    }

    #[test]
    fn the_secret_is_shown_only_when_revealed() {
        let key = ApiKey::generate(TENANT, "k1");
        let shown = format!("{key:?} {:?}", key.reveal()[1..].parse::<ApiKey>());
        let secret = key.reveal().rsplit_once('_').unwrap().1.to_owned();
        assert!(shown.contains("[redacted]") && !shown.contains(&secret[..8]));
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        let key = ApiKey::generate(TENANT, "k1").reveal();
        for nonsense in [
            "",
            "cpl",
            "cpl_1_k1_00",
            &key[1..],
            &key[..key.len() - 1],
            &format!("{key}_x"),
            &format!("{key}0"),
            &key.replace("k1", ""),
            &key.replace("k1", "k/1"),
        ] {
            assert!(nonsense.parse::<ApiKey>().is_err(), "{nonsense}");
        }
    }
}
