//! An ingress on a free port, before a real log or before none.

use std::net::SocketAddr;
use std::time::Duration;

use compline_broker::{Broker, BrokerConfig, RunningBroker};
use compline_event::{Recorded, Topic};
use compline_eventlog::{Log, LogConfig};
use compline_ingress::{Clock, Ingress, IngressConfig, IngressError, MetaConfig, StripeConfig};
use compline_runtime::Secret;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fixture::{META_SECRETS, STRIPE_SECRETS, seconds_after_signing};

pub(crate) const VERIFY_TOKENS: [&str; 2] = ["sample-verify-token", "the next token & more"];

/// What the clock of every test shows.
pub(crate) const NOW_SECONDS_AFTER_SIGNING: i64 = 10;

pub(crate) struct Street {
    pub(crate) address: SocketAddr,
    pub(crate) log: Log,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<Result<(), IngressError>>,
}

pub(crate) struct Embedded {
    folder: TempDir,
    address: SocketAddr,
    broker: Option<RunningBroker>,
}

pub(crate) fn config() -> IngressConfig {
    let secrets = |texts: &[&str]| texts.iter().map(|text| Secret::new(*text)).collect();
    let mut config = IngressConfig {
        meta: MetaConfig {
            app_secrets: secrets(&META_SECRETS),
            verify_tokens: secrets(&VERIFY_TOKENS),
        },
        stripe: StripeConfig {
            signing_secrets: secrets(&STRIPE_SECRETS),
        },
        allow_sample_secrets: true,
        ..IngressConfig::default()
    };
    config.http.listen.set_port(0);
    config
}

pub(crate) fn clock() -> Clock {
    Clock::new(|| seconds_after_signing(NOW_SECONDS_AFTER_SIGNING))
}

/// Before a log at `bootstrap`, which may not be there.
pub(crate) async fn open(bootstrap: String, config: IngressConfig) -> Street {
    let log = Log::new(LogConfig::new(bootstrap)).unwrap();
    let appender = log.appender(config.appender()).unwrap();
    let listener = TcpListener::bind(config.http.listen).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let ingress = Ingress::new(config, appender, clock()).unwrap();
    let served = tokio::spawn(ingress.serve(listener, stop.clone()));
    Street {
        address,
        log,
        stop,
        served,
    }
}

/// Before no log at all: for what never gets so far.
pub(crate) async fn without_log(config: IngressConfig) -> Street {
    open("127.0.0.1:1".to_owned(), config).await
}

/// Before an embedded log with all topics.
pub(crate) async fn whole(config: IngressConfig) -> (Street, Embedded) {
    let embedded = Embedded::start().await;
    let street = open(embedded.bootstrap(), config).await;
    street.log.ensure_topics().await.unwrap();
    (street, embedded)
}

impl Street {
    /// Everything that stands on the topic, partition after partition.
    pub(crate) async fn records(&self, topic: Topic) -> Vec<Recorded> {
        let mut all = Vec::new();
        for partition in Log::partitions(topic) {
            let bounds = self.log.bounds(topic, partition).await.unwrap();
            if bounds.start == bounds.end {
                continue;
            }
            let mut replay = self
                .log
                .replay(topic, partition, bounds.start, bounds.end)
                .unwrap();
            while let Some(records) = replay.next_batch().await.unwrap() {
                all.extend(records.into_iter().map(|record| record.decode().unwrap()));
            }
        }
        all
    }
}

impl Embedded {
    async fn start() -> Self {
        let mut embedded = Self {
            folder: TempDir::new().unwrap(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            broker: None,
        };
        embedded.start_again().await;
        embedded
    }

    /// In the same folder, on the same port.
    pub(crate) async fn start_again(&mut self) {
        let mut config = BrokerConfig::new(self.folder.path());
        config.bind = self.address;
        let broker = Broker::open(config).await.unwrap();
        self.address = broker.local_addr();
        self.broker = Some(broker.start());
    }

    pub(crate) async fn stop(&mut self) {
        self.broker.take().unwrap().stop().await.unwrap();
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.address.to_string()
    }
}

/// Long enough for a busy machine, short enough to notice a hang.
pub(crate) async fn within<T>(task: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), task)
        .await
        .expect("done within 30 s")
}
