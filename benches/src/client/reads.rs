//! Point reads over gRPC, so many at a time.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Result;
use compline_api::query::{GetAdRequest, ad_service_client::AdServiceClient};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::{
    Task,
    watch::{by, connect},
};
use crate::{
    ads::{ADS, Ad, TENANTS},
    measure::{Latencies, Summary},
};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reads {
    pub(crate) address: SocketAddr,
    /// One of each tenant.
    pub(crate) keys: Vec<String>,
    pub(crate) readers: usize,
    pub(crate) connections: usize,
    pub(crate) length: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) per_second: f64,
    pub(crate) latency: Summary,
}

impl Task for Reads {
    type Answer = Done;
}

impl Reads {
    pub(super) async fn run(self) -> Result<Done> {
        let mut channels = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            channels.push(connect(self.address).await?);
        }
        let began = Instant::now();
        let until = began + self.length;
        let mut reading = JoinSet::new();
        for reader in 0..self.readers {
            let channel = channels[reader % channels.len()].clone();
            reading.spawn(read(
                channel,
                self.keys.clone(),
                reader,
                self.readers,
                until,
            ));
        }
        let mut latencies = Latencies::default();
        while let Some(read) = reading.join_next().await {
            latencies.merge(read??);
        }
        let seconds = began.elapsed().as_secs_f64();
        let latency = latencies.summary();
        #[allow(clippy::cast_precision_loss)]
        let per_second = latency.count as f64 / seconds;
        Ok(Done {
            per_second,
            latency,
        })
    }
}

async fn read(
    channel: Channel,
    keys: Vec<String>,
    first: usize,
    step: usize,
    until: Instant,
) -> Result<Latencies> {
    let mut client = AdServiceClient::new(channel);
    let mut latencies = Latencies::default();
    let mut number = first;
    while Instant::now() < until {
        let began = Instant::now();
        let request = GetAdRequest {
            name: format!("ads/{}", Ad::nth(number).ad_id),
            consistency: None,
        };
        let key = &keys[number % ADS % TENANTS];
        client.get_ad(by(key, request)?).await?;
        latencies.add(began.elapsed());
        number += step;
    }
    Ok(latencies)
}
