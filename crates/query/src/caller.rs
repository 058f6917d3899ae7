//! Who asks.

use compline_api::error;
use compline_event::TenantId;
use compline_runtime::auth::principal;
use tonic::{Request, Status};

/// A caller within a tenant.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) tenant: TenantId,
    /// A key's id, for what is kept per reader.
    pub(crate) subject: String,
}

impl Caller {
    /// # Errors
    /// PERMISSION_DENIED for one above all tenants: it has no rows of its own.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let principal = principal(request)?;
        let tenant = principal
            .tenant
            .ok_or_else(|| error::permission_denied("a key of a tenant"))?;
        Ok(Self {
            tenant: TenantId::new(tenant),
            subject: principal.subject.clone(),
        })
    }
}
