//! Places in the log, and tokens made of them.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::catalogue::Topic;

/// A partition's number, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub i32);

/// A record's place in its partition, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl Offset {
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where one record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    pub topic: Topic,
    pub partition: Partition,
    pub offset: Offset,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.topic, self.partition, self.offset)
    }
}

/// Everything below `next_offset` is included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub topic: Topic,
    pub partition: Partition,
    pub next_offset: Offset,
}

/// A list of positions, at most one per partition: what a command's answer
/// promises and a query can wait for. Written `ad/3@120,account/0@7`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token(BTreeMap<(Topic, Partition), Offset>);

impl Token {
    /// Raises the token to include `position`; a lower one changes nothing.
    pub fn include(&mut self, position: Position) {
        let at = self
            .0
            .entry((position.topic, position.partition))
            .or_insert(position.next_offset);
        *at = (*at).max(position.next_offset);
    }

    pub fn next_offset(&self, topic: Topic, partition: Partition) -> Option<Offset> {
        self.0.get(&(topic, partition)).copied()
    }

    pub fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        self.0
            .iter()
            .map(|((topic, partition), next_offset)| Position {
                topic: *topic,
                partition: *partition,
                next_offset: *next_offset,
            })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether everything that `needed` asks for is below this token.
    pub fn covers(&self, needed: &Token) -> bool {
        needed
            .0
            .iter()
            .all(|(at, offset)| self.0.get(at).is_some_and(|seen| seen >= offset))
    }
}

impl FromIterator<Position> for Token {
    fn from_iter<I: IntoIterator<Item = Position>>(positions: I) -> Self {
        let mut token = Token::default();
        for position in positions {
            token.include(position);
        }
        token
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, ((topic, partition), offset)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{topic}/{partition}@{offset}")?;
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{found:?} is not a position; a token reads topic/partition@next_offset, comma-separated")]
pub struct TokenError {
    pub found: String,
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',')
            .filter(|part| !part.is_empty())
            .map(parse_position)
            .collect()
    }
}

fn parse_position(part: &str) -> Result<Position, TokenError> {
    let parsed = || {
        let (place, offset) = part.rsplit_once('@')?;
        let (topic, partition) = place.rsplit_once('/')?;
        let (partition, offset): (i32, i64) = (partition.parse().ok()?, offset.parse().ok()?);
        let topic = topic.parse().ok()?;
        (partition >= 0 && offset >= 0).then_some(Position {
            topic,
            partition: Partition(partition),
            next_offset: Offset(offset),
        })
    };
    parsed().ok_or_else(|| TokenError {
        found: part.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_as_it_prints() {
        let token: Token = "webhook.meta/0@7,ad/3@120".parse().unwrap();
        assert_eq!(token.to_string(), "webhook.meta/0@7,ad/3@120");
        assert_eq!(
            token.next_offset(Topic::Ad, Partition(3)),
            Some(Offset(120)),
            "the offset that was written"
        );
    }

    #[test]
    fn a_token_keeps_the_higher_offset_and_covers_what_is_lower() {
        let token: Token = "ad/3@120,ad/3@100".parse().unwrap();
        assert_eq!(token.to_string(), "ad/3@120");
        assert!(token.covers(&"ad/3@120".parse().unwrap()));
        assert!(!token.covers(&"ad/3@121".parse().unwrap()));
        assert!(!token.covers(&"ad/4@1".parse().unwrap()));
    }

    #[test]
    fn nonsense_is_named() {
        for nonsense in ["ad", "ad/x@1", "ad/1@-1", "/1@1", "ad/1@1,ad", "paint/0@1"] {
            assert!(nonsense.parse::<Token>().is_err(), "{nonsense}");
        }
    }
}
