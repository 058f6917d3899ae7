//! Rows as Postgres gives them, and what they mean.

use compline_event::{AdAccountId, TenantId};
use sqlx::error::BoxDynError;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Account, ApiKey, Outcome, Role, Tenant};

pub(crate) struct TenantRow {
    pub(crate) tenant_id: Uuid,
    pub(crate) display_name: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) version: i64,
}

pub(crate) struct AccountRow {
    pub(crate) tenant_id: Uuid,
    pub(crate) ad_account_id: String,
    pub(crate) display_name: String,
    pub(crate) connected: bool,
    pub(crate) connected_at: Option<OffsetDateTime>,
    pub(crate) status: i32,
    pub(crate) disable_reason: i32,
    pub(crate) status_changed_at: Option<OffsetDateTime>,
    pub(crate) version: i64,
}

pub(crate) struct KeyRow {
    pub(crate) tenant_id: Uuid,
    pub(crate) key_id: String,
    pub(crate) display_name: String,
    pub(crate) role: String,
    pub(crate) secret_sha256: Vec<u8>,
    pub(crate) issued_at: Option<OffsetDateTime>,
    pub(crate) revoked_at: Option<OffsetDateTime>,
    pub(crate) version: i64,
}

/// A row that this build did not write, or a table that was tampered with.
pub(crate) fn unreadable(error: impl Into<BoxDynError>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

pub(crate) fn version_from_sql(version: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(version).map_err(unreadable)
}

#[cfg(feature = "write")]
pub(crate) fn version_to_sql(version: u64) -> i64 {
    i64::try_from(version).expect("2^63 commands are never reached")
}

impl Role {
    pub(crate) fn from_sql(text: &str) -> Result<Self, sqlx::Error> {
        match text {
            "admin" => Ok(Role::Admin),
            "auditor" => Ok(Role::Auditor),
            "standard" => Ok(Role::Standard),
            other => Err(unreadable(format!("no role is called {other:?}"))),
        }
    }
}

impl Outcome {
    pub(crate) fn from_sql(text: &str) -> Result<Self, sqlx::Error> {
        match text {
            "effective" => Ok(Outcome::Effective),
            "stale" => Ok(Outcome::Stale),
            "last_admin" => Ok(Outcome::LastAdmin),
            other => Err(unreadable(format!("no verdict is called {other:?}"))),
        }
    }
}

impl TryFrom<TenantRow> for Tenant {
    type Error = sqlx::Error;

    fn try_from(row: TenantRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            tenant_id: TenantId::new(row.tenant_id),
            display_name: row.display_name,
            created_at: row.created_at,
            version: version_from_sql(row.version)?,
        })
    }
}

impl TryFrom<AccountRow> for Account {
    type Error = sqlx::Error;

    fn try_from(row: AccountRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            tenant_id: TenantId::new(row.tenant_id),
            ad_account_id: row
                .ad_account_id
                .parse::<AdAccountId>()
                .map_err(unreadable)?,
            display_name: row.display_name,
            connected: row.connected,
            connected_at: row.connected_at,
            status: row.status,
            disable_reason: row.disable_reason,
            status_changed_at: row.status_changed_at,
            version: version_from_sql(row.version)?,
        })
    }
}

impl TryFrom<KeyRow> for ApiKey {
    type Error = sqlx::Error;

    fn try_from(row: KeyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            tenant_id: TenantId::new(row.tenant_id),
            key_id: row.key_id,
            display_name: row.display_name,
            role: Role::from_sql(&row.role)?,
            secret_sha256: row
                .secret_sha256
                .as_slice()
                .try_into()
                .map_err(unreadable)?,
            issued_at: row.issued_at,
            revoked_at: row.revoked_at,
            version: version_from_sql(row.version)?,
        })
    }
}
