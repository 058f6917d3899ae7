//! A filter over ads, in SQL and in memory. Both must agree on every row.

use compline_ad_status::{Ad, view::Column};
use compline_api::filter::{Comparison, Field, Filter, Kind, Operand, Term, Test, Value};
use sqlx::{Postgres, QueryBuilder};

const fn field(name: &'static str, field: Column, kind: Kind) -> Field<Column> {
    Field { name, field, kind }
}

const LEVEL: Kind = Kind::Enum {
    prefix: "AD_LEVEL_",
    values: &[
        ("AD", "AD"),
        ("AD_SET", "AD_SET"),
        ("CAMPAIGN", "CAMPAIGN"),
        ("ACCOUNT", "ACCOUNT"),
        ("UNSPECIFIED", ""),
    ],
};

/// What a filter of `ListAds` and `WatchAds` may name.
pub(super) const SCHEMA: &[Field<Column>] = &[
    field("ad_id", Column::AdId, Kind::Text),
    field("ad_account_id", Column::AdAccountId, Kind::Text),
    field("level", Column::Level, LEVEL),
    field("status", Column::Status, Kind::Text),
    field("old_status", Column::OldStatus, Kind::Text),
    field("reason", Column::Reason, Kind::Text),
    field("fetch_needed", Column::FetchNeeded, Kind::Bool),
    field("status_time", Column::StatusTime, Kind::Time),
    field("update_time", Column::UpdateTime, Kind::Time),
    field("has_issues", Column::HasIssues, Kind::Bool),
];

pub(super) fn matches(filter: &Filter<Column>, ad: &Ad) -> bool {
    filter.matches(&|column| match column {
        Column::AdId => Operand::Text(&ad.ad_id),
        Column::AdAccountId => Operand::Text(&ad.ad_account_id),
        Column::Level => Operand::Text(ad.level.as_str()),
        Column::Status => Operand::Text(&ad.status),
        Column::OldStatus => Operand::Text(&ad.old_status),
        Column::Reason => Operand::Text(&ad.reason),
        Column::FetchNeeded => Operand::Bool(ad.fetch_needed),
        Column::StatusTime => Operand::Time(ad.status_changed_at),
        Column::UpdateTime => Operand::Time(Some(ad.updated_at)),
        Column::HasIssues => Operand::Bool(!ad.issues.is_empty()),
    })
}

/// Writes the filter as one boolean expression that is never NULL; every value is
/// bound.
pub(super) fn push(sql: &mut QueryBuilder<Postgres>, filter: &Filter<Column>) {
    match filter {
        Filter::And(all) => push_joined(sql, all, " AND ", "true"),
        Filter::Or(any) => push_joined(sql, any, " OR ", "false"),
        Filter::Not(inside) => {
            sql.push("NOT ");
            push(sql, inside);
        }
        Filter::Term(term) => push_term(sql, term),
    }
}

fn push_joined(
    sql: &mut QueryBuilder<Postgres>,
    filters: &[Filter<Column>],
    join: &str,
    empty: &str,
) {
    if filters.is_empty() {
        sql.push(empty);
        return;
    }
    sql.push("(");
    for (index, filter) in filters.iter().enumerate() {
        if index > 0 {
            sql.push(join);
        }
        push(sql, filter);
    }
    sql.push(")");
}

fn push_term(sql: &mut QueryBuilder<Postgres>, Term { field, test }: &Term<Column>) {
    let column = field.sql();
    match test {
        // NULL is an unknown time: equal to nothing, before and after nothing.
        Test::Compare(Comparison::NotEqual, Value::Time(time)) => {
            sql.push(format_args!("({column} IS DISTINCT FROM "));
            sql.push_bind(*time);
        }
        Test::Compare(by, Value::Time(time)) => {
            let by = by.as_str();
            sql.push(format_args!("({column} IS NOT NULL AND {column} {by} "));
            sql.push_bind(*time);
        }
        Test::Compare(by, Value::Text(text)) => {
            sql.push(format_args!("({column} {} ", by.as_str()));
            sql.push_bind(text.clone());
        }
        Test::Compare(by, Value::Bool(value)) => {
            sql.push(format_args!("({column} {} ", by.as_str()));
            sql.push_bind(*value);
        }
        Test::Contains(part) => {
            sql.push(format_args!("(strpos({column}, "));
            sql.push_bind(part.clone()).push(") > 0");
        }
        Test::Present if *field == Column::StatusTime || *field == Column::UpdateTime => {
            sql.push(format_args!("({column} IS NOT NULL"));
        }
        Test::Present => {
            sql.push(format_args!("({column} <> ''"));
        }
    }
    sql.push(")");
}
