//! Text to tree, by recursive descent over AIP-160's grammar:
//!
//! ```text
//! expression  = sequence {"AND" sequence}
//! sequence    = factor {factor}
//! factor      = term {"OR" term}
//! term        = ["NOT" | "-"] simple
//! simple      = "(" expression ")" | field operator value
//! ```

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Comparison, Field, Filter, FilterError, Kind, MAX_DEPTH, MAX_FILTER_BYTES, MAX_TERMS, Term,
    Test, Value,
};

pub(super) fn parse<F: Copy>(text: &str, schema: &[Field<F>]) -> Result<Filter<F>, FilterError> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        terms: 0,
        schema,
    };
    if text.len() > MAX_FILTER_BYTES {
        return Err(parser.error(format!("at most {MAX_FILTER_BYTES} bytes")));
    }
    // Postgres has no such text, so no row can match it.
    if let Some(at) = text.find('\0') {
        parser.at = at;
        return Err(parser.error("no NUL character".to_owned()));
    }
    parser.skip_space();
    if parser.rest().is_empty() {
        return Ok(Filter::And(Vec::new()));
    }
    let filter = parser.expression()?;
    if !parser.rest().is_empty() {
        return Err(parser.error("AND, OR, a comparison or the end".to_owned()));
    }
    Ok(filter)
}

struct Parser<'t, 's, F: 'static> {
    text: &'t str,
    /// In bytes, always between characters; never on space.
    at: usize,
    depth: usize,
    terms: usize,
    schema: &'s [Field<F>],
}

enum Operator {
    Compare(Comparison),
    Has,
}

/// Longest first.
const OPERATORS: [(&str, Operator); 7] = [
    ("<=", Operator::Compare(Comparison::LessOrEqual)),
    (">=", Operator::Compare(Comparison::GreaterOrEqual)),
    ("!=", Operator::Compare(Comparison::NotEqual)),
    ("=", Operator::Compare(Comparison::Equal)),
    ("<", Operator::Compare(Comparison::Less)),
    (">", Operator::Compare(Comparison::Greater)),
    (":", Operator::Has),
];

impl<'t, F: Copy> Parser<'t, '_, F> {
    fn expression(&mut self) -> Result<Filter<F>, FilterError> {
        let mut all = vec![self.factor()?];
        loop {
            // AND binds as juxtaposition does, so both fill one list.
            if !self.keyword("AND") && (self.rest().is_empty() || self.rest().starts_with(')')) {
                return Ok(one_or(all, Filter::And));
            }
            all.push(self.factor()?);
        }
    }

    fn factor(&mut self) -> Result<Filter<F>, FilterError> {
        let mut any = vec![self.term()?];
        while self.keyword("OR") {
            any.push(self.term()?);
        }
        Ok(one_or(any, Filter::Or))
    }

    fn term(&mut self) -> Result<Filter<F>, FilterError> {
        if self.keyword("NOT") || self.symbol("-") {
            return Ok(Filter::Not(Box::new(self.simple()?)));
        }
        self.simple()
    }

    fn simple(&mut self) -> Result<Filter<F>, FilterError> {
        if !self.rest().starts_with('(') {
            return self.comparison();
        }
        if self.depth == MAX_DEPTH {
            return Err(self.error(format!("at most {MAX_DEPTH} parentheses within each other")));
        }
        self.symbol("(");
        self.depth += 1;
        let inside = self.expression()?;
        self.depth -= 1;
        if !self.symbol(")") {
            return Err(self.error("AND, OR, a comparison or )".to_owned()));
        }
        Ok(inside)
    }

    fn comparison(&mut self) -> Result<Filter<F>, FilterError> {
        if self.terms == MAX_TERMS {
            return Err(self.error(format!("at most {MAX_TERMS} comparisons")));
        }
        self.terms += 1;
        let field = self.field()?;
        let operator_at = self.at;
        let Some((written, operator)) = OPERATORS
            .iter()
            .find(|(written, _)| self.rest().starts_with(written))
        else {
            return Err(self.error("= != < <= > >= or :".to_owned()));
        };
        self.symbol(written);
        let value_at = self.at;
        let value = self.value()?;

        let refuse = |parser: &mut Self, at, expected: &str| {
            parser.at = at;
            parser.error(format!("{expected} for {}", field.name))
        };
        let test = match (field.kind, operator) {
            (Kind::Text, Operator::Compare(by @ (Comparison::Equal | Comparison::NotEqual))) => {
                Test::Compare(*by, Value::Text(value.text))
            }
            (Kind::Text, Operator::Compare(_)) => {
                return Err(refuse(self, operator_at, "= != or :"));
            }
            (Kind::Text | Kind::Time, Operator::Has) if value.is_star() => Test::Present,
            (Kind::Text, Operator::Has) => Test::Contains(value.text),
            (Kind::Time, Operator::Compare(by)) => match parse_time(&value.text) {
                Some(time) => Test::Compare(*by, Value::Time(time)),
                None => {
                    let expected = "a time such as \"2026-01-31T12:00:00Z\"";
                    return Err(refuse(self, value_at, expected));
                }
            },
            (Kind::Time, Operator::Has) => {
                return Err(refuse(self, operator_at, "= != < <= > >= or :*"));
            }
            (
                Kind::Bool | Kind::Enum { .. },
                Operator::Compare(by @ (Comparison::Equal | Comparison::NotEqual)),
            ) => match parse_named(field.kind, &value.text) {
                Ok(value) => Test::Compare(*by, value),
                Err(expected) => return Err(refuse(self, value_at, &expected)),
            },
            (Kind::Bool | Kind::Enum { .. }, _) => {
                return Err(refuse(self, operator_at, "= or !="));
            }
        };
        Ok(Filter::Term(Term {
            field: field.field,
            test,
        }))
    }

    fn field(&mut self) -> Result<Field<F>, FilterError> {
        let length = self
            .rest()
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(self.rest().len());
        let name = &self.rest()[..length];
        let Some(field) = self.schema.iter().find(|field| field.name == name) else {
            let names: Vec<&str> = self.schema.iter().map(|field| field.name).collect();
            return Err(self.error(format!("one of {}", names.join(", "))));
        };
        self.advance(length);
        Ok(*field)
    }

    /// A quoted text with escapes, or everything up to a space, parenthesis or
    /// quote: a bare time has colons and dashes.
    fn value(&mut self) -> Result<Written, FilterError> {
        if self.rest().starts_with(['"', '\'']) {
            return self.quoted();
        }
        let length = self
            .rest()
            .find(|c: char| c.is_whitespace() || "()\"'=<>!,".contains(c))
            .unwrap_or(self.rest().len());
        if length == 0 {
            return Err(self.error("a value".to_owned()));
        }
        let text = self.rest()[..length].to_owned();
        self.advance(length);
        Ok(Written {
            text,
            quoted: false,
        })
    }

    fn quoted(&mut self) -> Result<Written, FilterError> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        let quote = chars.next().map(|(_, quote)| quote);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, escaped @ ('"' | '\'' | '\\'))) => text.push(escaped),
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, 't')) => text.push('\t'),
                    _ => {
                        self.at += at;
                        return Err(self.error(r#"one of \" \' \\ \n \r \t"#.to_owned()));
                    }
                },
                c if Some(c) == quote => {
                    self.advance(at + c.len_utf8());
                    return Ok(Written { text, quoted: true });
                }
                c => text.push(c),
            }
        }
        self.at = self.text.len();
        Err(self.error("the closing quote".to_owned()))
    }

    /// Takes `word` where it stands alone.
    fn keyword(&mut self, word: &str) -> bool {
        let alone = self.rest().strip_prefix(word).is_some_and(|after| {
            !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        });
        alone && self.symbol(word)
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.rest().starts_with(symbol);
        if found {
            self.advance(symbol.len());
        }
        found
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.skip_space();
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn error(&self, expected: String) -> FilterError {
        let found: String = self.rest().chars().take(20).collect();
        FilterError {
            at: self.text[..self.at].chars().count() + 1,
            expected,
            found: match found.as_str() {
                "" => "the end".to_owned(),
                found => format!("{found:?}"),
            },
        }
    }
}

/// A value as it stood in the filter.
struct Written {
    text: String,
    quoted: bool,
}

impl Written {
    fn is_star(&self) -> bool {
        !self.quoted && self.text == "*"
    }
}

fn parse_time(text: &str) -> Option<OffsetDateTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    time.replace_nanosecond(time.nanosecond() / 1000 * 1000)
        .ok()
}

/// # Errors
/// What was expected.
fn parse_named(kind: Kind, text: &str) -> Result<Value, String> {
    let Kind::Enum { prefix, values } = kind else {
        return match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err("true or false".to_owned()),
        };
    };
    let short = text.strip_prefix(prefix).unwrap_or(text);
    match values.iter().find(|(name, _)| *name == short) {
        Some((_, stored)) => Ok(Value::Text((*stored).to_owned())),
        None => {
            let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
            Err(format!("one of {}", names.join(", ")))
        }
    }
}

/// A list of one is that one.
fn one_or<F>(mut list: Vec<Filter<F>>, many: fn(Vec<Filter<F>>) -> Filter<F>) -> Filter<F> {
    match list.len() {
        1 => list.remove(0),
        _ => many(list),
    }
}
