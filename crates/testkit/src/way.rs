//! A way that can end without a word, as where a router forgets its connections or a
//! machine loses its power: who stands on it is told nothing, and new ones pass.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// It goes when this is dropped, and closes what is left.
#[derive(Debug)]
pub struct Way {
    address: SocketAddr,
    forgotten: watch::Sender<()>,
    _led: JoinSet<()>,
}

impl Way {
    pub async fn to(end: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (forgotten, _) = watch::channel(());
        let mut led = JoinSet::new();
        led.spawn(lead(listener, end, forgotten.clone()));
        Self {
            address,
            forgotten,
            _led: led,
        }
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing passes on the connections that stand.
    pub fn forget(&self) {
        self.forgotten.send_replace(());
    }
}

async fn lead(listener: TcpListener, end: SocketAddr, forgotten: watch::Sender<()>) {
    let mut connections = JoinSet::new();
    while let Ok((mut here, _)) = listener.accept().await {
        let mut forgotten = forgotten.subscribe();
        connections.spawn(async move {
            let Ok(mut there) = TcpStream::connect(end).await else {
                return;
            };
            tokio::select! {
                _ = copy_bidirectional(&mut here, &mut there) => {}
                // Neither is closed: nobody is told.
                _ = forgotten.changed() => std::future::pending().await,
            }
        });
    }
}
