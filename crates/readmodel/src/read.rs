//! Reads: one snapshot over pointer, checkpoints and rows, under one tenant.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use compline_event::{Offset, Partition, Position, TenantId, Token, Topic};
use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;

use crate::{
    fault,
    generation::{Generation, SCHEMA, schema_name},
    lease::Lease,
    park::key_name,
    pool::Database,
    role::Role,
    silence::READER_SILENCE,
    wake::Wakes,
};

/// A wait reads again after this long even when nothing woke it.
const REREAD: Duration = Duration::from_millis(250);

/// How long the first statements of a read may be without an answer. They are looked up
/// and wait for no lock, so who says nothing is gone, and another connection is tried.
const BEGIN_WITHIN: Duration = Duration::from_secs(3);

/// A promote that comes between the choice of a pool and the read makes the read
/// start over; more than this many in a row is no promote.
const GENERATION_RETRIES: usize = 5;

/// What a read must have seen, and what to do when it has not in time.
#[derive(Clone, Debug)]
pub struct Want {
    pub token: Token,
    pub max_wait: Duration,
    pub on_timeout: OnTimeout,
}

impl Want {
    /// Whatever is there now.
    pub fn now() -> Self {
        Self {
            token: Token::default(),
            max_wait: Duration::ZERO,
            on_timeout: OnTimeout::Fail,
        }
    }

    /// At least `token`, or an error.
    pub fn at_least(token: Token, max_wait: Duration) -> Self {
        Self {
            token,
            max_wait,
            on_timeout: OnTimeout::Fail,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTimeout {
    Fail,
    Stale,
}

/// What an answer has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub position: Token,
    /// The wait timed out and the caller chose data over an error.
    pub stale: bool,
    /// The tenant's keys that are parked at or below the asked position.
    pub parked_keys: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{projection} does not read partition {partition} of topic {topic}")]
    NotRead {
        projection: &'static str,
        topic: Topic,
        partition: Partition,
    },
    #[error("{projection} has not reached {asked} in time; it is at {reached}")]
    TimedOut {
        projection: &'static str,
        asked: Token,
        reached: Token,
    },
    #[error("{projection} has no generation that can be read")]
    NoGeneration { projection: &'static str },
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The reading side of one projection.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    projection: &'static str,
    database: Database,
    max_connections: u32,
    wakes: Wakes,
    /// One pool per generation: a promote would otherwise break cached plans.
    pools: Mutex<Pools>,
}

#[derive(Debug, Default)]
struct Pools {
    current: Generation,
    of: HashMap<Generation, PgPool>,
}

/// A read transaction under one tenant: REPEATABLE READ, read only, its
/// `search_path` the live generation. Ends when it is dropped.
#[derive(Debug)]
pub struct Snapshot {
    lease: Lease,
    seen: Seen,
}

impl Snapshot {
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.lease
    }

    /// Reads rows, for as long as Postgres is heard.
    pub async fn read<T>(
        &mut self,
        rows: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let line = self.lease.line();
        line.heard(rows(&mut self.lease)).await
    }

    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Ends the transaction and says what it has seen.
    pub async fn finish(self) -> Result<Seen, sqlx::Error> {
        self.lease.commit().await?;
        Ok(self.seen)
    }
}

impl Reader {
    pub fn new(
        projection: &'static str,
        database: Database,
        wakes: Wakes,
        max_connections: u32,
    ) -> Self {
        let shared = Shared {
            projection,
            database,
            max_connections,
            wakes,
            pools: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub fn projection(&self) -> &'static str {
        self.shared.projection
    }

    pub fn wakes(&self) -> &Wakes {
        &self.shared.wakes
    }

    /// Begins a read that has seen what `want` asks for, or says that it has not.
    pub async fn snapshot(&self, tenant: TenantId, want: &Want) -> Result<Snapshot, ReadError> {
        let deadline = Instant::now() + want.max_wait;
        // Before the first look, so that no commit falls between look and wait.
        let mut wakes = self.shared.wakes.subscribe();
        loop {
            let mut snapshot = self.begin_again(tenant).await?;
            self.check_is_read(&snapshot.seen.position, &want.token)?;
            let reached = snapshot.seen.position.covers(&want.token);
            if !reached && Instant::now() < deadline {
                drop(snapshot);
                self.wait(&mut wakes, deadline).await;
                continue;
            }
            if !reached && want.on_timeout == OnTimeout::Fail {
                return Err(ReadError::TimedOut {
                    projection: self.shared.projection,
                    asked: want.token.clone(),
                    reached: snapshot.seen.position,
                });
            }
            snapshot.seen.stale = !reached;
            if !want.token.is_empty() {
                snapshot.seen.parked_keys = self.parked_keys(&mut snapshot, &want.token).await?;
            }
            return Ok(snapshot);
        }
    }

    async fn wait(
        &self,
        wakes: &mut tokio::sync::broadcast::Receiver<Arc<crate::wake::Wake>>,
        deadline: Instant,
    ) {
        let until = deadline.min(Instant::now() + REREAD);
        let woken = async {
            // A lagging receiver has missed wakes: read again.
            while let Ok(wake) = wakes.recv().await {
                if wake.concerns_projection(self.shared.projection) {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout_at(until, woken).await;
    }

    /// A pooled connection may have died since it was used last; a read that finds
    /// out so is begun once more.
    async fn begin_again(&self, tenant: TenantId) -> Result<Snapshot, ReadError> {
        match self.begin(tenant).await {
            Err(ReadError::Database(error)) if fault::lost_connection(&error) => {
                self.begin(tenant).await
            }
            begun => begun,
        }
    }

    async fn begin(&self, tenant: TenantId) -> Result<Snapshot, ReadError> {
        for _ in 0..GENERATION_RETRIES {
            let (generation, pool) = self.pool(None);
            let mut lease = Lease::with_patience(&pool, READER_SILENCE).await?;
            let line = lease.line();
            let begun = async {
                lease
                    .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                    .await?;
                sqlx::query!(
                    r#"SELECT set_config('compline.tenant', $1, true) AS tenant,
                          max(generation) AS generation,
                          array_agg(topic) AS "topics: Vec<String>",
                          array_agg(partition) AS "partitions: Vec<i32>",
                          array_agg(next_offset) AS "next_offsets: Vec<i64>"
                   FROM compline.seen WHERE projection = $2"#,
                    tenant.as_uuid().to_string(),
                    self.shared.projection,
                )
                .fetch_one(&mut *lease)
                .await
            };
            let row = line.heard_within(BEGIN_WITHIN, begun).await?;
            let Some(live) = row.generation else {
                return Err(ReadError::NoGeneration {
                    projection: self.shared.projection,
                });
            };
            if live != generation {
                self.pool(Some(live));
                continue;
            }
            let position = positions(
                row.topics.unwrap_or_default(),
                row.partitions.unwrap_or_default(),
                row.next_offsets.unwrap_or_default(),
            );
            return Ok(Snapshot {
                lease,
                seen: Seen {
                    position,
                    ..Seen::default()
                },
            });
        }
        Err(ReadError::NoGeneration {
            projection: self.shared.projection,
        })
    }

    /// The pool of the current generation, which becomes `live` when it is given.
    fn pool(&self, live: Option<Generation>) -> (Generation, PgPool) {
        let mut pools = self
            .shared
            .pools
            .lock()
            .expect("nothing panics while it holds the pools");
        if let Some(live) = live {
            pools.current = live;
            // Reads that are under way keep theirs; what idles there would keep
            // others out of Postgres.
            pools.of.retain(|generation, _| *generation == live);
        }
        let current = pools.current;
        let pool = pools.of.entry(current).or_insert_with(|| {
            // Generation 0 never exists: the first read only learns which does.
            let schema = match current {
                0 => SCHEMA.to_owned(),
                _ => schema_name(self.shared.projection, current),
            };
            self.shared
                .database
                .pool(Role::Query, &schema, self.shared.max_connections)
        });
        (current, pool.clone())
    }

    fn check_is_read(&self, read: &Token, asked: &Token) -> Result<(), ReadError> {
        for Position {
            topic, partition, ..
        } in asked.positions()
        {
            if read.next_offset(topic, partition).is_none() {
                return Err(ReadError::NotRead {
                    projection: self.shared.projection,
                    topic,
                    partition,
                });
            }
        }
        Ok(())
    }

    async fn parked_keys(
        &self,
        snapshot: &mut Snapshot,
        asked: &Token,
    ) -> Result<Vec<String>, sqlx::Error> {
        let keys = sqlx::query!(
            "SELECT topic, partition, key, first_offset
             FROM compline.parked_key JOIN compline.pointer USING (projection, generation)
             WHERE projection = $1 ORDER BY topic, partition, key",
            self.shared.projection,
        );
        let rows = snapshot.read(async |conn| keys.fetch_all(conn).await);
        let rows = rows.await?;
        let below = |topic: &str, partition: i32, offset: i64| {
            let topic = topic.parse().ok()?;
            let asked = asked.next_offset(topic, Partition(partition))?;
            (Offset(offset) < asked).then_some(())
        };
        Ok(rows
            .into_iter()
            .filter(|row| below(&row.topic, row.partition, row.first_offset).is_some())
            .map(|row| key_name(&row.topic, &row.key))
            .collect())
    }
}

fn positions(topics: Vec<String>, partitions: Vec<i32>, next_offsets: Vec<i64>) -> Token {
    topics
        .iter()
        .zip(partitions)
        .zip(next_offsets)
        .filter_map(|((topic, partition), next_offset)| {
            // A topic of a newer build: this one's callers cannot ask for it.
            let topic = topic.parse().ok()?;
            Some(Position {
                topic,
                partition: Partition(partition),
                next_offset: Offset(next_offset),
            })
        })
        .collect()
}
