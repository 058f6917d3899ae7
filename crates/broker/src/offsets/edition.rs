//! The folders below `offsets/`, each an edition of the log, of which the newest counts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Entry;
use super::entry::{Committed, Key};
use crate::batch::{self, HEADER, Header, NewRecord, Records};
use crate::file::{self, Disk};
use crate::log::{AppendError, LogSettings};
use crate::partition::Partition;
use crate::{Error, SyncMode};

const SETTINGS: LogSettings = LogSettings {
    // Compaction comes first, so that nobody who commits waits for a roll.
    segment_bytes: 1 << 30,
    segment_ms: i64::MAX,
    deletes: false,
    retention_ms: -1,
    retention_bytes: -1,
    compaction: None,
    append_time: false,
};
/// Bytes that are read at once.
const AT_ONCE: usize = 1 << 20;

pub(super) struct Editions<'a> {
    pub(super) disk: &'a Arc<dyn Disk>,
    pub(super) folder: &'a Path,
    pub(super) mode: SyncMode,
}

impl Editions<'_> {
    /// Opens the newest one, or begins the first; removes everything else.
    pub(super) fn open_newest(&self, clean: bool, now_ms: i64) -> Result<(u64, Partition), Error> {
        let folder = self.folder;
        let names = self.disk.list(folder).map_err(Error::io("list", folder))?;
        let newest = names
            .iter()
            .filter_map(|name| name.parse::<u64>().ok())
            .max();
        let kept = newest.map(|edition| edition.to_string());
        let is_ours = |name: &&String| name.trim_end_matches(".new").parse::<u64>().is_ok();
        let others = names.iter().filter(|name| Some(*name) != kept.as_ref());
        for name in others.filter(is_ours) {
            self.remove_folder(&folder.join(name))?;
        }
        let edition = newest.unwrap_or(0);
        let current = self.current(edition);
        self.disk
            .create_dir(&current)
            .map_err(Error::io("create", &current))?;
        self.disk
            .sync_dir(folder)
            .map_err(Error::io("sync", folder))?;
        let log = Partition::open(self.disk, &current, self.mode, clean, now_ms)?;
        Ok((edition, log))
    }

    /// Begins one beside the others, which no start takes for one.
    pub(super) fn begin_aside(&self, edition: u64, now_ms: i64) -> Result<Partition, Error> {
        let aside = self.aside(edition);
        self.remove_folder(&aside)?;
        self.disk
            .create_dir(&aside)
            .map_err(Error::io("create", &aside))?;
        Partition::open(self.disk, &aside, self.mode, false, now_ms)
    }

    /// Makes it the one that the next start takes.
    pub(super) fn name(&self, edition: u64, log: &Partition) -> Result<(), Error> {
        let current = self.current(edition);
        self.disk
            .rename(&self.aside(edition), &current)
            .map_err(Error::io("name", &current))?;
        file::sync_names(&**self.disk, self.folder)?;
        log.moved_to(&current);
        Ok(())
    }

    pub(super) fn discard_aside(&self, edition: u64) -> Result<(), Error> {
        self.remove_folder(&self.aside(edition))
    }

    fn current(&self, edition: u64) -> PathBuf {
        self.folder.join(edition.to_string())
    }

    fn aside(&self, edition: u64) -> PathBuf {
        self.folder.join(format!("{edition}.new"))
    }

    pub(super) fn remove(&self, edition: u64) -> Result<(), Error> {
        self.remove_folder(&self.current(edition))
    }

    /// One that may be missing.
    fn remove_folder(&self, path: &Path) -> Result<(), Error> {
        match self.disk.remove_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn append(log: &Partition, entries: &[Entry], now_ms: i64) -> Result<(), Error> {
    let encoded: Vec<_> = entries
        .iter()
        .map(|(key, committed)| (key.encode(), committed.as_ref().map(Committed::encode)))
        .collect();
    let records: Vec<_> = encoded
        .iter()
        .map(|(key, value)| NewRecord {
            key,
            value: value.as_deref(),
        })
        .collect();
    let batch = batch::build(&records, now_ms);
    let header = Header::parse(&batch).expect("a batch that was just built has a header");
    match log.append(&batch, header, &SETTINGS, now_ms) {
        Ok(_) => Ok(()),
        Err(AppendError::Disk(error)) => Err(error),
        Err(AppendError::OutOfOrder | AppendError::Fenced) => {
            unreachable!("the broker's own batches have no producer")
        }
    }
}

/// Reads the whole log into a map.
pub(super) fn read_all(log: &Partition) -> Result<BTreeMap<Key, Committed>, Error> {
    let mut by_key = BTreeMap::new();
    let mut offset = log.log().start_offset();
    let folder = log.folder();
    let io = |error| Error::io("read", &folder)(error);
    loop {
        let Ok(Some(place)) = log.log().locate(offset, AT_ONCE) else {
            return Ok(by_key);
        };
        let bytes = place
            .read(offset, AT_ONCE, true)
            .map_err(|error| io(error.into()))?;
        let mut rest = &bytes[..];
        if rest.is_empty() {
            return Err(Error::corrupt(
                &folder,
                0,
                format!("nothing can be read at offset {offset}"),
            ));
        }
        while let Some(header) = Header::parse(rest) {
            fold(&mut by_key, &header, &rest[..header.size]);
            offset = header.next_offset();
            rest = &rest[header.size..];
        }
    }
}

/// What a batch, of which the broker writes its own and unpacked, makes of what was committed.
pub(crate) fn fold(by_key: &mut BTreeMap<Key, Committed>, header: &Header, batch: &[u8]) {
    for record in Records::new(header, &batch[HEADER..]).flatten() {
        let Some(key) = record.key.and_then(Key::decode) else {
            continue;
        };
        match record.value.and_then(Committed::decode) {
            Some(committed) => by_key.insert(key, committed),
            None => by_key.remove(&key),
        };
    }
}
