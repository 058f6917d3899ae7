//! What can be wrong with settings: always the key, what was found, what was expected, and where.

use std::fmt;
use std::path::PathBuf;

use serde::de;

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    #[error("cannot read the configuration file {path}: {source}", path = path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{origin}, line {line}: {problem}")]
    Syntax {
        origin: String,
        line: usize,
        problem: String,
    },
    /// An override whose key is not a dotted path.
    #[error("`{key}` is not a configuration key")]
    Key { key: String },
    #[error("unknown configuration key `{key}`: expected {expected}{}", in_origin(.origin))]
    Unknown {
        key: String,
        expected: String,
        origin: Option<String>,
    },
    #[error("configuration key `{key}` is missing")]
    Missing { key: String },
    /// `problem` says what was found and what was expected.
    #[error("configuration key `{key}`: {problem}{}", in_origin(.origin))]
    Invalid {
        key: String,
        problem: String,
        origin: Option<String>,
    },
}

fn in_origin(origin: &Option<String>) -> String {
    origin
        .as_deref()
        .map(|origin| format!(" (in {origin})"))
        .unwrap_or_default()
}

impl ConfigError {
    /// A value that is well formed and still cannot be. Nothing secret may stand in `found`.
    pub fn invalid(
        key: impl Into<String>,
        found: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> Self {
        Self::Invalid {
            key: key.into(),
            problem: format!("found {found}, expected {expected}"),
            origin: None,
        }
    }

    /// The offending key, where there is one.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Key { key }
            | Self::Unknown { key, .. }
            | Self::Missing { key }
            | Self::Invalid { key, .. } => Some(key),
            Self::File { .. } | Self::Syntax { .. } => None,
        }
    }

    /// The same error, its key one level further down: below `parent`.
    pub fn below(mut self, parent: &str) -> Self {
        if let Self::Unknown { key, .. } | Self::Missing { key } | Self::Invalid { key, .. } =
            &mut self
        {
            let dot = if key.is_empty() || key.starts_with('[') {
                ""
            } else {
                "."
            };
            *key = format!("{parent}{dot}{key}");
        }
        self
    }

    /// The same error, said to come from there unless that is known better already.
    pub(super) fn at_origin(mut self, place: Option<&str>) -> Self {
        if let Self::Unknown { origin, .. } | Self::Invalid { origin, .. } = &mut self
            && origin.is_none()
        {
            *origin = place.map(str::to_owned);
        }
        self
    }
}

impl de::Error for ConfigError {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self::Invalid {
            key: String::new(),
            problem: problem.to_string(),
            origin: None,
        }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("found {found}, expected {expected}"))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("found {found}, expected {expected}"))
    }

    fn unknown_variant(found: &str, variants: &'static [&'static str]) -> Self {
        Self::custom(format_args!(
            "found {found:?}, expected {}",
            one_of(variants)
        ))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::Unknown {
            key: field.to_owned(),
            expected: one_of(known),
            origin: None,
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing {
            key: field.to_owned(),
        }
    }
}

/// For people.
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [name] => format!("`{name}`"),
        names => format!("one of `{}`", names.join("`, `")),
    }
}
