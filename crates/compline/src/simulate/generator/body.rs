//! Bodies as Meta and our relays write them: non-ASCII escaped, which these texts have
//! none of.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{ISSUES, Says};

/// Changes of one account, told at one time.
pub(super) fn of_changes<'a>(
    account: &str,
    time: i64,
    told: impl Iterator<Item = (u64, &'a Says)>,
) -> Bytes {
    let mut object = "";
    let changes = told.map(|(ad, says)| {
        if !matches!(says, Says::Status { .. }) {
            object = "ad_account";
        }
        change(account, &ad.to_string(), says)
    });
    let changes = changes.collect();
    entries(object, account, time, changes)
}

/// No JSON at all.
pub(super) const FORM: &[u8] = b"status=DISAPPROVED&ad_id=1";

pub(super) fn of_unknown_field(account: &str, time: i64) -> Bytes {
    let change = json!({"field": "ad_mood", "value": {"mood": "cheerful"}});
    entries("ad_account", account, time, vec![change])
}

pub(super) fn of_unknown_object() -> Bytes {
    json!({"object": "weather", "entry": []}).to_string().into()
}

fn change(account: &str, ad: &str, says: &Says) -> Value {
    match says {
        // Our relay's simpler payload, which names no object.
        Says::Status { old, new } => json!({"field": "ad_status", "value": {
            "ad_id": ad, "ad_account_id": account, "status": new, "old_status": old,
        }}),
        Says::Issue { code } => {
            let known = ISSUES.iter().find(|(known, _)| known == code);
            json!({"field": "with_issues_ad_objects", "value": {
                "id": ad, "level": "AD", "error_code": code,
                "error_summary": known.map_or("", |(_, summary)| summary),
                "error_message": "See the ad's delivery tab.",
            }})
        }
        Says::NoValue => json!({"field": "field_changed", "value": {
            "object_id": ad, "object_type": "AD", "changed_fields": ["effective_status"],
        }}),
    }
}

/// A body of several changes has two entries of one account and time.
fn entries(object: &str, account: &str, time: i64, mut changes: Vec<Value>) -> Bytes {
    let rest = changes.split_off(changes.len().div_ceil(2));
    let entry = |changes: Vec<Value>| json!({"id": account, "time": time, "changes": changes});
    let mut list = vec![entry(changes)];
    if !rest.is_empty() {
        list.push(entry(rest));
    }
    let body = match object {
        "" => json!({ "entry": list }),
        object => json!({ "object": object, "entry": list }),
    };
    body.to_string().into()
}
