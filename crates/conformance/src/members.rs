//! Group membership, request by request.

mod member;

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest, OffsetDeleteRequest,
};
use tokio::time::{Instant, sleep};

use crate::Log;
use crate::kit::{WAIT, name};
use crate::raw::{said, string, topic_name};

pub(crate) use member::Member;

/// A static member that comes again within its session takes its place, and nobody rebalances;
/// the one that it replaces is told that it was.
pub(crate) async fn a_static_member_comes_again_without_a_rebalance(
    log: Log,
) -> anyhow::Result<()> {
    let topic = log.topic(2, &[]).await?;
    let group = name("group");
    let mut first = Member::of(&log, &group, &topic, Some("first")).await?;
    let mut second = Member::of(&log, &group, &topic, Some("second")).await?;
    ensure!(first.join().await? == "None");
    ensure!(first.sync(&[(&first.id.clone(), b"0")]).await? == ("None".into(), b"0".to_vec()));
    rebalance(&mut first, &mut second).await?;
    let generation = first.generation;

    let mut again = Member::of(&log, &group, &topic, Some("second")).await?;
    ensure!(again.join().await? == "None");
    ensure!(
        again.generation == generation,
        "generation {}",
        again.generation
    );
    ensure!(again.id != second.id, "the member id is the old one's");
    let synced = again.sync(&[]).await?;
    ensure!(synced == ("None".into(), b"2".to_vec()), "{synced:?}");
    for member in [&mut first, &mut again] {
        let beat = member.heartbeat().await?;
        ensure!(beat == "None", "{beat}");
    }
    for found in [
        second.heartbeat().await?,
        second.sync(&[]).await?.0,
        second.commit(&topic, 1).await?,
    ] {
        ensure!(found == "FencedInstanceId", "{found}");
    }
    ensure!(again.commit(&topic, 1).await? == "None");
    Ok(())
}

/// A leader too: with `skip_assignment` it is told not to share out anew (KIP-814).
pub(crate) async fn a_static_leader_that_comes_again_is_told_to_keep_the_assignment(
    log: Log,
) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let group = name("group");
    let mut leader = Member::of(&log, &group, &topic, Some("leader")).await?;
    ensure!(leader.join().await? == "None");
    let id = leader.id.clone();
    ensure!(leader.sync(&[(&id, b"all")]).await? == ("None".into(), b"all".to_vec()));
    let mut again = Member::of(&log, &group, &topic, Some("leader")).await?;
    ensure!(again.join().await? == "None");
    ensure!(again.is_leader() && again.skip_assignment, "{again:?}");
    ensure!(again.generation == leader.generation);
    ensure!(again.sync(&[]).await? == ("None".into(), b"all".to_vec()));
    Ok(())
}

pub(crate) async fn an_old_generation_and_a_stranger_cannot_commit(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let group = name("group");
    let mut member = Member::of(&log, &group, &topic, None).await?;
    ensure!(member.join().await? == "None");
    let id = member.id.clone();
    ensure!(member.sync(&[(&id, b"1")]).await?.0 == "None");
    ensure!(member.join().await? == "None");
    ensure!(member.generation == 2, "generation {}", member.generation);
    let found = member.commit(&topic, 5).await?;
    ensure!(found == "RebalanceInProgress", "before the sync: {found}");
    ensure!(member.sync(&[(&id, b"1")]).await?.0 == "None");
    ensure!(member.commit(&topic, 5).await? == "None");

    member.generation = 1;
    let found = member.commit(&topic, 3).await?;
    ensure!(found == "IllegalGeneration", "an old generation: {found}");
    ensure!(member.heartbeat().await? == "IllegalGeneration");
    member.generation = 2;
    member.id = "stranger".to_owned();
    let found = member.commit(&topic, 3).await?;
    ensure!(found == "UnknownMemberId", "a stranger: {found}");
    // Nor one who claims to be no member, while there are some.
    (member.id, member.generation) = (String::new(), -1);
    let found = member.commit(&topic, 3).await?;
    ensure!(found == "UnknownMemberId", "nobody: {found}");
    ensure!(member.committed(&topic).await? == 5);
    Ok(())
}

pub(crate) async fn a_member_that_leaves_or_falls_silent_is_missed(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(2, &[]).await?;
    let group = name("group");
    let mut first = Member::of(&log, &group, &topic, None).await?;
    ensure!(first.join().await? == "None");
    let id = first.id.clone();
    ensure!(first.sync(&[(&id, b"0")]).await?.0 == "None");
    let mut second = Member::of(&log, &group, &topic, None).await?;
    rebalance(&mut first, &mut second).await?;
    ensure!(second.leave().await? == "None");
    first.until_rebalance().await?;
    ensure!(first.join().await? == "None");
    ensure!(
        first.members == 1,
        "{} members after one left",
        first.members
    );
    let id = first.id.clone();
    ensure!(first.sync(&[(&id, b"0")]).await?.0 == "None");

    let mut silent = Member::of(&log, &group, &topic, None).await?;
    rebalance(&mut first, &mut silent).await?;
    let began = Instant::now();
    first.until_rebalance().await?;
    ensure!(
        began.elapsed() > member::SESSION / 2,
        "{:?}",
        began.elapsed()
    );
    ensure!(first.join().await? == "None");
    ensure!(
        first.members == 1,
        "{} members after one fell silent",
        first.members
    );
    ensure!(silent.heartbeat().await? == "UnknownMemberId");
    Ok(())
}

pub(crate) async fn a_group_is_deleted_when_nobody_is_in_it(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let group = name("group");
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(string(&group))]);
    let mut member = Member::of(&log, &group, &topic, None).await?;
    let deleted = member.node.ask(2, &delete).await?;
    let found = said(deleted.results[0].error_code);
    ensure!(found == "GroupIdNotFound", "before it began: {found}");

    ensure!(member.join().await? == "None");
    let id = member.id.clone();
    ensure!(member.sync(&[(&id, b"0")]).await?.0 == "None");
    ensure!(member.commit(&topic, 9).await? == "None");
    let deleted = member.node.ask(2, &delete).await?;
    let found = said(deleted.results[0].error_code);
    ensure!(found == "NonEmptyGroup", "with a member: {found}");
    ensure!(states(&log, &group, &mut member).await? == ("Stable".into(), "Stable".into()));

    ensure!(member.leave().await? == "None");
    ensure!(states(&log, &group, &mut member).await? == ("Empty".into(), "Empty".into()));
    let deleted = member.node.ask(2, &delete).await?;
    let found = said(deleted.results[0].error_code);
    ensure!(found == "None", "without members: {found}");
    ensure!(member.committed(&topic).await? == -1);
    Ok(())
}

pub(crate) async fn offsets_are_deleted_unless_someone_reads_there(log: Log) -> anyhow::Result<()> {
    let (read, left) = (log.topic(1, &[]).await?, log.topic(1, &[]).await?);
    let group = name("group");
    let mut member = Member::of(&log, &group, &read, None).await?;
    ensure!(member.join().await? == "None");
    let id = member.id.clone();
    ensure!(member.sync(&[(&id, b"0")]).await?.0 == "None");
    ensure!(member.commit(&read, 5).await? == "None");
    ensure!(member.commit(&left, 6).await? == "None");
    let topics = [&read, &left].map(|topic| {
        OffsetDeleteRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![OffsetDeleteRequestPartition::default()])
    });
    let ask = OffsetDeleteRequest::default()
        .with_group_id(GroupId(string(&group)))
        .with_topics(topics.to_vec());
    let deleted = member.node.ask(0, &ask).await?;
    ensure!(deleted.error_code == 0, "{}", said(deleted.error_code));
    for (topic, wanted) in [(&read, "GroupSubscribedToTopic"), (&left, "None")] {
        let found = deleted.topics.iter().find(|found| *found.name == **topic);
        let found = found.context("the topic")?.partitions[0].error_code;
        ensure!(said(found) == wanted, "{}", said(found));
    }
    ensure!(member.committed(&read).await? == 5);
    ensure!(member.committed(&left).await? == -1);
    Ok(())
}

/// Brings a second member into a group of one.
async fn rebalance(first: &mut Member, second: &mut Member) -> anyhow::Result<()> {
    let joining = async {
        first.until_rebalance().await?;
        first.join().await
    };
    let (first_joined, second_joined) = tokio::join!(joining, second.join());
    for joined in [first_joined?, second_joined?] {
        ensure!(joined == "None", "{joined}");
    }
    ensure!(first.generation == second.generation);
    let (one, two) = (first.id.clone(), second.id.clone());
    ensure!(first.is_leader(), "the first member does not lead any more");
    ensure!(first.members == 2, "{} members", first.members);
    let shares: [(&str, &[u8]); 2] = [(&one, b"1"), (&two, b"2")];
    let synced = tokio::join!(first.sync(&shares), second.sync(&[]));
    ensure!(synced.0? == ("None".into(), b"1".to_vec()));
    ensure!(synced.1? == ("None".into(), b"2".to_vec()));
    Ok(())
}

/// The group's state as it is described, and as it is listed.
async fn states(log: &Log, group: &str, member: &mut Member) -> anyhow::Result<(String, String)> {
    let ask = DescribeGroupsRequest::default().with_groups(vec![GroupId(string(group))]);
    let described = member.node.ask(5, &ask).await?;
    let described = described.groups.first().context("the group")?;
    let until = Instant::now() + WAIT;
    loop {
        // Each node lists the groups that it coordinates.
        let mut listed: Vec<ListedGroup> = Vec::new();
        for address in log.addresses() {
            let mut node = crate::raw::Connection::open(address).await?;
            let ask = ListGroupsRequest::default()
                .with_states_filter(vec![described.group_state.clone()]);
            listed.extend(node.ask(4, &ask).await?.groups);
        }
        match listed.iter().find(|found| &*found.group_id.0 == group) {
            Some(found) => {
                return Ok((
                    described.group_state.to_string(),
                    found.group_state.to_string(),
                ));
            }
            None if Instant::now() > until => bail!("the group is not listed"),
            None => sleep(Duration::from_millis(50)).await,
        }
    }
}
