//! A backup that is taken under load is restored to a street that goes on from there,
//! with nothing lost and nothing doubled; and what is no whole backup is refused.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use compline::{backup::Manifest, street::Street, up::Running};
use compline_ad::AdEngine;
use compline_cluster::{Cluster, ClusterConfig};
use compline_event::Topic;
use compline_testkit::verify;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use crate::{
    copy::{compline, post, rows, stop},
    house::{as_owner, caught_up, folder, log_of, start, until},
};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn must(arguments: &[&str]) -> String {
    let output = compline(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = compline(arguments);
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{arguments:?}: {said}");
    said
}

/// Every row and every output is what the log says.
async fn is_as_its_log_says(running: &Running) {
    let at = &running.run_file;
    let (log, database) = (log_of(at).unwrap(), as_owner(at).unwrap());
    caught_up(&log, &database).await.unwrap();
    verify::engine(&log, &AdEngine, Topic::Account)
        .await
        .unwrap();
    verify::projection::<compline_ad_status::AdStatus>(&log, &database, &[])
        .await
        .unwrap();
    verify::projection::<compline_activity::ActivityTrail>(&log, &database, &[])
        .await
        .unwrap();
    verify::projection::<compline_tenancy::Tenancy>(&log, &database, &[])
        .await
        .unwrap();
}

async fn webhooks(running: &Running) -> usize {
    let log = log_of(&running.run_file).unwrap();
    verify::read(&log, Topic::WebhookMeta)
        .await
        .unwrap()
        .events
        .len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_under_load_is_restored_and_goes_on() {
    let folder = folder();
    let [data, copy, new] = ["data", "copy", "new"].map(|name| folder.path().join(name));
    let running = start(&Street::at(&data)).await.unwrap();
    let stopping = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let take = ["--data", text(&data), "backup", text(&copy), "--json"];
    // The second one copies only what its log lacks.
    let load = async {
        while !stopping.load(Ordering::Relaxed) {
            let number = acknowledged.load(Ordering::Relaxed);
            post(&running, number..number + 1).await;
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    };
    let taken = async {
        let mut before = Vec::new();
        for _ in 0..2 {
            before.push(acknowledged.load(Ordering::Relaxed));
            let take = take.map(str::to_owned);
            let taking =
                tokio::task::spawn_blocking(move || must(&take.each_ref().map(String::as_str)));
            taking.await.unwrap();
        }
        stopping.store(true, Ordering::Relaxed);
        before
    };
    let (before, ()) = tokio::join!(taken, load);
    assert!(
        before[0] < before[1],
        "the load went on meanwhile: {before:?}"
    );

    let said = must(&["backup", "check", text(&copy)]);
    assert!(said.contains("every read model its rows"), "{said}");
    assert!(!said.contains("differ"), "{said}");

    stop(running).await;
    must(&["--data", text(&new), "restore", text(&copy)]);
    let again = refused(&["--data", text(&new), "restore", text(&copy)]);
    assert!(again.contains("already"), "{again}");

    let restored = start(&Street::at(&new)).await.unwrap();
    assert_eq!(restored.own_key, compline::up::OwnKey::Kept);
    let kept = webhooks(&restored).await as u64;
    let all = acknowledged.load(Ordering::Relaxed);
    assert!((before[1]..=all).contains(&kept), "{before:?} {kept} {all}");
    is_as_its_log_says(&restored).await;

    // Those behind the backup come once more, and those before it are duplicates.
    post(&restored, 0..all + 5).await;
    is_as_its_log_says(&restored).await;
    let (ads, history, _) = rows(&restored).await;
    assert_eq!((ads, history), (all as i64 + 5, all as i64 + 5));
    stop(restored).await;
}

/// A whole backup of a street that did something, and the folder that it is in.
async fn backed_up() -> (TempDir, PathBuf) {
    let folder = folder();
    let [data, copy] = ["data", "copy"].map(|name| folder.path().join(name));
    let running = start(&Street::at(&data)).await.unwrap();
    post(&running, 0..30).await;
    let (log, database) = (
        log_of(&running.run_file).unwrap(),
        as_owner(&running.run_file).unwrap(),
    );
    caught_up(&log, &database).await.unwrap();
    must(&["--data", text(&data), "backup", text(&copy)]);
    let into_data = refused(&["--data", text(&data), "backup", text(&data)]);
    assert!(into_data.contains("holds other things"), "{into_data}");
    stop(running).await;
    (folder, copy)
}

fn rewrite(copy: &Path, change: impl FnOnce(&mut Value)) {
    let path = copy.join("backup.json");
    let mut manifest: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(&path, manifest.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_backup_is_refused_and_nothing_made() {
    let (folder, copy) = backed_up().await;
    let new = folder.path().join("new");
    let restore = ["--data", text(&new), "restore", text(&copy)];
    let whole = fs::read_to_string(copy.join("backup.json")).unwrap();
    let manifest = Manifest::read(&copy).unwrap();
    let largest: BTreeMap<u64, _> = manifest
        .files
        .iter()
        .map(|file| (file.bytes, &file.path))
        .collect();
    for victim in [
        largest.last_key_value().unwrap().1,
        "tables/compline/checkpoint",
    ] {
        let path = copy.join(victim);
        let sound = fs::read(&path).unwrap();
        let mut bytes = sound.clone();
        bytes[sound.len() / 2] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let said = refused(&restore);
        assert!(
            said.contains(victim) && said.contains("is damaged"),
            "{said}"
        );
        for sum in [&sound, &bytes].map(|bytes| hex::encode(Sha256::digest(bytes))) {
            assert!(said.contains(&sum), "{said}");
        }
        fs::remove_file(&path).unwrap();
        let said = refused(&restore);
        assert!(
            said.contains(victim) && said.contains("is missing"),
            "{said}"
        );
        fs::write(&path, &sound).unwrap();
    }
    rewrite(&copy, |manifest| manifest["format"] = json!(2));
    let said = refused(&restore);
    assert!(
        said.contains("format 2") && said.contains("newer"),
        "{said}"
    );
    fs::write(copy.join("backup.json"), &whole).unwrap();
    rewrite(&copy, |manifest| {
        manifest["schemas"][0]["migrations"]["999"] = json!("00");
    });
    let said = refused(&restore);
    assert!(said.contains("migration 999"), "{said}");
    fs::remove_file(copy.join("backup.json")).unwrap();
    let said = refused(&restore);
    assert!(said.contains("is no backup"), "{said}");
    assert!(!new.exists(), "nothing was made for it");

    // A restore that was killed on its way.
    fs::write(copy.join("backup.json"), &whole).unwrap();
    must(&restore);
    fs::write(new.join("restoring"), "").unwrap();
    let error = start(&Street::at(&new)).await.unwrap_err();
    assert!(
        format!("{error:#}").contains("was not finished"),
        "{error:#}"
    );
}

/// Gives a file of the backup other rows, with the sum that they have.
fn replace(copy: &Path, name: &str, rows: &str) {
    fs::write(copy.join(name), rows).unwrap();
    rewrite(copy, |manifest| {
        let files = manifest["files"].as_array_mut().unwrap();
        let file = files.iter_mut().find(|file| file["path"] == name).unwrap();
        file["bytes"] = json!(rows.len());
        file["sha256"] = json!(hex::encode(Sha256::digest(rows)));
    });
}

/// The sums are right, and a row is not what the log says.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_log_does_not_say_is_found() {
    let (_folder, copy) = backed_up().await;
    let name = "tables/ad_status_g1/ad";
    let rows = fs::read_to_string(copy.join(name)).unwrap();
    let wrong = rows.replacen("DISAPPROVED", "ACTIVE", 1);
    assert_ne!(rows, wrong);
    replace(&copy, name, &wrong);
    let said = refused(&["backup", "check", text(&copy)]);
    assert!(
        said.contains("ad-status is not what the log says"),
        "{said}"
    );
}

/// What migration 2 of the protocol's tables added is taken away from the copy: an older
/// version wrote it.
#[tokio::test(flavor = "multi_thread")]
async fn tables_of_an_older_layout_are_restored_and_brought_up() {
    let (folder, copy) = backed_up().await;
    let manifest = Manifest::read(&copy).unwrap();
    let added = ["layout", "dropped_at", "previous", "held_at"];
    let schema = &manifest.schemas[0];
    assert_eq!(
        (schema.name.as_str(), schema.migrations.len()),
        ("compline", 2)
    );
    for table in &schema.tables {
        let is_old = |column: &String| !added.contains(&column.as_str());
        let name = format!("tables/compline/{}", table.name);
        let rows = fs::read_to_string(copy.join(&name)).unwrap();
        let old_row = |row: &str| {
            let values = row.split('\t').zip(&table.columns);
            let values = values.filter(|(_, column)| is_old(column));
            values
                .map(|(value, _)| value)
                .collect::<Vec<_>>()
                .join("\t")
                + "\n"
        };
        replace(&copy, &name, &rows.lines().map(old_row).collect::<String>());
    }
    rewrite(&copy, |manifest| {
        let schema = &mut manifest["schemas"][0];
        schema["migrations"].as_object_mut().unwrap().remove("2");
        let tables = schema["tables"].as_array_mut().unwrap();
        tables.retain(|table| table["name"] != "discarded_key");
        for table in tables {
            let columns = table["columns"].as_array_mut().unwrap();
            columns.retain(|column| !added.contains(&column.as_str().unwrap()));
        }
    });
    let new = folder.path().join("new");
    must(&["--data", text(&new), "restore", text(&copy)]);
    let restored = start(&Street::at(&new)).await.unwrap();
    is_as_its_log_says(&restored).await;
    assert_eq!(rows(&restored).await.0, 30);
    // It is another street than the one that the backup is of, and spoils nothing.
    let whole = fs::read(copy.join("backup.json")).unwrap();
    let said = refused(&["--data", text(&new), "backup", text(&copy)]);
    assert!(said.contains("a backup of another log"), "{said}");
    assert_eq!(fs::read(copy.join("backup.json")).unwrap(), whole);
    stop(restored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_is_none_until_it_is_taken_again() {
    let (folder, copy) = backed_up().await;
    let [data, new] = ["data", "new"].map(|name| folder.path().join(name));
    let running = start(&Street::at(&data)).await.unwrap();
    post(&running, 30..60).await;
    let take = ["--data", text(&data), "backup", text(&copy)];
    let mut taking = Command::new(env!("CARGO_BIN_EXE_compline"))
        .args(take)
        .spawn()
        .unwrap();
    let begun = copy.join("unfinished");
    until("a backup", async || begun.exists()).await;
    taking.kill().unwrap();
    taking.wait().unwrap();
    let restore = ["--data", text(&new), "restore", text(&copy)];
    let said = refused(&restore);
    assert!(said.contains("is no backup"), "{said}");

    must(&take);
    stop(running).await;
    must(&restore);
    let restored = start(&Street::at(&new)).await.unwrap();
    is_as_its_log_says(&restored).await;
    assert_eq!(rows(&restored).await.0, 60);
    stop(restored).await;
}

/// A database that is nobody's data folder, as roles of their own have it.
#[tokio::test(flavor = "multi_thread")]
async fn tables_are_restored_to_a_database_elsewhere_with_their_walls() {
    let (folder, copy) = backed_up().await;
    let mut config = ClusterConfig::new(folder.path().join("elsewhere"));
    config.lose_data_on_crash = true;
    let elsewhere = Cluster::start(config).await.unwrap();
    let file = folder.path().join("roles.toml");
    let settings = format!(
        "[postgres]\nurl = \"postgres://127.0.0.1:{}/street\"\nadmin_url = \"{}\"\n\
         owner_password = \"o\"\nprojector_password = \"p\"\nengine_password = \"e\"\n\
         query_password = \"q\"\n",
        elsewhere.port(),
        elsewhere.url("postgres"),
    );
    fs::write(&file, settings).unwrap();
    let restore = ["restore", text(&copy), "--tables", "--config", text(&file)];
    must(&restore);

    let mut conn = PgConnection::connect(&elsewhere.url("street"))
        .await
        .unwrap();
    let ads: i64 = sqlx::query_scalar("SELECT count(*) FROM ad_status_g1.ad")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(ads, 30);
    let with_walls = "SELECT count(*) FROM pg_class WHERE relrowsecurity AND relkind = 'r'";
    let without_force = format!("{with_walls} AND NOT relforcerowsecurity");
    for (statement, is_none) in [(with_walls, false), (without_force.as_str(), true)] {
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(statement))
            .fetch_one(&mut conn)
            .await
            .unwrap();
        assert_eq!(count == 0, is_none, "{statement}: {count}");
    }
    conn.close().await.unwrap();
    let again = refused(&restore);
    assert!(again.contains("has tables of compline's"), "{again}");
    elsewhere.stop().await.unwrap();
}
