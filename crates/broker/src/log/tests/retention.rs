//! Which segments time, size and a moved start take.

use super::*;
use crate::clock::now_ms;

fn filled(disk: &SimDisk) -> Partition {
    let partition = open(disk).unwrap();
    for i in 0..100 {
        append(&partition, i * 10);
    }
    partition.sync().unwrap();
    partition
}

fn retain(partition: &Partition, settings: LogSettings, now_ms: i64) -> (i64, usize) {
    partition.retain(&settings, now_ms).unwrap();
    let log = partition.log();
    (log.start_offset(), log.segments())
}

#[test]
fn a_segment_stays_while_any_record_in_it_is_young() {
    let disk = new_disk();
    let partition = filled(&disk);
    let settings = LogSettings {
        retention_ms: 100,
        ..SETTINGS
    };
    let (first_newest, second_newest) = {
        let log = partition.log();
        (log.closed[0].newest, log.closed[1].newest)
    };
    assert_eq!(retain(&partition, settings, first_newest + 100).0, 0);
    let second = partition.log().closed[1].base;
    assert_eq!(retain(&partition, settings, second_newest + 100).0, second);
}

#[test]
fn size_takes_only_what_leaves_enough_and_takes_all_for_zero() {
    let disk = new_disk();
    let partition = filled(&disk);
    let (bytes, first) = {
        let log = partition.log();
        (log.bytes(), log.closed[0].size)
    };
    let keep = |bytes: u64| LogSettings {
        retention_bytes: bytes as i64,
        ..SETTINGS
    };
    assert_eq!(retain(&partition, keep(bytes - first + 1), 0).0, 0);
    let second = partition.log().closed[1].base;
    assert_eq!(retain(&partition, keep(bytes - first), 0).0, second);
    assert_eq!(retain(&partition, keep(0), 0), (200, 1));
    assert_eq!(partition.log().bytes(), 0);
    assert_eq!(append(&partition, 5).offset, 200);
    assert_eq!(start_of(&open(&disk.after_power_loss(0)).unwrap()), 200);
}

#[test]
fn a_compacted_log_loses_only_what_is_before_its_start() {
    let disk = new_disk();
    let partition = filled(&disk);
    let compacted = LogSettings {
        deletes: false,
        retention_ms: 1,
        retention_bytes: 1,
        ..SETTINGS
    };
    let segments = partition.log().segments();
    assert_eq!(retain(&partition, compacted, i64::MAX), (0, segments));
    let second = partition.log().closed[1].base;
    partition.delete_before(second + 1).unwrap();
    assert_eq!(
        retain(&partition, compacted, i64::MAX),
        (second + 1, segments - 1)
    );
    // What is written is kept, though all of it is before the start.
    partition.delete_before(200).unwrap();
    assert_eq!(retain(&partition, compacted, i64::MAX), (200, 1));
    assert!(partition.log().bytes() > 0);
}

/// A repair leaves empty batches, which have no timestamp; what is behind them must not stay.
#[test]
fn without_timestamps_the_time_of_the_last_write_counts() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    let begin = now_ms();
    while partition.log().segments() < 3 {
        append(&partition, -1);
    }
    append(&partition, begin);
    partition.sync().unwrap();
    let settings = LogSettings {
        retention_ms: 60_000,
        ..SETTINGS
    };
    assert_eq!(retain(&partition, settings, begin + 60_000), (0, 3));
    let end = end(&partition);
    let later = now_ms() + 60_001;
    assert_eq!(retain(&partition, settings, later), (end, 1));
}
