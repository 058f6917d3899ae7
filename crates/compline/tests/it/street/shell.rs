//! The command line, as the sample tenant's people call it.

use std::{fs, process::Command, sync::Arc};

use serde_json::Value;

use crate::house::House;

/// How a call ended.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Calls the binary on the house's data folder.
async fn call(house: &House, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compline"));
    command
        .args(arguments)
        .env_clear()
        .env("COMPLINE_DATA", house.data());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let ended = Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    let trailing = ended.out.lines().find(|line| line.ends_with(' '));
    assert_eq!(trailing, None, "{arguments:?} leaves spaces at its end");
    ended
}

/// What it prints, line for line; it must succeed and have nothing to remark.
async fn told(house: &House, arguments: &[&str]) -> Vec<String> {
    let Ended { code, out, err } = call(house, arguments).await;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}");
    out.lines().map(str::to_owned).collect()
}

async fn json(house: &House, arguments: &[&str]) -> Vec<Value> {
    let arguments = [arguments, &["--json"]].concat();
    let lines = told(house, &arguments).await;
    let read = |line: &String| serde_json::from_str(line).unwrap();
    lines.iter().map(read).collect()
}

/// What was commanded is in the next answer, of whichever read model; what holds
/// already is said to.
pub(super) async fn own_reads(house: Arc<House>) {
    for round in 0..5 {
        let account = format!("76000{round}");
        let connect = ["account", "connect", &account, "--no-wait"];
        let made = json(&house, &connect).await.remove(0);
        assert_eq!(made["unchanged"], false);
        let again = json(&house, &connect).await.remove(0);
        assert_eq!(
            (&again["unchanged"], &again["account"]),
            (&Value::Bool(true), &made["account"])
        );
        let subject = format!("accounts/{account}");
        let trail = json(&house, &["activity", "--subject", &subject]).await;
        assert_eq!(trail.len(), 1, "{subject}: {trail:?}");
    }
    let gone = told(&house, &["account", "disconnect", "760000"]).await;
    assert!(gone[1].starts_with("760000"), "{gone:?}");
    assert_eq!(
        gone[1].split_whitespace().nth(3),
        Some("-"),
        "since when? {gone:?}"
    );
    let again = told(&house, &["account", "disconnect", "760000"]).await;
    assert_eq!(
        again[2],
        "It was disconnected already; nothing was changed."
    );
}

/// Samples are visible when `send` is done, and each account has ads of its own.
pub(super) async fn samples(house: Arc<House>) {
    let ads_of = async |account: &str| {
        told(&house, &["account", "connect", account]).await;
        told(&house, &["send", "all", "--account", account]).await;
        let filter = format!("ad_account_id = \"{account}\"");
        json(&house, &["ads", "list", "--filter", &filter]).await
    };
    let first = ads_of("7610001").await;
    let second = ads_of("7610002").await;
    assert_eq!((first.len(), second.len()), (13, 13));
    let filter = "ad_account_id = \"7610001\"";
    let again = json(&house, &["ads", "list", "--filter", filter]).await;
    assert_eq!(again, first, "the second account's webhooks moved them");

    // A row at its defaults has all fields that another has.
    let fields = |ad: &Value| ad.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for ad in &first {
        assert_eq!(fields(ad), fields(&first[0]));
        assert!(
            ad["fetchNeeded"].is_boolean() && ad["version"].is_string(),
            "{ad}"
        );
    }
}

/// A file that may hold a key is written over only when that is asked for, and nobody
/// makes a key for nothing.
pub(super) async fn key_files(house: Arc<House>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.key");
    let path = path.to_str().unwrap();
    let create = ["key", "create", "--write-key", path];
    told(&house, &create).await;
    let key = fs::read_to_string(path).unwrap();
    let keys = json(&house, &["key", "list", "--all"]).await;

    let refused = call(&house, &create).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("--force"), "{}", refused.err);
    assert_eq!(fs::read_to_string(path).unwrap(), key);
    assert_eq!(json(&house, &["key", "list", "--all"]).await, keys);

    told(&house, &[&create[..], &["--force"]].concat()).await;
    assert_ne!(fs::read_to_string(path).unwrap(), key);

    // The sample tenant's only admin key is the one that asks.
    let admin = keys.iter().find(|key| key["role"] == "KEY_ROLE_ADMIN");
    let admin = admin.unwrap()["name"].as_str().unwrap();
    let refused = call(&house, &["key", "revoke", admin]).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("Create another admin key"),
        "{}",
        refused.err
    );
}

pub(super) async fn pages(house: Arc<House>) {
    let page = json(&house, &["ads", "list", "--page-size", "2"]).await;
    let [_, _, more] = &page[..] else {
        panic!("two ads and where it goes on: {page:?}")
    };
    let more = more["nextPageToken"].as_str().unwrap();
    let next = json(
        &house,
        &["ads", "list", "--page-size", "2", "--page-token", more],
    )
    .await;
    assert_ne!(next[0], page[0]);
    for other in [
        &["ads", "list", "--filter", "level = AD"][..],
        &["ads", "list", "--order-by", "status_time"],
        &["ads", "history", "1"],
        &["account", "list"],
        &["notifications"],
    ] {
        let refused = call(&house, &[other, &["--page-token", more]].concat()).await;
        assert_eq!(refused.code, Some(1), "{other:?}");
        assert!(
            refused.err.contains("page_token: "),
            "{other:?}: {}",
            refused.err
        );
    }
}

pub(super) async fn replays(house: Arc<House>) {
    let trail = json(&house, &["replay", "tenant", "--type", "ApiKeyIssued"]).await;
    let first = &trail[0];
    assert_eq!(
        (&first["version"], &first["number"]),
        (&1.into(), &"0".into())
    );
    assert!(first["causationId"].is_null() && first["payload"]["displayName"].is_string());
    let key = first["key"].as_str().unwrap();
    let of_key = json(&house, &["replay", "tenant", "--key", key]).await;
    assert!(of_key.iter().all(|record| record["key"] == key));

    for (arguments, code, said) in [
        (
            &["replay", "tennant"][..],
            2,
            "tip: a similar value exists: 'tenant'",
        ),
        (
            &["replay", "ad", "--type", "AdStatusChange"],
            2,
            "'AdStatusChanged'",
        ),
        (
            &["replay", "ad", "--type", "ApiKeyIssued"],
            1,
            "but in tenant",
        ),
        (&["replay", "ad", "--key", "4711"], 1, "TENANT/AD"),
        (
            &["replay", "ad", "--from", "9", "--to", "9"],
            1,
            "--from is not before --to",
        ),
        (
            &["replay", "ad", "--from", "2999-01-01T00:00:00Z"],
            0,
            "no records of ad",
        ),
        (
            &[
                "replay",
                "account",
                "--event",
                "0190d0a8-0000-7000-8000-000000000001",
            ],
            0,
            "none of the ",
        ),
    ] {
        let ended = call(&house, arguments).await;
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (Some(code), ""),
            "{arguments:?}"
        );
        assert!(ended.err.contains(said), "{arguments:?}: {}", ended.err);
    }
}
