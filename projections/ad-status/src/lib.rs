//! What each ad is doing on Meta: its current state, the history of its statuses,
//! what hinders it, and how many ads of an account are in which status.
//!
//! Folds the topic `ad`; the query service reads its views.
//!
//! | event | row of `ad` | besides |
//! |---|---|---|
//! | AdStatusChanged | takes status, reason, placements and time; no longer to be fetched | history; issues close, see below |
//! | AdStatusChanged, `fetch_needed` | flag set; the rest only when a status came too | history |
//! | AdStatusChanged, `late` | only counted | history |
//! | AdIssueRaised | stays what it is; made with an empty status when it is new | issue opened, or renewed |
//!
//! **Which statuses close issues**: ACTIVE and PREAPPROVED, for then nothing
//! hinders delivery, and ARCHIVED and DELETED, for then nothing can. PAUSED and its
//! kin say nothing about issues, a review may end with the same one, and of a
//! status that we do not know we conclude nothing: they leave issues open. An issue
//! raised (by Meta's clock) before the status that closed it stays closed.
//!
//! Invariants:
//! - "latest" goes by log order and the event's own `late`, never by a clock of ours;
//! - every event of an ad raises its `version` by one, so that it counts them;
//! - `ad_count` is only ever added to, for its rows are shared by all partitions;
//!   every (account, status) that an ad ever had has a row, be it 0;
//! - unknown statuses survive as text; a known level is never forgotten;
//! - nothing here knows Kafka, and the fold knows no Postgres either, but for what
//!   it could not store.

#[cfg(feature = "write")]
mod apply;
mod row;
#[cfg(feature = "write")]
mod store;
pub mod view;

use compline_event::Topic;

pub use row::{Ad, AdCount, Issue, Level, StatusChange};
#[cfg(feature = "write")]
pub use {apply::Rows, store::AdStatus};

/// As in `compline projector ad-status`.
pub const NAME: &str = "ad-status";

pub const TOPICS: &[Topic] = &[Topic::Ad];
