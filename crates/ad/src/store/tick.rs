//! What time alone brings, and what was too much for a batch: one bounded chunk of
//! one job a call.
//!
//! A transaction locks its accounts once, sorted, so no call does two of the jobs
//! that lock any. Each comes to an end, so no job starves another:
//!
//! | job | locks | its turn |
//! |---|---|---|
//! | expire | accounts | first, if it is known up to when everything is decided over: what is due by then comes to an end |
//! | settle queues | accounts | nothing is due |
//! | forget | waits for nobody | nothing is due, nothing is owed |

mod expire;
mod forget;
mod owed;

use compline_engine::{Outputs, Tick};
use sqlx::PgConnection;
use time::OffsetDateTime;

pub(crate) async fn tick(
    conn: &mut PgConnection,
    decided_until: Option<OffsetDateTime>,
    outputs: &mut Outputs,
) -> Result<Tick, sqlx::Error> {
    if let Some(now) = decided_until
        && expire::expire(conn, now, outputs).await?
    {
        return Ok(Tick::More);
    }
    if owed::settle_queues(conn, outputs).await? || forget::forget(conn).await? {
        return Ok(Tick::More);
    }
    Ok(Tick::Done)
}
