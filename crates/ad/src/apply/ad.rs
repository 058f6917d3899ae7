//! What becomes of an ad object.

use compline_event::{
    Event,
    ad_events::{AdIssueRaised, AdStatusChanged},
    timestamp,
};

use crate::{
    change::{AdObject, Change, issue_digest},
    notice::{self, WITH_ISSUES, name},
    state::{Ad, State},
    tell::Teller,
};

/// Open issues that are remembered of one ad; more push out the oldest.
const ISSUES_MAX: usize = 32;

pub(super) fn of_status(
    state: &mut State,
    teller: &mut Teller<'_>,
    change: &Change<'_>,
    ad: &AdObject,
    mut told: AdStatusChanged,
) {
    let key = (teller.tenant, change.account.clone(), ad.id.clone());
    let known = state.ads.get(&key).cloned();
    if known
        .as_ref()
        .is_some_and(|known| change.at < known.changed_at)
    {
        state.tally.late += 1;
        return tell_late(teller, ad, told);
    }
    let mut row = known.unwrap_or_else(|| unknown(change));
    row.changed_at = change.at;
    let different = row.status != told.new_status;
    let fetch_was_due = std::mem::take(&mut row.fetch_needed);
    if told.new_status != WITH_ISSUES {
        row.issues.clear();
    }
    if !different && !fetch_was_due {
        state.tally.unchanged += 1;
        state.ads.put(key, row);
        return;
    }
    state.tally.applied += 1;
    if !row.status.is_empty() {
        told.old_status = std::mem::take(&mut row.status);
    }
    row.status.clone_from(&told.new_status);
    let notice = different
        .then(|| {
            let (old, new) = (&told.old_status, &told.new_status);
            notice::of_status(ad, old, new, &told.reason, &mut row.alarmed)
        })
        .flatten();
    state.ads.put(key, row);
    tell_status(teller, ad, told);
    if let Some(notice) = notice {
        teller.notify(&subject(ad), notice);
    }
}

pub(super) fn of_touch(
    state: &mut State,
    teller: &mut Teller<'_>,
    change: &Change<'_>,
    ad: &AdObject,
    called: &str,
) {
    let key = (teller.tenant, change.account.clone(), ad.id.clone());
    let known = state.ads.get(&key).cloned();
    let mut told = AdStatusChanged {
        reason: called.to_owned(),
        fetch_needed: true,
        ..subject_of(change, ad)
    };
    if known
        .as_ref()
        .is_some_and(|known| change.at < known.changed_at)
    {
        state.tally.late += 1;
        return tell_late(teller, ad, told);
    }
    state.tally.applied += 1;
    let mut row = known.unwrap_or_else(|| unknown(change));
    row.changed_at = change.at;
    row.fetch_needed = true;
    told.old_status.clone_from(&row.status);
    state.ads.put(key, row);
    tell_status(teller, ad, told);
}

pub(super) fn of_issue(
    state: &mut State,
    teller: &mut Teller<'_>,
    change: &Change<'_>,
    ad: &AdObject,
    raised: AdIssueRaised,
) {
    let key = (teller.tenant, change.account.clone(), ad.id.clone());
    let known = state.ads.get(&key).cloned();
    let late = known
        .as_ref()
        .is_some_and(|known| change.at < known.changed_at);
    let mut row = known.unwrap_or_else(|| unknown(change));
    let mut told = AdStatusChanged {
        new_status: WITH_ISSUES.to_owned(),
        reason: reason_of(&raised),
        ..subject_of(change, ad)
    };
    if late && row.status != WITH_ISSUES {
        state.tally.late += 1;
        return tell_late(teller, ad, told);
    }
    let mut became = false;
    if !late {
        became = row.status != WITH_ISSUES || row.fetch_needed;
        if row.status != WITH_ISSUES {
            row.issues.clear();
        }
        told.old_status = std::mem::replace(&mut row.status, WITH_ISSUES.to_owned());
        row.changed_at = change.at;
        row.fetch_needed = false;
    }
    let digest = issue_digest(&raised.error_code, &raised.summary, &raised.message);
    let fresh = !row.issues.contains(&digest);
    if fresh {
        if row.issues.len() == ISSUES_MAX {
            row.issues.remove(0);
        }
        row.issues.push(digest);
        row.alarmed = true;
    }
    state.ads.put(key, row);
    if !became && !fresh {
        state.tally.unchanged += 1;
        return;
    }
    state.tally.applied += 1;
    if became {
        teller.tell(Event::AdStatusChanged(told));
    }
    if !fresh {
        let summary = format!("{} is still {WITH_ISSUES}", name(ad));
        return teller.record("ad.status_changed", &subject(ad), summary);
    }
    let notice = notice::of_issue(ad, &raised.error_code, &raised.summary, &raised.message);
    let summary = notice.title.clone();
    teller.tell(Event::AdIssueRaised(raised));
    teller.record("ad.issue_raised", &subject(ad), summary);
    teller.notify(&subject(ad), notice);
}

fn tell_status(teller: &mut Teller<'_>, ad: &AdObject, told: AdStatusChanged) {
    let name = name(ad);
    let (old, new) = (&told.old_status, &told.new_status);
    let summary = match (told.fetch_needed, old.is_empty()) {
        (true, _) if told.reason.is_empty() => format!("{name} changed; to what was not told"),
        (true, _) => format!(
            "{name} left processing; Meta calls it {:?} now",
            told.reason
        ),
        (false, true) => format!("{name} is {new}"),
        (false, false) if old == new => format!("{name} is still {new}"),
        (false, false) => format!("{name} went from {old} to {new}"),
    };
    teller.tell(Event::AdStatusChanged(told));
    teller.record("ad.status_changed", &subject(ad), summary);
}

fn tell_late(teller: &mut Teller<'_>, ad: &AdObject, mut told: AdStatusChanged) {
    told.late = true;
    let summary = match told.new_status.as_str() {
        "" => format!("{} had changed before: told late", name(ad)),
        status => format!("{} had been {status} before: told late", name(ad)),
    };
    teller.tell(Event::AdStatusChanged(told));
    teller.record("ad.status_changed", &subject(ad), summary);
}

fn subject(ad: &AdObject) -> String {
    format!("ads/{}", ad.id)
}

pub(super) fn subject_of(change: &Change<'_>, ad: &AdObject) -> AdStatusChanged {
    AdStatusChanged {
        ad_account_id: change.account.to_string(),
        ad_id: ad.id.clone(),
        level: ad.level.into(),
        changed_at: Some(timestamp::to_proto(change.at)),
        ..Default::default()
    }
}

fn reason_of(raised: &AdIssueRaised) -> String {
    match (raised.error_code.as_str(), raised.summary.as_str()) {
        ("", summary) => summary.to_owned(),
        (code, "") => code.to_owned(),
        (code, summary) => format!("{code}: {summary}"),
    }
}

fn unknown(change: &Change<'_>) -> Ad {
    Ad {
        status: String::new(),
        changed_at: change.at,
        fetch_needed: false,
        alarmed: false,
        issues: Vec::new(),
    }
}
