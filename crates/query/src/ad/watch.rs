//! `WatchAds`: what matches now, then every change, coalesced per ad.
//!
//! ```text
//!            ┌──────────────── restarted: more waits than may ───────────────┐
//!            ▼                                                               │
//! start ▶ list what matches ▶ join the hub ▶ catch up ▶ caught_up ▶ follow ──┤
//! resume ────────────────────────▲                ▲                          │
//!                                                 └── a batch was missed ────┘
//! ```
//!
//! Every read is a page in a snapshot of its own: no connection waits for a
//! client. The backlog's position is what has been taken in from the read model; a
//! response's token is what of it has been sent, so nothing is missed by resuming
//! there, and something may come twice. While the list is being sent there is no
//! such place, and the token is empty.

mod backlog;
mod hub;
mod pending;

use std::sync::Arc;

use compline_ad_status::view::{self, Column, ListQuery, OrderBy};
use compline_api::{
    error,
    filter::Filter,
    name::Collection,
    page::Fingerprint,
    query::{WatchAdsResponse, watch_ads_response::Event},
    token,
};
use compline_event::{TenantId, Token, Topic};
use compline_readmodel::{ReadError, Want};
use metrics::{counter, gauge};
use tokio::sync::mpsc;
use tonic::Status;

use super::{filter, resource};
use crate::{consistency, metric};
use backlog::Backlog;
pub(super) use hub::Hubs;
use hub::{Member, Rows};
use pending::Change;

/// Ads that wait for a client; with more it is too slow.
const MAX_PENDING: usize = 1024;
/// Responses between us and the connection's own flow control.
const CHANNEL: usize = 16;
const PAGE_ROWS: i64 = 256;
/// How long a resumed watch waits for the read model to be where it was.
const RESUME_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

type Responses = mpsc::Receiver<Result<WatchAdsResponse, Status>>;

/// # Errors
/// INVALID_ARGUMENT on `resume_token`.
pub(super) fn parse_resume_token(text: &str, watch: &Fingerprint) -> Result<Option<Token>, Status> {
    let Some(places) = token::parse_resume_token(text, watch)? else {
        return Ok(None);
    };
    let token = consistency::token("resume_token", places)?;
    if token
        .positions()
        .any(|position| position.topic != Topic::Ad)
    {
        return Err(error::invalid_argument(
            "resume_token",
            "is not a resume_token of ours",
        ));
    }
    Ok(Some(token))
}

impl Hubs {
    /// Starts a watch. What can be refused is refused here, not in the stream.
    pub(super) async fn watch(
        &self,
        tenant: TenantId,
        filter: Filter<Column>,
        fingerprint: Fingerprint,
        resume: Option<Token>,
    ) -> Result<Responses, Status> {
        if let Some(position) = &resume {
            let want = Want::at_least(position.clone(), RESUME_WAIT);
            self.rows
                .reader
                .snapshot(tenant, &want)
                .await
                .map_err(resume_failed)?;
        }
        let member = self.join(tenant)?;
        let (out, responses) = mpsc::channel(CHANNEL);
        let watcher = Watcher {
            rows: self.rows.clone(),
            tenant,
            fingerprint,
            out,
            backlog: Backlog::new(filter),
        };
        tokio::spawn(watcher.run(member, resume));
        Ok(responses)
    }
}

struct Watcher {
    rows: Rows,
    tenant: TenantId,
    fingerprint: Fingerprint,
    out: mpsc::Sender<Result<WatchAdsResponse, Status>>,
    backlog: Backlog,
}

/// Why a watch ends.
enum End {
    ClientLeft,
    Failed(Status),
}

/// Why following ends.
enum Behind {
    MissedABatch,
    TooSlow,
}

impl Watcher {
    async fn run(mut self, mut member: Member, resume: Option<Token>) {
        gauge!(metric::WATCHERS).increment(1.0);
        let out = self.out.clone();
        let end = tokio::select! {
            end = self.watch(&mut member, resume) => end,
            // Its place is another's at once, whatever the watcher waits for.
            () = out.closed() => Err(End::ClientLeft),
        };
        gauge!(metric::WATCHERS).decrement(1.0);
        if let Err(End::Failed(status)) = end {
            let _ = out.send(Err(status)).await;
        }
    }

    async fn watch(
        &mut self,
        member: &mut Member,
        resume: Option<Token>,
    ) -> Result<std::convert::Infallible, End> {
        match resume {
            Some(position) => self.backlog.resume(position),
            None => self.list().await?,
        }
        loop {
            self.catch_up().await?;
            self.send(Event::CaughtUp(true)).await?;
            while let Behind::MissedABatch = self.follow(member).await? {
                self.catch_up().await?;
            }
            counter!(metric::RESTARTS).increment(1);
            self.backlog.start_over();
            self.send(Event::Restarted(true)).await?;
            self.list().await?;
        }
    }

    /// Sends what matches now. What changes meanwhile comes by catching up.
    async fn list(&mut self) -> Result<(), End> {
        let mut began_at = None;
        let mut query = ListQuery {
            order_by: OrderBy::AdId,
            descending: false,
            after: None,
            limit: PAGE_ROWS,
        };
        loop {
            let (mut snapshot, permit) = self.rows.now(self.tenant).await?;
            began_at.get_or_insert_with(|| snapshot.seen().position.clone());
            let condition = |sql: &mut _| filter::push(sql, &self.backlog.filter);
            let ads = snapshot
                .read(async |conn| view::ads(conn, &query, condition).await)
                .await?;
            drop((snapshot, permit));
            for ad in &ads {
                self.backlog.listed(&ad.ad_id);
                self.send(Event::Changed(resource::ad(ad))).await?;
            }
            let last = ads.last().filter(|_| ads.len() as i64 == PAGE_ROWS);
            let Some(last) = last else { break };
            query.after = Some(query.order_by.key(last));
        }
        self.backlog.raise(&began_at.unwrap_or_default());
        Ok(())
    }

    /// Sends what changed since the backlog's position, at the client's pace.
    async fn catch_up(&mut self) -> Result<(), End> {
        let mut began_at = None;
        let mut after = None;
        loop {
            let (mut snapshot, permit) = self.rows.now(self.tenant).await?;
            // A row that changes again moves up, so a sweep in the log's order
            // that began here misses nothing below.
            began_at.get_or_insert_with(|| snapshot.seen().position.clone());
            let ads = snapshot
                .read(async |conn| {
                    view::changed(conn, self.backlog.position(), after, PAGE_ROWS).await
                })
                .await?;
            drop((snapshot, permit));
            let full = ads.len() as i64 == PAGE_ROWS;
            after = ads.last().map(|ad| (ad.partition, ad.offset));
            for ad in ads {
                self.backlog.consider(&Arc::new(ad));
            }
            while let Some(change) = self.backlog.pop() {
                self.send(event_of(change)).await?;
            }
            if !full {
                break;
            }
        }
        self.backlog.raise(&began_at.unwrap_or_default());
        Ok(())
    }

    /// Takes in what the hub tells while the client takes what is pending.
    async fn follow(&mut self, member: &mut Member) -> Result<Behind, End> {
        let out = self.out.clone();
        loop {
            tokio::select! {
                permit = out.reserve(), if self.backlog.waiting() > 0 => {
                    let permit = permit.map_err(|_| End::ClientLeft)?;
                    if let Some(change) = self.backlog.pop() {
                        permit.send(Ok(self.response(event_of(change))));
                    }
                }
                batch = member.next() => {
                    let Some(batch) = batch else { return Ok(Behind::MissedABatch) };
                    if !self.backlog.position().covers(&batch.from) {
                        return Ok(Behind::MissedABatch);
                    }
                    batch.ads.iter().for_each(|ad| self.backlog.consider(ad));
                    self.backlog.raise(&batch.seen);
                    if self.backlog.waiting() > MAX_PENDING {
                        return Ok(Behind::TooSlow);
                    }
                }
            }
        }
    }

    async fn send(&self, event: Event) -> Result<(), End> {
        let response = self.response(event);
        let sent = self.out.send(Ok(response)).await;
        sent.map_err(|_| End::ClientLeft)
    }

    fn response(&self, event: Event) -> WatchAdsResponse {
        let floor = self.backlog.floor();
        let resume_token = match floor.is_empty() {
            true => String::new(),
            false => token::resume_token(&self.fingerprint, consistency::places(&floor)),
        };
        WatchAdsResponse {
            event: Some(event),
            resume_token,
        }
    }
}

fn event_of(change: Change) -> Event {
    match change {
        Change::Changed(ad) => Event::Changed(resource::ad(&ad)),
        Change::Unmatched(ad) => Event::Unmatched(Collection::Ads.name(&ad.ad_id)),
    }
}

fn resume_failed(error: ReadError) -> Status {
    match error {
        ReadError::NotRead { .. } => {
            error::invalid_argument("resume_token", "is of another installation")
        }
        other => consistency::read_failed(other),
    }
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        End::Failed(consistency::read_failed(error))
    }
}

impl From<sqlx::Error> for End {
    fn from(error: sqlx::Error) -> Self {
        End::Failed(consistency::database_failed(error))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use compline_ad_status::{Ad, Level};
    use compline_event::{Offset, Partition};
    use time::OffsetDateTime;

    pub(super) fn ad(ad_id: &str, partition: i32, offset: i64) -> Arc<Ad> {
        Arc::new(Ad {
            ad_id: ad_id.into(),
            ad_account_id: String::new(),
            level: Level::Ad,
            status: String::new(),
            old_status: String::new(),
            reason: String::new(),
            placements: Vec::new(),
            status_changed_at: None,
            fetch_needed: false,
            version: 1,
            updated_at: OffsetDateTime::UNIX_EPOCH,
            partition: Partition(partition),
            offset: Offset(offset),
            issues: BTreeMap::new(),
        })
    }

    pub(super) fn with_status(ad: &Ad, status: &str) -> Arc<Ad> {
        Arc::new(Ad {
            status: status.into(),
            ..ad.clone()
        })
    }
}
