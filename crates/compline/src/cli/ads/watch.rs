//! `compline ads watch`: what matches now, then every change.

use anyhow::Result;
use clap::Args;
use compline_api::query::{WatchAdsRequest, watch_ads_response::Event};

use super::note;
use crate::{
    client::Target,
    output::{Output, printable},
    show, wire_json,
};

#[derive(Debug, Args)]
pub(super) struct Watch {
    /// As in `ads list`
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
    /// Go on behind the last token of an earlier watch with the same filter
    #[arg(
        long,
        value_name = "TOKEN",
        default_value = "",
        hide_default_value = true
    )]
    resume: String,
}

impl Watch {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let request = WatchAdsRequest {
            filter: self.filter,
            resume_token: self.resume,
        };
        let changes = target.query()?.ads().watch_ads(request).await?;
        let mut changes = changes.into_inner();
        while let Some(answer) = changes.message().await? {
            match out.is_json() {
                true => out.json(&wire_json::api(&answer))?,
                false => answer
                    .event
                    .map_or(Ok(()), |event| out.line(line_of(&event)))?,
            }
            out.flush()?;
        }
        anyhow::bail!("the watch was ended by the server")
    }
}

fn line_of(event: &Event) -> String {
    match event {
        Event::Changed(ad) => format!(
            "{}  {}  {} -> {}  {}",
            show::time(ad.update_time.as_ref()),
            printable(&ad.ad_id),
            printable(&show::or_dash(&ad.old_status)),
            printable(&show::or_dash(&ad.status)),
            printable(&note(ad)),
        ),
        Event::Unmatched(name) => format!("no longer matches: {}", printable(name)),
        Event::CaughtUp(_) => "-- caught up; changes follow --".to_owned(),
        Event::Restarted(_) => "-- too slow: starting over from what matches now --".to_owned(),
    }
}
