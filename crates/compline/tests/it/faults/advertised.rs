//! A Kafka client goes where the log says that it is, past any proxy. So behind the
//! proxy stands a task that puts the proxy's port into the log's answers: it looks for
//! host and port as the protocol writes them, and what it puts there is as long.

use std::{io, net::SocketAddr};

use anyhow::{Result, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

const BUFFER: usize = 64 << 10;

/// Where the log at `log` may be reached that says of itself to be at `told`.
pub(super) async fn behind(log: SocketAddr, told: SocketAddr) -> Result<SocketAddr> {
    ensure!(log.ip() == told.ip(), "the names are of one length");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((role, _)) = listener.accept().await {
            tokio::spawn(lead(role, log, told));
        }
    });
    Ok(address)
}

/// Until either side has had enough, and then neither is kept.
async fn lead(role: TcpStream, log: SocketAddr, told: SocketAddr) -> io::Result<()> {
    let broker = TcpStream::connect(log).await?;
    role.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (mut from_role, to_role) = role.into_split();
    let (from_broker, mut to_broker) = broker.into_split();
    let (own, told) = (written(log), written(told));
    tokio::select! {
        asked = tokio::io::copy(&mut from_role, &mut to_broker) => asked.map(drop),
        answered = answer(from_broker, to_role, &own, &told) => answered,
    }
}

/// As in Metadata, FindCoordinator and DescribeCluster: the host, then the port as an INT32.
fn written(address: SocketAddr) -> Vec<u8> {
    let mut bytes = address.ip().to_string().into_bytes();
    bytes.extend(i32::from(address.port()).to_be_bytes());
    bytes
}

async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    own: &[u8],
    told: &[u8],
) -> io::Result<()> {
    let mut read = vec![0; BUFFER];
    let mut held: Vec<u8> = Vec::new();
    loop {
        let count = from.read(&mut read).await?;
        if count == 0 {
            return to.write_all(&held).await;
        }
        held.extend(&read[..count]);
        let mut at = 0;
        while let Some(found) = find(&held[at..], own) {
            held[at + found..at + found + own.len()].copy_from_slice(told);
            at += found + own.len();
        }
        // What may be its beginning waits for the rest.
        let kept = (1..own.len().min(held.len() - at + 1))
            .rev()
            .find(|length| held.ends_with(&own[..*length]))
            .unwrap_or(0);
        let rest = held.split_off(held.len() - kept);
        to.write_all(&held).await?;
        held = rest;
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
