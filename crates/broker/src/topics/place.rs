//! The folders below `topics/`, for the broker and for those who look from outside.
//!
//! | a name | is |
//! |---|---|
//! | of `~` and an id | a topic that was being made: rubbish |
//! | with `~` and an id at its end, or any with a file `topic` in it | a topic |
//! | any other, such as `lost+found` | foreign: left alone, and named |

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::description::{self, Description};
use crate::Error;
use crate::file::{self, Disk};

/// What stands below `topics/`.
#[derive(Debug)]
pub(crate) enum Found {
    Topic(PathBuf),
    Foreign(PathBuf),
}

/// In no order.
pub(crate) fn list(disk: &dyn Disk, live: &Path) -> Result<Vec<Found>, Error> {
    let names = disk.list(live).map_err(Error::io("list", live))?;
    let kept = names.into_iter().filter(|name| !is_rubbish(name));
    let found = kept.map(|name| {
        let folder = live.join(&name);
        // Whoever looks may be refused to: `lost+found` is the superuser's.
        let described = || file::read_whole(disk, &folder.join("topic"));
        match has_id(&name) || matches!(described(), Ok(Some(_))) {
            true => Found::Topic(folder),
            false => Found::Foreign(folder),
        }
    });
    Ok(found.collect())
}

pub(super) fn is_rubbish(name: &str) -> bool {
    name.strip_prefix('~').is_some_and(is_id)
}

pub(super) fn is_id(name: &str) -> bool {
    name.len() == 32 && Uuid::try_parse(name).is_ok()
}

fn has_id(name: &str) -> bool {
    name.rsplit_once('~').is_some_and(|(_, id)| is_id(id))
}

/// What the file `topic` says.
pub(crate) fn describe(disk: &dyn Disk, folder: &Path) -> Result<Description, Error> {
    let path = folder.join("topic");
    let bytes = file::read_whole(disk, &path)?;
    let bytes = bytes.ok_or_else(|| {
        let what = "the file is missing, so nobody knows which topic this is; bring it back from a \
                    backup, or move the folder away to go on without the topic";
        Error::corrupt(&path, 0, what)
    })?;
    description::parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| {
        let what = "this is not the description of a topic; bring the file back from a backup, or \
                    move the folder away to go on without the topic";
        Error::corrupt(&path, 0, what)
    })
}
