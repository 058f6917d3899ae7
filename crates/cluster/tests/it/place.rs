//! Root's own case: the folder that Postgres' user cannot reach.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use compline_cluster::{Cluster, ClusterConfig, ClusterError};

use crate::{config, connect, folder};

/// Only root runs Postgres as somebody else.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_closed_home_the_database_is_kept_elsewhere() {
    if !is_root() {
        return;
    }
    let closed = folder();
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    let data = closed.path().join("clone/data");

    let cluster = Cluster::start(config(&data)).await.unwrap();
    let home = cluster.data_dir().parent().unwrap().to_owned();
    assert!(
        home.starts_with("/var/lib/cluster-test"),
        "{}",
        home.display()
    );
    assert_eq!(
        fs::read_to_string(data.join("location")).unwrap().trim(),
        home.to_str().unwrap()
    );
    let mut connection = connect(&cluster, "postgres").await;
    sqlx::raw_sql("CREATE TABLE t (a int)")
        .execute(&mut connection)
        .await
        .unwrap();
    let second = Cluster::start(config(&data)).await.unwrap_err();
    assert!(matches!(second, ClusterError::InUse { .. }), "{second}");
    cluster.stop().await.unwrap();

    let cluster = Cluster::start(config(&data)).await.unwrap();
    let mut connection = connect(&cluster, "postgres").await;
    sqlx::raw_sql("SELECT * FROM t")
        .execute(&mut connection)
        .await
        .unwrap();
    cluster.stop().await.unwrap();

    fs::remove_dir_all(&home).unwrap();
    let gone = Cluster::start(config(&data)).await.unwrap_err();
    assert!(matches!(gone, ClusterError::DataMissing { .. }), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_out_of_reach_is_named() {
    if !is_root() {
        return;
    }
    let (data, closed) = (folder(), folder());
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    let cache = closed.path().join("cache");
    let error = Cluster::start(ClusterConfig {
        cache: Some(cache),
        ..config(data.path())
    })
    .await
    .unwrap_err();
    let ClusterError::Unreachable { folder, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(folder, closed.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_password_is_not_replaced() {
    let folder = folder();
    Cluster::start(config(folder.path()))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::remove_file(folder.path().join("password")).unwrap();
    let error = Cluster::start(config(folder.path())).await.unwrap_err();
    assert!(
        matches!(error, ClusterError::PasswordMissing { .. }),
        "{error}"
    );
}
