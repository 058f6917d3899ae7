//! Recovery, roll and reads, on a disk that forgets.

mod failed_syncs;
mod full_disk;
mod retention;
mod rolls;
mod rot;
mod times;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::batch::{self, NewRecord};
use crate::file::sim::{Moment, SimDisk};
use crate::partition::Partition;
use crate::{Error, SyncMode};

const SETTINGS: LogSettings = LogSettings {
    segment_bytes: 2_000,
    segment_ms: i64::MAX,
    deletes: true,
    retention_ms: -1,
    retention_bytes: -1,
    compaction: None,
    append_time: false,
};

fn folder() -> PathBuf {
    PathBuf::from("data/0")
}

fn new_disk() -> SimDisk {
    let disk = SimDisk::default();
    disk.create_dir(&folder()).unwrap();
    disk.sync_dir(Path::new("data")).unwrap();
    disk
}

fn open(disk: &SimDisk) -> Result<Partition, Error> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Partition::open(&disk, &folder(), SyncMode::Group, false, 0)
}

/// A batch of two records of about 100 bytes, stamped `timestamp`.
fn append_with(
    partition: &Partition,
    timestamp: i64,
    settings: &LogSettings,
) -> Result<Appended, AppendError> {
    let batch = batch::build(
        &[
            NewRecord {
                key: b"key",
                value: Some(&[7; 20]),
            },
            NewRecord {
                key: b"key",
                value: None,
            },
        ],
        timestamp,
    );
    let header = batch::check(&batch, 1 << 20, false).unwrap();
    partition.append(&batch, header, settings, 0)
}

fn append(partition: &Partition, timestamp: i64) -> Appended {
    append_with(partition, timestamp, &SETTINGS).unwrap()
}

fn end(partition: &Partition) -> i64 {
    partition.log().end().offset
}

fn start_of(partition: &Partition) -> i64 {
    partition.log().start_offset()
}

/// The offsets of all batches that can be read.
fn offsets(partition: &Partition) -> Vec<i64> {
    let mut offset = partition.log().start_offset();
    let mut seen = Vec::new();
    while let Some(place) = partition.log().locate(offset, 300).unwrap() {
        let bytes = place.read(offset, 300, true).unwrap();
        let mut rest = &bytes[..];
        assert!(!rest.is_empty());
        while let Some(header) = Header::parse(rest) {
            assert!(batch::sum_is_right(&rest[..header.size]));
            seen.push(header.base_offset);
            offset = header.next_offset();
            rest = &rest[header.size..];
        }
    }
    seen
}

#[test]
fn nothing_unsynced_is_shown_and_nothing_synced_is_lost() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    for i in 0..30 {
        append(&partition, i);
    }
    partition.sync().unwrap();
    for i in 30..35 {
        append(&partition, i);
    }
    assert_eq!(partition.high_watermark(), 60);
    assert_eq!(
        offsets(&partition),
        (0..30).map(|i| i * 2).collect::<Vec<_>>()
    );
    assert!(partition.log().locate(61, 1).is_err());

    let again = open(&disk.after_power_loss(0)).unwrap();
    assert_eq!(offsets(&again), (0..30).map(|i| i * 2).collect::<Vec<_>>());
    // The process died and the machine did not: what the kernel had is kept, and synced.
    let again = open(&disk).unwrap();
    assert_eq!(again.high_watermark(), 70);
}

#[test]
fn a_torn_tail_is_cut_wherever_it_is_torn() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    append(&partition, 1);
    partition.sync().unwrap();
    append(&partition, 2);
    let size = partition.log().end().position as usize;
    for keep in 0..=size / 2 {
        let again = open(&disk.after_power_loss(keep)).unwrap();
        let whole = keep == size / 2;
        assert_eq!(end(&again), if whole { 4 } else { 2 }, "{keep} bytes kept");
        assert_eq!(append(&again, 3).offset, if whole { 4 } else { 2 });
    }
}

#[test]
fn damage_before_the_mark_and_before_sound_batches_is_refused_and_named() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    for i in 0..3 {
        append(&partition, i);
    }
    let batch = partition.log().end().position / 3;
    let segment = segment_path(&folder(), 0);

    // Not synced, but a sound batch follows.
    let damaged = disk.after_power_loss(1 << 20);
    damaged.damage(&segment, |bytes| bytes[batch as usize + 70] ^= 1);
    let Err(Error::Corrupt {
        path,
        position,
        what,
    }) = open(&damaged)
    else {
        panic!("must be refused")
    };
    assert_eq!((path, position), (segment.clone(), batch));
    assert!(what.contains("sound"), "{what}");

    // The last batch, with nothing behind it, but synced.
    partition.sync().unwrap();
    partition.sync_mark().unwrap();
    let damaged = disk.after_power_loss(0);
    damaged.damage(&segment, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let Err(Error::Corrupt { position, what, .. }) = open(&damaged) else {
        panic!("must be refused")
    };
    assert_eq!(position, 2 * batch);
    assert!(what.contains("synced"), "{what}");

    // Shorter than it was synced.
    let damaged = disk.after_power_loss(0);
    damaged.damage(&segment, |bytes| bytes.truncate(batch as usize));
    assert!(matches!(open(&damaged), Err(Error::Corrupt { position, .. }) if position == batch));

    // The mark knows of a segment that is gone.
    let damaged = disk.after_power_loss(0);
    damaged.remove_file(&segment).unwrap();
    assert!(matches!(open(&damaged), Err(Error::Corrupt { .. })));
}

#[test]
fn rolls_keep_everything_and_survive_a_power_loss_unsynced() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    for i in 0..100 {
        append(&partition, i);
    }
    let segments = partition.log().segments();
    assert!(segments > 4, "{segments}");
    // Every roll synced what was before it.
    let rolled = partition.high_watermark();
    let again = open(&disk.after_power_loss(0)).unwrap();
    assert!(rolled <= end(&again) && end(&again) > 150);
    assert_eq!(
        offsets(&again),
        (0..end(&again) / 2).map(|i| i * 2).collect::<Vec<_>>()
    );

    partition.sync().unwrap();
    let closed = segment_path(&folder(), 0);
    let damaged = disk.after_power_loss(0);
    damaged
        .remove_file(&closed.with_extension("index"))
        .unwrap();
    assert_eq!(
        offsets(&open(&damaged).unwrap()).len(),
        100,
        "an index is made again"
    );
    damaged
        .remove_file(&closed.with_extension("index"))
        .unwrap();
    damaged.damage(&closed, |bytes| bytes[100] ^= 1);
    assert!(matches!(open(&damaged), Err(Error::Corrupt { path, .. }) if path == closed));
    let damaged = disk.after_power_loss(0);
    let second = partition.log().closed[1].path.clone();
    damaged.remove_file(&second).unwrap();
    assert!(
        matches!(open(&damaged), Err(Error::Corrupt { .. })),
        "a hole between segments"
    );
}

#[test]
fn producers_are_remembered_over_power_loss_roll_and_clean_stop() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    let send = |partition: &Partition, sequence: i32| {
        let mut batch = batch::build(
            &[NewRecord {
                key: b"k",
                value: Some(&[1; 200]),
            }],
            5,
        );
        batch[43..51].copy_from_slice(&9i64.to_be_bytes());
        batch[51..53].copy_from_slice(&0i16.to_be_bytes());
        batch[53..57].copy_from_slice(&sequence.to_be_bytes());
        let sum = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&sum.to_be_bytes());
        let header = batch::check(&batch, 1 << 20, false).unwrap();
        partition.append(&batch, header, &SETTINGS, 0)
    };
    for sequence in 0..40 {
        send(&partition, sequence).unwrap();
    }
    partition.sync().unwrap();
    assert!(partition.log().segments() > 2);
    let check = |partition: &Partition| {
        let repeated = send(partition, 39).unwrap();
        assert!(repeated.duplicate && repeated.offset == 39);
        assert!(matches!(send(partition, 41), Err(AppendError::OutOfOrder)));
        assert!(!send(partition, 40).unwrap().duplicate);
    };
    check(&open(&disk.after_power_loss(0)).unwrap());
    // Without the snapshots it is read from the log, and what cannot be read is not left out.
    let damaged = disk.after_power_loss(0);
    for name in damaged.list(&folder()).unwrap() {
        if name.ends_with(".producers") {
            damaged.remove_file(&folder().join(name)).unwrap();
        }
    }
    check(&open(&damaged.copy()).unwrap());
    let second = partition.log().closed[1].path.clone();
    for byte in [16, 47, 100] {
        let damaged = damaged.copy();
        damaged.damage(&second, |bytes| bytes[byte] ^= 1);
        let refused = open(&damaged);
        assert!(matches!(refused, Err(Error::Corrupt { path, position: 0, .. }) if path == second));
    }
    partition.close().unwrap();
    let clean: Arc<dyn Disk> = Arc::new(disk.after_power_loss(0));
    check(&Partition::open(&clean, &folder(), SyncMode::Group, true, 0).unwrap());
}

#[test]
fn a_full_disk_refuses_appends_and_goes_on_reading() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    append(&partition, 1);
    partition.sync().unwrap();
    disk.fill_up_after(Some(50));
    assert!(matches!(
        append_with(&partition, 2, &SETTINGS),
        Err(AppendError::Disk(_))
    ));
    assert_eq!(offsets(&partition), [0]);
    disk.fill_up_after(None);
    assert_eq!(append(&partition, 3).offset, 2);
    partition.sync().unwrap();
    assert_eq!(offsets(&open(&disk.after_power_loss(0)).unwrap()), [0, 2]);
}

#[test]
fn a_failed_sync_shows_nothing() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    append(&partition, 1);
    disk.fail_syncs(true);
    assert!(matches!(partition.sync(), Err(Error::Sync { .. })));
    assert_eq!(partition.high_watermark(), 0);
}

#[test]
fn retention_by_time_and_size_and_deletion_survive_a_power_loss() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    for i in 0..100 {
        append(&partition, i * 10);
    }
    partition.sync().unwrap();
    let by_size = LogSettings {
        retention_bytes: 4_000,
        ..SETTINGS
    };
    partition.retain(&by_size, 1_000).unwrap();
    let kept = partition.log().bytes();
    assert!((4_000..6_500).contains(&kept), "{kept}");
    let start = partition.log().start_offset();
    let again = open(&disk.after_power_loss(0)).unwrap();
    assert_eq!((start_of(&again), end(&again)), (start, 200));
    assert!(again.log().locate(start - 1, 1).is_err());

    assert_eq!(partition.delete_before(start + 3).unwrap(), start + 3);
    assert_eq!(
        open(&disk.after_power_loss(0))
            .unwrap()
            .log()
            .start_offset(),
        start + 3
    );

    let by_time = LogSettings {
        retention_ms: 100,
        ..SETTINGS
    };
    partition.retain(&by_time, 100_000).unwrap();
    assert_eq!((start_of(&partition), partition.stats().bytes), (200, 0));
    let again = open(&disk.after_power_loss(0)).unwrap();
    assert_eq!(
        append(&again, 5).offset,
        200,
        "offsets are never given again"
    );
}

#[test]
fn a_read_gives_whole_batches_and_at_least_one_if_asked() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    for i in 0..5 {
        append(&partition, i);
    }
    partition.sync().unwrap();
    let batch = partition.log().end().position as usize / 5;
    let read = |offset, max, at_least_one| {
        let place = partition.log().locate(offset, max).unwrap().unwrap();
        place.read(offset, max, at_least_one).unwrap().len()
    };
    assert_eq!(read(0, batch * 3 + 5, false), batch * 3);
    assert_eq!(
        read(3, batch * 2, false),
        batch * 2,
        "from the batch that holds offset 3"
    );
    assert_eq!(read(0, 1, true), batch);
    assert_eq!(read(0, 1, false), 0);
    assert_eq!(read(8, 1 << 20, false), batch);
}

#[test]
fn after_a_failed_sync_in_a_roll_nothing_is_ever_called_synced() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    append(&partition, 1);
    disk.fail_syncs(true);
    assert!(matches!(
        partition.roll_if_full(1 << 20, &SETTINGS, 0),
        Err(Error::Sync { .. })
    ));
    // The kernel forgets that it failed.
    disk.fail_syncs(false);
    assert!(matches!(partition.sync(), Err(Error::Sync { .. })));
    assert!(matches!(partition.close(), Err(Error::Sync { .. })));
    assert_eq!(partition.high_watermark(), 0);
}
