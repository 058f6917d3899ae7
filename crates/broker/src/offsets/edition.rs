//! The folders below `offsets/`, each an edition of the log, of which the newest counts.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::entry::{Committed, Key};
use crate::batch::{self, HEADER, Header, NewRecord, Records};
use crate::file::Disk;
use crate::log::{AppendError, LogSettings};
use crate::partition::Partition;
use crate::{Error, SyncMode};

const SETTINGS: LogSettings = LogSettings {
    segment_bytes: 64 << 20,
    segment_ms: i64::MAX,
    deletes: false,
    retention_ms: -1,
    retention_bytes: -1,
    compaction: None,
    append_time: false,
};
/// Bytes that are read at once.
const AT_ONCE: usize = 1 << 20;
/// Records of one batch when an edition is written.
const BATCH: usize = 1_000;

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
        for name in names.iter().filter(|name| Some(*name) != kept.as_ref()) {
            self.remove_folder(&folder.join(name))?;
        }
        let edition = newest.unwrap_or(0);
        let current = folder.join(edition.to_string());
        self.disk
            .create_dir(&current)
            .map_err(Error::io("create", &current))?;
        self.disk
            .sync_dir(folder)
            .map_err(Error::io("sync", folder))?;
        let log = Partition::open(self.disk, &current, self.mode, clean, now_ms)?;
        Ok((edition, log))
    }

    /// Writes what still counts as a new edition, durably.
    pub(super) fn write(
        &self,
        edition: u64,
        by_key: &BTreeMap<Key, Committed>,
        now_ms: i64,
    ) -> Result<Partition, Error> {
        let aside = self.folder.join(format!("{edition}.new"));
        self.remove_folder(&aside)?;
        if let Err(error) = self.write_aside(&aside, by_key, now_ms) {
            // It may be the disk that is full.
            let _ = self.remove_folder(&aside);
            return Err(error);
        }
        let current = self.folder.join(edition.to_string());
        self.disk
            .rename(&aside, &current)
            .map_err(Error::io("name", &current))?;
        // The next start takes the edition of this name. If it cannot be gone on with, commits
        // would go to one that is then removed: so whatever fails from here on stops the broker.
        let unsure = |source| Error::Sync {
            path: current.clone(),
            source,
        };
        self.disk.sync_dir(self.folder).map_err(unsure)?;
        Partition::open(self.disk, &current, self.mode, true, now_ms)
            .map_err(|error| unsure(io::Error::other(error)))
    }

    fn write_aside(
        &self,
        aside: &Path,
        by_key: &BTreeMap<Key, Committed>,
        now_ms: i64,
    ) -> Result<(), Error> {
        self.disk
            .create_dir(aside)
            .map_err(Error::io("create", aside))?;
        let log = Partition::open(self.disk, aside, self.mode, false, now_ms)?;
        let entries: Vec<_> = by_key
            .iter()
            .map(|(key, committed)| (key.clone(), Some(committed.clone())))
            .collect();
        for part in entries.chunks(BATCH) {
            append(&log, part, now_ms).map_err(|error| Error::Io {
                doing: "write",
                path: aside.to_owned(),
                source: io::Error::other(format!("{error:?}")),
            })?;
        }
        log.close()
    }

    pub(super) fn remove(&self, edition: u64) -> Result<(), Error> {
        self.remove_folder(&self.folder.join(edition.to_string()))
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

pub(super) fn append(
    log: &Partition,
    entries: &[(Key, Option<Committed>)],
    now_ms: i64,
) -> Result<(), AppendError> {
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
    log.append(&batch, header, &SETTINGS, now_ms)?;
    Ok(())
}

/// Reads the whole log into a map.
pub(super) fn read_all(log: &Partition) -> Result<BTreeMap<Key, Committed>, Error> {
    let mut by_key = BTreeMap::new();
    let mut offset = log.log().start_offset();
    let io = |error| Error::io("read", log.folder())(error);
    loop {
        let Ok(Some(place)) = log.log().locate(offset, AT_ONCE) else {
            return Ok(by_key);
        };
        let bytes = place.read(offset, AT_ONCE, true).map_err(io)?;
        let mut rest = &bytes[..];
        if rest.is_empty() {
            return Err(Error::corrupt(
                log.folder(),
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
