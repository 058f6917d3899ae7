//! Exit codes and messages of the binary itself.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Command, Output},
};

use compline_readmodel::Role;
use compline_testkit::broker;

fn compline(arguments: &[&str]) -> Output {
    compline_with(arguments, &[])
}

fn compline_with(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = std::env::temp_dir().join("compline-it-nothing-here");
    Command::new(env!("CARGO_BIN_EXE_compline"))
        .args(arguments)
        .env_clear()
        .env("COMPLINE_DATA", folder)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// Nobody listens there.
fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Of the roles, with every door anywhere.
const ANYWHERE: [(&str, &str); 4] = [
    ("COMPLINE_ADMIN__LISTEN", "127.0.0.1:0"),
    ("COMPLINE_QUERY__GRPC__LISTEN", "127.0.0.1:0"),
    ("COMPLINE_COMMAND__GRPC__LISTEN", "127.0.0.1:0"),
    ("COMPLINE_INGRESS__HTTP__LISTEN", "127.0.0.1:0"),
];

#[track_caller]
fn fails_saying(output: &Output, parts: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_wrong_call_is_2_and_a_failure_is_1_with_one_line() {
    let wrong = compline(&["ads", "list", "--page-size", "many"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("--page-size"), "{}", stderr(&wrong));

    let failed = compline(&["ads", "list"]);
    assert_eq!(failed.status.code(), Some(1));
    let said = stderr(&failed);
    assert!(
        said.starts_with("error: no street is running in "),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_token_and_an_account_are_checked_before_anyone_is_asked() {
    for (arguments, named) in [
        (
            &["ads", "list", "--token", "ad/x@1"][..],
            "is not a position",
        ),
        (&["account", "connect", "12a"], "is not an ad account id"),
        (&["send", "no-such-shape"], "ad-status"),
        (&["simulate", "--for", "soon"], "is not a duration"),
        (&["simulate", "--rate", "0"], "changes a second"),
        (&["ads", "list", "--page-size", "1001"], "1..=1000"),
        (&["ads", "list", "--page-size", "-1"], "1..=1000"),
        (
            &["ads", "list", "--max-wait", "61s"],
            "the longest wait is 60s",
        ),
        (&["key", "create", "--force"], "--write-key"),
        (
            &["log", "copy", "--from", "nowhere", "--to", "./new"],
            "neither brokers (host:port) nor a folder",
        ),
        (&["broker", "inspect", "/tmp", "--from", "0"], "--partition"),
    ] {
        let output = compline(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(named), "{}", stderr(&output));
    }
}

#[test]
fn a_folder_that_is_no_log_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.tex"), "all of it").unwrap();
    let path = folder.path().to_str().unwrap();
    for command in [["broker", "inspect"], ["broker", "repair"]] {
        let output = compline(&[&command[..], &[path]].concat());
        fails_saying(&output, &[path, "thesis.tex"]);
    }
    let output = compline(&["log", "copy", "--from", path, "--to", "127.0.0.1:1"]);
    fails_saying(&output, &[path, "holds no log"]);
}

#[test]
fn a_role_that_cannot_reach_what_it_stands_on_says_what_and_where_it_is_set() {
    let closed = closed().to_string();
    let url = format!("postgres://{closed}/compline");
    let mut variables = ANYWHERE.to_vec();
    variables.push(("COMPLINE_POSTGRES__URL", &url));
    variables.push(("COMPLINE_LOG__BOOTSTRAP", &closed));
    for (role, login) in [
        (&["engine", "ad"][..], "compline_engine"),
        (&["projector", "tenancy"], "compline_projector"),
        (&["query"], "compline_query"),
        (&["command"], "compline_query"),
    ] {
        let output = compline_with(role, &variables);
        let parts = [
            &closed,
            login,
            "refused",
            "COMPLINE_POSTGRES__URL",
            "start it",
        ];
        fails_saying(&output, &parts);
    }
    let output = compline_with(&["migrate"], &variables);
    fails_saying(&output, &[&closed, "COMPLINE_LOG__BOOTSTRAP", "refused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_not_let_in_says_which_password_is_wrong() {
    let (postgres, log) = (compline_testkit::postgres().await, broker().await);
    let url = postgres
        .url(Role::Query)
        .replace("compline_query:test@", "");
    let closed = closed().to_string();
    let mut variables = ANYWHERE.to_vec();
    variables.push(("COMPLINE_POSTGRES__URL", &url));
    variables.push(("COMPLINE_LOG__BOOTSTRAP", &closed));
    for (role, login, variable) in [
        (
            "query",
            "compline_query",
            "COMPLINE_POSTGRES__QUERY_PASSWORD",
        ),
        (
            "migrate",
            "compline_owner",
            "COMPLINE_POSTGRES__OWNER_PASSWORD",
        ),
    ] {
        let mut variables = variables.clone();
        variables.push((variable, "hunter2"));
        // `migrate` asks the log first.
        let bootstrap = log.bootstrap();
        variables.push(("COMPLINE_LOG__BOOTSTRAP", &bootstrap));
        let output = compline_with(&[role], &variables);
        fails_saying(
            &output,
            &[login, "password authentication failed", variable],
        );
        assert!(!stderr(&output).contains("hunter2"));
    }
    // Let in, it looks for the log.
    variables.push(("COMPLINE_POSTGRES__QUERY_PASSWORD", "test"));
    let output = compline_with(&["command"], &variables);
    fails_saying(&output, &[&closed, "COMPLINE_LOG__BOOTSTRAP"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_another_version_are_left_alone_and_said_to_be_so() {
    let postgres = compline_testkit::postgres().await;
    let (_log, broker) = compline_testkit::log().await;
    let (url, bootstrap) = (
        postgres
            .url(Role::Owner)
            .replace("compline_owner:test@", ""),
        broker.bootstrap(),
    );
    let variables = [
        ("COMPLINE_POSTGRES__URL", &*url),
        ("COMPLINE_POSTGRES__OWNER_PASSWORD", "test"),
        ("COMPLINE_LOG__BOOTSTRAP", &bootstrap),
    ];
    let migrated = compline_with(&["migrate"], &variables);
    assert!(migrated.status.success(), "{}", stderr(&migrated));
    let mut owner = postgres.connect(Role::Owner, "activity_g1").await;
    for other in [
        r"UPDATE _sqlx_migrations SET checksum = '\x00'",
        "UPDATE _sqlx_migrations SET version = 2",
    ] {
        sqlx::query(other).execute(&mut owner).await.unwrap();
        let refused = compline_with(&["migrate"], &variables);
        fails_saying(
            &refused,
            &["another version", "new data folder", "activity_g1"],
        );
    }
}

#[test]
fn a_key_is_asked_for_only_when_its_file_can_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/key");
    let path = path.to_str().unwrap();
    for command in [&["key", "create"][..], &["tenant", "create", "Acme"]] {
        let output = compline(&[command, &["--write-key", path]].concat());
        // No street runs either, and nobody looked for one yet.
        fails_saying(&output, &["cannot write", path, "No such file"]);
        assert!(!stderr(&output).contains("street"), "{}", stderr(&output));
    }
}

#[test]
fn a_taken_port_is_named_before_anything_is_started() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let flags = [
        ("--ingress-port", "ingress.http.listen"),
        ("--query-port", "query.grpc.listen"),
        ("--command-port", "command.grpc.listen"),
        ("--admin-port", "admin.listen"),
        ("--kafka-port", "broker.listen"),
        ("--postgres-port", "cluster.port"),
    ];
    for (flag, setting) in flags {
        let mut up = vec!["up".to_owned(), format!("--data={}", data.display())];
        for (other, _) in flags {
            let port = if other == flag { port } else { 0 };
            up.push(format!("{other}={port}"));
        }
        let up: Vec<&str> = up.iter().map(String::as_str).collect();
        let address = format!("127.0.0.1:{port}");
        fails_saying(&compline(&up), &[&address, flag, setting]);
        assert!(!data.join("postgres").exists(), "{flag}");
        let log = std::fs::read_dir(data.join("log")).unwrap();
        assert_eq!(log.count(), 0, "{flag}");
    }
    let listen = format!("127.0.0.1:{port}");
    for (role, variable) in [
        ("ingress", "COMPLINE_INGRESS__HTTP__LISTEN"),
        ("query", "COMPLINE_QUERY__GRPC__LISTEN"),
        ("command", "COMPLINE_COMMAND__GRPC__LISTEN"),
        ("broker", "COMPLINE_BROKER__LISTEN"),
        ("query", "COMPLINE_ADMIN__LISTEN"),
    ] {
        let mut variables = ANYWHERE.to_vec();
        variables.push((variable, &listen));
        fails_saying(&compline_with(&[role], &variables), &[&listen, variable]);
    }
}

#[test]
fn only_who_opens_the_door_needs_its_secrets() {
    let mut variables = ANYWHERE.to_vec();
    variables.push(("COMPLINE_INGRESS__HTTP__LISTEN", "0.0.0.0:0"));
    let output = compline_with(&["ingress"], &variables);
    fails_saying(
        &output,
        &["`ingress.meta.app_secrets`", "0.0.0.0:0", "loopback"],
    );
    variables.push(("COMPLINE_POSTGRES__URL", "postgres://127.0.0.1:1/compline"));
    let output = compline_with(&["query"], &variables);
    fails_saying(&output, &["127.0.0.1:1"]);
}

#[test]
fn a_roles_help_lists_what_it_reads() {
    for (role, part) in [
        (&["ingress"][..], "COMPLINE_INGRESS__DELIVERY_TIMEOUT="),
        (&["engine", "ad"], "[engine]"),
        (&["projector"], "[projector]"),
        (&["query"], "[query.grpc]\nlisten = \"127.0.0.1:7401\""),
        (&["command"], "verdict_wait = \"5s\""),
        (&["broker"], "allow_remote = false"),
        (&["migrate"], "admin_url = \"\""),
    ] {
        let help = compline(&[role, &["--help"]].concat());
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains(part), "{part} is not in: {help}");
        assert!(help.contains("\nGlobal options:\n"), "{help}");
    }
}

/// A key must not go out in clear where the caller asked for TLS.
#[test]
fn a_service_is_not_reached_otherwise_than_asked() {
    use compline::client::Client;
    for url in [
        "https://127.0.0.1:7401",
        "http://me:hunter2@127.0.0.1:7401",
        "127.0.0.1:7401",
        "nonsense",
    ] {
        let said = format!("{:#}", Client::connect(url, "cpl_x").unwrap_err());
        assert!(said.contains("is not a URL such as"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
