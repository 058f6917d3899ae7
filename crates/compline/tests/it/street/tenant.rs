//! A tenant and what its key reads.

use compline::client::Client;
use compline_api::{
    command::{
        ConnectAccountRequest, ConnectAccountResponse, CreateApiKeyRequest, CreateTenantRequest,
        DisconnectAccountRequest, MarkReadRequest, RevokeApiKeyRequest,
    },
    query::{
        Account, Activity, Ad, AdCount, AdStatusChange, Consistency, CountAdsRequest, GetAdRequest,
        KeyRole, ListAccountsRequest, ListActivitiesRequest, ListAdHistoryRequest, ListAdsRequest,
        ListNotificationsRequest, ListNotificationsResponse, ListWebhookCountersRequest, Position,
        WebhookCounter,
    },
};
use tonic::Status;
use uuid::Uuid;

use crate::house::House;

pub(super) struct Tenant {
    /// `tenants/{id}`
    pub(super) name: String,
    pub(super) key: String,
    pub(super) query: Client,
    pub(super) command: Client,
}

impl Tenant {
    pub(super) async fn create(house: &House, display_name: &str) -> Self {
        let (_, operator) = house.clients(house.operator_key());
        let request = CreateTenantRequest {
            request_id: request_id(),
            display_name: display_name.to_owned(),
        };
        let made = operator.tenants().create_tenant(request).await.unwrap();
        let made = made.into_inner();
        let (query, command) = house.clients(&made.api_key);
        Self {
            name: made.tenant.unwrap().name,
            key: made.api_key,
            query,
            command,
        }
    }

    /// A new tenant that watches `account`.
    pub(super) async fn watching(house: &House, account: &str) -> Self {
        let tenant = Self::create(house, "Watcher").await;
        tenant.connect(account).await;
        tenant
    }

    pub(super) async fn connect(&self, account: &str) -> ConnectAccountResponse {
        let answer = self.try_connect(account, None).await;
        answer.unwrap()
    }

    pub(super) async fn try_connect(
        &self,
        account: &str,
        expected_version: Option<u64>,
    ) -> Result<ConnectAccountResponse, Status> {
        let request = ConnectAccountRequest {
            request_id: request_id(),
            ad_account_id: account.to_owned(),
            display_name: String::new(),
            expected_version,
        };
        let answer = self.command.accounts().connect_account(request).await;
        answer.map(tonic::Response::into_inner)
    }

    pub(super) async fn disconnect(
        &self,
        account: &str,
        expected_version: Option<u64>,
    ) -> Result<(), Status> {
        let request = DisconnectAccountRequest {
            request_id: request_id(),
            ad_account_id: account.to_owned(),
            expected_version,
        };
        let answer = self.command.accounts().disconnect_account(request).await;
        answer.map(drop)
    }

    /// Its name and its secret.
    pub(super) async fn new_key(&self, role: KeyRole) -> (String, String) {
        let request = CreateApiKeyRequest {
            request_id: request_id(),
            role: role.into(),
            ..Default::default()
        };
        let made = self.command.api_keys().create_api_key(request).await;
        let made = made.unwrap().into_inner();
        (made.api_key.unwrap().name, made.secret)
    }

    pub(super) async fn revoke(&self, key: &str) {
        let request = RevokeApiKeyRequest {
            request_id: request_id(),
            name: key.to_owned(),
            expected_version: None,
        };
        let answer = self.command.api_keys().revoke_api_key(request).await;
        answer.unwrap();
    }

    pub(super) async fn mark_read(&self, notification: &str) -> Vec<Position> {
        let request = MarkReadRequest {
            request_id: request_id(),
            name: notification.to_owned(),
        };
        let answer = self.command.notifications().mark_read(request).await;
        answer.unwrap().into_inner().token
    }

    pub(super) async fn ad(&self, id: &str) -> Result<Ad, Status> {
        let request = GetAdRequest {
            name: format!("ads/{id}"),
            consistency: None,
        };
        let answer = self.query.ads().get_ad(request).await?;
        Ok(answer.into_inner().ad.unwrap())
    }

    pub(super) async fn ads(&self) -> Vec<Ad> {
        let request = ListAdsRequest {
            page_size: 1000,
            ..Default::default()
        };
        let answer = self.query.ads().list_ads(request).await.unwrap();
        answer.into_inner().ads
    }

    /// In log order: the oldest first.
    pub(super) async fn history(&self, id: &str) -> Result<Vec<AdStatusChange>, Status> {
        let request = ListAdHistoryRequest {
            parent: format!("ads/{id}"),
            page_size: 1000,
            ..Default::default()
        };
        let answer = self.query.ads().list_ad_history(request).await?;
        let mut changes = answer.into_inner().changes;
        changes.reverse();
        Ok(changes)
    }

    pub(super) async fn counts(&self) -> Vec<AdCount> {
        let request = CountAdsRequest::default();
        let answer = self.query.ads().count_ads(request).await.unwrap();
        answer.into_inner().counts
    }

    pub(super) async fn accounts(&self) -> Vec<Account> {
        let request = ListAccountsRequest::default();
        let answer = self.query.tenancy().list_accounts(request).await.unwrap();
        answer.into_inner().accounts
    }

    /// All of them where `subject` is empty.
    pub(super) async fn activities(&self, subject: &str) -> Vec<Activity> {
        let request = ListActivitiesRequest {
            page_size: 1000,
            subject: subject.to_owned(),
            ..Default::default()
        };
        let answer = self.query.activity().list_activities(request).await;
        answer.unwrap().into_inner().activities
    }

    pub(super) async fn notifications(&self, after: Vec<Position>) -> ListNotificationsResponse {
        let request = ListNotificationsRequest {
            page_size: 1000,
            consistency: Some(at_least(after)),
            ..Default::default()
        };
        let answer = self.query.activity().list_notifications(request).await;
        answer.unwrap().into_inner()
    }

    pub(super) async fn counters(&self) -> Vec<WebhookCounter> {
        let request = ListWebhookCountersRequest::default();
        let answer = self.query.activity().list_webhook_counters(request).await;
        answer.unwrap().into_inner().counters
    }
}

pub(super) fn request_id() -> String {
    Uuid::new_v4().to_string()
}

pub(super) fn at_least(min_position: Vec<Position>) -> Consistency {
    Consistency {
        min_position,
        ..Default::default()
    }
}
