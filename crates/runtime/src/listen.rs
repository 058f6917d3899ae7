//! Binding a listener, with an error that says who wanted which address.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::RuntimeError;

/// Listens on `address` (port 0 lets the system choose; ask the listener which one it was).
pub async fn bind(server: &str, address: SocketAddr) -> Result<TcpListener, RuntimeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| RuntimeError::Bind {
            server: server.to_owned(),
            address,
            source,
        })
}
