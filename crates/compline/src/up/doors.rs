//! All places where a street listens, taken before anything of it is started.

use std::net::SocketAddr;

use anyhow::Result;
use compline_cluster::leftover_port;
use tokio::net::TcpListener;

use super::Stand;
use crate::{
    config::Settings,
    role::{Door, Taken},
    street::Street,
};

/// Who connects to one of ours meanwhile waits until the street has started.
pub(super) struct Doors {
    pub(super) ingress: TcpListener,
    pub(super) query: TcpListener,
    pub(super) command: TcpListener,
    pub(super) admin: TcpListener,
    pub(super) kafka: Kept,
    pub(super) postgres: Kept,
}

/// A place kept for a store that takes it by itself, as soon as this is dropped.
pub(super) struct Kept {
    _listener: Option<TcpListener>,
}

impl Doors {
    pub(super) async fn bind(settings: &Settings, stand: &Stand, street: &Street) -> Result<Self> {
        let bind = async |door: Door| door.bind(settings).await.map_err(Taken::of_up);
        Ok(Self {
            ingress: bind(Door::Ingress).await?,
            query: bind(Door::Query).await?,
            command: bind(Door::Command).await?,
            admin: bind(Door::Admin).await?,
            kafka: match stand {
                Stand::Embedded => Kept::by(bind(Door::Kafka).await?),
                Stand::Kafka { .. } => Kept::elsewhere(),
            },
            postgres: match bind(Door::Postgres).await {
                Ok(listener) => Kept::by(listener),
                Err(taken) => Kept::by_former(taken, settings, street)?,
            },
        })
    }

    /// Of ingress, query, command and admin.
    pub(super) fn addresses(&self) -> Result<[SocketAddr; 4]> {
        Ok([
            self.ingress.local_addr()?,
            self.query.local_addr()?,
            self.command.local_addr()?,
            self.admin.local_addr()?,
        ])
    }
}

impl Kept {
    fn by(listener: TcpListener) -> Self {
        Self {
            _listener: Some(listener),
        }
    }

    fn elsewhere() -> Self {
        Self { _listener: None }
    }

    /// A street that was killed leaves its server for a moment, and it keeps its place.
    fn by_former(taken: Taken, settings: &Settings, street: &Street) -> Result<Self, Taken> {
        let port = leftover_port(&street.postgres_folder());
        match port == Some(settings.cluster.port) {
            true => Ok(Self { _listener: None }),
            false => Err(taken),
        }
    }
}
