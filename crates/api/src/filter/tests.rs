use time::macros::datetime;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Column {
    Status,
    Fetch,
    Time,
    Level,
}

const SCHEMA: &[Field<Column>] = &[
    Field {
        name: "status",
        field: Column::Status,
        kind: Kind::Text,
    },
    Field {
        name: "fetch_needed",
        field: Column::Fetch,
        kind: Kind::Bool,
    },
    Field {
        name: "status_time",
        field: Column::Time,
        kind: Kind::Time,
    },
    Field {
        name: "level",
        field: Column::Level,
        kind: Kind::Enum {
            prefix: "AD_LEVEL_",
            values: &[("AD", "AD"), ("UNSPECIFIED", "")],
        },
    },
];

fn parse(text: &str) -> Result<Filter<Column>, FilterError> {
    Filter::parse(text, SCHEMA)
}

/// The tree with every pair of brackets, as a reader would draw it.
fn drawn(text: &str) -> String {
    fn draw(filter: &Filter<Column>) -> String {
        let join = |list: &[Filter<Column>], word: &str| {
            let parts: Vec<String> = list.iter().map(draw).collect();
            format!("({})", parts.join(word))
        };
        match filter {
            Filter::And(list) => join(list, " and "),
            Filter::Or(list) => join(list, " or "),
            Filter::Not(inside) => format!("not {}", draw(inside)),
            Filter::Term(term) => match &term.test {
                Test::Compare(by, Value::Text(value)) => format!("{}{value}", by.as_str()),
                Test::Compare(by, Value::Bool(value)) => format!("{}{value}", by.as_str()),
                Test::Compare(by, Value::Time(value)) => format!("{}{value}", by.as_str()),
                Test::Contains(part) => format!(":{part}"),
                Test::Present => ":*".to_owned(),
            },
        }
    }
    draw(&parse(text).unwrap())
}

#[test]
fn or_binds_tighter_than_and_and_juxtaposition_is_and() {
    assert_eq!(
        drawn("status = A AND status = B OR status = C"),
        "(=A and (=B or =C))"
    );
    assert_eq!(
        drawn("status=A status!=B OR NOT status=C"),
        "(=A and (!=B or not =C))"
    );
    assert_eq!(
        drawn("-(status = A AND status = B) OR status = C"),
        "(not (=A and =B) or =C)"
    );
    assert_eq!(drawn("((status = A))"), "=A");
    assert_eq!(drawn("  "), "()");
}

#[test]
fn values_are_typed() {
    assert_eq!(drawn(r#"status = "a \"b\" \\ AND""#), r#"=a "b" \ AND"#);
    assert_eq!(
        drawn("status:'it\\'s' status:* status:\"*\""),
        "(:it's and :* and :*)"
    );
    assert_eq!(
        parse("status_time >= 2026-01-01T01:00:00.1234567+01:00").unwrap(),
        Filter::Term(Term {
            field: Column::Time,
            test: Test::Compare(
                Comparison::GreaterOrEqual,
                // Rows have microseconds.
                Value::Time(datetime!(2026-01-01 00:00:00.123456 UTC)),
            ),
        })
    );
    assert_eq!(drawn("level = AD_LEVEL_AD level != AD"), "(=AD and !=AD)");
    assert_eq!(drawn("level = UNSPECIFIED"), "=");
}

#[test]
fn the_place_of_an_error_is_named() {
    let too_deep = format!("{}status = A{}", "(".repeat(33), ")".repeat(33));
    let too_many = "status = A ".repeat(MAX_TERMS + 1);
    let too_long = " ".repeat(MAX_FILTER_BYTES + 1);
    for (text, at, expected) in [
        ("status", 7, "= !="),
        ("status = ", 10, "a value"),
        ("status = A AND", 15, "one of status"),
        ("status = A OR OR status = B", 15, "one of status"),
        ("NOT NOT status = A", 5, "one of status"),
        ("(status = A", 12, "AND, OR, a comparison or )"),
        ("status = A)", 11, "AND, OR, a comparison or the end"),
        ("ädstatus = A", 1, "one of status"),
        ("status = \"ä", 12, "the closing quote"),
        ("status = \"ä\\x\"", 12, "one of \\\""),
        ("status > 3", 8, "= != or : for status"),
        ("fetch_needed > true", 14, "= or != for fetch_needed"),
        ("fetch_needed = yes", 16, "true or false"),
        ("level = PAGE", 9, "one of AD, UNSPECIFIED"),
        ("status_time = soon", 15, "a time such as"),
        ("status_time:2026", 12, "= != < <= > >= or :*"),
        ("status = \0", 10, "no NUL"),
        ("status = A, level = AD", 11, "one of status"),
        (&too_deep, 33, "at most 32 parentheses"),
        (&too_many, 128 * 11 + 1, "at most 128 comparisons"),
        (&too_long, 1, "at most 8192 bytes"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.at, at, "{text:.60}: {error}");
        assert!(error.expected.starts_with(expected), "{text:.60}: {error}");
    }
}

#[test]
fn logic_has_two_values() {
    let matches = |text: &str, time: Option<OffsetDateTime>| {
        parse(text).unwrap().matches(&|column| match column {
            Column::Status => Operand::Text("PAUSED"),
            Column::Fetch => Operand::Bool(false),
            Column::Time => Operand::Time(time),
            Column::Level => Operand::Text("AD"),
        })
    };
    let known = Some(datetime!(2026-01-01 00:00 UTC));
    for (text, with_time, without) in [
        ("", true, true),
        ("status_time = 2026-01-01T00:00:00Z", true, false),
        ("status_time != 2026-01-01T00:00:00Z", false, true),
        ("NOT status_time < 2026-01-01T00:00:00Z", true, true),
        ("status_time >= 2026-01-01T00:00:00Z", true, false),
        ("status_time:*", true, false),
        ("status:AUSE -status:ause", true, true),
        ("status = X OR fetch_needed = false level = AD", true, true),
        (
            "status = X AND fetch_needed = false OR level = AD",
            false,
            false,
        ),
    ] {
        assert_eq!(matches(text, known), with_time, "{text}");
        assert_eq!(matches(text, None), without, "{text}, time unknown");
    }
}

proptest::proptest! {
    /// Whatever is sent, the parser answers; and it stays within the text.
    #[test]
    fn nothing_makes_the_parser_panic(text in "[a-z_= !<>:()\"'\\\\ä*-]{0,40}|(status|level|=|AND|OR|NOT|\\(|\\)|-| ){0,20}") {
        if let Err(error) = parse(&text) {
            proptest::prop_assert!(error.at <= text.chars().count() + 1);
        }
    }
}
