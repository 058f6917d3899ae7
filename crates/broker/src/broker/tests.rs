use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::*;
use crate::api;
use crate::batch::{self, NewRecord};
use crate::file::sim::{Faults, Moment, SimDisk};
use crate::topics::Topic;
use crate::topics::TopicName;
use crate::topics::config::TopicConfig;

const SOON: Duration = Duration::from_secs(10);

fn config() -> BrokerConfig {
    let mut config = BrokerConfig::new("data");
    config.bind.set_port(0);
    config
}

fn create(server: &Server, partitions: i32) -> Arc<Topic> {
    let name = TopicName::parse("t").unwrap();
    let topics = &server.topics;
    let created = topics.create(name, partitions, TopicConfig::default(), 0, |_| Ok(()));
    created.unwrap()
}

/// Appends a record and has it synced soon; gives the offset behind it.
fn append(server: &Server, topic: &Topic, partition: usize) -> i64 {
    let record = NewRecord {
        key: b"k",
        value: None,
    };
    let batch = batch::build(&[record], 1);
    let header = batch::check(&batch, 1 << 20, false).unwrap();
    let partition = &topic.partitions[partition];
    let appended = partition.append(&batch, header, &topic.log_settings, 1);
    server.syncer.enqueue(partition);
    appended.unwrap().next_offset
}

/// What says that it has begun, and goes on when it is told to.
fn hold() -> (
    impl FnOnce() + Send,
    impl Future<Output = ()>,
    mpsc::Sender<()>,
) {
    let (go_on, told) = mpsc::channel();
    let (begun, began) = mpsc::channel();
    let held = move || {
        begun.send(()).unwrap();
        let _ = told.recv();
    };
    let began = async {
        let waited = tokio::task::spawn_blocking(move || began.recv_timeout(SOON));
        waited.await.unwrap().unwrap();
    };
    (held, began, go_on)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_stops_the_broker_and_acknowledges_nobody() {
    let disk = SimDisk::default();
    let broker = open(config(), Arc::new(disk.clone())).unwrap();
    let server = broker.server.clone();
    let topic = create(&server, 1);
    let mut running = broker.start();

    let append = || append(&server, &topic, 0);
    topic.partitions[0].synced(append()).await.unwrap();
    disk.fail_syncs(true);
    let never = append();
    // Whoever asks again hears it again.
    for _ in 0..2 {
        let error = timeout(SOON, running.failed()).await.unwrap();
        assert!(matches!(error, Error::Sync { .. }), "{error}");
    }
    let stopped = running.stop().await;
    assert!(matches!(stopped, Err(Error::Sync { .. })), "{stopped:?}");
    let wait = Duration::from_millis(100);
    let synced = timeout(wait, topic.partitions[0].synced(never));
    assert!(synced.await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_never_returns_holds_the_folder_and_nobody_else() {
    let disk = SimDisk::default();
    let broker = open(config(), Arc::new(disk.clone())).unwrap();
    let server = broker.server.clone();
    let topic = create(&server, 2);
    let mut running = broker.start();
    let (held, began, go_on) = hold();
    disk.during(Moment::Sync, 0, Box::new(held));
    append(&server, &topic, 0);
    began.await;
    disk.fail_syncs(true);
    append(&server, &topic, 1);
    let error = timeout(SOON, running.failed()).await.unwrap();
    assert!(matches!(error, Error::Sync { .. }), "{error}");

    disk.fail_syncs(false);
    drop((running, server, topic));
    sleep(Duration::from_millis(100)).await;
    let open_again = || open(config(), Arc::new(disk.clone()));
    assert!(matches!(open_again(), Err(Error::InUse { .. })));
    go_on.send(()).unwrap();
    let given_back = async {
        while let Err(Error::InUse { .. }) = open_again() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, given_back).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_while_the_broker_stops_is_told_and_the_folder_is_not_clean() {
    let disk = SimDisk::default();
    let broker = open(config(), Arc::new(disk.clone())).unwrap();
    let server = broker.server.clone();
    let topic = create(&server, 1);
    let running = broker.start();
    // The sync of the record goes well; the next one is that of its mark, and the last to fail.
    let (held, began, go_on) = hold();
    let (on, of_mark) = (disk.clone(), disk.clone());
    let fail_next = move || {
        let fails = Faults {
            sync: 1.0,
            ..Faults::default()
        };
        on.set_faults(fails);
        let fail_once = move || {
            of_mark.set_faults(Faults::default());
            held();
        };
        on.during(Moment::Sync, 0, Box::new(fail_once));
    };
    disk.during(Moment::Sync, 0, Box::new(fail_next));
    append(&server, &topic, 0);
    began.await;
    let stopping = tokio::spawn(running.stop());
    sleep(Duration::from_millis(200)).await;
    assert!(!stopping.is_finished());
    go_on.send(()).unwrap();
    let stopped = timeout(SOON, stopping).await.unwrap().unwrap();
    assert!(matches!(stopped, Err(Error::Sync { .. })), "{stopped:?}");
    let left = disk.list(Path::new("data")).unwrap();
    assert!(!left.contains(&"clean".to_owned()), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_dropped_calls_off_its_work() {
    let broker = open(config(), Arc::new(SimDisk::default())).unwrap();
    let server = broker.server.clone();
    let running = broker.start();
    sleep(Duration::from_millis(20)).await;
    assert!(!server.door.is_closing());
    drop(running);
    let called_off = async {
        while !server.door.is_closing() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, called_off).await.unwrap();
}

/// On one thread, so that what is only told to end has not ended yet.
#[tokio::test]
async fn connections_that_do_not_finish_in_time_are_gone_before_the_log_is_closed() {
    let mut config = config();
    config.limits.drain = Duration::from_millis(50);
    let broker = open(config, Arc::new(SimDisk::default())).unwrap();
    let server = broker.server;
    let listener = TcpListener::from_std(broker.listener).unwrap();
    let (stop, stopped) = watch::channel(false);
    let mut serving = std::pin::pin!(server::serve(server.clone(), listener, stopped));
    // A fetch of nothing, which waits for a minute.
    let mut fetch = vec![0, 0, 0, 31, 0, 1, 0, 4, 0, 0, 0, 7, 0xff, 0xff];
    for number in [-1, 60_000, 1, 1 << 20] {
        fetch.extend(i32::to_be_bytes(number));
    }
    fetch.extend([0; 5]);
    let mut client = TcpStream::connect(broker.local_addr).await.unwrap();
    client.write_all(&fetch).await.unwrap();
    let begun = async {
        while server.counters.requests.load(Relaxed) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = &mut serving => panic!("nobody has stopped it"),
        begun = timeout(SOON, begun) => begun.unwrap(),
    }
    stop.send(true).unwrap();
    serving.await;
    assert_eq!(server.counters.connections.load(Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_under_way_is_done_before_the_log_is_closed() {
    let disk = SimDisk::default();
    let server = open(config(), Arc::new(disk.clone())).unwrap().server;
    let create = |name: &str| {
        let (shared, name) = (server.clone(), TopicName::parse(name).unwrap());
        let config = TopicConfig::default();
        let create = move || shared.topics.create(name, 1, config, 0, |_| Ok(()));
        let server = server.clone();
        async move { api::changing(&server, create).await.unwrap() }
    };
    let (held, began, go_on) = hold();
    disk.during(Moment::Sync, 0, Box::new(held));
    let creating = tokio::spawn(create("t"));
    began.await;
    let shared = server.clone();
    let closing = tokio::task::spawn_blocking(move || close(&shared));
    sleep(Duration::from_millis(50)).await;
    assert!(!closing.is_finished());
    go_on.send(()).unwrap();
    closing.await.unwrap().unwrap();
    creating.await.unwrap();
    // What comes later is not begun.
    let late = timeout(Duration::from_millis(50), create("late"));
    assert!(late.await.is_err());
    assert!(server.topics.find("late").is_none());
}
