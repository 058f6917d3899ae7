//! A value that is never printed.

use std::fmt;
use std::path::PathBuf;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

const REDACTED: &str = "[redacted]";

/// A password, key or token. `Debug`, `Display` and `Serialize` show `[redacted]`; memory is wiped
/// on drop. In settings it is text, or names a file to read (one trailing line break is dropped):
///
/// ```toml
/// app_secret = "text"
/// app_secret = { file = "/run/secrets/app" }   # COMPLINE_…__APP_SECRET__FILE=/run/secrets/app
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value itself. Compare it in constant time, and keep it out of errors and logs.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret: text, or { file = \"…\" }")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Secret, E> {
        Ok(Secret::new(value))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Secret, E> {
        Ok(Secret::new(value))
    }

    // Serde's own answer to a plain value quotes it, and without its quotes it may be the secret.
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::custom(
            "found a truth value, expected a secret in quotes",
        ))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom("found a number, expected a secret in quotes"))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
        Err(E::custom("found a number, expected a secret in quotes"))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom("found a number, expected a secret in quotes"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let Some(("file", path)) = map
            .next_entry::<String, PathBuf>()?
            .as_ref()
            .map(|(key, path)| (key.as_str(), path.clone()))
        else {
            return Err(de::Error::custom(
                "found a table, expected { file = \"…\" }",
            ));
        };
        if map.next_key::<String>()?.is_some() {
            return Err(de::Error::custom("found more keys, expected only `file`"));
        }
        let mut value = std::fs::read_to_string(&path)
            .map(Zeroizing::new)
            .map_err(|error| {
                // Whoever mistook this for the place of the secret itself gave no whole path.
                let shown = match path.is_absolute() {
                    true => path.display().to_string(),
                    false => REDACTED.to_owned(),
                };
                de::Error::custom(format_args!("cannot read the secret file {shown}: {error}"))
            })?;
        if value.ends_with('\n') {
            value.pop();
        }
        if value.ends_with('\r') {
            value.pop();
        }
        Ok(Secret(value))
    }
}
