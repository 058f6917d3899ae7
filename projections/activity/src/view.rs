//! Reads. The connection is a snapshot's: its tenant is the only one whose rows
//! there are, so no statement names one.

use compline_event::{EventId, Offset, Partition, RecordId};
use sqlx::PgConnection;
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

use crate::row::{Activity, Notification, Severity, WebhookCounter};

/// Above every time that a row can have.
const END_OF_TIME: OffsetDateTime = datetime!(9999-12-31 23:59:59 UTC);

/// The last row of a page; the next one begins below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After<Id> {
    pub time: OffsetDateTime,
    pub id: Id,
}

struct ActivityRow {
    event_id: Uuid,
    kind: String,
    subject: String,
    summary: String,
    actor: String,
    source: String,
    happened_at: OffsetDateTime,
    recorded_at: OffsetDateTime,
    topic: String,
    partition: i32,
    record_offset: i64,
}

/// By time of recording, newest first; `subject` is a resource name.
pub async fn activities(
    conn: &mut PgConnection,
    subject: Option<&str>,
    after: Option<&After<EventId>>,
    limit: i64,
) -> Result<Vec<Activity>, sqlx::Error> {
    let (time, id) = after.map_or((END_OF_TIME, Uuid::max()), |after| {
        (after.time, after.id.as_uuid())
    });
    let rows = match subject {
        Some(subject) => {
            sqlx::query_as!(
                ActivityRow,
                "SELECT event_id, kind, subject, summary, actor, source, happened_at, recorded_at,
                        topic, partition, record_offset
                 FROM activity WHERE subject = $1 AND (recorded_at, event_id) < ($2, $3)
                 ORDER BY tenant_id, recorded_at DESC, event_id DESC LIMIT $4",
                subject,
                time,
                id,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        None => {
            sqlx::query_as!(
                ActivityRow,
                "SELECT event_id, kind, subject, summary, actor, source, happened_at, recorded_at,
                        topic, partition, record_offset
                 FROM activity WHERE (recorded_at, event_id) < ($1, $2)
                 ORDER BY tenant_id, recorded_at DESC, event_id DESC LIMIT $3",
                time,
                id,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
    };
    rows.into_iter().map(Activity::try_from).collect()
}

/// Newest first, with the read state of `reader`.
///
/// With `unread_only` a page costs as many rows as it passes over; callers stop at
/// [`unread_count`] instead of reading to the end.
pub async fn notifications(
    conn: &mut PgConnection,
    reader: &str,
    unread_only: bool,
    after: Option<&After<String>>,
    limit: i64,
) -> Result<Vec<Notification>, sqlx::Error> {
    // U+10FFFF sorts last among the bytes of UTF-8.
    let (time, id) = after.map_or((END_OF_TIME, "\u{10ffff}"), |after| {
        (after.time, after.id.as_str())
    });
    sqlx::query!(
        r#"SELECT n.notification_id, severity, title, body, subject, raised_at,
                  r.read_at AS "read_at?"
         FROM notification n LEFT JOIN notification_read r
              ON r.tenant_id = n.tenant_id AND r.reader = $1
                 AND r.notification_id = n.notification_id
         WHERE (n.raised_at, n.notification_id) < ($2, $3) AND (NOT $4 OR r.read_at IS NULL)
         ORDER BY n.tenant_id, n.raised_at DESC, n.notification_id DESC LIMIT $5"#,
        reader,
        time,
        id,
        unread_only,
        limit,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(Notification {
            notification_id: row.notification_id,
            severity: Severity::from_sql(&row.severity)?,
            title: row.title,
            body: row.body,
            subject: row.subject,
            raised_at: row.raised_at,
            read_at: row.read_at,
        })
    })
    .collect()
}

/// Two rows are read, however many notifications there are.
pub async fn unread_count(conn: &mut PgConnection, reader: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT coalesce((SELECT raised FROM notification_count), 0)
                - coalesce((SELECT read FROM reader_count WHERE reader = $1), 0) AS "unread!""#,
        reader,
    )
    .fetch_one(conn)
    .await
}

/// Whether `reader` has read the notification; `None` when there is none.
pub async fn is_read(
    conn: &mut PgConnection,
    notification_id: &str,
    reader: &str,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM notification_read r
                          WHERE r.tenant_id = n.tenant_id AND r.reader = $2
                            AND r.notification_id = n.notification_id) AS "read!"
         FROM notification n WHERE notification_id = $1"#,
        notification_id,
        reader,
    )
    .fetch_optional(conn)
    .await
}

/// By source, object, field and problem; `after` is the last row of the page before.
pub async fn webhook_counters(
    conn: &mut PgConnection,
    after: Option<&[String; 4]>,
    limit: i64,
) -> Result<Vec<WebhookCounter>, sqlx::Error> {
    let first = <[String; 4]>::default();
    let [source, object, field, problem] = after.unwrap_or(&first);
    sqlx::query_as!(
        WebhookCounter,
        "SELECT source, object, field, problem, count, last_account, last_at FROM webhook_counter
         WHERE (source, object, field, problem) > ($1, $2, $3, $4)
         ORDER BY tenant_id, source, object, field, problem LIMIT $5",
        source,
        object,
        field,
        problem,
        limit,
    )
    .fetch_all(conn)
    .await
}

impl TryFrom<ActivityRow> for Activity {
    type Error = sqlx::Error;

    fn try_from(row: ActivityRow) -> Result<Self, sqlx::Error> {
        let topic = row.topic.parse();
        Ok(Self {
            event_id: EventId::new(row.event_id),
            kind: row.kind,
            subject: row.subject,
            summary: row.summary,
            actor: row.actor,
            source: row.source,
            happened_at: row.happened_at,
            recorded_at: row.recorded_at,
            at: RecordId {
                topic: topic.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
                partition: Partition(row.partition),
                offset: Offset(row.record_offset),
            },
        })
    }
}
