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
use compline_readmodel::Snapshot;
use compline_tenancy::{self as tenancy, resource, view};
use tonic::{Request, Response, Status, async_trait};

use crate::{
    check::{self, Fields},
    command::{Command, precondition},
    commands::{Commands, Done},
    refuse,
    token::positions,
};

#[derive(Debug)]
pub(crate) struct Accounts(pub(crate) Commands);

#[async_trait]
impl AccountService for Accounts {
    /// Connecting what is connected succeeds: it takes the new display name, when
    /// another one is given, and else changes nothing.
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
                display_name: display_name.clone(),
                precondition: precondition(request_id, body.expected_version),
            }),
        };
        let as_asked = |row: &tenancy::Account| {
            row.connected && (display_name.is_empty() || display_name == row.display_name)
        };
        let holds = async |snapshot: &mut Snapshot| {
            let row = known(snapshot, &id).await?;
            Ok(row.filter(as_asked).map(|row| row.version))
        };
        let mut done = self.0.bring_about(command, holds).await?;
        Ok(Response::new(ConnectAccountResponse {
            account: Some(account(&mut done, &id).await?),
            token: positions(&done.token),
            unchanged: done.unchanged,
        }))
    }

    /// Disconnecting what is disconnected succeeds and changes nothing; what was never
    /// seen is NOT_FOUND.
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
        let holds = async |snapshot: &mut Snapshot| {
            let row = known(snapshot, &id).await?;
            let row = row.ok_or_else(|| missing(&id))?;
            Ok((!row.connected).then_some(row.version))
        };
        let mut done = self.0.bring_about(command, holds).await?;
        Ok(Response::new(DisconnectAccountResponse {
            account: Some(account(&mut done, &id).await?),
            token: positions(&done.token),
            unchanged: done.unchanged,
        }))
    }
}

async fn known(
    snapshot: &mut Snapshot,
    id: &AdAccountId,
) -> Result<Option<tenancy::Account>, Status> {
    let row = snapshot
        .read(async |conn| view::account(conn, id).await)
        .await;
    row.map_err(refuse::database)
}

async fn account(done: &mut Done, id: &AdAccountId) -> Result<Account, Status> {
    let row = known(&mut done.snapshot, id).await?;
    row.map(resource::account).ok_or_else(|| missing(id))
}

fn missing(id: &AdAccountId) -> Status {
    not_found(&Collection::Accounts.name(id.as_str()))
}
