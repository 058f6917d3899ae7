//! Where each door is bound, and what is said when its place is taken.

use std::{fmt, io, net::SocketAddr};

use tokio::net::TcpListener;

use crate::config::{Settings, excerpt::variable};

/// What listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Ingress,
    Query,
    Command,
    Admin,
    /// The embedded log.
    Kafka,
    /// The private database.
    Postgres,
}

/// A door's place that cannot be had.
#[derive(Debug)]
pub struct Taken {
    door: Door,
    address: SocketAddr,
    source: io::Error,
    flag: Option<&'static str>,
}

impl Door {
    /// Listens, and so holds the place; who connects waits until somebody serves.
    pub async fn bind(self, settings: &Settings) -> Result<TcpListener, Taken> {
        let address = self.address(settings);
        TcpListener::bind(address).await.map_err(|source| Taken {
            door: self,
            address,
            source,
            flag: None,
        })
    }

    pub fn address(self, settings: &Settings) -> SocketAddr {
        match self {
            Door::Ingress => settings.ingress.http.listen,
            Door::Query => settings.query.grpc.listen,
            Door::Command => settings.command.grpc.listen,
            Door::Admin => settings.admin.listen,
            Door::Kafka => settings.broker.listen,
            Door::Postgres => SocketAddr::from(([127, 0, 0, 1], settings.cluster.port)),
        }
    }

    const fn setting(self) -> &'static str {
        match self {
            Door::Ingress => "ingress.http.listen",
            Door::Query => "query.grpc.listen",
            Door::Command => "command.grpc.listen",
            Door::Admin => "admin.listen",
            Door::Kafka => "broker.listen",
            Door::Postgres => "cluster.port",
        }
    }

    /// Of `up`.
    const fn flag(self) -> &'static str {
        match self {
            Door::Ingress => "--ingress-port",
            Door::Query => "--query-port",
            Door::Command => "--command-port",
            Door::Admin => "--admin-port",
            Door::Kafka => "--kafka-port",
            Door::Postgres => "--postgres-port",
        }
    }
}

impl Taken {
    /// The same, for whoever can choose by a flag of `up`.
    pub fn of_up(self) -> Self {
        let flag = Some(self.door.flag());
        Self { flag, ..self }
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, source, setting) = (self.address, &self.source, self.door.setting());
        write!(
            f,
            "cannot listen on {address}: {source}; choose another port with "
        )?;
        if let Some(flag) = self.flag {
            write!(f, "{flag} or ")?;
        }
        let variable = variable(setting);
        write!(f, "the setting {setting} ({variable}); 0 takes a free one")
    }
}

impl std::error::Error for Taken {}
