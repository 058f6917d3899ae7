//! Serving gRPC: routes inside health, reflection, keys, spans, metrics, deadlines and a drain.
//!
//! A request passes, outermost first: span and metrics, panics → INTERNAL, the caller's deadline
//! (`grpc-timeout`) → DEADLINE_EXCEEDED, the caller's key ([`crate::auth`]), the method.

mod body;
mod call;
mod deadline;
mod health;
mod methods;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::ServiceBuilder;
use tower::util::option_layer;

use crate::auth::{AuthLayer, Authenticate};
use crate::config::{ConfigError, address, byte_size, check, duration};
use crate::connections::{self, Bounds};
use crate::{Health, RuntimeError};

/// One gRPC server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcConfig {
    /// Where to listen; port 0 lets the system choose. Default `127.0.0.1:0`.
    #[serde(with = "address")]
    pub listen: SocketAddr,
    /// The largest message. Generated services take it one by one, as
    /// `.max_decoding_message_size(…)` and `.max_encoding_message_size(…)`. Default 4MiB.
    #[serde(with = "byte_size")]
    pub max_message: usize,
    /// Connections at one time; further ones are closed at once. Default 1024.
    pub max_connections: usize,
    /// Requests at one time on one connection. Default 256.
    pub max_concurrent_streams: u32,
    /// How often a peer is asked whether it is still there. Default 30s.
    #[serde(with = "duration")]
    pub keepalive_interval: Duration,
    /// How long a peer may take to answer that. Default 10s.
    #[serde(with = "duration")]
    pub keepalive_timeout: Duration,
    /// How long requests may take to finish after a stop. Default 10s.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// How long after a stop a stream that has nothing to say is ended, with UNAVAILABLE: a
    /// watcher would else hold up every drain. Default 500ms.
    #[serde(with = "duration")]
    pub stream_drain: Duration,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            max_message: 4 << 20,
            max_connections: 1024,
            max_concurrent_streams: 256,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(10),
            stream_drain: Duration::from_millis(500),
        }
    }
}

impl GrpcConfig {
    /// Refuses what could serve nobody, and what would keep a place for ever.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (tenth, second) = (Duration::from_millis(100), Duration::from_secs(1));
        let hour = Duration::from_secs(3600);
        let streams = self.max_concurrent_streams as usize;
        check::size("max_message", self.max_message, 1 << 10..=1 << 30)?;
        check::count("max_connections", self.max_connections, 1..=1_000_000)?;
        check::count("max_concurrent_streams", streams, 1..=1_000_000)?;
        check::time("keepalive_interval", self.keepalive_interval, second..=hour)?;
        check::time("keepalive_timeout", self.keepalive_timeout, tenth..=hour)?;
        check::time("drain", self.drain, Duration::ZERO..=hour)?;
        check::time(
            "stream_drain",
            self.stream_drain,
            Duration::ZERO..=self.drain,
        )
    }
}

/// A gRPC server, before it serves.
pub struct GrpcServer {
    name: String,
    config: GrpcConfig,
    health: Health,
    descriptors: Vec<Vec<u8>>,
    keys: Option<Arc<dyn Authenticate>>,
}

impl std::fmt::Debug for GrpcServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcServer")
            .field("name", &self.name)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl GrpcServer {
    /// `name` names the server in logs and metrics; gRPC health answers from `health`.
    pub fn new(name: impl Into<String>, config: GrpcConfig, health: Health) -> Self {
        Self {
            name: name.into(),
            config,
            health,
            descriptors: Vec::new(),
            keys: None,
        }
    }

    /// Adds an encoded `FileDescriptorSet`: its services are shown by reflection, answered for by
    /// health, and named in metrics.
    pub fn descriptors(mut self, set: &[u8]) -> Self {
        self.descriptors.push(set.to_vec());
        self
    }

    /// Asks `keys` who calls, except for health and reflection. Without this, nobody is asked.
    pub fn authenticate(mut self, keys: Arc<dyn Authenticate>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Serves until `stop`, then drains. Bind the listener with [`crate::bind`].
    pub async fn serve(
        self,
        listener: TcpListener,
        routes: Routes,
        stop: CancellationToken,
    ) -> Result<(), RuntimeError> {
        let unusable = |source: crate::BoxError| RuntimeError::Descriptors {
            server: self.name.clone(),
            source,
        };
        let methods = methods::Methods::new(&self.descriptors).map_err(unusable)?;
        let routes = self.with_reflection(routes).map_err(unusable)?;

        // Health is said to the last: it stops with the connections, after the drain.
        let answering = CancellationToken::new();
        let _stop_answering = answering.clone().drop_guard();
        let health = health::service(&self.health, methods.services(), answering);
        let streams_end = CancellationToken::new();
        tokio::spawn(end_streams(
            stop.clone(),
            self.config.stream_drain,
            streams_end.clone(),
        ));

        let service = ServiceBuilder::new()
            .layer(call::CallLayer::new(methods, streams_end))
            .layer(option_layer(self.keys.clone().map(AuthLayer::new)))
            .service(routes.add_service(health).prepare());
        connections::serve(listener, service, self.bounds(), stop).await;
        Ok(())
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            server: self.name.clone(),
            max_connections: self.config.max_connections,
            header_read_timeout: Duration::from_secs(10),
            http2_only: true,
            max_concurrent_streams: self.config.max_concurrent_streams,
            keepalive: (
                self.config.keepalive_interval,
                self.config.keepalive_timeout,
            ),
            drain: self.config.drain,
        }
    }

    fn with_reflection(&self, routes: Routes) -> Result<Routes, crate::BoxError> {
        let builder = || {
            self.descriptors
                .iter()
                .map(Vec::as_slice)
                // The error details too, so that tools can read them.
                .chain([
                    tonic_health::pb::FILE_DESCRIPTOR_SET,
                    tonic_types::pb::FILE_DESCRIPTOR_SET,
                ])
                .fold(
                    tonic_reflection::server::Builder::configure(),
                    |builder, set| builder.register_encoded_file_descriptor_set(set),
                )
        };
        // Older tools only know v1alpha.
        Ok(routes
            .add_service(builder().build_v1()?)
            .add_service(builder().build_v1alpha()?))
    }
}

async fn end_streams(stop: CancellationToken, after: Duration, end: CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(after).await;
    end.cancel();
}
