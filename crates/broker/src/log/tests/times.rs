//! Look-ups by time, in batches of every codec.

use super::*;
use crate::batch::{Codec, Sender, build_as};
use crate::log::Found;

const CODECS: [Codec; 5] = [
    Codec::None,
    Codec::Gzip,
    Codec::Snappy,
    Codec::Lz4,
    Codec::Zstd,
];

fn append_times(partition: &Partition, times: &[i64], codec: Codec) {
    let record = NewRecord {
        key: b"key",
        value: Some(&[7; 20]),
    };
    let records: Vec<_> = times.iter().map(|time| (record, *time)).collect();
    let batch = build_as(&records, codec, Sender::default());
    let header = batch::check(&batch, 1 << 20, false).unwrap();
    partition.append(&batch, header, &SETTINGS, 0).unwrap();
}

/// Not sorted by time, within a batch or over them.
fn times() -> Vec<i64> {
    let jitter = |i: i64| match i % 7 {
        3 => -25,
        5 => 12,
        _ => 0,
    };
    (0..200).map(|i| 1_000 + i * 10 + jitter(i)).collect()
}

fn first_from(times: &[i64], from: usize, wanted: i64) -> Option<Found> {
    let at = (from..times.len()).find(|at| times[*at] >= wanted)?;
    Some(Found {
        offset: at as i64,
        timestamp: times[at],
    })
}

#[test]
fn the_first_record_that_is_not_older_is_found_inside_of_any_batch() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    let times = times();
    for (i, times) in times.chunks(4).enumerate() {
        append_times(&partition, times, CODECS[i % 5]);
    }
    assert!(partition.log().segments() > 3);
    partition.sync().unwrap();
    let again = open(&disk.after_power_loss(0)).unwrap();
    for partition in [&partition, &again] {
        for wanted in 900..3_100 {
            let found = partition.find_time(wanted).unwrap();
            assert_eq!(found, first_from(&times, 0, wanted), "time {wanted}");
        }
    }
    // Records before the start are not found, though their batch is there.
    for start in [1, 6, 103] {
        partition.delete_before(start).unwrap();
        for wanted in (900..3_100).step_by(7) {
            let found = partition.find_time(wanted).unwrap();
            assert_eq!(found, first_from(&times, start as usize, wanted));
        }
    }
}

#[test]
fn the_newest_record_is_the_first_with_the_largest_timestamp_that_can_be_read() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    assert_eq!(partition.newest().unwrap(), None);
    append_times(&partition, &[5, 90, 7, 90], Codec::Lz4);
    append_times(&partition, &[90, 80], Codec::Zstd);
    let newest = |partition: &Partition| {
        let found = partition.newest().unwrap();
        found.map(|found| (found.offset, found.timestamp))
    };
    assert_eq!(newest(&partition), None, "nothing is synced");
    partition.sync().unwrap();
    assert_eq!(newest(&partition), Some((1, 90)));
    append_times(&partition, &[100], Codec::None);
    assert_eq!(newest(&partition), Some((1, 90)), "it is not synced");
    partition.sync().unwrap();
    assert_eq!(newest(&partition), Some((6, 100)));
    append_times(&partition, &[2, 3], Codec::Gzip);
    partition.sync().unwrap();
    partition.delete_before(7).unwrap();
    assert_eq!(newest(&partition), Some((8, 3)), "the rest is deleted");
    partition.delete_before(9).unwrap();
    assert_eq!(newest(&partition), None);
}

#[test]
fn a_batch_that_lies_about_its_largest_timestamp_is_put_right() {
    for codec in CODECS {
        let disk = new_disk();
        let partition = open(&disk).unwrap();
        let record = NewRecord {
            key: b"k",
            value: None,
        };
        let mut batch = build_as(
            &[(record, 10), (record, 700), (record, 20)],
            codec,
            Sender::default(),
        );
        batch[35..43].copy_from_slice(&15i64.to_be_bytes());
        let sum = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&sum.to_be_bytes());
        let header = batch::check(&batch, 1 << 20, false).unwrap();
        partition.append(&batch, header, &SETTINGS, 0).unwrap();
        partition.sync().unwrap();
        let found = partition.find_time(600).unwrap().unwrap();
        assert_eq!((found.offset, found.timestamp), (1, 700), "{codec:?}");
    }
}
