//! `compline activity` and `compline notifications`.

use anyhow::Result;
use clap::{Args, Subcommand};
use compline_api::{
    command::MarkReadRequest,
    query::{ListActivitiesRequest, ListNotificationsRequest, NotificationSeverity},
};
use serde_json::json;
use uuid::Uuid;

use super::ads::{Page, finish, show_table};
use crate::{
    client::{Freshness, Target, token_text},
    output::Output,
    show, wire_json,
};

#[derive(Debug, Args)]
pub(super) struct Activity {
    /// Only about this resource, such as ads/23849203842934
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    subject: String,
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    freshness: Freshness,
}

impl Activity {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let mut client = target.query()?.activity();
        let mut rows = Vec::new();
        let mut page_token = self.page.page_token.clone();
        loop {
            let answer = client
                .list_activities(ListActivitiesRequest {
                    page_size: self.page.size(),
                    page_token,
                    subject: self.subject.clone(),
                    consistency: self.freshness.consistency(),
                })
                .await?
                .into_inner();
            for activity in &answer.activities {
                if out.is_json() {
                    out.json(&wire_json::api("compline.query.v1.Activity", activity))?;
                } else {
                    rows.push(vec![
                        show::time(activity.happen_time.as_ref()),
                        activity.kind.clone(),
                        activity.subject.clone(),
                        activity.summary.clone(),
                        show::or_dash(&activity.actor),
                        activity.source.clone(),
                    ]);
                }
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() || !self.page.all {
                let columns = ["when", "what", "about", "summary", "who", "source"];
                show_table(out, &columns, rows)?;
                return finish(out, answer.seen.as_ref(), &page_token);
            }
        }
    }
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Notifications {
    #[command(subcommand)]
    command: Option<NotificationsCommand>,
    #[command(flatten)]
    list: NotificationList,
}

#[derive(Debug, Subcommand)]
enum NotificationsCommand {
    /// Mark one as read by this key
    Read {
        /// The notification's id, with or without notifications/
        id: String,
    },
}

#[derive(Debug, Args)]
struct NotificationList {
    /// Only what this key has not read
    #[arg(long)]
    unread: bool,
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    freshness: Freshness,
}

impl Notifications {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        match self.command {
            Some(NotificationsCommand::Read { id }) => read(&id, target, out).await,
            None => self.list.run(target, out).await,
        }
    }
}

async fn read(id: &str, target: &Target, out: &mut Output) -> Result<()> {
    let name = match id.starts_with("notifications/") {
        true => id.to_owned(),
        false => format!("notifications/{id}"),
    };
    let answer = target
        .command()?
        .notifications()
        .mark_read(MarkReadRequest {
            request_id: Uuid::now_v7().to_string(),
            name: name.clone(),
        })
        .await?
        .into_inner();
    let token = token_text(&answer.token);
    match out.is_json() {
        true => out.json(&json!({ "name": name, "read": true, "token": token }))?,
        false => out.line(format!("{name} is read  (token {token})"))?,
    }
    Ok(())
}

impl NotificationList {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let mut client = target.query()?.activity();
        let mut rows = Vec::new();
        let mut page_token = self.page.page_token.clone();
        loop {
            let answer = client
                .list_notifications(ListNotificationsRequest {
                    page_size: self.page.size(),
                    page_token,
                    unread_only: self.unread,
                    consistency: self.freshness.consistency(),
                })
                .await?
                .into_inner();
            for notification in &answer.notifications {
                if out.is_json() {
                    out.json(&wire_json::api(
                        "compline.query.v1.Notification",
                        notification,
                    ))?;
                    continue;
                }
                let id = notification.name.trim_start_matches("notifications/");
                rows.push(vec![
                    if notification.read { " " } else { "*" }.to_owned(),
                    show::time(notification.raise_time.as_ref()),
                    severity(notification.severity()).to_owned(),
                    notification.title.clone(),
                    notification.body.clone(),
                    id.to_owned(),
                ]);
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() || !self.page.all {
                let columns = ["new", "raised", "severity", "title", "body", "id"];
                show_table(out, &columns, rows)?;
                if !out.is_json() {
                    out.line(format!("{} unread", answer.unread_count))?;
                }
                return finish(out, answer.seen.as_ref(), &page_token);
            }
        }
    }
}

const fn severity(severity: NotificationSeverity) -> &'static str {
    match severity {
        NotificationSeverity::Unspecified => "-",
        NotificationSeverity::Info => "info",
        NotificationSeverity::Warning => "warning",
        NotificationSeverity::Critical => "critical",
    }
}
