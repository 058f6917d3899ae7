//! Posts a life on schedule.
//!
//! Open loop: every delivery has an instant at which it is due, set before the
//! run, and its latency counts from there. A server that stalls is charged for
//! all that had to wait, not only for the one request that it answered late.

use std::{collections::BTreeMap, time::Duration};

use http::StatusCode;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{generator::Delivery, latency::Latencies};
use crate::webhook::{Poster, Sender as Signer};

/// Meta tries for 36 hours; a run has not so long.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A delivery and when it is due.
#[derive(Debug)]
pub struct Due {
    pub at: Instant,
    pub delivery: Delivery,
}

/// What came of the deliveries of a run.
#[derive(Debug, Default)]
pub struct Tally {
    pub sent: u64,
    pub acknowledged: u64,
    /// Answered with a refusal, or not at all, to the last.
    pub refused: u64,
    /// Attempts after the first.
    pub retried: u64,
    /// By status, or `no answer`.
    pub refusals: BTreeMap<String, u64>,
    /// From due to acknowledged.
    pub latencies: Latencies,
    /// Ads of deliveries that may or may not be in the log.
    pub in_doubt: Vec<u32>,
}

impl Tally {
    fn merge(&mut self, other: Tally) {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.retried += other.retried;
        for (status, count) in other.refusals {
            *self.refusals.entry(status).or_default() += count;
        }
        self.latencies.merge(other.latencies);
        self.in_doubt.extend(other.in_doubt);
    }
}

/// Posts; one task for each lane keeps the lane's order.
#[derive(Debug)]
pub struct Sender {
    lanes: Vec<mpsc::UnboundedSender<Due>>,
    tasks: JoinSet<Tally>,
}

impl Sender {
    /// `progress` hears of every delivery that is done: how many changes it had.
    pub fn start(
        lanes: usize,
        poster: &Poster,
        secret: &str,
        progress: impl Fn(u32) + Clone + Send + 'static,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let lanes = (0..lanes)
            .map(|_| {
                // Unbounded, for an open loop must not wait; the life bounds it.
                let (lane, deliveries) = mpsc::unbounded_channel();
                let lane_task = Lane {
                    poster: poster.clone(),
                    secret: secret.to_owned(),
                    tally: Tally::default(),
                };
                tasks.spawn(lane_task.run(deliveries, progress.clone()));
                lane
            })
            .collect();
        Self { lanes, tasks }
    }

    /// Hands the delivery to its lane, which posts it when it is due and those
    /// before it are done.
    pub fn hand_over(&self, due: Due) {
        let lane = &self.lanes[due.delivery.lane];
        // A lane ends only by panic, which `finish` reports.
        let _ = lane.send(due);
    }

    /// Waits for everything handed over.
    pub async fn finish(mut self) -> Tally {
        self.lanes.clear();
        let mut tally = Tally::default();
        while let Some(lane) = self.tasks.join_next().await {
            tally.merge(lane.expect("a lane does not panic and is not aborted"));
        }
        tally
    }
}

struct Lane {
    poster: Poster,
    secret: String,
    tally: Tally,
}

impl Lane {
    async fn run(
        mut self,
        mut deliveries: mpsc::UnboundedReceiver<Due>,
        progress: impl Fn(u32),
    ) -> Tally {
        while let Some(due) = deliveries.recv().await {
            sleep_until(due.at).await;
            self.tally.sent += 1;
            match self.post(&due.delivery).await {
                Ok(()) => {
                    self.tally.acknowledged += 1;
                    self.tally.latencies.record(due.at.elapsed());
                }
                Err(reason) => {
                    self.tally.refused += 1;
                    *self.tally.refusals.entry(reason).or_default() += 1;
                    let ads = due.delivery.facts.iter().map(|fact| fact.ad);
                    self.tally.in_doubt.extend(ads);
                }
            }
            progress(due.delivery.changes);
        }
        self.tally
    }

    /// As Meta does: the same bytes again, until somebody takes them.
    async fn post(&mut self, delivery: &Delivery) -> Result<(), String> {
        let mut attempt = 1;
        loop {
            let answer = self
                .poster
                .post(Signer::Meta, &self.secret, delivery.body.clone())
                .await;
            let (reason, pause) = match answer {
                Ok(answer) if answer.status.is_success() => return Ok(()),
                Ok(answer) => {
                    let pause = answer.retry_after.unwrap_or(PAUSE).min(LONGEST_PAUSE);
                    if !may_retry(answer.status) {
                        return Err(answer.status.to_string());
                    }
                    (answer.status.to_string(), pause)
                }
                Err(_) => ("no answer".to_owned(), PAUSE),
            };
            if attempt == ATTEMPTS {
                return Err(reason);
            }
            attempt += 1;
            self.tally.retried += 1;
            sleep(pause).await;
        }
    }
}

fn may_retry(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}
