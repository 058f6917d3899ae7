//! Filters (AIP-160), typed against the fields that a method declares.
//!
//! ```text
//! status = "DISAPPROVED" AND status_time > "2026-01-01T00:00:00Z"
//! (level = AD OR level = AD_SET) -fetch_needed = true reason:"alcohol"
//! ```
//!
//! | kind | operators | values |
//! |---|---|---|
//! | text | `= !=`, `:` contains, `:*` is not empty | quoted or bare |
//! | bool | `= !=` | `true`, `false` |
//! | time | `= != < <= > >=`, `:*` is known | RFC 3339 |
//! | enum | `= !=` | the declared names |
//!
//! `NOT x` and `-x` are one. Juxtaposition is AND. **OR binds tighter than AND**,
//! as AIP-160 has it: `a AND b OR c` is `a AND (b OR c)`; parentheses save the
//! reader a look here. Logic has two values: an unknown time is equal to nothing,
//! before nothing and after nothing, so `!=` holds for it, and `NOT (a < b)` does.
//!
//! The tree is plain data: one caller compiles it to SQL, another evaluates it on
//! rows in memory with [`Filter::matches`], and both must agree.

mod parser;

use time::OffsetDateTime;
use tonic::Status;

use crate::error::invalid_argument;

/// Bytes.
pub const MAX_FILTER_BYTES: usize = 8192;
/// Parentheses within parentheses.
pub const MAX_DEPTH: usize = 32;
/// Comparisons in one filter.
pub const MAX_TERMS: usize = 128;

/// One field that a filter may name. `F` is the caller's own name for it.
#[derive(Clone, Copy, Debug)]
pub struct Field<F: 'static> {
    pub name: &'static str,
    pub field: F,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Text,
    Bool,
    Time,
    /// Names as written, with or without `prefix`, and what stands for them in a
    /// row's text.
    Enum {
        prefix: &'static str,
        values: &'static [(&'static str, &'static str)],
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Filter<F> {
    /// All of them; none is the empty filter, which everything matches.
    And(Vec<Filter<F>>),
    Or(Vec<Filter<F>>),
    Not(Box<Filter<F>>),
    Term(Term<F>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Term<F> {
    pub field: F,
    pub test: Test,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    Compare(Comparison, Value),
    /// The text contains it; case counts.
    Contains(String),
    /// A text is not empty, a time is known.
    Present,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of text and enum fields.
    Text(String),
    Bool(bool),
    /// In whole microseconds, as rows have it.
    Time(OffsetDateTime),
}

/// What a row has in a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operand<'r> {
    Text(&'r str),
    Bool(bool),
    Time(Option<OffsetDateTime>),
}

/// Where a filter goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: expected {expected}, found {found}")]
pub struct FilterError {
    /// From 1.
    pub at: usize,
    pub expected: String,
    pub found: String,
}

impl From<FilterError> for Status {
    fn from(error: FilterError) -> Self {
        invalid_argument("filter", error.to_string())
    }
}

impl<F: Copy> Filter<F> {
    /// Reads `text` against the fields of `schema`.
    ///
    /// # Errors
    /// The first place that does not parse, names an unknown field or has an
    /// operator or value that the field does not take.
    pub fn parse(text: &str, schema: &[Field<F>]) -> Result<Self, FilterError> {
        parser::parse(text, schema)
    }

    /// Whether a row matches; `operand` says what it has in a field.
    pub fn matches<'r>(&self, operand: &impl Fn(F) -> Operand<'r>) -> bool {
        match self {
            Filter::And(all) => all.iter().all(|filter| filter.matches(operand)),
            Filter::Or(any) => any.iter().any(|filter| filter.matches(operand)),
            Filter::Not(filter) => !filter.matches(operand),
            Filter::Term(term) => term.test.holds(operand(term.field)),
        }
    }
}

impl Test {
    fn holds(&self, operand: Operand<'_>) -> bool {
        match (self, operand) {
            (Test::Compare(by, Value::Text(value)), Operand::Text(text)) => {
                by.holds(text, value.as_str())
            }
            (Test::Compare(by, Value::Bool(value)), Operand::Bool(bool)) => by.holds(bool, *value),
            (Test::Compare(by, Value::Time(value)), Operand::Time(Some(time))) => {
                by.holds(time, *value)
            }
            (Test::Compare(by, Value::Time(_)), Operand::Time(None)) => *by == Comparison::NotEqual,
            (Test::Contains(part), Operand::Text(text)) => text.contains(part.as_str()),
            (Test::Present, Operand::Text(text)) => !text.is_empty(),
            (Test::Present, Operand::Time(time)) => time.is_some(),
            // The parser lets no other pair through.
            _ => false,
        }
    }
}

impl Comparison {
    fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::Greater => left > right,
            Comparison::GreaterOrEqual => left >= right,
        }
    }

    /// As a filter writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

#[cfg(test)]
mod tests;
