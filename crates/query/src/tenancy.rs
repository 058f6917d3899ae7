//! `TenancyService`: the caller's own organization, its accounts and its keys.

use compline_api::{
    error::not_found,
    name::Collection,
    page::{Fingerprint, PageSize, PageToken},
    query::{
        GetTenantRequest, GetTenantResponse, ListAccountsRequest, ListAccountsResponse,
        ListApiKeysRequest, ListApiKeysResponse, tenancy_service_server::TenancyService,
    },
};
use compline_readmodel::Reader;
use compline_tenancy::{resource, view};
use tonic::{Request, Response, Status, async_trait};

use crate::consistency;

/// Reads the projection `tenancy`.
#[derive(Clone, Debug)]
pub struct TenancyApi {
    reader: Reader,
}

impl TenancyApi {
    pub fn new(reader: Reader) -> Self {
        Self { reader }
    }
}

#[async_trait]
impl TenancyService for TenancyApi {
    async fn get_tenant(
        &self,
        request: Request<GetTenantRequest>,
    ) -> Result<Response<GetTenantResponse>, Status> {
        let asked = request.get_ref().consistency.clone();
        let mut snapshot = consistency::snapshot(&self.reader, &request, asked).await?;
        let row = snapshot.read(async |conn| view::tenant(conn).await).await;
        let row = row.map_err(consistency::database_failed)?;
        let missing = || not_found(Collection::Tenants.as_str());
        Ok(Response::new(GetTenantResponse {
            tenant: Some(resource::tenant(row.ok_or_else(missing)?)),
            seen: Some(consistency::seen(&snapshot)),
        }))
    }

    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        let body = request.get_ref();
        let size = PageSize::new(body.page_size)?;
        let query = Fingerprint::new("ListAccounts", &[]);
        let after = cursor(&body.page_token, &query)?;

        let mut snapshot =
            consistency::snapshot(&self.reader, &request, body.consistency.clone()).await?;
        let rows = snapshot
            .read(async |conn| view::accounts(conn, &after, size.limit()).await)
            .await;
        let mut rows = rows.map_err(consistency::database_failed)?;
        let next_page_token =
            size.cut(&mut rows, &query, |row| vec![row.ad_account_id.to_string()]);
        Ok(Response::new(ListAccountsResponse {
            accounts: rows.into_iter().map(resource::account).collect(),
            next_page_token,
            seen: Some(consistency::seen(&snapshot)),
        }))
    }

    /// Every role may see which keys there are; none sees a secret or its hash.
    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        let body = request.get_ref();
        let size = PageSize::new(body.page_size)?;
        let query = Fingerprint::new("ListApiKeys", &[]);
        let after = cursor(&body.page_token, &query)?;

        let mut snapshot =
            consistency::snapshot(&self.reader, &request, body.consistency.clone()).await?;
        let rows = snapshot
            .read(async |conn| view::keys(conn, &after, size.limit()).await)
            .await;
        let mut rows = rows.map_err(consistency::database_failed)?;
        let next_page_token = size.cut(&mut rows, &query, |row| vec![row.key_id.clone()]);
        Ok(Response::new(ListApiKeysResponse {
            api_keys: rows.into_iter().map(resource::api_key).collect(),
            next_page_token,
            seen: Some(consistency::seen(&snapshot)),
        }))
    }
}

/// The id that the page before ended with; empty before the first. Postgres has no
/// room for a NUL, so no row's id has one.
fn cursor(page_token: &str, query: &Fingerprint) -> Result<String, Status> {
    let [after] = PageToken::decode::<1>(page_token, query)?.unwrap_or_default();
    match after.contains('\0') {
        true => Err(PageToken::nonsense()),
        false => Ok(after),
    }
}
