//! What a start is going to meet, for whoever tells people before they wait.

use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::binaries::{Binaries, cached};
use crate::place::Place;
use crate::postmaster::PidFile;
use crate::{ClusterConfig, ClusterError, initdb};

/// Where a start takes PostgreSQL from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// Nothing is fetched.
    Found { version: String, programs: PathBuf },
    /// About 60 MB go into `cache`, once for all data folders.
    Fetch { cache: PathBuf },
}

impl Outlook {
    /// Makes the folders that a start would make.
    pub fn of(config: &ClusterConfig) -> Result<Self, ClusterError> {
        let account = Account::choose()?;
        let place = Place::prepare(config, &account)?;
        let major = initdb::existing_major(&place)?;
        let cache = cached::folder(config, &account)?;
        let found = Binaries::find(config, &account, major, &cache);
        Ok(match found {
            Some(found) => Outlook::Found {
                version: found.version,
                programs: found.bin,
            },
            None => Outlook::Fetch { cache },
        })
    }
}

/// The port of a server that a killed program has left on `data`. It is stopping, or
/// the next start stops it.
pub fn leftover_port(data: &Path) -> Option<u16> {
    let pgdata = Place::find(data).ok()?.pgdata();
    PidFile::read(&pgdata)
        .filter(|file| file.is_of(&pgdata))?
        .port
}
