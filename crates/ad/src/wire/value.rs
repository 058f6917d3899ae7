//! Single values, leniently: ids and numbers come as strings and as numbers.

use compline_event::ad_events::Level;
use serde_json::{Map, Value, value::RawValue};
use time::OffsetDateTime;

/// Longest id that is taken for one, in bytes. Meta's have up to 20 digits.
const ID_MAX: usize = 64;

/// From here on a stamp is in milliseconds: in seconds it would lie in the year
/// 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// The fields of a change's value. Unknown ones are no business of ours.
#[derive(Clone, Copy)]
pub(super) struct Fields<'v>(pub(super) &'v Map<String, Value>);

impl Fields<'_> {
    /// `null` is as good as missing.
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn id(&self, name: &str) -> Result<String, String> {
        let value = self
            .get(name)
            .ok_or_else(|| format!("value.{name} is missing"))?;
        id_of(value).ok_or_else(|| format!("value.{name} is not an id"))
    }

    /// Empty when missing.
    pub(super) fn text(&self, name: &str, max_bytes: usize) -> Result<String, String> {
        match self.get(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(clean(text, max_bytes)),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(_) => Err(format!("value.{name} is not a string")),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i32>, String> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        number
            .and_then(|number| i32::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| format!("value.{name} is not a whole number of 32 bits"))
    }

    /// At most `max` texts; empty when missing.
    pub(super) fn texts(
        &self,
        name: &str,
        max: usize,
        max_bytes: usize,
    ) -> Result<Vec<String>, String> {
        let wrong = || format!("value.{name} is not a list of strings");
        let items = match self.get(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(wrong()),
        };
        let text = |item: &Value| item.as_str().map(|text| clean(text, max_bytes));
        items
            .iter()
            .take(max)
            .map(|item| text(item).ok_or_else(wrong))
            .collect()
    }

    /// Meta writes AD_SET and adset; a level that we do not know, such as
    /// CREATIVE, is no reason to lose the change.
    pub(super) fn level(&self, name: &str, missing: Level) -> Result<Level, String> {
        let text = self.text(name, ID_MAX)?;
        if text.is_empty() {
            return Ok(missing);
        }
        let letters = |c: &char| c.is_ascii_alphabetic();
        let plain: String = text.chars().filter(letters).collect();
        Ok(match plain.to_ascii_uppercase().as_str() {
            "AD" => Level::Ad,
            "ADSET" => Level::AdSet,
            "CAMPAIGN" => Level::Campaign,
            "ACCOUNT" | "ADACCOUNT" => Level::Account,
            _ => Level::Unspecified,
        })
    }
}

pub(super) fn id(raw: &RawValue) -> Option<String> {
    id_of(&serde_json::from_str(raw.get()).ok()?)
}

/// Ids become keys and resource names, so only what needs no escaping there.
fn id_of(value: &Value) -> Option<String> {
    let id = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_u64()?.to_string(),
        _ => return None,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    ((1..=ID_MAX).contains(&id.len()) && id.bytes().all(plain)).then_some(id)
}

/// `entry.time`: seconds since 1970, or milliseconds, as a number or a string.
pub(super) fn time(raw: Option<&RawValue>) -> Result<OffsetDateTime, &'static str> {
    let raw = raw.ok_or("entry.time is missing")?;
    let number = match serde_json::from_str(raw.get()) {
        Ok(Value::Number(number)) => number.as_i64(),
        Ok(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let seconds = match number {
        Some(seconds @ 0..MILLISECONDS_FROM) => seconds,
        Some(milliseconds @ MILLISECONDS_FROM..) => milliseconds / 1_000,
        _ => return Err("entry.time is not a time in seconds"),
    };
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| "entry.time is not a time in seconds")
}

/// A text as we keep it: no NUL, which Postgres refuses, and at most `max_bytes`,
/// cut between two characters.
pub(crate) fn clean(text: &str, max_bytes: usize) -> String {
    let mut kept = if text.contains('\0') {
        text.replace('\0', "")
    } else {
        text[..text.floor_char_boundary(max_bytes)].to_owned()
    };
    kept.truncate(kept.floor_char_boundary(max_bytes));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(clean("aä", 2), "a");
        assert_eq!(clean("aä", 3), "aä");
        assert_eq!(clean("\0a\0ä", 3), "aä");
        assert_eq!(clean("", 0), "");
    }

    #[test]
    fn stamps() {
        let read = |json: &str| {
            let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
            time(Some(&raw)).map(OffsetDateTime::unix_timestamp)
        };
        for good in ["1703500800", "\"1703500800\"", "1703500800123"] {
            assert_eq!(read(good), Ok(1_703_500_800), "{good}");
        }
        let all_bad = [
            "-1",
            "1.5",
            "\"\"",
            "\"soon\"",
            "true",
            "[1]",
            "9223372036854775807",
        ];
        for bad in all_bad {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
