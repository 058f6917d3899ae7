//! What must hold of any projection, tried on histories drawn at random in a real
//! Postgres: however a history is cut into batches, and in whatever order its
//! partitions come, the rows are the same; and nobody reads another tenant's.

use std::collections::BTreeMap;

use compline_cluster::{Cluster, ClusterConfig};
use compline_event::{
    Envelope, Event, EventId, Offset, Partition, RecordId, Recorded, Source, TenantId, Topic,
    partition::partition_of,
};
use compline_readmodel::{
    Database, Projection, Role,
    generation::{self, Plan, SCHEMA, schema_name},
    role,
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Of every topic, to have several.
const PARTITIONS: u32 = 3;

const HISTORIES: u64 = 8;
const EVENTS: usize = 120;

pub(crate) const TENANTS: [TenantId; 2] = [
    TenantId::new(Uuid::from_u128(0xa)),
    TenantId::new(Uuid::from_u128(0xb)),
];

type History = BTreeMap<(Topic, Partition), Vec<Recorded>>;

pub(crate) struct Laws {
    _cluster: Cluster,
    _folder: tempfile::TempDir,
    database: Database,
}

impl Laws {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster::start(ClusterConfig {
            prefer_system: true,
            lose_data_on_crash: true,
            shared_buffers: "32MB".into(),
            ..ClusterConfig::new(folder.path().join("postgres"))
        });
        let cluster = cluster.await.unwrap();
        let admin: PgConnectOptions = cluster.url("postgres").parse().unwrap();
        role::bootstrap(&admin, "compline", |_| "test".to_owned())
            .await
            .unwrap();
        let options = admin.database("compline");
        let database = Database::new(move |role| {
            let options = options.clone();
            options.username(role.as_str()).password("test")
        });
        generation::migrate(&database).await.unwrap();
        Self {
            _cluster: cluster,
            _folder: folder,
            database,
        }
    }

    /// `draw` gives the next event of a tenant.
    pub(crate) async fn hold<P: Projection>(&self, mut draw: impl FnMut(&mut StdRng) -> Event) {
        for seed in 0..HISTORIES {
            let mut rng = StdRng::seed_from_u64(seed);
            let history = history(&mut rng, &mut draw);
            let whole = history.values().cloned().collect();
            let torn = tear(&mut rng, &history);
            let generations = [2 * seed + 1, 2 * seed + 2].map(|n| i32::try_from(n).unwrap());
            let once = self.fold::<P>(generations[0], whole).await;
            let bit_by_bit = self.fold::<P>(generations[1], torn).await;
            assert!(
                once.values().any(|rows| rows != "[]"),
                "history {seed} left no row"
            );
            assert_eq!(once, bit_by_bit, "history {seed}");
        }
        self.nobody_reads_anothers::<P>().await;
    }

    /// The rows of every table after `batches`, each in a transaction of its own.
    async fn fold<P: Projection>(
        &self,
        generation: i32,
        batches: Vec<Vec<Recorded>>,
    ) -> BTreeMap<String, String> {
        let schema = schema_name(P::NAME, generation);
        let plan = Plan {
            generation,
            schema: schema.clone(),
            ..Plan::first::<P>(|_| PARTITIONS)
        };
        generation::create(&self.database, &plan).await.unwrap();
        let mut writer = self.connect(Role::Projector, &schema).await;
        for batch in batches {
            let mut tx = writer.begin().await.unwrap();
            let mut rows = P::load(&mut tx, &batch).await.unwrap();
            for event in &batch {
                P::apply(&mut rows, event).unwrap();
            }
            P::store(&mut tx, rows).await.unwrap();
            tx.commit().await.unwrap();
        }
        let mut owner = self.connect(Role::Owner, &schema).await;
        let mut dump = BTreeMap::new();
        for table in tables(&mut owner, &schema).await {
            let rows = format!(
                "SELECT coalesce(jsonb_agg(r ORDER BY r::text), '[]')::text
                 FROM (SELECT to_jsonb(t) AS r FROM {table} t) AS rows"
            );
            let rows = sqlx::query_scalar(AssertSqlSafe(rows));
            let rows: String = rows.fetch_one(&mut owner).await.unwrap();
            dump.insert(table, rows);
        }
        dump
    }

    /// As the query role, in the tables of the first history.
    async fn nobody_reads_anothers<P: Projection>(&self) {
        let schema = schema_name(P::NAME, 1);
        let mut owner = self.connect(Role::Owner, &schema).await;
        let mut reader = self.connect(Role::Query, &schema).await;
        let mut seen = 0;
        for table in tables(&mut owner, &schema).await {
            let granted = "SELECT has_table_privilege('compline_query', $1, 'SELECT')";
            let granted: bool = sqlx::query_scalar(granted)
                .bind(&table)
                .fetch_one(&mut owner)
                .await
                .unwrap();
            if !granted {
                continue;
            }
            for tenant in [None, Some(TENANTS[0]), Some(TENANTS[1])] {
                let setting = tenant.map_or_else(String::new, |tenant| tenant.to_string());
                sqlx::query("SELECT set_config('compline.tenant', $1, false)")
                    .bind(setting)
                    .execute(&mut reader)
                    .await
                    .unwrap();
                let found = format!("SELECT DISTINCT tenant_id FROM {table}");
                let found = sqlx::query_scalar(AssertSqlSafe(found));
                let found: Vec<Uuid> = found.fetch_all(&mut reader).await.unwrap();
                let own = |found: &Uuid| Some(TenantId::new(*found)) == tenant;
                assert!(found.iter().all(own), "{table}, as {tenant:?}");
                seen += found.len();
            }
        }
        assert!(seen > 0, "nothing was there to be seen");
    }

    async fn connect(&self, role: Role, schema: &str) -> PgConnection {
        let options = self.database.options(role, schema);
        PgConnection::connect_with(&options).await.unwrap()
    }
}

async fn tables(owner: &mut PgConnection, schema: &str) -> Vec<String> {
    assert_ne!(schema, SCHEMA);
    sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables
         WHERE schemaname = $1 AND tablename <> '_sqlx_migrations' ORDER BY 1",
    )
    .bind(schema)
    .fetch_all(owner)
    .await
    .unwrap()
}

/// A log of `EVENTS` events of two tenants.
fn history(rng: &mut StdRng, draw: &mut impl FnMut(&mut StdRng) -> Event) -> History {
    let mut history = History::new();
    for number in 0..EVENTS {
        let tenant = TENANTS[rng.random_range(0..TENANTS.len())];
        let event = draw(rng);
        let (topic, key) = event.destination(tenant).unwrap();
        let partition = partition_of(&key, PARTITIONS);
        let log = history.entry((topic, partition)).or_default();
        let number = u32::try_from(number).unwrap();
        let at = OffsetDateTime::UNIX_EPOCH + Duration::SECOND * number;
        log.push(Recorded {
            at: RecordId {
                topic,
                partition,
                offset: Offset(i64::try_from(log.len()).unwrap()),
            },
            key,
            envelope: Envelope {
                event_id: EventId::new(Uuid::from_u128(u128::from(number))),
                tenant: Some(tenant),
                occurred_at: at,
                recorded_at: at,
                source: Source::User,
                actor: "k1".into(),
                causation_id: None,
                correlation_id: None,
                stamp: None,
                traceparent: String::new(),
                event,
            },
        });
    }
    history
}

/// The same history in batches of 1 to 6, partitions mingled.
fn tear(rng: &mut StdRng, history: &History) -> Vec<Vec<Recorded>> {
    let mut left: Vec<&[Recorded]> = history.values().map(Vec::as_slice).collect();
    let mut batches = Vec::new();
    while !left.is_empty() {
        left.shuffle(rng);
        let last = left.last_mut().expect("it is not empty");
        let (batch, rest) = last.split_at(rng.random_range(1..=6).min(last.len()));
        batches.push(batch.to_vec());
        *last = rest;
        left.retain(|rest| !rest.is_empty());
    }
    batches
}
