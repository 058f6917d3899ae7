//! What ingress reads of a body: the key that decides its order in the log, and when the vendor
//! says that it happened. Nothing else is looked at, and nothing is refused here.
//!
//! | body | key |
//! |---|---|
//! | Meta's | `entry[0].id` |
//! | Stripe's v1 event | `data.object.id` |
//! | Stripe's v2 thin event | `related_object.id` |
//! | anything else, and ids that are empty or absurdly long | SHA-256 of the body, in hex |
//!
//! Everything that is not on the way to these is skipped without being built or recursed into, so
//! neither a body's size nor its depth costs more than one pass over its bytes.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Longer ids than this are nobody's, bytes.
const LONGEST_ID: usize = 255;

#[derive(Debug, PartialEq, Eq)]
pub struct Placed {
    /// 1 to 255 bytes.
    pub key: Bytes,
    /// By the vendor's clock, where the body has it.
    pub occurred_at: Option<OffsetDateTime>,
}

pub fn of_meta(body: &[u8]) -> Placed {
    let read: Meta<'_> = serde_json::from_slice(body).unwrap_or_default();
    let entry = read.entry.0.unwrap_or_default();
    place(body, entry.id, entry.time)
}

pub fn of_stripe(body: &[u8]) -> Placed {
    let read: Stripe<'_> = serde_json::from_slice(body).unwrap_or_default();
    let id = match read.data.and_then(|data| data.object) {
        Some(object) => object.id,
        None => read.related_object.unwrap_or_default().id,
    };
    place(body, id, read.created)
}

fn place(body: &[u8], id: Scalar<'_>, at: Scalar<'_>) -> Placed {
    let id = match id {
        Scalar::Text(id) => id,
        Scalar::Integer(id) => Cow::Owned(id.to_string()),
        Scalar::Other => Cow::Borrowed(""),
    };
    let key = match id.len() {
        1..=LONGEST_ID => Bytes::copy_from_slice(id.as_bytes()),
        _ => Bytes::from(hex::encode(Sha256::digest(body))),
    };
    let occurred_at = match at {
        Scalar::Integer(seconds) => OffsetDateTime::from_unix_timestamp(seconds).ok(),
        Scalar::Text(text) => OffsetDateTime::parse(&text, &Rfc3339).ok(),
        Scalar::Other => None,
    };
    Placed { key, occurred_at }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta<'a> {
    #[serde(borrow)]
    entry: First<Entry<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    #[serde(borrow)]
    time: Scalar<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stripe<'a> {
    #[serde(borrow)]
    data: Option<Data<'a>>,
    #[serde(borrow)]
    related_object: Option<Object<'a>>,
    #[serde(borrow)]
    created: Scalar<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data<'a> {
    #[serde(borrow)]
    object: Option<Object<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
}

/// The first element of a list.
#[derive(Default)]
struct First<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = First<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<First<T>, A::Error> {
                let first = list.next_element()?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }

        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// A text or a whole number; any other value reads as `Other` instead of spoiling its neighbours.
#[derive(Default)]
enum Scalar<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    #[default]
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or(Scalar::Other, Scalar::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(place: fn(&[u8]) -> Placed, cases: &[(&str, &str)]) {
        for (body, key) in cases {
            assert_eq!(place(body.as_bytes()).key, *key, "{body}");
        }
    }

    fn hash(body: &str) -> String {
        hex::encode(Sha256::digest(body))
    }

    #[test]
    fn meta_is_keyed_by_its_first_entry() {
        keys(
            of_meta,
            &[
                (
                    r#"{"object":"x","entry":[{"id":"1","time":2,"changes":[{}]},{"id":"3"}]}"#,
                    "1",
                ),
                (
                    r#"{"entry":[{"changes":[[[]]],"time":{},"id":123456789}]}"#,
                    "123456789",
                ),
                (r#"{"entry":[{"id":"\u0031\/2"}]}"#, "1/2"),
            ],
        );
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"entry":{}}"#,
            r#"{"entry":[]}"#,
            r#"{"entry":[{"id":""}]}"#,
            r#"{"entry":[{"id":"1"}]"#,
            r#"{"entry":[{"id":"1"}]} and more"#,
            &format!(r#"{{"entry":[{{"id":"{}"}}]}}"#, "1".repeat(256)),
        ] {
            keys(of_meta, &[(body, &hash(body))]);
        }
    }

    #[test]
    fn stripe_is_keyed_by_the_object_that_the_event_is_about() {
        let nothing = r#"{"id":"evt_1","data":{}}"#;
        keys(
            of_stripe,
            &[
                (
                    r#"{"id":"evt_1","data":{"object":{"items":[],"id":"sub_1"}}}"#,
                    "sub_1",
                ),
                (
                    r#"{"id":"evt_1","data":null,"related_object":{"id":"mtr_1"}}"#,
                    "mtr_1",
                ),
                (
                    r#"{"data":{"meter":"x"},"related_object":{"id":"mtr_1"}}"#,
                    "mtr_1",
                ),
                (nothing, &hash(nothing)),
            ],
        );
    }

    #[test]
    fn the_vendors_clock_is_taken_where_it_reads() {
        let at = OffsetDateTime::from_unix_timestamp(1_703_500_800).unwrap();
        let meta = |time: &str| of_meta(format!(r#"{{"entry":[{{"time":{time}}}]}}"#).as_bytes());
        let stripe = |created: &str| of_stripe(format!(r#"{{"created":{created}}}"#).as_bytes());
        assert_eq!(meta("1703500800").occurred_at, Some(at));
        assert_eq!(stripe("1703500800").occurred_at, Some(at));
        assert_eq!(
            stripe(r#""2023-12-25T10:40:00.000Z""#).occurred_at,
            Some(at)
        );
        for nonsense in ["1703500800000", "1.5", "-1e9", r#""now""#, "null", "[1]"] {
            assert_eq!(meta(nonsense).occurred_at, None, "{nonsense}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = "[".repeat(4 << 20);
        let body = format!(r#"{{"entry":[{{"changes":{deep}"#);
        assert_eq!(of_meta(body.as_bytes()).key, hash(&body));
        let balanced = format!(
            r#"{{"entry":[{{"changes":{}{},"id":"1"}}]}}"#,
            "[".repeat(1 << 20),
            "]".repeat(1 << 20)
        );
        assert_eq!(of_meta(balanced.as_bytes()).key, "1");
    }
}
