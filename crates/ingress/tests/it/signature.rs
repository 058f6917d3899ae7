//! The checks alone, against Octokit's, Stripe's and OpenSSL's signatures.

use compline_ingress::signature::{Keys, Refused, meta, stripe};
use compline_runtime::Secret;

use crate::fixture::{self, META_SECRETS, SIGNED_AT, STRIPE_SECRETS, seconds_after_signing};

const BODY: &str = "meta/escaped.json";
const EVENT: &str = "stripe/subscription.json";

fn keys(secrets: &[&str]) -> Keys {
    Keys::new(&secrets.iter().map(|s| Secret::new(*s)).collect::<Vec<_>>())
}

fn meta_says(secrets: &[&str], headers: &[&str], body: &[u8]) -> Result<(), Refused> {
    meta::verify(&keys(secrets), headers.iter().map(|h| h.as_bytes()), body)
}

fn stripe_says(secrets: &[&str], headers: &[&str], body: &[u8], age: i64) -> Result<(), Refused> {
    let now = seconds_after_signing(age);
    let headers = headers.iter().map(|h| h.as_bytes());
    stripe::verify(&keys(secrets), headers, body, now)
}

#[test]
fn every_signature_of_the_vendors_tools_holds_and_ours_are_the_same() {
    for it in fixture::of("meta") {
        assert_eq!(
            meta_says(&[&it.secret], &[&it.header], &it.body),
            Ok(()),
            "{}",
            it.path
        );
        assert_eq!(
            meta::sign(&it.secret, &it.body),
            it.header,
            "{} by {}",
            it.path,
            it.signer
        );
    }
    for it in fixture::of("stripe") {
        let said = stripe_says(&[&it.secret], &[&it.header], &it.body, 0);
        assert_eq!(said, Ok(()), "{}", it.path);
        let ours = stripe::sign(&it.secret, seconds_after_signing(0), &it.body);
        assert_eq!(ours, it.header, "{} by {}", it.path, it.signer);
    }
}

#[test]
fn none_holds_over_another_body_or_under_another_secret() {
    for it in fixture::of("meta") {
        let others: Vec<_> = META_SECRETS
            .into_iter()
            .filter(|s| *s != it.secret)
            .collect();
        let said = meta_says(&others, &[&it.header], &it.body);
        assert_eq!(said, Err(Refused::Mismatch), "{}", it.path);
        for body in altered(&it.body) {
            let said = meta_says(&[&it.secret], &[&it.header], &body);
            assert_eq!(said, Err(Refused::Mismatch), "{}", it.path);
        }
    }
    for it in fixture::of("stripe") {
        let others: Vec<_> = STRIPE_SECRETS
            .into_iter()
            .filter(|s| *s != it.secret)
            .collect();
        let said = stripe_says(&others, &[&it.header], &it.body, 0);
        assert_eq!(said, Err(Refused::Mismatch), "{}", it.path);
        for body in altered(&it.body) {
            let said = stripe_says(&[&it.secret], &[&it.header], &body, 0);
            assert_eq!(said, Err(Refused::Mismatch), "{}", it.path);
        }
    }
}

/// One byte more, one less, one other.
fn altered(body: &[u8]) -> Vec<Vec<u8>> {
    let mut altered = vec![[body, b"\n"].concat()];
    if let Some((last, rest)) = body.split_last() {
        altered.push(rest.to_vec());
        altered.push([rest, &[last ^ 1]].concat());
    }
    altered
}

#[test]
fn a_body_that_was_parsed_and_written_again_is_another() {
    let mut changed = 0;
    for it in fixture::ALL.iter() {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(&it.body) else {
            continue;
        };
        let again = serde_json::to_vec(&value).unwrap();
        if again == it.body {
            continue;
        }
        changed += 1;
        let said = match it.path.starts_with("meta") {
            true => meta_says(&[&it.secret], &[&it.header], &again),
            false => stripe_says(&[&it.secret], &[&it.header], &again, 0),
        };
        assert_eq!(said, Err(Refused::Mismatch), "{}", it.path);
    }
    assert!(changed >= 10, "only {changed} bodies were changed by it");
}

#[test]
fn any_live_secret_will_do() {
    for it in fixture::of("meta") {
        assert_eq!(meta_says(&META_SECRETS, &[&it.header], &it.body), Ok(()));
    }
    for it in fixture::of("stripe") {
        assert_eq!(
            stripe_says(&STRIPE_SECRETS, &[&it.header], &it.body, 0),
            Ok(())
        );
    }
}

#[test]
fn without_a_live_secret_nothing_holds() {
    let it = fixture::one(BODY, META_SECRETS[0]);
    assert_eq!(
        meta_says(&[], &[&it.header], &it.body),
        Err(Refused::Mismatch)
    );
}

#[test]
fn metas_header_reads_one_way_only() {
    let it = fixture::one(BODY, META_SECRETS[0]);
    let hex = it.header.strip_prefix("sha256=").unwrap();
    let upper = format!("sha256={}", hex.to_uppercase());
    let cases: &[(&[&str], Result<(), Refused>)] = &[
        (&[&it.header], Ok(())),
        (&[&upper], Ok(())),
        (&[], Err(Refused::Missing)),
        (&[&it.header, &it.header], Err(Refused::Repeated)),
        (&[""], Err(Refused::Malformed)),
        (&["sha256="], Err(Refused::Malformed)),
        (&[hex], Err(Refused::Malformed)),
        (
            &[&it.header[..it.header.len() - 1]],
            Err(Refused::Malformed),
        ),
        (
            &[&it.header[..it.header.len() - 2]],
            Err(Refused::Malformed),
        ),
        (&[&format!("{}00", it.header)], Err(Refused::Malformed)),
        (&[&format!("{} ", it.header)], Err(Refused::Malformed)),
        (&[&format!("SHA256={hex}")], Err(Refused::Malformed)),
        (&[&format!("sha1={}", &hex[..40])], Err(Refused::Malformed)),
        (&[&format!("sha1={hex}")], Err(Refused::Malformed)),
        (
            &[&format!("sha256={}", "zz".repeat(32))],
            Err(Refused::Malformed),
        ),
        (
            &[&format!("sha256={}", "00".repeat(32))],
            Err(Refused::Mismatch),
        ),
    ];
    for (headers, expected) in cases {
        assert_eq!(
            meta_says(&[&it.secret], headers, &it.body),
            *expected,
            "{headers:?}"
        );
    }
}

#[test]
fn stripes_header_may_carry_several_signatures() {
    let it = fixture::one(EVENT, STRIPE_SECRETS[0]);
    let next = fixture::one(EVENT, STRIPE_SECRETS[1]);
    let (t, v1) = it.header.split_once(',').unwrap();
    let (_, next_v1) = next.header.split_once(',').unwrap();
    let v0 = v1.replace("v1=", "v0=");
    let nonsense = format!("v1={}", "00".repeat(32));
    let cut = &v1[..v1.len() - 2];
    let cases: &[(String, Result<(), Refused>)] = &[
        (format!("{t},{v1},{next_v1}"), Ok(())),
        (format!("{t},{next_v1},{v1}"), Ok(())),
        (format!("{v1},{t}"), Ok(())),
        (format!("{t},{nonsense},{v1},v0=junk,v2=junk,"), Ok(())),
        (format!("{t},{cut},{v1}"), Ok(())),
        (
            format!("{t},{}", v1.to_uppercase().replace("V1=", "v1=")),
            Ok(()),
        ),
        (format!("{t},{next_v1}"), Err(Refused::Mismatch)),
        (format!("{t},{cut}"), Err(Refused::Mismatch)),
        (format!("t={},{v1}", SIGNED_AT + 1), Err(Refused::Mismatch)),
        (format!("t=0{SIGNED_AT},{v1}"), Err(Refused::Mismatch)),
        (format!("{t},{v0}"), Err(Refused::Malformed)),
        (t.to_owned(), Err(Refused::Malformed)),
        (v1.to_owned(), Err(Refused::Malformed)),
        (format!("t=,{v1}"), Err(Refused::Malformed)),
        (format!("t=-1,{v1}"), Err(Refused::Malformed)),
        (format!("t=+{SIGNED_AT},{v1}"), Err(Refused::Malformed)),
        (
            format!("t=99999999999999999999,{v1}"),
            Err(Refused::Malformed),
        ),
        (format!("{t},{t},{v1}"), Err(Refused::Malformed)),
        (String::new(), Err(Refused::Malformed)),
    ];
    for (header, expected) in cases {
        let said = stripe_says(&STRIPE_SECRETS[..1], &[header], &it.body, 0);
        assert_eq!(said, *expected, "{header}");
    }
    let twice = stripe_says(&STRIPE_SECRETS, &[&it.header, &next.header], &it.body, 0);
    assert_eq!(twice, Err(Refused::Repeated));
    assert_eq!(
        stripe_says(&STRIPE_SECRETS, &[], &it.body, 0),
        Err(Refused::Missing)
    );
}

#[test]
fn stripes_signature_grows_old_and_is_never_too_young() {
    let it = fixture::one(EVENT, STRIPE_SECRETS[0]);
    for (age_seconds, expected) in [
        (300, Ok(())),
        (301, Err(Refused::Expired)),
        (-86_400, Ok(())),
    ] {
        let said = stripe_says(&STRIPE_SECRETS, &[&it.header], &it.body, age_seconds);
        assert_eq!(said, expected, "{age_seconds} s");
    }
    let (t, _) = it.header.split_once(',').unwrap();
    let forged = format!("{t},v1={}", "00".repeat(32));
    let said = stripe_says(&STRIPE_SECRETS, &[&forged], &it.body, 301);
    assert_eq!(
        said,
        Err(Refused::Mismatch),
        "a forger learns nothing of our clock"
    );
}
