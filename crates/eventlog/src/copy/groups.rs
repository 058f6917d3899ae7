//! The committed offsets of groups.

use std::{sync::mpsc, thread, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode as Code,
};

use super::{CopyError, Place, Side};
use crate::{Log, LogError, aside::Aside, context::Quiet};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A group whose committed offsets stand in the target as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedGroup {
    pub name: String,
    /// Partitions that it had committed offsets of.
    pub partitions: usize,
}

pub(super) async fn copy(
    from: Log,
    to: Log,
    places: Vec<Place>,
) -> Result<Vec<CopiedGroup>, CopyError> {
    // librdkafka's questions block.
    let copying = tokio::task::spawn_blocking(move || copy_all(&from, &to, &places));
    match copying.await {
        Ok(copied) => copied,
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}

fn copy_all(from: &Log, to: &Log, places: &[Place]) -> Result<Vec<CopiedGroup>, CopyError> {
    let listed = member(from, "").and_then(|member| member.fetch_group_list(None, TIMEOUT));
    let listed = listed.map_err(|error| CopyError::Log {
        side: Side::Source,
        source: LogError::of("listing the groups", error),
    })?;
    let mut copied = Vec::new();
    for group in listed.groups() {
        let Some(name) = group.name().strip_prefix(&from.config().prefix) else {
            continue;
        };
        let partitions = copy_one(from, to, name, places).map_err(|source| CopyError::Group {
            group: group.name().to_owned(),
            source,
        })?;
        if partitions > 0 {
            let name = name.to_owned();
            copied.push(CopiedGroup { name, partitions });
        }
    }
    copied.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(copied)
}

fn copy_one(from: &Log, to: &Log, name: &str, places: &[Place]) -> KafkaResult<usize> {
    let mut asked = TopicPartitionList::new();
    for place in places {
        asked.add_partition(from.names().of(place.topic), place.partition.0);
    }
    let found = member(from, name)?.committed_offsets(asked, TIMEOUT)?;
    let mut list = TopicPartitionList::new();
    for (place, element) in places.iter().filter_map(|place| {
        let found = found.find_partition(from.names().of(place.topic), place.partition.0);
        Some((place, found?))
    }) {
        if let Offset::Offset(_) = element.offset() {
            let name = to.names().of(place.topic);
            list.add_partition_offset(name, place.partition.0, element.offset())?;
            if let Some(mut copied) = list.find_partition(name, place.partition.0) {
                copied.set_metadata(element.metadata());
            }
        }
    }
    let partitions = list.count();
    if partitions > 0 {
        commit(member(to, name)?, list)?;
    }
    Ok(partitions)
}

type Member = Aside<BaseConsumer<Quiet>>;

/// Speaks for a group without joining it.
fn member(log: &Log, group: &str) -> Result<Member, KafkaError> {
    let group = format!("{}{group}", log.config().prefix);
    // librdkafka wants a name, also of those who only ask.
    let group = if group.is_empty() {
        "copy".to_owned()
    } else {
        group
    };
    let consumer = log.config().reader(&group).create_with_context(Quiet)?;
    Ok(Aside::new(consumer))
}

/// librdkafka waits for the answer without end when the log is away.
fn commit(member: Member, list: TopicPartitionList) -> KafkaResult<()> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(member.commit(&list, CommitMode::Sync)));
    let silent = KafkaError::ConsumerCommit(Code::OperationTimedOut);
    told.recv_timeout(TIMEOUT).unwrap_or(Err(silent))
}
