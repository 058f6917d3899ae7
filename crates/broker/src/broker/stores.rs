//! What is in a folder, from its recovery to what requests are answered from.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::Semaphore;

use crate::api::now_ms;
use crate::config::Advertised;
use crate::coordinator::Coordinator;
use crate::file::Disk;
use crate::folder::Folder;
use crate::housekeeping::Door;
use crate::offsets::Offsets;
use crate::producer_ids::ProducerIds;
use crate::server::frame::RequestMemory;
use crate::server::{Admission, Server};
use crate::stats::Counters;
use crate::syncer::Syncer;
use crate::topics::Topics;
use crate::{BrokerConfig, Error};

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
        of_none.sync()?;
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
        let folder = Arc::new(folder);
        let syncer = Syncer::start(config.sync_threads, &folder, counters.clone())
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
