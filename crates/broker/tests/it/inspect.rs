//! Damage is named by file and byte, and a repair loses nothing that was not damaged.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use compline_broker::inspect::{Finding, Inspector, PartitionFacts, Severity};
use compline_broker::repair::Repair;
use compline_broker::{Broker, Error};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tempfile::TempDir;

use crate::client::{Street, WAIT, config, consumer, send, start, start_with};

const RECORDS: i64 = 60;
const COMMITTED: i64 = 41;

/// A stopped log of several segments, with a group.
async fn log() -> TempDir {
    let street = start().await;
    street.topic("t", 1, &[("segment.bytes", "1500")]).await;
    let producer = street.producer();
    for i in 0..RECORDS {
        assert_eq!(
            send(&producer, "t", 0, "k", &format!("value-{i:04}")).await,
            (0, i)
        );
    }
    commit(&street);
    let Street { broker, folder } = street;
    broker.stop().await.unwrap();
    folder
}

fn commit(street: &Street) {
    let reader = consumer(&mut street.client(), "readers");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(COMMITTED))
        .unwrap();
    reader.commit(&list, CommitMode::Sync).unwrap();
}

fn committed(street: &Street) -> Offset {
    let reader = consumer(&mut street.client(), "readers");
    let mut list = TopicPartitionList::new();
    list.add_partition("t", 0);
    let found = reader.committed_offsets(list, WAIT).unwrap();
    found.elements()[0].offset()
}

fn partition(folder: &Path) -> PartitionFacts {
    let inspector = Inspector::open(&folder.join("log")).unwrap();
    let topics = inspector.topics().unwrap();
    inspector
        .partition(&topics[0].partitions[0], |_| true)
        .unwrap()
}

/// Position and size of the batch at each offset, with its file.
fn batches(folder: &Path) -> BTreeMap<i64, (PathBuf, u64, u64)> {
    let inspector = Inspector::open(&folder.join("log")).unwrap();
    let topics = inspector.topics().unwrap();
    let mut batches = BTreeMap::new();
    inspector
        .partition(&topics[0].partitions[0], |batch| {
            let place = (batch.segment.to_owned(), batch.position, batch.bytes);
            batches.insert(batch.first_offset, place);
            true
        })
        .unwrap();
    batches
}

fn flip(path: &Path, position: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], position).unwrap();
}

fn cut(path: &Path, bytes: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes)
        .unwrap();
}

fn add(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// Repairs, then shows that the broker opens, that just `lost` is gone, and that no
/// offset is given again.
async fn repaired(folder: TempDir, lost: &[i64]) -> TempDir {
    let log = folder.path().join("log");
    let plan = Repair::plan(&log).unwrap();
    assert_eq!(plan.beyond(), []);
    let told: i64 = plan.cuts().map(|cut| cut.lost.end - cut.lost.start).sum();
    assert_eq!(
        told,
        lost.len() as i64,
        "{:?}",
        plan.cuts().collect::<Vec<_>>()
    );
    plan.apply(&log.join("cut")).unwrap();

    let facts = partition(folder.path());
    let worse: Vec<&Finding> = (facts.findings.iter())
        .filter(|finding| finding.severity > Severity::Note)
        .collect();
    assert!(worse.is_empty(), "{worse:?}");
    assert_eq!(facts.end_offset, RECORDS);

    let broker = Broker::open(config(folder.path())).await.unwrap().start();
    let street = Street { broker, folder };
    let expected: Vec<i64> = (0..RECORDS)
        .filter(|offset| !lost.contains(offset))
        .collect();
    let read = street.read_all("t", expected.len()).await;
    let found: Vec<i64> = read.iter().map(|message| message.offset()).collect();
    assert_eq!(found, expected);
    for message in &read {
        let value = message.payload().unwrap();
        assert_eq!(value, format!("value-{:04}", message.offset()).as_bytes());
    }
    assert_eq!(committed(&street), Offset::Offset(COMMITTED));
    let next = send(&street.producer(), "t", 0, "k", "new").await;
    assert_eq!(next, (0, RECORDS));
    let Street { broker, folder } = street;
    broker.stop().await.unwrap();
    folder
}

fn damages(facts: &PartitionFacts) -> Vec<&Finding> {
    let damages = facts.findings.iter();
    damages
        .filter(|finding| finding.severity == Severity::Damage)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_log_is_told_as_it_is() {
    let folder = log().await;
    let facts = partition(folder.path());
    assert_eq!(facts.findings, []);
    assert_eq!((facts.start_offset, facts.end_offset), (0, RECORDS));
    assert_eq!(facts.synced_offset, Some(RECORDS));
    assert!(facts.segments.len() > 3, "{:?}", facts.segments);
    let records: u64 = facts.segments.iter().map(|segment| segment.records).sum();
    assert_eq!(records, RECORDS as u64);
    assert_eq!(facts.producers.len(), 1);
    assert_eq!(facts.producers[0].last_offset, RECORDS - 1);

    let inspector = Inspector::open(&folder.path().join("log")).unwrap();
    let committed = inspector.committed().unwrap();
    assert_eq!(committed.len(), 1);
    assert_eq!(
        (committed[0].group.as_str(), committed[0].offset),
        ("readers", COMMITTED)
    );
    let topics = inspector.topics().unwrap();
    let set = ("segment.bytes".to_owned(), "1500".to_owned());
    assert_eq!(topics[0].settings, [set]);
    assert!(inspector.facts().unwrap().clean);
    drop(inspector);
    assert_eq!(
        Repair::plan(&folder.path().join("log"))
            .unwrap()
            .cuts()
            .count(),
        0
    );

    let broker = Broker::open(config(folder.path())).await.unwrap();
    for refused in [
        Inspector::open(&folder.path().join("log")).err(),
        Repair::plan(&folder.path().join("log")).err(),
    ] {
        assert!(matches!(refused, Some(Error::InUse { .. })), "{refused:?}");
    }
    drop(broker);
    let foreign = Inspector::open(folder.path());
    assert!(matches!(foreign, Err(Error::Format { .. })), "{foreign:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_costs_its_batch() {
    let folder = log().await;
    let (path, position, size) = batches(folder.path())[&23].clone();
    flip(&path, position + size - 2);
    let facts = partition(folder.path());
    let [damage] = damages(&facts)[..] else {
        panic!("{:?}", facts.findings);
    };
    assert_eq!(damage.path, path);
    assert_eq!(damage.bytes, position..position + size);
    assert_eq!((damage.lost.clone(), damage.acknowledged), (23..24, true));
    let said = damage.to_string();
    assert!(
        said.contains(&format!("at byte {position}: the batch's sum is wrong")),
        "{said}"
    );

    let folder = repaired(folder, &[23]).await;
    let kept = folder.path().join("log/cut");
    let name = format!("{position}-{}", position + size);
    let below = path.strip_prefix(folder.path().join("log")).unwrap();
    assert_eq!(
        fs::metadata(kept.join(below).join(name)).unwrap().len(),
        size
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_offset_and_the_length_of_a_batch_are_not_believed() {
    for byte in [5, 7, 8, 10, 11, 16] {
        let folder = log().await;
        let (path, position, _) = batches(folder.path())[&23].clone();
        flip(&path, position + byte);
        let facts = partition(folder.path());
        assert_eq!(damages(&facts).len(), 1, "{byte}: {:?}", facts.findings);
        repaired(folder, &[23]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_ends_early_costs_what_is_missing() {
    let folder = log().await;
    let segments = partition(folder.path()).segments;
    // In the middle of a batch, and between two.
    for (segment, inside) in [(1, true), (1, false), (segments.len() - 1, true)] {
        let folder = log().await;
        let all = batches(folder.path());
        let facts = &partition(folder.path()).segments[segment];
        let last = facts.next_offset - 1;
        let (_, _, size) = all[&last];
        cut(&facts.path, if inside { size / 2 } else { size });
        let found = partition(folder.path());
        assert_eq!(damages(&found).len(), 1, "{:?}", found.findings);
        repaired(folder, &[last]).await;
    }
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_or_missing_segment_costs_its_offsets() {
    for (number, foreign) in [(2, true), (2, false), (0, false)] {
        let folder = log().await;
        let segment = partition(folder.path()).segments[number].clone();
        match foreign {
            true => fs::write(&segment.path, b"GIF89a and so on".repeat(40)).unwrap(),
            false => fs::remove_file(&segment.path).unwrap(),
        }
        let refused = Broker::open(config(folder.path())).await.unwrap_err();
        assert!(matches!(refused, Error::Corrupt { .. }), "{refused:?}");
        let found = partition(folder.path());
        let [damage] = damages(&found)[..] else {
            panic!("{:?}", found.findings);
        };
        assert_eq!(damage.lost, segment.first_offset..segment.next_offset);
        let lost: Vec<i64> = damage.lost.clone().collect();
        repaired(folder, &lost).await;
    }
}

/// Its offsets would be given again.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_without_its_files_is_not_begun_anew() {
    // After a stop in order it had files; after a crash, what producers did tells of them.
    for is_clean in [true, false] {
        let folder = log().await;
        let emptied = partition(folder.path()).segments[0].path.with_file_name("");
        for file in fs::read_dir(emptied).unwrap() {
            let path = file.unwrap().path();
            if is_clean || path.extension().is_none_or(|kind| kind != "producers") {
                fs::remove_file(path).unwrap();
            }
        }
        if !is_clean {
            fs::remove_file(folder.path().join("log/clean")).unwrap();
        }
        let refused = Broker::open(config(folder.path())).await.unwrap_err();
        assert!(matches!(refused, Error::Corrupt { .. }), "{refused:?}");
    }
}

/// Its name is believed nowhere: offsets up to it would be lost for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_only_has_a_segments_name_is_set_aside_and_burns_no_offset() {
    for (name, bytes) in [
        ("00000000000000001000.log", &b"x\n"[..]),
        ("00000000000000001000.log", b""),
        ("05000000000000000000.log", b"x\n"),
        ("09223372036854775800.log", b"x\n"),
        ("00000000000000000017.log", b"GIF89a"),
    ] {
        let folder = log().await;
        let all = batches(folder.path());
        let last = partition(folder.path()).segments.pop().unwrap();
        let stray = last.path.with_file_name(name);
        assert!(!stray.exists());
        fs::write(&stray, bytes).unwrap();
        let refused = Broker::open(config(folder.path())).await.unwrap_err();
        assert!(matches!(refused, Error::Corrupt { .. }), "{refused:?}");

        let facts = partition(folder.path());
        let [damage] = damages(&facts)[..] else {
            panic!("{name}: {:?}", facts.findings);
        };
        assert_eq!((&damage.path, damage.is_stray), (&stray, true));
        assert_eq!(facts.end_offset, RECORDS);
        assert_eq!(batches(folder.path()), all);
        let folder = repaired(folder, &[]).await;
        let below = stray.strip_prefix(folder.path().join("log")).unwrap();
        let kept = folder.path().join("log/cut").join(below);
        let kept = kept.join(format!("0-{}", bytes.len()));
        assert_eq!(fs::read(kept).unwrap_or_default(), bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_folder_is_left_alone_and_a_topic_without_its_name_is_not_passed_over() {
    let folder = log().await;
    let log = folder.path().join("log");
    for foreign in [
        "topics/lost+found",
        "offsets/lost+found",
        "deleted/lost+found",
    ] {
        fs::create_dir(log.join(foreign)).unwrap();
        fs::write(log.join(foreign).join("#12"), b"x").unwrap();
    }
    fs::write(log.join("topics/.DS_Store"), b"x").unwrap();
    let findings = Inspector::open(&log).unwrap().facts().unwrap().findings;
    let told: Vec<_> = findings.iter().map(|found| found.severity).collect();
    assert_eq!(told, [Severity::Note; 2], "{findings:?}");
    let folder = repaired(folder, &[]).await;
    assert!(log.join("topics/lost+found/#12").exists());
    assert!(log.join("offsets/lost+found/#12").exists());
    assert!(log.join("deleted/lost+found/#12").exists());

    let topic = partition(folder.path()).segments[0].path.clone();
    let topic = topic.parent().unwrap().parent().unwrap();
    fs::remove_file(topic.join("topic")).unwrap();
    let facts = Inspector::open(&log).unwrap().facts().unwrap();
    let beyond = Repair::plan(&log).unwrap().beyond().to_vec();
    let refused = Broker::open(config(folder.path())).await.unwrap_err();
    let Error::Corrupt { path, what, .. } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(path, topic.join("topic"));
    assert!(what.contains("move the folder away"), "{what}");
    for findings in [facts.findings, beyond] {
        let damage = findings.iter().find(|f| f.severity == Severity::Damage);
        let damage = damage.unwrap();
        assert_eq!((&damage.path, &damage.what), (&path, &what));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_and_a_missing_index_are_mended_by_the_broker_itself() {
    let folder = log().await;
    fs::remove_file(folder.path().join("log/clean")).unwrap();
    let segments = partition(folder.path()).segments;
    fs::remove_file(segments[1].path.with_extension("index")).unwrap();
    let torn = &segments.last().unwrap().path;
    add(torn, &[7; 45]);
    let facts = partition(folder.path());
    let severities: Vec<_> = facts.findings.iter().map(|f| f.severity).collect();
    assert!(severities.contains(&Severity::Torn), "{:?}", facts.findings);
    assert!(severities.contains(&Severity::Note), "{:?}", facts.findings);
    assert!(
        !severities.contains(&Severity::Damage),
        "{:?}",
        facts.findings
    );
    let broker = Broker::open(config(folder.path())).await.unwrap().start();
    broker.stop().await.unwrap();
    assert_eq!(partition(folder.path()).findings, []);

    add(torn, &[7; 45]);
    repaired(folder, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_compaction_took_away_is_no_damage() {
    let often = Duration::from_millis(50);
    let street = start_with(|config| config.compaction_interval = often).await;
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1500"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    street.topic("t", 1, &settings).await;
    let producer = street.producer();
    for i in 0..RECORDS {
        let key = format!("key-{}", i % 3);
        send(&producer, "t", 0, &key, &format!("value-{i:04}")).await;
    }
    let Street { broker, folder } = street;
    let until = Instant::now() + WAIT;
    while broker.monitor().stats().topics[0].partitions[0].bytes > 3_000 {
        assert!(Instant::now() < until, "it was not compacted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    broker.stop().await.unwrap();
    let facts = partition(folder.path());
    assert_eq!(facts.findings, []);
    assert_eq!((facts.start_offset, facts.end_offset), (0, RECORDS));
    let records: u64 = facts.segments.iter().map(|segment| segment.records).sum();
    assert!(records < RECORDS as u64 / 2, "{records}");
}
