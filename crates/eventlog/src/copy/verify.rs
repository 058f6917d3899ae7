//! Whether two partitions are equal, record by record.

use std::sync::atomic::Ordering;

use compline_event::Offset;
use rdkafka::Message as _;
use sha2::{Digest as _, Sha256};

use super::{
    Copier, CopyError, Place, Side,
    raw::{self, RawReader},
};
use crate::{Bounds, Retention, TopicSpec};

/// How many of the target's last records are compared before a copy goes on.
const TAIL: i64 = 1_000;

/// A partition that is equal on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub place: Place,
    /// The first offset that was compared, and the one behind the last.
    pub bounds: Bounds,
    pub records: u64,
    /// Of keys and values.
    pub bytes: u64,
    /// Over offset, time, key, value and headers of every record.
    pub sha256: [u8; 32],
}

/// Whether the target's last records are the source's.
pub(super) async fn tail(
    copier: &Copier,
    place: Place,
    source: Bounds,
    target: Bounds,
) -> Result<(), CopyError> {
    let first = source.start.max(target.start);
    let from = first.max(Offset(target.end.0 - TAIL));
    let bounds = Bounds {
        start: from,
        end: target.end,
    };
    compare(copier, place, bounds, false).await?;
    Ok(())
}

/// Compares all that the source holds.
pub(super) async fn whole(
    copier: &Copier,
    place: Place,
    source: Bounds,
) -> Result<Verified, CopyError> {
    // Retention goes on while one copies.
    let now = copier.bounds_of(Side::Source, place).await?;
    let target = copier.bounds_of(Side::Target, place).await?;
    let kept = TopicSpec::of(place.topic).retention == Retention::Kept;
    if kept && target.start > now.start {
        return Err(CopyError::Lost {
            place,
            source_at: now.start,
            target_at: target.start,
        });
    }
    let bounds = Bounds {
        start: now.start.max(target.start),
        end: source.end,
    };
    compare(copier, place, bounds, true).await
}

async fn compare(
    copier: &Copier,
    place: Place,
    bounds: Bounds,
    counted: bool,
) -> Result<Verified, CopyError> {
    let (start, end) = (bounds.start, bounds.end);
    let mut source = RawReader::open(&copier.from, Side::Source, place, start, end)?;
    let mut target = RawReader::open(&copier.to, Side::Target, place, start, end)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut hash = Sha256::new();
    let (mut records, mut bytes) = (0, 0);
    while let Some(one) = source.next().await? {
        let Some(other) = target.next().await? else {
            break;
        };
        raw::write(&one, &mut ours);
        raw::write(&other, &mut theirs);
        if ours != theirs {
            return Err(CopyError::Differs {
                place,
                offset: one.offset(),
                what: what_differs(&one, &other),
            });
        }
        hash.update(&ours);
        records += 1;
        bytes += one.payload_len() as u64 + one.key_len() as u64;
        if counted {
            copier.progress.verified.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(Verified {
        place,
        bounds,
        records,
        bytes,
        sha256: hash.finalize().into(),
    })
}

fn what_differs(
    one: &rdkafka::message::BorrowedMessage<'_>,
    other: &rdkafka::message::BorrowedMessage<'_>,
) -> &'static str {
    if one.key() != other.key() {
        "another key"
    } else if one.payload() != other.payload() {
        "another value"
    } else if one.timestamp() != other.timestamp() {
        "another time"
    } else {
        "other headers"
    }
}
