//! A broker from open to stop.

use std::future::Future;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::num::NonZero;
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::api::now_ms;
use crate::config::Advertised;
use crate::coordinator::{Coordinator, TICK};
use crate::file::{Disk, RealDisk};
use crate::folder::Folder;
use crate::housekeeping::{self, Door};
use crate::offsets::Offsets;
use crate::producer_ids::ProducerIds;
use crate::server::frame::RequestMemory;
use crate::server::{self, Admission, Server};
use crate::stats::{self, Counters};
use crate::syncer::Syncer;
use crate::topics::Topics;
use crate::{BrokerConfig, Error, Stats};

/// A broker that holds its folder and its port, and serves nobody yet.
#[derive(Debug)]
pub struct Broker {
    server: Arc<Server>,
    listener: StdListener,
    local_addr: SocketAddr,
}

impl Broker {
    /// Locks the folder, recovers what is in it and takes the port. Clients that connect from now
    /// on wait until the broker runs.
    ///
    /// # Errors
    /// A bad setting, a folder that is in use, foreign or corrupt, a port that is taken.
    pub async fn open(config: BrokerConfig) -> Result<Broker, Error> {
        config.check()?;
        let opening = tokio::task::spawn_blocking(move || open(config, Arc::new(RealDisk)));
        opening.await.map_err(|error| Error::Stopped {
            what: error.to_string(),
        })?
    }

    /// The address that was bound, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What clients are told to connect to, as `host:port`: a value for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        bootstrap(&self.server)
    }

    /// A way to read statistics while the broker runs; it may outlive the broker.
    pub fn monitor(&self) -> Monitor {
        Monitor {
            server: Arc::downgrade(&self.server),
        }
    }

    /// Serves until `shutdown` is done, then drains, syncs and closes.
    ///
    /// # Errors
    /// The broker could not go on, because a sync failed, or could not close. What it
    /// acknowledged is on disk all the same.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Broker {
            server, listener, ..
        } = self;
        let bind = server.config.bind;
        let listener =
            TcpListener::from_std(listener).map_err(|source| Error::Bind { bind, source })?;
        let (stop, stopped) = watch::channel(false);
        let mut failure = server.syncer.failure();
        let serving = server::serve(server.clone(), listener, stopped);
        let mut keeping = std::pin::pin!(housekeeping::keep(server.clone()));
        let mut compacting = std::pin::pin!(housekeeping::keep_compacting(server.clone()));
        let mut ticking = std::pin::pin!(tick(server.clone()));
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            () = shutdown => {}
            () = failed(&mut failure) => {}
            // None of these ends by itself.
            () = &mut serving => {}
            () = &mut keeping => {}
            () = &mut compacting => {}
            () = &mut ticking => {}
        }
        let reason = failure.borrow().clone();
        if let Some(error) = reason {
            // Nobody gets an answer any more: the connections are cut with `serving`.
            server.door.begin_closing();
            server.syncer.stop();
            return Err(as_own(error));
        }
        let _ = stop.send(true);
        tokio::select! {
            () = &mut serving => {}
            // Draining waits for syncs, which may fail as well.
            () = failed(&mut failure) => {}
        }
        let closing = tokio::task::spawn_blocking(move || close(&server));
        closing.await.map_err(|error| Error::Stopped {
            what: error.to_string(),
        })?
    }

    /// Serves in the background until stopped. Needs a runtime to be running.
    pub fn start(self) -> RunningBroker {
        let (monitor, bootstrap, local_addr) = (self.monitor(), self.bootstrap(), self.local_addr);
        let (stop, mut stopped) = watch::channel(false);
        let shutdown = async move {
            // Only a handle that says so stops it in order; one that is dropped aborts the task.
            if stopped.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        RunningBroker {
            monitor,
            bootstrap,
            local_addr,
            stop,
            task: tokio::spawn(self.run(shutdown)),
        }
    }
}

/// A broker that serves in the background. Dropped, it stops as after a crash: at once, and the
/// next open recovers. It gives its folder back a moment later, when its tasks are gone.
#[derive(Debug)]
pub struct RunningBroker {
    monitor: Monitor,
    bootstrap: String,
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), Error>>,
}

impl RunningBroker {
    /// As [`Broker::local_addr`].
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// As [`Broker::bootstrap`].
    pub fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    /// As [`Broker::monitor`].
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Waits until the broker stops by itself, which is always an error. May be dropped and
    /// called again.
    pub async fn failed(&mut self) -> Error {
        match (&mut self.task).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) => Error::Stopped {
                what: "it ended without being told".into(),
            },
            Err(error) => Error::Stopped {
                what: error.to_string(),
            },
        }
    }

    /// Drains, syncs and closes.
    ///
    /// # Errors
    /// As of [`Broker::run`].
    pub async fn stop(mut self) -> Result<(), Error> {
        let _ = self.stop.send(true);
        let ended = (&mut self.task).await;
        ended.map_err(|error| Error::Stopped {
            what: error.to_string(),
        })?
    }
}

impl Drop for RunningBroker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads the statistics of a broker.
#[derive(Debug, Clone)]
pub struct Monitor {
    server: Weak<Server>,
}

impl Monitor {
    /// A snapshot, taken now; all zeros when the broker is gone. Looks at every partition, so it
    /// is made to be called every few seconds.
    pub fn stats(&self) -> Stats {
        self.server
            .upgrade()
            .map(|server| stats::collect(&server))
            .unwrap_or_default()
    }
}

fn bootstrap(server: &Server) -> String {
    let Advertised { host, port } = &server.advertised;
    // An IPv6 address needs brackets before a port.
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn open(config: BrokerConfig, disk: Arc<dyn Disk>) -> Result<Broker, Error> {
    let stores = Stores::open(&config, disk)?;
    let bind = config.bind;
    let listener = StdListener::bind(bind).map_err(|source| Error::Bind { bind, source })?;
    listener
        .set_nonblocking(true)
        .map_err(|source| Error::Bind { bind, source })?;
    let local_addr = listener
        .local_addr()
        .map_err(|source| Error::Bind { bind, source })?;
    let server = stores.serve(config, local_addr)?;
    Ok(Broker {
        server: Arc::new(server),
        listener,
        local_addr,
    })
}

/// What is in a folder, recovered.
#[derive(Debug)]
pub(crate) struct Stores {
    folder: Folder,
    topics: Topics,
    offsets: Arc<Offsets>,
    producer_ids: ProducerIds,
}

impl Stores {
    pub(crate) fn open(config: &BrokerConfig, disk: Arc<dyn Disk>) -> Result<Stores, Error> {
        let data = config.data_dir.clone();
        let folder = Folder::open(disk.clone(), &data)?;
        let clean = folder.was_clean;
        let now = now_ms();
        let topics = Topics::open(
            disk.clone(),
            &data,
            config.sync,
            config.topics.clone(),
            clean,
            now,
        )?;
        let offsets = Arc::new(Offsets::open(disk.clone(), &data, config.sync, clean, now)?);
        // A crash between the two steps of a topic's deletion leaves offsets that would be taken for
        // those of the next topic of that name.
        let of_none = offsets.forget(|key| topics.find(&key.topic).is_none(), now)?;
        of_none.log.sync()?;
        let producer_ids = ProducerIds::open(disk, &data)?;
        Ok(Stores {
            folder,
            topics,
            offsets,
            producer_ids,
        })
    }

    /// What requests are answered from, with its threads started.
    pub(crate) fn serve(
        self,
        config: BrokerConfig,
        local_addr: SocketAddr,
    ) -> Result<Server, Error> {
        let Stores {
            folder,
            topics,
            offsets,
            producer_ids,
        } = self;
        let counters = Arc::new(Counters::default());
        let syncer = Syncer::start(config.sync_threads, counters.clone())
            .map_err(Error::io("start threads for", &config.data_dir))?;
        Ok(Server {
            advertised: advertised(&config, local_addr),
            cluster_id: folder.cluster_id.clone(),
            folder: Mutex::new(Some(folder)),
            door: Door::default(),
            topics,
            coordinator: Coordinator::new(config.groups.clone(), offsets),
            producer_ids,
            syncer,
            admission: Arc::new(Admission::new(&config.limits, counters.clone())),
            counters,
            request_memory: RequestMemory::new(config.limits.request_memory_bytes),
            fetch_memory: Arc::new(Semaphore::new(config.limits.fetch_memory_bytes)),
            unpacking: Semaphore::new(thread::available_parallelism().map_or(1, NonZero::get)),
            config,
        })
    }
}

fn advertised(config: &BrokerConfig, bound: SocketAddr) -> Advertised {
    let own = Advertised {
        host: bound.ip().to_string(),
        port: bound.port(),
    };
    match &config.advertised {
        None => own,
        Some(Advertised { host, port }) => Advertised {
            host: host.clone(),
            port: if *port == 0 { own.port } else { *port },
        },
    }
}

/// Ends when the broker cannot go on.
async fn failed(failure: &mut watch::Receiver<Option<Arc<Error>>>) {
    let _ = failure.wait_for(Option::is_some).await;
}

async fn tick(server: Arc<Server>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        server.coordinator.tick();
    }
}

/// Ends the threads, leaves a folder that needs no recovery, and gives it back.
pub(crate) fn close(server: &Server) -> Result<(), Error> {
    server.door.close();
    server.syncer.stop();
    let folder = server.folder.lock().expect("no holder panics").take();
    let failed = server.syncer.failure().borrow().clone();
    if let Some(error) = failed {
        return Err(as_own(error));
    }
    for topic in server.topics.all() {
        for partition in &topic.partitions {
            partition.close()?;
        }
    }
    server.coordinator.offsets.log().close()?;
    folder.map_or(Ok(()), |folder| folder.leave_clean())
}

/// The failure, which others look at too, as an error of one's own.
fn as_own(error: Arc<Error>) -> Error {
    match Arc::try_unwrap(error) {
        Ok(error) => error,
        Err(shared) => match &*shared {
            Error::Sync { path, source } => {
                let source = std::io::Error::new(source.kind(), source.to_string());
                Error::Sync {
                    path: path.clone(),
                    source,
                }
            }
            other => Error::Stopped {
                what: other.to_string(),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::api;
    use crate::batch::{self, NewRecord};
    use crate::file::sim::SimDisk;
    use crate::topics::TopicName;
    use crate::topics::config::TopicConfig;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failed_sync_stops_the_broker_and_acknowledges_nobody() {
        let disk = SimDisk::default();
        let mut config = BrokerConfig::new("data");
        config.bind.set_port(0);
        let broker = open(config, Arc::new(disk.clone())).unwrap();
        let server = broker.server.clone();
        let name = TopicName::parse("t").unwrap();
        let topic = server
            .topics
            .create(name, 1, TopicConfig::default(), 0, |_| Ok(()))
            .unwrap();
        let mut running = broker.start();

        let append = || {
            let batch = batch::build(
                &[NewRecord {
                    key: b"k",
                    value: None,
                }],
                1,
            );
            let header = batch::check(&batch, 1 << 20, false).unwrap();
            let appended = topic.partitions[0].append(&batch, header, &topic.log_settings, 1);
            server.syncer.enqueue(&topic.partitions[0]);
            appended.unwrap().next_offset
        };
        topic.partitions[0].synced(append()).await.unwrap();
        disk.fail_syncs(true);
        let never = append();
        let error = tokio::time::timeout(Duration::from_secs(10), running.failed())
            .await
            .unwrap();
        assert!(matches!(error, Error::Sync { .. }), "{error}");
        let wait = Duration::from_millis(100);
        assert!(
            tokio::time::timeout(wait, topic.partitions[0].synced(never))
                .await
                .is_err()
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_under_way_is_done_before_the_log_is_closed() {
        let disk = SimDisk::default();
        let mut config = BrokerConfig::new("data");
        config.bind.set_port(0);
        let server = open(config, Arc::new(disk.clone())).unwrap().server;
        let create = |name: &str| {
            let (shared, name) = (server.clone(), TopicName::parse(name).unwrap());
            let config = TopicConfig::default();
            let create = move || shared.topics.create(name, 1, config, 0, |_| Ok(()));
            let server = server.clone();
            async move { api::changing(&server, create).await.unwrap() }
        };
        let (go_on, told) = mpsc::channel::<()>();
        let (begun, began) = mpsc::channel();
        let wait = move || {
            begun.send(()).unwrap();
            told.recv().unwrap();
        };
        disk.during_sync(0, Box::new(wait));
        let creating = tokio::spawn(create("t"));
        tokio::task::spawn_blocking(move || began.recv().unwrap())
            .await
            .unwrap();
        let shared = server.clone();
        let closing = tokio::task::spawn_blocking(move || close(&shared));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!closing.is_finished());
        go_on.send(()).unwrap();
        closing.await.unwrap().unwrap();
        creating.await.unwrap();
        // What comes later is not begun.
        let late = tokio::time::timeout(Duration::from_millis(50), create("late"));
        assert!(late.await.is_err());
        assert!(server.topics.find("late").is_none());
    }
}
