//! The command line: what there is, and who does it.

mod account;
mod activity;
mod ads;
mod backup;
mod broker;
mod change;
mod key;
mod list;
mod log;
mod parked;
mod projection;
mod replay;
mod restore;
mod role;
mod send;
mod simulate;
mod status;
mod tenant;
mod topics;
mod up;
mod wait;

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::{
    client::Target,
    config::excerpt::{MORE, of_migrate, of_role},
    output::Output,
    role::{EngineName, ProjectionName, RoleName},
};

/// What a company's ads are doing on Meta, with the proof kept.
/// For what blocks still when all has ended that ends in order: a disk or a peer that
/// does not answer.
const LAST_GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Parser)]
#[command(name = "compline", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten, next_help_heading = "Global options")]
    target: Target,

    /// Print JSON, one object a line, with protobuf's field names and every field. Behind
    /// a page that is not the last stands the line {"nextPageToken": "…"}
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,

    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start everything in one process, on one data folder
    Up(up::Up),
    /// Show what is running, how far behind, how big
    Status(status::Status),
    /// Show how far each reader is behind the log
    Lag(status::LagCommand),
    /// Read ads: list, show, history, watch, count
    Ads(ads::Ads),
    /// Show who did what and when, newest first
    Activity(activity::Activity),
    /// Show notifications, or mark one as read
    Notifications(activity::Notifications),
    /// Create or show a tenant
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// Connect, disconnect or list ad accounts
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Create, list or revoke API keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Post correctly signed sample webhooks, or a file as it is
    Send(send::Send),
    /// Show records of the log, decoded
    Replay(replay::Replay),
    /// List the topics of the log and how much they hold, or make and check them
    Topics(topics::Topics),
    /// Copy a whole log
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Copy all that a street holds to a folder while it runs, or check such a copy
    Backup(backup::Backup),
    /// Make a data folder from a backup
    Restore(restore::Restore),
    #[command(subcommand)]
    Parked(parked::ParkedCommand),
    #[command(subcommand)]
    Projection(projection::ProjectionCommand),
    /// Play a life of ads over HTTP and compare every row at its end
    Simulate(simulate::Simulate),
    /// Role: the embedded log alone; or look into its folder, or repair it
    #[command(after_help = MORE, after_long_help = of_role(RoleName::Broker))]
    Broker {
        #[command(subcommand)]
        command: Option<broker::BrokerCommand>,
    },
    /// Role: webhooks in
    #[command(after_help = MORE, after_long_help = of_role(RoleName::Ingress))]
    Ingress,
    /// Role: events in, events out
    Engine {
        #[command(subcommand)]
        name: EngineName,
    },
    /// Role: events into one read model
    #[command(after_help = MORE)]
    #[command(after_long_help = of_role(RoleName::Projector(ProjectionName::AdStatus)))]
    Projector {
        #[arg(value_enum)]
        name: ProjectionName,
    },
    /// Role: reads over gRPC
    #[command(after_help = MORE, after_long_help = of_role(RoleName::Query))]
    Query,
    /// Role: decisions of people in, over gRPC
    #[command(after_help = MORE, after_long_help = of_role(RoleName::Command))]
    Command,
    /// Make topics, logins, schemas and generations for the roles; safe to repeat
    #[command(after_help = MORE, after_long_help = of_migrate())]
    Migrate,
    /// Make a key for the operator, and the hash that the configuration keeps of it
    OperatorKey(change::KeyFile),
    /// Print the commented default configuration
    Config,
}

impl Cli {
    /// Runs the command to its end.
    pub fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start the async runtime")?;
        let ended = runtime.block_on(self.dispatch());
        runtime.shutdown_timeout(LAST_GRACE);
        ended
    }

    async fn dispatch(self) -> Result<()> {
        let Self {
            target,
            json,
            command,
        } = self;
        let mut out = Output::new(json);
        match command {
            Action::Up(up) => up.run(&target, &mut out).await?,
            Action::Broker { command } => broker::run(command, &target, &mut out).await?,
            Action::Ingress => role::run(RoleName::Ingress, &target).await?,
            Action::Engine { name } => role::run(RoleName::Engine(name), &target).await?,
            Action::Projector { name } => role::run(RoleName::Projector(name), &target).await?,
            Action::Query => role::run(RoleName::Query, &target).await?,
            Action::Command => role::run(RoleName::Command, &target).await?,
            Action::Migrate => role::migrate(&target, &mut out).await?,
            Action::Config => role::config(&mut out)?,
            Action::Status(status) => status.run(&target, &mut out).await?,
            Action::Lag(lag) => lag.run(&target, &mut out).await?,
            Action::OperatorKey(file) => role::operator_key(file, &mut out)?,
            Action::Ads(ads) => ads.run(&target, &mut out).await?,
            Action::Activity(activity) => activity.run(&target, &mut out).await?,
            Action::Notifications(notifications) => notifications.run(&target, &mut out).await?,
            Action::Tenant(tenant) => tenant.run(&target, &mut out).await?,
            Action::Account(account) => account.run(&target, &mut out).await?,
            Action::Key(key) => key.run(&target, &mut out).await?,
            Action::Send(send) => send.run(&target, &mut out).await?,
            Action::Replay(replay) => replay.run(&target, &mut out).await?,
            Action::Topics(topics) => topics.run(&target, &mut out).await?,
            Action::Log(log) => log.run(&target, &mut out).await?,
            Action::Backup(backup) => backup.run(&target, &mut out).await?,
            Action::Restore(restore) => restore.run(&target, &mut out).await?,
            Action::Parked(parked) => parked.run(&target, &mut out).await?,
            Action::Projection(projection) => projection.run(&target, &mut out).await?,
            Action::Simulate(simulate) => simulate.run(&target, &mut out).await?,
        }
        out.flush()?;
        Ok(())
    }
}
