//! `compline activity` and `compline notifications`.

use anyhow::Result;
use clap::{Args, Subcommand};
use compline_api::{
    command::MarkReadRequest,
    query::{
        self, ListActivitiesRequest, ListNotificationsRequest, Notification, NotificationSeverity,
    },
};
use serde_json::json;

use super::{
    change::{Request, kept},
    list::{Answer, Columns, Page},
};
use crate::{
    client::{Freshness, Target},
    output::Output,
    show,
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

const TRAIL: Columns<query::Activity> = Columns {
    names: &["when", "what", "about", "summary", "who", "source"],
    cells: |activity| {
        vec![
            show::time(activity.happen_time.as_ref()),
            activity.kind.clone(),
            activity.subject.clone(),
            activity.summary.clone(),
            show::or_dash(&activity.actor),
            activity.source.clone(),
        ]
    },
};

impl Activity {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let mut client = target.query()?.activity();
        let consistency = self
            .freshness
            .consistency(target, compline_activity::TOPICS);
        let ask = async |page_size, page_token| {
            let request = ListActivitiesRequest {
                page_size,
                page_token,
                subject: self.subject.clone(),
                consistency: consistency.clone(),
            };
            let answer = client.list_activities(request).await?.into_inner();
            Ok(Answer {
                rows: answer.activities,
                next_page_token: answer.next_page_token,
                seen: answer.seen,
            })
        };
        self.page.show(&TRAIL, out, ask).await
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
    Read(Read),
}

#[derive(Debug, Args)]
struct Read {
    /// The notification's id, with or without notifications/
    id: String,
    #[command(flatten)]
    request: Request,
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
            Some(NotificationsCommand::Read(read)) => read.run(target, out).await,
            None => self.list.run(target, out).await,
        }
    }
}

impl Read {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let name = match self.id.starts_with("notifications/") {
            true => self.id,
            false => format!("notifications/{}", self.id),
        };
        let request = MarkReadRequest {
            request_id: self.request.id(),
            name: name.clone(),
        };
        let answer = target.command()?.notifications().mark_read(request).await?;
        let token = kept(target, &answer.into_inner().token, out)?;
        match out.is_json() {
            true => out.json(&json!({ "name": name, "read": true, "token": token }))?,
            false => out.line(format!("{name} is read"))?,
        }
        Ok(())
    }
}

const NOTIFICATIONS: Columns<Notification> = Columns {
    names: &["new", "raised", "severity", "title", "body", "id"],
    cells: |notification| {
        let id = notification.name.trim_start_matches("notifications/");
        vec![
            if notification.read { " " } else { "*" }.to_owned(),
            show::time(notification.raise_time.as_ref()),
            severity(notification.severity()).to_owned(),
            notification.title.clone(),
            notification.body.clone(),
            id.to_owned(),
        ]
    },
};

impl NotificationList {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let mut client = target.query()?.activity();
        let consistency = self
            .freshness
            .consistency(target, compline_activity::TOPICS);
        let mut unread_count = 0;
        let ask = async |page_size, page_token| {
            let request = ListNotificationsRequest {
                page_size,
                page_token,
                unread_only: self.unread,
                consistency: consistency.clone(),
            };
            let answer = client.list_notifications(request).await?.into_inner();
            unread_count = answer.unread_count;
            Ok(Answer {
                rows: answer.notifications,
                next_page_token: answer.next_page_token,
                seen: answer.seen,
            })
        };
        self.page.show(&NOTIFICATIONS, out, ask).await?;
        if !out.is_json() {
            out.line(format!("{unread_count} unread"))?;
        }
        Ok(())
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
