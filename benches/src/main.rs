//! How fast the street is, held against the limit beside it: the first rows of
//! design §10's table, each as a ratio of two things measured in one run.
//!
//! ```text
//! this process: broker, Postgres, servers, the limit        a client process: load, clocks
//! ```
//!
//! Invariants:
//! - ours and the limit take turns, so that a neighbour's load falls on both;
//! - whoever makes load is another process, and the same one for both;
//! - goals are reported, never asserted: it fails only when it could not measure;
//! - what it made is gone when it ends, on Ctrl-C too.

mod ads;
mod client;
mod house;
mod log;
mod machine;
mod measure;
mod pace;
mod peers;
mod project;
mod read;
mod rebuild;
mod report;
mod script;
mod street;
mod visible;
mod webhook;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use machine::Machine;
use report::Report;

#[derive(Debug, Parser)]
#[command(about = "Measures compline against the limits beside it")]
struct Cli {
    /// Which rows of the table
    #[arg(value_enum, default_value = "all")]
    what: What,
    /// Fewer and shorter rounds: a look, not a result
    #[arg(long)]
    short: bool,
    /// One JSON value instead of text
    #[arg(long)]
    json: bool,
    /// Where log and database lie meanwhile; their disk is part of what is measured
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
    #[arg(long, default_value_t = 0, hide = true)]
    port: u16,
    #[arg(long, hide = true)]
    relaxed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Webhook,
    Project,
    Read,
    Visible,
    /// A generation from ten million events, alone and beside live traffic
    Rebuild,
    /// The embedded log beside Apache Kafka, which needs Java and Maven
    Log,
    /// What syncing costs the embedded log
    GroupCommit,
    /// All of these
    All,
    /// Beside Kafka Connect with Debezium's JDBC sink, which needs Java and Maven
    Connect,
    /// Beside cqrs-es with postgres-es, which cargo builds
    PostgresEs,
    /// Beside Flask, gunicorn and Celery, which need Python and Redis
    Flask,
    /// The last three
    Peers,
    /// The embedded log, alone in a process.
    #[value(hide = true)]
    Broker,
    /// The client process: an order comes on standard input.
    #[value(hide = true)]
    Client,
}

/// What every row is told.
#[derive(Clone, Debug)]
struct Setting {
    folder: PathBuf,
    short: bool,
}

impl Setting {
    /// `full`, or `short` for a look.
    fn choose<T>(&self, full: T, short: T) -> T {
        if self.short { short } else { full }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // What the rooms complain of, but for statements that are slow by design; `RUST_LOG`
    // says more.
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| "warn,sqlx::query=error".into()),
        )
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let ended = match cli.what {
        What::Client => client::main(),
        What::Broker => serve_log(&cli),
        _ => measure_until_interrupted(&cli),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure_until_interrupted(cli: &Cli) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("a runtime")?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            measured = measure(cli) => measured?.print(cli.json),
            // What is dropped here stops its servers and removes its files.
            _ = interrupt.recv() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("told to stop"),
        }
    })
}

fn serve_log(cli: &Cli) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    runtime.block_on(log::serve(&cli.folder, cli.port, cli.relaxed))
}

async fn measure(cli: &Cli) -> Result<Report> {
    let setting = Setting {
        folder: cli.folder.clone(),
        short: cli.short,
    };
    let wanted = |row| cli.what == row || cli.what == What::All;
    let mut report = Report::new(Machine::look(&setting.folder)?, cli.short);
    if wanted(What::Webhook) {
        report.add(webhook::measure(&setting).await.context("webhook")?);
    }
    if wanted(What::Project) {
        report.add(project::measure(&setting).await.context("project")?);
    }
    if wanted(What::Read) {
        report.add(read::measure(&setting).await.context("read")?);
    }
    if wanted(What::Visible) {
        report.add(visible::measure(&setting).await.context("visible")?);
    }
    if wanted(What::Rebuild) {
        report.add(rebuild::measure(&setting).await.context("rebuild")?);
    }
    if wanted(What::GroupCommit) {
        report.add(log::group_commit(&setting).await.context("group-commit")?);
    }
    if wanted(What::Log) {
        for row in log::beside_kafka(&setting).await.context("log")? {
            report.add(row);
        }
    }
    let peer = |row| cli.what == row || cli.what == What::Peers;
    if peer(What::Connect) {
        report.add(peers::connect(&setting).await.context("connect")?);
    }
    if peer(What::PostgresEs) {
        for row in peers::postgres_es(&setting).await.context("postgres-es")? {
            report.add(row);
        }
    }
    if peer(What::Flask) {
        for row in peers::flask(&setting).await.context("flask")? {
            report.add(row);
        }
    }
    Ok(report)
}
