//! A closed loop: each connection posts again as soon as it was answered.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{
    Task,
    http::{Connection, Signed, body},
};
use crate::{
    ads::Ad,
    measure::{Latencies, Summary},
};

/// Bodies that are made and signed beforehand, and posted in turns.
const BODIES: usize = 4096;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Flood {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) length: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Flooded {
    pub(crate) per_second: f64,
    pub(crate) latency: Summary,
}

impl Task for Flood {
    type Answer = Flooded;
}

impl Flood {
    pub(super) async fn run(self) -> Result<Flooded> {
        let bodies: Arc<Vec<Signed>> = Arc::new((0..BODIES).map(signed).collect());
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(Connection::open(self.address).await?);
        }
        let began = Instant::now();
        let until = began + self.length;
        let mut posting = JoinSet::new();
        for (index, connection) in connections.into_iter().enumerate() {
            posting.spawn(post(
                connection,
                bodies.clone(),
                index,
                self.connections,
                until,
            ));
        }
        let mut latencies = Latencies::default();
        while let Some(posted) = posting.join_next().await {
            latencies.merge(posted??);
        }
        let seconds = began.elapsed().as_secs_f64();
        let latency = latencies.summary();
        #[allow(clippy::cast_precision_loss)]
        let per_second = latency.count as f64 / seconds;
        Ok(Flooded {
            per_second,
            latency,
        })
    }
}

async fn post(
    mut connection: Connection,
    bodies: Arc<Vec<Signed>>,
    first: usize,
    step: usize,
    until: Instant,
) -> Result<Latencies> {
    let mut latencies = Latencies::default();
    let mut next = first;
    while Instant::now() < until {
        let began = Instant::now();
        connection.post(&bodies[next % BODIES]).await?;
        latencies.add(began.elapsed());
        next += step;
    }
    Ok(latencies)
}

fn signed(index: usize) -> Signed {
    let ad = Ad::nth(index);
    Signed::new(body(
        &ad.account,
        &ad.ad_id,
        1_800_000_000,
        "DISAPPROVED",
        "ACTIVE",
    ))
}
