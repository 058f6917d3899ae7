//! Compaction against a plain model, and what others see of it.

mod due;
mod interrupted;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Appended, Compaction, LogSettings};
use super::*;
use crate::SyncMode;
use crate::batch::{self, Codec, NewRecord, Sender, build_as};
use crate::file::sim::SimDisk;
use crate::partition::Partition;

const SETTINGS: LogSettings = LogSettings {
    segment_bytes: 700,
    segment_ms: i64::MAX,
    deletes: false,
    retention_ms: -1,
    retention_bytes: -1,
    compaction: Some(EAGER),
    append_time: false,
};

const EAGER: Compaction = Compaction {
    delete_retention_ms: 100,
    min_cleanable_dirty_ratio: 0.0,
    min_compaction_lag_ms: 0,
    max_compaction_lag_ms: i64::MAX,
};

const CODECS: [Codec; 5] = [
    Codec::None,
    Codec::Gzip,
    Codec::Snappy,
    Codec::Lz4,
    Codec::Zstd,
];

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

/// A record as the model has it: its key, and its value or a tombstone.
type Written = (u8, Option<u32>);

fn append(partition: &Partition, records: &[Written], codec: Codec, sender: Sender) -> Appended {
    let values: Vec<_> = records
        .iter()
        .map(|(_, value)| value.map(|value| [value.to_be_bytes(); 8].concat()))
        .collect();
    let keys: Vec<_> = records.iter().map(|(key, _)| [*key]).collect();
    let records: Vec<_> = keys
        .iter()
        .zip(&values)
        .map(|(key, value)| {
            let value = value.as_deref();
            (NewRecord { key, value }, 1_000)
        })
        .collect();
    let batch = build_as(&records, codec, sender);
    let header = batch::check(&batch, 1 << 20, true).unwrap();
    partition.append(&batch, header, &SETTINGS, 0).unwrap()
}

fn compact(partition: &Partition, most_keys: usize, now_ms: i64) -> Result<Option<Pass>, Error> {
    let cleaning = partition.log().cleaning(&SETTINGS, now_ms);
    let Some(cleaning) = cleaning else {
        return Ok(None);
    };
    cleaning
        .run_with(most_keys, now_ms, &|| true, &|work| {
            work(&mut partition.log())
        })
        .map(Some)
}

/// All records, as a reader gets them who asks for one offset after the other.
fn read(partition: &Partition) -> BTreeMap<i64, Written> {
    let mut seen = BTreeMap::new();
    let mut offset = partition.log().start_offset();
    loop {
        let place = partition.log().locate(offset, 1).unwrap();
        let Some(place) = place else { return seen };
        let bytes = place.read(offset, 1, true).unwrap();
        let header = Header::parse(&bytes).unwrap();
        assert_eq!(header.size, bytes.len());
        assert!(batch::sum_is_right(&bytes) && header.next_offset() > offset);
        let unpacked = unpack(&header, &bytes).unwrap();
        let mut count = 0;
        for record in Records::new(&header, &unpacked) {
            let record = record.unwrap();
            assert_eq!(record.timestamp, 1_000);
            let value = record.value.map(|value| value[..4].try_into().unwrap());
            let value = value.map(u32::from_be_bytes);
            let fresh = seen.insert(record.offset, (record.key.unwrap()[0], value));
            assert_eq!(fresh, None);
            count += 1;
        }
        assert_eq!(header.records, count);
        offset = header.next_offset();
    }
}

/// What a pass over everything before `until` leaves of `log`, while no tombstone may go yet.
fn model(log: &BTreeMap<i64, Written>, until: i64) -> BTreeMap<i64, Written> {
    let newest: BTreeMap<u8, i64> = log
        .range(..until)
        .map(|(offset, (key, _))| (*key, *offset))
        .collect();
    let left = log
        .iter()
        .filter(|(offset, (key, _))| **offset >= until || newest[key] == **offset);
    left.map(|(offset, record)| (*offset, *record)).collect()
}

fn active_base(partition: &Partition) -> i64 {
    partition.log().active.base
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_last_record_of_each_key_stays_where_it_was(
        rounds in prop::collection::vec(
            (
                prop::collection::vec(
                    (
                        prop::collection::vec((0..12u8, prop::option::weighted(0.8, any::<u32>())), 1..6),
                        0..CODECS.len(),
                    ),
                    1..25,
                ),
                2..20usize,
            ),
            1..4,
        ),
    ) {
        let disk = new_disk();
        let mut partition = open(&disk).unwrap();
        let mut log = BTreeMap::new();
        for (i, (batches, most_keys)) in rounds.iter().enumerate() {
            for (records, codec) in batches {
                let at = append(&partition, records, CODECS[*codec], Sender::default()).offset;
                log.extend((at..).zip(records.iter().copied()));
            }
            partition.sync().unwrap();
            let before = read(&partition);
            prop_assert_eq!(&before, &log);
            let until = active_base(&partition);
            let segments = partition.log().segments();
            // Early enough that no tombstone goes.
            let now = 50 * i as i64 / rounds.len() as i64;
            let mut passes = 0;
            while let Some(pass) = compact(&partition, *most_keys, now).unwrap() {
                passes += 1;
                prop_assert!(passes < 500);
                if pass == Pass::Done {
                    break;
                }
            }
            log = model(&log, until);
            prop_assert_eq!(read(&partition), log.clone());
            prop_assert!(partition.log().segments() <= segments);
            prop_assert_eq!(compact(&partition, *most_keys, now).unwrap(), None);

            // Nothing of it is forgotten, with the indexes or without.
            let again = disk.after_power_loss(0);
            prop_assert_eq!(read(&open(&again).unwrap()), log.clone());
            for name in again.list(&folder()).unwrap() {
                if name.ends_with(".index") || name.ends_with(".producers") {
                    again.remove_file(&folder().join(name)).unwrap();
                }
            }
            partition = open(&again).unwrap();
            prop_assert_eq!(read(&partition), log.clone());
            prop_assert_eq!(active_base(&partition), until);
            partition = open(&disk.copy()).unwrap();
            drop(partition);
            partition = open(&disk).unwrap();
        }
    }
}

/// Six keys over and over, so that most of it is superfluous.
fn fill(partition: &Partition, batches: u32) {
    for i in 0..batches {
        let value = (i % 5 != 4).then_some(i);
        let records = [((i % 6) as u8, value), ((i % 4) as u8, Some(i))];
        append(
            partition,
            &records,
            CODECS[i as usize % 5],
            Sender::default(),
        );
    }
    partition.sync().unwrap();
}

#[test]
fn an_idempotent_producer_goes_on_after_compaction_without_its_snapshots() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    let send = |partition: &Partition, sequence: i32| {
        let sender = Sender {
            producer_id: 7,
            producer_epoch: 2,
            base_sequence: sequence,
        };
        append(
            partition,
            &[(1, Some(sequence as u32))],
            Codec::Zstd,
            sender,
        )
    };
    for sequence in 0..10 {
        send(&partition, sequence);
    }
    fill(&partition, 60);
    // Key 1 stands behind: all records of the producer are superfluous.
    compact(&partition, 100, 0).unwrap();
    let offset = 9;
    assert!(read(&partition).range(..=offset).next().is_none());
    for name in disk.list(&folder()).unwrap() {
        if name.ends_with(".producers") {
            disk.remove_file(&folder().join(name)).unwrap();
        }
    }
    let partition = open(&disk).unwrap();
    let repeated = send(&partition, 9);
    assert!(repeated.duplicate && repeated.offset == offset);
    assert!(!send(&partition, 10).duplicate);
    // It is not the last batch any more.
    fill(&partition, 60);
    compact(&partition, 100, 0).unwrap();
    let place = partition.log().locate(0, 1).unwrap().unwrap();
    let first = Header::parse(&place.read(0, 1, true).unwrap()).unwrap();
    assert!(first.next_offset() > offset + 1, "{first:?}");
}

#[test]
fn readers_of_a_segment_that_is_replaced_or_removed_go_on() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    fill(&partition, 60);
    let all = read(&partition);
    let places: Vec<_> = (0..active_base(&partition))
        .map(|offset| (offset, partition.log().locate(offset, 1).unwrap().unwrap()))
        .collect();
    let times = partition.log().locate_time(1_000);
    compact(&partition, 100, 0).unwrap();
    assert!(read(&partition).len() < all.len());
    let check = || {
        for (offset, place) in &places {
            let bytes = place.read(*offset, 1, true).unwrap();
            let header = Header::parse(&bytes).unwrap();
            assert!((header.base_offset..header.next_offset()).contains(offset));
        }
        for place in &times {
            place.find_time(1_000).unwrap().unwrap();
        }
    };
    check();
    let settings = LogSettings {
        deletes: true,
        retention_bytes: 0,
        ..SETTINGS
    };
    partition.retain(&settings, 0).unwrap();
    assert!(read(&partition).is_empty());
    check();
}

#[test]
fn damage_is_named_and_nothing_is_replaced() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    fill(&partition, 60);
    let damaged = partition.log().closed[1].path.clone();
    let names = disk.list(&folder()).unwrap();
    // The base offset is in no sum, and all the batch's records would move with it.
    for byte in [7, 70] {
        disk.damage(&damaged, |bytes| bytes[byte] ^= 1);
        let error = compact(&partition, 100, 0).unwrap_err();
        assert!(
            matches!(&error, Error::Corrupt { path, position: 0, .. } if *path == damaged),
            "byte {byte}: {error}"
        );
        assert_eq!(disk.list(&folder()).unwrap(), names);
        disk.damage(&damaged, |bytes| bytes[byte] ^= 1);
    }
}

#[test]
fn the_newest_record_is_found_when_its_batch_is_empty() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    fill(&partition, 60);
    let first = partition.newest().unwrap().unwrap();
    assert_eq!((first.offset, first.timestamp), (0, 1_000));
    compact(&partition, 100, 0).unwrap();
    let first = *read(&partition).keys().next().unwrap();
    assert!(first > 0);
    assert_eq!(partition.newest().unwrap().unwrap().offset, first);
    assert_eq!(partition.find_time(5).unwrap().unwrap().offset, first);
}
