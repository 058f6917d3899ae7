//! A broker from open to stop.

mod running;
mod stores;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

pub use running::{Monitor, RunningBroker};
pub(crate) use stores::Stores;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::Advertised;
use crate::coordinator::TICK;
use crate::file::{Disk, RealDisk};
use crate::housekeeping;
use crate::server::{self, Server};
use crate::{BrokerConfig, Error};

/// A broker that holds its folder and its port, and serves nobody yet.
#[derive(Debug)]
pub struct Broker {
    server: Arc<Server>,
    listener: StdListener,
    local_addr: SocketAddr,
}

impl Broker {
    /// Takes the port, locks the folder and recovers what is in it. Clients that connect meanwhile
    /// wait until the broker runs.
    ///
    /// # Errors
    /// A bad setting, a folder that is in use, foreign or corrupt, a port that is taken.
    pub async fn open(config: BrokerConfig) -> Result<Broker, Error> {
        config.check()?;
        let opening = tokio::task::spawn_blocking(move || open(config, Arc::new(RealDisk)));
        opening.await.map_err(|source| Error::Task { source })?
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
        Monitor::of(&self.server)
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
        let _called_off = CallsOff(server.clone());
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
        // Nobody gets an answer any more: the connections are cut with `serving`. The disk may keep
        // threads for ever, which hold the folder and are not waited for.
        broken(&failure)?;
        let _ = stop.send(true);
        tokio::select! {
            () = &mut serving => {}
            // Draining waits for syncs, which may fail as well.
            () = failed(&mut failure) => {}
        }
        broken(&failure)?;
        let closing = tokio::task::spawn_blocking(move || close(&server));
        closing.await.map_err(|source| Error::Task { source })?
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
            outcome: None,
            task: tokio::spawn(self.run(shutdown)),
        }
    }
}

/// Has long work in the background end with whoever holds this, who may be dropped at any time.
struct CallsOff(Arc<Server>);

impl Drop for CallsOff {
    fn drop(&mut self) {
        self.0.door.begin_closing();
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
    // The port comes first: one that is taken leaves a folder that was left in order as it is.
    let bind = config.bind;
    let listener = StdListener::bind(bind).map_err(|source| Error::Bind { bind, source })?;
    listener
        .set_nonblocking(true)
        .map_err(|source| Error::Bind { bind, source })?;
    let local_addr = listener
        .local_addr()
        .map_err(|source| Error::Bind { bind, source })?;
    let server = Stores::open(&config, disk)?.serve(config, local_addr)?;
    Ok(Broker {
        server: Arc::new(server),
        listener,
        local_addr,
    })
}

/// Ends when the broker cannot go on.
async fn failed(failure: &mut watch::Receiver<Option<Arc<Error>>>) {
    let _ = failure.wait_for(Option::is_some).await;
}

/// Why the broker cannot go on, if it cannot.
fn broken(failure: &watch::Receiver<Option<Arc<Error>>>) -> Result<(), Error> {
    match failure.borrow().clone() {
        Some(error) => Err(as_own(&error)),
        None => Ok(()),
    }
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
    broken(&server.syncer.failure())?;
    for topic in server.topics.all() {
        for partition in &topic.partitions {
            partition.close()?;
        }
    }
    server.coordinator.offsets.log().close()?;
    folder.map_or(Ok(()), |folder| folder.leave_clean())
}

/// What others look at too, as an error of one's own.
fn as_own(error: &Arc<Error>) -> Error {
    match &**error {
        // As those who did not ask in time find it.
        Error::Sync { path, source } => Error::Sync {
            path: path.clone(),
            source: io::Error::new(source.kind(), source.to_string()),
        },
        Error::Shared(shared) => Error::Shared(shared.clone()),
        _ => Error::Shared(error.clone()),
    }
}
