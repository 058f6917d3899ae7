//! Which event it was: bisection of a batch that Postgres refused.
//!
//! Every try runs `load`, `apply` and `store` in a transaction that is rolled
//! back. First the keys are halved until one is left, then that key's events are
//! cut to the shortest beginning that still fails.

use bytes::Bytes;
use compline_event::{Offset, Recorded};
use compline_readmodel::{Fault, classify};
use sqlx::{Connection as _, PgConnection};

use crate::{batch::chain, fold::Fold};

/// The event that its key is parked from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Culprit {
    pub(crate) offset: Offset,
    pub(crate) reason: String,
}

/// Finds one culprit among `events`, which Postgres refused with `error`.
///
/// # Errors
/// What is transient. Also `error` itself when no key alone is to blame: then
/// nothing is parked on a guess, and the partition is held.
pub(crate) async fn find<F: Fold>(
    conn: &mut PgConnection,
    fold: &F,
    events: &[Recorded],
    error: &sqlx::Error,
) -> Result<Culprit, sqlx::Error> {
    let mut keys: Vec<Bytes> = events.iter().map(|event| event.key.clone()).collect();
    keys.sort_unstable();
    keys.dedup();
    while keys.len() > 1 {
        let right = keys.split_off(keys.len() / 2);
        if refused(conn, fold, &of_keys(events, &keys))
            .await?
            .is_some()
        {
            continue;
        }
        if refused(conn, fold, &of_keys(events, &right))
            .await?
            .is_none()
        {
            return Err(sqlx::Error::Protocol(format!(
                "no key alone is to blame for: {error}"
            )));
        }
        keys = right;
    }
    let suspects = of_keys(events, &keys);
    let (mut good, mut bad) = (0, suspects.len());
    let mut reason = chain(error);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        match refused(conn, fold, &suspects[..middle]).await? {
            Some(why) => (bad, reason) = (middle, why),
            None => good = middle,
        }
    }
    Ok(Culprit {
        offset: suspects[bad - 1].at.offset,
        reason,
    })
}

fn of_keys(events: &[Recorded], keys: &[Bytes]) -> Vec<Recorded> {
    events
        .iter()
        .filter(|event| keys.binary_search(&event.key).is_ok())
        .cloned()
        .collect()
}

/// Why Postgres will never take the rows of `events`; `None` when it does.
async fn refused<F: Fold>(
    conn: &mut PgConnection,
    fold: &F,
    events: &[Recorded],
) -> Result<Option<String>, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let mut rows = match fold.load(&mut tx, events).await {
        Ok(rows) => rows,
        Err(error) => {
            tx.rollback().await?;
            return permanent(error).map(Some);
        }
    };
    for event in events {
        if let Err(error) = fold.apply(&mut rows, event) {
            tx.rollback().await?;
            return Ok(Some(error.reason));
        }
    }
    let stored = fold.store(&mut tx, rows).await;
    tx.rollback().await?;
    match stored {
        Ok(()) => Ok(None),
        Err(error) => permanent(error).map(Some),
    }
}

fn permanent(error: sqlx::Error) -> Result<String, sqlx::Error> {
    match classify(&error) {
        Fault::Permanent => Ok(chain(&error)),
        Fault::Transient => Err(error),
    }
}
