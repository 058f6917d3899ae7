//! Start, use, stop, start again.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use compline_cluster::{Cluster, ClusterConfig, ClusterError, Outlook, leftover_port};
use sqlx::{Connection, Row};

use crate::{alive, config, connect, folder};

#[tokio::test(flavor = "multi_thread")]
async fn data_survive_a_stop() {
    let folder = folder();
    let cluster = Cluster::start(config(folder.path())).await.unwrap();
    cluster.create_database("street").await.unwrap();
    cluster.create_database("street").await.unwrap();
    let mut connection = connect(&cluster, "street").await;
    sqlx::raw_sql("CREATE TABLE t (a text); INSERT INTO t VALUES ('kept')")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let (pid, password) = (cluster.pid(), cluster.password().to_owned());
    assert!(alive(pid));
    cluster.stop().await.unwrap();
    assert!(!alive(pid));

    let cluster = Cluster::start(config(folder.path())).await.unwrap();
    assert_eq!(cluster.password(), password);
    let mut connection = connect(&cluster, "street").await;
    let row = sqlx::query("SELECT a, lower('Ä') FROM t")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(row.get::<String, _>(0), "kept");
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_cluster_is_stopped_with_sessions_open() {
    let folder = folder();
    let cluster = Cluster::start(config(folder.path())).await.unwrap();
    let _session = connect(&cluster, "postgres").await;
    let pid = cluster.pid();
    drop(cluster);
    assert!(!alive(pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_listens_on_loopback_and_asks_for_the_password() {
    let folder = folder();
    let cluster = Cluster::start(config(folder.path())).await.unwrap();
    let mut connection = connect(&cluster, "postgres").await;
    let listens: String = sqlx::query_scalar("SHOW listen_addresses")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(listens, "127.0.0.1");
    let wrong = cluster.url("postgres").replace(cluster.password(), "wrong");
    let refused = sqlx::PgConnection::connect(&wrong).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("password authentication failed"),
        "{refused}"
    );

    let password_file = folder.path().join("password");
    let mode = password_file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        std::fs::read_to_string(password_file).unwrap().trim(),
        cluster.password()
    );
    assert!(!format!("{cluster:?}").contains(cluster.password()));
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_on_a_folder_is_refused_and_harms_nothing() {
    let folder = folder();
    let first = Cluster::start(config(folder.path())).await.unwrap();
    let second = Cluster::start(config(folder.path())).await.unwrap_err();
    assert!(matches!(second, ClusterError::InUse { .. }), "{second}");
    assert!(
        second.to_string().contains(folder.path().to_str().unwrap()),
        "{second}"
    );
    connect(&first, "postgres").await;
    first.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Cluster::start(ClusterConfig {
        port,
        ..config(folder.path())
    })
    .await
    .unwrap_err();
    assert!(
        matches!(error, ClusterError::Port { port: p, .. } if p == port),
        "{error}"
    );
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    drop(taken);
    let cluster = Cluster::start(ClusterConfig {
        port,
        ..config(folder.path())
    })
    .await
    .unwrap();
    assert_eq!(cluster.port(), port);
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_told_in_the_servers_words() {
    let folder = folder();
    let mut config = config(folder.path());
    config
        .settings
        .push(("work_mem".to_owned(), "plenty".to_owned()));
    let error = Cluster::start(config).await.unwrap_err();
    assert!(matches!(error, ClusterError::NotStarted { .. }), "{error}");
    assert!(error.to_string().contains("work_mem"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_noticed() {
    let folder = folder();
    let mut cluster = Cluster::start(config(folder.path())).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(300), cluster.ended()).await;
    assert!(waiting.is_err(), "it has not ended yet");
    let pid = rustix::process::Pid::from_raw(cluster.pid()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
    tokio::time::timeout(Duration::from_secs(10), cluster.ended())
        .await
        .unwrap();
}

/// The binaries that a new user gets: fetched (and cached for the next time), or, without a
/// network, the machine's own.
#[tokio::test(flavor = "multi_thread")]
async fn the_default_binaries_run() {
    let folder = folder();
    let config = ClusterConfig {
        prefer_system: false,
        ..config(folder.path())
    };
    let cluster = Cluster::start(config).await.unwrap();
    let mut connection = connect(&cluster, "postgres").await;
    let version: String = sqlx::query_scalar("SHOW server_version")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(version.starts_with(cluster.version()), "{version}");
    let folded: String = sqlx::query_scalar("SELECT lower('Ä')")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    if cluster.version().starts_with("18") {
        assert_eq!(folded, "ä");
    }
    cluster.stop().await.unwrap();
}

/// What is told to people before they wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_known_before_what_a_start_meets() {
    let (data, cache) = (folder(), folder());
    let found = config(data.path());
    let fetching = ClusterConfig {
        prefer_system: false,
        cache: Some(cache.path().to_owned()),
        ..config(data.path())
    };
    let cache = cache.path().canonicalize().unwrap();
    assert_eq!(Outlook::of(&fetching).unwrap(), Outlook::Fetch { cache });
    let outlook = Outlook::of(&found).unwrap();

    assert_eq!(leftover_port(data.path()), None);
    let cluster = Cluster::start(found).await.unwrap();
    let started = Outlook::Found {
        version: cluster.version().to_owned(),
        programs: cluster.programs().to_owned(),
    };
    assert_eq!(outlook, started);
    assert_eq!(leftover_port(data.path()), Some(cluster.port()));
    cluster.stop().await.unwrap();
    assert_eq!(leftover_port(data.path()), None);
}
