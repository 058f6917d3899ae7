//! What is lost but the log comes back from the log.

use std::fs;

use compline::{street::Street, up::Running};
use compline_ad::AdEngine;
use compline_event::Topic;
use compline_readmodel::{Role, generation::schema_name};
use compline_testkit::{dump, same_rows, verify};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{
    copy::{post, stop},
    house::{as_owner, caught_up, folder, log_of, start},
};

/// Every row of every read model, once nothing is on its way.
async fn rows(running: &Running) -> String {
    let at = &running.run_file;
    let (log, database) = (log_of(at).unwrap(), as_owner(at).unwrap());
    caught_up(&log, &database).await.unwrap();
    verify::engine(&log, &AdEngine, Topic::Account)
        .await
        .unwrap();
    let mut text = String::new();
    for name in [
        compline_ad_status::NAME,
        compline_activity::NAME,
        compline_tenancy::NAME,
    ] {
        let schema = schema_name(name, 1);
        let options = database.options(Role::Owner, &schema);
        let mut conn = PgConnection::connect_with(&options).await.unwrap();
        text += &dump(&mut conn, &schema).await.unwrap();
    }
    text
}

/// As its superuser, whose password stands in the data folder.
async fn drop_database(running: &Running, street: &Street) {
    let password = fs::read_to_string(street.postgres_folder().join("password")).unwrap();
    let address = running.run_file.addresses.postgres;
    let url = format!("postgres://postgres:{}@{address}/postgres", password.trim());
    let mut conn = PgConnection::connect(&url).await.unwrap();
    conn.execute("DROP DATABASE compline WITH (FORCE)")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_rows_come_back_from_the_log_alone() {
    let folder = folder();
    let street = Street::at(folder.path().join("data"));
    let running = start(&street).await.unwrap();
    post(&running, 0..60).await;
    let before = rows(&running).await;
    assert!(before.lines().count() > 200, "{before}");

    drop_database(&running, &street).await;
    // Ingress knows nothing of it; what comes now was seen before, and changes nothing.
    post(&running, 20..40).await;
    stop(running).await;
    let running = start(&street).await.unwrap();
    same_rows(("before", &before), ("from the log", &rows(&running).await)).unwrap();
    stop(running).await;

    fs::remove_dir_all(street.postgres_folder()).unwrap();
    let running = start(&street).await.unwrap();
    same_rows(("before", &before), ("from the log", &rows(&running).await)).unwrap();

    // It goes on as if nothing had been.
    post(&running, 60..80).await;
    let after = rows(&running).await;
    assert!(after.lines().count() > before.lines().count());
    stop(running).await;
}
