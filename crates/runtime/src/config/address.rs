//! Where to listen: `127.0.0.1:8080`, `[::1]:0`. For `#[serde(with = …)]` on a `SocketAddr`, whose
//! own error does not say what was found.

use std::net::SocketAddr;

use serde::de::{Deserialize, Deserializer, Error, Unexpected};
use serde::{Serialize, Serializer};

const EXPECTED: &str = "an address and port such as 127.0.0.1:8080";

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &EXPECTED))
}

pub fn serialize<S: Serializer>(address: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
    address.to_string().serialize(serializer)
}
