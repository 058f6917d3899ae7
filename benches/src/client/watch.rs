//! Posts webhooks on schedule and watches for what they change: from the instant
//! at which a webhook was due to the one at which a reader was told.
//!
//! Every webhook changes its ad's status, so the n-th one makes the ad's row
//! version n: a version that is seen shows all changes up to it.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use compline_api::query::{
    self, WatchAdsRequest, WatchAdsResponse, ad_service_client::AdServiceClient,
    watch_ads_response::Event,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tonic::{Request, Streaming, transport::Channel, transport::Endpoint};

use super::{
    Task,
    http::{Connection, Signed, body},
};
use crate::{
    ads::{ADS, Ad},
    measure::{Latencies, Summary},
    pace,
};

/// How long the last changes may take to show.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Watch {
    pub(crate) ingress: SocketAddr,
    pub(crate) query: SocketAddr,
    /// One of each tenant.
    pub(crate) keys: Vec<String>,
    pub(crate) per_second: u32,
    pub(crate) length: Duration,
    pub(crate) connections: usize,
}

/// All from the instant at which a webhook was due.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Watched {
    pub(crate) acknowledged: Summary,
    /// When the engine decided, by the event's `recorded_at`.
    pub(crate) decided: Summary,
    pub(crate) visible: Summary,
}

impl Task for Watch {
    type Answer = Watched;
}

impl Watch {
    pub(super) async fn run(self) -> Result<Watched> {
        let board = Arc::new(Board::new());
        let mut watching = JoinSet::new();
        for key in &self.keys {
            let (caught_up, listed) = oneshot::channel();
            let stream = watch(self.query, key).await?;
            watching.spawn(follow(stream, board.clone(), caught_up));
            listed
                .await
                .context("a watch ended before it had caught up")?;
        }
        let mut lanes = Vec::with_capacity(self.connections);
        let mut posting = JoinSet::new();
        for _ in 0..self.connections {
            let (lane, posts) = mpsc::unbounded_channel();
            posting.spawn(post(Connection::open(self.ingress).await?, posts));
            lanes.push(lane);
        }
        let mut sent = 0;
        pace::open_loop(self.per_second, self.length, |number, due| {
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            let signed = board.post(number, due);
            // An ad's webhooks keep their order on a lane of their own.
            let _ = lanes[number % ADS % lanes.len()].send((signed, due));
            sent += 1;
        })
        .await;
        drop(lanes);
        let mut acknowledged = Latencies::default();
        while let Some(posted) = posting.join_next().await {
            acknowledged.merge(posted??);
        }
        tokio::time::timeout(PATIENCE, board.all_seen())
            .await
            .context("some changes never became visible")?;
        watching.abort_all();
        let (decided, visible) = board.latencies();
        ensure!(
            visible.count == sent,
            "{sent} posted, {} seen",
            visible.count
        );
        Ok(Watched {
            acknowledged: acknowledged.summary(),
            decided,
            visible,
        })
    }
}

/// What is known of each ad, and what is waited for.
struct Board {
    ads: Mutex<Vec<Known>>,
    measured: Mutex<(Latencies, Latencies)>,
}

#[derive(Clone, Default)]
struct Known {
    status: String,
    version: u64,
    /// Versions to come, and when their webhooks were due, by both clocks.
    awaited: VecDeque<(u64, Instant, OffsetDateTime)>,
}

impl Board {
    fn new() -> Self {
        Self {
            ads: Mutex::new(vec![Known::default(); ADS]),
            measured: Mutex::default(),
        }
    }

    /// The next webhook of an ad.
    fn post(&self, number: usize, due: Instant) -> Signed {
        let ad = Ad::nth(number);
        let mut ads = self.ads.lock().expect("no holder panics");
        let known = &mut ads[number % ADS];
        let now = OffsetDateTime::now_utc();
        known.version += 1;
        known
            .awaited
            .push_back((known.version, due, now - due.elapsed()));
        let next = match known.status.as_str() {
            "ACTIVE" if known.version.is_multiple_of(8) => "DISAPPROVED",
            "ACTIVE" => "PAUSED",
            _ => "ACTIVE",
        };
        let old = std::mem::replace(&mut known.status, next.to_owned());
        Signed::new(body(
            &ad.account,
            &ad.ad_id,
            now.unix_timestamp(),
            next,
            &old,
        ))
    }

    fn see(&self, ad: &query::Ad, listed: bool) {
        let Some(number) = Ad::number_of(&ad.ad_id) else {
            return;
        };
        let now = Instant::now();
        let mut ads = self.ads.lock().expect("no holder panics");
        let known = &mut ads[number];
        if listed {
            known.version = ad.version;
            known.status.clone_from(&ad.status);
            return;
        }
        let decided_at = ad.update_time.and_then(|at| {
            let nanos = i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
            OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
        });
        let mut measured = self.measured.lock().expect("no holder panics");
        while let Some((version, due, due_at)) = known.awaited.front().copied() {
            if version > ad.version {
                break;
            }
            known.awaited.pop_front();
            measured.1.add(now - due);
            // Of changes seen together only the last one's time is told.
            if version == ad.version
                && let Some(after) = decided_at.and_then(|at| (at - due_at).try_into().ok())
            {
                measured.0.add(after);
            }
        }
    }

    async fn all_seen(&self) {
        let waits = || {
            let ads = self.ads.lock().expect("no holder panics");
            ads.iter().any(|known| !known.awaited.is_empty())
        };
        while waits() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn latencies(&self) -> (Summary, Summary) {
        let mut measured = self.measured.lock().expect("no holder panics");
        let (decided, visible) = std::mem::take(&mut *measured);
        (decided.summary(), visible.summary())
    }
}

async fn post(
    mut connection: Connection,
    mut posts: mpsc::UnboundedReceiver<(Signed, Instant)>,
) -> Result<Latencies> {
    let mut latencies = Latencies::default();
    while let Some((signed, due)) = posts.recv().await {
        connection.post(&signed).await?;
        latencies.add(due.elapsed());
    }
    Ok(latencies)
}

async fn watch(address: SocketAddr, key: &str) -> Result<Streaming<WatchAdsResponse>> {
    let mut client = AdServiceClient::new(connect(address).await?);
    let request = by(key, WatchAdsRequest::default())?;
    Ok(client.watch_ads(request).await?.into_inner())
}

async fn follow(
    mut stream: Streaming<WatchAdsResponse>,
    board: Arc<Board>,
    caught_up: oneshot::Sender<()>,
) -> Result<()> {
    let mut caught_up = Some(caught_up);
    while let Some(response) = stream.message().await? {
        match response.event {
            Some(Event::Changed(ad)) => board.see(&ad, caught_up.is_some()),
            Some(Event::CaughtUp(_)) => {
                if let Some(caught_up) = caught_up.take() {
                    let _ = caught_up.send(());
                }
            }
            // A watch that starts over shows everything anew.
            Some(Event::Restarted(_) | Event::Unmatched(_)) | None => {}
        }
    }
    Ok(())
}

pub(super) async fn connect(address: SocketAddr) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    Ok(endpoint.connect().await?)
}

/// `body`, called with `key`.
pub(super) fn by<T>(key: &str, body: T) -> Result<Request<T>> {
    let mut request = Request::new(body);
    let bearer = format!("Bearer {key}").parse()?;
    request.metadata_mut().insert("authorization", bearer);
    Ok(request)
}
