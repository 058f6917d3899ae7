//! What people are told, and how urgently.
//!
//! | what happened (never what came late) | severity |
//! |---|---|
//! | an ad object is DISAPPROVED | critical |
//! | an issue was raised; WITH_ISSUES without one; PENDING_BILLING_INFO | warning |
//! | after one of these it is ACTIVE again | info |
//! | an account is DISABLED, UNSETTLED or CLOSED | critical |
//! | an account is in PENDING_RISK_REVIEW, PENDING_SETTLEMENT, IN_GRACE_PERIOD or PENDING_CLOSURE | warning |
//! | after one of these it is ACTIVE again | info |
//! | anything else | – |
//!
//! An ad object that was warned of stays so through every status on its way, such
//! as PENDING_REVIEW, until it is ACTIVE; ARCHIVED and DELETED end it in silence.

use compline_event::{account::status_name, activity_events::Severity, ad_events::Level};

use crate::change::AdObject;

pub(crate) const WITH_ISSUES: &str = "WITH_ISSUES";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) severity: Severity,
    pub(crate) title: String,
    pub(crate) body: String,
}

/// Notice of a new status; sets or ends the alarm.
pub(crate) fn of_status(
    ad: &AdObject,
    old: &str,
    new: &str,
    reason: &str,
    alarmed: &mut bool,
) -> Option<Notice> {
    let (severity, what) = match new {
        "DISAPPROVED" => (Severity::Critical, "was disapproved"),
        WITH_ISSUES => (Severity::Warning, "has issues"),
        "PENDING_BILLING_INFO" => (Severity::Warning, "waits for billing information"),
        "ACTIVE" if *alarmed => (Severity::Info, "is active again"),
        "ARCHIVED" | "DELETED" => {
            *alarmed = false;
            return None;
        }
        _ => return None,
    };
    *alarmed = severity != Severity::Info;
    let before = if old.is_empty() {
        String::new()
    } else {
        format!("It was {old}. ")
    };
    Some(Notice {
        severity,
        title: format!("{} {what}", name(ad)),
        body: format!("{before}{reason}").trim_end().to_owned(),
    })
}

pub(crate) fn of_issue(ad: &AdObject, error_code: &str, summary: &str, message: &str) -> Notice {
    let code = if error_code.is_empty() {
        String::new()
    } else {
        format!(" (error {error_code})")
    };
    let what = if summary.is_empty() {
        "it has an issue"
    } else {
        summary
    };
    Notice {
        severity: Severity::Warning,
        title: format!("{}: {what}{code}", name(ad)),
        body: message.to_owned(),
    }
}

pub(crate) fn of_account(account: &str, old: i32, new: i32, disable_reason: i32) -> Option<Notice> {
    let severity = match (account_severity(old), account_severity(new)) {
        (_, Some(severity)) => severity,
        (Some(_), None) if new == ACTIVE => Severity::Info,
        _ => return None,
    };
    let again = if severity == Severity::Info {
        " again"
    } else {
        ""
    };
    let reason = match disable_reason {
        0 => String::new(),
        reason => format!(" Meta gives disable reason {reason}."),
    };
    let before = match old {
        0 => String::new(),
        old => format!("It was {}.", account_status(old)),
    };
    Some(Notice {
        severity,
        title: format!("Ad account {account} is {}{again}", account_status(new)),
        body: format!("{before}{reason}").trim_start().to_owned(),
    })
}

const ACTIVE: i32 = 1;

fn account_severity(status: i32) -> Option<Severity> {
    match status {
        2 | 3 | 101 => Some(Severity::Critical),
        7 | 8 | 9 | 100 => Some(Severity::Warning),
        _ => None,
    }
}

/// As people read it.
pub(crate) fn account_status(status: i32) -> String {
    status_name(status).map_or_else(|| format!("status {status}"), str::to_owned)
}

pub(crate) fn name(ad: &AdObject) -> String {
    let level = match ad.level {
        Level::Ad => "Ad",
        Level::AdSet => "Ad set",
        Level::Campaign => "Campaign",
        Level::Account => "Ad account",
        Level::Unspecified => "Ad object",
    };
    format!("{level} {}", ad.id)
}
