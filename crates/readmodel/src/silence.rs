//! How long somebody may say nothing who is asked something.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::{Instant, sleep};

use crate::pool::{READER_STATEMENT_TIMEOUT, WRITER_STATEMENT_TIMEOUT};

/// Postgres ends a statement sooner, and says so.
pub const SILENCE: Duration = after(WRITER_STATEMENT_TIMEOUT);
pub(crate) const READER_SILENCE: Duration = after(READER_STATEMENT_TIMEOUT);

const fn after(statement: Duration) -> Duration {
    Duration::from_secs(statement.as_secs() + 2)
}

/// Does `work` for as long as it moves: each time that it is woken, be it by a part of
/// an answer or by room for more of the question, it has `patience` again.
///
/// # Errors
/// [`sqlx::Error::Io`] when it was not woken for so long. The connection that it waited
/// for is of no use then; see [`crate::Lease`].
pub async fn unless_silent<T, E: From<sqlx::Error>>(
    patience: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let done = while_it_moves(patience, work).await;
    done.unwrap_or_else(|| Err(silent_for(patience).into()))
}

pub(crate) fn silent_for(patience: Duration) -> sqlx::Error {
    let said = format!("nothing was heard of Postgres for {patience:?}");
    io::Error::new(io::ErrorKind::TimedOut, said).into()
}

/// `None` when it did not.
pub(crate) async fn while_it_moves<F: Future>(patience: Duration, work: F) -> Option<F::Output> {
    let moved = Arc::new(Moved {
        woken: AtomicBool::new(true),
        whole: AtomicWaker::new(),
    });
    let waker = Waker::from(moved.clone());
    let (mut work, mut silence) = (pin!(work), pin!(sleep(patience)));
    poll_fn(|context| {
        moved.whole.register(context.waker());
        if moved.woken.swap(false, Ordering::AcqRel) {
            if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(Some(done));
            }
            silence.as_mut().reset(Instant::now() + patience);
        }
        silence.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// Tells the work's own wakes from those of whatever is awaited beside it.
struct Moved {
    woken: AtomicBool,
    whole: AtomicWaker,
}

impl Wake for Moved {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.whole.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::interval;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn who_moves_may_take_as_long_as_it_takes_and_who_does_not_may_not() {
        let slow = async {
            for _ in 0..5 {
                sleep(PATIENCE - Duration::from_secs(1)).await;
            }
            Ok::<_, sqlx::Error>(())
        };
        unless_silent(PATIENCE, slow).await.unwrap();

        let began = Instant::now();
        let mut beside = interval(Duration::from_secs(1));
        let hung = unless_silent(PATIENCE, pending::<Result<(), sqlx::Error>>());
        let mut hung = pin!(hung);
        let ended = loop {
            tokio::select! {
                ended = &mut hung => break ended,
                _ = beside.tick() => {}
            }
        };
        assert!(crate::fault::lost_connection(&ended.unwrap_err()));
        assert!(
            began.elapsed() < PATIENCE * 2,
            "what goes on beside it is no answer"
        );
    }
}
