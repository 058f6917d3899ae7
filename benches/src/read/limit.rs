//! The transaction alone: what Postgres and sqlx cannot be spared.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use compline_ad_status::{AdStatus, NAME};
use compline_readmodel::{Database, Projection as _, Role, generation::schema_name};
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::Side;
use crate::{ads::Ad, measure::Latencies, street::POOL};

pub(super) struct Limit {
    pool: PgPool,
}

impl Limit {
    pub(super) fn new(database: &Database) -> Self {
        let schema = schema_name(AdStatus::NAME, 1);
        Self {
            pool: database.pool(Role::Query, &schema, POOL),
        }
    }

    pub(super) async fn read(&self, readers: usize, length: Duration) -> Result<Side> {
        let began = Instant::now();
        let until = began + length;
        let mut reading = JoinSet::new();
        for reader in 0..readers {
            let pool = self.pool.clone();
            reading.spawn(async move {
                let mut latencies = Latencies::default();
                let mut number = reader;
                while Instant::now() < until {
                    let began = Instant::now();
                    read(&pool, number).await?;
                    latencies.add(began.elapsed());
                    number += readers;
                }
                anyhow::Ok(latencies)
            });
        }
        let mut latencies = Latencies::default();
        while let Some(read) = reading.join_next().await {
            latencies.merge(read??);
        }
        let seconds = began.elapsed().as_secs_f64();
        let summary = latencies.summary();
        #[allow(clippy::cast_precision_loss)]
        let per_second = summary.count as f64 / seconds;
        Ok((per_second, summary))
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

async fn read(pool: &PgPool, number: usize) -> Result<()> {
    let ad = Ad::nth(number);
    let mut tx = pool
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .await?;
    sqlx::query(
        "SELECT set_config('compline.tenant', $1, true), max(generation), array_agg(topic),
                array_agg(partition), array_agg(next_offset)
         FROM compline.seen WHERE projection = $2",
    )
    .bind(ad.tenant.to_string())
    .bind(NAME)
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query(
        "SELECT ad_id, ad_account_id, level, status, old_status, reason, placements,
                status_changed_at, fetch_needed, version, updated_at, log_partition, log_offset,
                error_codes, summaries, messages, raised_ats
         FROM ad, LATERAL (
             SELECT array_agg(error_code) AS error_codes, array_agg(summary) AS summaries,
                    array_agg(message) AS messages, array_agg(raised_at) AS raised_ats
             FROM ad_issue
             WHERE ad.open_issues > 0
               AND ad_issue.tenant_id = ad.tenant_id AND ad_issue.ad_id = ad.ad_id
         ) AS issue
         WHERE ad.ad_id = $1",
    )
    .bind(&ad.ad_id)
    .fetch_optional(&mut *tx)
    .await?
    .with_context(|| format!("ad {} is not there", ad.ad_id))?;
    tx.commit().await?;
    Ok(())
}
