//! Every method of every service, with another tenant's key and with none.

use std::{collections::BTreeSet, sync::Arc};

use compline_api::key::ApiKey;
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{
    body::{body, says},
    call::{Doors, methods},
    tenant::{Tenant, request_id},
};
use crate::house::House;

/// What another tenant's key gets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gets {
    /// An answer in which nothing is the first tenant's; the first tenant's own
    /// answer to the same request has something of it.
    Nothing,
    /// NOT_FOUND, though the first tenant's own key does it.
    NotFound,
    /// What it asks for, within its own walls.
    ItsOwn,
    /// PERMISSION_DENIED.
    Refused,
}

use Gets::{ItsOwn, NotFound, Nothing, Refused};

/// How each method was tried. `$TENANT`, `$AD`, `$ACCOUNT`, `$KEY`, `$NOTE` and `$REQUEST`
/// are the first tenant's; `$NEW` is a new request id.
#[rustfmt::skip]
const READS: &[(&str, &str, Gets)] = &[
    ("compline.query.v1.AdService/GetAd", r#"{"name": "ads/$AD"}"#, NotFound),
    ("compline.query.v1.AdService/ListAds", "{}", Nothing),
    ("compline.query.v1.AdService/ListAds", r#"{"filter": "ad_id = \"$AD\" OR NOT ad_id = \"$AD\""}"#, Nothing),
    ("compline.query.v1.AdService/ListAdHistory", r#"{"parent": "ads/$AD"}"#, NotFound),
    ("compline.query.v1.AdService/CountAds", "{}", Nothing),
    ("compline.query.v1.AdService/CountAds", r#"{"adAccountId": "$ACCOUNT"}"#, Nothing),
    ("compline.query.v1.AdService/WatchAds", "{}", Nothing),
    ("compline.query.v1.ActivityService/ListActivities", "{}", Nothing),
    ("compline.query.v1.ActivityService/ListActivities", r#"{"subject": "ads/$AD"}"#, Nothing),
    ("compline.query.v1.ActivityService/ListNotifications", "{}", Nothing),
    ("compline.query.v1.ActivityService/ListWebhookCounters", "{}", Nothing),
    ("compline.query.v1.TenancyService/GetTenant", "{}", Nothing),
    ("compline.query.v1.TenancyService/ListAccounts", "{}", Nothing),
    ("compline.query.v1.TenancyService/ListApiKeys", "{}", Nothing),
];

#[rustfmt::skip]
const COMMANDS: &[(&str, &str, Gets)] = &[
    ("compline.command.v1.TenantService/CreateTenant", r#"{"requestId": "$NEW", "displayName": "Third"}"#, Refused),
    ("compline.command.v1.NotificationService/MarkRead", r#"{"requestId": "$NEW", "name": "notifications/$NOTE"}"#, NotFound),
    ("compline.command.v1.ApiKeyService/RevokeApiKey", r#"{"requestId": "$NEW", "name": "apiKeys/$KEY"}"#, NotFound),
    ("compline.command.v1.ApiKeyService/CreateApiKey", r#"{"requestId": "$NEW", "role": "KEY_ROLE_ADMIN"}"#, ItsOwn),
    ("compline.command.v1.ApiKeyService/CreateApiKey", r#"{"requestId": "$REQUEST", "role": "KEY_ROLE_ADMIN"}"#, ItsOwn),
    ("compline.command.v1.ApiKeyService/CreateApiKey", r#"{"requestId": "$NEW", "role": "KEY_ROLE_ADMIN", "tenant": "$TENANT"}"#, Refused),
    ("compline.command.v1.AccountService/DisconnectAccount", r#"{"requestId": "$NEW", "adAccountId": "$ACCOUNT"}"#, NotFound),
    ("compline.command.v1.AccountService/ConnectAccount", r#"{"requestId": "$NEW", "adAccountId": "$ACCOUNT"}"#, ItsOwn),
    // By now the account is the caller's as well, and only the caller's side ends.
    ("compline.command.v1.AccountService/DisconnectAccount", r#"{"requestId": "$NEW", "adAccountId": "$ACCOUNT"}"#, ItsOwn),
];

pub(super) async fn between_tenants(house: Arc<House>) {
    let tried = READS.iter().chain(COMMANDS).map(|(method, ..)| *method);
    let tried: BTreeSet<String> = tried.map(str::to_owned).collect();
    assert_eq!(
        methods().collect::<BTreeSet<_>>(),
        tried,
        "each, and no other"
    );

    let doors = Doors::of(&house);
    let first = Furnished::new(&house, &doors, "Erste", "881100990011").await;
    let other = Furnished::new(&house, &doors, "Zweite", "882200990022").await;
    nobody_enters(&doors, &first, &other).await;

    let own = first.everything(&doors).await;
    let marks = first.marks();
    for mark in &marks {
        assert!(own.contains(mark), "{mark} is nowhere, so nothing shows it");
    }
    for (method, request, gets) in READS {
        try_read(&doors, &first, &other, method, request, *gets, &marks).await;
    }
    for (method, request, gets) in COMMANDS {
        try_command(&doors, &first, &other, method, request, *gets).await;
    }
    house.caught_up().await;
    assert_eq!(
        first.everything(&doors).await,
        own,
        "nothing of it has moved"
    );
    // The account's id is now the other's as well, for it has asked for it.
    let strict = marks.iter().filter(|mark| **mark != first.account);
    let others = other.everything(&doors).await;
    for mark in strict {
        assert!(!others.contains(mark.as_str()), "{mark} in {others}");
    }

    // All that was refused does exist: its owner's key does it.
    for (method, request, gets) in COMMANDS {
        if *gets == NotFound {
            let request = first.fill(request);
            let done = doors.call(method, Some(&first.tenant.key), &request);
            done.await
                .unwrap_or_else(|refused| panic!("{method}: {refused}"));
        }
    }
}

async fn try_read(
    doors: &Doors,
    first: &Furnished,
    other: &Furnished,
    method: &str,
    request: &str,
    gets: Gets,
    marks: &[String],
) {
    let request = first.fill(request);
    let answer = doors.call(method, Some(&other.tenant.key), &request).await;
    let own = doors.call(method, Some(&first.tenant.key), &request).await;
    let own = text(&own.unwrap_or_else(|refused| panic!("{method}: {refused}")));
    let shows = |text: &str| marks.iter().any(|mark| text.contains(mark.as_str()));
    assert!(shows(&own), "{method} {request} shows its owner nothing");
    match gets {
        Nothing => {
            let answer = answer.unwrap_or_else(|refused| panic!("{method}: {refused}"));
            let answer = text(&answer);
            assert!(!shows(&answer), "{method} {request}: {answer}");
        }
        NotFound => assert_not_found(answer.unwrap_err(), method, &request),
        ItsOwn | Refused => panic!("{method} is a read"),
    }
}

async fn try_command(
    doors: &Doors,
    first: &Furnished,
    other: &Furnished,
    method: &str,
    request: &str,
    gets: Gets,
) {
    let request = first.fill(request);
    let answer = doors.call(method, Some(&other.tenant.key), &request).await;
    match gets {
        NotFound => assert_not_found(answer.unwrap_err(), method, &request),
        Refused => {
            let refused = answer.unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied, "{method}");
        }
        ItsOwn => {
            let answer = answer.unwrap_or_else(|refused| panic!("{method}: {refused}"));
            let made = answer[0]["secret"].as_str();
            if let Some(secret) = made {
                let made: ApiKey = secret.parse().unwrap();
                assert_eq!(made.tenant, other.id(), "{method} {request}");
            }
            let told = text(&answer);
            assert!(!told.contains("Erste"), "{method} {request}: {told}");
        }
        Nothing => panic!("{method} is a command"),
    }
}

/// The same as of what never was: named as it was asked for, and no more.
fn assert_not_found(refused: Status, method: &str, request: &str) {
    assert_eq!(refused.code(), Code::NotFound, "{method}: {refused}");
    let details = refused.get_error_details();
    let about = details.resource_info().expect("what was not found").clone();
    let (_, id) = about.resource_name.split_once('/').unwrap();
    assert!(request.contains(id), "{method}: {about:?}");
    assert_eq!(about.description, "it does not exist, or is not yours");
}

/// Without a key, with nonsense, and with a key patched together from two.
async fn nobody_enters(doors: &Doors, first: &Furnished, other: &Furnished) {
    let theirs = first.id().simple().to_string();
    let patched = other
        .tenant
        .key
        .replace(&other.id().simple().to_string(), &theirs);
    assert_ne!(patched, other.tenant.key);
    for (method, request, _) in READS.iter().chain(COMMANDS) {
        for key in [None, Some("nonsense"), Some(&*patched)] {
            let refused = doors.call(method, key, &first.fill(request)).await;
            let code = refused
                .map(|answer| text(&answer))
                .map_err(|status| status.code());
            assert_eq!(code, Err(Code::Unauthenticated), "{method} with {key:?}");
        }
    }
}

/// A tenant with something in every room.
struct Furnished {
    tenant: Tenant,
    name: &'static str,
    account: String,
    ad: String,
    key_id: String,
    note: String,
    /// Of the ad's only change.
    event: String,
    /// Of the command that made the key.
    request: String,
}

impl Furnished {
    async fn new(house: &House, doors: &Doors, name: &'static str, account: &str) -> Self {
        let tenant = Tenant::create(house, name).await;
        let (ad, request) = (format!("{account}77"), request_id());
        for (method, fields) in [
            (
                "AccountService/ConnectAccount",
                format!(r#""adAccountId": "{account}""#),
            ),
            (
                "ApiKeyService/CreateApiKey",
                r#""role": "KEY_ROLE_AUDITOR""#.to_owned(),
            ),
        ] {
            let body =
                format!(r#"{{"requestId": "{request}", "displayName": "{name}s", {fields}}}"#);
            let method = format!("compline.command.v1.{method}");
            let made = doors.call(&method, Some(&tenant.key), &body).await;
            made.unwrap();
        }
        house.post(says(account, 0, &ad, "DISAPPROVED")).await;
        let unknown = format!(r#"{{"field":"{name}","value":{{}}}}"#);
        house.post(body("ad_account", account, 0, &[unknown])).await;
        house.caught_up().await;

        let keys = doors.call(
            "compline.query.v1.TenancyService/ListApiKeys",
            Some(&tenant.key),
            "{}",
        );
        let keys = keys.await.unwrap();
        let mut keys = keys[0]["apiKeys"].as_array().unwrap().iter();
        let made = keys.find(|key| key["displayName"] == format!("{name}s"));
        let made = made.unwrap()["name"].as_str().unwrap().to_owned();
        let note = tenant
            .notifications(Vec::new())
            .await
            .notifications
            .remove(0);
        let mut history = tenant.history(&ad).await.unwrap();
        let id_of = |name: &str| name.split_once('/').unwrap().1.to_owned();
        Self {
            name,
            account: account.to_owned(),
            ad,
            key_id: id_of(&made),
            note: id_of(&note.name),
            event: history.remove(0).event_id,
            request,
            tenant,
        }
    }

    fn id(&self) -> uuid::Uuid {
        let key: ApiKey = self.tenant.key.parse().unwrap();
        key.tenant
    }

    /// What is in answers to nobody else.
    fn marks(&self) -> Vec<String> {
        let own_key: ApiKey = self.tenant.key.parse().unwrap();
        [
            &self.account,
            &self.ad,
            &self.key_id,
            &self.note,
            &self.event,
            &own_key.key_id,
        ]
        .map(String::clone)
        .into_iter()
        .chain([self.name.to_owned(), self.tenant.name.clone()])
        .collect()
    }

    fn fill(&self, request: &str) -> String {
        request
            .replace("$TENANT", &self.tenant.name)
            .replace("$ACCOUNT", &self.account)
            .replace("$AD", &self.ad)
            .replace("$KEY", &self.key_id)
            .replace("$NOTE", &self.note)
            .replace("$REQUEST", &self.request)
            .replace("$NEW", &request_id())
    }

    /// All that its own key reads, but for how far the reads have seen.
    async fn everything(&self, doors: &Doors) -> String {
        let mut all = String::new();
        for (method, request, _) in READS {
            let request = self.fill(request);
            let answer = doors.call(method, Some(&self.tenant.key), &request);
            let answer = answer
                .await
                .unwrap_or_else(|refused| panic!("{method}: {refused}"));
            all.push_str(&format!("{method}: {}\n", text(&answer)));
        }
        all
    }
}

fn text(answers: &[Value]) -> String {
    let mut answers = answers.to_vec();
    for answer in &mut answers {
        if let Some(fields) = answer.as_object_mut() {
            fields.remove("seen");
            fields.remove("resumeToken");
        }
    }
    Value::from(answers).to_string()
}
