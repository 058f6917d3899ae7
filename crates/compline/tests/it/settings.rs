//! Settings: the default file is whole, and what is wrong is named.

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
fn the_environment_wins_over_the_file() {
    let file = "[log]\nbootstrap = \"file:1\"\nprefix = \"f-\"\n";
    let settings = load(Some(file), &[("COMPLINE_LOG__BOOTSTRAP", "env:2")]).unwrap();
    assert_eq!(settings.log.bootstrap, "env:2");
    assert_eq!(settings.log.prefix, "f-");
}

#[test]
fn a_bad_value_is_named_with_what_was_found() {
    let cases = [
        ("[query]\nconnections = 0\n", "query.connections", "0"),
        (
            "[projector]\nbatch_bytes = \"much\"\n",
            "projector.batch_bytes",
            "much",
        ),
        (
            "[command]\nverdict_wait = \"soon\"\n",
            "command.verdict_wait",
            "soon",
        ),
        (
            "[ingress.http]\nlisten = \"here\"\n",
            "ingress.http.listen",
            "here",
        ),
        ("[quary]\nx = 1\n", "quary", "quary"),
        (
            "[command]\noperator_key_sha256 = \"abc\"\n",
            "command.operator_key_sha256",
            "3 characters",
        ),
    ];
    for (file, key, found) in cases {
        let error = load(Some(file), &[]).unwrap_err();
        assert!(error.contains(key) && error.contains(found), "{error}");
    }
    let error = load(None, &[("COMPLINE_CLUSTER__PORT", "many")]).unwrap_err();
    assert!(
        error.contains("COMPLINE_CLUSTER__PORT") || error.contains("cluster.port"),
        "{error}"
    );
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
