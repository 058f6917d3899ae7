use compline_ad::{AdEngine, State};
use compline_engine::{Engine as _, Outputs};
use compline_event::{
    Event, Topic, account_events::AccountConnected, envelope_proto::Precondition,
    webhook_events::WebhookReceived,
};
use compline_ingress::key;
use compline_testkit::{
    Story,
    fuzz::{fuzz, mutate},
};
use rand::{Rng as _, seq::IndexedRandom as _};

use super::{corpus, files, within};

/// The account that the sample deliveries are of, when it stands in the place of their marks.
const ACCOUNT: &str = "123456789";

const TELLING: &[&[u8]] = &[
    b"null",
    b"-1e999",
    b"99999999999999999999999",
    br#"\u0000"#,
    br#"\ud800"#,
    b"[{",
    b"\"\"",
    b"{\"entry\":[",
    b"\"value\":{}",
    b"\"changes\":[[]]",
    b"\xff",
    b"1e3",
    b"\"id\":\"\\u0041\"",
    b",{\"id\":\"123456789\",\"time\":1767268800,\"changes\":[{\"field\":\"ad_status\"}]}",
];

#[test]
fn webhooks() {
    let samples = files("crates/compline/samples", "json");
    assert!(!samples.is_empty());
    let mut story = Story::new();
    let connected = story.tell(Event::AccountConnected(AccountConnected {
        ad_account_id: ACCOUNT.to_owned(),
        precondition: Some(Precondition {
            request_id: vec![6; 16].into(),
            expected_version: None,
        }),
        ..Default::default()
    }));
    fuzz(&corpus("webhooks"), |rng| {
        let mut body = samples.choose(rng).unwrap().clone();
        mutate(&mut body, TELLING, rng);
        if rng.random_range(0..100) == 0 {
            let at = rng.random_range(0..=body.len());
            let deep = [&b"[{\"a\":"[..], b"[", b"{\"value\":"]
                .choose(rng)
                .unwrap()
                .repeat(20_000);
            body.splice(at..at, deep);
        }

        let most = 64 * body.len() + (64 << 10);
        for placed in [key::of_meta, key::of_stripe] {
            let placed = within(most, || placed(&body));
            assert!((1..=255).contains(&placed.key.len()), "{:?}", placed.key);
        }

        let webhook = Event::WebhookReceived(WebhookReceived {
            body: body.into(),
            ..Default::default()
        });
        let heard = story.clone().hear(Topic::WebhookMeta, "1", webhook);
        let outputs = within(most, || {
            let mut state = State::default();
            let mut outputs = Outputs::default();
            for input in [&connected, &heard, &heard] {
                AdEngine.decide(&mut state, input, &mut outputs).unwrap();
            }
            outputs.into_vec()
        });
        for output in outputs {
            let text = format!("{:?}", output.event);
            assert!(
                !text.contains(r"\0"),
                "Postgres stores no such text: {text}"
            );
        }
    });
}
