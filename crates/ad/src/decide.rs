//! The decision: one input after another, in log order. Pure.

use std::collections::BTreeSet;

use compline_engine::Outputs;
use compline_event::{
    AdAccountId, Envelope, Event, Recorded, TenantId, Topic,
    activity_events::WebhookUnrecognized,
    command::{Commanded, Verdict, verdict},
};
use compline_readmodel::FoldError;
use time::OffsetDateTime;

use crate::{
    apply::apply,
    change::{Change, Unrecognized},
    pending::{Place, Waiting},
    state::{Seen, State},
    tell::{Cause, Teller},
    wire,
};

/// Which [`WebhookUnrecognized`] come from Meta.
const SOURCE: &str = "meta_webhook";

pub(crate) fn decide(
    state: &mut State,
    input: &Recorded,
    outputs: &mut Outputs,
) -> Result<(), FoldError> {
    match (&input.envelope.event, input.at.topic) {
        (Event::WebhookReceived(webhook), Topic::WebhookMeta) => {
            webhook_received(state, input, &webhook.body, outputs);
            Ok(())
        }
        (Event::AccountConnected(_) | Event::AccountDisconnected(_), _) => {
            commanded(state, &input.envelope, outputs)
        }
        // AccountStatusChanged is our own; the rest of the topic is of others.
        _ => Ok(()),
    }
}

/// Cannot fail: what is not known is told, and passed over.
fn webhook_received(state: &mut State, input: &Recorded, body: &[u8], outputs: &mut Outputs) {
    let recorded_at = recorded_at(&input.envelope);
    state.advance(input.at.partition, recorded_at);
    let mut told = BTreeSet::new();
    for part in wire::parse(body, recorded_at) {
        let cause = Cause {
            record: input.at,
            ordinal: part.ordinal,
            event_id: input.envelope.event_id,
            correlation_id: input.envelope.correlation_id,
            traceparent: &input.envelope.traceparent,
        };
        match part.read {
            Ok(change) => take(state, input, outputs, &cause, &change),
            Err(unread) => {
                state.tally.unrecognized += 1;
                // A thousand changes of one new field are one piece of news.
                if told.insert(unread.clone()) {
                    // It does not wait for anybody, so whoever connects later is
                    // not told, in whatever order the topics are read.
                    let mut tenants = match &unread.account {
                        Some(account) => state.watching_at(account, recorded_at),
                        None => Vec::new(),
                    };
                    if tenants.is_empty() {
                        tenants.push(TenantId::OPERATOR);
                    }
                    let at = input.envelope.occurred_at;
                    unrecognized(outputs, &cause, &tenants, at, unread);
                }
            }
        }
    }
}

fn take(
    state: &mut State,
    input: &Recorded,
    outputs: &mut Outputs,
    cause: &Cause<'_>,
    change: &Change<'_>,
) {
    let recorded_at = recorded_at(&input.envelope);
    if let Some(content) = change.content {
        let key = (change.account.clone(), change.at, content);
        let now = Seen {
            recorded_at,
            partition: input.at.partition,
        };
        if state.is_duplicate(key, now) {
            state.tally.duplicate += 1;
            return;
        }
    }
    let tenants = state.tenants_at(&change.account, recorded_at);
    if tenants.is_empty() || state.pending.queued.contains(&change.account) {
        state.tally.waiting += 1;
        let place = Place {
            account: change.account.clone(),
            partition: input.at.partition,
            offset: input.at.offset,
            ordinal: cause.ordinal,
        };
        let waiting = Waiting {
            recorded_at,
            event_id: cause.event_id,
            correlation_id: cause.correlation_id,
            traceparent: cause.traceparent.to_owned(),
            body: change.alone.to_body(),
            owed_to: tenants,
        };
        return state.pending.add(place, waiting);
    }
    for tenant in tenants {
        apply(state, outputs, cause, tenant, change);
    }
}

/// `otherwise` is when it happened, where the sender's own stamp is unreadable.
fn unrecognized(
    outputs: &mut Outputs,
    cause: &Cause<'_>,
    tenants: &[TenantId],
    otherwise: OffsetDateTime,
    unread: Unrecognized,
) {
    let event = WebhookUnrecognized {
        source: SOURCE.to_owned(),
        object: unread.object,
        field: unread.field,
        problem: unread.problem,
        ad_account_id: unread.account.map_or_else(String::new, |id| id.to_string()),
    };
    for tenant in tenants {
        let mut teller = Teller {
            cause,
            tenant: *tenant,
            at: unread.at.unwrap_or(otherwise),
            outputs,
        };
        teller.tell(Event::WebhookUnrecognized(event.clone()));
    }
}

/// Nothing is changed before the last error is out of the way.
fn commanded(
    state: &mut State,
    envelope: &Envelope,
    outputs: &mut Outputs,
) -> Result<(), FoldError> {
    let permanent = |error: &dyn std::error::Error| FoldError::new(error.to_string());
    let tenant = envelope.require_tenant().map_err(|e| permanent(&e))?;
    let command = Commanded::of(envelope).map_err(|e| permanent(&e))?;
    let (Some(command), Some(account)) = (command, account_of(&envelope.event)) else {
        return Ok(());
    };
    let request = (tenant, account.clone(), command.request_id);
    let seen = state.requests.get(&request).is_some();
    let mut watch = state.watch(tenant, &account);
    let verdict = verdict(seen, watch.version, command.expected_version);
    if verdict == Verdict::Repeated {
        return Ok(());
    }
    state.requests.put(request, ());
    if verdict == Verdict::Stale {
        return Ok(());
    }
    let now = recorded_at(envelope);
    watch.version += 1;
    let mut opened = false;
    match &envelope.event {
        Event::AccountConnected(_) => opened = watch.open(now),
        _ => watch.close(now),
    }
    state.put_watch(tenant, &account, watch);
    if opened {
        for (place, waiting) in state.pending.connect(&account, tenant, now) {
            settle(state, outputs, &place, &waiting, &[tenant]);
        }
    }
    Ok(())
}

/// Applies a change that has waited.
pub(crate) fn settle(
    state: &mut State,
    outputs: &mut Outputs,
    place: &Place,
    waiting: &Waiting,
    tenants: &[TenantId],
) {
    let cause = Cause {
        record: place.record(),
        ordinal: place.ordinal,
        event_id: waiting.event_id,
        correlation_id: waiting.correlation_id,
        traceparent: &waiting.traceparent,
    };
    for part in wire::parse(&waiting.body, waiting.recorded_at) {
        match part.read {
            Ok(change) => {
                for tenant in tenants {
                    apply(state, outputs, &cause, *tenant, &change);
                }
            }
            // It was readable when it was put by; only other code reads otherwise.
            Err(unread) => {
                unrecognized(outputs, &cause, tenants, waiting.recorded_at, unread);
            }
        }
    }
}

/// The account that an event connects or disconnects; `None` where the event
/// cannot be applied, for then it touches nothing.
pub(crate) fn account_of(event: &Event) -> Option<AdAccountId> {
    match event {
        Event::AccountConnected(e) => e.ad_account_id.parse().ok(),
        Event::AccountDisconnected(e) => e.ad_account_id.parse().ok(),
        _ => None,
    }
}

/// As Postgres keeps it, so that what was stored in between compares alike.
pub(crate) fn recorded_at(envelope: &Envelope) -> OffsetDateTime {
    let at = envelope.recorded_at;
    at.replace_nanosecond(at.nanosecond() / 1_000 * 1_000)
        .expect("fewer nanoseconds than before")
}
