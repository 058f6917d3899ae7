//! Who watches an account, and whose a webhook is.
//!
//! A webhook and the connection of its account stand on two topics, between which
//! the log knows no order. So the answer goes by `recorded_at`:
//!
//! | at the time of the webhook | it is of |
//! |---|---|
//! | tenants watched the account | all of them |
//! | nobody did, somebody connected it within [`WAIT`] after | the first who did |
//! | nobody did | nobody: it waits for [`WAIT`], then expires |
//!
//! It is given once, when all commands are folded that the log held when the
//! webhook was read (the engine's `FIRST`). A command that came to the log later
//! is folded later; then it brings what has waited, and changes nothing else.

use std::collections::BTreeMap;

use compline_event::TenantId;
use time::{Duration, OffsetDateTime};

/// How long a webhook of an account that nobody watches is kept.
pub(crate) const WAIT: Duration = Duration::hours(36);

/// A tenant's relation to one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watch {
    /// How many commands took effect.
    pub(crate) version: u64,
    /// In the order in which they were opened; only the last may be open.
    pub(crate) spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) opened_at: OffsetDateTime,
    pub(crate) closed_at: Option<OffsetDateTime>,
}

impl Watch {
    /// Whether the tenant did not watch the account until now.
    pub(crate) fn open(&mut self, at: OffsetDateTime) -> bool {
        let watching = self
            .spans
            .last()
            .is_some_and(|span| span.closed_at.is_none());
        if !watching {
            self.spans.push(Span {
                opened_at: at,
                closed_at: None,
            });
        }
        !watching
    }

    pub(crate) fn close(&mut self, at: OffsetDateTime) {
        if let Some(span) = self.spans.last_mut() {
            span.closed_at.get_or_insert(at);
        }
    }

    fn watched_at(&self, at: OffsetDateTime) -> bool {
        let covers = |span: &Span| {
            span.opened_at <= at && span.closed_at.is_none_or(|closed_at| at < closed_at)
        };
        self.spans.iter().any(covers)
    }

    fn connected_after(&self, at: OffsetDateTime) -> Option<OffsetDateTime> {
        let opened = self.spans.iter().map(|span| span.opened_at);
        opened
            .filter(|opened| at < *opened && is_in_time(at, *opened))
            .min()
    }
}

/// Whether a connection at `connected_at` still brings what was recorded at `at`.
pub(crate) fn is_in_time(at: OffsetDateTime, connected_at: OffsetDateTime) -> bool {
    connected_at <= at + WAIT
}

/// The tenants of a webhook that was recorded at `at`, by what is folded so far.
pub(crate) fn tenants_at(watches: &BTreeMap<TenantId, Watch>, at: OffsetDateTime) -> Vec<TenantId> {
    let watching = watching_at(watches, at);
    if !watching.is_empty() {
        return watching;
    }
    watches
        .iter()
        .filter_map(|(tenant, watch)| Some((watch.connected_after(at)?, *tenant)))
        .min()
        .map(|(_, tenant)| tenant)
        .into_iter()
        .collect()
}

/// The tenants who watched at that time.
pub(crate) fn watching_at(
    watches: &BTreeMap<TenantId, Watch>,
    at: OffsetDateTime,
) -> Vec<TenantId> {
    watches
        .iter()
        .filter(|(_, watch)| watch.watched_at(at))
        .map(|(tenant, _)| *tenant)
        .collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn whose_a_webhook_is() {
        let start = OffsetDateTime::UNIX_EPOCH;
        let hours = |hours| start + Duration::hours(hours);
        let tenant = |n| TenantId::new(Uuid::from_u128(n));
        let mut one = Watch::default();
        assert!(one.open(hours(100)));
        assert!(!one.open(hours(101)), "a second connect opens nothing");
        one.close(hours(200));
        let mut two = Watch::default();
        two.open(hours(110));
        let watches = BTreeMap::from([(tenant(1), one), (tenant(2), two)]);

        let table = [
            (63, vec![], "too early"),
            (64, vec![1], "36 hours before the first connect"),
            (99, vec![1], "the first who connects, not the second"),
            (100, vec![1], "the span is closed at its start"),
            (110, vec![1, 2], "both watch"),
            (199, vec![1, 2], "both watch"),
            (200, vec![2], "the span is open at its end"),
        ];
        for (hour, whose, why) in table {
            let whose: Vec<TenantId> = whose.into_iter().map(tenant).collect();
            assert_eq!(
                tenants_at(&watches, hours(hour)),
                whose,
                "hour {hour}: {why}"
            );
        }
    }
}
