use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot;

use super::{Join, Joined, MemberView, Synced};

/// Someone who takes part in a group.
#[derive(Debug)]
pub(super) struct Member {
    instance: Option<String>,
    client_id: String,
    client_host: String,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    /// Assignment strategies with their metadata, the preferred one first.
    protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    /// Taken for gone after this, unless it waits for an answer.
    expires: Instant,
    joining: Option<oneshot::Sender<Joined>>,
    syncing: Option<oneshot::Sender<Synced>>,
}

impl Member {
    pub(super) fn new(join: Join, now: Instant) -> Member {
        Member {
            instance: join.instance,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            protocols: join.protocols,
            assignment: Bytes::new(),
            expires: now + join.session_timeout,
            joining: Some(join.answer),
            syncing: None,
        }
    }

    /// Joins again with what it says now.
    pub(super) fn rejoin(&mut self, join: Join, now: Instant) {
        // An older question of the same member is a repetition; its asker has gone.
        self.joining = Some(join.answer);
        self.protocols = join.protocols;
        self.session_timeout = join.session_timeout;
        self.rebalance_timeout = join.rebalance_timeout;
        self.client_id = join.client_id;
        self.client_host = join.client_host;
        self.heard(now);
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.expires = now + self.session_timeout;
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.joining.is_none() && self.syncing.is_none() && now >= self.expires
    }

    pub(super) fn is_joining(&self) -> bool {
        self.joining.is_some()
    }

    pub(super) fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    pub(super) fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }

    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.rebalance_timeout
    }

    pub(super) fn protocols(&self) -> &[(String, Bytes)] {
        &self.protocols
    }

    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    pub(super) fn reads(&self, topic: &str) -> bool {
        self.protocols.iter().any(|(_, metadata)| {
            subscribed(metadata).is_none_or(|topics| topics.contains(&topic.as_bytes()))
        })
    }

    pub(super) fn answer_join(&mut self, joined: Joined, now: Instant) {
        self.heard(now);
        if let Some(answer) = self.joining.take() {
            let _ = answer.send(joined);
        }
    }

    pub(super) fn wait_for_sync(&mut self, answer: oneshot::Sender<Synced>) {
        self.syncing = Some(answer);
    }

    pub(super) fn answer_sync(&mut self, protocol_type: &str, protocol: &str, now: Instant) {
        self.heard(now);
        if let Some(answer) = self.syncing.take() {
            let _ = answer.send(Synced::new(
                protocol_type,
                protocol,
                self.assignment.clone(),
            ));
        }
    }

    pub(super) fn refuse_sync(&mut self, error: ResponseError) {
        if let Some(answer) = self.syncing.take() {
            let _ = answer.send(Synced::refused(error));
        }
    }

    /// Answers whatever it waits for.
    pub(super) fn dismiss(mut self, error: ResponseError) {
        self.refuse_sync(error);
        if let Some(answer) = self.joining.take() {
            let _ = answer.send(Joined::refused(error, ""));
        }
    }

    pub(super) fn view<'a>(&'a self, id: &'a str, protocol: &str) -> MemberView<'a> {
        MemberView {
            id,
            instance: self.instance(),
            client_id: &self.client_id,
            client_host: &self.client_host,
            metadata: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }
}

/// The topics of a consumer's metadata, which begins with a version and an array of names;
/// `None` when it does not.
fn subscribed(metadata: &[u8]) -> Option<Vec<&[u8]>> {
    let (_version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk()?;
    let mut topics = Vec::new();
    for _ in 0..i32::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk()?;
        let (topic, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        topics.push(topic);
        rest = after;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::subscribed;

    #[test]
    fn topics_are_found_in_what_consumers_say() {
        let said = [&[0, 3, 0, 0, 0, 2, 0, 1][..], b"a", &[0, 2], b"bc", b"more"].concat();
        assert_eq!(subscribed(&said), Some(vec![&b"a"[..], b"bc"]));
        for cut in 0..said.len() - 4 {
            assert_eq!(subscribed(&said[..cut]), None, "cut at {cut}");
        }
        assert_eq!(subscribed(&[0, 0, 0x7f, 0xff, 0xff, 0xff]), None);
    }
}
