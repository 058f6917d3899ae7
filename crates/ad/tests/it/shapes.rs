//! Every shape of `docs/webhooks.md`, to the letter.

use std::fmt::Write as _;

use time::Duration;

use crate::world::*;

/// What a webhook brings out for a tenant that has just connected account 5.
fn told(body: impl AsRef<[u8]>) -> Vec<String> {
    let inputs = [
        connect(0, Duration::ZERO, ONE, "5"),
        webhook(0, Duration::ZERO, body),
    ];
    lines(&decide(&inputs))
}

#[test]
fn our_relays_status() {
    // As the page of wire facts has it, but for its time.
    let body = format!(
        r#"{{"entry":[{{"id":"123456789","time":{T},"changes":[{{"field":"ad_status","value":{{"ad_id":"23849203842934","ad_account_id":"123456789","status":"DISAPPROVED","old_status":"ACTIVE"}}}}]}}]}}"#
    );
    let inputs = [
        connect(0, Duration::ZERO, ONE, "123456789"),
        webhook(7, Duration::ZERO, &body),
    ];
    let outputs = decide(&inputs);
    assert_eq!(
        lines(&outputs),
        [
            "1 status of ad 123456789/23849203842934: \"ACTIVE\" to \"DISAPPROVED\" at 0",
            "1 activity ad.status_changed of ads/23849203842934: Ad 23849203842934 went from ACTIVE to DISAPPROVED at 0",
            "1 CRITICAL of ads/23849203842934: Ad 23849203842934 was disapproved | It was ACTIVE.",
        ]
    );
    for output in &outputs {
        assert_eq!(output.about, inputs[1].at, "about the raw record");
        assert_eq!(output.causation_id, inputs[1].envelope.event_id);
        assert_eq!(output.correlation_id, Some(inputs[1].envelope.event_id));
        assert_eq!(output.occurred_at, START);
        assert_eq!(output.actor, "engine:ad");
    }
    assert_eq!(outputs[0].slot, format!("{ONE}/0/AdStatusChanged"));
}

#[test]
fn the_relay_may_say_more() {
    let value = r#"{"ad_id":9,"status":"ODD","level":"campaign","reason":"why","placements":["feed"],"new":{"a":[1]}}"#;
    for object in ["", r#""object":"ad_account","#] {
        let body = format!(
            r#"{{{object}"entry":[{{"id":5,"time":"{T}","changes":[{{"field":"ad_status","value":{value}}}]}}]}}"#
        );
        assert_eq!(
            told(body),
            [
                "1 status of campaign 5/9: \"\" to \"ODD\" at 0, why, on [\"feed\"]",
                "1 activity ad.status_changed of ads/9: Campaign 9 is ODD at 0",
            ],
            "the account is the entry's, and an unknown status survives"
        );
    }
}

#[test]
fn a_relay_without_a_status_asks_for_a_look() {
    let body = body(
        "ad_account",
        "5",
        T,
        r#"{"field":"ad_status","value":{"ad_id":"9"}}"#,
    );
    assert_eq!(
        told(body)[0],
        "1 status of ad 5/9: \"\" to \"\" at 0, fetch"
    );
}

const LEVELS: [(&str, &str, &str); 8] = [
    ("AD", "ad", "Ad"),
    ("ad", "ad", "Ad"),
    ("AD_SET", "ad set", "Ad set"),
    ("adset", "ad set", "Ad set"),
    ("CAMPAIGN", "campaign", "Campaign"),
    ("campaign", "campaign", "Campaign"),
    ("CREATIVE", "object", "Ad object"),
    ("account", "account", "Ad account"),
];

#[test]
fn effective_status_at_every_level() {
    for (level, is, name) in LEVELS {
        let change = format!(
            r#"{{"field":"field_changed","value":{{"object_id":"9","object_type":"{level}","changed_fields":["name","effective_status"]}}}}"#
        );
        assert_eq!(
            told(body("ad_account", "5", T, &change)),
            [
                format!("1 status of {is} 5/9: \"\" to \"\" at 0, fetch"),
                format!(
                    "1 activity ad.status_changed of ads/9: {name} 9 changed; to what was not told at 0"
                ),
            ],
            "{level}"
        );
    }
}

#[test]
fn effective_status_of_nobody_knows_what_is_of_the_account() {
    let fields = format!(
        r#"{{"object":"ad_account","entry":[{{"id":"5","time":{T},"changed_fields":["effective_status"]}}]}}"#
    );
    let bodies = [
        fields,
        body("ad_account", "5", T, r#"{"field":"effective_status"}"#),
        body(
            "ad_account",
            "5",
            T,
            r#"{"field":"effective_status","value":null}"#,
        ),
        body(
            "ad_account",
            "5",
            T,
            r#"{"field":"effective_status","value":{}}"#,
        ),
        body(
            "ad_account",
            "act_5",
            T,
            r#"{"field":"in_process_ad_objects"}"#,
        ),
        body(
            "ad_account",
            "5",
            T,
            r#"{"field":"field_changed","changed_fields":["effective_status"]}"#,
        ),
    ];
    for body in bodies {
        assert_eq!(
            told(&body),
            [
                "1 status of account 5/5: \"\" to \"\" at 0, fetch",
                "1 activity ad.status_changed of ads/5: Ad account 5 changed; to what was not told at 0",
            ],
            "{body}"
        );
    }
}

#[test]
fn effective_status_that_names_its_object() {
    let body = body(
        "ad_account",
        "5",
        T,
        r#"{"field":"effective_status","value":{"id":"9","level":"AD"}}"#,
    );
    assert_eq!(
        told(body)[0],
        "1 status of ad 5/9: \"\" to \"\" at 0, fetch"
    );
}

#[test]
fn in_process_at_every_level() {
    for (level, is, name) in LEVELS {
        let change = format!(
            r#"{{"field":"in_process_ad_objects","value":{{"id":9,"level":"{level}","status_name":"Pausiert"}}}}"#
        );
        assert_eq!(
            told(body("ad_account", "5", T, &change)),
            [
                format!("1 status of {is} 5/9: \"\" to \"\" at 0, fetch, Pausiert"),
                format!(
                    "1 activity ad.status_changed of ads/9: {name} 9 left processing; Meta calls it \"Pausiert\" now at 0"
                ),
            ],
            "{level}"
        );
    }
}

#[test]
fn with_issues_at_every_level() {
    for (level, is, name) in LEVELS {
        let change = format!(
            r#"{{"field":"with_issues_ad_objects","value":{{"id":"9","level":"{level}","error_code":"567","error_summary":"sum","error_message":"long"}}}}"#
        );
        assert_eq!(
            told(body("ad_account", "5", T, &change)),
            [
                format!("1 status of {is} 5/9: \"\" to \"WITH_ISSUES\" at 0, 567: sum"),
                format!("1 issue of {is} 5/9: \"567\" \"sum\" \"long\" at 0"),
                format!("1 activity ad.issue_raised of ads/9: {name} 9: sum (error 567) at 0"),
                format!("1 WARNING of ads/9: {name} 9: sum (error 567) | long"),
            ],
            "{level}"
        );
    }
}

#[test]
fn an_issue_without_diagnostics() {
    let body = body(
        "ad_account",
        "5",
        T,
        r#"{"field":"with_issues_ad_objects","value":{"id":"9"}}"#,
    );
    assert_eq!(
        told(body),
        [
            "1 status of object 5/9: \"\" to \"WITH_ISSUES\" at 0",
            "1 issue of object 5/9: \"\" \"\" \"\" at 0",
            "1 activity ad.issue_raised of ads/9: Ad object 9: it has an issue at 0",
            "1 WARNING of ads/9: Ad object 9: it has an issue | ",
        ]
    );
}

#[test]
fn the_status_of_an_account() {
    let value = r#"{"id":"act_5","account_status":"2","disable_reason":1,"business":"77"}"#;
    let change = format!(r#"{{"field":"ad_account","value":{value}}}"#);
    assert_eq!(
        told(body("application", "424242", T, &change)),
        [
            "1 account 5: 0 to 2, reason 1 at 0",
            "1 activity account.status_changed of accounts/5: Ad account 5 is DISABLED at 0",
            "1 CRITICAL of accounts/5: Ad account 5 is DISABLED | Meta gives disable reason 1.",
        ]
    );
}

#[test]
fn what_is_not_known_is_told_and_passed_over() {
    let field = |json: &str| body("ad_account", "5", T, json);
    let table: Vec<(String, &str)> = vec![
        (
            String::new(),
            r#"0 unrecognized meta_webhook "" "" of "": not JSON: EOF while parsing a value at line 1 column 0"#,
        ),
        (
            "[]".into(),
            r#"0 unrecognized meta_webhook "" "" of "": the body is not a JSON object"#,
        ),
        (
            "{}".into(),
            r#"0 unrecognized meta_webhook "" "" of "": entry is not a list"#,
        ),
        (
            r#"{"object":"page","entry":{}}"#.into(),
            r#"0 unrecognized meta_webhook "page" "" of "": entry is not a list"#,
        ),
        (
            r#"{"object":"page","entry":[]}"#.into(),
            r#"0 unrecognized meta_webhook "page" "" of "": entry is empty"#,
        ),
        (
            r#"{"object":7,"entry":[]}"#.into(),
            r#"0 unrecognized meta_webhook "" "" of "": object is not a string"#,
        ),
        (
            r#"{"object":"ad_account","entry":[7]}"#.into(),
            r#"0 unrecognized meta_webhook "ad_account" "" of "": entry is not a JSON object"#,
        ),
        (
            r#"{"object":"ad_account","entry":[{"time":1,"changes":[]}]}"#.into(),
            r#"0 unrecognized meta_webhook "ad_account" "" of "": entry.id is missing, or neither a string nor a number"#,
        ),
        (
            r#"{"object":"ad_account","entry":[{"id":5,"changes":[]}]}"#.into(),
            r#"1 unrecognized meta_webhook "ad_account" "" of "5": entry.time is missing"#,
        ),
        (
            r#"{"object":"ad_account","entry":[{"id":5,"time":"now","changes":[]}]}"#.into(),
            r#"1 unrecognized meta_webhook "ad_account" "" of "5": entry.time is not a time in seconds"#,
        ),
        (
            relayed("5", T + 86_401, "9", "ACTIVE"),
            r#"1 unrecognized meta_webhook "" "" of "5": entry.time lies more than a day ahead"#,
        ),
        (
            r#"{"object":"ad_account","entry":[{"id":5,"time":1}]}"#.into(),
            r#"1 unrecognized meta_webhook "ad_account" "" of "5": entry carries no list of changes"#,
        ),
        (
            r#"{"object":"ad_account","entry":[{"id":5,"time":1,"changes":[]}]}"#.into(),
            r#"1 unrecognized meta_webhook "ad_account" "" of "5": entry carries no changes"#,
        ),
        (
            field("7"),
            r#"1 unrecognized meta_webhook "ad_account" "" of "5": change is not a JSON object"#,
        ),
        (
            field("{}"),
            r#"1 unrecognized meta_webhook "ad_account" "" of "5": change names no field"#,
        ),
        (
            field(r#"{"field":"creative_fatigue","value":{}}"#),
            r#"1 unrecognized meta_webhook "ad_account" "creative_fatigue" of "5": this field of this object is not followed"#,
        ),
        (
            body("page", "5", T, r#"{"field":"ad_status","value":{}}"#),
            r#"1 unrecognized meta_webhook "page" "ad_status" of "5": this field of this object is not followed"#,
        ),
        (
            field(r#"{"field":"ad_status"}"#),
            r#"1 unrecognized meta_webhook "ad_account" "ad_status" of "5": value is missing"#,
        ),
        (
            field(r#"{"field":"ad_status","value":"x"}"#),
            r#"1 unrecognized meta_webhook "ad_account" "ad_status" of "5": value is not a JSON object"#,
        ),
        (
            field(r#"{"field":"ad_status","value":{"status":"A"}}"#),
            r#"1 unrecognized meta_webhook "ad_account" "ad_status" of "5": value.ad_id is missing"#,
        ),
        (
            field(r#"{"field":"ad_status","value":{"ad_id":"a/b","status":"A"}}"#),
            r#"1 unrecognized meta_webhook "ad_account" "ad_status" of "5": value.ad_id is not an id"#,
        ),
        (
            field(r#"{"field":"ad_status","value":{"ad_id":1.5,"status":"A"}}"#),
            r#"1 unrecognized meta_webhook "ad_account" "ad_status" of "5": value.ad_id is not an id"#,
        ),
        (
            field(r#"{"field":"ad_status","value":{"ad_id":9,"status":["A"]}}"#),
            r#"1 unrecognized meta_webhook "ad_account" "ad_status" of "5": value.status is not a string"#,
        ),
        (
            field(r#"{"field":"ad_status","value":{"ad_id":9,"ad_account_id":"x","status":"A"}}"#),
            r#"1 unrecognized meta_webhook "ad_account" "ad_status" of "5": value.ad_account_id is not an ad account's id"#,
        ),
        (
            field(r#"{"field":"field_changed","value":{"object_id":9,"changed_fields":["name"]}}"#),
            r#"1 unrecognized meta_webhook "ad_account" "field_changed" of "5": changes of ["name"] are not followed"#,
        ),
        (
            field(r#"{"field":"with_issues_ad_objects","value":{"id":9,"level":["AD"]}}"#),
            r#"1 unrecognized meta_webhook "ad_account" "with_issues_ad_objects" of "5": value.level is not a string"#,
        ),
        (
            body(
                "application",
                "1",
                T,
                r#"{"field":"ad_account","value":{"id":"5"}}"#,
            ),
            r#"1 unrecognized meta_webhook "application" "ad_account" of "5": value.account_status is missing"#,
        ),
        (
            body(
                "application",
                "1",
                T,
                r#"{"field":"ad_account","value":{"id":"5","account_status":5000000000}}"#,
            ),
            r#"1 unrecognized meta_webhook "application" "ad_account" of "5": value.account_status is not a whole number of 32 bits"#,
        ),
        (
            body(
                "application",
                "5",
                T,
                r#"{"field":"ad_account","value":{"account_status":1}}"#,
            ),
            r#"0 unrecognized meta_webhook "application" "ad_account" of "": value.id is missing"#,
        ),
    ];
    for (body, expected) in table {
        assert_eq!(told(&body), [expected], "{body}");
    }
}

#[test]
fn one_bad_change_spoils_no_other() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let good = r#"{"field":"ad_status","value":{"ad_id":"9","status":"PAUSED"}}"#;
    let mut changes = String::new();
    for bad in [
        r#"{"field":"brand_new","value":{}}"#.to_owned(),
        r#"{"field":"brand_new","value":{"other":1}}"#.to_owned(),
        r#"{"field":"ad_status","value":{"ad_id":"9","status":"\ud800"}}"#.to_owned(),
        format!(
            r#"{{"field":"ad_status","value":{{"ad_id":"9","x":{}}}}}"#,
            nested(200)
        ),
        nested(200_000),
    ] {
        write!(changes, "{bad},").expect("a string takes it");
    }
    changes.push_str(good);
    let lines = told(body("ad_account", "5", T, &changes));
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert!(
        lines[0].contains("brand_new"),
        "told once, not twice: {lines:#?}"
    );
    assert!(lines[1].contains("hex escape"), "{}", lines[1]);
    assert!(
        lines[2].contains("recursion limit exceeded"),
        "{}",
        lines[2]
    );
    assert!(lines[3].contains("65536 at most"), "{}", lines[3]);
    assert_eq!(lines[4], "1 status of ad 5/9: \"\" to \"PAUSED\" at 0");
}

#[test]
fn texts_are_bounded_and_free_of_nul() {
    let long = "ä".repeat(10_000);
    let change = format!(
        r#"{{"field":"with_issues_ad_objects","value":{{"id":"9","level":"AD","error_code":"{long}","error_summary":"a\u0000b","error_message":"{long}"}}}}"#
    );
    let lines = told(body("ad_account", "5", T, &change));
    let text = lines.join("\n");
    assert!(text.len() < 16_000, "{}", text.len());
    assert!(!text.contains('\0') && text.contains("\"ab\""), "{text}");
}
