//! How each role of ours enters the database.

use anyhow::Result;
use compline_readmodel::{Database, Role};
use compline_runtime::{Secret, config::ConfigError};
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

use crate::street::DatabaseAccess;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSettings {
    pub url: String,
    pub owner_password: Secret,
    pub projector_password: Secret,
    pub engine_password: Secret,
    pub query_password: Secret,
    pub admin_url: Secret,
    pub admin_password: Secret,
}

impl PostgresSettings {
    /// As operators' tools enter the database of a running street.
    pub fn of_street(access: &DatabaseAccess) -> Self {
        Self {
            url: access.url.clone(),
            owner_password: Secret::new(&access.owner_password),
            projector_password: Secret::new(""),
            engine_password: Secret::new(""),
            query_password: Secret::new(&access.query_password),
            admin_url: Secret::new(""),
            admin_password: Secret::new(""),
        }
    }

    /// Never quotes the URL: people put passwords into URLs.
    pub(super) fn options(&self) -> Result<PgConnectOptions, ConfigError> {
        const EXPECTED: &str = "a URL such as postgres://127.0.0.1:5432/compline";
        let refuse = |found| ConfigError::invalid("postgres.url", found, EXPECTED);
        let (scheme, rest) = self.url.split_once("://").unwrap_or_default();
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(refuse("no postgres:// at its beginning"));
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(refuse("a user in it, which each role has of its own"));
        }
        self.url
            .parse()
            .map_err(|_| refuse("something that is none"))
    }

    pub fn password(&self, role: Role) -> &Secret {
        match role {
            Role::Owner => &self.owner_password,
            Role::Projector => &self.projector_password,
            Role::Engine => &self.engine_password,
            Role::Query => &self.query_password,
        }
    }

    /// How each role of ours enters.
    pub fn database(&self) -> Result<Database> {
        self.entered_by(|role| role)
    }

    /// For tools: every role enters as the owner, who may do what any of them may.
    pub fn database_as_owner(&self) -> Result<Database> {
        self.entered_by(|_| Role::Owner)
    }

    fn entered_by(
        &self,
        login_of: impl Fn(Role) -> Role + Send + Sync + 'static,
    ) -> Result<Database> {
        let options = self.options()?;
        let settings = self.clone();
        Ok(Database::new(move |role| {
            let role = login_of(role);
            let options = options.clone().username(role.as_str());
            match settings.password(role).expose() {
                // Whatever the server trusts: a client certificate, a socket's peer.
                "" => options,
                password => options.password(password),
            }
        }))
    }

    /// The database's name and the login that may make it.
    pub fn admin(&self) -> Result<Option<(PgConnectOptions, String)>, ConfigError> {
        if self.admin_url.is_empty() {
            return Ok(None);
        }
        let Ok(admin) = self.admin_url.expose().parse::<PgConnectOptions>() else {
            let expected = "a URL such as postgres://postgres@127.0.0.1:5432/postgres";
            return Err(ConfigError::invalid(
                "postgres.admin_url",
                "something else",
                expected,
            ));
        };
        let admin = match self.admin_password.expose() {
            "" => admin,
            password => admin.password(password),
        };
        let options = self.options()?;
        let Some(database) = options.get_database() else {
            let expected = "the database's name, as admin_url may have to make it";
            return Err(ConfigError::invalid(
                "postgres.url",
                "no database",
                expected,
            ));
        };
        Ok(Some((admin, database.to_owned())))
    }
}
