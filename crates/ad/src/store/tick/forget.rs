//! Forgets content ids that no retry can repeat: by how far their own partition
//! is folded, for the clock may be days ahead of a fold that catches up.

use sqlx::PgConnection;

use crate::state::CONTENT_KEPT;

/// Content ids that one call forgets.
const AT_ONCE: i64 = 100_000;

/// The one writer without the accounts' locks, for these are thousands: it waits
/// for no row, so whatever it holds cannot close a circle; and what it takes away
/// decides nothing any more. A row that somebody writes is young again, or is
/// forgotten by the next call. Gives whether there may be more.
pub(super) async fn forget(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let forgotten = sqlx::query!(
        "DELETE FROM seen_change WHERE ctid = ANY (ARRAY(
             SELECT seen.ctid FROM progress JOIN seen_change AS seen USING (source_partition)
             WHERE seen.recorded_at < progress.recorded_at - make_interval(secs => $1)
             LIMIT $2 FOR UPDATE OF seen SKIP LOCKED
         ))",
        CONTENT_KEPT.as_seconds_f64(),
        AT_ONCE,
    )
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected() == AT_ONCE.unsigned_abs())
}
