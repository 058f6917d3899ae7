//! `compline up`: the whole street, and what to try with it.

use std::{fmt::Write as _, path::Path, pin::pin};

use anyhow::{Result, bail};
use clap::Args;
use compline_api::key::ApiKey;
use compline_runtime::Shutdown;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    client::Target,
    config::{Purpose, Settings},
    output::Output,
    process::init_telemetry,
    street::DEFAULT_FOLDER,
    up::{self, OwnKey, Running, Stand, Steps},
};

#[derive(Debug, Args)]
#[command(after_help = "Settings beside the ports: see `compline config`.")]
pub(super) struct Up {
    /// Webhooks [default: 7400; 0 takes a free port, as for all]
    #[arg(long, value_name = "PORT")]
    ingress_port: Option<u16>,
    /// Query service (gRPC) [default: 7401]
    #[arg(long, value_name = "PORT")]
    query_port: Option<u16>,
    /// Command service (gRPC) [default: 7402]
    #[arg(long, value_name = "PORT")]
    command_port: Option<u16>,
    /// Health and metrics [default: 7403]
    #[arg(long, value_name = "PORT")]
    admin_port: Option<u16>,
    /// PostgreSQL [default: 7404]
    #[arg(long, value_name = "PORT")]
    postgres_port: Option<u16>,
    /// The log (Kafka protocol) [default: 9092]
    #[arg(long, value_name = "PORT")]
    kafka_port: Option<u16>,
    /// Stand on this Kafka cluster instead of a log of its own; several brokers with commas
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "kafka_port")]
    kafka: Option<String>,
    /// Copies of each topic that is made on the cluster [default: 3 where it has so many
    /// nodes, else log.replication]
    #[arg(long, value_name = "N", requires = "kafka",
          value_parser = clap::value_parser!(u16).range(1..=10))]
    replication: Option<u16>,
}

impl Up {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let purpose = match self.kafka {
            None => Purpose::Up,
            Some(_) => Purpose::UpOnKafka,
        };
        let mut settings = Settings::load_for(purpose, target.config.as_deref())?;
        self.choose_ports(&mut settings);
        let telemetry = init_telemetry(&settings.telemetry)?;
        let shutdown = Shutdown::new();
        shutdown.on_signals()?;

        let began = Instant::now();
        let street = target.street();
        let mut starting = pin!(up::start(
            &street,
            self.stand(),
            settings,
            shutdown.clone(),
            Some(telemetry.metrics()),
            &Steps::Shown,
        ));
        let running = tokio::select! {
            running = &mut starting => running?,
            () = shutdown.begun() => match shutdown.reason() {
                Some(up::REFUSED) => starting.await?,
                _ => bail!("stopped while starting"),
            },
        };
        match out.is_json() {
            true => out.json(&json!({
                "pid": running.run_file.pid,
                "addresses": running.run_file.addresses,
                "data": street.folder(),
                "keyRefused": running.own_key == OwnKey::Refused,
            }))?,
            false => out.line(greeting(
                &running,
                street.folder(),
                began.elapsed().as_secs_f64(),
            ))?,
        }
        out.flush()?;
        tokio::spawn(async move {
            shutdown.begun().await;
            eprintln!("stopping; Ctrl-C once more leaves at once");
        });
        running.run().await?;
        telemetry.shutdown().await;
        if !out.is_json() {
            out.line("stopped")?;
        }
        Ok(())
    }

    fn stand(&self) -> Stand {
        match &self.kafka {
            None => Stand::Embedded,
            Some(bootstrap) => Stand::Kafka {
                bootstrap: bootstrap.clone(),
                replication: self.replication,
            },
        }
    }

    fn choose_ports(&self, settings: &mut Settings) {
        let doors = [
            (&mut settings.ingress.http.listen, self.ingress_port),
            (&mut settings.query.grpc.listen, self.query_port),
            (&mut settings.command.grpc.listen, self.command_port),
            (&mut settings.admin.listen, self.admin_port),
            (&mut settings.broker.listen, self.kafka_port),
        ];
        for (listen, port) in doors {
            if let Some(port) = port {
                listen.set_port(port);
            }
        }
        if let Some(port) = self.postgres_port {
            settings.cluster.port = port;
        }
    }
}

fn greeting(running: &Running, folder: &Path, seconds: f64) -> String {
    let at = &running.run_file.addresses;
    let folder = folder.display();
    let mut text = format!(
        "
compline is running (process {pid}, started in {seconds:.1} s).

  webhooks    http://{ingress}/webhooks/meta and /webhooks/stripe
  queries     {query} (gRPC)
  commands    {command} (gRPC)
  admin       http://{admin}/readyz, /healthz, /metrics
  log         {kafka} (Kafka protocol)
  PostgreSQL  {postgres} ({version} from {programs}, data in {pgdata})
  data        {folder}
",
        pid = running.run_file.pid,
        ingress = at.ingress,
        query = at.query,
        command = at.command,
        admin = at.admin,
        kafka = at.kafka,
        postgres = at.postgres,
        version = running.postgres.version,
        pgdata = running.postgres.data.display(),
        programs = running.postgres.programs.display(),
    );
    text.push_str(&about_key(&running.own_key, &folder.to_string()));
    let _ = write!(text, "\nTry, in another terminal:\n\n");
    for command in commands_to_try(running, &folder.to_string()) {
        let _ = writeln!(text, "  {command}");
    }
    text.push_str("\nCtrl-C stops it.");
    text
}

fn about_key(own_key: &OwnKey, folder: &str) -> String {
    match own_key {
        OwnKey::Kept => String::new(),
        OwnKey::Made { tenant, account } => format!(
            "
Made the tenant {tenant:?} with the ad account {account}; its key is in {folder}/api.key.
"
        ),
        OwnKey::Refused => format!(
            "
The key in {folder}/api.key lets nobody in (perhaps it was revoked), and what is tried
below will be refused. Move the file away; then start again, which makes another sample
tenant, or make another key of the same tenant:

  {} key create --tenant {} --role admin --force --write-key {folder}/api.key
",
            program_at(folder),
            key_in(folder).map_or_else(|| "UUID".to_owned(), |key| key.tenant.to_string()),
        ),
    }
}

/// Absent when it is none.
fn key_in(folder: &str) -> Option<ApiKey> {
    let text = std::fs::read_to_string(format!("{folder}/api.key")).ok()?;
    text.trim().parse().ok()
}

/// The program with its data folder, ready to paste.
fn program_at(folder: &str) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "compline".into());
    match folder {
        DEFAULT_FOLDER => program,
        folder => format!("{program} --data {folder}"),
    }
}

/// Ready to paste, from the folder in which `up` was started.
fn commands_to_try(running: &Running, folder: &str) -> Vec<String> {
    let program = program_at(folder);
    let at = &running.run_file.addresses;
    let mut commands: Vec<String> = [
        "send all",
        "ads list",
        "ads show 23849203842934",
        "notifications",
        "simulate --rate 500 --ads 5000 --for 60s",
        "status",
        "replay ad --from 1h",
    ]
    .map(|command| format!("{program} {command}"))
    .into();
    commands.push(format!(
        "grpcurl -plaintext -H \"x-api-key: $(cat {folder}/api.key)\" {} compline.query.v1.AdService/ListAds",
        at.query
    ));
    commands.push(format!(
        "kcat -b {} -C -t ad -o beginning -e -f '%T %k %h\\n'",
        at.kafka
    ));
    if let Some(key) = key_in(folder) {
        commands.push(format!(
            "PGPASSFILE={folder}/pgpass PGOPTIONS='-c compline.tenant={} -c search_path={}' \
             psql -h {} -p {} -U compline_query compline -c 'SELECT ad_id, status FROM ad LIMIT 10'",
            key.tenant,
            running.ads_schema,
            at.postgres.ip(),
            at.postgres.port(),
        ));
    }
    commands
}
