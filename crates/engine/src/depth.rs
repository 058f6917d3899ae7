//! How much is decided and not yet told, looked at every second: also while the relay
//! waits for a log that is away, which is when it grows.
//!
//! Every process of an engine shows the same, for the outbox is one.

use std::time::Duration;

use compline_event::Topic;
use compline_readmodel::Lease;
use metrics::gauge;
use sqlx::PgPool;
use tokio::time::MissedTickBehavior;

use crate::metric;

const EVERY: Duration = Duration::from_secs(1);

/// Runs until it is dropped; then nothing is shown as waiting.
pub(crate) async fn watch(engine: &'static str, outputs: &'static [Topic], pool: PgPool) {
    let _shown = Shown { engine, outputs };
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match look(engine, &pool).await {
            Ok(topics) => {
                for (topic, waiting) in topics {
                    show(engine, topic, waiting as f64);
                }
            }
            Err(error) => tracing::debug!(engine, %error, "the outbox cannot be measured"),
        }
    }
}

/// By the first and the last number of each partition: there is no hole between.
async fn look(engine: &str, pool: &PgPool) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let mut conn = Lease::of(pool).await?;
    let line = conn.line();
    let rows = sqlx::query!(
        r#"SELECT topic AS "topic!", sum(coalesce(newest - oldest + 1, 0))::bigint AS "waiting!"
           FROM (SELECT topic,
                        (SELECT min(number) FROM engine.outbox
                         WHERE (outbox.engine, outbox.topic, outbox.partition)
                             = (relay.engine, relay.topic, relay.partition)) AS oldest,
                        (SELECT max(number) FROM engine.outbox
                         WHERE (outbox.engine, outbox.topic, outbox.partition)
                             = (relay.engine, relay.topic, relay.partition)) AS newest
                 FROM engine.relay WHERE engine = $1) AS of_partition
           GROUP BY topic"#,
        engine,
    )
    .fetch_all(&mut *conn);
    let rows = line.heard(rows).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.topic, row.waiting))
        .collect())
}

fn show(engine: &'static str, topic: String, waiting: f64) {
    gauge!(metric::OUTBOX, "engine" => engine, "topic" => topic).set(waiting);
}

struct Shown {
    engine: &'static str,
    outputs: &'static [Topic],
}

impl Drop for Shown {
    fn drop(&mut self) {
        for topic in self.outputs {
            show(self.engine, topic.to_string(), 0.0);
        }
    }
}
