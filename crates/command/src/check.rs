//! What is refused before anything is appended: callers who may not, and
//! arguments that are wrong.

use compline_api::{
    error::{invalid_arguments, permission_denied},
    name::Collection,
    query::KeyRole,
};
use compline_event::{AdAccountId, TenantId};
use compline_runtime::auth::{Principal, Role, principal};
use compline_tenancy as tenancy;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::auth::OPERATOR_KEY_ID;

/// Characters.
const MAX_DISPLAY_NAME: usize = 200;

/// Someone who acts within a tenant.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) tenant: TenantId,
    /// The key's id.
    pub(crate) subject: String,
}

pub(crate) fn operator<T>(request: &Request<T>) -> Result<(), Status> {
    match principal(request)?.role {
        Role::Operator => Ok(()),
        _ => Err(permission_denied("the operator's key")),
    }
}

pub(crate) fn admin<T>(request: &Request<T>) -> Result<Caller, Status> {
    match principal(request)? {
        Principal {
            tenant: Some(tenant),
            role: Role::Admin,
            subject,
        } => Ok(Caller::new(*tenant, subject)),
        _ => Err(permission_denied("an admin key of the tenant")),
    }
}

/// Who may issue keys: an admin in the own tenant, the operator in any.
pub(crate) enum Issuer {
    Admin(Caller),
    Operator,
}

pub(crate) fn issuer<T>(request: &Request<T>) -> Result<Issuer, Status> {
    match principal(request)?.role {
        Role::Operator => Ok(Issuer::Operator),
        _ => admin(request).map(Issuer::Admin),
    }
}

impl Issuer {
    /// The tenant that need not be named.
    pub(crate) fn own_tenant(&self) -> Option<TenantId> {
        match self {
            Issuer::Admin(caller) => Some(caller.tenant),
            Issuer::Operator => None,
        }
    }

    pub(crate) fn within(self, tenant: TenantId) -> Result<Caller, Status> {
        match self {
            Issuer::Operator => Ok(Caller::new(tenant.as_uuid(), OPERATOR_KEY_ID)),
            Issuer::Admin(caller) if caller.tenant == tenant => Ok(caller),
            Issuer::Admin(_) => Err(permission_denied("the operator's key")),
        }
    }
}

pub(crate) fn member<T>(request: &Request<T>) -> Result<Caller, Status> {
    match principal(request)? {
        Principal {
            tenant: Some(tenant),
            subject,
            ..
        } => Ok(Caller::new(*tenant, subject)),
        _ => Err(permission_denied("a key of the tenant")),
    }
}

impl Caller {
    fn new(tenant: Uuid, subject: &str) -> Self {
        Self {
            tenant: TenantId::new(tenant),
            subject: subject.to_owned(),
        }
    }
}

/// Parses a request's fields and remembers each that is wrong, so that the caller
/// can mend them in one go.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    violations: Vec<(String, String)>,
}

impl Fields {
    pub(crate) fn request_id(&mut self, text: &str) -> Option<Uuid> {
        let parsed = Uuid::try_parse(text).ok().filter(|id| !id.is_nil());
        self.or("request_id", parsed, || {
            "expected a UUID that is new for each command".to_owned()
        })
    }

    pub(crate) fn ad_account_id(&mut self, text: &str) -> Option<AdAccountId> {
        match text.parse() {
            Ok(id) => Some(id),
            Err(error) => self.or("ad_account_id", None, || format!("{error}")),
        }
    }

    pub(crate) fn display_name(&mut self, text: String) -> Option<String> {
        let given = !text.trim().is_empty();
        let text = self.optional_display_name(text)?;
        self.or("display_name", given.then_some(text), || {
            format!("expected 1 to {MAX_DISPLAY_NAME} characters")
        })
    }

    pub(crate) fn optional_display_name(&mut self, text: String) -> Option<String> {
        let fits = text.chars().count() <= MAX_DISPLAY_NAME;
        let plain = !text.chars().any(char::is_control);
        self.or("display_name", (fits && plain).then_some(text), || {
            format!("expected at most {MAX_DISPLAY_NAME} characters, no control characters")
        })
    }

    pub(crate) fn role(&mut self, role: KeyRole) -> Option<tenancy::Role> {
        let role = match role {
            KeyRole::Admin => Some(tenancy::Role::Admin),
            KeyRole::Auditor => Some(tenancy::Role::Auditor),
            KeyRole::Standard => Some(tenancy::Role::Standard),
            KeyRole::Unspecified => None,
        };
        self.or("role", role, || {
            "expected KEY_ROLE_ADMIN, KEY_ROLE_AUDITOR or KEY_ROLE_STANDARD".to_owned()
        })
    }

    /// The tenant that is named, else `own`.
    pub(crate) fn tenant(&mut self, name: &str, own: Option<TenantId>) -> Option<TenantId> {
        if name.is_empty() && own.is_some() {
            return own;
        }
        let id = Collection::Tenants.id("tenant", name).ok();
        let id = id.and_then(|id| Uuid::try_parse(id).ok());
        let tenant = id.map(TenantId::new).filter(|id| *id != TenantId::OPERATOR);
        self.or("tenant", tenant, || "expected tenants/UUID".to_owned())
    }

    /// The id in a resource name.
    pub(crate) fn name(&mut self, collection: Collection, name: &str) -> Option<String> {
        let id = collection.id("name", name).ok().map(str::to_owned);
        self.or("name", id, || {
            format!("expected {}/ID", collection.as_str())
        })
    }

    /// For a caller that found one of the fields missing.
    pub(crate) fn refuse(self) -> Status {
        invalid_arguments(self.violations)
    }

    fn or<T>(
        &mut self,
        field: &str,
        parsed: Option<T>,
        expected: impl FnOnce() -> String,
    ) -> Option<T> {
        if parsed.is_none() {
            self.violations.push((field.to_owned(), expected()));
        }
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let mut fields = Fields::default();
        assert!(fields.request_id("42").is_none());
        assert!(fields.ad_account_id("act_x").is_none());
        assert!(fields.display_name("a\nb".into()).is_none());
        assert!(fields.role(KeyRole::Unspecified).is_none());
        assert!(fields.name(Collection::ApiKeys, "ads/1").is_none());
        let refused = fields.refuse();
        for field in [
            "request_id",
            "ad_account_id",
            "display_name",
            "role",
            "name",
        ] {
            assert!(refused.message().contains(field), "{refused}");
        }
    }

    #[test]
    fn a_display_name_has_1_to_200_characters() {
        let mut fields = Fields::default();
        assert!(fields.display_name("ä".repeat(200)).is_some());
        assert!(fields.optional_display_name(String::new()).is_some());
        assert!(fields.violations.is_empty());
        assert!(fields.display_name("ä".repeat(201)).is_none());
        assert!(fields.display_name("  ".into()).is_none());
        assert_eq!(fields.violations.len(), 2);
    }
}
