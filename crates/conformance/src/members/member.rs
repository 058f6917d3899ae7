//! One member of a group, by hand.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerProtocolSubscription, GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest,
    OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use tokio::time::{Instant, sleep};

use crate::Log;
use crate::kit::WAIT;
use crate::raw::{Connection, said, string, topic_name};

/// The shortest session that both logs take.
pub(crate) const SESSION: Duration = Duration::from_secs(6);

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) node: Connection,
    group: String,
    topic: String,
    instance: Option<StrBytes>,
    pub(crate) id: String,
    pub(crate) generation: i32,
    leader: String,
    /// How many the leader was told of.
    pub(crate) members: usize,
    pub(crate) skip_assignment: bool,
}

impl Member {
    /// Not in the group yet.
    pub(crate) async fn of(
        log: &Log,
        group: &str,
        topic: &str,
        instance: Option<&str>,
    ) -> anyhow::Result<Member> {
        Ok(Member {
            node: log.coordinator(group).await?,
            group: group.to_owned(),
            topic: topic.to_owned(),
            instance: instance.map(string),
            id: String::new(),
            generation: -1,
            leader: String::new(),
            members: 0,
            skip_assignment: false,
        })
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.leader == self.id
    }

    pub(crate) async fn join(&mut self) -> anyhow::Result<String> {
        let until = Instant::now() + WAIT;
        loop {
            let joined = self.node.ask(9, &self.join_request()?).await?;
            match said(joined.error_code).as_str() {
                // A dynamic member first gets its name (KIP-394).
                "MemberIdRequired" => self.id = joined.member_id.to_string(),
                "CoordinatorLoadInProgress" if Instant::now() < until => {
                    sleep(Duration::from_millis(100)).await;
                }
                "None" => {
                    self.id = joined.member_id.to_string();
                    self.generation = joined.generation_id;
                    self.leader = joined.leader.to_string();
                    self.members = joined.members.len();
                    self.skip_assignment = joined.skip_assignment;
                    return Ok("None".to_owned());
                }
                refused => return Ok(refused.to_owned()),
            }
        }
    }

    fn join_request(&self) -> anyhow::Result<JoinGroupRequest> {
        let mut metadata = BytesMut::new();
        metadata.put_i16(0);
        ConsumerProtocolSubscription::default()
            .with_topics(vec![string(&self.topic)])
            .encode(&mut metadata, 0)?;
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str("range"))
            .with_metadata(metadata.freeze());
        Ok(JoinGroupRequest::default()
            .with_group_id(self.group_id())
            .with_session_timeout_ms(SESSION.as_millis() as i32)
            .with_rebalance_timeout_ms(20_000)
            .with_member_id(string(&self.id))
            .with_group_instance_id(self.instance.clone())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]))
    }

    /// What was said, and the share that was given.
    pub(crate) async fn sync(
        &mut self,
        shares: &[(&str, &[u8])],
    ) -> anyhow::Result<(String, Vec<u8>)> {
        let shares = shares.iter().map(|(member, share)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(string(member))
                .with_assignment(Bytes::copy_from_slice(share))
        });
        let ask = SyncGroupRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.generation)
            .with_member_id(string(&self.id))
            .with_group_instance_id(self.instance.clone())
            .with_protocol_type(Some(StrBytes::from_static_str("consumer")))
            .with_protocol_name(Some(StrBytes::from_static_str("range")))
            .with_assignments(shares.collect());
        let synced = self.node.ask(5, &ask).await?;
        Ok((said(synced.error_code), synced.assignment.to_vec()))
    }

    pub(crate) async fn heartbeat(&mut self) -> anyhow::Result<String> {
        let ask = HeartbeatRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.generation)
            .with_member_id(string(&self.id))
            .with_group_instance_id(self.instance.clone());
        Ok(said(self.node.ask(4, &ask).await?.error_code))
    }

    /// Beats until the group rebalances.
    pub(crate) async fn until_rebalance(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + WAIT;
        loop {
            match self.heartbeat().await?.as_str() {
                "RebalanceInProgress" => return Ok(()),
                "None" => ensure!(Instant::now() < until, "there is no rebalance"),
                other => bail!("{other}"),
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn leave(&mut self) -> anyhow::Result<String> {
        let member = MemberIdentity::default()
            .with_member_id(string(&self.id))
            .with_group_instance_id(self.instance.clone());
        let ask = LeaveGroupRequest::default()
            .with_group_id(self.group_id())
            .with_members(vec![member]);
        let left = self.node.ask(4, &ask).await?;
        ensure!(left.error_code == 0, "{}", said(left.error_code));
        Ok(said(left.members.first().context("the member")?.error_code))
    }

    /// Commits an offset of partition 0.
    pub(crate) async fn commit(&mut self, topic: &str, offset: i64) -> anyhow::Result<String> {
        let part = OffsetCommitRequestPartition::default().with_committed_offset(offset);
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![part]);
        let ask = OffsetCommitRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(string(&self.id))
            .with_group_instance_id(self.instance.clone())
            .with_topics(vec![topic]);
        let committed = self.node.ask(8, &ask).await?;
        Ok(said(committed.topics[0].partitions[0].error_code))
    }

    /// The committed offset of partition 0; -1 when there is none.
    pub(crate) async fn committed(&mut self, topic: &str) -> anyhow::Result<i64> {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(topic_name(topic))
            .with_partition_indexes(vec![0]);
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(self.group_id())
            .with_topics(Some(vec![topic]));
        let ask = OffsetFetchRequest::default().with_groups(vec![group]);
        let fetched = self.node.ask(8, &ask).await?;
        let group = fetched.groups.first().context("the group")?;
        ensure!(group.error_code == 0, "{}", said(group.error_code));
        Ok(group.topics[0].partitions[0].committed_offset)
    }

    fn group_id(&self) -> GroupId {
        GroupId(string(&self.group))
    }
}
