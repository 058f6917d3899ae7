//! The default file, damaged: it is refused with the file named, or read.

use std::fs;

use compline::config::{DEFAULTS, Settings};
use compline_testkit::fuzz::{fuzz, mutate};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

const TELLING: &[&[u8]] = &[
    b"\"",
    b"'''",
    b"[",
    b"]\n",
    b"[[query]]\n",
    b"= ",
    b"-1",
    b"99999999999999999999",
    b"1e400",
    b"nan",
    b"\"0B\"",
    b"\"18446744073709551615GiB\"",
    b"\"99999999999999d\"",
    b"\"-1s\"",
    b"true",
    b"{ file = \"/\" }",
    b"{ file = \"\" }",
    b"a.b.c.d = 1\n",
    b"\xff",
    b"1979-05-27T07:32:00Z",
    b"\"::1:0\"",
    b"\"\\uD800\"",
];

const VARIABLES: [&str; 6] = [
    "COMPLINE_QUERY__CONNECTIONS",
    "COMPLINE_LOG__PROPERTIES__SASL__PASSWORD",
    "COMPLINE_INGRESS__META__APP_SECRETS",
    "COMPLINE_BROKER__LIMITS__CONNECTIONS",
    "COMPLINE___",
    "COMPLINE_TELEMETRY",
];

fn variable(rng: &mut StdRng) -> (String, String) {
    let mut name = (*VARIABLES.choose(rng).unwrap()).as_bytes().to_vec();
    if rng.random_range(0..4) == 0 {
        mutate(&mut name, &[b"__", b"0", b"COMPLINE_"], rng);
    }
    let mut value = b"[\"7\"]".to_vec();
    mutate(&mut value, TELLING, rng);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(name), text(value))
}

#[test]
fn settings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("compline.toml");
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/settings");
    // Comments would take most of the damage.
    let lines = DEFAULTS.lines().filter(|line| !line.starts_with('#'));
    let whole: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    fuzz(corpus, |rng| {
        let mut file = whole.join("\n").into_bytes();
        mutate(&mut file, TELLING, rng);
        fs::write(&path, &file).unwrap();
        let variables = match rng.random_range(0..3) {
            0 => vec![variable(rng)],
            _ => Vec::new(),
        };
        if let Err(error) = Settings::load_from(Some(&path), variables.clone()) {
            let said = format!("{error:#}");
            let named = said.contains("compline.toml") || said.contains("COMPLINE");
            assert!(
                named,
                "{said:?} names neither file nor variable, {variables:?}"
            );
        }
    });
}
