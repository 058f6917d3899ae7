//! What a watcher has still to send, coalesced per ad.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use compline_ad_status::Ad;
use compline_event::{Offset, Partition, Position, Token, Topic};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ad::watch::tests::ad;

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
            pending.put(Change::Changed(change));
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
}
