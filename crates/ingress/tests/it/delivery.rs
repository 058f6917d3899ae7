//! From a sender's bytes to the log's.

use compline_event::webhook_events::WebhookReceived;
use compline_event::{Event, Recorded, Source, Topic};
use sha2::{Digest, Sha256};

use crate::fixture::{self, META_SECRETS, STRIPE_SECRETS, seconds_after_signing};
use crate::peer::{addressed, delivery, post, post_chunked, send};
use crate::street::{NOW_SECONDS_AFTER_SIGNING, config, whole};

#[tokio::test]
async fn every_signed_body_is_appended_as_it_was_signed() {
    let (street, _embedded) = whole(config()).await;
    for it in fixture::ALL.iter() {
        let answer = send(street.address, &delivery(it)).await;
        assert_eq!((answer.status, &*answer.body), (200, ""), "{}", it.path);
    }
    for (vendor, topic, source) in [
        ("meta", Topic::WebhookMeta, Source::MetaWebhook),
        ("stripe", Topic::WebhookStripe, Source::Stripe),
    ] {
        let records = street.records(topic).await;
        assert_eq!(records.len(), fixture::of(vendor).count());
        for it in fixture::of(vendor) {
            // A body was sent once for each secret; any of the records will do.
            let of_this_body = |r: &&Recorded| webhook(r).body == it.body;
            let record = records.iter().find(of_this_body).unwrap();
            let (key, occurred_after) = expected(&it.path, &it.body);
            assert_eq!(record.key, key, "{}", it.path);
            let envelope = &record.envelope;
            assert_eq!(envelope.tenant, None);
            assert_eq!(envelope.source, source);
            assert_eq!(envelope.event_id.as_uuid().get_version_num(), 7);
            assert_eq!(
                envelope.recorded_at,
                seconds_after_signing(NOW_SECONDS_AFTER_SIGNING)
            );
            assert_eq!(
                envelope.occurred_at,
                seconds_after_signing(occurred_after),
                "{}",
                it.path
            );
            assert!(webhook(record).remote_address.starts_with("127.0.0.1:"));
        }
    }
}

/// The key, and when it happened, in seconds after the fixtures were signed.
fn expected(path: &str, body: &[u8]) -> (String, i64) {
    match path {
        "stripe/subscription.json" => ("sub_1OQ0ABCDEFGHIJKLMNOPQRST".into(), -1),
        "stripe/thin.json" => ("mtr_test_61R9IeP0SgKbYROOx16PEG952GWJ".into(), -1),
        path if path.ends_with(".json") => ("123456789".into(), 0),
        _ => (hex::encode(Sha256::digest(body)), NOW_SECONDS_AFTER_SIGNING),
    }
}

#[tokio::test]
async fn the_headers_that_say_something_are_kept_and_those_that_open_doors_are_not() {
    let (street, _embedded) = whole(config()).await;
    let it = fixture::one("meta/ad-status.json", META_SECRETS[1]);
    let (path, header) = addressed(it);
    let headers = [
        ("user-agent", "facebookplatform/1.0"),
        ("content-type", "text/html; charset=nonsense"),
        ("cookie", "session=secret"),
        ("authorization", "Bearer secret"),
        (header, &it.header),
    ];
    let request = post_chunked(
        path,
        &headers,
        &[&it.body[..7], &it.body[7..50], &it.body[50..]],
    );
    assert_eq!(send(street.address, &request).await.status, 200);
    let records = street.records(Topic::WebhookMeta).await;
    let [record] = &records[..] else {
        panic!("{} records", records.len());
    };
    assert_eq!(webhook(record).body, it.body, "pieces put together");
    let kept: Vec<_> = webhook(record)
        .headers
        .iter()
        .map(|header| (&*header.name, std::str::from_utf8(&header.value).unwrap()))
        .collect();
    let expected = [
        ("content-type", "text/html; charset=nonsense"),
        ("user-agent", "facebookplatform/1.0"),
        (header, &it.header),
    ];
    assert_eq!(kept, expected);
}

#[tokio::test]
async fn nothing_is_appended_without_a_signature_that_holds() {
    let (street, _embedded) = whole(config()).await;
    let mut refused = 0;
    for it in fixture::ALL.iter() {
        let (path, header) = addressed(it);
        let re_encoded = serde_json::from_slice::<serde_json::Value>(&it.body)
            .map(|value| value.to_string().into_bytes())
            .unwrap_or_default();
        let cut = &it.header[..it.header.len() - 1];
        for request in [
            post(path, &[], &it.body),
            post(path, &[(header, cut)], &it.body),
            post(
                path,
                &[(header, &it.header), (header, &it.header)],
                &it.body,
            ),
            post(path, &[("x-hub-signature", &it.header)], &it.body),
            post(
                path,
                &[(header, &it.header)],
                &[&it.body[..], b" "].concat(),
            ),
        ] {
            assert_eq!(
                send(street.address, &request).await.status,
                401,
                "{}",
                it.path
            );
            refused += 1;
        }
        if re_encoded != it.body {
            let request = post(path, &[(header, &it.header)], &re_encoded);
            assert_eq!(
                send(street.address, &request).await.status,
                401,
                "{}",
                it.path
            );
        }
    }
    let old = compline_ingress::signature::stripe::sign(
        STRIPE_SECRETS[0],
        seconds_after_signing(NOW_SECONDS_AFTER_SIGNING - 301),
        b"{}",
    );
    let request = post("/webhooks/stripe", &[("stripe-signature", &old)], b"{}");
    assert_eq!(send(street.address, &request).await.status, 401);
    assert!(refused > 0);
    for topic in [Topic::WebhookMeta, Topic::WebhookStripe] {
        assert_eq!(street.records(topic).await, [], "{topic}");
    }
}

fn webhook(record: &Recorded) -> &WebhookReceived {
    match &record.envelope.event {
        Event::WebhookReceived(webhook) => webhook,
        other => panic!("{}", other.type_name()),
    }
}
