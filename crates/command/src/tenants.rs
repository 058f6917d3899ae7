//! Tenants, made by the operator.

use compline_api::{
    command::{CreateTenantRequest, CreateTenantResponse, tenant_service_server::TenantService},
    error::not_found,
    name::Collection,
};
use compline_event::{Event, TenantId, tenant_events::OrganizationCreated};
use compline_tenancy::{Role, resource, view};
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;

use crate::{
    api_keys,
    auth::OPERATOR_KEY_ID,
    check::{self, Fields},
    command::{Command, precondition},
    commands::{Before, Commands},
    refuse,
    token::positions,
};

/// The name of a tenant's first key.
const FIRST_KEY: &str = "first admin key";

#[derive(Debug)]
pub(crate) struct Tenants(pub(crate) Commands);

#[async_trait]
impl TenantService for Tenants {
    async fn create_tenant(
        &self,
        request: Request<CreateTenantRequest>,
    ) -> Result<Response<CreateTenantResponse>, Status> {
        check::operator(&request)?;
        let body = request.into_inner();
        let mut fields = Fields::default();
        let (Some(request_id), Some(display_name)) = (
            fields.request_id(&body.request_id),
            fields.display_name(body.display_name),
        ) else {
            return Err(fields.refuse());
        };
        let tenant = tenant_of(request_id);
        let entity = Collection::Tenants.name(&tenant.to_string());
        let key = api_keys::new_key(tenant, request_id);
        let actor = OPERATOR_KEY_ID.to_owned();
        let commands = vec![
            Command {
                tenant,
                actor: actor.clone(),
                entity: entity.clone(),
                request_id,
                expected_version: None,
                event: Event::OrganizationCreated(OrganizationCreated {
                    display_name,
                    precondition: precondition(request_id, None),
                }),
            },
            api_keys::issue(&key, actor, request_id, FIRST_KEY.to_owned(), Role::Admin),
        ];
        let mut done = match self.0.before(&commands).await? {
            Before::Done(done) => done,
            Before::New(snapshot) => {
                drop(snapshot);
                self.0.carry_out(commands).await?
            }
        };
        let row = done
            .snapshot
            .read(async |conn| view::tenant(conn).await)
            .await;
        let row = row.map_err(refuse::database)?;
        let (_, api_key) = api_keys::issued(&mut done, &key).await?;
        Ok(Response::new(CreateTenantResponse {
            tenant: Some(resource::tenant(row.ok_or_else(|| not_found(&entity))?)),
            api_key,
            token: positions(&done.token),
        }))
    }
}

/// The same request makes the same tenant.
fn tenant_of(request_id: Uuid) -> TenantId {
    TenantId::new(Uuid::new_v5(&request_id, b"tenants"))
}
