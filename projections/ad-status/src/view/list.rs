//! Lists: any condition, three orders, and pages by key instead of by offset.

use sqlx::{PgConnection, Postgres, QueryBuilder};
use time::OffsetDateTime;

use super::row::AdRow;
use crate::row::Ad;

/// What a condition may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    AdId,
    AdAccountId,
    Level,
    Status,
    OldStatus,
    Reason,
    FetchNeeded,
    StatusTime,
    UpdateTime,
    HasIssues,
}

impl Column {
    /// The expression that stands for it in a condition of [`ads`].
    pub const fn sql(self) -> &'static str {
        match self {
            Column::AdId => "ad.ad_id",
            Column::AdAccountId => "ad.ad_account_id",
            Column::Level => "ad.level",
            Column::Status => "ad.status",
            Column::OldStatus => "ad.old_status",
            Column::Reason => "ad.reason",
            Column::FetchNeeded => "ad.fetch_needed",
            Column::StatusTime => "ad.status_changed_at",
            Column::UpdateTime => "ad.updated_at",
            Column::HasIssues => "(ad.open_issues > 0)",
        }
    }
}

/// Ties are broken by `ad_id`, in the same direction. An ad of no known status
/// time comes before all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderBy {
    AdId,
    StatusTime,
    UpdateTime,
}

impl OrderBy {
    /// As the index has it.
    const fn sql(self) -> Option<&'static str> {
        match self {
            OrderBy::AdId => None,
            OrderBy::StatusTime => Some("ad.status_order"),
            OrderBy::UpdateTime => Some("ad.updated_at"),
        }
    }

    /// Where `ad` stands in this order.
    pub fn key(self, ad: &Ad) -> After {
        After {
            time: match self {
                OrderBy::AdId => None,
                OrderBy::StatusTime => ad.status_changed_at,
                OrderBy::UpdateTime => Some(ad.updated_at),
            },
            ad_id: ad.ad_id.clone(),
        }
    }
}

/// The sort key of a page's last row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// Absent where the order has none, and where the row has none.
    pub time: Option<OffsetDateTime>,
    pub ad_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    pub order_by: OrderBy,
    pub descending: bool,
    pub after: Option<After>,
    pub limit: i64,
}

/// The ads for which `condition` holds. It writes one boolean expression over
/// [`Column::sql`], with every value bound.
pub async fn ads(
    conn: &mut PgConnection,
    query: &ListQuery,
    condition: impl FnOnce(&mut QueryBuilder<Postgres>),
) -> Result<Vec<Ad>, sqlx::Error> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "SELECT ad_id, ad_account_id, level, status, old_status, reason, placements,
                status_changed_at, fetch_needed, version, updated_at, log_partition, log_offset,
                error_codes, summaries, messages, raised_ats
         FROM ad, LATERAL (
             SELECT array_agg(error_code) AS error_codes, array_agg(summary) AS summaries,
                    array_agg(message) AS messages, array_agg(raised_at) AS raised_ats
             FROM ad_issue
             WHERE ad.open_issues > 0
               AND ad_issue.tenant_id = ad.tenant_id AND ad_issue.ad_id = ad.ad_id
         ) AS issue WHERE ",
    );
    condition(&mut sql);
    let (direction, behind) = match query.descending {
        true => (" DESC", " < "),
        false => ("", " > "),
    };
    if let Some(after) = &query.after {
        if let Some(time) = query.order_by.sql() {
            sql.push(format_args!(" AND ({time}, ad.ad_id){behind}("));
            match after.time {
                Some(time) => sql.push_bind(time),
                None => sql.push("timestamptz '-infinity'"),
            };
            sql.push(", ").push_bind(after.ad_id.clone()).push(")");
        } else {
            sql.push(format_args!(" AND ad.ad_id{behind}"));
            sql.push_bind(after.ad_id.clone());
        }
    }
    // With the tenant in front, as in the indexes.
    sql.push(format_args!(" ORDER BY ad.tenant_id{direction}"));
    if let Some(time) = query.order_by.sql() {
        sql.push(format_args!(", {time}{direction}"));
    }
    sql.push(format_args!(", ad.ad_id{direction} LIMIT "));
    sql.push_bind(query.limit);
    let rows: Vec<AdRow> = sql.build_query_as().fetch_all(conn).await?;
    Ok(rows.into_iter().map(Ad::from).collect())
}
