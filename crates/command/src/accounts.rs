//! Ad accounts of a tenant.

use compline_api::{
    command::{
        ConnectAccountRequest, ConnectAccountResponse, DisconnectAccountRequest,
        DisconnectAccountResponse, account_service_server::AccountService,
    },
    error::not_found,
    name::Collection,
    query::Account,
};
use compline_event::{
    AdAccountId, Event,
    account_events::{AccountConnected, AccountDisconnected},
};
use compline_tenancy::{resource, view};
use tonic::{Request, Response, Status, async_trait};

use crate::{
    check::{self, Fields},
    commands::{Before, Command, Commands, Done, precondition},
    refuse,
    token::positions,
};

#[derive(Debug)]
pub(crate) struct Accounts(pub(crate) Commands);

#[async_trait]
impl AccountService for Accounts {
    /// Connecting what is connected succeeds: it counts as a version and takes the
    /// new display name, when one is given.
    async fn connect_account(
        &self,
        request: Request<ConnectAccountRequest>,
    ) -> Result<Response<ConnectAccountResponse>, Status> {
        let caller = check::admin(&request)?;
        let body = request.into_inner();
        let mut fields = Fields::default();
        let (Some(request_id), Some(id), Some(display_name)) = (
            fields.request_id(&body.request_id),
            fields.ad_account_id(&body.ad_account_id),
            fields.optional_display_name(body.display_name),
        ) else {
            return Err(fields.refuse());
        };
        let command = Command {
            tenant: caller.tenant,
            actor: caller.subject,
            entity: Collection::Accounts.name(id.as_str()),
            request_id,
            expected_version: body.expected_version,
            event: Event::AccountConnected(AccountConnected {
                ad_account_id: id.to_string(),
                display_name,
                precondition: precondition(request_id, body.expected_version),
            }),
        };
        let command = vec![command];
        let mut done = match self.0.before(&command).await? {
            Before::Done(done) => done,
            Before::New(snapshot) => {
                drop(snapshot);
                self.0.carry_out(command).await?
            }
        };
        Ok(Response::new(ConnectAccountResponse {
            account: Some(account(&mut done, &id).await?),
            token: positions(&done.token),
        }))
    }

    /// Disconnecting what is disconnected succeeds; what was never seen is
    /// NOT_FOUND.
    async fn disconnect_account(
        &self,
        request: Request<DisconnectAccountRequest>,
    ) -> Result<Response<DisconnectAccountResponse>, Status> {
        let caller = check::admin(&request)?;
        let body = request.into_inner();
        let mut fields = Fields::default();
        let (Some(request_id), Some(id)) = (
            fields.request_id(&body.request_id),
            fields.ad_account_id(&body.ad_account_id),
        ) else {
            return Err(fields.refuse());
        };
        let command = Command {
            tenant: caller.tenant,
            actor: caller.subject,
            entity: Collection::Accounts.name(id.as_str()),
            request_id,
            expected_version: body.expected_version,
            event: Event::AccountDisconnected(AccountDisconnected {
                ad_account_id: id.to_string(),
                precondition: precondition(request_id, body.expected_version),
            }),
        };
        let command = vec![command];
        let mut done = match self.0.before(&command).await? {
            Before::Done(done) => done,
            Before::New(mut snapshot) => {
                let known = view::account(snapshot.conn(), &id).await;
                if known.map_err(refuse::database)?.is_none() {
                    return Err(not_found(&command[0].entity));
                }
                drop(snapshot);
                self.0.carry_out(command).await?
            }
        };
        Ok(Response::new(DisconnectAccountResponse {
            account: Some(account(&mut done, &id).await?),
            token: positions(&done.token),
        }))
    }
}

async fn account(done: &mut Done, id: &AdAccountId) -> Result<Account, Status> {
    let row = view::account(done.snapshot.conn(), id).await;
    let row = row.map_err(refuse::database)?;
    row.map(resource::account)
        .ok_or_else(|| not_found(&Collection::Accounts.name(id.as_str())))
}
