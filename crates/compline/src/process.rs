//! One process with whatever roles it runs: the stages in which it stops, its
//! health, its admin door.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use compline_runtime::{
    Health, Shutdown, Stage, Tasks,
    admin::{self, Render},
    http::{self, HttpConfig},
    telemetry::{self, Telemetry, TelemetryConfig},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use crate::metric::{self, counted::Counted};

/// What servers may take to drain comes on top, so that nothing is cut that may
/// still finish.
const DOORS_GRACE: Duration = Duration::from_secs(5);
/// A batch in flight is finished: a writer's statement time-out and some.
const LOOPS_GRACE: Duration = Duration::from_secs(15);
/// Postgres writes out what it holds.
const STORES_GRACE: Duration = Duration::from_secs(60);
const ADMIN_GRACE: Duration = Duration::from_secs(5);

/// What stops when. Whoever is asked stops before whoever answers.
#[derive(Debug)]
pub struct Process {
    /// Servers.
    pub doors: Stage,
    /// Projectors and engines.
    pub loops: Stage,
    /// The embedded log and the private database.
    pub stores: Stage,
    /// Tells to the last.
    admin: Stage,
    pub health: Health,
    /// Shown beside what the recorder has.
    pub counted: Counted,
    tasks: Tasks,
}

impl Process {
    /// Of servers that take at most `longest_drain` to finish what they have begun.
    pub fn new(shutdown: Shutdown, longest_drain: Duration) -> Self {
        let health = Health::new();
        let mut tasks = Tasks::new(shutdown);
        tasks.tell(health.clone());
        Self {
            doors: tasks.stage("doors", longest_drain + DOORS_GRACE),
            loops: tasks.stage("loops", LOOPS_GRACE),
            stores: tasks.stage("stores", STORES_GRACE),
            admin: tasks.stage("admin", ADMIN_GRACE),
            health,
            counted: Counted::default(),
            tasks,
        }
    }

    /// Opens `/healthz`, `/readyz` and `/metrics`.
    pub fn open_admin(&self, listener: TcpListener, metrics: Option<PrometheusHandle>) {
        let counted = self.counted.clone();
        let metrics = metrics
            .map(|recorded| -> Render { Arc::new(move || recorded.render() + &counted.render()) });
        let router = admin::router(self.health.clone(), metrics);
        let config = HttpConfig::default();
        self.admin.spawn("admin", |stop| async move {
            http::serve("admin", listener, router, &config, stop).await
        });
    }

    pub fn shutdown(&self) -> &Shutdown {
        self.tasks.shutdown()
    }

    /// Runs until the shutdown begins or a task fails, then stops in order.
    pub async fn run(self) -> Result<()> {
        Ok(self.tasks.run().await?)
    }
}

/// Sets up logs, traces and metrics, and gives every metric its help. Once for the
/// whole process, inside its async runtime.
pub fn init_telemetry(config: &TelemetryConfig) -> Result<Telemetry> {
    let telemetry = telemetry::init("compline", config)?;
    metric::describe_all();
    Ok(telemetry)
}
