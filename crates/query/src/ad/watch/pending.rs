//! What a watcher has still to send, coalesced per ad, and what it has sent.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use compline_ad_status::Ad;
use compline_event::{Offset, Partition, Position, Token, Topic};

/// Names of ads that a watcher remembers to have sent.
const MAX_REMEMBERED: usize = 10_000;

type Place = (Partition, Offset);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    Changed(Arc<Ad>),
    Unmatched(Arc<Ad>),
}

impl Change {
    fn ad(&self) -> &Ad {
        match self {
            Change::Changed(ad) | Change::Unmatched(ad) => ad,
        }
    }
}

/// The newest change of each ad, in the log's order within a partition.
#[derive(Debug, Default)]
pub(super) struct Pending {
    changes: BTreeMap<Place, Change>,
    places: HashMap<String, Place>,
    /// Of the last one taken: partitions take turns.
    turn: Option<Partition>,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Replaces what was to be said about the same ad.
    pub(super) fn put(&mut self, change: Change) {
        let ad = change.ad();
        let place = (ad.partition, ad.offset);
        let before = self.places.insert(ad.ad_id.clone(), place);
        if let Some(before) = before {
            self.changes.remove(&before);
        }
        self.changes.insert(place, change);
    }

    /// Says nothing about this ad any more.
    pub(super) fn forget(&mut self, ad_id: &str) {
        if let Some(place) = self.places.remove(ad_id) {
            self.changes.remove(&place);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Change> {
        let next = self
            .turn
            .and_then(|turn| {
                let behind = (Excluded((turn, Offset(i64::MAX))), Unbounded);
                self.changes.range(behind).next()
            })
            .or_else(|| self.changes.first_key_value());
        let place = *next?.0;
        let change = self.changes.remove(&place)?;
        self.places.remove(&change.ad().ad_id);
        self.turn = Some(place.0);
        Some(change)
    }

    /// Everything below it has been sent, when `seen` has been taken in: a watch
    /// may be resumed there.
    pub(super) fn floor(&self, seen: &Token) -> Token {
        let sent = |position: Position| {
            let start = (position.partition, Offset(0));
            let waiting = self.changes.range(start..).next();
            let below = waiting
                .filter(|((partition, _), _)| *partition == position.partition)
                .map_or(position.next_offset, |((_, offset), _)| *offset);
            Position {
                next_offset: position.next_offset.min(below),
                ..position
            }
        };
        seen.positions()
            .filter(|position| position.topic == Topic::Ad)
            .map(sent)
            .collect()
    }
}

/// Which ads the client has been sent. To say `unmatched` once too often is
/// harmless, once too rarely is not: a watcher that cannot remember says it of
/// every changed ad that does not match.
#[derive(Debug)]
pub(super) enum Sent {
    These(HashSet<String>),
    /// Too many, or those of a watch that is resumed.
    Any,
}

impl Sent {
    pub(super) fn nothing() -> Self {
        Sent::These(HashSet::new())
    }

    pub(super) fn contains(&self, ad_id: &str) -> bool {
        match self {
            Sent::These(ids) => ids.contains(ad_id),
            Sent::Any => true,
        }
    }

    pub(super) fn insert(&mut self, ad_id: &str) {
        let Sent::These(ids) = self else { return };
        if ids.len() == MAX_REMEMBERED && !ids.contains(ad_id) {
            *self = Sent::Any;
            return;
        }
        ids.insert(ad_id.to_owned());
    }

    pub(super) fn remove(&mut self, ad_id: &str) {
        if let Sent::These(ids) = self {
            ids.remove(ad_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use compline_ad_status::Level;
    use time::OffsetDateTime;

    use super::*;

    fn ad(ad_id: &str, partition: i32, offset: i64) -> Change {
        Change::Changed(Arc::new(Ad {
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
        }))
    }

    #[test]
    fn an_ad_is_sent_once_partitions_take_turns_and_the_floor_rises() {
        let seen: Token = "ad/0@10,ad/1@10,ad/2@10".parse().unwrap();
        let mut pending = Pending::default();
        for change in [
            ad("a", 0, 3),
            ad("b", 0, 4),
            ad("c", 1, 7),
            ad("a", 0, 9),
            ad("d", 1, 8),
        ] {
            pending.put(change);
        }
        let mut order = Vec::new();
        let mut floors = vec![pending.floor(&seen).to_string()];
        while let Some(change) = pending.pop() {
            let Change::Changed(ad) = change else {
                panic!("{change:?}")
            };
            order.push((ad.ad_id.clone(), ad.offset.0));
            floors.push(pending.floor(&seen).to_string());
        }
        let order: Vec<(&str, i64)> = order.iter().map(|(id, at)| (id.as_str(), *at)).collect();
        assert_eq!(order, [("b", 4), ("c", 7), ("a", 9), ("d", 8)]);
        assert_eq!(
            floors,
            [
                "ad/0@4,ad/1@7,ad/2@10",
                "ad/0@9,ad/1@7,ad/2@10",
                "ad/0@9,ad/1@8,ad/2@10",
                "ad/0@10,ad/1@8,ad/2@10",
                "ad/0@10,ad/1@10,ad/2@10",
            ]
        );
    }

    #[test]
    fn who_cannot_remember_says_it_may_have_sent_any() {
        let mut sent = Sent::nothing();
        for id in 0..MAX_REMEMBERED {
            sent.insert(&id.to_string());
        }
        sent.insert("0");
        assert!(!sent.contains("never sent"));
        sent.insert("one more");
        assert!(sent.contains("never sent"));
    }
}
