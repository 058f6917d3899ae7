//! Tenants' API keys as proof of who calls.

use std::sync::Arc;

use compline_api::key::ApiKey;
use compline_event::TenantId;
use compline_runtime::auth::{AuthError, Authenticate, Principal, Role};
use compline_tenancy::KeyStore;
use tonic::async_trait;

/// Lets in whoever holds a live key of a tenant.
#[derive(Clone, Debug)]
pub struct TenantKeys {
    store: Arc<KeyStore>,
}

impl TenantKeys {
    pub fn new(store: KeyStore) -> Self {
        Self {
            store: Arc::new(store),
        }
    }
}

#[async_trait]
impl Authenticate for TenantKeys {
    async fn authenticate(&self, bearer: &str) -> Result<Principal, AuthError> {
        let key: ApiKey = bearer.parse().map_err(|_| AuthError::Invalid)?;
        let tenant = TenantId::new(key.tenant);
        let found = self.store.find(tenant, &key.key_id).await;
        let known = found
            .map_err(|error| {
                tracing::warn!(%error, "keys cannot be looked up");
                AuthError::Unavailable
            })?
            .filter(|known| key.matches(&known.secret_sha256))
            .ok_or(AuthError::Invalid)?;
        Ok(Principal {
            tenant: Some(key.tenant),
            subject: key.key_id,
            role: match known.role {
                compline_tenancy::Role::Admin => Role::Admin,
                compline_tenancy::Role::Auditor => Role::Auditor,
                compline_tenancy::Role::Standard => Role::Standard,
            },
        })
    }
}
