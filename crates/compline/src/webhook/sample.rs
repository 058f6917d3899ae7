//! One sample of every shape of webhook that compline knows, and of one that it
//! does not.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use compline_event::AdAccountId;
use serde_json::Value;
use time::OffsetDateTime;

use super::Sender;

/// The ad account that the samples are about; `up` connects it to the sample
/// tenant.
pub const ACCOUNT: &str = "123456789";

/// A webhook as its sender would post it.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub name: &'static str,
    pub sender: Sender,
    /// What it says, for people.
    pub about: &'static str,
    text: &'static str,
}

macro_rules! sample {
    ($name:literal, $sender:ident, $about:literal) => {
        Sample {
            name: $name,
            sender: Sender::$sender,
            about: $about,
            text: include_str!(concat!("../../samples/", $name, ".json")),
        }
    };
}

pub const ALL: &[Sample] = &[
    sample!(
        "ad-status",
        Meta,
        "an ad was disapproved (a relay's simpler payload)"
    ),
    sample!(
        "field-changed-ad",
        Meta,
        "an ad's status changed, without saying to what"
    ),
    sample!(
        "field-changed-ad-set",
        Meta,
        "an ad set's status changed, without saying to what"
    ),
    sample!(
        "field-changed-campaign",
        Meta,
        "a campaign's status changed, without saying to what"
    ),
    sample!(
        "effective-status",
        Meta,
        "some status below the account changed"
    ),
    sample!("with-issues-ad", Meta, "an ad has an issue"),
    sample!(
        "with-issues-ad-set",
        Meta,
        "an ad set has an issue (level AD_SET)"
    ),
    sample!(
        "with-issues-adset",
        Meta,
        "an ad set has an issue (level adset)"
    ),
    sample!("with-issues-campaign", Meta, "a campaign has an issue"),
    sample!("in-process-ad", Meta, "an ad has been processed"),
    sample!(
        "in-process-ad-set",
        Meta,
        "an ad set has been processed (level AD_SET)"
    ),
    sample!(
        "in-process-adset",
        Meta,
        "an ad set has been processed (level adset)"
    ),
    sample!("in-process-campaign", Meta, "a campaign has been processed"),
    sample!("account-status", Meta, "the ad account was disabled"),
    sample!("unknown-field", Meta, "a field that nobody knows yet"),
    sample!("stripe-invoice-paid", Stripe, "an invoice was paid"),
    sample!(
        "stripe-thin-event",
        Stripe,
        "a v2 event, which names its object only"
    ),
];

pub fn find(name: &str) -> Option<&'static Sample> {
    ALL.iter().find(|sample| sample.name == name)
}

/// What the ids of ads in the files begin with; two digits follow.
const ADS: &str = "238492038429";

impl Sample {
    /// The body as sent at `now`, about `account` and ads of its own: an old time would
    /// make it a late change, and the same time twice a duplicate.
    pub fn body(&self, account: &AdAccountId, now: OffsetDateTime) -> Result<Bytes> {
        let text = match account.as_str() {
            ACCOUNT => self.text.to_owned(),
            // At Meta, too, an ad is of one account for ever.
            other => (self.text)
                .replace(ADS, &format!("239{other}"))
                .replace(ACCOUNT, other),
        };
        let mut body: Value = serde_json::from_str(&text)
            .with_context(|| format!("the sample {} is not JSON", self.name))?;
        if let Some(entries) = body.get_mut("entry").and_then(Value::as_array_mut) {
            for entry in entries {
                entry["time"] = now.unix_timestamp().into();
            }
        }
        Ok(body.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_sample_and_takes_account_and_time() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/samples")).unwrap();
        assert_eq!(files.count(), ALL.len(), "a file that no sample names");

        let account: AdAccountId = "42".parse().unwrap();
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        for sample in ALL {
            let body = sample.body(&account, now).unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            if sample.sender == Sender::Meta {
                assert_eq!(body["entry"][0]["time"], 1_800_000_000, "{}", sample.name);
                assert!(body.to_string().contains("\"42\""), "{}", sample.name);
            }
            assert!(!body.to_string().contains(ADS), "{}", sample.name);
        }
    }

    #[test]
    fn two_accounts_have_no_sample_ad_in_common() {
        let ads = |account: &str| {
            let account: AdAccountId = account.parse().unwrap();
            let now = OffsetDateTime::UNIX_EPOCH;
            let bodies = ALL.iter().map(|sample| sample.body(&account, now).unwrap());
            let mut ads = std::collections::BTreeSet::new();
            for body in bodies {
                let text = String::from_utf8(body.to_vec()).unwrap();
                let ids = text.split('"').filter(|id| {
                    id.starts_with("23") && id.len() > 4 && id.bytes().all(|b| b.is_ascii_digit())
                });
                ads.extend(ids.map(str::to_owned));
            }
            ads
        };
        let (first, second, third) = (ads(ACCOUNT), ads("42"), ads("4242"));
        assert_eq!((first.len(), second.len(), third.len()), (12, 12, 12));
        assert!(first.is_disjoint(&second) && second.is_disjoint(&third));
        assert!(first.contains("23849203842934"), "the README shows it");
    }
}
