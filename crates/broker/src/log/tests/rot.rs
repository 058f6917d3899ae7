//! Bits that turn where no sum sees it: in a batch's first 21 bytes.

use super::*;
use crate::batch::SUM_FROM;
use crate::log::{Damage, Found};

const BATCHES: i64 = 60;
const RECORDS: i64 = 2;

/// A log of several segments, of which batch `i` has the time `10 * i`; and the segment of a batch
/// in the middle of it, with the place of the batch there.
fn filled(batch: i64) -> (SimDisk, Partition, Damage, PathBuf) {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    for i in 0..BATCHES {
        append(&partition, 10 * i);
    }
    partition.sync().unwrap();
    let log = partition.log();
    let (last, size) = (log.active.base, log.end().position);
    let size = size / ((BATCHES * RECORDS - last) / RECORDS) as u64;
    let offset = batch * RECORDS;
    let closed = log
        .closed
        .iter()
        .find(|segment| segment.next_offset > offset);
    let segment = closed.map_or(log.active.base, |segment| segment.base);
    drop(log);
    let position = ((offset - segment) / RECORDS) as u64 * size;
    let path = segment_path(&folder(), segment);
    (disk, partition, Damage { segment, position }, path)
}

/// The offsets that come with their batches, and why no more do.
fn read(partition: &Partition, max: usize) -> (Vec<i64>, Option<ReadError>) {
    let (mut offset, mut seen) = (0, Vec::new());
    while let Some(place) = partition.log().locate(offset, max).unwrap() {
        let bytes = match place.read(offset, max, true) {
            Ok(bytes) => bytes,
            Err(error) => return (seen, Some(error)),
        };
        assert!(!bytes.is_empty(), "silence at {offset}");
        let mut rest = &bytes[..];
        while let Some(header) = Header::parse(rest) {
            seen.push(header.base_offset);
            offset = header.next_offset();
            rest = &rest[header.size..];
        }
        assert!(rest.is_empty(), "no batch is behind {offset}");
    }
    (seen, None)
}

/// Each bit, in a closed segment and in the one that is written, read in small pieces and large.
#[test]
fn a_reader_gets_what_is_right_up_to_the_rotten_header_and_then_its_name() {
    let all: Vec<_> = (0..BATCHES).map(|i| i * RECORDS).collect();
    for batch in [17, BATCHES - 2, BATCHES - 1] {
        let (disk, partition, damage, path) = filled(batch);
        for (at, bit) in (0..SUM_FROM).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let turn = || {
                disk.damage(&path, |bytes| {
                    bytes[damage.position as usize + at] ^= 1 << bit
                })
            };
            turn();
            for max in [1, 250, 1_000, 1 << 20] {
                let (seen, error) = read(&partition, max);
                let what = format!("bit {bit} of byte {at} of batch {batch}, {max} at once");
                match at {
                    // The leader's epoch means nothing here; the sum is for who reads records.
                    12..=15 | 17..=20 => {
                        assert!(seen == all && error.is_none(), "{what}: {seen:?} {error:?}");
                    }
                    _ => {
                        assert_eq!(seen, all[..batch as usize], "{what}: {error:?}");
                        let Some(ReadError::Damaged { damage: named, .. }) = error else {
                            panic!("{what}: {error:?}");
                        };
                        assert_eq!(named, damage, "{what}");
                    }
                }
            }
            turn();
        }
        assert_eq!(read(&partition, 1_000).0, all);
    }
}

/// A fetch has memory for what it asks for, or for one batch.
#[test]
fn a_rotten_length_is_found_before_there_is_memory_for_it() {
    for batch in [17, BATCHES - 2, BATCHES - 1] {
        let (disk, partition, damage, path) = filled(batch);
        let offset = batch * RECORDS;
        let find = || {
            let place = partition.log().locate(offset, 1).unwrap().unwrap();
            place.find(offset, 1, true)
        };
        let sound = find().unwrap().unwrap().size();
        for (at, bit) in (8..12).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let turn = |at: usize| {
                disk.damage(&path, |bytes| {
                    bytes[damage.position as usize + at] ^= 1 << bit
                })
            };
            turn(at);
            match find() {
                Err(ReadError::Damaged { damage: named, .. }) => assert_eq!(named, damage),
                found => panic!("bit {bit} of byte {at} of batch {batch}: {found:?}"),
            }
            turn(at);
            if batch + 1 < BATCHES {
                // What follows is rotten, and says nothing against this one.
                turn(sound + at);
                assert_eq!(find().unwrap().unwrap().size(), sound);
                turn(sound + at);
            }
        }
    }
}

#[test]
fn a_time_is_looked_up_rightly_or_not_at_all() {
    let batch = 17;
    let (disk, partition, damage, path) = filled(batch);
    for (at, bit) in (0..SUM_FROM).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let turn = || {
            disk.damage(&path, |bytes| {
                bytes[damage.position as usize + at] ^= 1 << bit
            })
        };
        turn();
        for i in 0..BATCHES {
            let right = Found {
                offset: i * RECORDS,
                timestamp: 10 * i,
            };
            match partition.find_time(10 * i) {
                Ok(found) => assert_eq!(found, Some(right), "bit {bit} of byte {at}"),
                Err(error) => assert!(i >= batch, "bit {bit} of byte {at}, batch {i}: {error}"),
            }
        }
        for place in partition.log().locate_time(i64::MIN) {
            // It ends.
            let _ = place.newest();
        }
        turn();
    }
}
