//! Shopify's toxiproxy, by its HTTP interface. `TOXIPROXY` names the program.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::town;

pub(super) struct Toxiproxy {
    process: Child,
    api: SocketAddr,
}

/// One way through it.
pub(super) struct Proxy {
    api: SocketAddr,
    name: String,
    pub(super) listens: SocketAddr,
}

/// Which of the two directions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    /// From the role.
    Up,
    /// To the role.
    Down,
}

impl Toxiproxy {
    pub(super) async fn start() -> Result<Self> {
        let program = std::env::var("TOXIPROXY").context("TOXIPROXY names toxiproxy's server")?;
        let api = SocketAddr::from(([127, 0, 0, 1], town::port()?));
        let process = Command::new(&program)
            .args(["-host", "127.0.0.1", "-port", &api.port().to_string()])
            .env("LOG_LEVEL", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let toxiproxy = Self { process, api };
        for _ in 0..100 {
            if ask(api, Method::GET, "/version", None).await.is_ok() {
                return Ok(toxiproxy);
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("{program} does not answer at {api}")
    }

    /// A way that leads nowhere yet.
    pub(super) async fn proxy(&self, name: &str) -> Result<Proxy> {
        Ok(Proxy {
            api: self.api,
            name: name.to_owned(),
            listens: SocketAddr::from(([127, 0, 0, 1], town::port()?)),
        })
    }
}

impl Drop for Toxiproxy {
    fn drop(&mut self) {
        // Nothing is left to do where it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Proxy {
    pub(super) async fn leads_to(&self, upstream: SocketAddr) -> Result<()> {
        let proxy = json!({
            "name": self.name, "listen": self.listens, "upstream": upstream, "enabled": true,
        });
        ask(self.api, Method::POST, "/proxies", Some(&proxy)).await?;
        Ok(())
    }

    /// Not enabled, it closes all connections and takes no others.
    pub(super) async fn enable(&self, enabled: bool) -> Result<()> {
        let path = format!("/proxies/{}", self.name);
        ask(
            self.api,
            Method::POST,
            &path,
            Some(&json!({ "enabled": enabled })),
        )
        .await?;
        Ok(())
    }

    pub(super) async fn add(&self, toxic: &str, stream: Stream, attributes: Value) -> Result<()> {
        let toxic = json!({
            "name": stream.of(toxic), "type": toxic, "stream": stream.name(),
            "toxicity": 1.0, "attributes": attributes,
        });
        let path = format!("/proxies/{}/toxics", self.name);
        ask(self.api, Method::POST, &path, Some(&toxic)).await?;
        Ok(())
    }

    /// From now on it touches no connection, new or old.
    pub(super) async fn disarm(&self, toxic: &str, stream: Stream) -> Result<()> {
        let path = format!("/proxies/{}/toxics/{}", self.name, stream.of(toxic));
        ask(
            self.api,
            Method::POST,
            &path,
            Some(&json!({ "toxicity": 0.0 })),
        )
        .await?;
        Ok(())
    }

    /// Without any toxics.
    pub(super) async fn clean(&self) -> Result<()> {
        let path = format!("/proxies/{}/toxics", self.name);
        let toxics = ask(self.api, Method::GET, &path, None).await?;
        for toxic in toxics.as_array().context("a list of toxics")? {
            let name = toxic["name"].as_str().context("a toxic's name")?;
            ask(self.api, Method::DELETE, &format!("{path}/{name}"), None).await?;
        }
        Ok(())
    }
}

impl Stream {
    pub(super) const BOTH: [Stream; 2] = [Stream::Up, Stream::Down];

    const fn name(self) -> &'static str {
        match self {
            Stream::Up => "upstream",
            Stream::Down => "downstream",
        }
    }

    fn of(self, toxic: &str) -> String {
        format!("{toxic}-{}", self.name())
    }
}

async fn ask(api: SocketAddr, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let text = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{api}{path}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(text)))?;
    let answer = client.request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(
        status.is_success(),
        "toxiproxy: {path}: {status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}
