//! Locks of accounts, until the transaction ends.
//!
//! Advisory ones: a webhook may name an account of which no row exists, and a row
//! made for locking would stay for ever.

use std::collections::BTreeSet;

use compline_event::AdAccountId;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

/// Most accounts that one transaction locks one by one; above, it locks all of
/// them at once. Postgres keeps advisory locks in a table of
/// max_locks_per_transaction × max_connections, 6400 by default.
pub(super) const ONE_BY_ONE_MAX: usize = 400;

/// What stands for all accounts. Advisory locks of two numbers and of one do not
/// meet. Read: "ad".
const ALL: (i32, i32) = (0x6164, 0);

/// Waits until nobody else holds one of `accounts`. Once in a transaction: what two
/// calls lock is not sorted as a whole, and the second may ask for all while
/// others hold their share of it. State must be read by a later
/// statement: under READ COMMITTED, only that sees what the holder committed.
pub(super) async fn lock(
    conn: &mut PgConnection,
    accounts: &BTreeSet<AdAccountId>,
) -> Result<(), sqlx::Error> {
    if accounts.is_empty() {
        return Ok(());
    }
    let (class, all) = ALL;
    if accounts.len() > ONE_BY_ONE_MAX {
        sqlx::query!("SELECT pg_advisory_xact_lock($1, $2)", class, all)
            .execute(conn)
            .await?;
        return Ok(());
    }
    let mut keys: Vec<i64> = accounts.iter().map(key).collect();
    keys.sort_unstable();
    sqlx::query!(
        "WITH nobody_has_all AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared($1, $2))
         SELECT pg_advisory_xact_lock(key) FROM nobody_has_all, unnest($3::bigint[]) AS key",
        class,
        all,
        &keys,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The same in every process and every version; two accounts with one key wait
/// for each other without need, and no more.
fn key(account: &AdAccountId) -> i64 {
    let hash = <[u8; 32]>::from(Sha256::digest(format!("ad account {account}")));
    let head = hash.first_chunk().expect("32 bytes have 8");
    i64::from_be_bytes(*head)
}
