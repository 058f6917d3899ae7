//! What the table of `docs/webhooks.md` says, for every sample and then some:
//! posted as it is, read back through every door.

use std::sync::Arc;

use compline::webhook::{Sender, sample};
use compline_event::Topic;

use super::{show, tenant::Tenant};
use crate::house::House;

/// The account of the samples, and one for what they leave out.
const ACCOUNT: &str = "123456789";
const ANOTHER: &str = "123456780";

/// Stands for the message of the samples' issues.
const MESSAGE: &str = "The post of this ad was removed, or you may not see it – prüfen Sie es.";

struct Row {
    posted: Posted,
    /// The ad object that it is about.
    ad_id: &'static str,
    ad: &'static str,
    history: &'static [&'static str],
    trail: &'static [&'static str],
    notices: &'static [&'static str],
}

enum Posted {
    /// The file of this name.
    Sample(&'static str),
    Bodies(&'static [&'static str]),
}

use Posted::{Bodies, Sample};

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row {
        posted: Sample("ad-status"),
        ad_id: "23849203842934",
        ad: r#"AD 23849203842934 of 123456789: "ACTIVE" to "DISAPPROVED" since 0; version 1"#,
        history: &[r#""ACTIVE" to "DISAPPROVED" at 0"#],
        trail: &["ad.status_changed of ads/23849203842934 at 0: Ad 23849203842934 went from ACTIVE to DISAPPROVED"],
        notices: &["CRITICAL of ads/23849203842934 at 0: Ad 23849203842934 was disapproved | It was ACTIVE."],
    },
    Row {
        posted: Sample("field-changed-ad"),
        ad_id: "23849203842935",
        ad: r#"AD 23849203842935 of 123456789: "" to "" since -, to be fetched; version 1"#,
        history: &[r#""" to "" at 0, to be fetched"#],
        trail: &["ad.status_changed of ads/23849203842935 at 0: Ad 23849203842935 changed; to what was not told"],
        notices: &[],
    },
    Row {
        posted: Sample("field-changed-ad-set"),
        ad_id: "23849203842944",
        ad: r#"AD_SET 23849203842944 of 123456789: "" to "" since -, to be fetched; version 1"#,
        history: &[r#""" to "" at 0, to be fetched"#],
        trail: &["ad.status_changed of ads/23849203842944 at 0: Ad set 23849203842944 changed; to what was not told"],
        notices: &[],
    },
    Row {
        posted: Sample("field-changed-campaign"),
        ad_id: "23849203842952",
        ad: r#"CAMPAIGN 23849203842952 of 123456789: "" to "" since -, to be fetched; version 1"#,
        history: &[r#""" to "" at 0, to be fetched"#],
        trail: &["ad.status_changed of ads/23849203842952 at 0: Campaign 23849203842952 changed; to what was not told"],
        notices: &[],
    },
    Row {
        posted: Sample("effective-status"),
        ad_id: "123456789",
        ad: r#"ACCOUNT 123456789 of 123456789: "" to "" since -, to be fetched; version 1"#,
        history: &[r#""" to "" at 0, to be fetched"#],
        trail: &["ad.status_changed of ads/123456789 at 0: Ad account 123456789 changed; to what was not told"],
        notices: &[],
    },
    Row {
        posted: Sample("with-issues-ad"),
        ad_id: "23849203842936",
        ad: r#"AD 23849203842936 of 123456789: "" to "WITH_ISSUES" since 0, because "1815869: Ad post is not available", issue 1815869 at 0: "Ad post is not available", "MESSAGE"; version 2"#,
        history: &[r#""" to "WITH_ISSUES" at 0, because "1815869: Ad post is not available""#],
        trail: &["ad.issue_raised of ads/23849203842936 at 0: Ad 23849203842936: Ad post is not available (error 1815869)"],
        notices: &["WARNING of ads/23849203842936 at 0: Ad 23849203842936: Ad post is not available (error 1815869) | MESSAGE"],
    },
    Row {
        posted: Sample("with-issues-ad-set"),
        ad_id: "23849203842940",
        ad: r#"AD_SET 23849203842940 of 123456789: "" to "WITH_ISSUES" since 0, because "1815869: Ad post is not available", issue 1815869 at 0: "Ad post is not available", "MESSAGE"; version 2"#,
        history: &[r#""" to "WITH_ISSUES" at 0, because "1815869: Ad post is not available""#],
        trail: &["ad.issue_raised of ads/23849203842940 at 0: Ad set 23849203842940: Ad post is not available (error 1815869)"],
        notices: &["WARNING of ads/23849203842940 at 0: Ad set 23849203842940: Ad post is not available (error 1815869) | MESSAGE"],
    },
    Row {
        posted: Sample("with-issues-adset"),
        ad_id: "23849203842941",
        ad: r#"AD_SET 23849203842941 of 123456789: "" to "WITH_ISSUES" since 0, because "1815869: Ad post is not available", issue 1815869 at 0: "Ad post is not available", "MESSAGE"; version 2"#,
        history: &[r#""" to "WITH_ISSUES" at 0, because "1815869: Ad post is not available""#],
        trail: &["ad.issue_raised of ads/23849203842941 at 0: Ad set 23849203842941: Ad post is not available (error 1815869)"],
        notices: &["WARNING of ads/23849203842941 at 0: Ad set 23849203842941: Ad post is not available (error 1815869) | MESSAGE"],
    },
    Row {
        posted: Sample("with-issues-campaign"),
        ad_id: "23849203842950",
        ad: r#"CAMPAIGN 23849203842950 of 123456789: "" to "WITH_ISSUES" since 0, because "1815869: Ad post is not available", issue 1815869 at 0: "Ad post is not available", "MESSAGE"; version 2"#,
        history: &[r#""" to "WITH_ISSUES" at 0, because "1815869: Ad post is not available""#],
        trail: &["ad.issue_raised of ads/23849203842950 at 0: Campaign 23849203842950: Ad post is not available (error 1815869)"],
        notices: &["WARNING of ads/23849203842950 at 0: Campaign 23849203842950: Ad post is not available (error 1815869) | MESSAGE"],
    },
    Row {
        posted: Sample("in-process-ad"),
        ad_id: "23849203842937",
        ad: r#"AD 23849203842937 of 123456789: "" to "" since -, to be fetched; version 1"#,
        history: &[r#""" to "" at 0, because "Active", to be fetched"#],
        trail: &[r#"ad.status_changed of ads/23849203842937 at 0: Ad 23849203842937 left processing; Meta calls it "Active" now"#],
        notices: &[],
    },
    Row {
        posted: Sample("in-process-ad-set"),
        ad_id: "23849203842942",
        ad: r#"AD_SET 23849203842942 of 123456789: "" to "" since -, to be fetched; version 1"#,
        history: &[r#""" to "" at 0, because "Active", to be fetched"#],
        trail: &[r#"ad.status_changed of ads/23849203842942 at 0: Ad set 23849203842942 left processing; Meta calls it "Active" now"#],
        notices: &[],
    },
    Row {
        posted: Sample("in-process-adset"),
        ad_id: "23849203842943",
        ad: r#"AD_SET 23849203842943 of 123456789: "" to "" since -, to be fetched; version 1"#,
        history: &[r#""" to "" at 0, because "Active", to be fetched"#],
        trail: &[r#"ad.status_changed of ads/23849203842943 at 0: Ad set 23849203842943 left processing; Meta calls it "Active" now"#],
        notices: &[],
    },
    Row {
        posted: Sample("in-process-campaign"),
        ad_id: "23849203842951",
        ad: r#"CAMPAIGN 23849203842951 of 123456789: "" to "" since -, to be fetched; version 1"#,
        history: &[r#""" to "" at 0, because "Active", to be fetched"#],
        trail: &[r#"ad.status_changed of ads/23849203842951 at 0: Campaign 23849203842951 left processing; Meta calls it "Active" now"#],
        notices: &[],
    },
    // What a relay may say beyond the sample.
    Row {
        posted: Bodies(&[r#"{"object":"ad_account","entry":[{"id":"act_123456780","time":"1703500801","changes":[{"field":"ad_status","value":{"ad_id":501,"status":"ODD_AND_NEW","level":"campaign","reason":"why","placements":["feed","story"],"since":[2]}}]}]}"#]),
        ad_id: "501",
        ad: r#"CAMPAIGN 501 of 123456780: "" to "ODD_AND_NEW" since 1, because "why", on ["feed", "story"]; version 1"#,
        history: &[r#""" to "ODD_AND_NEW" at 1, because "why", on ["feed", "story"]"#],
        trail: &["ad.status_changed of ads/501 at 1: Campaign 501 is ODD_AND_NEW"],
        notices: &[],
    },
    // Or not say.
    Row {
        posted: Bodies(&[r#"{"entry":[{"id":"987","time":1703500801000,"changes":[{"field":"ad_status","value":{"ad_id":"502","ad_account_id":"act_123456780"}}]}]}"#]),
        ad_id: "502",
        ad: r#"AD 502 of 123456780: "" to "" since -, to be fetched; version 1"#,
        history: &[r#""" to "" at 1, to be fetched"#],
        trail: &["ad.status_changed of ads/502 at 1: Ad 502 changed; to what was not told"],
        notices: &[],
    },
    // Levels that no sample has.
    Row {
        posted: Bodies(&[r#"{"object":"ad_account","entry":[{"id":"123456780","time":1703500801,"changes":[{"field":"field_changed","value":{"object_id":"503","object_type":"CREATIVE","changed_fields":["name","effective_status"]}}]}]}"#]),
        ad_id: "503",
        ad: r#"UNSPECIFIED 503 of 123456780: "" to "" since -, to be fetched; version 1"#,
        history: &[r#""" to "" at 1, to be fetched"#],
        trail: &["ad.status_changed of ads/503 at 1: Ad object 503 changed; to what was not told"],
        notices: &[],
    },
    Row {
        posted: Bodies(&[r#"{"object":"ad_account","entry":[{"id":"123456780","time":1703500801,"changes":[{"field":"in_process_ad_objects","value":{"id":"504","level":"AD_ACCOUNT","status_name":"Pausiert"}}]}]}"#]),
        ad_id: "504",
        ad: r#"ACCOUNT 504 of 123456780: "" to "" since -, to be fetched; version 1"#,
        history: &[r#""" to "" at 1, because "Pausiert", to be fetched"#],
        trail: &[r#"ad.status_changed of ads/504 at 1: Ad account 504 left processing; Meta calls it "Pausiert" now"#],
        notices: &[],
    },
    // A field without a value, from a subscription that asks for none.
    Row {
        posted: Bodies(&[r#"{"object":"ad_account","entry":[{"id":"123456780","time":1703500801,"changes":[{"field":"effective_status"}]}]}"#]),
        ad_id: "123456780",
        ad: r#"ACCOUNT 123456780 of 123456780: "" to "" since -, to be fetched; version 1"#,
        history: &[r#""" to "" at 1, to be fetched"#],
        trail: &["ad.status_changed of ads/123456780 at 1: Ad account 123456780 changed; to what was not told"],
        notices: &[],
    },
    // One shape after another of the same ad: two issues, a look, and all is well.
    Row {
        posted: Bodies(&[
            r#"{"object":"ad_account","entry":[{"id":"123456780","time":1703500801,"changes":[{"field":"with_issues_ad_objects","value":{"id":"505","level":"AD","error_code":"1","error_summary":"one","error_message":"first"}}]}]}"#,
            r#"{"object":"ad_account","entry":[{"id":"123456780","time":1703500802,"changes":[{"field":"with_issues_ad_objects","value":{"id":"505","level":"AD","error_code":"2","error_summary":"two","error_message":"second"}}]}]}"#,
            r#"{"object":"ad_account","entry":[{"id":"123456780","time":1703500803,"changes":[{"field":"field_changed","value":{"object_id":"505","object_type":"AD","changed_fields":["effective_status"]}}]}]}"#,
            r#"{"entry":[{"id":"123456780","time":1703500804,"changes":[{"field":"ad_status","value":{"ad_id":"505","ad_account_id":"123456780","status":"ACTIVE"}}]}]}"#,
        ]),
        ad_id: "505",
        ad: r#"AD 505 of 123456780: "WITH_ISSUES" to "ACTIVE" since 4; version 5"#,
        history: &[
            r#""" to "WITH_ISSUES" at 1, because "1: one""#,
            r#""WITH_ISSUES" to "" at 3, to be fetched"#,
            r#""WITH_ISSUES" to "ACTIVE" at 4"#,
        ],
        trail: &[
            "ad.issue_raised of ads/505 at 1: Ad 505: one (error 1)",
            "ad.issue_raised of ads/505 at 2: Ad 505: two (error 2)",
            "ad.status_changed of ads/505 at 3: Ad 505 changed; to what was not told",
            "ad.status_changed of ads/505 at 4: Ad 505 went from WITH_ISSUES to ACTIVE",
        ],
        notices: &[
            "WARNING of ads/505 at 1: Ad 505: one (error 1) | first",
            "WARNING of ads/505 at 2: Ad 505: two (error 2) | second",
            "INFO of ads/505 at 4: Ad 505 is active again | It was WITH_ISSUES.",
        ],
    },
];

/// Of no ad object: an account's own status, in a sample and in its life.
const ACCOUNT_BODIES: [&str; 2] = [
    r#"{"object":"application","entry":[{"id":"987654321","time":1703500801,"changes":[{"field":"ad_account","value":{"id":"act_123456780","account_status":9}}]}]}"#,
    r#"{"object":"application","entry":[{"id":"987654321","time":1703500802,"changes":[{"field":"ad_account","value":{"id":"act_123456780","account_status":"1"}}]}]}"#,
];

pub(super) async fn every_shape(house: Arc<House>) {
    let tenant = Tenant::watching(&house, ACCOUNT).await;
    tenant.connect(ANOTHER).await;
    let mut unused: Vec<&str> = sample::ALL.iter().map(|sample| sample.name).collect();
    let mut take = |name: &str| {
        let place = unused.iter().position(|unused| *unused == name);
        unused.remove(place.unwrap_or_else(|| panic!("no sample {name}, or twice")));
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
        std::fs::read(format!("{folder}/{name}.json")).unwrap()
    };

    for row in ROWS {
        match row.posted {
            Sample(name) => house.post(take(name)).await,
            Bodies(bodies) => {
                for body in bodies {
                    house.post(*body).await;
                }
            }
        }
    }
    house.post(take("account-status")).await;
    for body in ACCOUNT_BODIES {
        house.post(body).await;
    }
    house.post(take("unknown-field")).await;
    let stripe = stripe_records(&house).await;
    for name in ["stripe-invoice-paid", "stripe-thin-event"] {
        let answer = house.send(Sender::Stripe, take(name)).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    }
    assert!(unused.is_empty(), "no expectation for {unused:?}");
    house.caught_up().await;

    for row in ROWS {
        assert_row(&tenant, row).await;
    }
    assert_eq!(
        tenant.ads().await.len(),
        ROWS.len(),
        "and no ad beside them"
    );
    let notices: usize = ROWS.iter().map(|row| row.notices.len()).sum();
    let told = tenant.notifications(Vec::new()).await;
    assert_eq!(told.notifications.len(), notices + 3, "and of 3 accounts");
    assert_eq!(told.unread_count, (notices + 3) as i64);
    assert_accounts(&tenant).await;
    let counters = tenant.counters().await;
    let counters: Vec<String> = counters.into_iter().map(show::counter).collect();
    assert_eq!(
        counters,
        [
            r#"1 of meta_webhook "ad_account" "ad_mood", last of accounts/123456789: this field of this object is not followed"#
        ]
    );
    assert_eq!(
        stripe_records(&house).await,
        stripe + 2,
        "kept as they came"
    );
}

async fn assert_row(tenant: &Tenant, row: &Row) {
    let id = row.ad_id;
    let lines = |lines: &[&str]| -> Vec<String> {
        let line = |line: &&str| line.replace("MESSAGE", MESSAGE);
        lines.iter().map(line).collect()
    };
    let ad = tenant.ad(id).await.unwrap();
    assert_eq!(show::ad(ad), row.ad.replace("MESSAGE", MESSAGE));
    let history = tenant.history(id).await.unwrap();
    assert_eq!(show::changes(history), lines(row.history), "{id}");
    let subject = format!("ads/{id}");
    assert_eq!(trail(tenant, &subject).await, lines(row.trail), "{id}");
    assert_eq!(notices(tenant, &subject).await, lines(row.notices), "{id}");
}

async fn assert_accounts(tenant: &Tenant) {
    let accounts = tenant.accounts().await;
    let accounts: Vec<String> = accounts.into_iter().map(show::account).collect();
    assert_eq!(
        accounts,
        [
            r#"accounts/123456780 "" connected: status 1, reason 0, since 2; version 1"#,
            r#"accounts/123456789 "" connected: status 2, reason 1, since 0; version 1"#,
        ]
    );
    assert_eq!(
        trail(tenant, "accounts/123456789").await,
        ["account.status_changed of accounts/123456789 at 0: Ad account 123456789 is DISABLED"]
    );
    assert_eq!(
        notices(tenant, "accounts/123456789").await,
        [
            "CRITICAL of accounts/123456789 at 0: Ad account 123456789 is DISABLED | Meta gives disable reason 1."
        ]
    );
    assert_eq!(
        trail(tenant, "accounts/123456780").await,
        [
            "account.status_changed of accounts/123456780 at 1: Ad account 123456780 is IN_GRACE_PERIOD",
            "account.status_changed of accounts/123456780 at 2: Ad account 123456780 went from IN_GRACE_PERIOD to ACTIVE",
        ]
    );
    assert_eq!(
        notices(tenant, "accounts/123456780").await,
        [
            "WARNING of accounts/123456780 at 1: Ad account 123456780 is IN_GRACE_PERIOD | ",
            "INFO of accounts/123456780 at 2: Ad account 123456780 is ACTIVE again | It was IN_GRACE_PERIOD.",
        ]
    );
}

/// What the trail says of `subject`, but for what people did; the oldest first by
/// its own time.
async fn trail(tenant: &Tenant, subject: &str) -> Vec<String> {
    let mut entries = tenant.activities(subject).await;
    entries.retain(|entry| entry.source != "user");
    entries.sort_by_key(|entry| entry.happen_time.map(|time| time.seconds));
    entries.into_iter().map(show::activity).collect()
}

async fn notices(tenant: &Tenant, subject: &str) -> Vec<String> {
    let mut notices = tenant.notifications(Vec::new()).await.notifications;
    notices.retain(|notice| notice.subject == subject);
    notices.sort_by_key(|notice| notice.raise_time.map(|time| time.seconds));
    notices.into_iter().map(show::notification).collect()
}

async fn stripe_records(house: &House) -> i64 {
    let ends = house.ends().await;
    let ends = ends
        .iter()
        .filter(|(topic, ..)| *topic == Topic::WebhookStripe);
    ends.map(|(.., end)| end.0).sum()
}
