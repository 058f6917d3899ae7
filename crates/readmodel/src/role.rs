//! Who may touch what: four login roles and their passwords.

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions,
};

/// Makes the roles; see the file for why each has no privilege of its own.
const ROLES: &str = include_str!("../roles.sql");

/// A login of design §8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Owns every table and runs migrations; row level security binds it too.
    Owner,
    /// Writes read models.
    Projector,
    /// Writes engine state and outboxes.
    Engine,
    /// Reads under row level security.
    Query,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Owner, Role::Projector, Role::Engine, Role::Query];

    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "compline_owner",
            Role::Projector => "compline_projector",
            Role::Engine => "compline_engine",
            Role::Query => "compline_query",
        }
    }
}

/// Makes the roles that are missing, sets their passwords, and makes `database`
/// with the owner as its owner. `admin` must be allowed to create roles and
/// databases; nothing else ever connects with it.
pub async fn bootstrap(
    admin: &PgConnectOptions,
    database: &str,
    password_of: impl Fn(Role) -> String,
) -> Result<(), sqlx::Error> {
    let mut conn = PgConnection::connect_with(admin).await?;
    conn.execute(ROLES).await?;
    for role in Role::ALL {
        let quoted: String = sqlx::query_scalar("SELECT quote_literal($1)")
            .bind(password_of(role))
            .fetch_one(&mut conn)
            .await?;
        // ALTER ROLE takes no parameters; the server itself quoted the literal.
        let statement = format!("ALTER ROLE {} PASSWORD {quoted}", role.as_str());
        conn.execute(AssertSqlSafe(statement)).await?;
    }
    let exists: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
        .bind(database)
        .fetch_optional(&mut conn)
        .await?;
    if exists.is_none() {
        let quoted: String = sqlx::query_scalar("SELECT quote_ident($1)")
            .bind(database)
            .fetch_one(&mut conn)
            .await?;
        let statement = format!(
            "CREATE DATABASE {quoted} OWNER {} ENCODING 'UTF8' TEMPLATE template0",
            Role::Owner.as_str()
        );
        conn.execute(AssertSqlSafe(statement)).await?;
    }
    conn.close().await
}
