//! A copy holds everything at the offset that it had, goes on where it was
//! interrupted, and is never taken for one when it is not.

use std::time::Duration;

use compline_event::{Offset, Partition, Topic};
use compline_eventlog::{
    LogConfig,
    copy::{Copier, CopyError, Place, Verified},
};
use rdkafka::{
    ClientConfig, Message as _, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    message::{Header, Headers as _, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};

use crate::street::{Street, soon};

const AD: &str = "test.ad";

fn config(street: &Street) -> LogConfig {
    let mut config = LogConfig::new(street.bootstrap());
    config.prefix = "test.".to_owned();
    config
}

fn copier(from: &Street, to: &Street) -> Copier {
    Copier::new(config(from), config(to), &[]).unwrap()
}

async fn run(copier: &Copier) -> Result<Vec<Verified>, CopyError> {
    copier.prepare().await?;
    let source = copier.source().await?;
    copier.copy(&source).await?;
    copier.verify(&source).await
}

async fn copy_one(from: &Street, to: &Street, partition: i32) -> Result<(), CopyError> {
    let partition = Partition(partition);
    let topic = Topic::Ad;
    let bounds = from.log.bounds(topic, partition).await.unwrap();
    let copier = copier(from, to);
    copier.copy(&[(Place { topic, partition }, bounds)]).await
}

fn client(street: &Street) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", street.bootstrap())
        .set("group.id", "test.readers")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error");
    config
}

/// Records that a copy must not make the same.
async fn append_odd_ones(street: &Street, partition: i32) {
    let producer: FutureProducer = client(street).create().unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "a",
            value: Some("1"),
        })
        .insert(Header {
            key: "a",
            value: Some("2"),
        })
        .insert(Header {
            key: "b",
            value: None::<&str>,
        })
        .insert(Header {
            key: "",
            value: Some(""),
        });
    let some = [None, Some(&b""[..]), Some(&b"x"[..])];
    for (number, (key, value)) in some
        .iter()
        .flat_map(|key| some.iter().map(move |value| (key, value)))
        .enumerate()
    {
        let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(AD)
            .partition(partition)
            .timestamp(1_000 - 7 * number as i64);
        (record.key, record.payload) = (*key, *value);
        if number % 2 == 0 {
            record = record.headers(headers.clone());
        }
        soon(producer.send(record, Duration::from_secs(10)))
            .await
            .unwrap();
    }
}

async fn delete_before(street: &Street, partition: i32, offset: i64) {
    let admin: AdminClient<DefaultClientContext> = client(street).create().unwrap();
    let mut list = TopicPartitionList::new();
    let at = rdkafka::Offset::Offset(offset);
    list.add_partition_offset(AD, partition, at).unwrap();
    let deleted = admin.delete_records(&list, &AdminOptions::new()).await;
    deleted.unwrap().elements()[0].error().unwrap();
}

/// All of a record, as one line.
fn read(street: &Street, partition: i32, from: i64, to: i64) -> Vec<String> {
    let consumer: BaseConsumer = client(street).create().unwrap();
    let mut list = TopicPartitionList::new();
    let at = rdkafka::Offset::Offset(from);
    list.add_partition_offset(AD, partition, at).unwrap();
    consumer.assign(&list).unwrap();
    let mut read = Vec::new();
    while read.len() < usize::try_from(to - from).unwrap() {
        let message = consumer.poll(Duration::from_secs(10)).unwrap().unwrap();
        let headers: Vec<_> = message
            .headers()
            .map(|headers| headers.iter().map(|h| format!("{h:?}")).collect())
            .unwrap_or_default();
        read.push(format!(
            "{} {:?} {:?} {:?} {headers:?}",
            message.offset(),
            message.timestamp(),
            message.key(),
            message.payload()
        ));
    }
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_stands_where_it_stood_there_and_back() {
    let (one, two, three) = (
        Street::open().await,
        Street::without_topics().await,
        Street::without_topics().await,
    );
    one.fill(Partition(0), 0..3_000).await;
    append_odd_ones(&one, 0).await;
    append_odd_ones(&one, 1).await;
    delete_before(&one, 0, 1_200).await;
    // All of it.
    delete_before(&one, 1, 9).await;

    let verified = run(&copier(&one, &two)).await.unwrap();
    assert_eq!(verified.iter().map(|one| one.records).sum::<u64>(), 1_809);
    let bounds = two.log.bounds(Topic::Ad, Partition(0)).await.unwrap();
    assert_eq!((bounds.start, bounds.end), (Offset(1_200), Offset(3_009)));
    let emptied = two.log.bounds(Topic::Ad, Partition(1)).await.unwrap();
    assert_eq!((emptied.start, emptied.end), (Offset(9), Offset(9)));
    let original = read(&one, 0, 1_200, 3_009);
    assert_eq!(read(&two, 0, 1_200, 3_009), original);

    // Only the rest is copied, and the way back is the same.
    two.fill(Partition(0), 3_000..3_100).await;
    run(&copier(&two, &three)).await.unwrap();
    let back = copier(&two, &one);
    run(&back).await.unwrap();
    assert_eq!(back.progress().records(), 100);
    assert_eq!(read(&three, 0, 1_200, 3_109), read(&one, 0, 1_200, 3_109));
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_offsets_come_along() {
    let (one, two) = (Street::open().await, Street::without_topics().await);
    one.fill(Partition(2), 0..10).await;
    let consumer: BaseConsumer = client(&one).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(AD, 2, rdkafka::Offset::Offset(7))
        .unwrap();
    consumer.commit(&list, CommitMode::Sync).unwrap();

    let copier = copier(&one, &two);
    run(&copier).await.unwrap();
    let groups = copier.groups().await.unwrap();
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!(
        (groups[0].name.as_str(), groups[0].partitions),
        ("readers", 1)
    );
    let other: BaseConsumer = client(&two).create().unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition(AD, 2);
    let found = other
        .committed_offsets(asked, Duration::from_secs(10))
        .unwrap();
    assert_eq!(found.elements()[0].offset(), rdkafka::Offset::Offset(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_interrupted_goes_on() {
    let (one, mut two) = (Street::open().await, Street::without_topics().await);
    one.fill(Partition(0), 0..60_000).await;
    delete_before(&one, 0, 20_000).await;
    for so_far in [5_000, 12_000, 30_000] {
        let copier = copier(&one, &two);
        let progress = copier.progress();
        let copying = tokio::spawn(async move { run(&copier).await });
        let enough = async {
            while progress.placeholders() + progress.records() < so_far && !copying.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        soon(enough).await;
        copying.abort();
        two.crash();
        two.start_again().await;
    }
    run(&copier(&one, &two)).await.unwrap();
    let last = (0, 59_900, 60_000);
    assert_eq!(
        read(&two, last.0, last.1, last.2),
        read(&one, last.0, last.1, last.2)
    );
    let bounds = two.log.bounds(Topic::Ad, Partition(0)).await.unwrap();
    assert_eq!((bounds.start, bounds.end), (Offset(20_000), Offset(60_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_copy_is_refused_by_its_place() {
    let (one, two) = (Street::open().await, Street::open().await);
    one.fill(Partition(3), 0..20).await;
    two.fill(Partition(3), 0..5).await;
    append_odd_ones(&two, 3).await;
    let error = run(&copier(&one, &two)).await.unwrap_err();
    let at = Place {
        topic: Topic::Ad,
        partition: Partition(3),
    };
    let CopyError::Differs { place, offset, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((place, offset), (at, 5));

    two.fill(Partition(4), 0..1).await;
    let error = copy_one(&one, &two, 4).await.unwrap_err();
    assert!(matches!(error, CopyError::TargetIsAhead { .. }), "{error}");

    // Records of others are not taken for placeholders, which are deleted.
    one.fill(Partition(4), 0..20).await;
    delete_before(&one, 4, 15).await;
    let error = copy_one(&one, &two, 4).await.unwrap_err();
    assert!(matches!(error, CopyError::GoneFromSource { .. }), "{error}");
    assert_eq!(read(&two, 4, 0, 1).len(), 1);
}
