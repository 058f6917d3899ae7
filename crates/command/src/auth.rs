//! The operator's key beside the tenants' keys.

use std::{fmt, sync::Arc};

use compline_api::key::ApiKey;
use compline_event::TenantId;
use compline_runtime::auth::{AuthError, Authenticate, Principal, Role};
use tonic::async_trait;

/// The key id of the operator's key; its tenant is nil.
pub const OPERATOR_KEY_ID: &str = "operator";

/// Lets in the operator, whose key's hash comes from the settings and not from the
/// log, and else whomever `tenants` lets in.
#[derive(Clone)]
pub struct WithOperator {
    secret_sha256: [u8; 32],
    tenants: Arc<dyn Authenticate>,
}

impl WithOperator {
    pub fn new(secret_sha256: [u8; 32], tenants: Arc<dyn Authenticate>) -> Self {
        Self {
            secret_sha256,
            tenants,
        }
    }
}

#[async_trait]
impl Authenticate for WithOperator {
    async fn authenticate(&self, bearer: &str) -> Result<Principal, AuthError> {
        let key: ApiKey = bearer.parse().map_err(|_| AuthError::Invalid)?;
        if TenantId::new(key.tenant) != TenantId::OPERATOR {
            return self.tenants.authenticate(bearer).await;
        }
        if key.key_id != OPERATOR_KEY_ID || !key.matches(&self.secret_sha256) {
            return Err(AuthError::Invalid);
        }
        Ok(Principal {
            tenant: None,
            subject: key.key_id,
            role: Role::Operator,
        })
    }
}

impl fmt::Debug for WithOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithOperator").finish_non_exhaustive()
    }
}

/// A new key of the operator's, and what the settings keep of it.
pub fn operator_key() -> ApiKey {
    ApiKey::generate(TenantId::OPERATOR.as_uuid(), OPERATOR_KEY_ID)
}
