//! Sees changes arrive at a reader, through `WatchAds` like any other client.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use compline_api::query::{Ad, WatchAdsRequest, watch_ads_response::Event};
use tokio::{task::JoinHandle, time::Instant};

use super::latency::Latencies;
use crate::client::Client;

/// A change that must become an ad's current status.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    status: &'static str,
    /// Unix seconds.
    time: i64,
    due: Instant,
}

/// What is awaited and what has been seen, of one tenant.
#[derive(Debug, Default)]
struct Seen {
    awaited: HashMap<String, VecDeque<Awaited>>,
    waiting: usize,
    latencies: Latencies,
}

/// Watches one tenant's ads in the background until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// `filter` as in `ListAds`: what matches already is sent first.
    pub async fn start(client: Client, filter: String) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut ads = client.ads();
        // The first call is made here, so that a wrong key is the caller's error.
        let mut request = WatchAdsRequest {
            filter,
            resume_token: String::new(),
        };
        let mut stream = ads.watch_ads(request.clone()).await?.into_inner();
        let shared = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                match stream.message().await {
                    Ok(Some(answer)) => {
                        if !answer.resume_token.is_empty() {
                            request.resume_token = answer.resume_token;
                        }
                        if let Some(Event::Changed(ad)) = answer.event {
                            lock(&shared).see(&ad, Instant::now());
                        }
                    }
                    ended => {
                        if let Err(status) = ended {
                            tracing::warn!(%status, "the watch broke, going on from its token");
                        }
                        stream = loop {
                            tokio::time::sleep(Duration::from_millis(200)).await;
                            if let Ok(answer) = ads.watch_ads(request.clone()).await {
                                break answer.into_inner();
                            }
                        };
                    }
                }
            }
        });
        Ok(Self { seen, task })
    }

    /// To be called before the change is sent: changes of one ad in their order.
    pub fn expect(&self, ad_id: String, status: &'static str, time: i64, due: Instant) {
        let mut seen = lock(&self.seen);
        seen.waiting += 1;
        seen.awaited
            .entry(ad_id)
            .or_default()
            .push_back(Awaited { status, time, due });
    }

    /// How many changes have not been seen yet.
    pub fn waiting(&self) -> usize {
        lock(&self.seen).waiting
    }

    /// From due to seen.
    pub fn latencies(&self) -> Latencies {
        lock(&self.seen).latencies.clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    /// A watch coalesces: seeing a change means that those before it are in the log
    /// and overtaken, so that a reader that asks now is not behind any of them.
    fn see(&mut self, ad: &Ad, now: Instant) {
        let Some(awaited) = self.awaited.get_mut(&ad.ad_id) else {
            return;
        };
        let time = ad.status_time.as_ref().map_or(i64::MIN, |at| at.seconds);
        let last = awaited.iter().rposition(|one| {
            let reached = one.time < time || (one.time == time && one.status == ad.status);
            // The same status may come back within a second and still lie ahead.
            reached && one.due <= now
        });
        let Some(last) = last else { return };
        for one in awaited.drain(..=last) {
            self.latencies.record(now - one.due);
            self.waiting -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_overtaken_counts_as_seen_and_what_comes_later_does_not() {
        let now = Instant::now();
        let mut seen = Seen::default();
        let awaited = [("ACTIVE", 10), ("PAUSED", 10), ("ACTIVE", 11)]
            .map(|(status, time)| Awaited {
                status,
                time,
                due: now,
            })
            .into();
        seen.awaited.insert("1".into(), awaited);
        seen.waiting = 3;
        let ad = |status: &str, seconds| Ad {
            ad_id: "1".into(),
            status: status.into(),
            status_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
            ..Default::default()
        };
        seen.see(&ad("ARCHIVED", 9), now);
        assert_eq!(seen.waiting, 3);
        seen.see(&ad("PAUSED", 10), now);
        assert_eq!(seen.waiting, 1);
        seen.see(&ad("ACTIVE", 11), now);
        assert_eq!((seen.waiting, seen.latencies.count()), (0, 3));
    }
}
