//! The data folder as a whole: one owner, one format, an identity, and how it was left.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::Error;
use crate::file::{self, Disk, LockGuard};
use crate::producer_ids::ProducerIds;

/// Raised when an older program could not read what a newer one wrote.
const FORMAT: u32 = 1;
/// What a first open may have left behind when it was interrupted.
const FIRST_FILES: [&str; 7] = [
    // Of a file system that is mounted here.
    "lost+found",
    "lock",
    "format.new",
    "cluster-id",
    "cluster-id.new",
    "producer-ids",
    "producer-ids.new",
];

/// Of a file that cannot be made anew.
pub(crate) const MISSING: &str = "the file is missing; bring it back from a backup";

#[derive(Debug)]
pub(crate) struct Folder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    pub(crate) cluster_id: String,
    /// Whether the last owner stopped in order, so that nothing has to be checked again.
    pub(crate) was_clean: bool,
    _lock: LockGuard,
}

impl Folder {
    /// Takes the folder, making it if it is missing.
    pub(crate) fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<Folder, Error> {
        make(&*disk, path)?;
        let lock_path = path.join("lock");
        let lock = disk
            .lock(&lock_path)
            .map_err(Error::io("lock", &lock_path))?;
        let Some(lock) = lock else {
            return Err(Error::InUse {
                path: path.to_owned(),
            });
        };
        let is_new = check_format(&*disk, path)?;
        let cluster_id = match is_new {
            true => begin(&*disk, path)?,
            false => read_cluster_id(&*disk, path)?,
        };
        let clean = path.join("clean");
        let was_clean = file::read_whole(&*disk, &clean)?.is_some();
        if was_clean {
            file::remove_if_there(&*disk, &clean)?;
        }
        // Before anything is written: after a power loss nothing may take the folder for clean, nor
        // for new, as it would if the first open was interrupted at its very end.
        disk.sync_dir(path).map_err(Error::io("sync", path))?;
        Ok(Folder {
            disk,
            path: path.to_owned(),
            cluster_id,
            was_clean,
            _lock: lock,
        })
    }

    /// Says that everything is synced and indexed.
    pub(crate) fn leave_clean(&self) -> Result<(), Error> {
        file::replace(&*self.disk, &self.path.join("clean"), b"")
    }
}

/// Refuses a folder that no broker of this format has made.
pub(crate) fn check_is_log(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    match check_format(disk, path)? {
        false => Ok(()),
        true => Err(Error::Format {
            path: path.to_owned(),
            found: "nothing".to_owned(),
            known: FORMAT,
        }),
    }
}

/// Whether the folder is new; an error if it holds something else.
fn check_format(disk: &dyn Disk, path: &Path) -> Result<bool, Error> {
    let format = path.join("format");
    let refuse = |found: String| {
        Err(Error::Format {
            path: path.to_owned(),
            found,
            known: FORMAT,
        })
    };
    if let Some(bytes) = file::read_whole(disk, &format)? {
        let found = String::from_utf8_lossy(&bytes).trim().to_owned();
        return if found == FORMAT.to_string() {
            Ok(false)
        } else {
            refuse(found)
        };
    }
    let names = disk.list(path).map_err(Error::io("list", path))?;
    match names
        .into_iter()
        .find(|name| !FIRST_FILES.contains(&name.as_str()))
    {
        Some(name) => refuse(format!("no log but other files, such as {name}")),
        None => Ok(true),
    }
}

/// Makes the folder, with the parents that are missing, from the top: each is durable where it
/// stands before the next one is made. Who was interrupted in this has left no more than one that
/// is not, the last one made, which is the first one that is there now.
fn make(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    let mut missing = Vec::new();
    for folder in path.ancestors() {
        if is_there(disk, folder)? {
            if !missing.is_empty() {
                keep_name_if_ours(disk, folder)?;
            }
            break;
        }
        missing.push(folder);
    }
    for folder in missing.into_iter().rev() {
        disk.create_dir(folder)
            .map_err(Error::io("create", folder))?;
        keep_name(disk, folder)?;
    }
    Ok(())
}

fn is_there(disk: &dyn Disk, folder: &Path) -> Result<bool, Error> {
    match disk.list(here_if_empty(folder)) {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            ErrorKind::NotFound => Ok(false),
            // It is, and may be passed through all the same.
            ErrorKind::PermissionDenied => Ok(true),
            _ => Err(Error::io("list", folder)(error)),
        },
    }
}

/// As [`keep_name`]; but a folder whose holder may not even be read was made by somebody else.
fn keep_name_if_ours(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    match keep_name(disk, folder) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => Ok(()),
        kept => kept,
    }
}

/// Makes a folder's own name durable, which stands in the folder that holds it.
fn keep_name(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    let Some(holder) = folder.parent() else {
        return Ok(());
    };
    let holder = here_if_empty(holder);
    disk.sync_dir(holder).map_err(Error::io("sync", holder))
}

/// The parent of a relative path's first name is written as nothing, which no system call takes.
fn here_if_empty(folder: &Path) -> &Path {
    match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    }
}

/// The format comes last: with it the folder is whole, and nobody looks again whether it is durable.
fn begin(disk: &dyn Disk, path: &Path) -> Result<String, Error> {
    let cluster_id = Uuid::new_v4().simple().to_string()[..22].to_owned();
    file::replace(disk, &path.join("cluster-id"), cluster_id.as_bytes())?;
    ProducerIds::begin(disk, path)?;
    keep_name(disk, path)?;
    file::replace(disk, &path.join("format"), format!("{FORMAT}\n").as_bytes())?;
    Ok(cluster_id)
}

fn read_cluster_id(disk: &dyn Disk, path: &Path) -> Result<String, Error> {
    let path = path.join("cluster-id");
    let bytes = file::read_whole(disk, &path)?;
    let bytes = bytes.ok_or_else(|| Error::corrupt(&path, 0, MISSING))?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sim::SimDisk;

    #[test]
    fn a_folder_keeps_its_id_and_is_clean_once() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::default());
        let path = Path::new("data");
        let first = Folder::open(disk.clone(), path).unwrap();
        assert!(!first.was_clean);
        first.leave_clean().unwrap();
        let meanwhile = Folder::open(disk.clone(), path);
        assert!(matches!(meanwhile, Err(Error::InUse { .. })));
        let cluster_id = first.cluster_id.clone();
        drop(first);
        let second = Folder::open(disk.clone(), path).unwrap();
        assert!(second.was_clean);
        assert_eq!(second.cluster_id, cluster_id);
        drop(second);
        assert!(!Folder::open(disk, path).unwrap().was_clean);
    }

    #[test]
    fn a_new_folder_outlives_a_power_loss_with_its_parents_however_it_was_begun() {
        let path = Path::new("on/the/way/log");
        let open = |disk: &SimDisk| Folder::open(Arc::new(disk.clone()), path);
        for calls in 0.. {
            let disk = SimDisk::default();
            disk.stop_after(Some(calls));
            let was_interrupted = open(&disk).is_err();
            let disk = disk.kill();
            let cluster_id = open(&disk).unwrap().cluster_id;
            let found = open(&disk.after_power_loss(0)).unwrap();
            assert_eq!(found.cluster_id, cluster_id, "killed after {calls} calls");
            if !was_interrupted {
                break;
            }
        }
        assert_eq!(
            here_if_empty(Path::new("log").parent().unwrap()),
            Path::new(".")
        );
    }

    #[test]
    fn foreign_folders_and_formats_are_refused() {
        let disk = SimDisk::default();
        let path = Path::new("data");
        disk.create_dir(&path.join("photos")).unwrap();
        let opened = Folder::open(Arc::new(disk.clone()), path);
        assert!(matches!(opened, Err(Error::Format { found, .. }) if found.contains("photos")));
        file::replace(&disk, &path.join("format"), b"2\n").unwrap();
        let opened = Folder::open(Arc::new(disk), path);
        assert!(matches!(opened, Err(Error::Format { found, .. }) if found == "2"));
    }
}
