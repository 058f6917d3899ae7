//! An event that was changed twice: first a field was added, which is the same version; then an
//! amount became minor units, which is another. Bytes from all three builds are in the log.

use bytes::Bytes;
use prost::Message;

use crate::envelope::DecodeError;

use super::read;

/// As it was first released.
#[derive(Clone, PartialEq, Message)]
struct FirstBudgetSet {
    #[prost(string, tag = "1")]
    ad_id: String,
    /// `"12.50"`
    #[prost(string, tag = "2")]
    amount: String,
}

/// Version 1 with one field more.
#[derive(Clone, PartialEq, Message)]
struct BudgetSetV1 {
    #[prost(string, tag = "1")]
    ad_id: String,
    #[prost(string, tag = "2")]
    amount: String,
    #[prost(string, tag = "3")]
    set_by: String,
}

/// Version 2, in a package of its own.
#[derive(Clone, PartialEq, Message)]
pub struct BudgetSet {
    #[prost(string, tag = "1")]
    ad_id: String,
    #[prost(int64, tag = "2")]
    amount_minor: i64,
    #[prost(string, tag = "3")]
    set_by: String,
}

/// An upcaster has an answer for all bytes that the old version took: what cannot be read as an
/// amount was no budget then, and is none now.
fn in_minor_units(old: BudgetSetV1) -> BudgetSet {
    let (major, minor) = old.amount.split_once('.').unwrap_or((&old.amount, ""));
    let minor = format!("{minor:0<2}");
    let amount = (major.parse::<u32>().ok()).zip(minor.parse::<u8>().ok().filter(|n| *n < 100));
    BudgetSet {
        ad_id: old.ad_id,
        amount_minor: amount.map_or(0, |(major, minor)| {
            i64::from(major) * 100 + i64::from(minor)
        }),
        set_by: old.set_by,
    }
}

events! {
    BudgetSet(BudgetSet) = 2 from 1: BudgetSetV1 => in_minor_units;
}

fn written_first(amount: &str) -> FirstBudgetSet {
    FirstBudgetSet {
        ad_id: "9".into(),
        amount: amount.into(),
    }
}

#[test]
fn a_field_more_is_the_same_version_for_old_bytes_and_for_old_builds() {
    let old = written_first("12.50").encode_to_vec();
    let read_now = BudgetSetV1::decode(&old[..]).unwrap();
    assert_eq!(
        (read_now.amount.as_str(), read_now.set_by.as_str()),
        ("12.50", "")
    );

    let new = BudgetSetV1 {
        set_by: "k1".into(),
        ..read_now
    };
    let read_then = FirstBudgetSet::decode(&new.encode_to_vec()[..]).unwrap();
    assert_eq!(read_then, written_first("12.50"));
}

#[test]
fn another_version_is_read_as_todays() {
    for (amount, minor) in [
        ("12.50", 1_250),
        ("12.5", 1_250),
        ("12", 1_200),
        ("much", 0),
        ("-1.50", 0),
    ] {
        let old: Bytes = written_first(amount).encode_to_vec().into();
        let Event::BudgetSet(read) = Event::decode("BudgetSet", 1, old).unwrap();
        assert_eq!(
            (read.amount_minor, read.set_by.as_str()),
            (minor, ""),
            "{amount}"
        );
    }
    let today = Event::BudgetSet(BudgetSet {
        ad_id: "9".into(),
        amount_minor: 7,
        set_by: "k1".into(),
    });
    assert_eq!((today.type_name(), today.version()), ("BudgetSet", 2));
    assert_eq!(
        Event::decode("BudgetSet", 2, today.encode()).unwrap(),
        today
    );
    assert_eq!(today.encoded_len(), today.encode().len());
    assert_eq!(Event::TYPES, [("BudgetSet", 2)]);
}

/// Its bytes may well parse as today's, and would say something else.
#[test]
fn a_newer_version_is_no_event_of_this_build() {
    let bytes: Bytes = written_first("12.50").encode_to_vec().into();
    for (version, says) in [
        (
            3,
            "BudgetSet has version 3, and this build writes version 2: a newer build has written it",
        ),
        (
            0,
            "BudgetSet has version 0, and this build writes version 2: there is no upcaster from the one to the other",
        ),
    ] {
        let error = Event::decode("BudgetSet", version, bytes.clone()).unwrap_err();
        assert!(matches!(
            error,
            DecodeError::UnknownVersion { newest: 2, .. }
        ));
        assert_eq!(error.to_string(), says);
    }
}
