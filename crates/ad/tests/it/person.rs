//! Who is told how urgently.

use time::Duration;

use crate::world::*;

/// The notifications that a row of statuses raises.
fn raised(statuses: &[&str]) -> Vec<String> {
    let mut inputs = vec![connect(0, Duration::ZERO, ONE, "5")];
    for (offset, status) in (0..).zip(statuses) {
        inputs.push(webhook(
            offset,
            Duration::ZERO,
            relayed("5", T + offset, "9", status),
        ));
    }
    lines(&decide(&inputs))
        .into_iter()
        .filter_map(|line| Some(line.split_once(" of ads/9: ")?.0.to_owned()))
        .filter(|said| ["1 CRITICAL", "1 WARNING", "1 INFO"].contains(&said.as_str()))
        .collect()
}

#[test]
fn ads() {
    let table: [(&[&str], &[&str]); 7] = [
        (&["ACTIVE", "PAUSED", "PENDING_REVIEW", "ACTIVE"], &[]),
        (&["DISAPPROVED"], &["1 CRITICAL"]),
        (&["WITH_ISSUES", "ACTIVE"], &["1 WARNING", "1 INFO"]),
        (
            &["PENDING_BILLING_INFO", "PENDING_REVIEW", "ACTIVE"],
            &["1 WARNING", "1 INFO"],
        ),
        (&["DISAPPROVED", "DELETED", "ACTIVE"], &["1 CRITICAL"]),
        (
            &["DISAPPROVED", "ACTIVE", "PAUSED", "ACTIVE"],
            &["1 CRITICAL", "1 INFO"],
        ),
        (&["DISAPPROVED", "DISAPPROVED"], &["1 CRITICAL"]),
    ];
    for (statuses, expected) in table {
        assert_eq!(raised(statuses), expected, "{statuses:?}");
    }
}

#[test]
fn accounts() {
    let table = [
        (1, 2, Some("CRITICAL")),
        (1, 3, Some("CRITICAL")),
        (1, 101, Some("CRITICAL")),
        (1, 7, Some("WARNING")),
        (1, 8, Some("WARNING")),
        (1, 9, Some("WARNING")),
        (1, 100, Some("WARNING")),
        (2, 1, Some("INFO")),
        (9, 1, Some("INFO")),
        (1, 201, None),
        (2, 77, None),
        (77, 1, None),
    ];
    for (old, new, expected) in table {
        let mut inputs = vec![connect(0, Duration::ZERO, ONE, "5")];
        for (offset, status) in [(0, old), (1, new)] {
            let change = format!(
                r#"{{"field":"ad_account","value":{{"id":"5","account_status":{status},"disable_reason":0}}}}"#
            );
            let body = body("application", "1", T + offset, &change);
            inputs.push(webhook(offset, Duration::ZERO, body));
        }
        let outputs = decide(&inputs);
        let last = lines(&outputs).pop().expect("something was told");
        let severity = last
            .split(' ')
            .nth(1)
            .filter(|word| word.to_uppercase() == *word);
        assert_eq!(severity, expected, "{old} to {new}: {last}");
    }
}
