//! What the timer does: in chunks, beside the batches, and every job of it.

use std::time::Duration as Wait;

use compline_ad::AdEngine;
use compline_engine::{Engine, Output, Outputs, Tick};
use compline_event::Recorded;
use sqlx::{Connection as _, PgConnection};
use time::Duration;

use super::{HOUR, batch, count, database::Database};
use crate::world::*;

async fn call(
    conn: &mut PgConnection,
    decided_until: Option<Duration>,
) -> anyhow::Result<(Vec<Output>, Tick)> {
    let mut transaction = conn.begin().await?;
    let mut outputs = Outputs::default();
    let until = decided_until.map(|after| START + after);
    let done = AdEngine.tick(&mut transaction, until, &mut outputs).await?;
    transaction.commit().await?;
    Ok((outputs.into_vec(), done))
}

async fn tick(conn: &mut PgConnection, after: Duration) -> anyhow::Result<Vec<Output>> {
    Ok(call(conn, Some(after)).await?.0)
}

/// Calls for as long as there is more to do, as the frame does it.
async fn round(
    conn: &mut PgConnection,
    decided_until: Option<Duration>,
) -> anyhow::Result<Vec<Output>> {
    let mut told = Vec::new();
    loop {
        let (chunk, done) = call(conn, decided_until).await?;
        told.extend(chunk);
        if done == Tick::Done {
            return Ok(told);
        }
    }
}

/// Leaves more behind than the connection can apply: `offsets` webhooks of a
/// thousand changes each, all to the same status.
async fn owe(
    conn: &mut PgConnection,
    offsets: std::ops::Range<i64>,
    account: &str,
) -> anyhow::Result<()> {
    let connection = connect(offsets.start, HOUR, ONE, account);
    for offset in offsets {
        let changes: Vec<String> = (0..1_000)
            .map(|n| {
                format!(
                    r#"{{"field":"ad_status","value":{{"ad_id":"9","status":"ACTIVE","n":{n}}}}}"#
                )
            })
            .collect();
        let hook = webhook(
            offset,
            Duration::ZERO,
            body("ad_account", account, T + offset, &changes.join(",")),
        );
        batch(conn, &[hook]).await?;
    }
    assert_eq!(batch(conn, &[connection]).await?, []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_connects_expires_and_is_told_to_the_operator() -> anyhow::Result<()> {
    let database = Database::new().await?;
    let mut conn = database.connect().await?;
    let minute = Duration::MINUTE;
    let inputs = [
        webhook(0, Duration::ZERO, relayed("5", T, "9", "A")),
        webhook(1, minute, relayed("5", T, "8", "A")),
        webhook(2, 30 * minute, relayed("6", T, "9", "A")),
        webhook(3, 60 * minute, relayed("5", T, "7", "A")),
    ];
    batch(&mut conn, &inputs).await?;
    assert_eq!(tick(&mut conn, 38 * HOUR - minute).await?, []);
    let told = tick(&mut conn, 38 * HOUR).await?;
    assert_eq!(lines(&told), ["0 expired 5: 2", "0 expired 6: 1"]);
    assert_eq!(told[0].about, inputs[0].at);
    assert_eq!(told[0].causation_id, inputs[0].envelope.event_id);
    assert_eq!(tick(&mut conn, 38 * HOUR).await?, [], "told once");
    // The other hour is still there for whoever connects in time.
    let told = batch(&mut conn, &[connect(0, 36 * HOUR, ONE, "5")]).await?;
    assert_eq!(lines(&told)[0], "1 status of ad 5/7: \"\" to \"A\" at 0");
    assert_eq!(count(&mut conn, "pending").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_backlog_is_applied_chunk_by_chunk_in_order() -> anyhow::Result<()> {
    const ADS: usize = 7;
    let database = Database::new().await?;
    let mut conn = database.connect().await?;
    let body_of = |offset: i64| {
        let changes: Vec<String> = (0..1_000)
            .map(|n| {
                format!(
                    r#"{{"field":"ad_status","value":{{"ad_id":"{}","status":"S{offset}.{n}"}}}}"#,
                    n % ADS
                )
            })
            .collect();
        webhook(
            offset,
            Duration::ZERO,
            body("ad_account", "5", T + offset, &changes.join(",")),
        )
    };
    let mut inputs: Vec<Recorded> = (0..5).map(body_of).collect();
    for input in &inputs {
        assert_eq!(batch(&mut conn, std::slice::from_ref(input)).await?, []);
    }
    // Connected, left, and a webhook behind the backlog: it must not overtake.
    let connection = connect(0, HOUR, ONE, "5");
    let last = webhook(5, 2 * HOUR, relayed("5", T + 5, "0", "LAST"));
    let left = disconnect(1, 3 * HOUR, ONE, "5");
    let after = webhook(6, 4 * HOUR, relayed("5", T + 6, "0", "NOBODY"));
    let more = [
        connection.clone(),
        last.clone(),
        left.clone(),
        after.clone(),
    ];
    assert_eq!(batch(&mut conn, &more).await?, []);

    let mut told = Vec::new();
    let mut chunks = 0;
    loop {
        let chunk = tick(&mut conn, HOUR).await?;
        if chunk.is_empty() {
            break;
        }
        assert!(chunk.len() <= 2 * 2_000, "{}", chunk.len());
        chunks += 1;
        told.extend(chunk);
    }
    assert_eq!(chunks, 3);
    inputs.extend(more);
    assert_eq!(told, decide(&inputs));
    assert_eq!(told.len(), 2 * 5_001);
    assert_eq!(
        count(&mut conn, "pending").await?,
        1,
        "nobody's still waits"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn content_ids_are_forgotten_by_how_far_the_fold_is() -> anyhow::Result<()> {
    let database = Database::new().await?;
    let mut conn = database.connect().await?;
    let first = relayed("5", T, "9", "D");
    batch(&mut conn, &[connect(0, Duration::ZERO, ONE, "5")]).await?;
    batch(&mut conn, &[webhook(0, Duration::ZERO, &first)]).await?;
    // The clock is a week ahead, the fold is not: the duplicate is still known.
    tick(&mut conn, 24 * 7 * HOUR).await?;
    let told = batch(&mut conn, &[webhook(1, 36 * HOUR, &first)]).await?;
    assert_eq!(told, []);
    batch(
        &mut conn,
        &[webhook(2, 38 * HOUR, relayed("5", T + 1, "9", "A"))],
    )
    .await?;
    tick(&mut conn, Duration::ZERO).await?;
    assert_eq!(count(&mut conn, "seen_change").await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_and_a_batch_on_the_same_accounts_do_not_deadlock() -> anyhow::Result<()> {
    // Locks are sorted by a hash of the account: one of the two ways round is
    // against the order, if a call locks twice.
    for (owed, due) in [("5", "6"), ("6", "5")] {
        let database = Database::new().await?;
        let mut conn = database.connect().await?;
        owe(&mut conn, 0..3, owed).await?;
        batch(
            &mut conn,
            &[webhook(3, Duration::ZERO, relayed(due, T, "9", "A"))],
        )
        .await?;

        // Somebody is at `due`; behind them a batch of both, then the timer.
        let mut first = database.connect().await?;
        let mut holder = first.begin().await?;
        AdEngine
            .load(&mut holder, &[webhook(4, HOUR, relayed(due, T, "8", "A"))])
            .await?;
        let mut second = database.connect().await?;
        let both = [
            webhook(5, HOUR, relayed(due, T, "7", "A")),
            webhook(6, HOUR, relayed(owed, T, "7", "A")),
        ];
        let batched = tokio::spawn(async move { batch(&mut second, &both).await });
        tokio::time::sleep(Wait::from_millis(200)).await;
        let mut third = database.connect().await?;
        let ticked = tokio::spawn(async move { round(&mut third, Some(38 * HOUR)).await });
        tokio::time::sleep(Wait::from_millis(200)).await;
        assert!(!ticked.is_finished(), "nobody was in the way");
        holder.rollback().await?;

        batched.await??;
        let said = lines(&ticked.await??);
        assert!(said.contains(&format!("0 expired {due}: 1")), "{said:#?}");
        assert_eq!(said.len(), 1 + 2 * 2, "{said:#?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_accounts_expire_no_other_waits() -> anyhow::Result<()> {
    let database = Database::new().await?;
    let mut conn = database.connect().await?;
    let inputs: Vec<Recorded> = (0..1_000)
        .map(|n| webhook(n, Duration::ZERO, relayed(&n.to_string(), T, "9", "A")))
        .collect();
    batch(&mut conn, &inputs).await?;
    let mut other = database.connect().await?;
    let mut holder = other.begin().await?;
    let stranger = [webhook(1_000, HOUR, relayed("5000", T, "9", "A"))];
    AdEngine.load(&mut holder, &stranger).await?;
    // A wait would end in the test role's lock time-out, an error.
    let told = round(&mut conn, Some(38 * HOUR)).await?;
    assert_eq!(told.len(), 1_000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_is_writing_is_not_forgotten_nor_waited_for() -> anyhow::Result<()> {
    let database = Database::new().await?;
    let mut conn = database.connect().await?;
    let (again, old) = (relayed("5", T, "9", "D"), relayed("5", T, "8", "D"));
    batch(
        &mut conn,
        &[
            webhook(0, Duration::ZERO, &again),
            webhook(1, Duration::ZERO, &old),
            webhook(2, 38 * HOUR, relayed("6", T, "9", "A")),
        ],
    )
    .await?;
    let mut other = database.connect().await?;
    let mut writer = other.begin().await?;
    let inputs = [webhook(3, 38 * HOUR, &again)];
    let mut state = AdEngine.load(&mut writer, &inputs).await?;
    AdEngine.decide(&mut state, &inputs[0], &mut Outputs::default())?;
    AdEngine.store(&mut writer, state).await?;
    // A wait would end in the test role's lock time-out, an error.
    tick(&mut conn, Duration::ZERO).await?;
    writer.commit().await?;
    assert_eq!(count(&mut conn, "seen_change").await?, 2, "all but `old`");
    let told = batch(&mut conn, &[webhook(4, 39 * HOUR, &again)]).await?;
    assert_eq!(told, []);
    assert_eq!(count(&mut conn, "pending").await?, 4, "it is a duplicate");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_starves_another() -> anyhow::Result<()> {
    let database = Database::new().await?;
    let mut conn = database.connect().await?;
    owe(&mut conn, 0..5, "5").await?;
    batch(
        &mut conn,
        &[
            webhook(5, Duration::ZERO, relayed("6", T, "9", "A")),
            webhook(6, 38 * HOUR, relayed("7", T, "9", "A")),
        ],
    )
    .await?;
    // Of 5,000 owed changes only the first says anything: a status and an activity.
    let told = round(&mut conn, None).await?;
    assert_eq!(told.len(), 2, "{:#?}", lines(&told));
    assert_eq!(count(&mut conn, "pending").await?, 1 + 1, "nothing is owed");
    assert_eq!(count(&mut conn, "seen_change").await?, 1, "the newest");
    let told = round(&mut conn, Some(38 * HOUR)).await?;
    assert_eq!(lines(&told), ["0 expired 6: 1"]);
    assert_eq!(count(&mut conn, "pending").await?, 1);
    Ok(())
}
