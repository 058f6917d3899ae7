//! A database of a test's own, on a server that all tests of a process share.

use std::{fmt, net::SocketAddr};

use compline_readmodel::{Database, Role, generation, role};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{postgres::server::Server, way::Way};

mod server;

const PASSWORD: &str = "test";

/// An empty database with compline's roles and the protocol's own tables (schema
/// `compline`). It goes when this is dropped.
pub struct Postgres {
    name: String,
    superuser: PgConnectOptions,
    database: Database,
    server: &'static Server,
}

/// Makes a database. The first call of a process starts the server.
pub async fn postgres() -> Postgres {
    /// Two sessions that alter the same role get in each other's way.
    static ONE_BY_ONE: Mutex<()> = Mutex::const_new(());

    let server = Server::shared().await;
    let postgres = Postgres::named(server);
    let made = {
        let _turn = ONE_BY_ONE.lock().await;
        role::bootstrap(&server.superuser, &postgres.name, |_| PASSWORD.to_owned()).await
    };
    made.expect("roles and a database can be made");
    generation::migrate(&postgres.database)
        .await
        .expect("the protocol's tables can be made");
    postgres
}

impl Postgres {
    /// How compline's own code enters it.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The server's.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.server.port))
    }

    /// As entered by who comes by that way.
    pub fn database_by(&self, way: &Way) -> Database {
        let (direct, way) = (self.superuser.clone(), way.address());
        Database::new(move |role| {
            let options = direct.clone().username(role.as_str()).password(PASSWORD);
            options.host(&way.ip().to_string()).port(way.port())
        })
    }

    /// `postgres://…` of a role, password and all.
    pub fn url(&self, role: Role) -> String {
        let (role, port, name) = (role.as_str(), self.server.port, &self.name);
        format!("postgres://{role}:{PASSWORD}@127.0.0.1:{port}/{name}")
    }

    /// A session of `role`, with `schema` as its search path.
    pub async fn connect(&self, role: Role, schema: &str) -> PgConnection {
        let options = self.database.options(role, schema);
        PgConnection::connect_with(&options)
            .await
            .expect("the role may enter its database")
    }

    /// A session that may see and do anything: to look behind the scenes, or to
    /// break something.
    pub async fn superuser(&self) -> PgConnection {
        PgConnection::connect_with(&self.superuser)
            .await
            .expect("the superuser may enter any database")
    }

    /// A second database with all that this one holds, as a backup of it. Nobody
    /// may be working on this one; idle sessions are ended.
    pub async fn copy(&self) -> Postgres {
        let copy = Self::named(self.server);
        let mut conn = PgConnection::connect_with(&self.server.superuser)
            .await
            .expect("the superuser may enter");
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        let create = format!("CREATE DATABASE {} TEMPLATE {}", copy.name, self.name);
        sqlx::query(end)
            .bind(&self.name)
            .execute(&mut conn)
            .await
            .expect("the superuser may end sessions");
        sqlx::query(AssertSqlSafe(create))
            .execute(&mut conn)
            .await
            .expect("a database can be copied");
        copy
    }

    /// How a database of a new name is entered, once it is made.
    fn named(server: &'static Server) -> Self {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let superuser = server.superuser.clone().database(&name);
        let options = superuser.clone();
        let database = Database::new(move |role| {
            let options = options.clone();
            options.username(role.as_str()).password(PASSWORD)
        });
        Self {
            name,
            superuser,
            database,
            server,
        }
    }

    /// Every row of every table of `schema`, as [`crate::dump`] writes them.
    pub async fn dump(&self, schema: &str) -> String {
        let mut conn = self.superuser().await;
        let dump = crate::dump(&mut conn, schema).await;
        dump.expect("the superuser may read any table")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.server.forget(&self.name);
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("name", &self.name)
            .field("port", &self.server.port)
            .finish_non_exhaustive()
    }
}
