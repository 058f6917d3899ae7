//! Answers as lines, so that a table can say all of them. Every field is shown,
//! but for what no table can know: our own clock, ids of events, positions.

use std::fmt::Write as _;

use compline_api::query::{
    Account, Activity, Ad, AdIssue, AdStatusChange, Notification, NotificationSeverity,
    WebhookCounter,
};
use prost_types::Timestamp;
use uuid::Uuid;

use super::body::T;

pub(super) fn ad(ad: Ad) -> String {
    let level = ad.level().as_str_name().replace("AD_LEVEL_", "");
    let Ad {
        name,
        ad_id,
        ad_account_id,
        level: _,
        status,
        old_status,
        reason,
        placements,
        status_time,
        update_time,
        fetch_needed,
        open_issues,
        version,
    } = ad;
    assert_eq!(name, format!("ads/{ad_id}"));
    assert_ours(update_time);
    let since = when(status_time);
    let mut line =
        format!("{level} {ad_id} of {ad_account_id}: {old_status:?} to {status:?} since {since}");
    if !reason.is_empty() {
        write!(line, ", because {reason:?}").unwrap();
    }
    if !placements.is_empty() {
        write!(line, ", on {placements:?}").unwrap();
    }
    if fetch_needed {
        line.push_str(", to be fetched");
    }
    for issue in open_issues {
        let AdIssue {
            error_code,
            summary,
            message,
            raise_time,
        } = issue;
        let at = when(raise_time);
        write!(
            line,
            ", issue {error_code} at {at}: {summary:?}, {message:?}"
        )
        .unwrap();
    }
    write!(line, "; version {version}").unwrap();
    line
}

pub(super) fn change(change: AdStatusChange) -> String {
    let AdStatusChange {
        event_id,
        old_status,
        new_status,
        reason,
        placements,
        change_time,
        record_time,
        late,
        fetch_needed,
        position,
    } = change;
    assert!(Uuid::try_parse(&event_id).is_ok(), "{event_id:?}");
    assert_ours(record_time);
    let position = position.expect("every change stands somewhere");
    assert!(
        position.topic == "ad" && position.next_offset > 0,
        "{position:?}"
    );
    let mut line = format!("{old_status:?} to {new_status:?} at {}", when(change_time));
    if !reason.is_empty() {
        write!(line, ", because {reason:?}").unwrap();
    }
    if !placements.is_empty() {
        write!(line, ", on {placements:?}").unwrap();
    }
    if late {
        line.push_str(", late");
    }
    if fetch_needed {
        line.push_str(", to be fetched");
    }
    line
}

pub(super) fn changes(history: Vec<AdStatusChange>) -> Vec<String> {
    history.into_iter().map(change).collect()
}

/// Of what webhooks brought; what people did has another actor.
pub(super) fn activity(activity: Activity) -> String {
    let Activity {
        event_id,
        kind,
        subject,
        summary,
        actor,
        source,
        happen_time,
        record_time,
    } = activity;
    assert!(Uuid::try_parse(&event_id).is_ok(), "{event_id:?}");
    assert_ours(record_time);
    assert_eq!((&*actor, &*source), ("engine:ad", "meta_webhook"));
    format!("{kind} of {subject} at {}: {summary}", when(happen_time))
}

pub(super) fn notification(notification: Notification) -> String {
    let severity = notification.severity();
    let severity = severity.as_str_name().replace("NOTIFICATION_SEVERITY_", "");
    let Notification {
        name,
        severity: _,
        title,
        body,
        subject,
        raise_time,
        read,
        read_time,
    } = notification;
    let id = name.strip_prefix("notifications/").unwrap();
    assert!(Uuid::try_parse(id).is_ok(), "{name:?}");
    assert_eq!(read, read_time.is_some());
    let read = if read { ", read" } else { "" };
    let at = when(raise_time);
    format!("{severity} of {subject} at {at}: {title} | {body}{read}")
}

/// Whether it was shouted of; for tables that count.
pub(super) fn is_critical(notification: &Notification) -> bool {
    notification.severity() == NotificationSeverity::Critical
}

pub(super) fn account(account: Account) -> String {
    let Account {
        name,
        display_name,
        connected,
        status,
        disable_reason,
        connect_time,
        status_time,
        version,
    } = account;
    assert_ours(connect_time);
    let connected = if connected { "connected" } else { "left" };
    let since = when(status_time);
    format!(
        "{name} {display_name:?} {connected}: status {status}, reason {disable_reason}, since {since}; version {version}"
    )
}

pub(super) fn counter(counter: WebhookCounter) -> String {
    let WebhookCounter {
        source,
        object,
        field,
        problem,
        count,
        last_account,
        last_time,
    } = counter;
    assert_ours(last_time);
    format!("{count} of {source} {object:?} {field:?}, last of {last_account}: {problem}")
}

/// Seconds from the sample files' time.
fn when(time: Option<Timestamp>) -> String {
    match time {
        None => "-".to_owned(),
        Some(Timestamp { seconds, nanos: 0 }) => (seconds - T).to_string(),
        Some(broken) => format!("{broken}"),
    }
}

/// By our own clock, which is far beyond the webhooks'.
fn assert_ours(time: Option<Timestamp>) {
    let seconds = time.expect("what we recorded has a time").seconds;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    assert!((now - 3600..=now + 1).contains(&seconds), "{seconds}");
}
