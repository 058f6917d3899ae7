//! Offsets before a partition's beginning.
//!
//! No log can be told to begin at an offset, but every one can be told to forget
//! its beginning. So a partition of the target is filled with placeholders up to
//! where the source begins, and these are deleted.

use std::{sync::atomic::Ordering, time::Duration};

use compline_event::Offset;
use rdkafka::{
    Message as _, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    message::{Header, Headers as _, OwnedHeaders},
};

use super::{
    Copier, CopyError, Place, Side, between,
    raw::RawReader,
    transfer::{Flow, Kind, Producer, Sent},
};
use crate::{Bounds, LogError, context::Quiet};

/// A placeholder has neither key nor value, only this header.
const PLACEHOLDER: &str = "placeholder";

/// Lets the target, which has no record of the source's yet, begin where the source
/// does.
pub(super) async fn up_to(
    copier: &Copier,
    place: Place,
    source: Bounds,
    target: Bounds,
) -> Result<(), CopyError> {
    if !only_placeholders(copier, place, target).await? {
        return Err(CopyError::GoneFromSource {
            place,
            source_at: source.start,
            target_at: target.end,
        });
    }
    append(copier, place, source, target.end).await?;
    if target.start < source.start {
        delete(copier, place, source.start).await?;
    }
    Ok(())
}

/// Whether nothing else would be deleted.
async fn only_placeholders(
    copier: &Copier,
    place: Place,
    target: Bounds,
) -> Result<bool, CopyError> {
    let mut reader = RawReader::open(&copier.to, Side::Target, place, target.start, target.end)?;
    while let Some(message) = reader.next().await? {
        let marked = message
            .headers()
            .is_some_and(|headers| headers.count() == 1 && headers.get(0).key == PLACEHOLDER);
        if !marked || message.key().is_some() || message.payload().is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn append(
    copier: &Copier,
    place: Place,
    source: Bounds,
    from: Offset,
) -> Result<(), CopyError> {
    if from >= source.start {
        return Ok(());
    }
    // As old as the first record, so that they neither outlive it nor outdate it.
    let mut first = RawReader::open(
        &copier.from,
        Side::Source,
        place,
        source.start,
        Offset(source.end.0.min(source.start.0 + 1)),
    )?;
    let timestamp = first
        .next()
        .await?
        .and_then(|first| first.timestamp().to_millis());
    let headers = OwnedHeaders::new().insert(Header {
        key: PLACEHOLDER,
        value: None::<&[u8]>,
    });
    let producer = Producer::new(&copier.to, Kind::Placeholders)?;
    let mut flow = Flow::new(&producer, place, from);
    for _ in 0..between(from, source.start) {
        let sent = Sent {
            timestamp,
            headers: Some(headers.clone()),
            ..Sent::default()
        };
        let acknowledged = flow.send(sent).await?;
        let placeholders = &copier.progress.placeholders;
        placeholders.fetch_add(acknowledged, Ordering::Relaxed);
    }
    let acknowledged = flow.finish().await?;
    let placeholders = &copier.progress.placeholders;
    placeholders.fetch_add(acknowledged, Ordering::Relaxed);
    Ok(())
}

async fn delete(copier: &Copier, place: Place, before: Offset) -> Result<(), CopyError> {
    let failed = |error| CopyError::Log {
        side: Side::Target,
        source: LogError::of("deleting placeholders", error),
    };
    let admin: AdminClient<Quiet> = (copier.to.config().client())
        .create_with_context(Quiet)
        .map_err(failed)?;
    let mut list = TopicPartitionList::with_capacity(1);
    let name = copier.to.names().of(place.topic);
    let offset = rdkafka::Offset::Offset(before.0);
    list.add_partition_offset(name, place.partition.0, offset)
        .map_err(failed)?;
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    let deleted = admin
        .delete_records(&list, &options)
        .await
        .map_err(failed)?;
    for partition in deleted.elements() {
        partition.error().map_err(failed)?;
    }
    Ok(())
}
