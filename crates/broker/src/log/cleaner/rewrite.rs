//! Segments written anew, as one, without what a newer record made superfluous.

use std::io::IoSlice;
use std::sync::Arc;

use super::super::index::{Index, Summary};
use super::super::segment::Closed;
use super::key_map::KeyMap;
use super::swap::{self, Prepared};
use super::{Cleaning, unreadable};
use crate::Error;
use crate::batch::{Filtered, Header, Record, filter};
use crate::file::DiskFile;

const BUFFER: usize = 1 << 20;

#[derive(Debug)]
pub(super) enum Rewritten {
    Into(Prepared),
    /// It is one segment, and nothing in it is superfluous.
    Unchanged,
    Stopped,
}

/// Writes what is left of `group` aside and makes it durable.
pub(super) fn rewrite(
    cleaning: &Cleaning,
    group: &[Arc<Closed>],
    newest: &KeyMap,
    covered_to: i64,
    now_ms: i64,
    goes_on: &dyn Fn() -> bool,
) -> Result<Rewritten, Error> {
    let (first, last) = (&group[0], &group[group.len() - 1]);
    let path = first.path.with_extension(swap::ASIDE);
    let mut writer = Writer {
        file: swap::create(&*cleaning.disk, &path)?,
        index: Index::new(first.base),
        size: 0,
        buffer: Vec::with_capacity(BUFFER),
    };
    let horizon = now_ms.saturating_add(cleaning.compaction.delete_retention_ms);
    let mut changed = group.len() > 1;
    for segment in group {
        let mut batches = cleaning.batches(segment);
        loop {
            if !goes_on() {
                return Ok(Rewritten::Stopped);
            }
            let at = batches.position();
            let Some((header, batch)) = batches.next()? else {
                break;
            };
            let last_of_producer = cleaning
                .last_of_producers
                .get(&header.producer_id)
                .is_some_and(|offset| *offset == header.next_offset() - 1);
            let keep_empty = last_of_producer || header.next_offset() == last.next_offset;
            let keeps_tombstones = header.delete_horizon().is_none_or(|until| now_ms < until);
            let keep = |record: &Record<'_>| {
                if record.offset >= covered_to {
                    return true;
                }
                let Some(key) = record.key else { return false };
                newest.is_newest(key, record.offset) && (record.value.is_some() || keeps_tombstones)
            };
            let left = filter(&header, batch, horizon, keep_empty, keep)
                .map_err(|error| unreadable(segment, at, &error))?;
            changed |= left != Filtered::Unchanged;
            match left {
                Filtered::Unchanged => writer.write(&header, batch),
                Filtered::Changed(batch) => writer.write_changed(&batch),
                Filtered::Gone => Ok(()),
            }
            .map_err(Error::io("write", &path))?;
        }
    }
    if !changed {
        return Ok(Rewritten::Unchanged);
    }
    writer.flush().map_err(Error::io("write", &path))?;
    let summary = Summary {
        next_offset: last.next_offset,
        newest: writer.index.newest(),
        size: writer.size,
    };
    swap::prepare(&*cleaning.disk, first, &writer.file, &writer.index, summary).map(Rewritten::Into)
}

struct Writer {
    file: Arc<dyn DiskFile>,
    index: Index,
    size: u64,
    buffer: Vec<u8>,
}

impl Writer {
    fn write_changed(&mut self, batch: &[u8]) -> std::io::Result<()> {
        let header = Header::parse(batch).expect("a batch that was just written has a header");
        self.write(&header, batch)
    }

    fn write(&mut self, header: &Header, batch: &[u8]) -> std::io::Result<()> {
        if self.buffer.len() + batch.len() > BUFFER {
            self.flush()?;
        }
        self.index.note(header, self.size as u32);
        self.size += batch.len() as u64;
        self.buffer.extend_from_slice(batch);
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.append(&mut [IoSlice::new(&self.buffer)])?;
        self.buffer.clear();
        Ok(())
    }
}
