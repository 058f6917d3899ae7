//! An open loop: everything has an instant at which it is due, set beforehand.
//! Whoever stalls is charged for all that had to wait.

use std::time::{Duration, Instant};

/// Calls `go` for each number of a schedule when it is due, with that instant.
/// Never waits for what it started.
pub(crate) async fn open_loop(per_second: u32, length: Duration, mut go: impl FnMut(u64, Instant)) {
    let began = Instant::now();
    let interval = Duration::from_secs(1) / per_second;
    for number in 0.. {
        let due = began + interval * number;
        if due >= began + length {
            return;
        }
        if due > Instant::now() {
            // The timer has whole milliseconds: it is at most one late, for both.
            tokio::time::sleep_until(due.into()).await;
        }
        go(u64::from(number), due);
    }
}
