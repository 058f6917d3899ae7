//! Joining: who is in, and when a generation begins.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot;

use super::member::Member;
use super::{Group, State};

/// A question to join.
#[derive(Debug)]
pub(crate) struct Join {
    /// Empty for someone new.
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    /// The id that someone new gets.
    pub(crate) fresh_id: String,
    /// Someone new has to come again with its id (KIP-394).
    pub(crate) must_know_id: bool,
    /// The asker understands that a leader may be told to assign nothing (KIP-814).
    pub(crate) may_skip_assignment: bool,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) answer: oneshot::Sender<Joined>,
}

/// The answer to a [`Join`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) error: Option<ResponseError>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    pub(crate) skip_assignment: bool,
    /// Id, instance and metadata of all members; for the leader only.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

impl Joined {
    pub(crate) fn refused(error: ResponseError, member_id: &str) -> Joined {
        Joined {
            error: Some(error),
            generation: -1,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            member_id: member_id.to_owned(),
            skip_assignment: false,
            members: Vec::new(),
        }
    }
}

impl Group {
    pub(crate) fn join(&mut self, join: Join, now: Instant) {
        if !self.fits(&join) {
            return refuse(join, ResponseError::InconsistentGroupProtocol);
        }
        if join.member_id.is_empty() {
            self.join_new(join, now);
        } else {
            self.join_known(join, now);
        }
        self.complete_if_ready(now);
    }

    fn join_new(&mut self, mut join: Join, now: Instant) {
        let replaced = join
            .instance
            .as_ref()
            .and_then(|instance| self.statics.get(instance))
            .cloned();
        join.member_id = join.fresh_id.clone();
        match replaced {
            Some(old) => self.replace_static(&old, join, now),
            None if join.instance.is_none() && join.must_know_id => {
                self.promised
                    .insert(join.fresh_id.clone(), now + join.session_timeout);
                let id = join.fresh_id.clone();
                let _ = join
                    .answer
                    .send(Joined::refused(ResponseError::MemberIdRequired, &id));
            }
            None => self.add(join, now),
        }
    }

    fn join_known(&mut self, join: Join, now: Instant) {
        if let Err(error) = self.check_instance(&join.member_id, join.instance.as_deref()) {
            return refuse(join, error);
        }
        if self.promised.remove(&join.member_id).is_some() {
            return self.add(join, now);
        }
        let Some(member) = self.members.get_mut(&join.member_id) else {
            return refuse(join, ResponseError::UnknownMemberId);
        };
        let changed = member.protocols() != join.protocols;
        let id = join.member_id.clone();
        let calls_everyone = match self.state {
            State::Empty | State::Preparing => false,
            // Its answer was lost, perhaps; it gets the same again.
            State::Completing => changed,
            // A leader that joins again wants to assign again.
            State::Stable => changed || id == self.leader,
        };
        member.rejoin(join, now);
        match self.state {
            State::Completing | State::Stable if calls_everyone => self.prepare(now),
            State::Completing | State::Stable => {
                self.answer_join(&id, &self.leader.clone(), false, now);
            }
            State::Empty | State::Preparing => {}
        }
    }

    /// A static member came back after a restart, under a new id. It goes on with what it had,
    /// and nobody else needs to know, unless another strategy would be elected with it. What it
    /// subscribes to counts only when the group next has a reason to assign, as in Kafka.
    fn replace_static(&mut self, old_id: &str, join: Join, now: Instant) {
        let Some(old) = self.members.remove(old_id) else {
            return self.add(join, now);
        };
        let assignment = old.assignment.clone();
        old.dismiss(ResponseError::FencedInstanceId);
        let id = join.member_id.clone();
        let may_skip_assignment = join.may_skip_assignment;
        if let Some(instance) = &join.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        let mut member = Member::new(join, now);
        member.assignment = assignment;
        self.members.insert(id.clone(), member);
        let was_leader = self.leader == old_id;
        if was_leader {
            self.leader = id.clone();
        }
        match self.state {
            State::Stable if self.elect_protocol() == self.protocol => {
                let leader = match may_skip_assignment {
                    true => self.leader.clone(),
                    // It would assign anew if it were told that it leads.
                    false if was_leader => old_id.to_owned(),
                    false => self.leader.clone(),
                };
                self.answer_join(&id, &leader, was_leader && may_skip_assignment, now);
            }
            // Some may be told the old id already, and would assign to it.
            State::Stable | State::Completing => self.prepare(now),
            State::Empty | State::Preparing => {}
        }
    }

    fn add(&mut self, join: Join, now: Instant) {
        if self.members.is_empty() {
            self.protocol_type = join.protocol_type.clone();
        }
        let id = join.member_id.clone();
        if let Some(instance) = &join.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.members.insert(id, Member::new(join, now));
        if self.state != State::Preparing {
            self.prepare(now);
        }
    }

    /// Whether a common assignment strategy is left with this one in the group.
    fn fits(&self, join: &Join) -> bool {
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return false;
        }
        let others: Vec<_> = self
            .members
            .iter()
            .filter(|(id, _)| **id != join.member_id)
            .collect();
        if others.is_empty() {
            return true;
        }
        let common = |name: &String| {
            others
                .iter()
                .all(|(_, member)| member.protocols().iter().any(|(known, _)| known == name))
        };
        self.protocol_type == join.protocol_type
            && join.protocols.iter().any(|(name, _)| common(name))
    }

    /// Begins the next generation if everyone has joined or waiting is over.
    pub(super) fn complete_if_ready(&mut self, now: Instant) {
        if self.state != State::Preparing || now < self.not_before {
            return;
        }
        let all_here = self.promised.is_empty() && self.members.values().all(Member::is_joining);
        if !all_here && now < self.deadline {
            return;
        }
        let absent: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| !member.is_joining() && member.instance().is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in absent {
            self.remove(&id, now);
        }
        self.generation += 1;
        if self.members.is_empty() {
            self.state = State::Empty;
            self.leader.clear();
            self.protocol.clear();
            return;
        }
        let here = |id: &String| self.members.get(id).is_some_and(Member::is_joining);
        if !here(&self.leader) {
            let Some(leader) = self.members.keys().find(|id| here(id)) else {
                // Only static members, all away: they have until their sessions end.
                let patience = self.members.values().map(Member::rebalance_timeout).max();
                self.deadline = now + patience.unwrap_or_default();
                return;
            };
            self.leader = leader.clone();
        }
        self.protocol = self.elect_protocol();
        self.state = State::Completing;
        let patience = self.members.values().map(Member::rebalance_timeout).max();
        self.deadline = now + patience.unwrap_or_default();
        let joining: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| member.is_joining())
            .map(|(id, _)| id.clone())
            .collect();
        for id in joining {
            self.answer_join(&id, &self.leader.clone(), false, now);
        }
    }

    /// The strategy that all know and most prefer.
    fn elect_protocol(&self) -> String {
        let known_to_all = |name: &str| {
            self.members
                .values()
                .all(|member| member.protocols().iter().any(|(known, _)| known == name))
        };
        let mut votes = BTreeMap::<&str, usize>::new();
        for member in self.members.values() {
            let preferred = member
                .protocols()
                .iter()
                .map(|(name, _)| name.as_str())
                .find(|name| known_to_all(name));
            if let Some(name) = preferred {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .map(|(name, _)| name.to_owned())
            .unwrap_or_default()
    }

    fn answer_join(&mut self, id: &str, leader: &str, skip_assignment: bool, now: Instant) {
        let members = if leader == id {
            let list = self.members.iter();
            list.map(|(id, member)| {
                let instance = member.instance().map(str::to_owned);
                (id.clone(), instance, member.metadata(&self.protocol))
            })
            .collect()
        } else {
            Vec::new()
        };
        let joined = Joined {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: leader.to_owned(),
            member_id: id.to_owned(),
            skip_assignment,
            members,
        };
        if let Some(member) = self.members.get_mut(id) {
            member.answer_join(joined, now);
        }
    }
}

fn refuse(join: Join, error: ResponseError) {
    let _ = join.answer.send(Joined::refused(error, &join.member_id));
}
