//! API keys of a tenant.

use compline_api::{
    command::{
        CreateApiKeyRequest, CreateApiKeyResponse, RevokeApiKeyRequest, RevokeApiKeyResponse,
        api_key_service_server::ApiKeyService,
    },
    error::not_found,
    key::ApiKey,
    name::Collection,
    query,
};
use compline_event::{
    Event, TenantId,
    tenant_events::{ApiKeyIssued, ApiKeyRevoked},
};
use compline_readmodel::Snapshot;
use compline_tenancy::{Role, resource, view};
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;

use crate::{
    check::{self, Fields},
    command::{Command, precondition},
    commands::{Commands, Done},
    refuse,
    token::positions,
};

#[derive(Debug)]
pub(crate) struct ApiKeys(pub(crate) Commands);

#[async_trait]
impl ApiKeyService for ApiKeys {
    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        let issuer = check::issuer(&request)?;
        let body = request.into_inner();
        let mut fields = Fields::default();
        let (Some(request_id), Some(display_name), Some(role), Some(tenant)) = (
            fields.request_id(&body.request_id),
            fields.optional_display_name(body.display_name.clone()),
            fields.role(body.role()),
            fields.tenant(&body.tenant, issuer.own_tenant()),
        ) else {
            return Err(fields.refuse());
        };
        let caller = issuer.within(tenant)?;
        let secret = new_key(caller.tenant, request_id);
        let command = issue(&secret, caller.subject, request_id, display_name, role);
        let holds = async |snapshot: &mut Snapshot| {
            let tenant = snapshot.read(async |conn| view::tenant(conn).await).await;
            match tenant.map_err(refuse::database)? {
                Some(_) => Ok(None),
                None => Err(not_found(
                    &Collection::Tenants.name(&caller.tenant.to_string()),
                )),
            }
        };
        let mut done = self.0.bring_about(command, holds).await?;
        let (api_key, secret) = issued(&mut done, &secret).await?;
        Ok(Response::new(CreateApiKeyResponse {
            api_key: Some(api_key),
            secret,
            token: positions(&done.token),
        }))
    }

    /// Revoking what is revoked succeeds and changes nothing. A caller may revoke the
    /// key that it calls with, unless it is the tenant's last admin key.
    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Result<Response<RevokeApiKeyResponse>, Status> {
        let caller = check::admin(&request)?;
        let body = request.into_inner();
        let mut fields = Fields::default();
        let (Some(request_id), Some(key_id)) = (
            fields.request_id(&body.request_id),
            fields.name(Collection::ApiKeys, &body.name),
        ) else {
            return Err(fields.refuse());
        };
        let command = Command {
            tenant: caller.tenant,
            actor: caller.subject,
            entity: Collection::ApiKeys.name(&key_id),
            request_id,
            expected_version: body.expected_version,
            event: Event::ApiKeyRevoked(ApiKeyRevoked {
                key_id: key_id.clone(),
                precondition: precondition(request_id, body.expected_version),
                spares_last_admin: true,
            }),
        };
        let holds = async |snapshot: &mut Snapshot| {
            let row = snapshot
                .read(async |conn| view::find_key(conn, &key_id).await)
                .await;
            let row = row.map_err(refuse::database)?;
            let row = row.ok_or_else(|| missing(&key_id))?;
            Ok(row.revoked_at.map(|_| row.version))
        };
        let mut done = self.0.bring_about(command, holds).await?;
        let (api_key, _) = row(&mut done, &key_id).await?;
        Ok(Response::new(RevokeApiKeyResponse {
            api_key: Some(api_key),
            token: positions(&done.token),
            unchanged: done.unchanged,
        }))
    }
}

/// A new secret under the id that this request always gives: a retry is about the
/// same key.
pub(crate) fn new_key(tenant: TenantId, request_id: Uuid) -> ApiKey {
    let id = Uuid::new_v5(&request_id, format!("apiKeys/{tenant}").as_bytes());
    let (high, _) = id.as_u64_pair();
    ApiKey::generate(tenant.as_uuid(), format!("{high:016x}"))
}

pub(crate) fn issue(
    key: &ApiKey,
    actor: String,
    request_id: Uuid,
    display_name: String,
    role: Role,
) -> Command {
    Command {
        tenant: TenantId::new(key.tenant),
        actor,
        entity: Collection::ApiKeys.name(&key.key_id),
        request_id,
        expected_version: None,
        event: Event::ApiKeyIssued(ApiKeyIssued {
            key_id: key.key_id.clone(),
            display_name,
            secret_sha256: key.secret_sha256().to_vec().into(),
            role: role.to_event().into(),
            precondition: precondition(request_id, None),
        }),
    }
}

/// The key as it is now, and its secret if it is the one that was drawn here: of
/// several calls with one request id, only one's secret is in the log.
pub(crate) async fn issued(
    done: &mut Done,
    drawn: &ApiKey,
) -> Result<(query::ApiKey, String), Status> {
    let (api_key, secret_sha256) = row(done, &drawn.key_id).await?;
    let secret = match drawn.matches(&secret_sha256) {
        true => drawn.reveal(),
        false => String::new(),
    };
    Ok((api_key, secret))
}

async fn row(done: &mut Done, key_id: &str) -> Result<(query::ApiKey, [u8; 32]), Status> {
    let row = done
        .snapshot
        .read(async |conn| view::find_key(conn, key_id).await)
        .await;
    let row = row
        .map_err(refuse::database)?
        .ok_or_else(|| missing(key_id))?;
    let secret_sha256 = row.secret_sha256;
    Ok((resource::api_key(row), secret_sha256))
}

fn missing(key_id: &str) -> Status {
    not_found(&Collection::ApiKeys.name(key_id))
}
