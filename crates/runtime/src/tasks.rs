//! The long-lived tasks of a process, by name, in stages that stop in order.
//!
//! ```no_run
//! # async fn example() -> Result<(), compline_runtime::RuntimeError> {
//! use std::time::Duration;
//! use compline_runtime::{Shutdown, Tasks};
//!
//! let shutdown = Shutdown::new();
//! shutdown.on_signals()?;
//! let mut tasks = Tasks::new(shutdown);
//! // Stages stop in the order in which they were made: doors first, stores last.
//! let doors = tasks.stage("doors", Duration::from_secs(10));
//! let loops = tasks.stage("loops", Duration::from_secs(10));
//! doors.spawn("http", |stop| async move { stop.cancelled().await; Ok::<_, std::io::Error>(()) });
//! loops.spawn("mover", |stop| async move { stop.cancelled().await; Ok::<_, std::io::Error>(()) });
//! tasks.run().await
//! # }
//! ```
//!
//! | a task ends | before it was told to stop | after |
//! |---|---|---|
//! | `Err` | everything stops, [`Tasks::run`] returns it | logged; returned if it is the first |
//! | panic | everything stops, returned | logged; returned if it is the first |
//! | `Ok` | everything stops, returned as ended early; fine for [`Stage::spawn_finite`] | fine |
//! | not within its stage's grace | – | aborted, returned if it is the first |

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{BoxError, Health, RuntimeError, Shutdown};

/// All tasks of the process.
#[derive(Debug)]
pub struct Tasks {
    shutdown: Shutdown,
    health: Option<Health>,
    stages: Vec<Stage>,
    failures: mpsc::UnboundedReceiver<RuntimeError>,
    report: mpsc::UnboundedSender<RuntimeError>,
}

impl Tasks {
    pub fn new(shutdown: Shutdown) -> Self {
        let (report, failures) = mpsc::unbounded_channel();
        Self {
            shutdown,
            health: None,
            stages: Vec::new(),
            failures,
            report,
        }
    }

    /// A stage that stops after those made before it; its tasks have `grace` to do so.
    pub fn stage(&mut self, name: impl Into<String>, grace: Duration) -> Stage {
        let stage = Stage {
            inner: Arc::new(Inner {
                name: name.into(),
                grace,
                stop: CancellationToken::new(),
                tracker: TaskTracker::new(),
                running: Mutex::default(),
                next_id: AtomicU64::new(0),
                report: self.report.clone(),
            }),
        };
        self.stages.push(stage.clone());
        stage
    }

    /// Marks every check as stopping before the first stage stops.
    pub fn tell(&mut self, health: Health) {
        self.health = Some(health);
    }

    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Runs until the shutdown begins or a task fails, then stops stage after stage. Returns the
    /// first failure; later ones are logged.
    pub async fn run(mut self) -> Result<(), RuntimeError> {
        let mut first = tokio::select! {
            () = self.shutdown.begun() => None,
            failure = self.failures.recv() => failure,
        };
        if let Some(failure) = &first {
            tracing::error!(error = %failure, "a task failed, stopping everything");
            self.shutdown.begin(failure.to_string());
        }
        if let Some(health) = &self.health {
            health.stopping();
        }
        for stage in &self.stages {
            let overdue = stage.stop().await;
            let mut later: Vec<RuntimeError> = Vec::new();
            while let Ok(failure) = self.failures.try_recv() {
                later.push(failure);
            }
            for failure in later.into_iter().chain(overdue) {
                tracing::error!(error = %failure, stage = stage.name(), "while stopping");
                first.get_or_insert(failure);
            }
        }
        first.map_or(Ok(()), Err)
    }
}

/// Tasks that stop together; clones share them, and may be moved into tasks to spawn more.
#[derive(Debug, Clone)]
pub struct Stage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    grace: Duration,
    stop: CancellationToken,
    tracker: TaskTracker,
    running: Mutex<BTreeMap<u64, (String, AbortHandle)>>,
    next_id: AtomicU64,
    report: mpsc::UnboundedSender<RuntimeError>,
}

impl Stage {
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Cancelled when this stage has to stop.
    pub fn token(&self) -> CancellationToken {
        self.inner.stop.clone()
    }

    /// Starts a task that runs until its token is cancelled; returning before is a failure.
    pub fn spawn<F, Fut, E>(&self, name: impl Into<String>, task: F)
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.start(name.into(), false, task(self.token()));
    }

    /// Starts a task that may also return `Ok` on its own.
    pub fn spawn_finite<F, Fut, E>(&self, name: impl Into<String>, task: F)
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.start(name.into(), true, task(self.token()));
    }

    fn start<Fut, E>(&self, name: String, may_end: bool, task: Fut)
    where
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let id = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        let inner = self.inner.clone();
        let task_name = name.clone();
        // The lock is held until the entry stands, or a task that ends at once would leave its
        // name behind for ever.
        let mut running = self.inner.running();
        let handle = self.inner.tracker.spawn(async move {
            let outcome = AssertUnwindSafe(task).catch_unwind().await;
            let failure = match outcome {
                Ok(Ok(())) if may_end || inner.stop.is_cancelled() => None,
                Ok(Ok(())) => Some(RuntimeError::TaskEndedEarly { task: task_name }),
                Ok(Err(error)) => Some(RuntimeError::TaskFailed {
                    task: task_name,
                    source: error.into(),
                }),
                Err(panic) => Some(RuntimeError::TaskPanicked {
                    task: task_name,
                    message: panic_message(panic.as_ref()),
                }),
            };
            inner.running().remove(&id);
            if let Some(failure) = failure {
                // Nobody listens once `run` has returned, and then nobody is left to tell.
                let _ = inner.report.send(failure);
            }
        });
        running.insert(id, (name, handle.abort_handle()));
    }

    /// Tells the tasks to stop and waits for them; what is overdue is aborted and named.
    async fn stop(&self) -> Option<RuntimeError> {
        let inner = &self.inner;
        tracing::debug!(stage = inner.name, "stopping");
        inner.stop.cancel();
        inner.tracker.close();
        if tokio::time::timeout(inner.grace, inner.tracker.wait())
            .await
            .is_ok()
        {
            return None;
        }
        let overdue: Vec<(String, AbortHandle)> = inner.running().values().cloned().collect();
        for (_, handle) in &overdue {
            handle.abort();
        }
        let names: Vec<&str> = overdue.iter().map(|(name, _)| name.as_str()).collect();
        Some(RuntimeError::StageOverdue {
            stage: inner.name.clone(),
            grace_seconds: inner.grace.as_secs_f64(),
            tasks: names.join(", "),
        })
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, (String, AbortHandle)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a panic said, where it said it in words.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    match panic.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => "without a message".to_owned(),
    }
}
