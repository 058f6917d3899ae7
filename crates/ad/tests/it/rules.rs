//! Duplicates, lateness, several tenants, connections.

use compline_ad::{AdEngine, State};
use compline_engine::{Engine, Outputs};
use compline_event::{Event, TenantId, Topic, account_events::AccountStatusChanged};
use time::Duration;

use crate::world::*;

const HOUR: Duration = Duration::HOUR;

fn connected() -> Vec<compline_event::Recorded> {
    vec![connect(0, Duration::ZERO, ONE, "5")]
}

/// Only what was said of the ad's status.
fn statuses(inputs: &[compline_event::Recorded]) -> Vec<String> {
    let said = lines(&decide(inputs)).into_iter();
    said.filter_map(|line| Some(line.split_once("status of ad 5/9: ")?.1.to_owned()))
        .collect()
}

#[test]
fn a_duplicate_is_dropped_and_only_within_the_time_of_retries() {
    let mut inputs = connected();
    let disapproved = relayed("5", T, "9", "DISAPPROVED");
    let anew = r#"{ "entry": [ {"changes":[{"value":{"status":"DISAPPROVED","ad_account_id":"5","ad_id":"9"},"field":"ad_status"}],"time":TIME,"id":"5"}]}"#
        .replace("TIME", &T.to_string());
    inputs.push(webhook(0, Duration::ZERO, &disapproved));
    inputs.push(webhook(1, HOUR, relayed("5", T + 10, "9", "ACTIVE")));
    // Not dropped, these would be told as late.
    inputs.push(webhook(2, 2 * HOUR, &disapproved));
    inputs.push(webhook(3, 36 * HOUR, anew));
    assert_eq!(
        statuses(&inputs),
        [
            "\"\" to \"DISAPPROVED\" at 0",
            "\"DISAPPROVED\" to \"ACTIVE\" at 10"
        ]
    );
    inputs.push(webhook(4, 37 * HOUR, &disapproved));
    assert_eq!(statuses(&inputs)[2], "\"\" to \"DISAPPROVED\" at 0, late");
}

#[test]
fn back_and_forth_is_four_changes_and_a_stamp_anew_is_none() {
    let mut inputs = connected();
    for (offset, status) in [(0, "A"), (1, "D"), (2, "A"), (3, "D"), (4, "D")] {
        inputs.push(webhook(
            offset,
            Duration::ZERO,
            relayed("5", T + offset, "9", status),
        ));
    }
    assert_eq!(
        statuses(&inputs),
        [
            "\"\" to \"A\" at 0",
            "\"A\" to \"D\" at 1",
            "\"D\" to \"A\" at 2",
            "\"A\" to \"D\" at 3"
        ]
    );
    let outputs = decide(&inputs);
    assert_eq!(
        outputs.len(),
        8,
        "a change and an activity each: {:#?}",
        lines(&outputs)
    );
}

#[test]
fn late_goes_to_the_history_and_equal_times_go_by_log_order() {
    let mut inputs = connected();
    for (offset, time, status) in [
        (0, 5, "A"),
        (1, 4, "D"),
        (2, 5, "P"),
        (3, 6, "P"),
        (4, 5, "Q"),
    ] {
        inputs.push(webhook(
            offset,
            Duration::ZERO,
            relayed("5", T + time, "9", status),
        ));
    }
    assert_eq!(
        statuses(&inputs),
        [
            "\"\" to \"A\" at 5",
            "\"\" to \"D\" at 4, late",
            "\"A\" to \"P\" at 5",
            "\"\" to \"Q\" at 5, late",
        ],
        "that it is P at 6 was not told, but is known"
    );
}

#[test]
fn a_fetch_is_asked_for_each_time_until_a_status_comes() {
    let touch = body(
        "ad_account",
        "5",
        T,
        r#"{"field":"field_changed","value":{"object_id":"9","object_type":"ad","changed_fields":["effective_status"]}}"#,
    );
    let mut inputs = connected();
    inputs.push(webhook(
        0,
        Duration::ZERO,
        relayed("5", T - 1, "9", "ACTIVE"),
    ));
    inputs.push(webhook(1, Duration::ZERO, &touch));
    inputs.push(webhook(2, Duration::ZERO, &touch));
    inputs.push(webhook(
        3,
        Duration::ZERO,
        relayed("5", T + 1, "9", "ACTIVE"),
    ));
    inputs.push(webhook(4, Duration::ZERO, &touch));
    assert_eq!(
        statuses(&inputs),
        [
            "\"\" to \"ACTIVE\" at -1",
            "\"ACTIVE\" to \"\" at 0, fetch",
            "\"ACTIVE\" to \"\" at 0, fetch",
            "\"ACTIVE\" to \"ACTIVE\" at 1",
            "\"\" to \"\" at 0, late, fetch",
        ]
    );
}

#[test]
fn issues_are_raised_once_each_until_they_end() {
    let issue = |time: i64, code: &str| {
        let value = format!(r#"{{"id":"9","level":"AD","error_code":"{code}"}}"#);
        body(
            "ad_account",
            "5",
            T + time,
            &format!(r#"{{"field":"with_issues_ad_objects","value":{value}}}"#),
        )
    };
    let bodies = [
        issue(0, "1"),
        issue(5, "1"),
        issue(4, "2"),
        relayed("5", T + 6, "9", "ACTIVE"),
        issue(5, "3"),
        issue(7, "1"),
    ];
    let mut inputs = connected();
    for (offset, body) in (0..).zip(bodies) {
        inputs.push(webhook(offset, Duration::ZERO, body));
    }
    let said: Vec<String> = lines(&decide(&inputs))
        .into_iter()
        .filter(|line| !line.contains("activity"))
        .collect();
    assert_eq!(
        said,
        [
            "1 status of ad 5/9: \"\" to \"WITH_ISSUES\" at 0, 1",
            "1 issue of ad 5/9: \"1\" \"\" \"\" at 0",
            "1 WARNING of ads/9: Ad 9: it has an issue (error 1) | ",
            "1 issue of ad 5/9: \"2\" \"\" \"\" at 4",
            "1 WARNING of ads/9: Ad 9: it has an issue (error 2) | ",
            "1 status of ad 5/9: \"WITH_ISSUES\" to \"ACTIVE\" at 6",
            "1 INFO of ads/9: Ad 9 is active again | It was WITH_ISSUES.",
            "1 status of ad 5/9: \"\" to \"WITH_ISSUES\" at 5, late, 3",
            "1 status of ad 5/9: \"ACTIVE\" to \"WITH_ISSUES\" at 7, 1",
            "1 issue of ad 5/9: \"1\" \"\" \"\" at 7",
            "1 WARNING of ads/9: Ad 9: it has an issue (error 1) | ",
        ],
        "again at 5: nothing; 2 at 4: late, but the ad still has issues"
    );
}

#[test]
fn an_account_of_two_tenants_is_told_to_both() {
    let inputs = [
        connect(0, Duration::ZERO, ONE, "act_5"),
        connect(1, Duration::ZERO, TWO, "5"),
        webhook(0, Duration::ZERO, relayed("5", T, "9", "PAUSED")),
        webhook(
            1,
            Duration::ZERO,
            body("ad_account", "5", T, r#"{"field":"new"}"#),
        ),
    ];
    let outputs = decide(&inputs);
    let tenants: Vec<TenantId> = outputs.iter().map(|output| output.tenant).collect();
    assert_eq!(tenants, [ONE, ONE, TWO, TWO, ONE, TWO]);
    let mut ids: Vec<_> = outputs.iter().map(id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

#[test]
fn a_thousand_changes_in_one_body_are_applied_in_order() {
    let change = |n: usize| {
        let (ad, status) = (n % 7, ["A", "D"][n / 7 % 2]);
        format!(r#"{{"field":"ad_status","value":{{"ad_id":"{ad}","status":"{status}","n":{n}}}}}"#)
    };
    let changes: Vec<String> = (0..1_000).map(change).collect();
    let mut inputs = connected();
    inputs.push(webhook(
        0,
        Duration::ZERO,
        body("ad_account", "5", T, &changes.join(",")),
    ));
    let outputs = decide(&inputs);
    let changed = outputs.iter().filter_map(|output| match &output.event {
        Event::AdStatusChanged(e) => {
            Some((e.ad_id.clone(), e.old_status.clone(), e.new_status.clone()))
        }
        _ => None,
    });
    let mut known = std::collections::BTreeMap::<String, String>::new();
    let mut count = 0;
    for (ad, old, new) in changed {
        assert_eq!(known.insert(ad, new).unwrap_or_default(), old);
        count += 1;
    }
    assert_eq!(count, 1_000);
}

#[test]
fn more_changes_than_any_sender_sends_are_cut_off_aloud() {
    let change =
        |n: usize| format!(r#"{{"field":"ad_status","value":{{"ad_id":"{n}","status":"A"}}}}"#);
    let changes: Vec<String> = (0..5_100).map(change).collect();
    let mut inputs = connected();
    inputs.push(webhook(
        0,
        Duration::ZERO,
        body("ad_account", "5", T, &changes.join(",")),
    ));
    let outputs = decide(&inputs);
    assert_eq!(outputs.len(), 2 * 5_000 + 1);
    let last = lines(&outputs).pop().unwrap();
    assert!(
        last.ends_with("more than 5000 changes; the rest is passed over"),
        "{last}"
    );
}

#[test]
fn whoever_has_disconnected_is_told_of_what_was_before_and_no_more() {
    let inputs = [
        connect(0, Duration::ZERO, ONE, "5"),
        disconnect(1, HOUR, ONE, "5"),
        webhook(0, HOUR - Duration::SECOND, relayed("5", T, "9", "A")),
        webhook(1, HOUR, relayed("5", T + 1, "9", "B")),
    ];
    assert_eq!(statuses(&inputs), ["\"\" to \"A\" at 0"]);
}

#[test]
fn connections_obey_the_verdict() {
    // The table of compline_event::command, seen by who is told of a webhook.
    let at = Duration::ZERO;
    let hook = || webhook(9, HOUR, relayed("5", T, "9", "A"));
    let on = |offset, request, version| asking(connect(offset, at, ONE, "5"), request, version);
    let off = |offset, request, version| asking(disconnect(offset, at, ONE, "5"), request, version);
    let table = [
        ("stale: never connected", vec![on(0, 1, Some(1))], 0),
        (
            "stale is remembered",
            vec![on(0, 1, Some(1)), on(1, 1, None)],
            0,
        ),
        ("effective", vec![on(0, 1, Some(0))], 1),
        (
            "stale disconnect",
            vec![on(0, 1, None), off(1, 2, Some(0))],
            1,
        ),
        (
            "repeated connect",
            vec![on(0, 1, None), off(1, 2, Some(1)), on(2, 1, None)],
            0,
        ),
        (
            "repeated disconnect",
            vec![
                on(0, 1, None),
                off(1, 2, None),
                on(2, 3, None),
                off(3, 2, None),
            ],
            1,
        ),
        (
            "connecting what is connected counts",
            vec![on(0, 1, None), on(1, 2, None), off(2, 3, Some(2))],
            0,
        ),
    ];
    for (why, mut inputs, told) in table {
        inputs.push(hook());
        assert_eq!(statuses(&inputs).len(), told, "{why}");
    }
}

#[test]
fn a_connection_that_cannot_be_applied_changes_nothing() {
    let mut state = State::default();
    let mut broken = connect(0, Duration::ZERO, ONE, "5");
    broken.envelope.tenant = None;
    let nonsense = connect(1, Duration::ZERO, ONE, "five");
    for input in [broken, nonsense] {
        let mut outputs = Outputs::default();
        assert!(AdEngine.decide(&mut state, &input, &mut outputs).is_err());
    }
    let hook = webhook(0, Duration::ZERO, relayed("5", T, "9", "A"));
    assert_eq!(decide_on(&mut state, &[hook]), []);
}

#[test]
fn our_own_outputs_are_no_news() {
    let own = Event::AccountStatusChanged(AccountStatusChanged {
        ad_account_id: "5".into(),
        new_status: 2,
        ..Default::default()
    });
    let own = record(Topic::Account, 1, Duration::ZERO, Some(ONE), own);
    assert_eq!(decide(&[own]), []);
}

#[test]
fn an_accounts_status_has_a_version_too() {
    let told = |offset: i64, time: i64, status: i32, reason: i32| {
        let change = format!(
            r#"{{"field":"ad_account","value":{{"id":"5","account_status":{status},"disable_reason":{reason}}}}}"#
        );
        webhook(
            offset,
            Duration::ZERO,
            body("application", "1", T + time, &change),
        )
    };
    let mut inputs = connected();
    inputs.extend([
        told(0, 5, 1, 0),
        told(1, 4, 2, 1),
        told(2, 6, 1, 0),
        told(3, 7, 2, 1),
        told(4, 8, 2, 3),
    ]);
    let said: Vec<String> = lines(&decide(&inputs))
        .into_iter()
        .filter(|line| line.starts_with("1 account 5"))
        .collect();
    assert_eq!(
        said,
        [
            "1 account 5: 0 to 1, reason 0 at 5",
            "1 account 5: 0 to 2, reason 1 at 4, late",
            "1 account 5: 1 to 2, reason 1 at 7",
            "1 account 5: 2 to 2, reason 3 at 8",
        ]
    );
}

/// What the decision costs beside the writes that it leads to: some 100,000 changes
/// a second on an idle core; the bound leaves room for a busy machine.
#[test]
#[cfg_attr(debug_assertions, ignore = "measures optimised code")]
fn deciding_is_cheap() {
    let mut inputs = connected();
    inputs.extend((0..100_000).map(|n| {
        let (ad, status) = (n % 5_000, ["ACTIVE", "DISAPPROVED"][n / 5_000 % 2]);
        let n = i64::try_from(n).expect("small");
        let ad = format!("2384920384{ad:04}");
        webhook(n, Duration::ZERO, relayed("5", T + n, &ad, status))
    }));
    let start = std::time::Instant::now();
    let outputs = decide(&inputs);
    let rate = 100_000.0 / start.elapsed().as_secs_f64();
    assert!(outputs.len() > 200_000, "{}", outputs.len());
    println!("{rate:.0} changes a second");
    assert!(rate > 10_000.0, "{rate:.0} changes a second");
}
