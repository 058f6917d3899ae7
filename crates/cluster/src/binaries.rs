//! Which PostgreSQL runs.
//!
//! | the data folder | 1st | 2nd | 3rd |
//! |---|---|---|---|
//! | has a `PG_VERSION` | cached, that major | the machine's, that major | fetched, that major |
//! | is new | cached 18 | fetched 18 | the machine's newest, 15 or later |
//! | is new, `prefer_system` | the machine's newest, 15 or later | cached 18 | fetched 18 |

pub(crate) mod cached;
#[cfg(feature = "fetch")]
mod fetch;
mod system;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::account::Account;
use crate::{ClusterConfig, ClusterError};

/// Read models use nothing newer.
const OLDEST_MAJOR: u32 = 15;
const FETCHED_MAJOR: u32 = 18;

/// One installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binaries {
    pub(crate) bin: PathBuf,
    pub(crate) major: u32,
    /// As `postgres --version` says it: `18.4`.
    pub(crate) version: String,
}

impl Binaries {
    /// Finds or fetches. `major` is the data folder's, if it has data.
    pub(crate) async fn obtain(
        config: &ClusterConfig,
        account: &Account,
        major: Option<u32>,
    ) -> Result<Self, ClusterError> {
        let cache = cached::folder(config, account)?;
        if let Some(found) = Self::find(config, account, major, &cache) {
            return Ok(found);
        }
        let failure = match fetch(&cache, major.unwrap_or(FETCHED_MAJOR)).await {
            Ok(fetched) => return Ok(fetched),
            Err(failure) => failure,
        };
        if major.is_none()
            && let Some(found) = system::newest(None, account)
        {
            tracing::warn!(
                failure,
                version = found.version,
                "PostgreSQL could not be fetched, the machine's own is used"
            );
            return Ok(found);
        }
        Err(ClusterError::NoBinaries {
            wanted: match major {
                Some(major) => major.to_string(),
                None => format!("{OLDEST_MAJOR} or later"),
            },
            fetch: failure,
            looked: system::places()
                .iter()
                .map(|p| p.display().to_string())
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// What goes before fetching.
    pub(crate) fn find(
        config: &ClusterConfig,
        account: &Account,
        major: Option<u32>,
        cache: &Path,
    ) -> Option<Self> {
        if major.is_none()
            && config.prefer_system
            && let Some(found) = system::newest(None, account)
        {
            return Some(found);
        }
        let cached = cached::newest(cache, major.unwrap_or(FETCHED_MAJOR));
        cached.or_else(|| system::newest(Some(major?), account))
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// What stands in `bin`, if it is whole and runs.
    fn at(bin: &Path) -> Option<Self> {
        if !bin.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(bin.join("postgres"))
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        let text = String::from_utf8(output.stdout).ok()?;
        // `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; a beta says `19beta1`.
        let version = text.split_whitespace().nth(2)?.to_owned();
        let major = version
            .split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()?;
        Some(Self {
            bin: bin.to_owned(),
            major,
            version,
        })
    }
}

#[cfg(feature = "fetch")]
async fn fetch(cache: &Path, major: u32) -> Result<Binaries, String> {
    fetch::fetch(cache, major).await
}

#[cfg(not(feature = "fetch"))]
async fn fetch(_: &Path, _: u32) -> Result<Binaries, String> {
    Err("this build cannot fetch".to_owned())
}
