//! Exit codes and messages of the binary itself.

use std::process::{Command, Output};

fn compline(arguments: &[&str]) -> Output {
    let folder = std::env::temp_dir().join("compline-it-nothing-here");
    Command::new(env!("CARGO_BIN_EXE_compline"))
        .args(arguments)
        .env_clear()
        .env("COMPLINE_DATA", folder)
        .output()
        .unwrap()
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
    ] {
        let output = compline(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(named), "{}", stderr(&output));
    }
}
