//! A law that nobody can break is no law: for each there is a projection here that
//! breaks it, and the law says so.

use compline_event::{
    Event, Recorded, Topic, account_events::AccountConnected, tenant_events::OrganizationCreated,
};
use compline_readmodel::{FoldError, Projection, Role};
use compline_testkit::{Stage, law};
use rand::{Rng, SeedableRng as _, rngs::StdRng};
use sqlx::{PgConnection, migrate::Migrator};

/// One row per event. `FAULT` is what its author did not think of.
struct Facts<const FAULT: u8>;

const NONE: u8 = 0;
const COUNTS_ITS_BATCH: u8 = 1;
const LOOKS_AT_OTHER_KEYS: u8 = 2;
const TAKES_REPEATS: u8 = 3;
const LOOKS_AT_THE_CLOCK: u8 = 4;
const LEAKS: u8 = 5;
const LOOKS_AT_ITS_GENERATION: u8 = 6;

impl<const FAULT: u8> Projection for Facts<FAULT> {
    const NAME: &'static str = "facts";
    const TOPICS: &'static [Topic] = &[Topic::Account, Topic::Tenant];
    type Rows = Vec<Recorded>;

    fn migrator() -> Migrator {
        sqlx::migrate!("tests/it/migrations")
    }

    async fn load(_: &mut PgConnection, _: &[Recorded]) -> Result<Self::Rows, sqlx::Error> {
        Ok(Vec::new())
    }

    fn apply(rows: &mut Self::Rows, event: &Recorded) -> Result<(), FoldError> {
        rows.push(event.clone());
        Ok(())
    }

    async fn store(conn: &mut PgConnection, rows: Self::Rows) -> Result<(), sqlx::Error> {
        let batch = rows.len();
        for event in rows {
            let tenant = event.envelope.tenant.unwrap().as_uuid();
            let id = match FAULT {
                TAKES_REPEATS => event.at.to_string(),
                _ => event.envelope.event_id.to_string(),
            };
            let says = match FAULT {
                COUNTS_ITS_BATCH => format!("{batch} at once"),
                _ => event.envelope.event.type_name().to_owned(),
            };
            let addition = match FAULT {
                LOOKS_AT_OTHER_KEYS => "(SELECT count(*) FROM fact)::text",
                LOOKS_AT_THE_CLOCK => "clock_timestamp()::text",
                LOOKS_AT_ITS_GENERATION => "current_schema()::text",
                _ => "''",
            };
            let statement = format!(
                "INSERT INTO fact (tenant_id, id, says) VALUES ($1, $2, $3 || {addition})
                 ON CONFLICT DO NOTHING"
            );
            sqlx::query(sqlx::AssertSqlSafe(statement))
                .bind(tenant)
                .bind(id)
                .bind(says)
                .execute(&mut *conn)
                .await?;
            if FAULT == LEAKS {
                sqlx::query("INSERT INTO leak VALUES ($1) ON CONFLICT DO NOTHING")
                    .bind(tenant)
                    .execute(&mut *conn)
                    .await?;
            }
        }
        Ok(())
    }
}

fn draw(rng: &mut StdRng) -> Event {
    match rng.random_range(0..2) {
        0 => Event::AccountConnected(AccountConnected {
            ad_account_id: rng.random_range(1..9).to_string(),
            ..Default::default()
        }),
        _ => Event::OrganizationCreated(OrganizationCreated::default()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_projection_keeps_all_laws() {
    law::hold::<Facts<NONE>>(draw).await.unwrap();
}

/// Every law on one history: the names of those that are broken.
async fn broken_by<const FAULT: u8>() -> Vec<&'static str> {
    let mut rng = StdRng::seed_from_u64(1);
    let history = law::history(&mut rng, &mut draw);
    let mut stage = Stage::<Facts<FAULT>>::open().await;
    let stage = &mut stage;
    let checked = [
        (
            "batches",
            law::batches_change_nothing(stage, &history, &mut rng).await,
        ),
        (
            "keys",
            law::keys_do_not_depend_on_each_other(stage, &history, &mut rng).await,
        ),
        (
            "repeats",
            law::repeats_change_nothing(stage, &history, &mut rng).await,
        ),
        ("replay", law::replay_gives_the_same(stage, &history).await),
        (
            "rebuild",
            law::a_rebuild_is_equal(stage, &history, &mut rng).await,
        ),
        ("tenants", law::nobody_reads_anothers(stage).await),
    ];
    let broken = checked.into_iter().filter(|(_, checked)| checked.is_err());
    broken.map(|(name, _)| name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_breaks_the_law_that_is_there_for_it() {
    assert_eq!(broken_by::<NONE>().await, Vec::<&str>::new());
    assert!(broken_by::<COUNTS_ITS_BATCH>().await.contains(&"batches"));
    assert!(broken_by::<LOOKS_AT_OTHER_KEYS>().await.contains(&"keys"));
    assert_eq!(broken_by::<TAKES_REPEATS>().await, ["repeats"]);
    assert!(broken_by::<LOOKS_AT_THE_CLOCK>().await.contains(&"replay"));
    assert_eq!(broken_by::<LEAKS>().await, ["tenants"]);
    assert_eq!(broken_by::<LOOKS_AT_ITS_GENERATION>().await, ["rebuild"]);
}

/// What the kill tests lean on: a log's rows are known, and a row that is lost or
/// doubled does not pass.
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_compared_with_the_log() {
    use compline_eventlog::AppenderConfig;
    use compline_testkit::{Story, log, tenant, verify};

    let (log, _broker) = log().await;
    let appender = log.appender(AppenderConfig::default()).unwrap();
    let mut rng = StdRng::seed_from_u64(2);
    let mut story = Story::new();
    let mut live = Stage::<Facts<NONE>>::open().await;
    for number in 0..50 {
        let told = story.of(tenant(1 + number % 2)).tell(draw(&mut rng));
        let at = told.at;
        let appended = appender.append(at.topic, None, told.key.clone(), &told.envelope);
        assert_eq!(
            appended.await.unwrap(),
            at,
            "a story knows where things stand"
        );
        live.given(&[told]).await;
    }
    let database = live.postgres().database().clone();
    let verdict = verify::projection::<Facts<NONE>>(&log, &database, &[]).await;
    assert_eq!(verdict.unwrap(), 50);

    let mut projector = live.connect(Role::Projector).await;
    for (damage, found) in [
        (
            "DELETE FROM fact WHERE id IN (SELECT min(id) FROM fact)",
            "only by the log: 1",
        ),
        (
            "INSERT INTO fact SELECT tenant_id, id || '!', says FROM fact",
            "only in the tables: 49",
        ),
    ] {
        sqlx::query(damage).execute(&mut projector).await.unwrap();
        let verdict = verify::projection::<Facts<NONE>>(&log, &database, &[]).await;
        let error = format!("{:#}", verdict.unwrap_err());
        assert!(error.contains(found), "{error}");
    }
}

/// A log whose numbers have a hole is not folded over.
#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_an_engines_numbers_is_found() {
    use compline_event::ad_events::AdStatusChanged;
    use compline_eventlog::AppenderConfig;
    use compline_testkit::{Story, log, verify};

    let (log, _broker) = log().await;
    let appender = log.appender(AppenderConfig::default()).unwrap();
    let mut story = Story::new();
    let mut tell = || {
        story.tell(Event::AdStatusChanged(AdStatusChanged {
            ad_id: "1".to_owned(),
            ..Default::default()
        }))
    };
    let (first, second, third) = (tell(), tell(), tell());
    for told in [&first, &second, &first] {
        let appended = appender.append(Topic::Ad, None, told.key.clone(), &told.envelope);
        appended.await.unwrap();
    }
    let told = verify::read(&log, Topic::Ad).await.unwrap();
    assert_eq!((told.events.len(), told.repeats), (2, 1));

    let mut skipped = third;
    skipped.envelope.stamp.as_mut().unwrap().number += 1;
    let appended = appender.append(Topic::Ad, None, skipped.key.clone(), &skipped.envelope);
    appended.await.unwrap();
    let error = verify::read(&log, Topic::Ad).await.unwrap_err().to_string();
    assert!(error.contains("4 follows 2 of ad"), "{error}");
}
