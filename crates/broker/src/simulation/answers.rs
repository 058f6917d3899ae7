//! What clients make of answers, and which answers there may be.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    CreateTopicsResponse, DeleteRecordsResponse, DeleteTopicsResponse, FetchResponse,
    HeartbeatResponse, InitProducerIdResponse, JoinGroupResponse, LeaveGroupResponse,
    ListOffsetsResponse, OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchResponse,
    ProduceResponse, SyncGroupResponse,
};

use super::about::About;
use super::clients::{Member, Standing};
use super::model::{BatchId, Checked, Place, must};
use super::net::read;
use super::requests as ask;
use super::world::World;
use crate::batch::{self, HEADER, Header, Records};

/// What one partition's batches say where they begin, and where the last one ends.
pub(super) struct Fetched {
    pub(super) error: Option<ResponseError>,
    pub(super) high_watermark: i64,
    pub(super) start: i64,
    pub(super) next: i64,
    /// The offsets of all records, of a topic that is compacted.
    pub(super) seen: Vec<i64>,
}

impl World {
    pub(super) fn answer(&mut self, about: About, mut bytes: Bytes) -> Checked {
        let bytes = &mut bytes;
        match about {
            About::Produce {
                batch,
                is_next,
                is_fenced,
            } => {
                let mut answer: ProduceResponse = read(bytes, ask::PRODUCE);
                let part = answer.responses.remove(0).partition_responses.remove(0);
                let error = error(part.error_code);
                self.produced(batch, error, part.base_offset, is_next, is_fenced)
            }
            About::ProducerId { producer } => {
                let answer: InitProducerIdResponse = read(bytes, ask::INIT_PRODUCER_ID);
                if answer.error_code != 0 {
                    return self.storage_error(&about, error(answer.error_code));
                }
                let id = *answer.producer_id;
                self.note(|_| format!("  producer {producer} has id {id}"));
                self.producers[producer].begin(id);
                must(self.model.producer_ids.insert(id), || {
                    format!("producer id {id} was given twice")
                })
            }
            About::Fetch { place, offset } => {
                let answer: FetchResponse = read(bytes, ask::FETCH);
                let fetched = self.fetched(place, offset, answer)?;
                match fetched.error {
                    Some(ResponseError::OffsetOutOfRange) => {
                        let partition = self.model.partition(place);
                        let inside = (partition.may_start()..=partition.shown()).contains(&offset);
                        must(!inside, || format!("offset {offset} is out of range"))
                    }
                    error => self.topic_error(place, error),
                }
            }
            About::ListOffsets {
                place,
                timestamp,
                exactly,
            } => {
                let mut answer: ListOffsetsResponse = read(bytes, ask::LIST_OFFSETS);
                let part = answer.topics.remove(0).partitions.remove(0);
                if part.error_code != 0 {
                    return self.topic_error(place, error(part.error_code));
                }
                let partition = self.model.partition(place);
                match (timestamp, exactly) {
                    (-1, _) => partition.see_high_watermark(part.offset),
                    (-2, _) => partition.see_start(part.offset),
                    (_, Some(exactly)) => must(part.offset == exactly, || {
                        format!("time {timestamp} is at {exactly}, not at {}", part.offset)
                    }),
                    // What was listed is shown: it may not go away.
                    _ if part.offset >= 0 => {
                        let end = partition.shown().max(part.offset + 1);
                        partition.see_high_watermark(end)
                    }
                    _ => Ok(()),
                }
            }
            About::DeleteRecords { place } => {
                let mut answer: DeleteRecordsResponse = read(bytes, ask::DELETE_RECORDS);
                let part = answer.topics.remove(0).partitions.remove(0);
                let refused = error(part.error_code);
                let by_policy = refused == Some(ResponseError::PolicyViolation);
                if self.plan.compacts
                    && matches!(refused, None | Some(ResponseError::PolicyViolation))
                {
                    return must(by_policy, || {
                        "records of a compacted topic are deleted".into()
                    });
                }
                if refused.is_some() {
                    return self.topic_error(place, refused);
                }
                let partition = self.model.partition(place);
                partition.see_start(part.low_watermark)?;
                partition.confirm_deletion(part.low_watermark);
                Ok(())
            }
            About::CreateTopic { incarnation } => {
                let answer: CreateTopicsResponse = read(bytes, ask::CREATE_TOPICS);
                let made = &answer.topics[0];
                match error(made.error_code) {
                    None => {
                        let mut topics = self.model.topics.iter_mut();
                        let topic = topics.find(|topic| topic.was_ever(incarnation));
                        topic
                            .expect("a topic that was begun")
                            .created(incarnation, made.topic_id);
                        Ok(())
                    }
                    Some(ResponseError::TopicAlreadyExists) => self.find_topics(),
                    error => self.storage_error(&about, error),
                }
            }
            About::DeleteTopic { incarnation } => {
                let answer: DeleteTopicsResponse = read(bytes, ask::DELETE_TOPICS);
                match error(answer.responses[0].error_code) {
                    None | Some(ResponseError::UnknownTopicOrPartition) => {
                        let topics = &mut self.model.topics;
                        topics
                            .iter_mut()
                            .for_each(|topic| topic.deleted(incarnation));
                        Ok(())
                    }
                    error => self.storage_error(&about, error),
                }
            }
            About::Commit {
                group,
                place,
                version,
                is_stale,
            } => {
                let answer: OffsetCommitResponse = read(bytes, ask::COMMIT);
                match error(answer.topics[0].partitions[0].error_code) {
                    None => {
                        must(!is_stale, || {
                            format!("a member of an older generation of group {group} committed")
                        })?;
                        self.model.committed(group, place).confirm(version);
                        Ok(())
                    }
                    Some(
                        ResponseError::IllegalGeneration
                        | ResponseError::UnknownMemberId
                        | ResponseError::RebalanceInProgress,
                    ) if group < super::world::GROUPS => Ok(()),
                    error => self.topic_error(place, error),
                }
            }
            About::FetchOffsets { group, floors } => {
                let answer: OffsetFetchResponse = read(bytes, ask::FETCH_OFFSETS);
                let found = answer.topics.iter().map(|topic| &topic.partitions[0]);
                for ((place, floor), part) in floors.into_iter().zip(found) {
                    let offset = part.committed_offset;
                    let value = (offset >= 0).then_some(offset);
                    // Of a topic that was deleted meanwhile, its offsets are, too.
                    if self.is_present(place) {
                        self.model.committed(group, place).see(value, floor)?;
                    }
                }
                Ok(())
            }
            About::ForgetOffsets {
                group,
                place,
                version,
            } => {
                let answer: OffsetDeleteResponse = read(bytes, ask::FORGET_OFFSETS);
                let of_partition = (answer.topics.iter())
                    .flat_map(|topic| &topic.partitions)
                    .find_map(|part| error(part.error_code));
                match error(answer.error_code).or(of_partition) {
                    None => {
                        self.model.committed(group, place).confirm(version);
                        Ok(())
                    }
                    Some(
                        ResponseError::NonEmptyGroup
                        | ResponseError::GroupIdNotFound
                        | ResponseError::GroupSubscribedToTopic
                        | ResponseError::UnknownTopicOrPartition,
                    ) => Ok(()),
                    error => self.storage_error(&about, error),
                }
            }
            About::Join { group, member } => {
                self.joined(group, member, read(bytes, ask::JOIN));
                Ok(())
            }
            About::SyncGroup {
                group,
                member,
                generation,
            } => {
                let answer: SyncGroupResponse = read(bytes, ask::SYNC_GROUP);
                let known = &mut self.members[group][member];
                if answer.error_code == 0 {
                    known.standing = Standing::In { generation };
                } else {
                    *known = Member::default();
                }
                Ok(())
            }
            About::Heartbeat { group, member } => {
                let answer: HeartbeatResponse = read(bytes, ask::HEARTBEAT);
                if answer.error_code != 0 {
                    self.members[group][member].standing = Standing::Outside;
                }
                Ok(())
            }
            About::Leave { .. } => {
                let _: LeaveGroupResponse = read(bytes, ask::LEAVE);
                Ok(())
            }
        }
    }

    /// An answer got lost; who waits for it starts over.
    pub(super) fn lost(&mut self, about: About) {
        if let About::Join { group, member } | About::SyncGroup { group, member, .. } = about {
            self.members[group][member] = Member::default();
        }
    }

    fn produced(
        &mut self,
        id: BatchId,
        error: Option<ResponseError>,
        offset: i64,
        is_next: bool,
        is_fenced: bool,
    ) -> Checked {
        self.note(|_| format!("  batch {id}: {error:?}, offset {offset}"));
        let place = self.model.batches[id].place;
        let sender = self.model.batches[id].sender;
        let identity = sender.map(|sender| (sender.id, sender.epoch));
        let mut producers = self.producers.iter_mut();
        let producer = producers.find(|producer| producer.identity == identity);
        let producer = producer.filter(|_| identity.is_some());
        match error {
            None => {
                must(!is_fenced, || {
                    format!("batch {id} was taken under an old epoch")
                })?;
                if let Some(lane) = producer.and_then(|producer| producer.lanes.get_mut(&place)) {
                    lane.acknowledged(id);
                }
                if self.is_present(place) {
                    self.model.acknowledged(id, offset)?;
                }
                Ok(())
            }
            Some(ResponseError::OutOfOrderSequenceNumber) if sender.is_some() => {
                must(!is_next, || {
                    format!("batch {id} follows what was acknowledged, and is refused")
                })?;
                if let Some(producer) = producer {
                    let lane = producer.lanes.get(&place);
                    if lane.is_some_and(|lane| lane.is_next(id)) {
                        producer.next_epoch();
                    }
                }
                Ok(())
            }
            Some(ResponseError::InvalidProducerEpoch) => must(producer.is_none(), || {
                format!("batch {id} is of the latest epoch, and is fenced")
            }),
            error => self.topic_error(place, error),
        }
    }

    /// Checks what a fetch shows against everything that was shown before.
    pub(super) fn fetched(
        &mut self,
        place: Place,
        offset: i64,
        mut answer: FetchResponse,
    ) -> Checked<Fetched> {
        let part = answer.responses.remove(0).partitions.remove(0);
        let mut fetched = Fetched {
            error: error(part.error_code),
            high_watermark: part.high_watermark,
            start: part.log_start_offset,
            next: offset,
            seen: Vec::new(),
        };
        // Whoever was shown something of a topic that is going away cannot hold on to it.
        if fetched.error.is_some() || !self.is_present(place) {
            return Ok(fetched);
        }
        let partition = self.model.partition(place);
        partition.see_high_watermark(fetched.high_watermark)?;
        partition.see_start(fetched.start)?;
        let records = part.records.unwrap_or_default();
        let mut rest = &records[..];
        let mut is_first = true;
        while !rest.is_empty() {
            let header = Header::parse(rest).filter(|header| header.size <= rest.len());
            must(header.is_some(), || "a fetch holds half a batch".into())?;
            let Some(header) = header else { break };
            let (base, next) = (header.base_offset, header.next_offset());
            let follows = match is_first {
                true => (base..next).contains(&offset),
                false => base == fetched.next,
            };
            let follows = follows || self.plan.compacts && base >= fetched.next;
            must(follows, || {
                format!("batch {base}..{next} is read at {}", fetched.next)
            })?;
            must(next <= fetched.high_watermark, || {
                format!("batch {base}..{next} is behind the high watermark")
            })?;
            self.recognise(place, &header, &rest[..header.size])?;
            if self.plan.compacts {
                fetched.seen.extend(
                    Records::new(&header, &rest[HEADER..header.size])
                        .flatten()
                        .map(|record| record.offset),
                );
            }
            (fetched.next, is_first) = (next, false);
            rest = &rest[header.size..];
        }
        Ok(fetched)
    }

    /// A batch is one that was sent to this place, and stands where it always stood.
    fn recognise(&mut self, place: Place, header: &Header, bytes: &[u8]) -> Checked {
        let base = header.base_offset;
        must(batch::sum_is_right(bytes), || {
            format!("the batch at {base} is damaged")
        })?;
        let values = Records::new(header, &bytes[HEADER..])
            .flatten()
            .filter_map(|record| usize::from_be_bytes(*record.value?.first_chunk()?).into());
        let id: Option<usize> = { values }.next();
        let id = match id {
            // Compaction left nothing of it that says which one it is.
            None if self.plan.compacts => return Ok(()),
            id => id.unwrap_or(usize::MAX),
        };
        let sent = self.model.batches.get(id);
        let is_it = sent.is_some_and(|sent| {
            let same = sent.bytes[HEADER..] == bytes[HEADER..];
            sent.place == place && (same || self.plan.compacts && sent.became(header, bytes))
        });
        must(is_it, || {
            format!("the batch at {base} of {place:?} was not sent there: {id}")
        })?;
        self.model.stands(id, base)
    }

    fn joined(&mut self, group: usize, member: usize, answer: JoinGroupResponse) {
        let known = &mut self.members[group][member];
        known.id = answer.member_id.to_string();
        match error(answer.error_code) {
            None => {
                let latest = self.model.generations.entry(group).or_default();
                *latest = (*latest).max(answer.generation_id);
                let members = answer.members.iter();
                known.standing = Standing::Joined {
                    generation: answer.generation_id,
                    members: members.map(|member| member.member_id.to_string()).collect(),
                };
            }
            Some(ResponseError::MemberIdRequired) => known.standing = Standing::Outside,
            Some(_) => *known = Member::default(),
        }
    }

    /// An error that a client is told of a partition; `None` is fine.
    fn topic_error(&mut self, place: Place, error: Option<ResponseError>) -> Checked {
        match error {
            Some(ResponseError::UnknownTopicOrPartition) => must(!self.is_present(place), || {
                format!("{place:?} is said to be unknown")
            }),
            error => self.storage_error(&place, error),
        }
    }

    fn storage_error(&self, about: &dyn std::fmt::Debug, error: Option<ResponseError>) -> Checked {
        let had_reason = self.disk.may_fail(0);
        must(
            error.is_none() || error == Some(ResponseError::KafkaStorageError) && had_reason,
            || format!("{about:?} is answered with {error:?}"),
        )
    }
}

fn error(code: i16) -> Option<ResponseError> {
    ResponseError::try_from_code(code)
}
