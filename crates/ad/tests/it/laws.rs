//! What holds for any input.

use compline_ad::State;
use compline_event::Recorded;
use proptest::prelude::*;
use time::Duration;

use crate::world::*;

/// Sound bodies with a few bytes replaced reach deeper than noise.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let sound = prop_oneof![
        Just(relayed("5", T, "9", "ACTIVE")),
        Just(body(
            "application",
            "1",
            T,
            r#"{"field":"ad_account","value":{"id":"5","account_status":2}}"#
        )),
        Just(body(
            "ad_account",
            "5",
            T,
            r#"{"field":"with_issues_ad_objects","value":{"id":9,"level":"AD","error_code":"1","error_summary":"\u00e4"}}"#
        )),
        Just(format!(
            r#"{{"object":"ad_account","entry":[{{"id":5,"time":{T},"changed_fields":["effective_status"]}}]}}"#
        )),
    ];
    let pieces = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        Just(b"null".to_vec()),
        Just(b"-1e999".to_vec()),
        Just(b"99999999999999999999999".to_vec()),
        Just(br#"\u0000"#.to_vec()),
        Just(b"[{".to_vec()),
        Just(Vec::new()),
    ];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), pieces), 0..4);
    let edited = (sound, edits).prop_map(|(sound, edits)| {
        let mut bytes = sound.into_bytes();
        for (place, piece) in edits {
            let place = place.index(bytes.len());
            bytes.splice(place..=place, piece);
        }
        bytes
    });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..200), 4 => edited]
}

/// A small world in which everything meets everything.
pub(crate) fn inputs() -> impl Strategy<Value = Vec<Recorded>> {
    let hook = (0..3_u8, 0..3_u8, 0..3_u8, 0..6_i64, 0..5_u8).prop_map(|(account, ad, status, time, shape)| {
        let (account, ad) = (format!("5{account}"), format!("9{ad}"));
        let status = ["ACTIVE", "DISAPPROVED", "WITH_ISSUES"][usize::from(status)];
        let time = T + time;
        match shape {
            0 => relayed(&account, time, &ad, status),
            1 => body("ad_account", &account, time, &format!(
                r#"{{"field":"with_issues_ad_objects","value":{{"id":"{ad}","level":"AD","error_code":"{status}"}}}}"#
            )),
            2 => body("ad_account", &account, time, &format!(
                r#"{{"field":"field_changed","value":{{"object_id":"{ad}","changed_fields":["effective_status"]}}}},{{"field":"odd"}}"#
            )),
            3 => body("application", "1", time, &format!(
                r#"{{"field":"ad_account","value":{{"id":"{account}","account_status":{}}}}}"#, status.len()
            )),
            // Two accounts in one body.
            _ => body("ad_account", &account, time, &format!(
                r#"{{"field":"ad_status","value":{{"ad_id":"{ad}","ad_account_id":"50","status":"{status}"}}}},{{"field":"ad_status","value":{{"ad_id":"{ad}","status":"{status}"}}}}"#
            )),
        }
    });
    let command = (
        any::<bool>(),
        any::<bool>(),
        0..3_u8,
        0..12_u128,
        prop::option::weighted(0.2, 0..3_u64),
    );
    let either = prop_oneof![
        3 => hook.prop_map(Ok),
        1 => command.prop_map(Err),
    ];
    let step = (either, 0..20_i64);
    prop::collection::vec(step, 1..60).prop_map(|steps| {
        let mut after = Duration::ZERO;
        let mut inputs = Vec::new();
        for (offset, (what, hours)) in (0..).zip(steps) {
            // Mostly moments, sometimes most of a day.
            after += if hours > 17 {
                Duration::hours(hours)
            } else {
                Duration::seconds(hours)
            };
            inputs.push(match what {
                Ok(body) => webhook(offset, after, body),
                Err((on, first, account, request, version)) => {
                    let tenant = if first { ONE } else { TWO };
                    let account = format!("5{account}");
                    let make = if on { connect } else { disconnect };
                    asking(make(offset, after, tenant, &account), request, version)
                }
            });
        }
        inputs
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bytes_are_an_error(bytes in bytes()) {
        let inputs = [connect(0, Duration::ZERO, ONE, "5"), webhook(0, Duration::ZERO, &bytes)];
        for output in decide(&inputs) {
            let text = format!("{:?}", output.event);
            prop_assert!(!text.contains('\0') && !text.contains(r"\0"), "{text}");
        }
    }

    #[test]
    fn ids_are_unique_and_about_webhooks(inputs in inputs()) {
        let outputs = decide(&inputs);
        let mut ids: Vec<_> = outputs.iter().map(id).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), outputs.len());
    }

    #[test]
    fn a_second_delivery_says_nothing_of_values(inputs in inputs()) {
        let mut state = State::default();
        for input in &inputs {
            decide_on(&mut state, std::slice::from_ref(input));
            let mut again = input.clone();
            again.at.offset.0 += 1_000;
            for line in lines(&decide_on(&mut state, &[again])) {
                let valueless = line.contains("fetch") || line.contains("was not told")
                    || line.contains("had changed before") || line.contains("unrecognized");
                prop_assert!(valueless, "{}", line);
            }
        }
    }
}
