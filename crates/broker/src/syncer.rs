//! Group commit: partitions with unsynced records queue up, threads sync them side by side.
//!
//! A partition is in the queue once, however many wait for it. What is appended while its sync
//! runs is carried by the next one, so the busier the disk the more each sync carries, and no
//! append waits for more than two.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::watch;

use crate::Error;
use crate::folder::Folder;
use crate::guard::{self, Guard};
use crate::partition::Partition;
use crate::stats::Counters;

#[derive(Debug)]
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    counters: Arc<Counters>,
    failure: watch::Sender<Option<Arc<Error>>>,
}

#[derive(Debug, Default)]
struct Queue {
    partitions: VecDeque<Arc<Partition>>,
    closing: bool,
}

impl Syncer {
    /// Starts so many threads, each of which holds the folder until it ends.
    pub(crate) fn start(
        threads: usize,
        folder: &Arc<Folder>,
        counters: Arc<Counters>,
    ) -> Result<Syncer, io::Error> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            work: Condvar::new(),
            counters,
            failure: watch::Sender::new(None),
        });
        let threads = (0..threads)
            .map(|number| {
                let (shared, folder) = (shared.clone(), folder.clone());
                thread::Builder::new()
                    .name(format!("log-sync-{number}"))
                    .spawn(move || {
                        shared.work();
                        drop(folder);
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Syncer {
            shared,
            threads: Mutex::new(threads),
        })
    }

    /// Has a partition synced soon.
    pub(crate) fn enqueue(&self, partition: &Arc<Partition>) {
        if partition.claim_queue_place() {
            self.shared.queue().partitions.push_back(partition.clone());
            self.shared.work.notify_one();
        }
    }

    /// Stops the broker for an error that makes going on a lie.
    pub(crate) fn fail(&self, error: Error) {
        self.shared.fail(error);
    }

    /// Changes to `Some` when the broker must stop.
    pub(crate) fn failure(&self) -> watch::Receiver<Option<Arc<Error>>> {
        self.shared.failure.subscribe()
    }

    /// What a thread does once, for a syncer that has none. False when there is nothing to do.
    #[cfg(test)]
    pub(crate) fn turn(&self) -> bool {
        let partition = {
            let mut queue = self.shared.queue();
            if queue.closing {
                return false;
            }
            queue.partitions.pop_front()
        };
        let Some(partition) = partition else {
            return false;
        };
        if let Err(error) = self.shared.sync(&partition) {
            self.fail(error);
        }
        true
    }

    /// Ends the threads; what is queued is left to the partitions' close. Waits for syncs under way.
    pub(crate) fn stop(&self) {
        self.shared.begin_closing();
        let threads = std::mem::take(&mut *self.threads.lock().expect("no holder panics"));
        for thread in threads {
            // One that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        if self.shared.failure.borrow().is_some() {
            // On a disk that failed a sync may never return.
            self.shared.begin_closing();
        } else {
            self.stop();
        }
    }
}

impl Shared {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of the queue panics")
    }

    fn begin_closing(&self) {
        self.queue().closing = true;
        self.work.notify_all();
    }

    fn work(&self) {
        while let Some(partition) = self.next() {
            if let Err(error) = self.sync(&partition) {
                return self.fail(error);
            }
        }
    }

    fn sync(&self, partition: &Arc<Partition>) -> Result<(), Error> {
        let began = Instant::now();
        let synced = partition.sync();
        // It kept its place while it was synced, so that no second thread takes it. Whoever
        // appended meanwhile found the place taken and is served by this second look.
        partition.leave_queue();
        // One that failed is not tried again, or it would be for ever.
        if synced.is_ok() && !partition.is_synced() && partition.claim_queue_place() {
            self.queue().partitions.push_back(partition.clone());
            self.work.notify_one();
        }
        match synced {
            Ok(true) => self.counters.syncs.observe(began.elapsed()),
            Ok(false) => {}
            Err(_) if partition.is_deleted() => {}
            Err(error) if guard::holds(Guard::FailedSyncIsFatal) => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    fn next(&self) -> Option<Arc<Partition>> {
        let mut queue = self.queue();
        loop {
            if queue.closing {
                return None;
            }
            if let Some(partition) = queue.partitions.pop_front() {
                return Some(partition);
            }
            queue = self
                .work
                .wait(queue)
                .expect("no holder of the queue panics");
        }
    }

    fn fail(&self, error: Error) {
        self.begin_closing();
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| Arc::new(error));
            first
        });
    }
}
