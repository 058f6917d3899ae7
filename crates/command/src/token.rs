//! A token as answers carry it.

use compline_api::query::Position;
use compline_event::Token;

pub(crate) fn positions(token: &Token) -> Vec<Position> {
    token
        .positions()
        .map(|position| Position {
            topic: position.topic.to_string(),
            partition: position.partition.0,
            next_offset: position.next_offset.0,
        })
        .collect()
}
