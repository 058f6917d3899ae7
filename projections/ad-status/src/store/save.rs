//! Writing each table once. The maps are in the order of the primary keys; the
//! statements say so again, for a plan may read an UNNEST in any order.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use crate::{
    apply::{AdKey, CountKey, Rows},
    row::{Ad, Issue, StatusChange},
};

pub(super) async fn ads(conn: &mut PgConnection, rows: &Rows) -> Result<(), sqlx::Error> {
    let changed: Vec<(&AdKey, &Ad)> = rows
        .ads
        .iter()
        .filter(|(_, entry)| entry.changed)
        .filter_map(|(key, entry)| Some((key, entry.ad.as_ref()?)))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO ad (tenant_id, ad_id, ad_account_id, level, status, old_status, reason,
                         placements, status_changed_at, fetch_needed, open_issues, version,
                         updated_at, log_partition, log_offset)
         SELECT tenant_id, ad_id, ad_account_id, level, status, old_status, reason,
                placements::text[], status_changed_at, fetch_needed, open_issues, version,
                updated_at, log_partition, log_offset
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::text[], $8::text[], $9::timestamptz[], $10::boolean[], $11::integer[],
                     $12::bigint[], $13::timestamptz[], $14::integer[], $15::bigint[])
           AS changed (tenant_id, ad_id, ad_account_id, level, status, old_status, reason,
                       placements, status_changed_at, fetch_needed, open_issues, version,
                       updated_at, log_partition, log_offset)
         ORDER BY tenant_id, ad_id
         ON CONFLICT (tenant_id, ad_id) DO UPDATE SET
           ad_account_id = excluded.ad_account_id, level = excluded.level,
           status = excluded.status, old_status = excluded.old_status,
           reason = excluded.reason, placements = excluded.placements,
           status_changed_at = excluded.status_changed_at,
           fetch_needed = excluded.fetch_needed, open_issues = excluded.open_issues,
           version = excluded.version, updated_at = excluded.updated_at,
           log_partition = excluded.log_partition, log_offset = excluded.log_offset",
        &column(&changed, |(key, _)| key.0.as_uuid()),
        &column(&changed, |(key, _)| key.1.clone()),
        &column(&changed, |(_, ad)| ad.ad_account_id.clone()),
        &column(&changed, |(_, ad)| ad.level.as_str().to_owned()),
        &column(&changed, |(_, ad)| ad.status.clone()),
        &column(&changed, |(_, ad)| ad.old_status.clone()),
        &column(&changed, |(_, ad)| ad.reason.clone()),
        &column(&changed, |(_, ad)| array_literal(&ad.placements)),
        &column(&changed, |(_, ad)| ad.status_changed_at) as _,
        &column(&changed, |(_, ad)| ad.fetch_needed),
        &column(&changed, |(_, ad)| i32::try_from(ad.issues.len())
            .unwrap_or(i32::MAX)),
        &column(&changed, |(_, ad)| ad.version),
        &column(&changed, |(_, ad)| ad.updated_at),
        &column(&changed, |(_, ad)| ad.partition.0),
        &column(&changed, |(_, ad)| ad.offset.0),
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn issues(conn: &mut PgConnection, rows: &Rows) -> Result<(), sqlx::Error> {
    let mut open: Vec<(&AdKey, &String, &Issue)> = Vec::new();
    let mut closed: Vec<(&AdKey, &String)> = Vec::new();
    for (key, entry) in &rows.ads {
        for error_code in &entry.touched_issues {
            match entry.ad.as_ref().and_then(|ad| ad.issues.get(error_code)) {
                Some(issue) => open.push((key, error_code, issue)),
                None => closed.push((key, error_code)),
            }
        }
    }
    if !closed.is_empty() {
        sqlx::query!(
            "DELETE FROM ad_issue
             USING UNNEST($1::uuid[], $2::text[], $3::text[]) AS closed (tenant_id, ad_id, error_code)
             WHERE ad_issue.tenant_id = closed.tenant_id AND ad_issue.ad_id = closed.ad_id
               AND ad_issue.error_code = closed.error_code",
            &column(&closed, |(key, _)| key.0.as_uuid()),
            &column(&closed, |(key, _)| key.1.clone()),
            &column(&closed, |(_, error_code)| (*error_code).clone()),
        )
        .execute(&mut *conn)
        .await?;
    }
    if open.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO ad_issue (tenant_id, ad_id, error_code, summary, message, raised_at)
         SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
                              $6::timestamptz[])
           AS open (tenant_id, ad_id, error_code, summary, message, raised_at)
         ORDER BY tenant_id, ad_id, error_code
         ON CONFLICT (tenant_id, ad_id, error_code) DO UPDATE SET
           summary = excluded.summary, message = excluded.message, raised_at = excluded.raised_at",
        &column(&open, |(key, _, _)| key.0.as_uuid()),
        &column(&open, |(key, _, _)| key.1.clone()),
        &column(&open, |(_, error_code, _)| (*error_code).clone()),
        &column(&open, |(_, _, issue)| issue.summary.clone()),
        &column(&open, |(_, _, issue)| issue.message.clone()),
        &column(&open, |(_, _, issue)| issue.raised_at),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Plain INSERT: a change that is there already was folded twice, and that must
/// not pass unseen.
pub(super) async fn history(
    conn: &mut PgConnection,
    changes: &[(AdKey, StatusChange)],
) -> Result<(), sqlx::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO ad_status_history (tenant_id, ad_id, log_partition, log_offset, event_id,
                                        old_status, new_status, reason, placements, changed_at,
                                        recorded_at, late, fetch_needed)
         SELECT tenant_id, ad_id, log_partition, log_offset, event_id, old_status, new_status,
                reason, placements::text[], changed_at, recorded_at, late, fetch_needed
         FROM UNNEST($1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::uuid[], $6::text[],
                     $7::text[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[],
                     $12::boolean[], $13::boolean[])
           AS told (tenant_id, ad_id, log_partition, log_offset, event_id, old_status, new_status,
                    reason, placements, changed_at, recorded_at, late, fetch_needed)
         ORDER BY tenant_id, ad_id, log_partition, log_offset",
        &column(changes, |(key, _)| key.0.as_uuid()),
        &column(changes, |(key, _)| key.1.clone()),
        &column(changes, |(_, change)| change.partition.0),
        &column(changes, |(_, change)| change.offset.0),
        &column(changes, |(_, change)| change.event_id.as_uuid()),
        &column(changes, |(_, change)| change.old_status.clone()),
        &column(changes, |(_, change)| change.new_status.clone()),
        &column(changes, |(_, change)| change.reason.clone()),
        &column(changes, |(_, change)| array_literal(&change.placements)),
        &column(changes, |(_, change)| change.changed_at),
        &column(changes, |(_, change)| change.recorded_at),
        &column(changes, |(_, change)| change.late),
        &column(changes, |(_, change)| change.fetch_needed),
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn counts(
    conn: &mut PgConnection,
    counts: &BTreeMap<CountKey, i64>,
) -> Result<(), sqlx::Error> {
    if counts.is_empty() {
        return Ok(());
    }
    let counts: Vec<(&CountKey, &i64)> = counts.iter().collect();
    sqlx::query!(
        "INSERT INTO ad_count (tenant_id, ad_account_id, status, ads)
         SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::bigint[])
           AS added (tenant_id, ad_account_id, status, ads)
         ORDER BY tenant_id, ad_account_id, status
         ON CONFLICT (tenant_id, ad_account_id, status)
         DO UPDATE SET ads = ad_count.ads + excluded.ads",
        &column(&counts, |(key, _)| key.0.as_uuid()),
        &column(&counts, |(key, _)| key.1.clone()),
        &column(&counts, |(key, _)| key.2.clone()),
        &column(&counts, |(_, ads)| **ads),
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn column<Row, Value>(rows: &[Row], value: impl Fn(&Row) -> Value) -> Vec<Value> {
    rows.iter().map(value).collect()
}

/// `text[]` as Postgres reads it: an UNNEST would flatten an array of arrays.
fn array_literal(texts: &[String]) -> String {
    let quoted: Vec<String> = texts
        .iter()
        .map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    format!("{{{}}}", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::array_literal;

    #[test]
    fn an_array_survives_its_own_syntax() {
        let texts = ["a,b", "\"q\"", "\\", "", "NULL", "{}"].map(str::to_owned);
        assert_eq!(array_literal(&[]), "{}");
        assert_eq!(
            array_literal(&texts),
            r#"{"a,b","\"q\"","\\","","NULL","{}"}"#
        );
    }
}
