//! The fold. Pure: a clock, a network or Postgres has no way in.

mod fact;

use std::collections::{BTreeMap, BTreeSet};

use compline_event::{Event, EventId, Recorded, TenantId};
use compline_readmodel::FoldError;

use crate::row::{Ad, Issue, StatusChange};
use fact::{Fact, StatusFact, What};

pub(crate) type AdKey = (TenantId, String);
/// Tenant, ad account, status.
pub(crate) type CountKey = (TenantId, String, String);

/// What a batch touches: read before it, written after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub(crate) ads: BTreeMap<AdKey, Entry>,
    pub(crate) history: Vec<(AdKey, StatusChange)>,
    /// What is added to each count.
    pub(crate) counts: BTreeMap<CountKey, i64>,
}

/// An ad that the batch touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Absent until its first event.
    pub(crate) ad: Option<Ad>,
    /// Error codes that were opened, renewed or closed.
    pub(crate) touched_issues: BTreeSet<String>,
    pub(crate) changed: bool,
}

/// The ad that an event is about, when it is about one.
pub(crate) fn key_of(recorded: &Recorded) -> Option<AdKey> {
    let ad_id = match &recorded.envelope.event {
        Event::AdStatusChanged(event) => &event.ad_id,
        Event::AdIssueRaised(event) => &event.ad_id,
        _ => return None,
    };
    Some((recorded.envelope.tenant?, ad_id.clone()))
}

/// Folds one event.
///
/// # Errors
/// What no table can take. Then `rows` is as it was.
pub(crate) fn apply(rows: &mut Rows, recorded: &Recorded) -> Result<(), FoldError> {
    let Some(fact) = Fact::read(recorded)? else {
        return Ok(());
    };
    let key = (fact.tenant, fact.ad_id.clone());
    let entry = rows.ads.entry(key.clone()).or_default();
    let place_before = entry.ad.as_ref().map(place_of);

    let ad = entry.ad.get_or_insert_with(|| fact.new_ad());
    advance(ad, &fact);
    match &fact.what {
        What::Status(status) => {
            rows.history
                .push((key, history_of(&fact, status, recorded.envelope.event_id)));
            change_status(ad, status, &mut entry.touched_issues);
        }
        What::Issue { error_code, issue } => {
            raise_issue(ad, error_code, issue, &mut entry.touched_issues);
        }
    }
    entry.changed = true;

    let place_now = place_of(ad);
    if place_before.as_ref() != Some(&place_now) {
        let mut add = |(account, status), ads: i64| {
            *rows
                .counts
                .entry((fact.tenant, account, status))
                .or_default() += ads;
        };
        if let Some(before) = place_before {
            add(before, -1);
        }
        add(place_now, 1);
    }
    Ok(())
}

/// The count that an ad belongs to.
fn place_of(ad: &Ad) -> (String, String) {
    (ad.ad_account_id.clone(), ad.status.clone())
}

/// What every event of an ad does to it, a late one too.
fn advance(ad: &mut Ad, fact: &Fact) {
    ad.version += 1;
    ad.updated_at = fact.recorded_at;
    ad.partition = fact.at.partition;
    ad.offset = fact.at.offset;
    if !fact.ad_account_id.is_empty() {
        ad.ad_account_id.clone_from(&fact.ad_account_id);
    }
    if fact.level != Default::default() {
        ad.level = fact.level;
    }
}

/// | late | new status | fetch needed | the ad |
/// |---|---|---|---|
/// | yes | any | any | stays |
/// | no | some | as it says | takes it |
/// | no | none | yes | is to be fetched |
/// | no | none | no | stays |
fn change_status(ad: &mut Ad, status: &StatusFact, touched_issues: &mut BTreeSet<String>) {
    if status.late {
        return;
    }
    if status.new_status.is_empty() {
        ad.fetch_needed |= status.fetch_needed;
        return;
    }
    ad.fetch_needed = status.fetch_needed;
    ad.status.clone_from(&status.new_status);
    ad.old_status.clone_from(&status.old_status);
    ad.reason.clone_from(&status.reason);
    ad.placements.clone_from(&status.placements);
    ad.status_changed_at = Some(status.changed_at);
    if closes_issues(&ad.status) {
        touched_issues.extend(std::mem::take(&mut ad.issues).into_keys());
    }
}

fn raise_issue(
    ad: &mut Ad,
    error_code: &str,
    issue: &Issue,
    touched_issues: &mut BTreeSet<String>,
) {
    let closed_since =
        closes_issues(&ad.status) && ad.status_changed_at.is_some_and(|at| issue.raised_at < at);
    if closed_since {
        return;
    }
    ad.issues.insert(error_code.to_owned(), issue.clone());
    touched_issues.insert(error_code.to_owned());
}

/// See the crate's table of statuses.
fn closes_issues(status: &str) -> bool {
    matches!(status, "ACTIVE" | "PREAPPROVED" | "ARCHIVED" | "DELETED")
}

fn history_of(fact: &Fact, status: &StatusFact, event_id: EventId) -> StatusChange {
    StatusChange {
        partition: fact.at.partition,
        offset: fact.at.offset,
        event_id,
        old_status: status.old_status.clone(),
        new_status: status.new_status.clone(),
        reason: status.reason.clone(),
        placements: status.placements.clone(),
        changed_at: status.changed_at,
        recorded_at: fact.recorded_at,
        late: status.late,
        fetch_needed: status.fetch_needed,
    }
}

#[cfg(test)]
mod tests;
