//! A log in a process of its own, so that its start and its memory are its own too:
//! the embedded broker, or Apache Kafka with one node.

use std::{
    io::Read as _,
    net::TcpListener,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use compline_broker::{Broker, BrokerConfig, SyncMode};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use tokio::process::{Child, Command};

/// How Apache Kafka's own start script sets the JVM for a broker.
const JVM: [&str; 7] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];
/// 16 bytes in base64, as `StorageTool format` wants them.
const CLUSTER: &str = "YmVzaWRlLWFwYWNoZS1rYQ";
const LONGEST_START: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Acknowledged when the kernel has it.
    Relaxed,
    /// Acknowledged when the disk has it.
    Synced,
}

#[derive(Debug)]
pub(crate) struct Node {
    process: Child,
    pub(crate) bootstrap: String,
    /// From the process's start until a client was told of the broker.
    pub(super) start: Duration,
}

impl Node {
    /// This program again, as nothing but a broker.
    pub(super) async fn embedded(folder: &Path, durability: Durability) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("broker")
            .arg("--folder")
            .arg(folder)
            .arg("--port")
            .arg(port.to_string());
        if durability == Durability::Relaxed {
            command.arg("--relaxed");
        }
        Self::start(&mut command, port).await
    }

    /// Apache Kafka from its jars, in `folder`, with its own defaults but for durability.
    pub(crate) async fn kafka(jars: &Path, folder: &Path, durability: Durability) -> Result<Self> {
        let (port, controller) = (free_port()?, free_port()?);
        let data = folder.join("data");
        let mut properties = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             controller.listener.names=CONTROLLER\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=6\n\
             group.initial.rebalance.delay.ms=0\n\
             log.dirs={}\n",
            data.display()
        );
        if durability == Durability::Synced {
            properties.push_str("log.flush.interval.messages=1\n");
        }
        std::fs::create_dir_all(&data)?;
        let settings = folder.join("server.properties");
        std::fs::write(&settings, properties)?;
        let java = || {
            let mut java = Command::new("java");
            java.arg("-cp").arg(jars.join("*"));
            java.stdout(Stdio::null()).stderr(Stdio::null());
            java
        };
        let formatted = java()
            .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"])
            .arg(&settings)
            .status()
            .await
            .context("java")?;
        ensure!(formatted.success(), "Kafka's folder could not be formatted");
        Self::start(java().args(JVM).arg("kafka.Kafka").arg(&settings), port).await
    }

    async fn start(command: &mut Command, port: u16) -> Result<Self> {
        let began = Instant::now();
        let process = command.stdin(Stdio::piped()).kill_on_drop(true).spawn()?;
        let bootstrap = format!("127.0.0.1:{port}");
        while tokio::net::TcpStream::connect(&bootstrap).await.is_err() {
            ensure!(began.elapsed() < LONGEST_START, "{bootstrap} does not open");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let at = bootstrap.clone();
        tokio::task::spawn_blocking(move || wait_for_a_broker(&at)).await??;
        Ok(Self {
            process,
            bootstrap,
            start: began.elapsed(),
        })
    }

    /// What it holds in memory now, MiB.
    pub(super) fn resident_mib(&self) -> Result<f64> {
        let pid = self.process.id().context("the log has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.context("no VmRSS")?.parse::<f64>()? / 1024.0)
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }
}

fn wait_for_a_broker(bootstrap: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .create()?;
        let metadata = client.fetch_metadata(None, Duration::from_secs(5));
        if metadata.is_ok_and(|metadata| !metadata.brokers().is_empty()) {
            return Ok(());
        }
        ensure!(
            began.elapsed() < LONGEST_START,
            "{bootstrap} tells of no broker"
        );
    }
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The embedded broker's process.
pub(crate) async fn serve(folder: &Path, port: u16, relaxed: bool) -> Result<()> {
    // A parent that is gone, however it went, closes our input.
    std::thread::spawn(|| {
        let _ = std::io::stdin().lock().read(&mut [0]);
        std::process::exit(1);
    });
    let mut config = BrokerConfig::new(folder);
    config.bind.set_port(port);
    if relaxed {
        config.sync = SyncMode::Relaxed;
    }
    let broker = Broker::open(config).await?;
    Ok(broker.run(std::future::pending()).await?)
}
