//! A process that dies at a point of the protocol, and what the next one finds.
//!
//! | point | the batch that was under way |
//! |---|---|
//! | `polled`, `fenced`, `applying`, `committing` | never was: neither rows nor checkpoint nor mark |
//! | `committed` | is whole, though nobody was told |
//! | `promote-locked`, `promoting` | readers read the live generation, which moves on |
//! | `promoted` | readers read the other one |
//!
//! The last tests take a guard away, and see that this finds it.

use compline_readmodel::{Database, Generation, Projection as _, Steward, Want, crash::Guard};
use compline_testkit::crash::{Crash, stage};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::{
    fence::exactly_once,
    generations::{self, Projecting, applied, promotion, read, reader, rebuild, steward},
    street::{Street, projector},
    tally::Tally,
};

const BATCH: usize = 5;
const TOLD: i64 = 30;

/// Not a test of its own: dies where the tests below want it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the others, as a process to be killed"]
async fn projects() {
    let (log, database) = stage();
    let stop = CancellationToken::new();
    projector(&log, &database, BATCH).run(stop).await.unwrap();
}

/// As [`projects`].
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the others, as a process to be killed"]
async fn promotes() {
    let (_, database) = stage();
    promote(&database, 2).await;
}

async fn promote(database: &Database, to: Generation) {
    let mut steward = Steward::take(database, Tally::NAME).await.unwrap();
    steward.promote(to, &promotion()).await.unwrap();
}

/// A log of numbered outputs, so that marks count as well.
async fn told() -> Street {
    let street = Street::open().await;
    for number in 0..TOLD {
        let (ad, status) = (format!("ad{}", number % 7), number.to_string());
        let number = u64::try_from(number).unwrap() + 1;
        street.tell(&ad, &status, Some(number)).await;
    }
    street
}

async fn dies(street: &Street, crash: Crash) {
    crash
        .of("crash::projects", &street.broker, &street.postgres)
        .await;
}

/// Events in the rows, records behind the checkpoint, the mark.
async fn found(street: &Street) -> (i64, i64, Option<i64>) {
    let rows = street.rows().await;
    let mark = sqlx::query_scalar("SELECT number FROM compline.mark WHERE projection = 'tally'")
        .fetch_optional(&mut street.conn().await)
        .await
        .unwrap();
    let events = rows.values().map(|(events, _)| events).sum();
    (events, street.next_offset().await, mark)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_in_a_batch_leaves_all_of_it_or_nothing() {
    // Side by side: the group waits for the dead one's session to end.
    let points = [
        "polled",
        "fenced",
        "applying",
        "applying:8",
        "committing",
        "committing:3",
        "committed",
        "committed:3",
    ];
    join_all(points.map(dies_in_a_batch)).await;
}

async fn dies_in_a_batch(at: &'static str) {
    let street = told().await;
    dies(&street, Crash::at(at)).await;
    let (events, next_offset, mark) = found(&street).await;
    assert_eq!(events, next_offset, "{at}: rows and position");
    assert_eq!(mark.unwrap_or_default(), events, "{at}: rows and mark");
    let is_kept = at.starts_with("committed") || at.contains(':');
    assert_eq!(events > 0, is_kept, "{at}: {events} events");

    let running = street.start(BATCH);
    street.reached(TOLD).await;
    running.stop().await;
    exactly_once(&street, TOLD).await;
}

/// Somebody projects and somebody reads meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_in_a_promote_leaves_one_generation_that_is_read() {
    let street = Street::open().await;
    let projecting = Projecting::start::<Tally>(&street).await;
    generations::tell(&street, 0..30).await;
    assert_eq!(rebuild::<Tally>(&street).await, 2);
    applied(&street, &[30, 30]).await;
    let reader = reader(&street);
    let mut told = 30;
    for (at, live) in [
        ("promote-locked", "tally_g1"),
        ("promoting", "tally_g1"),
        ("promoted", "tally_g2"),
    ] {
        Crash::at(at)
            .of("crash::promotes", &street.broker, &street.postgres)
            .await;
        let (schema, events, behind) = read(&reader, &Want::now()).await;
        assert_eq!((schema.as_str(), events), (live, behind), "{at}");
        // Its locks went with it.
        generations::tell(&street, told..told + 10).await;
        told += 10;
        applied(&street, &[told.into(), told.into()]).await;
    }
    let back = steward(&street).await.rollback(&promotion()).await.unwrap();
    assert_eq!((back.from, back.to), (2, 1));
    promote(street.postgres.database(), 2).await;
    projecting.stop().await;
    exactly_once(&street, told.into()).await;
}

/// The position is there and the rows are not. Nobody would know, where there are no
/// numbers.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_in_the_transaction_are_missed() {
    let street = told().await;
    dies(&street, without(Guard::RowsWithMarks)).await;
    let running = street.start(BATCH);
    street.reached(TOLD).await;
    running.stop().await;
    let (events, _, mark) = found(&street).await;
    assert!(events < TOLD, "{events} of {TOLD} events");
    assert_eq!(mark, Some(TOLD));
}

/// A checkpoint without marks shows as a hole.
#[tokio::test(flavor = "multi_thread")]
async fn marks_that_are_not_in_the_transaction_are_missed() {
    let street = told().await;
    dies(&street, without(Guard::MarksWithCheckpoint)).await;
    let running = street.start(BATCH);
    let reason = running.stopped().await;
    assert!(reason.contains("of ad is missing"), "{reason}");
    running.stop().await;
}

fn without(guard: Guard) -> Crash {
    Crash {
        at: "committing:2",
        without: Some(guard),
    }
}

/// As `a_postgres_that_lost_its_tail_is_followed_back`, by an owner that moves the
/// checkpoint from wherever it finds it.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_moves_from_anywhere_loses_a_tail() {
    let street = told().await;
    let owner = Crash {
        at: "",
        without: Some(Guard::NextOffset),
    };
    let losing = async {
        street.reached(TOLD).await;
        street.lose_all_rows().await;
        street.tell("ad1", "last", None).await;
        street.reached(TOLD + 1).await;
    };
    tokio::select! {
        () = dies(&street, owner) => {}
        () = losing => {}
    }
    let (events, _, _) = found(&street).await;
    assert_eq!(events, 1, "of {}", TOLD + 1);
}
