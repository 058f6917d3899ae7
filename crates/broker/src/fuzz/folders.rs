//! Every kind of file of a stopped broker, damaged.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::{fuzz, mutate, within};
use crate::batch::{self, Header, NewRecord};
use crate::broker::{self, Stores};
use crate::clock::simulated;
use crate::file::Disk;
use crate::file::sim::SimDisk;
use crate::offsets::{Committed, Key};
use crate::partition::Partition;
use crate::server::Server;
use crate::topics::TopicName;
use crate::topics::config::TopicConfig;
use crate::{BrokerConfig, Error};

/// What an open may hold: chunks of files, however large they say that they are.
const MOST_BYTES: usize = 16 << 20;

pub(super) fn open(disk: &SimDisk) -> Result<Server, Error> {
    let mut config = BrokerConfig::new("data");
    config.sync_threads = 0;
    let stores = Stores::open(&config, Arc::new(disk.clone()))?;
    stores.serve(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 9092)))
}

/// A folder with a topic of several segments, a deleted beginning, producers and offsets.
fn fill(disk: &SimDisk, rng: &mut StdRng) -> Vec<i64> {
    let server = open(disk).unwrap();
    let mut config = TopicConfig::default();
    config.set("segment.bytes", "700").unwrap();
    let name = TopicName::parse("orders").unwrap();
    let topic = server
        .topics
        .create(name, 1, config, 0, |_| Ok(()))
        .unwrap();
    let partition = &topic.partitions[0];
    for i in 0..rng.random_range(3..20) {
        let value = vec![i as u8; rng.random_range(0..200)];
        let batch = batch::build(
            &[NewRecord {
                key: b"key",
                value: Some(&value),
            }],
            i,
        );
        let header = batch::check(&batch, 1 << 20, false).unwrap();
        partition
            .append(&batch, header, &topic.log_settings, i)
            .unwrap();
    }
    partition.sync().unwrap();
    partition.delete_before(1).unwrap();
    let key = Key {
        group: "g".into(),
        topic: "orders".into(),
        partition: 0,
    };
    let committed = Committed {
        offset: 2,
        leader_epoch: -1,
        metadata: String::new(),
    };
    let pending = server
        .coordinator
        .offsets
        .commit(vec![(key, committed)], 0)
        .unwrap();
    pending.log.sync().unwrap();
    server.producer_ids.next().unwrap();
    if rng.random() {
        broker::close(&server).unwrap();
    } else {
        partition.sync_mark().unwrap();
    }
    offsets(partition).unwrap()
}

/// The offsets of all batches that can be read, whose sums are right.
fn offsets(partition: &Partition) -> std::io::Result<Vec<i64>> {
    let mut offset = partition.log().start_offset();
    let mut seen = Vec::new();
    while let Ok(Some(place)) = partition.log().locate(offset, 1 << 20) {
        let bytes = place.read(offset, 1 << 20, true)?;
        let Some(header) = Header::parse(&bytes).filter(|header| header.size <= bytes.len()) else {
            break;
        };
        if batch::sum_is_right(&bytes[..header.size]) && header.base_offset >= offset {
            seen.push(header.base_offset);
        }
        if header.next_offset() <= offset {
            break;
        }
        offset = header.next_offset();
    }
    Ok(seen)
}

fn files(disk: &SimDisk, folder: &Path) -> Vec<PathBuf> {
    let Ok(names) = disk.list(folder) else {
        return vec![folder.to_owned()];
    };
    names
        .iter()
        .flat_map(|name| files(disk, &folder.join(name)))
        .collect()
}

#[test]
fn folders() {
    let _clock = simulated::begin(1_000_000_000_000);
    fuzz("folders", |rng| {
        let disk = SimDisk::seeded(rng.random());
        let before = fill(&disk, rng);
        let disk = disk.kill();
        let files = files(&disk, Path::new("data"));
        let path = files.choose(rng).unwrap();
        match rng.random_range(0..6) {
            0 => disk.remove_file(path).unwrap(),
            1 => disk.damage(path, |bytes| bytes.fill(0)),
            _ => disk.damage(path, |bytes| mutate(bytes, rng)),
        }
        let opened = match within(MOST_BYTES, || open(&disk)) {
            Ok(server) => server,
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("data"), "the error names no file: {text}");
                return;
            }
        };
        // Files of text have no sums; what they say is believed.
        let kind = path.extension().and_then(|kind| kind.to_str());
        let is_of_topic = path.to_string_lossy().contains("orders~");
        let is_text = kind.is_none() && !path.ends_with("mark");
        if !is_of_topic || is_text {
            return;
        }
        let topic = opened.topics.find("orders").expect("the topic is there");
        let partition = &topic.partitions[0];
        let end = before.last().map_or(0, |last| last + 1);
        let found = partition.high_watermark();
        assert!(
            found >= end,
            "{path:?} is damaged, and the log ends at {found} instead of {end}"
        );
        // Batches of closed segments are not read by a start; readers see by their sums.
        if kind != Some("log") {
            let after = offsets(partition).unwrap();
            assert!(
                before.iter().all(|offset| after.contains(offset)),
                "{path:?} is damaged, and of {before:?} there are {after:?}"
            );
        }
    });
}
