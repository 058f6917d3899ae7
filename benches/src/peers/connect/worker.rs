//! One standalone worker, spoken to through its REST door.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use compline_readmodel::Role;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::rows;
use crate::{
    house::{OwnDatabase, partitions_of},
    log::free_port,
    peers::process::Peer,
};
use compline_event::Topic;

/// How Kafka Connect's own start script sets the JVM.
const JVM: [&str; 7] = [
    "-Xms256M",
    "-Xmx2G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];
const LONGEST_START: Duration = Duration::from_secs(120);

pub(super) struct Worker {
    peer: Peer,
    port: u16,
}

impl Worker {
    pub(super) async fn start(jars: &Path, folder: &Path, bootstrap: &str) -> Result<Self> {
        let port = free_port()?;
        let properties = format!(
            "bootstrap.servers={bootstrap}\n\
             listeners=http://127.0.0.1:{port}\n\
             key.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.json.JsonConverter\n\
             offset.storage.file.filename={}\n\
             plugin.path={}\n",
            folder.join("connect-offsets").display(),
            jars.join("plugins").display(),
        );
        let settings = folder.join("worker.properties");
        std::fs::write(&settings, properties)?;
        let log = folder.join("connect.log");
        let peer = Peer::start(Path::new("java"), log, |java| {
            java.args(JVM)
                .arg("-cp")
                .arg(jars.join("worker/*"))
                .arg("org.apache.kafka.connect.cli.ConnectStandalone")
                .arg(&settings)
        })?;
        let mut worker = Self { peer, port };
        worker.peer.listens(port).await?;
        let began = Instant::now();
        while worker.ask(Method::GET, "/connectors", None).await.is_err() {
            worker.peer.check()?;
            ensure!(
                began.elapsed() < LONGEST_START,
                "the worker does not answer"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(worker)
    }

    /// Lets a sink read all rows from the beginning and upsert them into `schema`.
    pub(super) async fn sink(&self, name: &str, own: &OwnDatabase, schema: &str) -> Result<()> {
        let config = json!({
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            // A task for each partition, as ours has a connection.
            "tasks.max": partitions_of(Topic::Ad).to_string(),
            "topics": rows::TOPIC,
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schema.content": rows::schema().to_string(),
            // Texts become what the column is: uuid, timestamptz, text[].
            "connection.url": format!(
                "jdbc:postgresql://127.0.0.1:{}/{}?stringtype=unspecified&reWriteBatchedInserts=true",
                own.port(), own.name()
            ),
            "connection.username": Role::Projector.as_str(),
            "connection.password": own.password(),
            "collection.name.format": format!("{schema}.ad"),
            "insert.mode": "upsert",
            "primary.key.mode": "record_value",
            "primary.key.fields": "tenant_id,ad_id",
            "schema.evolution": "none",
            // The last of a key's rows in a batch stands for all of them, as in our fold.
            "use.reduction.buffer": "true",
            "batch.size": "5000",
            "consumer.override.max.poll.records": "5000",
            "consumer.override.fetch.min.bytes": "1",
        });
        let config = serde_json::to_vec(&config)?;
        self.ask(
            Method::PUT,
            &format!("/connectors/{name}/config"),
            Some(config),
        )
        .await?;
        Ok(())
    }

    /// Whether the sink still runs.
    pub(super) async fn check(&mut self, name: &str) -> Result<()> {
        self.peer.check()?;
        let status = self
            .ask(Method::GET, &format!("/connectors/{name}/status"), None)
            .await?;
        let tasks = status["tasks"].as_array().into_iter().flatten();
        match tasks
            .chain([&status["connector"]])
            .find(|one| one["state"] == "FAILED")
        {
            Some(failed) => bail!("{}", failed["trace"].as_str().unwrap_or("it failed")),
            None => Ok(()),
        }
    }

    pub(super) async fn end(&self, name: &str) -> Result<()> {
        self.ask(Method::DELETE, &format!("/connectors/{name}"), None)
            .await?;
        Ok(())
    }

    pub(super) fn processor_seconds(&self) -> f64 {
        self.peer.processor_seconds()
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.peer.stop().await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Value> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        connection.abort();
        ensure!(
            status.is_success(),
            "{path} was answered {status}: {}",
            String::from_utf8_lossy(&body)
        );
        match status {
            StatusCode::NO_CONTENT => Ok(Value::Null),
            _ => serde_json::from_slice(&body).context("the worker's answer"),
        }
    }
}
