//! What groups have committed, read from the log of it.

use std::collections::BTreeMap;

use super::{BatchFacts, CommittedFacts, PartitionFolder, partition};
use crate::Error;
use crate::batch::Header;
use crate::file::{Disk, Mode};
use crate::offsets::{Committed, Key, fold};

pub(super) fn read(disk: &dyn Disk, log: &PartitionFolder) -> Result<Vec<CommittedFacts>, Error> {
    let mut by_key: BTreeMap<Key, Committed> = BTreeMap::new();
    let mut failed = None;
    partition::read(disk, log, &mut |batch| {
        failed = take(disk, batch, &mut by_key).err();
        failed.is_none()
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(by_key
        .into_iter()
        .map(|(key, committed)| CommittedFacts {
            group: key.group,
            topic: key.topic,
            partition: key.partition,
            offset: committed.offset,
            metadata: committed.metadata,
        })
        .collect())
}

fn take(
    disk: &dyn Disk,
    batch: &BatchFacts<'_>,
    by_key: &mut BTreeMap<Key, Committed>,
) -> Result<(), Error> {
    let path = batch.segment;
    let file = disk
        .open(path, Mode::Read)
        .map_err(Error::io("open", path))?;
    let mut bytes = vec![0; batch.bytes as usize];
    file.read_at(&mut bytes, batch.position)
        .map_err(Error::io("read", path))?;
    let Some(header) = Header::parse(&bytes) else {
        return Ok(());
    };
    fold(by_key, &header, &bytes).map_err(|what| Error::corrupt(path, batch.position, what))
}
