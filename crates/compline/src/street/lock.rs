//! Who runs the street: an advisory lock that dies with its process.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    thread,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

/// Whoever asks for the holder holds the lock for an instant; a start that meets
/// one looks again.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// The lock, held until it is dropped. The file stays: removing it would let two
/// processes hold two files of one name.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Who holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    Nobody,
    /// `pid` is absent in the instant between taking the lock and writing it.
    By {
        pid: Option<u32>,
    },
}

/// The folder is somebody else's.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("a street is already running there{}", of_pid(.pid))]
    Held { pid: Option<u32> },
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn of_pid(pid: &Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

impl Lock {
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let mut looks = 0;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != Errno::WOULDBLOCK {
                return Err(io::Error::from(error).into());
            }
            looks += 1;
            if looks == LOOKS {
                return Err(LockError::Held {
                    pid: read_pid(&mut file)?,
                });
            }
            thread::sleep(BETWEEN_LOOKS);
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }

    /// Looks without keeping: shared, so that two who ask do not see each other.
    pub fn holder(path: &Path) -> io::Result<Held> {
        let mut file = File::open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(Held::Nobody),
            Err(Errno::WOULDBLOCK) => Ok(Held::By {
                pid: read_pid(&mut file)?,
            }),
            Err(error) => Err(error.into()),
        }
    }
}

fn read_pid(file: &mut File) -> io::Result<Option<u32>> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text.trim().parse().ok())
}
