//! Row for row: both sides in the order of their keys, one row of each at a time.

use std::cmp::Ordering;

use compline_event::TenantId;
use futures_util::{Stream, StreamExt as _};
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::table::{Shape, quoted, row_of};

/// A row that is not the same in both.
#[derive(Clone, Debug, PartialEq)]
pub struct RowDifference {
    pub tenant: Option<TenantId>,
    /// As Postgres writes the primary key, `(…,…)`.
    pub key: String,
    pub difference: Difference,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    OnlyLive(Value),
    OnlyCandidate(Value),
    /// Column, live value, candidate's value.
    Values(Vec<(String, Value, Value)>),
}

#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) count: u64,
    pub(super) first: Vec<RowDifference>,
}

type Row = (String, Value);

/// Adds a tenant's differences to what was found, and shows at most `most` in all.
pub(super) async fn find(
    live: &mut PgConnection,
    candidate: &mut PgConnection,
    shape: &Shape,
    tenant: Option<Uuid>,
    most: usize,
    found: &mut Found,
) -> Result<(), sqlx::Error> {
    let statement = statement(shape);
    let mut live = std::pin::pin!(rows(live, &statement, tenant));
    let mut candidate = std::pin::pin!(rows(candidate, &statement, tenant));
    let mut left = live.next().await.transpose()?;
    let mut right = candidate.next().await.transpose()?;
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            // Both come in the order of their bytes, as strings compare here.
            (Some((left, _)), Some((right, _))) => left.cmp(right),
        };
        let mut take_left = None;
        let mut take_right = None;
        if order.is_le() {
            take_left = std::mem::replace(&mut left, live.next().await.transpose()?);
        }
        if order.is_ge() {
            take_right = std::mem::replace(&mut right, candidate.next().await.transpose()?);
        }
        let Some((key, difference)) = difference(take_left, take_right) else {
            continue;
        };
        found.count += 1;
        if found.first.len() < most {
            found.first.push(RowDifference {
                tenant: tenant.map(TenantId::new),
                key,
                difference,
            });
        }
    }
}

fn statement(shape: &Shape) -> String {
    // Without a key, equal rows stand side by side and are told apart by nothing.
    let key = match shape.key.is_empty() {
        true => row_of(&shape.columns),
        false => row_of(&shape.key),
    };
    let of_tenant = match shape.has_tenant {
        true => "tenant_id IS NOT DISTINCT FROM $1",
        false => "$1::uuid IS NULL",
    };
    let columns: Vec<String> = shape.columns.iter().map(|name| quoted(name)).collect();
    format!(
        "SELECT {key}::text COLLATE \"C\", to_jsonb(found)
         FROM (SELECT {columns} FROM {table} WHERE {of_tenant}) AS found ORDER BY 1",
        columns = columns.join(", "),
        table = quoted(&shape.name),
    )
}

fn rows<'a>(
    conn: &'a mut PgConnection,
    statement: &str,
    tenant: Option<Uuid>,
) -> impl Stream<Item = Result<Row, sqlx::Error>> + 'a {
    // Names come from Postgres' own catalogue and are quoted.
    sqlx::query_as(AssertSqlSafe(statement.to_owned()))
        .bind(tenant)
        .fetch(conn)
}

fn difference(live: Option<Row>, candidate: Option<Row>) -> Option<(String, Difference)> {
    match (live, candidate) {
        (None, None) => None,
        (Some((key, row)), None) => Some((key, Difference::OnlyLive(row))),
        (None, Some((key, row))) => Some((key, Difference::OnlyCandidate(row))),
        (Some((key, live)), Some((_, candidate))) => {
            let values = values(object(live), object(candidate));
            (!values.is_empty()).then_some((key, Difference::Values(values)))
        }
    }
}

fn values(
    live: Map<String, Value>,
    mut candidate: Map<String, Value>,
) -> Vec<(String, Value, Value)> {
    live.into_iter()
        .filter_map(|(column, value)| {
            let other = candidate.remove(&column).unwrap_or_default();
            (value != other).then_some((column, value, other))
        })
        .collect()
}

fn object(row: Value) -> Map<String, Value> {
    match row {
        Value::Object(columns) => columns,
        other => Map::from_iter([(String::new(), other)]),
    }
}
