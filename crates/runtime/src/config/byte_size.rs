//! Sizes as people write them: `4MiB`, `64KiB`, `1GiB`, `500B`, `4194304`. For `#[serde(with = …)]`
//! on a `usize` or a `u64`.

use serde::de::{Deserialize, Deserializer, Error, Unexpected};
use serde::{Serialize, Serializer};

const EXPECTED: &str = "a size such as 500B, 64KiB, 4MiB or 1GB";

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Bytes, or `None` when it is not a size.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim_start();
    if unit.is_empty() {
        return Some(number);
    }
    let (_, bytes) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*bytes)
}

/// The largest binary unit that divides it: `4MiB`.
pub fn format(bytes: u64) -> String {
    let (unit, size) = UNITS[..4]
        .iter()
        .find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size))
        .unwrap_or(&UNITS[8]);
    format!("{}{unit}", bytes / size)
}

pub fn deserialize<'de, D, N>(deserializer: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<u64>,
{
    let text = String::deserialize(deserializer)?;
    parse(&text)
        .and_then(|bytes| N::try_from(bytes).ok())
        .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &EXPECTED))
}

pub fn serialize<N, S>(bytes: &N, serializer: S) -> Result<S::Ok, S::Error>
where
    N: Copy + TryInto<u64>,
    S: Serializer,
{
    format((*bytes).try_into().unwrap_or(u64::MAX)).serialize(serializer)
}
