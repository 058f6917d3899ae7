//! Promise 6: a rebuild has no downtime, is compared before it is read, and can be
//! taken back.

use std::{collections::BTreeSet, time::Duration};

use compline_event::Topic;
use compline_eventlog::TopicSpec;
use compline_projector::{
    Board, Generations, GenerationsConfig, GenerationsError, ProjectorConfig,
};
use compline_readmodel::{
    Generation, Projection, Reader, Role, Steward, StewardError, Wakes, Want,
    compare::{CompareError, Comparison, Difference},
    generation::{self, SCHEMA},
    steward::Promotion,
};
use compline_testkit::tenant;
use sqlx::Row as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    street::Street,
    tally::{Tally, UNFOLDABLE},
};

pub(crate) const WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Projecting {
    board: Board,
    stop: CancellationToken,
    task: JoinHandle<Result<(), GenerationsError>>,
}

impl Projecting {
    pub(crate) async fn start<P: Projection>(street: &Street) -> Self {
        Self::open::<P>(street).await.unwrap()
    }

    pub(crate) async fn open<P: Projection>(street: &Street) -> Result<Self, GenerationsError> {
        let mut projector = ProjectorConfig::new("", 0);
        projector.batch_records = 20;
        let config = GenerationsConfig {
            connections: 8,
            projector,
        };
        let database = street.postgres.database().clone();
        let generations = Generations::<P>::open(street.log.clone(), database, config).await?;
        let board = generations.board();
        let stop = CancellationToken::new();
        let task = tokio::spawn(generations.run(stop.clone()));
        Ok(Self { board, stop, task })
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

pub(crate) async fn steward(street: &Street) -> Steward {
    let taken = Steward::take(street.postgres.database(), Tally::NAME).await;
    taken.unwrap()
}

pub(crate) fn promotion() -> Promotion {
    Promotion {
        within: WITHIN,
        ..Promotion::default()
    }
}

pub(crate) async fn rebuild<P: Projection>(street: &Street) -> Generation {
    let partitions_of = |topic: Topic| TopicSpec::of(topic).partitions;
    let made = steward(street).await.rebuild::<P>(partitions_of).await;
    made.unwrap()
}

/// Waits until generation after generation has this many records behind it.
pub(crate) async fn applied(street: &Street, expected: &[i64]) {
    let deadline = tokio::time::Instant::now() + WITHIN;
    loop {
        let mut conn = street.conn().await;
        let standing = generation::standing(&mut conn, Tally::NAME).await.unwrap();
        let applied: Vec<i64> = standing.iter().map(|each| each.applied).collect();
        if applied == expected {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{applied:?} for ever"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn compare(
    street: &Street,
    candidate: Generation,
) -> Result<Comparison, CompareError> {
    let mut steward = steward(street).await;
    steward.compare(candidate, 10, WITHIN, &|_| {}).await
}

pub(crate) async fn tell(street: &Street, numbers: std::ops::Range<i32>) {
    for number in numbers {
        street
            .tell(&format!("ad{}", number % 7), &number.to_string(), None)
            .await;
    }
}

pub(crate) fn reader(street: &Street) -> Reader {
    let database = street.postgres.database().clone();
    let wakes = Wakes::start(database.pool(Role::Query, SCHEMA, 1));
    Reader::new(Tally::NAME, database, wakes, 4)
}

/// What one read sees: its generation, the events that its rows have counted, and
/// the records behind its position. Rows and position of one generation agree.
pub(crate) async fn read(reader: &Reader, want: &Want) -> (String, i64, i64) {
    let mut snapshot = reader.snapshot(tenant(1), want).await.unwrap();
    let row =
        sqlx::query("SELECT current_schema()::text, coalesce(sum(events), 0)::bigint FROM tally")
            .fetch_one(snapshot.conn())
            .await
            .unwrap();
    let seen = snapshot.finish().await.unwrap();
    let behind = seen.position.positions().map(|at| at.next_offset.0).sum();
    (row.get(0), row.get(1), behind)
}

/// Somebody appends and somebody reads all the time, while a generation is made,
/// compared, promoted, taken back, promoted again and the other one dropped.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_is_compared_promoted_and_taken_back_while_people_read() {
    let street = Street::open().await;
    let projecting = Projecting::start::<Tally>(&street).await;
    tell(&street, 0..300).await;
    applied(&street, &[300]).await;

    let done = CancellationToken::new();
    let telling = async {
        let mut number = 300;
        while !done.is_cancelled() {
            tell(&street, number..number + 1).await;
            number += 1;
        }
        number
    };
    let reading = async {
        let reader = reader(&street);
        let (mut generations, mut before, mut reads) = (BTreeSet::new(), 0, 0);
        while !done.is_cancelled() {
            let (schema, events, behind) = read(&reader, &Want::now()).await;
            assert_eq!(
                events, behind,
                "rows of another generation than the position's"
            );
            assert!(behind >= before, "{schema} is behind what was seen before");
            generations.insert(schema);
            (before, reads) = (behind, reads + 1);
        }
        (generations, reads)
    };
    let changing = async {
        let made = rebuild::<Tally>(&street).await;
        assert_eq!(made, 2);
        let compared = compare(&street, made).await.unwrap();
        assert!(compared.is_equal(), "{compared:#?}");
        assert_eq!((compared.live, compared.candidate), (1, 2));
        let rows = compared.tables.iter().find(|table| table.name == "tally");
        assert_eq!(rows.unwrap().candidate_rows, 7);

        for (from, to) in [(1, 2), (2, 1), (1, 2)] {
            let mut steward = steward(&street).await;
            let switched = match from {
                1 => steward.promote(2, &promotion()).await,
                _ => steward.rollback(&promotion()).await,
            };
            let switched = switched.unwrap();
            assert_eq!((switched.from, switched.to), (from, to));
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
        steward(&street).await.drop_generation(1).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        done.cancel();
    };
    let (told, (generations, reads), ()) = tokio::join!(telling, reading, changing);
    assert_eq!(
        generations,
        BTreeSet::from(["tally_g1".to_owned(), "tally_g2".to_owned()])
    );
    assert!(reads > 100, "{reads} reads are no load");

    let end = street
        .log
        .bounds(Topic::Ad, crate::street::PARTITION)
        .await
        .unwrap()
        .end;
    let want = Want::at_least(format!("ad/0@{end}").parse().unwrap(), WITHIN);
    let (schema, events, _) = read(&reader(&street), &want).await;
    assert_eq!((schema.as_str(), events), ("tally_g2", i64::from(told)));
    assert_eq!(
        projecting.board.stopped(),
        None,
        "a dropped generation just ends"
    );
    projecting.stop().await;

    // A number is never given twice: whoever still follows the dropped one is fenced.
    assert_eq!(rebuild::<Tally>(&street).await, 3);
}

/// The rows of a generation are not what its log says.
#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_shown_row_for_row() {
    let street = Street::open().await;
    let projecting = Projecting::start::<Tally>(&street).await;
    tell(&street, 0..50).await;
    let made = rebuild::<Tally>(&street).await;
    applied(&street, &[50, 50]).await;
    assert!(compare(&street, made).await.unwrap().is_equal());

    let change = "UPDATE tally_g2.tally SET events = events + 1 WHERE ad_id = 'ad3';
                  DELETE FROM tally_g2.tally WHERE ad_id = 'ad4';
                  INSERT INTO tally_g2.tally SELECT tenant_id, 'ad9', events, statuses
                  FROM tally_g1.tally WHERE ad_id = 'ad5'";
    sqlx::raw_sql(change)
        .execute(&mut street.conn().await)
        .await
        .unwrap();
    let compared = compare(&street, made).await.unwrap();
    let table = &compared.tables[0];
    assert_eq!(table.tenants, [Some(tenant(1))]);
    assert_eq!(
        (table.live_rows, table.candidate_rows, table.differing_rows),
        (7, 7, 3)
    );
    let shown: Vec<_> = table
        .rows
        .iter()
        .map(|row| (&row.key, &row.difference))
        .collect();
    let key = |ad: &str| format!("({},{ad})", tenant(1));
    assert!(
        matches!(shown[0], (at, Difference::Values(values))
        if *at == key("ad3") && values.len() == 1 && values[0].0 == "events"),
        "{shown:?}"
    );
    assert!(
        matches!(shown[1], (at, Difference::OnlyLive(_)) if *at == key("ad4")),
        "{shown:?}"
    );
    assert!(
        matches!(shown[2], (at, Difference::OnlyCandidate(_)) if *at == key("ad9")),
        "{shown:?}"
    );

    // A comparison that is cut off in the middle holds nobody for ever.
    let cut = steward(&street).await;
    sqlx::query("UPDATE compline.checkpoint SET held_at = next_offset WHERE generation = 2")
        .execute(&mut street.conn().await)
        .await
        .unwrap();
    assert!(matches!(
        Steward::take(street.postgres.database(), Tally::NAME).await,
        Err(StewardError::Busy { .. })
    ));
    tell(&street, 50..60).await;
    applied(&street, &[60, 50]).await;
    drop(cut);
    applied(&street, &[60, 60]).await;

    // Nor whoever comes next, wherever it was to be held.
    let cut = steward(&street).await;
    sqlx::query("UPDATE compline.checkpoint SET held_at = next_offset + 5 WHERE generation = 2")
        .execute(&mut street.conn().await)
        .await
        .unwrap();
    drop(cut);
    let mut next = steward(&street).await;
    tell(&street, 60..80).await;
    let switched = next.promote(made, &promotion()).await.unwrap();
    assert!(switched.locked < Duration::from_secs(3), "{switched:?}");
    applied(&street, &[80, 80]).await;
    projecting.stop().await;
}

/// A promote that cannot succeed hinders the live generation only now and then.
#[tokio::test(flavor = "multi_thread")]
async fn a_promote_in_vain_lets_the_live_generation_go_on() {
    let street = Street::open().await;
    let projecting = Projecting::start::<Tally>(&street).await;
    tell(&street, 0..20).await;
    applied(&street, &[20]).await;
    let made = rebuild::<Tally>(&street).await;
    applied(&street, &[20, 20]).await;
    // It stands still, a few events behind.
    let halt = "UPDATE compline.checkpoint SET next_offset = 10, epoch = epoch + 1,
                    last_event_id = gen_random_uuid()
                WHERE generation = 2 AND topic = 'ad' AND partition = 0";
    sqlx::query(halt)
        .execute(&mut street.conn().await)
        .await
        .unwrap();
    let mut steward = steward(&street).await;
    let soon = Promotion {
        within: Duration::from_secs(8),
        ..Promotion::default()
    };
    let began = tokio::time::Instant::now();
    let telling = async {
        let mut longest = Duration::ZERO;
        let mut told = 20;
        while began.elapsed() < Duration::from_secs(7) {
            tell(&street, told..told + 1).await;
            told += 1;
            let at = tokio::time::Instant::now();
            applied(&street, &[i64::from(told), 10]).await;
            longest = longest.max(at.elapsed());
        }
        (told, longest)
    };
    let (refused, (told, longest)) = tokio::join!(steward.promote(made, &soon), telling);
    assert!(
        matches!(refused, Err(StewardError::Behind { .. })),
        "{refused:?}"
    );
    assert!(told > 28, "only {} events went by", told - 20);
    assert!(
        longest < Duration::from_secs(2),
        "{longest:?} without an event"
    );
    projecting.stop().await;
}

/// A parked key's rows stay behind, so somebody has to say that this is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_with_parked_keys_is_promoted_only_by_naming_them() {
    let street = Street::open().await;
    let projecting = Projecting::start::<Tally>(&street).await;
    tell(&street, 0..10).await;
    street.tell("poor", UNFOLDABLE, None).await;
    let made = rebuild::<Tally>(&street).await;
    applied(&street, &[11, 11]).await;
    let mut steward = steward(&street).await;
    let name = format!("ad:{}/poor", tenant(1));
    let refused = steward.promote(made, &promotion()).await;
    assert!(
        matches!(&refused, Err(StewardError::Parked { keys, .. }) if *keys == [name.clone()]),
        "{refused:?}"
    );
    let slip = Promotion {
        with_parked: vec![format!("{name}x")],
        ..promotion()
    };
    let refused = steward.promote(made, &slip).await;
    assert!(
        matches!(&refused, Err(StewardError::NotParked { .. })),
        "{refused:?}"
    );
    let named = Promotion {
        with_parked: vec![name],
        ..promotion()
    };
    assert_eq!(steward.promote(made, &named).await.unwrap().to, made);

    // What nobody projects cannot be waited for.
    projecting.stop().await;
    let candidate = {
        let partitions_of = |topic: Topic| TopicSpec::of(topic).partitions;
        steward.rebuild::<Tally>(partitions_of).await.unwrap()
    };
    let soon = Promotion {
        within: Duration::from_millis(300),
        ..Promotion::default()
    };
    let behind = steward.promote(candidate, &soon).await;
    assert!(
        matches!(behind, Err(StewardError::Behind { behind: 11, .. })),
        "{behind:?}"
    );
    for (refused, says) in [
        (
            steward.promote(9, &soon).await.map(|_| ()),
            "there are 1, 2, 3",
        ),
        (
            steward.drop_generation(made).await,
            "is the one that is read",
        ),
    ] {
        assert!(refused.unwrap_err().to_string().contains(says));
    }
}
