//! What one change of a webhook says, typed.

use std::borrow::Cow;

use compline_event::{AdAccountId, ad_events::Level};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

/// SHA-256 of what makes a change this change and no other.
pub(crate) type ContentId = [u8; 32];

/// A change that this version knows how to read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change<'a> {
    /// The entity that is locked: everything that a change touches belongs to
    /// its account.
    pub(crate) account: AdAccountId,
    /// `entry.time`: the version of what changed.
    pub(crate) at: OffsetDateTime,
    pub(crate) what: What,
    /// `None` for a change without a value: two of them are two requests to look.
    pub(crate) content: Option<ContentId>,
    pub(crate) alone: Alone<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// An ad object has this status.
    Status {
        ad: AdObject,
        status: String,
        /// Empty when the sender did not say.
        old_status: String,
        reason: String,
        placements: Vec<String>,
    },
    /// An ad object's status is another; which one must be fetched. What the
    /// sender calls it is for people: Meta translates it.
    Touched { ad: AdObject, called: String },
    /// An ad object has the status WITH_ISSUES, and this is one of them.
    Issue {
        ad: AdObject,
        error_code: String,
        summary: String,
        message: String,
    },
    /// The account itself has this status, by Meta's number.
    Account { status: i32, disable_reason: i32 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdObject {
    pub(crate) id: String,
    pub(crate) level: Level,
}

/// A change, or more of a body, that this version does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Unrecognized {
    pub(crate) object: String,
    pub(crate) field: String,
    pub(crate) problem: String,
    pub(crate) account: Option<AdAccountId>,
    pub(crate) at: Option<OffsetDateTime>,
}

/// The sender's own bytes of one change and of what stands around it, from which
/// it can be read again without the rest of its body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alone<'a> {
    pub(crate) object: Option<&'a str>,
    pub(crate) id: &'a str,
    pub(crate) time: &'a str,
    pub(crate) change: Cow<'a, str>,
}

impl Alone<'_> {
    pub(crate) fn to_body(&self) -> Vec<u8> {
        let Self {
            object,
            id,
            time,
            change,
        } = self;
        let object = object.map_or_else(String::new, |object| format!(r#""object":{object},"#));
        format!(r#"{{{object}"entry":[{{"id":{id},"time":{time},"changes":[{change}]}}]}}"#)
            .into_bytes()
    }
}

/// The content id of protocol §3. Key order, white space and the escaping of
/// letters make no difference, for a relay may have written the body anew.
pub(crate) fn content_id(
    object: &str,
    entry_id: &str,
    at: OffsetDateTime,
    field: &str,
    value: &Value,
) -> ContentId {
    let mut hash = Sha256::new();
    for part in [object, entry_id, field] {
        absorb(&mut hash, b'p', part.as_bytes());
    }
    hash.update(at.unix_timestamp().to_be_bytes());
    absorb_value(&mut hash, value);
    hash.finalize().into()
}

/// Each part goes in with its kind and length, so that no two values run into
/// the same bytes.
fn absorb(hash: &mut Sha256, kind: u8, bytes: &[u8]) {
    hash.update([kind]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

/// Recursion ends: the parser refuses what is nested deeper than 128.
fn absorb_value(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update(b"n"),
        Value::Bool(true) => hash.update(b"t"),
        Value::Bool(false) => hash.update(b"f"),
        Value::Number(number) => absorb(hash, b'd', number.to_string().as_bytes()),
        Value::String(text) => absorb(hash, b's', text.as_bytes()),
        Value::Array(items) => {
            hash.update(b"a");
            hash.update((items.len() as u64).to_be_bytes());
            for item in items {
                absorb_value(hash, item);
            }
        }
        Value::Object(fields) => {
            hash.update(b"o");
            hash.update((fields.len() as u64).to_be_bytes());
            // Whether the map is sorted depends on a feature that any crate of
            // the build may turn on.
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in sorted {
                absorb(hash, b'k', name.as_bytes());
                absorb_value(hash, value);
            }
        }
    }
}

/// What tells one issue of an ad from another, as far as people can tell.
pub(crate) fn issue_digest(error_code: &str, summary: &str, message: &str) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in [error_code, summary, message] {
        absorb(&mut hash, b'p', part.as_bytes());
    }
    let (digest, _) = <[u8; 32]>::from(hash.finalize())
        .split_first_chunk::<16>()
        .map(|(head, rest)| (*head, rest.len()))
        .expect("32 bytes have 16");
    digest
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn id(json: &str) -> ContentId {
        let value = serde_json::from_str(json).unwrap();
        content_id(
            "ad_account",
            "1",
            datetime!(2026-01-01 00:00 UTC),
            "f",
            &value,
        )
    }

    #[test]
    fn a_body_written_anew_is_the_same_content() {
        assert_eq!(
            id(r#"{"a":"ä","b":[1,2]}"#),
            id(r#"{ "b": [1, 2], "a": "\u00e4" }"#)
        );
    }

    #[test]
    fn neighbours_do_not_run_together() {
        let different = [
            r#"{"a":"1"}"#,
            r#"{"a":1}"#,
            r#"{"a":["1"]}"#,
            r#"{"a":[["1"]]}"#,
            r#"[{"a":"1"}]"#,
            r#"{"a":null}"#,
            r#"{}"#,
            r#"[]"#,
        ];
        for (index, one) in different.iter().enumerate() {
            for other in &different[index + 1..] {
                assert_ne!(id(one), id(other), "{one} and {other}");
            }
        }
    }
}
