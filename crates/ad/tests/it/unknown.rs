//! Webhooks of accounts that nobody has connected yet: for whoever connects alone,
//! the same comes out whichever of the two was read first.

use compline_engine::Output;
use compline_event::Recorded;
use time::Duration;

use crate::world::*;

const HOUR: Duration = Duration::HOUR;

fn in_order_of_id(mut outputs: Vec<Output>) -> Vec<Output> {
    outputs.sort_by_key(id);
    outputs
}

fn bodies() -> [String; 3] {
    let two = r#"{"field":"ad_status","value":{"ad_id":"9","status":"DISAPPROVED","ad_account_id":"5"}},{"field":"brand_new"},{"field":"ad_status","value":{"ad_id":"8","status":"ACTIVE","ad_account_id":"6"}}"#;
    let fields = format!(
        r#"{{"object":"ad_account","entry":[{{"id":"5","time":{},"changed_fields":["effective_status"]}}]}}"#,
        T + 2
    );
    [
        body("ad_account", "5", T, two),
        relayed("5", T + 1, "9", "ACTIVE"),
        fields,
    ]
}

fn webhooks() -> Vec<Recorded> {
    (0..)
        .zip(bodies())
        .map(|(offset, body)| webhook(offset, Duration::ZERO, body))
        .collect()
}

#[test]
fn webhooks_first_or_connection_first_is_the_same() {
    let connection = connect(0, 36 * HOUR, ONE, "5");
    let mut webhooks_first = webhooks();
    webhooks_first.push(connection.clone());
    let mut connection_first = vec![connection];
    connection_first.extend(webhooks());

    let told = in_order_of_id(decide(&webhooks_first));
    assert_eq!(told, in_order_of_id(decide(&connection_first)));
    let of_tenant = told.iter().filter(|output| output.tenant == ONE);
    assert_eq!(of_tenant.count(), 8, "{:#?}", lines(&told));
    assert!(
        told.iter()
            .all(|output| output.about.topic == compline_event::Topic::WebhookMeta)
    );
}

#[test]
fn a_connection_too_late_brings_nothing_in_either_order() {
    let late = connect(0, 36 * HOUR + Duration::SECOND, ONE, "5");
    let hook = webhook(0, Duration::ZERO, relayed("5", T, "9", "ACTIVE"));
    assert_eq!(decide(&[hook.clone(), late.clone()]), []);
    assert_eq!(decide(&[late, hook]), []);
}

#[test]
fn a_stale_connection_brings_nothing() {
    let hook = webhook(0, Duration::ZERO, relayed("5", T, "9", "ACTIVE"));
    let stale = asking(connect(0, HOUR, ONE, "5"), 1, Some(3));
    let real = asking(connect(1, HOUR, ONE, "5"), 2, None);
    assert_eq!(decide(&[hook.clone(), stale.clone()]), []);
    assert_eq!(decide(&[hook, stale, real]).len(), 2);
}

#[test]
fn the_first_who_connects_takes_what_waited() {
    let hook = webhook(0, Duration::ZERO, relayed("5", T, "9", "ACTIVE"));
    let (one, two) = (connect(0, HOUR, ONE, "5"), connect(1, 2 * HOUR, TWO, "5"));
    let waited = decide(&[hook.clone(), one.clone(), two.clone()]);
    assert!(waited.len() == 2 && waited.iter().all(|output| output.tenant == ONE));
    assert_eq!(decide(&[one, two, hook]), waited);
}

#[test]
fn a_duplicate_of_what_waits_is_dropped() {
    let disapproved = relayed("5", T, "9", "DISAPPROVED");
    let inputs = [
        webhook(0, Duration::ZERO, &disapproved),
        webhook(1, HOUR, relayed("5", T + 1, "9", "ACTIVE")),
        webhook(2, HOUR, &disapproved),
        connect(0, 2 * HOUR, ONE, "5"),
    ];
    let said = lines(&decide(&inputs));
    assert!(!said.iter().any(|line| line.contains("late")), "{said:#?}");
}

#[test]
fn unread_parts_of_unknown_accounts_are_the_operators() {
    let said = lines(&decide(&webhooks()));
    assert_eq!(
        said,
        [
            "0 unrecognized meta_webhook \"ad_account\" \"brand_new\" of \"5\": this field of this object is not followed"
        ]
    );
}
