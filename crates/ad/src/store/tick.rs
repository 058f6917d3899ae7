//! What time alone brings, one bounded chunk a call.
//!
//! A transaction locks its accounts once, sorted; so a call does one of the two
//! jobs that lock any. No job starves another, though the caller comes back at
//! once only if something was said:
//!
//! | job | locks | says | its turn |
//! |---|---|---|---|
//! | expire | accounts | always, if it has work | first: what is due by `now` comes to an end |
//! | settle queues | accounts | mostly | nothing is due |
//! | forget | waits for nobody | never | the last call of a round, which says nothing |

mod expire;
mod forget;
mod owed;

use compline_engine::Outputs;
use sqlx::PgConnection;
use time::OffsetDateTime;

pub(crate) async fn tick(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    outputs: &mut Outputs,
) -> Result<(), sqlx::Error> {
    if !expire::expire(conn, now, outputs).await? {
        owed::settle_queues(conn, outputs).await?;
    }
    if outputs.is_empty() {
        forget::forget(conn).await?;
    }
    Ok(())
}
