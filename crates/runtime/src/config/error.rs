//! What can be wrong with settings: always the key, what was found, what was expected, and where.

use std::path::PathBuf;

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
    pub(super) fn below(mut self, parent: &str) -> Self {
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
