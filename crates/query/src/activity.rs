//! `ActivityService`: the trail, and the caller's notifications.

use compline_activity::{
    Severity,
    view::{self, After},
};
use compline_api::{
    error::invalid_argument,
    name::Collection,
    page::{Fingerprint, PageSize, PageToken},
    query::{
        self, ListActivitiesRequest, ListActivitiesResponse, ListNotificationsRequest,
        ListNotificationsResponse, ListWebhookCountersRequest, ListWebhookCountersResponse,
        NotificationSeverity, activity_service_server::ActivityService,
    },
    timestamp::to_proto,
};
use compline_event::EventId;
use compline_readmodel::Reader;
use time::OffsetDateTime;
use tonic::{Request, Response, Status, async_trait};

use crate::{caller::Caller, consistency};

/// Reads the projection `activity`.
#[derive(Clone, Debug)]
pub struct ActivityApi {
    reader: Reader,
}

impl ActivityApi {
    pub fn new(reader: Reader) -> Self {
        Self { reader }
    }
}

#[async_trait]
impl ActivityService for ActivityApi {
    async fn list_activities(
        &self,
        request: Request<ListActivitiesRequest>,
    ) -> Result<Response<ListActivitiesResponse>, Status> {
        let body = request.get_ref();
        let size = PageSize::new(body.page_size)?;
        let query = Fingerprint::new("ListActivities", &[&body.subject]);
        let after = PageToken::decode(&body.page_token, &query)?;
        let after = after.map(|cursor| read_cursor(cursor, |id| id.parse().ok()));
        let after: Option<After<EventId>> = after.transpose()?;
        if body.subject.contains('\0') {
            return Err(invalid_argument("subject", "is no resource name"));
        }
        let subject = Some(body.subject.as_str()).filter(|subject| !subject.is_empty());

        let mut snapshot =
            consistency::snapshot(&self.reader, &request, body.consistency.clone()).await?;
        let rows = snapshot
            .read(async |conn| view::activities(conn, subject, after.as_ref(), size.limit()).await)
            .await;
        let mut rows = rows.map_err(consistency::database_failed)?;
        let next_page_token = size.cut(&mut rows, &query, |row| {
            cursor(row.recorded_at, row.event_id.to_string())
        });
        Ok(Response::new(ListActivitiesResponse {
            activities: rows.into_iter().map(activity).collect(),
            next_page_token,
            seen: Some(consistency::seen(&snapshot)),
        }))
    }

    async fn list_notifications(
        &self,
        request: Request<ListNotificationsRequest>,
    ) -> Result<Response<ListNotificationsResponse>, Status> {
        let reader = Caller::of(&request)?.subject;
        let body = request.get_ref();
        let size = PageSize::new(body.page_size)?;
        let which = if body.unread_only { "unread" } else { "all" };
        let query = Fingerprint::new("ListNotifications", &[&reader, which]);
        let after = PageToken::decode(&body.page_token, &query)?;
        let after = after
            .map(|cursor| read_cursor(cursor, readable))
            .transpose()?;

        let mut snapshot =
            consistency::snapshot(&self.reader, &request, body.consistency.clone()).await?;
        let unread = snapshot
            .read(async |conn| view::unread_count(conn, &reader).await)
            .await;
        let unread_count = unread.map_err(consistency::database_failed)?;
        // Beyond the last unread one there is nothing to look for.
        let limit = match body.unread_only {
            true => size.limit().min(unread_count),
            false => size.limit(),
        };
        let rows = snapshot.read(async |conn| {
            view::notifications(conn, &reader, body.unread_only, after.as_ref(), limit).await
        });
        let mut rows = rows.await.map_err(consistency::database_failed)?;
        let next_page_token = size.cut(&mut rows, &query, |row| {
            cursor(row.raised_at, row.notification_id.clone())
        });
        Ok(Response::new(ListNotificationsResponse {
            notifications: rows.into_iter().map(notification).collect(),
            next_page_token,
            unread_count,
            seen: Some(consistency::seen(&snapshot)),
        }))
    }

    async fn list_webhook_counters(
        &self,
        request: Request<ListWebhookCountersRequest>,
    ) -> Result<Response<ListWebhookCountersResponse>, Status> {
        let body = request.get_ref();
        let size = PageSize::new(body.page_size)?;
        let query = Fingerprint::new("ListWebhookCounters", &[]);
        let after = PageToken::decode::<4>(&body.page_token, &query)?;
        if after.iter().flatten().any(|part| part.contains('\0')) {
            return Err(PageToken::nonsense());
        }

        let mut snapshot =
            consistency::snapshot(&self.reader, &request, body.consistency.clone()).await?;
        let rows = snapshot
            .read(async |conn| view::webhook_counters(conn, after.as_ref(), size.limit()).await)
            .await;
        let mut rows = rows.map_err(consistency::database_failed)?;
        let next_page_token = size.cut(&mut rows, &query, |row| {
            [&row.source, &row.object, &row.field, &row.problem]
                .map(Clone::clone)
                .into()
        });
        Ok(Response::new(ListWebhookCountersResponse {
            counters: rows.into_iter().map(webhook_counter).collect(),
            next_page_token,
            seen: Some(consistency::seen(&snapshot)),
        }))
    }
}

fn webhook_counter(row: compline_activity::WebhookCounter) -> query::WebhookCounter {
    let last_account = match row.last_account.is_empty() {
        true => String::new(),
        false => Collection::Accounts.name(&row.last_account),
    };
    query::WebhookCounter {
        source: row.source,
        object: row.object,
        field: row.field,
        problem: row.problem,
        count: row.count,
        last_account,
        last_time: Some(to_proto(row.last_at)),
    }
}

fn activity(row: compline_activity::Activity) -> query::Activity {
    query::Activity {
        event_id: row.event_id.to_string(),
        kind: row.kind,
        subject: row.subject,
        summary: row.summary,
        actor: row.actor,
        source: row.source,
        happen_time: Some(to_proto(row.happened_at)),
        record_time: Some(to_proto(row.recorded_at)),
    }
}

fn notification(row: compline_activity::Notification) -> query::Notification {
    let severity = match row.severity {
        Severity::Info => NotificationSeverity::Info,
        Severity::Warning => NotificationSeverity::Warning,
        Severity::Critical => NotificationSeverity::Critical,
    };
    query::Notification {
        name: Collection::Notifications.name(&row.notification_id),
        severity: severity.into(),
        title: row.title,
        body: row.body,
        subject: row.subject,
        raise_time: Some(to_proto(row.raised_at)),
        read: row.read_at.is_some(),
        read_time: row.read_at.map(to_proto),
    }
}

/// Rows have whole microseconds.
fn cursor(time: OffsetDateTime, id: String) -> Vec<String> {
    let microseconds = time.unix_timestamp_nanos() / 1_000;
    vec![microseconds.to_string(), id]
}

fn read_cursor<Id>(
    [time, id]: [String; 2],
    parse: impl FnOnce(String) -> Option<Id>,
) -> Result<After<Id>, Status> {
    let read = || {
        let microseconds: u64 = time.parse().ok()?;
        let nanoseconds = i128::from(microseconds) * 1_000;
        let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?;
        Some(After {
            time,
            id: parse(id)?,
        })
    };
    read().ok_or_else(PageToken::nonsense)
}

/// Postgres has no room for a NUL, so no row's id has one.
fn readable(id: String) -> Option<String> {
    (!id.contains('\0')).then_some(id)
}
