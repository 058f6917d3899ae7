//! The folders below `offsets/`, each an edition of the log, of which the newest counts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Entry;
use super::entry::{Committed, Key};
use crate::batch::{self, HEADER, Header, NewRecord, Records};
use crate::file::{self, Disk};
use crate::log::{AppendError, LogSettings, ReadError, segment_path};
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

/// Reads the whole log into a map, with all sums: what is on disk may have changed since it was
/// closed in order, and nobody reads it again while the broker runs.
pub(super) fn read_all(log: &Partition) -> Result<BTreeMap<Key, Committed>, Error> {
    let mut by_key = BTreeMap::new();
    let mut offset = log.log().start_offset();
    let folder = log.folder();
    let unreadable = |error| match error {
        ReadError::Damaged { damage, .. } => {
            let path = segment_path(&folder, damage.segment);
            Error::corrupt(&path, damage.position, "no batch is here that can be")
        }
        ReadError::Io(error) => Error::io("read", &folder)(error),
    };
    loop {
        let Ok(Some(place)) = log.log().locate(offset, AT_ONCE) else {
            return Ok(by_key);
        };
        let part = place.find(offset, AT_ONCE, true).map_err(unreadable)?;
        let part = part.expect("a batch is given, however large");
        let bytes = part.to_vec().map_err(unreadable)?;
        let path = segment_path(&folder, part.segment);
        let mut at = 0;
        while let Some(header) = Header::parse(&bytes[at..]) {
            fold(&mut by_key, &header, &bytes[at..at + header.size])
                .map_err(|what| Error::corrupt(&path, part.position + at as u64, what))?;
            offset = header.next_offset();
            at += header.size;
        }
    }
}

/// What a batch, of which the broker writes its own and unpacked, makes of what was committed.
///
/// # Errors
/// What it holds that the broker has not written, and would be a commit lost if it were passed over.
pub(crate) fn fold(
    by_key: &mut BTreeMap<Key, Committed>,
    header: &Header,
    batch: &[u8],
) -> Result<(), &'static str> {
    if !batch::sum_is_right(batch) {
        return Err("a damaged batch");
    }
    for record in Records::new(header, &batch[HEADER..]) {
        let record = record.ok_or("a record that cannot be read")?;
        let key = record.key.and_then(Key::decode);
        let key = key.ok_or("a key that is no committed offset's")?;
        let Some(value) = record.value else {
            by_key.remove(&key);
            continue;
        };
        let committed = Committed::decode(value).ok_or("a value that is no committed offset")?;
        by_key.insert(key, committed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sim::SimDisk;
    use crate::offsets::Offsets;

    fn open(disk: &SimDisk, clean: bool) -> Result<Offsets, Error> {
        let disk = Arc::new(disk.clone());
        Offsets::open(disk, Path::new("d"), SyncMode::Group, clean, 0)
    }

    /// A log of one commit, with `further` behind it if there is some, that was closed in order.
    fn closed(further: Option<NewRecord<'_>>) -> (SimDisk, u64) {
        let disk = SimDisk::default();
        let offsets = open(&disk, false).unwrap();
        let key = Key {
            group: "g".into(),
            topic: "t".into(),
            partition: 0,
        };
        let committed = Committed {
            offset: 7,
            leader_epoch: -1,
            metadata: "m".into(),
        };
        let _ = offsets.commit(vec![(key, committed)], 0).unwrap();
        let log = offsets.log();
        let first_bytes = log.log().bytes();
        if let Some(further) = further {
            let batch = batch::build(&[further], 0);
            let header = Header::parse(&batch).unwrap();
            log.append(&batch, header, &SETTINGS, 0).unwrap();
        }
        log.close().unwrap();
        (disk, first_bytes)
    }

    fn place_of_damage(disk: &SimDisk) -> Option<(PathBuf, u64)> {
        match open(disk, true) {
            Ok(_) => None,
            Err(Error::Corrupt { path, position, .. }) => Some((path, position)),
            Err(error) => panic!("{error:?}"),
        }
    }

    #[test]
    fn a_commit_that_rotted_after_a_stop_in_order_is_refused_and_not_believed() {
        let segment = segment_path(Path::new("d/offsets/0"), 0);
        let (disk, bytes) = closed(None);
        assert_eq!(place_of_damage(&disk), None);
        for byte in 0..bytes as usize {
            let (disk, _) = closed(None);
            disk.damage(&segment, |bytes| bytes[byte] ^= 0x40);
            let is_refused = place_of_damage(&disk) == Some((segment.clone(), 0));
            // The leader's epoch is outside of the sum, and the broker reads no meaning into it.
            assert_eq!(is_refused, !(12..16).contains(&byte), "byte {byte}");
        }
    }

    #[test]
    fn a_record_that_is_no_commit_is_refused_and_deletes_none() {
        let segment = segment_path(Path::new("d/offsets/0"), 0);
        let key = &Key::first_of("g").encode()[..];
        let cases = [
            ("a foreign key", &b"?"[..], Some(&b""[..])),
            ("a key of another version", &[2, 0][..], None),
            ("a foreign value", key, Some(&b"\0\0"[..])),
        ];
        for (what, key, value) in cases {
            let (disk, behind) = closed(Some(NewRecord { key, value }));
            let found = place_of_damage(&disk);
            assert_eq!(found, Some((segment.clone(), behind)), "{what}");
        }
    }
}
