//! Syncing: the leader hands out the partitions.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot;

use super::{Group, State};

/// A question for one's assignment; the leader's brings all of them.
#[derive(Debug)]
pub(crate) struct Sync {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) generation: i32,
    /// What the asker takes for the group's; old clients do not say.
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignments: BTreeMap<String, Bytes>,
    pub(crate) answer: oneshot::Sender<Synced>,
}

/// The answer to a [`Sync`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) error: Option<ResponseError>,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) assignment: Bytes,
}

impl Synced {
    pub(super) fn new(protocol_type: &str, protocol: &str, assignment: Bytes) -> Synced {
        Synced {
            error: None,
            protocol_type: protocol_type.into(),
            protocol: protocol.into(),
            assignment,
        }
    }

    pub(crate) fn refused(error: ResponseError) -> Synced {
        Synced {
            error: Some(error),
            protocol_type: String::new(),
            protocol: String::new(),
            assignment: Bytes::new(),
        }
    }
}

impl Group {
    pub(crate) fn sync(&mut self, sync: Sync, now: Instant) {
        if let Err(error) = self.check_sync(&sync) {
            let _ = sync.answer.send(Synced::refused(error));
            return;
        }
        let Some(member) = self.members.get_mut(&sync.member_id) else {
            return;
        };
        member.heard(now);
        member.wait_for_sync(sync.answer);
        if self.state == State::Completing && self.leader == sync.member_id {
            for (id, member) in &mut self.members {
                member.assignment = sync.assignments.get(id).cloned().unwrap_or_default();
            }
            self.state = State::Stable;
        }
        if self.state == State::Stable {
            for member in self
                .members
                .values_mut()
                .filter(|member| member.is_syncing())
            {
                member.answer_sync(&self.protocol_type, &self.protocol, now);
            }
        }
    }

    fn check_sync(&mut self, sync: &Sync) -> Result<(), ResponseError> {
        self.known(&sync.member_id, sync.instance.as_deref(), sync.generation)?;
        let differs = |theirs: &Option<String>, ours: &str| {
            theirs.as_deref().is_some_and(|theirs| theirs != ours)
        };
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol, &self.protocol)
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::Preparing => Err(ResponseError::RebalanceInProgress),
            State::Completing | State::Stable => Ok(()),
        }
    }
}
