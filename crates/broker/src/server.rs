//! The network side: who may connect, and what all connections share.

mod admission;
mod connection;
pub(crate) mod frame;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub(crate) use admission::Admission;
pub(crate) use connection::{Answer, Frame, Peer};
use frame::RequestMemory;

use crate::BrokerConfig;
use crate::config::Advertised;
use crate::coordinator::Coordinator;
use crate::folder::Folder;
use crate::housekeeping::Door;
use crate::producer_ids::ProducerIds;
use crate::stats::Counters;
use crate::syncer::Syncer;
use crate::topics::Topics;

/// After an accept that failed for want of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What requests are answered from.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) config: BrokerConfig,
    pub(crate) advertised: Advertised,
    /// Given back when the broker has closed, or with the last one who could still write to it.
    pub(crate) folder: Mutex<Option<Arc<Folder>>>,
    /// What changes files goes through it: housekeeping, rolls, topics.
    pub(crate) door: Door,
    pub(crate) cluster_id: String,
    pub(crate) topics: Topics,
    pub(crate) coordinator: Coordinator,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) syncer: Syncer,
    pub(crate) counters: Arc<Counters>,
    pub(crate) admission: Arc<Admission>,
    /// Bytes of requests that may still be read.
    pub(crate) request_memory: RequestMemory,
    /// Bytes of records that may still be fetched.
    pub(crate) fetch_memory: Arc<Semaphore>,
    /// Batches that may be unpacked at the same time.
    pub(crate) unpacking: Semaphore,
}

/// Takes connections until `stop`, then lets those that are open finish what they began.
pub(crate) async fn serve(server: Arc<Server>, listener: TcpListener, stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut stopped = stop.clone();
    loop {
        tokio::select! {
            () = told(&mut stopped) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => take(&server, stream, peer.ip(), &mut connections, &stop),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(server.config.limits.drain, drained)
        .await
        .is_err()
    {
        tracing::warn!("some connections did not finish in time and are cut");
        // Whoever closes the log must find nobody who writes to it.
        connections.shutdown().await;
    }
}

/// Ends when the broker is told to stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn take(
    server: &Arc<Server>,
    stream: TcpStream,
    address: IpAddr,
    connections: &mut JoinSet<()>,
    stop: &watch::Receiver<bool>,
) {
    let Ok(admitted) = server.admission.admit(address) else {
        // Dropped, the stream is closed.
        return;
    };
    let (server, stop) = (server.clone(), stop.clone());
    connections.spawn(async move {
        connection::serve(server, stream, Peer { ip: address }, stop).await;
        drop(admitted);
    });
}
