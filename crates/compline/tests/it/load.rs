//! Webhooks, posted as Meta would: each until it is acknowledged.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use compline::{
    simulate::generator::{Delivery, Life, Plan},
    webhook::{Poster, Sender},
};
use sha2::{Digest as _, Sha256};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

pub(crate) type BodyHash = [u8; 32];

/// A steady load rather than a race: both cores have other work as well.
pub(crate) const STEADY: Duration = Duration::from_millis(5);

const ANSWER: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(50);

/// Posts a life, lane by lane, each delivery until it is acknowledged.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    pub(crate) acknowledged: Arc<AtomicU64>,
    lanes: JoinSet<Result<HashSet<BodyHash>>>,
}

impl Load {
    /// Each try of a delivery goes to the next of `doors`. A lane rests for `pause`
    /// between two deliveries.
    pub(crate) fn start(
        doors: &[String],
        accounts: Vec<String>,
        seed: u64,
        pause: Duration,
    ) -> Result<Self> {
        let posters = doors.iter().map(|url| Poster::new(url, ANSWER));
        let posters: Vec<Poster> = posters.collect::<Result<_>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut lanes = JoinSet::new();
        let mut ways = Vec::new();
        for _ in 0..accounts.len() + 1 {
            let (way, deliveries) = mpsc::channel(8);
            ways.push(way);
            let count = acknowledged.clone();
            lanes.spawn(lane(posters.clone(), deliveries, count, pause));
        }
        let life = Life::new(Plan {
            seed,
            accounts,
            ads: 400,
            first_ad: 23_849_000_000_000,
            begins_at: 1_790_000_000,
            rate: 500.0,
        });
        let stopped = stop.clone();
        tokio::spawn(async move {
            for delivery in life {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let lane = delivery.lane % ways.len();
                if ways[lane].send(delivery).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            stop,
            acknowledged,
            lanes,
        })
    }

    /// Stops when what is on its way has been acknowledged.
    pub(crate) async fn finish(mut self) -> Result<HashSet<BodyHash>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut acknowledged = HashSet::new();
        while let Some(lane) = self.lanes.join_next().await {
            acknowledged.extend(lane??);
        }
        Ok(acknowledged)
    }
}

pub(crate) fn hash(body: &[u8]) -> BodyHash {
    Sha256::digest(body).into()
}

/// A sender comes again when it has no answer, or is told that now is not the time;
/// anything else it would take for a refusal, and go.
async fn lane(
    posters: Vec<Poster>,
    mut deliveries: mpsc::Receiver<Delivery>,
    count: Arc<AtomicU64>,
    pause: Duration,
) -> Result<HashSet<BodyHash>> {
    let mut acknowledged = HashSet::new();
    let mut next = posters.iter().cycle();
    while let Some(delivery) = deliveries.recv().await {
        for poster in next.by_ref() {
            let secret = compline_ingress::sample::META_APP_SECRET;
            let answer = poster.post(Sender::Meta, secret, delivery.body.clone());
            if let Ok(answer) = answer.await {
                if answer.status.is_success() {
                    acknowledged.insert(hash(&delivery.body));
                    count.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                let status = answer.status;
                anyhow::ensure!(status.is_server_error(), "{status}: {}", answer.body);
            }
            sleep(AGAIN).await;
        }
        sleep(pause).await;
    }
    Ok(acknowledged)
}
