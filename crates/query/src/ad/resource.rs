//! Rows as resources.

use compline_ad_status::{self as row, Level};
use compline_api::{
    name::Collection,
    query::{Ad, AdCount, AdIssue, AdLevel, AdStatusChange, Position},
    timestamp::to_proto,
};
use compline_event::Topic;

pub(super) fn ad(ad: &row::Ad) -> Ad {
    let open_issues = ad.issues.iter().map(|(error_code, issue)| AdIssue {
        error_code: error_code.clone(),
        summary: issue.summary.clone(),
        message: issue.message.clone(),
        raise_time: Some(to_proto(issue.raised_at)),
    });
    Ad {
        name: Collection::Ads.name(&ad.ad_id),
        ad_id: ad.ad_id.clone(),
        ad_account_id: ad.ad_account_id.clone(),
        level: level(ad.level).into(),
        status: ad.status.clone(),
        old_status: ad.old_status.clone(),
        reason: ad.reason.clone(),
        placements: ad.placements.clone(),
        status_time: ad.status_changed_at.map(to_proto),
        update_time: Some(to_proto(ad.updated_at)),
        fetch_needed: ad.fetch_needed,
        open_issues: open_issues.collect(),
        version: ad.version.unsigned_abs(),
    }
}

pub(super) fn status_change(change: row::StatusChange) -> AdStatusChange {
    AdStatusChange {
        event_id: change.event_id.to_string(),
        old_status: change.old_status,
        new_status: change.new_status,
        reason: change.reason,
        placements: change.placements,
        change_time: Some(to_proto(change.changed_at)),
        record_time: Some(to_proto(change.recorded_at)),
        late: change.late,
        fetch_needed: change.fetch_needed,
        // By its position a reader can wait for it.
        position: Some(Position {
            topic: Topic::Ad.to_string(),
            partition: change.partition.0,
            next_offset: change.offset.next().0,
        }),
    }
}

pub(super) fn count(count: row::AdCount) -> AdCount {
    AdCount {
        ad_account_id: count.ad_account_id,
        status: count.status,
        ads: count.ads,
    }
}

fn level(level: Level) -> AdLevel {
    match level {
        Level::Unknown => AdLevel::Unspecified,
        Level::Ad => AdLevel::Ad,
        Level::AdSet => AdLevel::AdSet,
        Level::Campaign => AdLevel::Campaign,
        Level::Account => AdLevel::Account,
    }
}
