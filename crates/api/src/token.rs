//! Positions in requests and answers, as plain lists.
//!
//! This crate knows no topics: whether one is called so, and whether a read
//! model folds it, is for whoever reads to say.

use tonic::Status;

use crate::{
    error::invalid_argument,
    page::{self, Fingerprint},
    query::Position,
};

/// A topic has far fewer partitions; a token names each once.
const MAX_POSITIONS: usize = 1024;

/// One position of a request, checked as far as that goes without a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub topic: String,
    /// From 0.
    pub partition: i32,
    /// From 0; everything below it is included.
    pub next_offset: i64,
}

/// # Errors
/// INVALID_ARGUMENT on `field[i].partition` or `field[i].next_offset` when it is
/// negative, on `field` when there are too many.
pub fn places(field: &str, positions: Vec<Position>) -> Result<Vec<Place>, Status> {
    if positions.len() > MAX_POSITIONS {
        return Err(invalid_argument(
            field,
            format!("has more than {MAX_POSITIONS} positions"),
        ));
    }
    let negative = |index: usize, part: &str| {
        invalid_argument(&format!("{field}[{index}].{part}"), "must not be negative")
    };
    for (index, position) in positions.iter().enumerate() {
        if position.partition < 0 {
            return Err(negative(index, "partition"));
        }
        if position.next_offset < 0 {
            return Err(negative(index, "next_offset"));
        }
    }
    Ok(positions.into_iter().map(Place::from).collect())
}

/// The token by which a watch goes on: where it has come to, and of which watch.
pub fn resume_token(watch: &Fingerprint, seen: impl IntoIterator<Item = Place>) -> String {
    page::encode(&ResumeBytes {
        fingerprint: watch.as_bytes().to_vec(),
        seen: seen.into_iter().map(Position::from).collect(),
    })
}

/// `None` when there is none: the watch starts from now.
///
/// # Errors
/// INVALID_ARGUMENT on `resume_token` when it is nonsense or of another watch.
pub fn parse_resume_token(token: &str, watch: &Fingerprint) -> Result<Option<Vec<Place>>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let refuse = |description: &str| invalid_argument("resume_token", description);
    let resume: ResumeBytes =
        page::decode(token).ok_or_else(|| refuse("is not a resume_token of ours"))?;
    if resume.fingerprint != watch.as_bytes() {
        return Err(refuse("is of a watch with another filter"));
    }
    places("resume_token", resume.seen)
        .map(Some)
        .map_err(|_| refuse("is not a resume_token of ours"))
}

#[derive(prost::Message)]
struct ResumeBytes {
    #[prost(bytes = "vec", tag = "1")]
    fingerprint: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    seen: Vec<Position>,
}

impl From<Position> for Place {
    fn from(position: Position) -> Self {
        Self {
            topic: position.topic,
            partition: position.partition,
            next_offset: position.next_offset,
        }
    }
}

impl From<Place> for Position {
    fn from(place: Place) -> Self {
        Self {
            topic: place.topic,
            partition: place.partition,
            next_offset: place.next_offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(partition: i32, next_offset: i64) -> Position {
        Position {
            topic: "ad".into(),
            partition,
            next_offset,
        }
    }

    #[test]
    fn a_negative_number_is_named_with_its_place() {
        let status = places("min_position", vec![position(0, 1), position(0, -1)]).unwrap_err();
        assert!(
            status
                .message()
                .starts_with("min_position[1].next_offset: "),
            "{status}"
        );
    }

    #[test]
    fn a_resume_token_reads_as_it_was_written_and_only_by_its_watch() {
        let watch = Fingerprint::new("WatchAds", &["status = PAUSED"]);
        let seen = places("", vec![position(3, 120), position(4, 0)]).unwrap();
        let token = resume_token(&watch, seen.clone());
        assert_eq!(parse_resume_token(&token, &watch).unwrap(), Some(seen));

        let another = Fingerprint::new("WatchAds", &[""]);
        assert!(parse_resume_token(&token, &another).is_err());
        assert!(parse_resume_token("nonsense", &watch).is_err());
    }
}
