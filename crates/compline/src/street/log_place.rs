//! Which log a data folder's tables are folded from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What stands in `log.json`. A folder without it is older than the choice, and has the
/// embedded log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "log", rename_all = "lowercase")]
pub enum LogPlace {
    /// In the folder itself.
    #[default]
    Embedded,
    Kafka {
        /// `bootstrap.servers` of the last start, for people: addresses may change.
        bootstrap: String,
        /// Kafka's own name of the cluster; absent where it says none.
        cluster_id: Option<String>,
        /// The prefix of all topic names.
        prefix: String,
    },
}

impl LogPlace {
    /// Whether both are the same log, wherever it may be reached.
    pub fn is_same_log(&self, other: &LogPlace) -> bool {
        match (self, other) {
            (LogPlace::Embedded, LogPlace::Embedded) => true,
            (
                LogPlace::Kafka {
                    cluster_id: Some(one),
                    prefix: of_one,
                    ..
                },
                LogPlace::Kafka {
                    cluster_id: Some(two),
                    prefix: of_two,
                    ..
                },
            ) => (one, of_one) == (two, of_two),
            (one, two) => one == two,
        }
    }

    /// As `compline log copy` names it.
    pub fn end_of_copy(&self, folder: &std::path::Path) -> String {
        match self {
            LogPlace::Embedded => {
                let folder = folder.display().to_string();
                // A name without a slash could be a broker's.
                match folder.contains('/') {
                    true => folder,
                    false => format!("./{folder}"),
                }
            }
            LogPlace::Kafka { bootstrap, .. } => bootstrap.clone(),
        }
    }
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogPlace::Embedded => f.write_str("the embedded log"),
            LogPlace::Kafka {
                bootstrap,
                cluster_id,
                prefix,
            } => {
                write!(f, "the Kafka cluster ")?;
                if let Some(id) = cluster_id {
                    write!(f, "{id} ")?;
                }
                write!(f, "at {bootstrap}")?;
                if !prefix.is_empty() {
                    write!(f, " (topics {prefix}…)")?;
                }
                Ok(())
            }
        }
    }
}
