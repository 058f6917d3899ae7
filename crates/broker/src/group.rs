//! One consumer group of Kafka's classic protocol, as a state machine: requests and the passing
//! of time go in, answers come out. It reads no clock and does no I/O.
//!
//! ```text
//!            join                all joined, or time out          leader syncs
//!  Empty ──────────▶ Preparing ───────────────────────▶ Completing ─────────▶ Stable
//!    ▲                 │  ▲  ▲                              │                    │
//!    └── nobody joined ┘  │  └── join, leave, expiry, time out┘                   │
//!                         └──────────── join, leave, expiry ─────────────────────┘
//! ```
//!
//! The rules are those of Kafka's `GroupCoordinator`; member ids have to be known before a join
//! counts (KIP-394), static members keep their place over a restart (KIP-345).

mod join;
mod member;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError;

pub(crate) use join::{Join, Joined};
use member::Member;
pub(crate) use sync::{Sync, Synced};

type MemberId = String;

#[derive(Debug)]
pub(crate) struct Group {
    state: State,
    generation: i32,
    protocol_type: String,
    /// The assignment strategy that all members know.
    protocol: String,
    leader: MemberId,
    members: BTreeMap<MemberId, Member>,
    /// Ids that were given out and have not joined yet, each until when.
    promised: BTreeMap<MemberId, Instant>,
    statics: BTreeMap<String, MemberId>,
    /// The rebalance under way does not end before this,
    not_before: Instant,
    /// and does not wait for anyone after this.
    deadline: Instant,
    initial_delay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    Preparing,
    Completing,
    Stable,
}

/// A member, for those who look at a group from outside.
#[derive(Debug)]
pub(crate) struct MemberView<'a> {
    pub(crate) id: &'a str,
    pub(crate) instance: Option<&'a str>,
    pub(crate) client_id: &'a str,
    pub(crate) client_host: &'a str,
    pub(crate) metadata: bytes::Bytes,
    pub(crate) assignment: bytes::Bytes,
}

impl Group {
    pub(crate) fn new(initial_delay: Duration, now: Instant) -> Group {
        Group {
            state: State::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            members: BTreeMap::new(),
            promised: BTreeMap::new(),
            statics: BTreeMap::new(),
            not_before: now,
            deadline: now,
            initial_delay,
        }
    }

    pub(crate) fn heartbeat(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.known(member, instance, generation)?.heard(now);
        match self.state {
            State::Preparing => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    pub(crate) fn leave(
        &mut self,
        member: &str,
        instance: Option<&str>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let id = match instance.map(|instance| self.statics.get(instance)) {
            Some(Some(id)) if member.is_empty() || id == member => id.clone(),
            Some(Some(_)) => return Err(ResponseError::FencedInstanceId),
            Some(None) => return Err(ResponseError::UnknownMemberId),
            None => member.to_owned(),
        };
        if self.promised.remove(&id).is_none() {
            if !self.members.contains_key(&id) {
                return Err(ResponseError::UnknownMemberId);
            }
            self.remove(&id, now);
        }
        self.complete_if_ready(now);
        Ok(())
    }

    /// Whether this caller may commit offsets now.
    pub(crate) fn may_commit(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.state == State::Empty {
            // Someone who assigns partitions by itself; fine as long as nobody else does.
            return Ok(());
        }
        self.known(member, instance, generation)?.heard(now);
        match self.state {
            State::Completing => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Lets time pass: expires members and ends rebalances that waited long enough.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.promised.retain(|_, until| now < *until);
        let expired: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| member.is_expired(now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in expired {
            self.remove(&id, now);
        }
        if self.state == State::Completing && now >= self.deadline {
            // The leader owes the assignment, or others their question for it.
            let late: Vec<_> = self
                .members
                .iter()
                .filter(|(_, member)| !member.is_syncing())
                .map(|(id, _)| id.clone())
                .collect();
            for id in late {
                self.remove(&id, now);
            }
        }
        self.complete_if_ready(now);
    }

    pub(crate) fn state(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::Preparing => "PreparingRebalance",
            State::Completing => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state == State::Empty && self.promised.is_empty()
    }

    pub(crate) fn protocol_type(&self) -> &str {
        &self.protocol_type
    }

    pub(crate) fn protocol(&self) -> &str {
        &self.protocol
    }

    /// Whether some member subscribes to this topic, or may do so for all that can be told.
    pub(crate) fn reads(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.reads(topic))
    }

    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = MemberView<'_>> {
        self.members
            .iter()
            .map(|(id, member)| member.view(id, &self.protocol))
    }

    /// The member that a request comes from, if it is of this generation.
    fn known(
        &mut self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<&mut Member, ResponseError> {
        self.check_instance(id, instance)?;
        let member = self
            .members
            .get_mut(id)
            .ok_or(ResponseError::UnknownMemberId)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(member)
    }

    /// A static member that was replaced learns that it was.
    fn check_instance(&self, id: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        match instance.map(|instance| self.statics.get(instance)) {
            Some(Some(current)) if current != id => Err(ResponseError::FencedInstanceId),
            Some(None) => Err(ResponseError::UnknownMemberId),
            _ => Ok(()),
        }
    }

    fn remove(&mut self, id: &str, now: Instant) {
        let Some(member) = self.members.remove(id) else {
            return;
        };
        if let Some(instance) = member.instance() {
            self.statics.remove(instance);
        }
        member.dismiss(ResponseError::UnknownMemberId);
        if matches!(self.state, State::Stable | State::Completing) {
            self.prepare(now);
        }
    }

    /// Calls everyone to join again.
    fn prepare(&mut self, now: Instant) {
        if self.state == State::Completing {
            for member in self.members.values_mut() {
                member.refuse_sync(ResponseError::RebalanceInProgress);
            }
        }
        self.not_before = if self.state == State::Empty {
            now + self.initial_delay
        } else {
            now
        };
        let patience = self.members.values().map(Member::rebalance_timeout).max();
        self.deadline = now + patience.unwrap_or_default();
        self.state = State::Preparing;
    }
}
