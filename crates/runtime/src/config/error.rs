//! What can be wrong with settings: always the key, what was found, what was expected.

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
    #[error("unknown configuration key `{key}`: {expected}")]
    Unknown { key: String, expected: String },
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

    pub(super) fn from_config(error: config::ConfigError) -> Self {
        use config::ConfigError as E;
        match error {
            E::NotFound(key) => Self::Missing { key },
            E::Type {
                origin,
                unexpected,
                expected,
                key,
            } => Self::Invalid {
                key: key.unwrap_or_default(),
                problem: format!("found {unexpected}, expected {expected}"),
                origin,
            },
            E::At { error, origin, key } => Self::at(&error.to_string(), origin, key),
            other => Self::at(&other.to_string(), None, None),
        }
    }

    /// Serde has sentences only; these two are stable and worth taking apart.
    fn at(message: &str, origin: Option<String>, parent: Option<String>) -> Self {
        let parent = parent.unwrap_or_default();
        if let Some((field, expected)) = message
            .strip_prefix("unknown field `")
            .and_then(|rest| rest.split_once("`, "))
        {
            let dot = if parent.is_empty() { "" } else { "." };
            return Self::Unknown {
                key: format!("{parent}{dot}{field}"),
                expected: expected.to_owned(),
            };
        }
        let problem = match message
            .strip_prefix("invalid value: ")
            .or_else(|| message.strip_prefix("invalid type: "))
        {
            Some(found) => format!("found {found}"),
            None => message.to_owned(),
        };
        Self::Invalid {
            key: parent,
            problem,
            origin,
        }
    }
}
