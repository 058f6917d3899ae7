//! Logs, traces and metrics of one process.
//!
//! Logs go to standard error, as lines for people or as JSON. Traces go to an OTLP collector when
//! an endpoint is set; without one no trace exists and [`trace_context`] answers `None`. Metrics
//! are kept in memory until [`crate::admin`] renders them.

mod otlp;
pub mod trace_context;

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::{ConfigError, RuntimeError, metric_definitions};

/// From 0.1 ms (a point read) to 30 s (a wait that reached its deadline).
const SECONDS_BUCKETS: [f64; 17] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];

/// From one record to the largest batch that makes sense.
const RECORDS_BUCKETS: [f64; 12] = [
    1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 10_000.0,
];

/// Samples of a histogram stay in memory until upkeep or a scrape folds them.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// How this process shows what it does.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Which log lines are written, as `tracing` directives. Default `info`.
    pub log: String,
    /// Default `auto`.
    pub log_format: LogFormat,
    /// The OTLP collector, gRPC, such as `http://127.0.0.1:4317`. Default: none, no traces.
    pub otlp_endpoint: Option<String>,
    /// The share of new traces that are kept, 0 to 1; a caller's decision is followed. Default 1.
    pub trace_ratio: f64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
            log_format: LogFormat::Auto,
            otlp_endpoint: None,
            trace_ratio: 1.0,
        }
    }
}

impl TelemetryConfig {
    /// Refuses a share that is none, and directives that would silence what they should show.
    pub fn check(&self) -> Result<(), ConfigError> {
        const DIRECTIVES: &str =
            "error, warn, info, debug, trace or off, or module=level, comma-separated";
        // The filter takes any single word for a module's name.
        let word = |part: &&str| !part.contains(['=', '[']);
        let parts = self.log.split(',').map(str::trim);
        let known = |part: &str| part.parse::<LevelFilter>().is_ok();
        if !parts.filter(word).all(known) || EnvFilter::try_new(&self.log).is_err() {
            let found = format!("{:?}", self.log);
            return Err(ConfigError::invalid("log", found, DIRECTIVES));
        }
        if let Some(endpoint) = &self.otlp_endpoint
            && !is_http_url(endpoint)
        {
            let expected = "a URL such as http://127.0.0.1:4317";
            // What stands before an @ may be a password.
            let found = match endpoint.contains('@') {
                true => "something that is none".to_owned(),
                false => format!("{endpoint:?}"),
            };
            return Err(ConfigError::invalid("otlp_endpoint", found, expected));
        }
        if !(0.0..=1.0).contains(&self.trace_ratio) {
            return Err(ConfigError::invalid(
                "trace_ratio",
                self.trace_ratio,
                "0 to 1",
            ));
        }
        Ok(())
    }
}

fn is_http_url(text: &str) -> bool {
    text.parse::<http::Uri>()
        .is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Coloured lines on a terminal, plain lines elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
}

/// What [`init`] set up; keep it until the process ends.
#[derive(Debug)]
pub struct Telemetry {
    metrics: PrometheusHandle,
    traces: Option<SdkTracerProvider>,
}

/// Sets up logs, metrics and traces for the whole process, once. `service` names the process in
/// traces. Must be called inside a Tokio runtime.
pub fn init(service: &str, config: &TelemetryConfig) -> Result<Telemetry, RuntimeError> {
    let filter = EnvFilter::try_new(&config.log).map_err(|source| RuntimeError::Telemetry {
        part: "the log filter",
        source: source.into(),
    })?;
    let traces = config
        .otlp_endpoint
        .as_deref()
        .map(|endpoint| otlp::provider(service, endpoint, config.trace_ratio))
        .transpose()?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.log_format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Auto => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(traces.as_ref().map(|traces| otlp::layer(service, traces)))
        .try_init()
        .map_err(|source| RuntimeError::Telemetry {
            part: "the log",
            source: source.into(),
        })?;
    if traces.is_some() {
        trace_context::are_kept();
    }
    Ok(Telemetry {
        metrics: install_metrics()?,
        traces,
    })
}

impl Telemetry {
    /// Renders what was measured; for [`crate::admin::router`].
    pub fn metrics(&self) -> PrometheusHandle {
        self.metrics.clone()
    }

    /// Sends the traces that are still held. Waits at most 5 s.
    pub async fn shutdown(self) {
        let Some(traces) = self.traces else { return };
        let sent = tokio::task::spawn_blocking(move || {
            traces.shutdown_with_timeout(Duration::from_secs(5))
        });
        if let Ok(Err(error)) = sent.await {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

fn install_metrics() -> Result<PrometheusHandle, RuntimeError> {
    let failed = |source: crate::BoxError| RuntimeError::Telemetry {
        part: "the metrics recorder",
        source,
    };
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Suffix("_records".to_owned()), &RECORDS_BUCKETS)
        })
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|source| failed(source.into()))?;
    metric_definitions::describe();
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP_EVERY);
        loop {
            ticks.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}
