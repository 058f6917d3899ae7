//! Why a copy stops. Nothing that was copied is lost by it: the same copy goes on
//! from there, unless the two logs are not one.

use compline_event::Offset;
use rdkafka::error::KafkaError;

use super::Place;
use crate::LogError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Source,
    Target,
}

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("the copy's {side}")]
    Log { side: Side, source: LogError },
    #[error(
        "{place} of the target ends at {target_at} and of the source at {source_at}: it was written to \
         after the copy, or is another log (was --from meant to be --to?)"
    )]
    TargetIsAhead {
        place: Place,
        source_at: Offset,
        target_at: Offset,
    },
    #[error(
        "{place} differs at offset {offset}: {what}; the target is not a copy of this source, so \
         give it a prefix or a cluster of its own"
    )]
    Differs {
        place: Place,
        offset: i64,
        what: &'static str,
    },
    #[error(
        "{place} of the target holds records up to {target_at}, and the source begins at {source_at}: \
         what is between them has expired since the copy was begun; delete that topic of the \
         target and copy again"
    )]
    GoneFromSource {
        place: Place,
        source_at: Offset,
        target_at: Offset,
    },
    #[error(
        "{place} of the {side} has no record at offset {offset}, and has some behind it: it was \
         compacted, or written with transactions, and cannot be copied offset by offset"
    )]
    Hole {
        side: Side,
        place: Place,
        offset: i64,
    },
    #[error(
        "a record of {place} came to offset {found} of the target and not to {expected}: somebody \
         else writes to it"
    )]
    Moved {
        place: Place,
        expected: i64,
        found: i64,
    },
    #[error(
        "{place} of the target begins at {target_at} and of the source at {source_at}: the target has \
         lost records of a topic that is kept whole"
    )]
    Lost {
        place: Place,
        source_at: Offset,
        target_at: Offset,
    },
    #[error("cannot read {place} of the {side} at offset {offset}")]
    Read {
        side: Side,
        place: Place,
        offset: i64,
        source: KafkaError,
    },
    #[error("nothing came of {place} of the {side} at offset {offset} for {seconds} s")]
    Silent {
        side: Side,
        place: Place,
        offset: i64,
        seconds: u64,
    },
    #[error("the target does not take {place} at offset {offset}")]
    Append {
        place: Place,
        offset: i64,
        source: KafkaError,
    },
    #[error("the committed offsets of group {group}")]
    Group { group: String, source: KafkaError },
}

impl CopyError {
    pub(super) fn at(side: Side) -> impl Fn(LogError) -> Self {
        move |source| Self::Log { side, source }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::Source => "source",
            Side::Target => "target",
        })
    }
}
