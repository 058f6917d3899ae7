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
//! client. `position` is what has been taken in from the read model; a response's
//! token is what of it has been sent, so nothing is missed by resuming there, and
//! something may come twice. While the list is being sent there is no such place,
//! and the token is empty.

mod hub;
mod pending;

use std::sync::Arc;

use compline_ad_status::{
    Ad,
    view::{self, Column, ListQuery, OrderBy},
};
use compline_api::{
    error,
    filter::Filter,
    name::Collection,
    page::Fingerprint,
    query::{WatchAdsResponse, watch_ads_response::Event},
    token,
};
use compline_event::{TenantId, Token, Topic};
use compline_readmodel::{ReadError, Reader, Want};
use metrics::{counter, gauge};
use tokio::sync::mpsc;
use tonic::Status;

use super::{filter, resource};
use crate::{consistency, metric};
pub(super) use hub::Hubs;
use hub::Member;
use pending::{Change, Pending, Sent};

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
            self.reader
                .snapshot(tenant, &want)
                .await
                .map_err(resume_failed)?;
        }
        let member = self.join(tenant)?;
        let (out, responses) = mpsc::channel(CHANNEL);
        let watcher = Watcher {
            reader: self.reader.clone(),
            tenant,
            filter,
            fingerprint,
            out,
            position: Token::default(),
            pending: Pending::default(),
            sent: Sent::nothing(),
        };
        tokio::spawn(watcher.run(member, resume));
        Ok(responses)
    }
}

struct Watcher {
    reader: Reader,
    tenant: TenantId,
    filter: Filter<Column>,
    fingerprint: Fingerprint,
    out: mpsc::Sender<Result<WatchAdsResponse, Status>>,
    position: Token,
    pending: Pending,
    sent: Sent,
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
        let end = self.watch(&mut member, resume).await;
        gauge!(metric::WATCHERS).decrement(1.0);
        if let Err(End::Failed(status)) = end {
            let _ = self.out.send(Err(status)).await;
        }
    }

    async fn watch(
        &mut self,
        member: &mut Member,
        resume: Option<Token>,
    ) -> Result<std::convert::Infallible, End> {
        match resume {
            Some(position) => {
                self.position = position;
                self.sent = Sent::Any;
            }
            None => self.list().await?,
        }
        loop {
            self.catch_up().await?;
            self.send(Event::CaughtUp(true)).await?;
            while let Behind::MissedABatch = self.follow(member).await? {
                self.catch_up().await?;
            }
            counter!(metric::RESTARTS).increment(1);
            self.pending = Pending::default();
            // What it had is void, and so is where it was.
            self.position = Token::default();
            self.send(Event::Restarted(true)).await?;
            self.list().await?;
        }
    }

    /// Sends what matches now. What changes meanwhile changes behind `position`.
    async fn list(&mut self) -> Result<(), End> {
        self.sent = Sent::nothing();
        let mut began_at = None;
        let mut query = ListQuery {
            order_by: OrderBy::AdId,
            descending: false,
            after: None,
            limit: PAGE_ROWS,
        };
        loop {
            let mut snapshot = self.reader.snapshot(self.tenant, &Want::now()).await?;
            began_at.get_or_insert_with(|| snapshot.seen().position.clone());
            let condition = |sql: &mut _| filter::push(sql, &self.filter);
            let ads = view::ads(snapshot.conn(), &query, condition).await?;
            drop(snapshot);
            for ad in &ads {
                self.sent.insert(&ad.ad_id);
                self.send(Event::Changed(resource::ad(ad))).await?;
            }
            let last = ads.last().filter(|_| ads.len() as i64 == PAGE_ROWS);
            let Some(last) = last else { break };
            query.after = Some(query.order_by.key(last));
        }
        self.position = began_at.unwrap_or_default();
        Ok(())
    }

    /// Sends what changed since `position`, at the client's pace, and moves it.
    async fn catch_up(&mut self) -> Result<(), End> {
        let mut began_at = None;
        let mut after = None;
        loop {
            let mut snapshot = self.reader.snapshot(self.tenant, &Want::now()).await?;
            // A row that changes again moves up, so a sweep in the log's order
            // that began here misses nothing below.
            began_at.get_or_insert_with(|| snapshot.seen().position.clone());
            let ads = view::changed(snapshot.conn(), &self.position, after, PAGE_ROWS).await?;
            drop(snapshot);
            let full = ads.len() as i64 == PAGE_ROWS;
            after = ads.last().map(|ad| (ad.partition, ad.offset));
            for ad in ads {
                self.consider(&Arc::new(ad));
            }
            while let Some(event) = self.next_event() {
                self.send(event).await?;
            }
            if !full {
                break;
            }
        }
        self.raise(&began_at.unwrap_or_default());
        Ok(())
    }

    /// Takes in what the hub tells while the client takes what is pending.
    async fn follow(&mut self, member: &mut Member) -> Result<Behind, End> {
        let out = self.out.clone();
        loop {
            tokio::select! {
                permit = out.reserve(), if !self.pending.is_empty() => {
                    let permit = permit.map_err(|_| End::ClientLeft)?;
                    if let Some(event) = self.next_event() {
                        permit.send(Ok(self.response(event)));
                    }
                }
                batch = member.next() => {
                    let Some(batch) = batch else { return Ok(Behind::MissedABatch) };
                    if !self.position.covers(&batch.from) {
                        return Ok(Behind::MissedABatch);
                    }
                    batch.ads.iter().for_each(|ad| self.consider(ad));
                    self.raise(&batch.seen);
                    if self.pending.len() > MAX_PENDING {
                        return Ok(Behind::TooSlow);
                    }
                }
                () = out.closed() => return Err(End::ClientLeft),
            }
        }
    }

    /// Puts a changed row where it is to be sent from, when it is to be sent.
    fn consider(&mut self, ad: &Arc<Ad>) {
        let taken_in = self.position.next_offset(Topic::Ad, ad.partition);
        if taken_in.is_some_and(|next_offset| ad.offset < next_offset) {
            // A batch from before the last read of our own: what it says is old.
            return;
        }
        if filter::matches(&self.filter, ad) {
            self.pending.put(Change::Changed(ad.clone()));
        } else if self.sent.contains(&ad.ad_id) {
            self.pending.put(Change::Unmatched(ad.clone()));
        } else {
            self.pending.forget(&ad.ad_id);
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        Some(match self.pending.pop()? {
            Change::Changed(ad) => {
                self.sent.insert(&ad.ad_id);
                Event::Changed(resource::ad(&ad))
            }
            Change::Unmatched(ad) => {
                self.sent.remove(&ad.ad_id);
                Event::Unmatched(Collection::Ads.name(&ad.ad_id))
            }
        })
    }

    async fn send(&self, event: Event) -> Result<(), End> {
        let response = self.response(event);
        let sent = self.out.send(Ok(response)).await;
        sent.map_err(|_| End::ClientLeft)
    }

    fn response(&self, event: Event) -> WatchAdsResponse {
        let resume_token = match self.position.is_empty() {
            true => String::new(),
            false => {
                let floor = self.pending.floor(&self.position);
                token::resume_token(&self.fingerprint, consistency::places(&floor))
            }
        };
        WatchAdsResponse {
            event: Some(event),
            resume_token,
        }
    }

    fn raise(&mut self, seen: &Token) {
        seen.positions()
            .for_each(|position| self.position.include(position));
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
