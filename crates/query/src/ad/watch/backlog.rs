//! What a watcher knows, and what follows from it. Pure: rows and positions come
//! in, changes and a place to resume from go out.

use std::{collections::HashSet, sync::Arc};

use compline_ad_status::{Ad, view::Column};
use compline_api::filter::Filter;
use compline_event::{Token, Topic};

use super::pending::{Change, Pending};
use crate::ad::filter;

/// Names of ads that a watcher remembers to have sent.
const MAX_REMEMBERED: usize = 10_000;

#[derive(Debug)]
pub(super) struct Backlog {
    pub(super) filter: Filter<Column>,
    /// What has been taken in from the read model. Empty while the list of what
    /// matches is being sent.
    position: Token,
    pending: Pending,
    sent: Sent,
}

impl Backlog {
    pub(super) fn new(filter: Filter<Column>) -> Self {
        Self {
            filter,
            position: Token::default(),
            pending: Pending::default(),
            sent: Sent::These(HashSet::new()),
        }
    }

    /// Goes on where another watch, whose client has who knows what, ended.
    pub(super) fn resume(&mut self, position: Token) {
        self.position = position;
        self.sent = Sent::Any;
    }

    /// Nothing was sent, nothing is known.
    pub(super) fn start_over(&mut self) {
        self.position = Token::default();
        self.pending = Pending::default();
        self.sent = Sent::These(HashSet::new());
    }

    /// An ad of the list is sent.
    pub(super) fn listed(&mut self, ad_id: &str) {
        self.sent.insert(ad_id);
    }

    /// A changed row: whether there is something to say of it.
    pub(super) fn consider(&mut self, ad: &Arc<Ad>) {
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

    /// All rows below `seen` have been considered.
    pub(super) fn raise(&mut self, seen: &Token) {
        seen.positions()
            .for_each(|position| self.position.include(position));
    }

    /// The next change to send.
    pub(super) fn pop(&mut self) -> Option<Change> {
        let change = self.pending.pop()?;
        match &change {
            Change::Changed(ad) => self.sent.insert(&ad.ad_id),
            Change::Unmatched(ad) => self.sent.remove(&ad.ad_id),
        }
        Some(change)
    }

    pub(super) fn waiting(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn position(&self) -> &Token {
        &self.position
    }

    /// Everything below it has been sent; empty when there is no such place.
    pub(super) fn floor(&self) -> Token {
        self.pending.floor(&self.position)
    }
}

/// Which ads the client has been sent. To say `unmatched` once too often is
/// harmless, once too rarely is not: a watcher that cannot remember says it of
/// every changed ad that does not match.
#[derive(Debug)]
enum Sent {
    These(HashSet<String>),
    /// Too many, or those of a watch that is resumed.
    Any,
}

impl Sent {
    fn contains(&self, ad_id: &str) -> bool {
        match self {
            Sent::These(ids) => ids.contains(ad_id),
            Sent::Any => true,
        }
    }

    fn insert(&mut self, ad_id: &str) {
        let Sent::These(ids) = self else { return };
        if ids.len() == MAX_REMEMBERED && !ids.contains(ad_id) {
            *self = Sent::Any;
            return;
        }
        ids.insert(ad_id.to_owned());
    }

    fn remove(&mut self, ad_id: &str) {
        if let Sent::These(ids) = self {
            ids.remove(ad_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ad::watch::tests::{ad, with_status};

    fn backlog(position: &str) -> Backlog {
        let filter = Filter::parse("status = PAUSED", filter::SCHEMA).unwrap();
        let mut backlog = Backlog::new(filter);
        backlog.raise(&position.parse().unwrap());
        backlog
    }

    fn said(backlog: &mut Backlog) -> Vec<String> {
        let text = |change| match change {
            Change::Changed(ad) => format!("{} {}", ad.ad_id, ad.status),
            Change::Unmatched(ad) => format!("{} unmatched", ad.ad_id),
        };
        std::iter::from_fn(|| backlog.pop().map(text)).collect()
    }

    #[test]
    fn only_what_was_sent_is_said_to_be_unmatched() {
        let mut backlog = backlog("ad/0@0");
        backlog.listed("a");
        backlog.consider(&with_status(&ad("a", 0, 1), "ACTIVE"));
        backlog.consider(&with_status(&ad("b", 0, 2), "ACTIVE"));
        backlog.consider(&with_status(&ad("c", 0, 3), "PAUSED"));
        backlog.consider(&with_status(&ad("c", 0, 4), "ACTIVE"));
        assert_eq!(said(&mut backlog), ["a unmatched"]);
        backlog.consider(&with_status(&ad("a", 0, 5), "DELETED"));
        assert!(said(&mut backlog).is_empty(), "and said once");
    }

    /// It was sent on by a read of our own before the hub's batch came.
    #[test]
    fn an_old_batch_brings_no_old_row_back() {
        let mut backlog = backlog("ad/0@10");
        backlog.consider(&with_status(&ad("a", 0, 9), "PAUSED"));
        assert!(said(&mut backlog).is_empty());
        backlog.consider(&with_status(&ad("a", 0, 10), "PAUSED"));
        assert_eq!(said(&mut backlog), ["a PAUSED"]);
    }

    #[test]
    fn a_resumed_watch_may_have_sent_any() {
        let mut backlog = backlog("ad/0@0");
        backlog.resume("ad/0@3".parse().unwrap());
        backlog.consider(&with_status(&ad("a", 0, 3), "ACTIVE"));
        assert_eq!(backlog.floor().to_string(), "ad/0@3");
        assert_eq!(said(&mut backlog), ["a unmatched"]);
    }

    #[test]
    fn who_cannot_remember_says_it_may_have_sent_any() {
        let mut sent = Sent::These(HashSet::new());
        for id in 0..MAX_REMEMBERED {
            sent.insert(&id.to_string());
        }
        sent.insert("0");
        assert!(!sent.contains("never sent"));
        sent.insert("one more");
        assert!(sent.contains("never sent"));
    }
}
