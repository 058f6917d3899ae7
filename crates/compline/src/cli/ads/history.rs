//! `compline ads history`: every status an ad has had.

use anyhow::Result;
use clap::Args;
use compline_api::query::{AdStatusChange, ListAdHistoryRequest};

use super::{
    super::list::{Answer, Columns, Page},
    resource_name,
};
use crate::{
    client::{Freshness, Target},
    output::Output,
    show,
};

#[derive(Debug, Args)]
pub(super) struct History {
    /// The ad's id, with or without ads/
    ad: String,
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    freshness: Freshness,
}

const CHANGES: Columns<AdStatusChange> = Columns {
    names: &["changed", "from", "to", "note", "recorded", "at", "event"],
    cells: |change| {
        let note = match (change.late, change.fetch_needed) {
            (true, _) => "late",
            (false, true) => "to be fetched",
            (false, false) => &change.reason,
        };
        // The record itself, not the place behind it: `replay --from` takes it.
        let at = change.position.as_ref().map_or_else(String::new, |at| {
            format!("{}/{}@{}", at.topic, at.partition, at.next_offset - 1)
        });
        vec![
            show::time(change.change_time.as_ref()),
            show::or_dash(&change.old_status),
            show::or_dash(&change.new_status),
            note.to_owned(),
            show::time(change.record_time.as_ref()),
            at,
            change.event_id.clone(),
        ]
    },
};

impl History {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let mut ads = target.query()?.ads();
        let consistency = self
            .freshness
            .consistency(target, compline_ad_status::TOPICS);
        let ask = async |page_size, page_token| {
            let request = ListAdHistoryRequest {
                parent: resource_name(&self.ad),
                page_size,
                page_token,
                consistency: consistency.clone(),
            };
            let answer = ads.list_ad_history(request).await?.into_inner();
            Ok(Answer {
                rows: answer.changes,
                next_page_token: answer.next_page_token,
                seen: answer.seen,
            })
        };
        self.page.show(&CHANGES, out, ask).await
    }
}
