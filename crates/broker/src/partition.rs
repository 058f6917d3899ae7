//! A partition: its log behind a lock, the high watermark that others wait for, and its syncing.
//!
//! The high watermark is the synced end. It is moved only by [`Partition::sync`] (or, in relaxed
//! mode, by the append), after the sync returned; nothing above it is ever shown to anyone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use crate::batch::Header;
use crate::file::Disk;
use crate::guard::{self, Guard};
use crate::log::{
    self, AppendError, Appended, Damage, Found, Log, LogSettings, MarkFile, Pass, ReadError,
    segment_path,
};
use crate::stats::PartitionStats;
use crate::{Error, SyncMode};

#[derive(Debug)]
pub(crate) struct Partition {
    mode: SyncMode,
    log: Mutex<Log>,
    mark: MarkFile,
    /// The number of the next write of the mark. Held while the mark is written, so that what it
    /// says never moves back.
    mark_turn: Mutex<u64>,
    watermark: watch::Sender<i64>,
    /// Held while the file that is written is synced or closed, until it is noted how that ended:
    /// of two syncs at once, the kernel tells only one that what both were for was not written.
    syncing: Mutex<()>,
    /// Held while segments are taken away or replaced.
    cleaning: Mutex<()>,
    /// Its records could not be read, which is said once.
    uncleanable: AtomicBool,
    /// What was found damaged by readers, each of which is said once.
    damages: Mutex<BTreeSet<Damage>>,
    /// In the syncer's queue, or about to be.
    queued: AtomicBool,
    /// The topic is gone; what is under way ends, nothing new begins.
    deleted: AtomicBool,
}

/// The partition went away while something waited for it.
#[derive(Debug)]
pub(crate) struct Deleted;

impl Partition {
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        mode: SyncMode,
        clean: bool,
        now_ms: i64,
    ) -> Result<Partition, Error> {
        let (log, mark) = log::open(disk, folder, clean, now_ms)?;
        // What was recovered is synced by now, and the mark must say so before anyone sees it.
        // Both places are written here, so that no later write needs room on a full disk.
        mark.write(&log.mark(), 0)?;
        mark.write(&log.mark(), 1)?;
        mark.sync()?;
        Ok(Partition {
            mode,
            watermark: watch::Sender::new(log.synced().offset),
            log: Mutex::new(log),
            mark,
            mark_turn: Mutex::new(2),
            syncing: Mutex::new(()),
            cleaning: Mutex::new(()),
            uncleanable: AtomicBool::new(false),
            damages: Mutex::default(),
            queued: AtomicBool::new(false),
            deleted: AtomicBool::new(false),
        })
    }

    /// A panic while the lock was held leaves a log that nobody may trust: so it spreads.
    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("no holder of a log's lock panics")
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.log().folder().to_owned()
    }

    /// To be told when the folder was moved, while nothing of it is read.
    pub(crate) fn moved_to(&self, folder: &Path) {
        self.log().moved_to(folder);
    }

    /// Appends; the caller hands the partition to the syncer and waits with
    /// [`Partition::synced`] before it acknowledges.
    pub(crate) fn append(
        &self,
        batch: &[u8],
        header: Header,
        settings: &LogSettings,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        let mut log = self.log();
        while log.is_full(batch.len(), settings, now_ms) {
            drop(log);
            self.roll_if_full(batch.len(), settings, now_ms)?;
            log = self.log();
        }
        let appended = log.append(batch, header, settings, now_ms)?;
        if self.mode == SyncMode::Relaxed || !guard::holds(Guard::SyncedHighWatermark) {
            let end = log.end();
            log.set_synced(end);
            self.show(&log);
        }
        Ok(appended)
    }

    /// Rolls if a batch of `size` bytes would not fit; waits for the disk.
    pub(crate) fn roll_if_full(
        &self,
        size: usize,
        settings: &LogSettings,
        now_ms: i64,
    ) -> Result<(), Error> {
        self.roll_if(|log| log.is_full(size, settings, now_ms))
    }

    fn roll_if(&self, is_due: impl FnOnce(&Log) -> bool) -> Result<(), Error> {
        let _syncing = self.syncing();
        let roll = {
            let mut log = self.log();
            if !is_due(&log) {
                return Ok(());
            }
            log.begin_roll()?
        };
        let next = roll.run();
        let mut log = self.log();
        log.end_roll(&roll, next)?;
        self.show(&log);
        Ok(())
    }

    /// Syncs what was appended so far and shows it; waits for the disk.
    pub(crate) fn sync(&self) -> Result<bool, Error> {
        {
            let _syncing = self.syncing();
            let Some(job) = self.log().sync_job()? else {
                return Ok(false);
            };
            let synced = job.file.sync();
            let mut log = self.log();
            log.end_sync(job, synced)?;
            self.show(&log);
        }
        self.write_mark()?;
        Ok(true)
    }

    fn syncing(&self) -> MutexGuard<'_, ()> {
        self.syncing.lock().expect("nobody who syncs panics")
    }

    fn write_mark(&self) -> Result<(), Error> {
        let mut turn = self.mark_turn.lock().expect("no writer of a mark panics");
        *turn += 1;
        let mark = self.log().mark();
        self.mark.write(&mark, *turn)
    }

    pub(crate) fn is_synced(&self) -> bool {
        let log = self.log();
        log.end().offset == log.synced().offset
    }

    /// Makes the mark itself durable, if it moved; waits for the disk.
    pub(crate) fn sync_mark(&self) -> Result<(), Error> {
        self.mark.sync()
    }

    fn show(&self, log: &Log) {
        let synced = log.synced().offset;
        self.watermark.send_if_modified(|shown| {
            let moved = synced > *shown;
            *shown = synced.max(*shown);
            moved
        });
    }

    /// Waits until everything before `offset` is synced, or the partition is deleted. A broker
    /// that cannot sync stops, so this may also wait for ever.
    pub(crate) async fn synced(&self, offset: i64) -> Result<(), Deleted> {
        let mut watermark = self.watermark.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = watermark
            .wait_for(|shown| *shown >= offset || self.is_deleted())
            .await;
        if self.high_watermark() >= offset {
            Ok(())
        } else {
            Err(Deleted)
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<i64> {
        self.watermark.subscribe()
    }

    pub(crate) fn high_watermark(&self) -> i64 {
        *self.watermark.borrow()
    }

    /// True for the one caller that must put the partition into the syncer's queue.
    pub(crate) fn claim_queue_place(&self) -> bool {
        self.mode == SyncMode::Group && !self.queued.swap(true, Ordering::AcqRel)
    }

    /// What is appended from here on needs a new place in the queue.
    pub(crate) fn leave_queue(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// Deletes what retention no longer keeps; waits for the disk. The new start is durable
    /// before a file goes, so that a start never finds less than it was promised.
    pub(crate) fn retain(&self, settings: &LogSettings, now_ms: i64) -> Result<(), Error> {
        // While the log is compacted it waits for the next time.
        let Ok(_cleaning) = self.cleaning.try_lock() else {
            return Ok(());
        };
        let expired = self.log().expired(settings, now_ms);
        if expired.active {
            let closed = self.roll_if(|log| log.expired(settings, now_ms).active);
            match closed {
                Ok(()) => {}
                // On a full disk what goes already makes the room to close this one next time.
                Err(error @ Error::Io { .. }) if expired.closed > 0 => {
                    tracing::warn!(
                        error = error.with_sources(),
                        "an expired segment could not be closed"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        let retired = self.log().retire(settings, now_ms);
        if retired.is_empty() {
            return Ok(());
        }
        if guard::holds(Guard::StartDurableFirst) {
            self.write_mark()?;
            self.mark.sync()?;
        }
        for segment in retired {
            segment.remove()?;
        }
        Ok(())
    }

    /// Compacts what is worth it, as long as `goes_on` says so; waits for the disk. Nothing else
    /// waits for it.
    pub(crate) fn compact(
        &self,
        settings: &LogSettings,
        now_ms: i64,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let Ok(_cleaning) = self.cleaning.try_lock() else {
            return Ok(());
        };
        while !self.uncleanable.load(Ordering::Relaxed) {
            let cleaning = self.log().cleaning(settings, now_ms);
            let Some(cleaning) = cleaning else { break };
            if !cleaning.is_due(now_ms)? {
                break;
            }
            match cleaning.run(now_ms, goes_on, &|work| work(&mut self.log())) {
                Ok(Pass::More) => {}
                Ok(Pass::Done | Pass::Stopped) => break,
                Err(error) => {
                    let is_corrupt = matches!(error, Error::Corrupt { .. });
                    self.uncleanable.store(is_corrupt, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Logs why something could not be read; of damage, that was seen before, nothing more.
    pub(crate) fn log_failed_read(&self, error: &ReadError) {
        let folder = self.folder();
        let ReadError::Damaged { damage, .. } = error else {
            tracing::error!(%error, folder = %folder.display(), "records could not be read");
            return;
        };
        let mut known = self.damages.lock().expect("nobody panics while logging");
        if known.insert(*damage) {
            let path = segment_path(&folder, damage.segment);
            tracing::error!(path = %path.display(), position = damage.position, "the log is corrupt: what is here is not the batch that was written, and readers stop before it");
        }
    }

    /// The first record that is not older than `timestamp`; waits for the disk.
    pub(crate) fn find_time(&self, timestamp: i64) -> Result<Option<Found>, ReadError> {
        let places = self.log().locate_time(timestamp);
        for place in places {
            if let Some(found) = place.find_time(timestamp)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first record of those with the largest timestamp; waits for the disk.
    pub(crate) fn newest(&self) -> Result<Option<Found>, ReadError> {
        let Some((newest, place)) = self.log().locate_newest() else {
            return Ok(None);
        };
        if let Some(found) = place.find_time(newest)? {
            return Ok(Some(found));
        }
        // The record was compacted away or deleted, or is not synced: this is rare.
        let places = self.log().locate_time(i64::MIN);
        let mut newest = None;
        for place in &places {
            newest = newest.max(place.newest()?);
        }
        match newest.filter(|newest| *newest >= 0) {
            Some(newest) => self.find_time(newest),
            None => Ok(None),
        }
    }

    /// Deletes records before `offset` durably; waits for the disk. Gives the new start.
    pub(crate) fn delete_before(&self, offset: i64) -> Result<i64, Error> {
        let start_offset = {
            let mut log = self.log();
            log.delete_before(offset);
            log.start_offset()
        };
        self.write_mark()?;
        self.mark.sync()?;
        Ok(start_offset)
    }

    pub(crate) fn set_deleted(&self, deleted: bool) {
        self.deleted.store(deleted, Ordering::Release);
        // Whoever waits for records looks again and finds the topic gone.
        self.watermark.send_modify(|_| {});
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Syncs everything and leaves what makes the next open quick; waits for the disk.
    pub(crate) fn close(&self) -> Result<(), Error> {
        {
            let _syncing = self.syncing();
            let mut log = self.log();
            log.close()?;
            self.show(&log);
        }
        self.write_mark()?;
        self.mark.sync()
    }

    pub(crate) fn stats(&self) -> PartitionStats {
        let log = self.log();
        PartitionStats {
            start_offset: log.start_offset(),
            high_watermark: log.synced().offset,
            bytes: log.bytes(),
            segments: log.segments(),
        }
    }
}
