//! Where the files are.
//!
//! | file | owner | |
//! |---|---|---|
//! | `<data>/password` | ours, 0600 | the superuser's |
//! | `<data>/location` | ours | only when the home is elsewhere: its path |
//! | `<home>/lock` | ours | held while a cluster runs |
//! | `<home>/pgdata/` | Postgres' user, 0700 | the database |
//! | `<home>/postgres.log` | Postgres' user | its log, and one older part `.1` |
//!
//! The home is the data folder itself, with one exception. When we are root and the data folder
//! lies where Postgres' user cannot go (a clone under `/root`, mode 0700), no trick with the working
//! directory or a descriptor helps, for Postgres enters its folder by an absolute path again and
//! again. Opening up root's home is not ours to do. The home is then a new folder under
//! `/var/lib/<name>`, and `<data>/location` says which.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::error::io;
use crate::{ClusterConfig, ClusterError};

/// For the data folder as root: enough to enter, nothing to list or read.
const PASSABLE: u32 = 0o711;

#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) data: PathBuf,
    pub(crate) home: PathBuf,
}

impl Place {
    /// Finds or makes the folders.
    pub(crate) fn prepare(config: &ClusterConfig, account: &Account) -> Result<Self, ClusterError> {
        let data = &config.data;
        fs::create_dir_all(data).map_err(io("cannot make", data))?;
        let data = data.canonicalize().map_err(io("cannot find", data))?;
        let pointer = data.join("location");
        let home = match fs::read_to_string(&pointer) {
            Ok(text) => pointed_at(&pointer, text.trim_end())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                choose_home(&data, &pointer, &config.name, account)?
            }
            Err(error) => return Err(io("cannot read", pointer)(error)),
        };
        account.must_reach(&home)?;
        if home != data {
            tracing::info!(
                data = %data.display(), home = %home.display(), user = account.name(),
                "the database is kept outside the data folder, which its user cannot enter"
            );
        }
        Ok(Self { data, home })
    }

    /// Where a former start has put it.
    pub(crate) fn find(data: &Path) -> Result<Self, ClusterError> {
        let data = data.canonicalize().map_err(io("cannot find", data))?;
        let pointer = data.join("location");
        let home = match fs::read_to_string(&pointer) {
            Ok(text) => pointed_at(&pointer, text.trim_end())?,
            Err(_) => data.clone(),
        };
        Ok(Self { data, home })
    }

    pub(crate) fn pgdata(&self) -> PathBuf {
        self.home.join("pgdata")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.home.join("postgres.log")
    }

    pub(crate) fn password(&self) -> PathBuf {
        self.data.join("password")
    }

    /// Held as long as the file is open, so it ends with the process, however that ends.
    pub(crate) fn lock(&self) -> Result<File, ClusterError> {
        use rustix::fs::{FlockOperation, flock};
        let path = self.home.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(io("cannot open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(ClusterError::InUse {
                data: self.data.clone(),
            }),
            Err(error) => Err(io("cannot lock", path)(error.into())),
        }
    }
}

fn pointed_at(pointer: &Path, place: &str) -> Result<PathBuf, ClusterError> {
    let place = PathBuf::from(place);
    match place.is_dir() {
        true => Ok(place),
        // A new, empty database in its stead would look like lost data.
        false => Err(ClusterError::DataMissing {
            pointer: pointer.to_owned(),
            place,
        }),
    }
}

fn choose_home(
    data: &Path,
    pointer: &Path,
    name: &str,
    account: &Account,
) -> Result<PathBuf, ClusterError> {
    let Account::Other { .. } = account else {
        return Ok(data.to_owned());
    };
    let mode = data
        .metadata()
        .map_err(io("cannot look at", data))?
        .permissions()
        .mode();
    if mode & 0o001 == 0 {
        let passable = Permissions::from_mode(mode & 0o7777 | PASSABLE);
        fs::set_permissions(data, passable).map_err(io("cannot open up", data))?;
    }
    if account.barred_from(data).is_none() {
        return Ok(data.to_owned());
    }
    // A name drawn anew, not made from the path: a folder that was deleted and made again must not
    // find the old one's data.
    let home = Path::new("/var/lib")
        .join(name)
        .join(format!("{:016x}", rand::random::<u64>()));
    fs::create_dir_all(&home).map_err(io("cannot make", &home))?;
    for folder in [home.as_path(), &home.with_file_name("")] {
        fs::set_permissions(folder, Permissions::from_mode(PASSABLE))
            .map_err(io("cannot open up", folder))?;
    }
    account.must_reach(&home)?;
    let owner = home.join("data-folder");
    fs::write(&owner, format!("{}\n", data.display())).map_err(io("cannot write", owner))?;
    write_whole(pointer, &format!("{}\n", home.display()), 0o644)?;
    Ok(home)
}

/// The file is there with all of `text`, or not at all.
pub(crate) fn write_whole(path: &Path, text: &str, mode: u32) -> Result<(), ClusterError> {
    let part = path.with_extension("part");
    // A part left by a kill may have another mode.
    let _ = fs::remove_file(&part);
    let write = || {
        let mut file = File::options()
            .create_new(true)
            .write(true)
            .mode(mode)
            .open(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(io("cannot write", path))
}
