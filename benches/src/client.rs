//! The client process: makes load and holds the clocks, on one thread, so that it
//! takes no more of the machine than it must, and the same for ours and the limit.
//!
//! It gets one [`Order`] on standard input and gives one answer on standard
//! output, both JSON. Its input stays open as long as its parent lives.

mod flood;
mod http;
mod log;
mod reads;
mod watch;

use std::{
    io::{self, BufRead as _, Read as _, Write as _},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::AsyncWriteExt as _;

pub(crate) use flood::Flood;
pub(crate) use http::BODY_BYTES_ABOUT;
pub(crate) use log::{LogLoad, LogLoaded, PARTITIONS, RECORD_BYTES};
pub(crate) use reads::Reads;
pub(crate) use watch::{Watch, Watched};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    Flood(Flood),
    Reads(Reads),
    Watch(Watch),
    LogLoad(LogLoad),
}

/// What a client process can be asked to do.
pub(crate) trait Task {
    type Answer: Serialize + DeserializeOwned;
}

/// Lets another process do it.
pub(crate) async fn ask<T>(task: T) -> Result<T::Answer>
where
    T: Task + Into<Order>,
{
    let mut child = tokio::process::Command::new(std::env::current_exe()?)
        .arg("client")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the client process")?;
    let mut order = serde_json::to_vec(&task.into())?;
    order.push(b'\n');
    // Held open until it has answered.
    let mut input = child.stdin.take().context("the client's input")?;
    input.write_all(&order).await?;
    let output = child.wait_with_output().await?;
    drop(input);
    ensure!(output.status.success(), "the client process failed");
    serde_json::from_slice(&output.stdout).context("the client's answer")
}

/// The client process itself.
pub(crate) fn main() -> Result<()> {
    let mut order = String::new();
    io::stdin().lock().read_line(&mut order)?;
    let order: Order = serde_json::from_str(&order).context("the order")?;
    // A parent that is gone, however it went, closes our input.
    std::thread::spawn(|| {
        let _ = io::stdin().lock().read(&mut [0]);
        std::process::exit(1);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(async {
        anyhow::Ok(match order {
            Order::Flood(flood) => serde_json::to_vec(&flood.run().await?)?,
            Order::Reads(reads) => serde_json::to_vec(&reads.run().await?)?,
            Order::Watch(watch) => serde_json::to_vec(&watch.run().await?)?,
            Order::LogLoad(load) => serde_json::to_vec(&load.run().await?)?,
        })
    })?;
    io::stdout().lock().write_all(&answer)?;
    Ok(())
}

impl From<Flood> for Order {
    fn from(flood: Flood) -> Self {
        Order::Flood(flood)
    }
}

impl From<Reads> for Order {
    fn from(reads: Reads) -> Self {
        Order::Reads(reads)
    }
}

impl From<Watch> for Order {
    fn from(watch: Watch) -> Self {
        Order::Watch(watch)
    }
}

impl From<LogLoad> for Order {
    fn from(load: LogLoad) -> Self {
        Order::LogLoad(load)
    }
}
