//! Settings: the default file is whole, and what is wrong is named.

mod damaged;

use std::fs;

use compline::config::Settings;

fn load(file: Option<&str>, variables: &[(&str, &str)]) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("compline.toml");
    if let Some(text) = file {
        fs::write(&path, text).unwrap();
    }
    let variables = variables
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Settings::load_from(file.map(|_| path.as_path()), variables)
        .map_err(|error| format!("{error:#}"))
}

#[test]
fn the_default_file_is_enough_and_flags_are_no_settings() {
    let settings = load(None, &[("COMPLINE_API_KEY", "cpl_x"), ("HOME", "/root")]).unwrap();
    assert!(settings.ingress.http.listen.ip().is_loopback());
    assert!(settings.ingress.allow_sample_secrets);
    assert!(!settings.broker.allow_remote);
}

#[test]
fn the_logs_limits_are_settings() {
    let file =
        "[broker.limits]\nconnections_per_address = 9\n[broker.topics]\nretention = \"36h\"\n";
    let variable = ("COMPLINE_BROKER__LIMITS__CONNECTIONS", "77");
    let settings = load(Some(file), &[variable]).unwrap();
    let config = settings.broker.of_broker("log".as_ref());
    assert_eq!(config.limits.connections, 77);
    assert_eq!(config.limits.connections_per_address, 9);
    assert_eq!(config.topics.retention_ms, 36 * 3_600_000);
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = "[log]\nbootstrap = \"file:1\"\nprefix = \"f-\"\n";
    let settings = load(Some(file), &[("COMPLINE_LOG__BOOTSTRAP", "env:2")]).unwrap();
    assert_eq!(settings.log.bootstrap, "env:2");
    assert_eq!(settings.log.prefix, "f-");
}

/// Each is refused before anything is started, by key, with what was found and what
/// is allowed, and with where it was set.
#[test]
fn a_bad_value_is_named_with_what_was_found_and_where() {
    let cases = [
        (
            "query",
            "connections = 0",
            "query.connections",
            "found 0, expected 1 to 1000",
        ),
        (
            "query",
            "connections = 5000",
            "query.connections",
            "found 5000",
        ),
        (
            "engine",
            "batch_records = 0",
            "engine.batch_records",
            "found 0",
        ),
        (
            "engine",
            "batch_bytes = \"0B\"",
            "engine.batch_bytes",
            "found 0B, expected 1KiB to 1GiB",
        ),
        (
            "projector",
            "batch_bytes = \"much\"",
            "projector.batch_bytes",
            "\"much\"",
        ),
        (
            "projector",
            "ready_lag = \"0s\"",
            "projector.ready_lag",
            "found 0s, expected 100ms to 1d",
        ),
        (
            "engine",
            "ready_lag = \"2d\"",
            "engine.ready_lag",
            "found 2d",
        ),
        (
            "command",
            "verdict_wait = \"soon\"",
            "command.verdict_wait",
            "\"soon\"",
        ),
        (
            "command",
            "verdict_wait = \"900d\"",
            "command.verdict_wait",
            "found 900d, expected 100ms to 5m",
        ),
        (
            "command",
            "operator_key_sha256 = \"abc\"",
            "command.operator_key_sha256",
            "3 characters",
        ),
        (
            "command.grpc",
            "keepalive_interval = \"0s\"",
            "command.grpc.keepalive_interval",
            "found 0s",
        ),
        (
            "query.grpc",
            "stream_drain = \"11s\"",
            "query.grpc.stream_drain",
            "found 11s, expected 0s to 10s",
        ),
        (
            "query.grpc",
            "max_connections = 0",
            "query.grpc.max_connections",
            "found 0",
        ),
        (
            "ingress",
            "delivery_timeout = \"1d\"",
            "ingress.delivery_timeout",
            "found 1d",
        ),
        (
            "ingress",
            "body_memory = \"1MiB\"",
            "ingress.body_memory",
            "found 1MiB, expected 4MiB to",
        ),
        (
            "ingress.http",
            "listen = \"here\"",
            "ingress.http.listen",
            "\"here\"",
        ),
        (
            "ingress.http",
            "header_read_timeout = \"0\"",
            "ingress.http.header_read_timeout",
            "found 0s",
        ),
        (
            "ingress.http",
            "drain = \"9s\"",
            "ingress.http.drain",
            "found 9s, expected at least 10s",
        ),
        (
            "ingress.http",
            "max_body = \"1TiB\"",
            "ingress.http.max_body",
            "found 1TiB",
        ),
        (
            "ingress.meta",
            "app_secrets = []",
            "ingress.meta.app_secrets",
            "found none",
        ),
        (
            "ingress.meta",
            "app_secrets = [\"\"]",
            "ingress.meta.app_secrets",
            "an empty one",
        ),
        (
            "telemetry",
            "trace_ratio = 7",
            "telemetry.trace_ratio",
            "found 7, expected 0 to 1",
        ),
        (
            "telemetry",
            "log = \"verbose\"",
            "telemetry.log",
            "found \"verbose\", expected error, warn",
        ),
        (
            "telemetry",
            "otlp_endpoint = \"nowhere\"",
            "telemetry.otlp_endpoint",
            "\"nowhere\"",
        ),
        (
            "telemetry",
            "otlp_endpoint = \"htps://user:hunter2@collector\"",
            "telemetry.otlp_endpoint",
            "found something that is none, expected a URL",
        ),
        (
            "broker",
            "sync_threads = 65",
            "broker.sync_threads",
            "found 65, expected 1 to 64",
        ),
        (
            "broker.topics",
            "retention = \"always\"",
            "broker.topics.retention",
            "\"always\", expected a duration such as 36h or 30d, or forever",
        ),
        (
            "broker.groups",
            "max_session_timeout = \"5s\"",
            "broker.groups.max_session_timeout",
            "found 5s, expected 6s to 1d",
        ),
        (
            "broker.limits",
            "connections = 0",
            "broker.limits.connections",
            "found 0, expected 1 to 1000000",
        ),
        (
            "broker.limits",
            "request = \"200MiB\"",
            "broker.limits.request",
            "found 200MiB, expected 1KiB to 128MiB",
        ),
        (
            "log",
            "replication = 11",
            "log.replication",
            "found \"11\": it is 1 to 10",
        ),
        (
            "log",
            "replication = 3",
            "log.replication",
            "found 3, expected 1",
        ),
        (
            "log",
            "prefix = \"a b\"",
            "log.prefix",
            "found \"a b\": it may have",
        ),
        (
            "log.properties",
            "\"acks\" = \"1\"",
            "log.properties.acks",
            "only how to reach",
        ),
        (
            "log.properties",
            "socket.nagle.disabel = true",
            "log.properties.socket.nagle.disabel",
            "found \"true\"",
        ),
        (
            "log.properties",
            "socket.timeout.ms = 1000",
            "log.properties.socket.timeout.ms",
            "expected none, for `up`",
        ),
        (
            "cluster",
            "shared_buffers = \"plenty\"",
            "cluster.shared_buffers",
            "\"plenty\"",
        ),
        (
            "cluster",
            "shared_buffers = \"0MB\"",
            "cluster.shared_buffers",
            "found 0B, expected 1MiB to 1TiB",
        ),
        (
            "broker",
            "listen = \"0.0.0.0:9092\"",
            "broker.listen",
            "expected a loopback address",
        ),
        (
            "broker",
            "listen = \"0.0.0.0:9092\"\nallow_remote = true\nadvertised_host = \"\"",
            "broker.advertised_host",
            "expected the host that clients reach the log at",
        ),
        ("quary", "x = 1", "quary", "expected one of `telemetry`"),
    ];
    for (section, line, key, said) in cases {
        let error = load(Some(&format!("[{section}]\n{line}\n")), &[]).unwrap_err();
        for part in [&format!("`{key}`"), said, "compline.toml)"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
    }
    for (variable, value, key) in [
        ("COMPLINE_CLUSTER__PORT", "many", "cluster.port"),
        (
            "COMPLINE_TELEMETRY__TRACE_RATIO",
            "7",
            "telemetry.trace_ratio",
        ),
        ("COMPLINE_LOG__PROPERTIES__ACKS", "1", "log.properties.acks"),
    ] {
        let error = load(None, &[(variable, value)]).unwrap_err();
        for part in [
            format!("`{key}`"),
            format!("(in environment variable {variable})"),
        ] {
            assert!(error.contains(&part), "{part} is not in: {error}");
        }
    }
}

#[test]
fn the_sample_secrets_are_refused_where_others_can_send() {
    for address in ["0.0.0.0:7400", "[::]:0", "192.0.2.1:7400"] {
        let listen = ("COMPLINE_INGRESS__HTTP__LISTEN", address);
        let error = load(None, &[listen]).unwrap_err();
        for part in ["`ingress.meta.app_secrets`", address, "a loopback address"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
        load(
            None,
            &[
                listen,
                ("COMPLINE_INGRESS__META__APP_SECRETS", r#"["my-own"]"#),
                ("COMPLINE_INGRESS__META__VERIFY_TOKENS", r#"["my-own-too"]"#),
                ("COMPLINE_INGRESS__STRIPE__SIGNING_SECRETS", "[]"),
            ],
        )
        .unwrap();
    }
}

#[test]
fn no_secret_is_printed() {
    let file = "[postgres]\nquery_password = \"hunter2\"\nurl = \"postgres://me:hunter2@here/x\"\n";
    let error = load(Some(file), &[]).unwrap_err();
    assert!(
        error.contains("postgres.url") && !error.contains("hunter2"),
        "{error}"
    );
    let file = "[postgres]\nquery_password = \"hunter2\"\n";
    assert!(!format!("{:?}", load(Some(file), &[]).unwrap()).contains("hunter2"));
    for key in [
        "INGRESS__META__APP_SECRETS",
        "INGRESS__META__VERIFY_TOKENS",
        "INGRESS__STRIPE__SIGNING_SECRETS",
        "POSTGRES__OWNER_PASSWORD__FILE",
        "POSTGRES__ADMIN_URL",
        "LOG__PROPERTIES__SASL__PASWORD",
        "LOG__PROPERTIES__SASL__PASWORD",
    ] {
        let variable = format!("COMPLINE_{key}");
        let error = load(None, &[(&variable, "hunter2")]).unwrap_err();
        assert!(error.contains(&variable), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// As containers hand them over, in lists too.
#[test]
fn secrets_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, "from-a-file\n").unwrap();
    let path = path.to_str().unwrap();
    let list = format!("[{{ file = \"{path}\" }}]");
    let settings = load(
        None,
        &[
            ("COMPLINE_POSTGRES__OWNER_PASSWORD__FILE", path),
            ("COMPLINE_INGRESS__META__APP_SECRETS", &list),
        ],
    )
    .unwrap();
    assert_eq!(settings.postgres.owner_password.expose(), "from-a-file");
    let secrets = &settings.ingress.meta.app_secrets;
    assert_eq!(secrets.len(), 1);
    assert_eq!(secrets[0].expose(), "from-a-file");
}
