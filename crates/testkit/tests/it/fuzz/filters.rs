use compline_api::filter::{Field, Filter, Kind, MAX_FILTER_BYTES, Operand};
use compline_testkit::fuzz::{fuzz, mutate};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use time::macros::datetime;

use super::{corpus, within};

/// What a filter of the longest text may hold: terms, their values, and the text itself.
const MOST_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, Debug)]
enum Column {
    Status,
    Fetch,
    Time,
    Level,
}

const SCHEMA: &[Field<Column>] = &[
    field("status", Column::Status, Kind::Text),
    field("fetch_needed", Column::Fetch, Kind::Bool),
    field("status_time", Column::Time, Kind::Time),
    field(
        "level",
        Column::Level,
        Kind::Enum {
            prefix: "AD_LEVEL_",
            values: &[("AD", "AD"), ("UNSPECIFIED", "")],
        },
    ),
];

const fn field(name: &'static str, field: Column, kind: Kind) -> Field<Column> {
    Field { name, field, kind }
}

const TERMS: [&str; 10] = [
    "status = \"PAUSED\"",
    "status:\"a\\\"b\"",
    "status:*",
    "-status != AD",
    "fetch_needed = true",
    "status_time >= \"2026-01-01T00:00:00Z\"",
    "status_time:*",
    "level = AD_LEVEL_AD",
    "level != UNSPECIFIED",
    "NOT level = AD",
];

const TELLING: &[&[u8]] = &[
    b"(",
    b")",
    b"((((((((((((((((((((((((((((((((",
    b" OR ",
    b" AND ",
    b"NOT ",
    b"-",
    b"\"",
    b"\\",
    b":*",
    b"<=",
    b"true",
    "é\u{202e}".as_bytes(),
    b"\0",
    b"9999-12-31T23:59:60Z",
    b"0000-01-01T00:00:00+99:99",
];

fn filter(depth: u32, rng: &mut StdRng) -> String {
    let mut parts = Vec::new();
    for _ in 0..rng.random_range(1..4) {
        parts.push(match depth > 0 && rng.random_range(0..3) == 0 {
            true => format!("({})", filter(depth - 1, rng)),
            false => (*TERMS.choose(rng).unwrap()).to_owned(),
        });
    }
    parts.join([" AND ", " OR ", " "].choose(rng).unwrap())
}

#[test]
fn filters() {
    let row = |column: Column| match column {
        Column::Status => Operand::Text("PAUSED"),
        Column::Fetch => Operand::Bool(true),
        Column::Time => Operand::Time(Some(datetime!(2026-02-01 0:00 UTC))),
        Column::Level => Operand::Text("AD"),
    };
    fuzz(&corpus("filters"), |rng| {
        let mut bytes = filter(4, rng).into_bytes();
        if rng.random_range(0..4) > 0 {
            mutate(&mut bytes, TELLING, rng);
        }
        if rng.random_range(0..50) == 0 {
            bytes = bytes.repeat(MAX_FILTER_BYTES / bytes.len().max(1) + rng.random_range(0..2));
        }
        let text = String::from_utf8_lossy(&bytes);
        let read = match within(MOST_BYTES, || Filter::parse(&text, SCHEMA)) {
            Ok(read) => read,
            Err(error) => {
                let characters = text.chars().count();
                assert!(
                    (1..=characters + 1).contains(&error.at),
                    "{error} in {text:?}"
                );
                return;
            }
        };
        assert!(text.len() <= MAX_FILTER_BYTES);
        let matches = read.matches(&row);
        // Bounds may refuse what is one bracket more.
        if let Ok(turned) = Filter::parse(&format!("NOT ({text})"), SCHEMA) {
            let empty = text.trim().is_empty();
            assert!(empty || turned.matches(&row) != matches, "{text}");
        }
    });
}
