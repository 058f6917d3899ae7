//! Layers, and errors that name the key, what was found and what was expected.

use std::time::Duration;

use compline_runtime::config::{ConfigError, Layers, Secret, byte_size, duration, load};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    ingress: Ingress,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ingress {
    port: u16,
    #[serde(with = "duration")]
    timeout: Duration,
    #[serde(with = "byte_size")]
    max_body: usize,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    secrets: Vec<Secret>,
    secret: Option<Secret>,
    #[serde(default)]
    shape: Shape,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Shape {
    #[default]
    Round,
    Square,
}

const DEFAULTS: &str = r#"
[ingress]
port = 8080
timeout = "5s"
max_body = "4MiB"
"#;

fn layers(vars: &[(&str, &str)]) -> Layers {
    let vars = vars
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Layers::new().defaults(DEFAULTS).env_from("COMPLINE", vars)
}

fn error(layers: Layers) -> ConfigError {
    layers.load::<Settings>().unwrap_err()
}

#[test]
fn each_layer_wins_over_the_one_below() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "[ingress]\nport = 1\ntimeout = '1s'\n").unwrap();
    let settings: Settings = layers(&[
        ("COMPLINE_INGRESS__PORT", "2"),
        ("COMPLINE_INGRESS__MAX_BODY", "2KiB"),
        ("COMPLINE_INGRESS__NAMES", r#"["a", "b"]"#),
        ("OTHER_INGRESS__PORT", "9"),
    ])
    .file(&file)
    .set("ingress.max_body", "3")
    .load()
    .unwrap();
    assert_eq!(settings.ingress.port, 2);
    assert_eq!(settings.ingress.timeout, Duration::from_secs(1));
    assert_eq!(settings.ingress.max_body, 3);
    assert_eq!(settings.ingress.names, ["a", "b"]);
    assert_eq!(settings.ingress.shape, Shape::Round);
}

#[test]
fn the_shorthand_reads_a_file_and_overrides() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    std::fs::write(&file, DEFAULTS).unwrap();
    let settings: Settings = load(
        Some(&file),
        "NOBODY_HAS_THIS",
        &[("ingress.port", "0"), ("ingress.shape", "square")],
    )
    .unwrap();
    assert_eq!(settings.ingress.port, 0);
    assert_eq!(settings.ingress.shape, Shape::Square);
}

#[test]
fn a_bad_value_is_told_with_its_key_and_origin() {
    for (variable, value, key, said) in [
        (
            "COMPLINE_INGRESS__PORT",
            "many",
            "ingress.port",
            ["many", "a whole number from 0 to 65535"],
        ),
        (
            "COMPLINE_INGRESS__PORT",
            "70000",
            "ingress.port",
            ["70000", "a whole number from 0 to 65535"],
        ),
        (
            "COMPLINE_INGRESS__PORT",
            "-1",
            "ingress.port",
            ["-1", "a whole number from 0 to 65535"],
        ),
        (
            "COMPLINE_INGRESS__TIMEOUT",
            "5 parsecs",
            "ingress.timeout",
            ["5 parsecs", "a duration such as"],
        ),
        (
            "COMPLINE_INGRESS__MAX_BODY",
            "big",
            "ingress.max_body",
            ["big", "a size such as"],
        ),
        (
            "COMPLINE_INGRESS__SHAPE",
            "oval",
            "ingress.shape",
            ["oval", "`round`, `square`"],
        ),
    ] {
        let error = error(layers(&[(variable, value)]));
        assert_eq!(error.key(), Some(key), "{error}");
        let text = error.to_string();
        for part in [said[0], said[1], variable] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let unknown = error(layers(&[("COMPLINE_INGRESS__PROT", "1")]));
    assert!(matches!(unknown, ConfigError::Unknown { .. }), "{unknown}");
    assert_eq!(unknown.key(), Some("ingress.prot"));
    assert!(unknown.to_string().contains("`port`"), "{unknown}");

    let unknown = error(layers(&[("COMPLINE_INGRES__PORT", "1")]));
    assert_eq!(unknown.key(), Some("ingres"));

    let flag = [("COMPLINE_DATA", "/data")];
    assert_eq!(error(layers(&flag)).key(), Some("data"));
    layers(&flag)
        .not_settings(["COMPLINE_DATA"])
        .load::<Settings>()
        .unwrap();
}

#[test]
fn a_missing_key_is_named() {
    let missing = Layers::new()
        .defaults("[ingress]\nport = 1")
        .load::<Settings>()
        .unwrap_err();
    assert!(matches!(missing, ConfigError::Missing { .. }), "{missing}");
    assert_eq!(missing.key(), Some("ingress.timeout"));
}

#[test]
fn a_file_is_named_when_it_is_missing_or_broken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    let missing = error(layers(&[]).file(&file)).to_string();
    assert!(missing.contains("c.toml"), "{missing}");
    std::fs::write(&file, "[ingress]\nport = 1\nsecret = \"hunter2\n").unwrap();
    let broken = error(layers(&[]).file(&file)).to_string();
    assert!(broken.contains("c.toml, line 3"), "{broken}");
    assert!(!broken.contains("hunter2"), "{broken}");
    // An empty table, too, is of the file.
    std::fs::write(&file, "[ingres]\n").unwrap();
    let unknown = error(layers(&[]).file(&file)).to_string();
    assert!(unknown.contains("c.toml"), "{unknown}");
}

#[test]
fn secrets_come_as_text_or_from_files_and_are_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "from file\n").unwrap();
    let list = format!(r#"["in the clear", {{ file = "{}" }}]"#, file.display());
    let settings: Settings = layers(&[
        ("COMPLINE_INGRESS__SECRETS", &list),
        ("COMPLINE_INGRESS__SECRET__FILE", file.to_str().unwrap()),
    ])
    .load()
    .unwrap();
    let exposed: Vec<&str> = settings
        .ingress
        .secrets
        .iter()
        .map(Secret::expose)
        .collect();
    assert_eq!(exposed, ["in the clear", "from file"]);
    let secret = settings.ingress.secret.as_ref().unwrap();
    assert_eq!(secret.expose(), "from file");

    assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
    assert!(!format!("{settings:?}").contains("clear"));
    assert_eq!(serde_json::to_string(secret).unwrap(), "\"[redacted]\"");
}

#[test]
fn no_error_quotes_a_secret() {
    let number = Layers::new().defaults(format!("{DEFAULTS}secret = 123456789"));
    let table = Layers::new().defaults(format!("{DEFAULTS}secret = {{ value = 'hunter2' }}"));
    let list = Layers::new().defaults(format!("{DEFAULTS}secret = ['hunter2']"));
    for layers in [number, table, list] {
        let error = error(layers);
        assert_eq!(error.key(), Some("ingress.secret"), "{error}");
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains("hunter2") && !text.contains("123456789"),
            "{text}"
        );
    }
    let file = |path| error(layers(&[("COMPLINE_INGRESS__SECRET__FILE", path)])).to_string();
    let missing = file("/nowhere/secret");
    assert!(missing.contains("/nowhere/secret"), "{missing}");
    let mistaken = file("hunter2");
    assert!(!mistaken.contains("hunter2"), "{mistaken}");
}

/// A list without its brackets is the mistake that everyone makes once.
#[test]
fn a_malformed_list_of_secrets_is_told_its_form_and_not_quoted() {
    const VARIABLE: &str = "COMPLINE_INGRESS__SECRETS";
    for value in ["hunter2", "[hunter2]", "[\"hunter2\"", "[\"a\", \"hunter2]"] {
        let error = error(layers(&[(VARIABLE, value)]));
        assert_eq!(error.key(), Some("ingress.secrets"));
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2"), "{text}");
        for part in [VARIABLE, r#"'["one"]'"#] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
    let table = error(layers(&[("COMPLINE_INGRESS", "hunter2")]));
    assert_eq!(table.key(), Some("ingress"));
    assert!(!format!("{table} {table:?}").contains("hunter2"), "{table}");
    for line in [
        "secrets = 'hunter2'",
        "secrets = hunter2",
        "secret = hunter2",
        "secret = 'hunter2",
        "secret = \"\"\"hunter2",
        "secret = \"hunter2\\q\"",
        "secret = { file = hunter2 }",
        "secret = 'a'\nsecret = 'hunter2'",
        "secret 'hunter2'",
        "secrets = ['a', hunter2]",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.toml");
        std::fs::write(&file, format!("[ingress]\n{line}\n")).unwrap();
        let error = error(layers(&[]).file(&file));
        let text = format!("{error} {error:?}");
        assert!(text.contains("c.toml"), "{text}");
        assert!(!text.contains("hunter2"), "{line}: {text}");
    }
}

#[test]
fn what_a_check_refuses_is_told_with_its_layer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "[ingress]\ntimeout = \"90d\"\n").unwrap();
    let refused = |key: &'static str| {
        let layers = layers(&[("COMPLINE_INGRESS__PORT", "2")]).file(&file);
        let refuse = |_: &Settings| Err(ConfigError::invalid(key, "x", "y"));
        layers.load_checked(refuse).unwrap_err().to_string()
    };
    for (key, layer) in [
        (
            "ingress.port",
            "environment variable COMPLINE_INGRESS__PORT",
        ),
        ("ingress.timeout", "c.toml"),
        ("ingress.max_body", "the defaults"),
    ] {
        let text = refused(key);
        assert!(
            text.contains(&format!("`{key}`: found x, expected y")),
            "{text}"
        );
        assert!(text.contains(layer), "{layer} is not in: {text}");
    }
}

#[test]
fn human_units() {
    for (text, millis) in [
        ("250ms", 250),
        ("5s", 5_000),
        ("1h30m", 5_400_000),
        ("36h", 129_600_000),
        ("0", 0),
    ] {
        assert_eq!(
            duration::parse(text),
            Some(Duration::from_millis(millis)),
            "{text}"
        );
    }
    for text in [
        "",
        "5",
        "s",
        "5 s m",
        "-1s",
        "1.5s",
        "99999999999999999999s",
    ] {
        assert_eq!(duration::parse(text), None, "{text}");
    }
    for (text, bytes) in [
        ("4MiB", 4 << 20),
        ("500B", 500),
        ("1kB", 1000),
        ("64 KiB", 65_536),
        ("7", 7),
    ] {
        assert_eq!(byte_size::parse(text), Some(bytes), "{text}");
    }
    for text in ["", "MiB", "4 bananas", "-1", "99999999999999TiB"] {
        assert_eq!(byte_size::parse(text), None, "{text}");
    }
    for millis in [0, 1, 999, 61_001, 90_061_001] {
        let length = Duration::from_millis(millis);
        assert_eq!(duration::parse(&duration::format(length)), Some(length));
    }
    for bytes in [0, 1, 1024, 1025, 3 << 30] {
        assert_eq!(byte_size::parse(&byte_size::format(bytes)), Some(bytes));
    }
}
