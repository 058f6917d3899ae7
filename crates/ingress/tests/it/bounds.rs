//! What is refused before anything is appended, so no log is needed.

use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{self, META_SECRETS};
use crate::peer::{addressed, answer, delivery, head, post, post_chunked, send};
use crate::street::{config, within, without_log};

const SIGNATURE: (&str, &str) = (
    "x-hub-signature-256",
    "sha256=0000000000000000000000000000000000000000000000000000000000000000",
);

#[tokio::test]
async fn an_announced_body_over_the_limit_is_refused_unread_and_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _counts = metrics::set_default_local_recorder(&recorder);
    let street = without_log(config()).await;
    let length = ((4 << 20) + 1).to_string();
    let headers = [SIGNATURE, ("content-length", &*length)];
    let request = head("POST", "/webhooks/meta", &headers);
    let answer = send(street.address, &request).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.body, "the body is over the limit");
    let counted = recorder.handle().render();
    let line = r#"ingress_deliveries_total{source="meta",outcome="body_too_large"} 1"#;
    assert!(counted.contains(line), "{counted}");
}

/// Most clients do not listen while they speak.
#[tokio::test]
async fn a_refusal_reaches_a_sender_that_speaks_to_the_end_first() {
    let mut config = config();
    config.http.rate.global_per_second = 2;
    let street = without_log(config).await;
    let large = vec![b' '; 20 << 20];
    for (headers, expected) in [(&[SIGNATURE][..], 413), (&[], 401), (&[], 429)] {
        let mut stream = TcpStream::connect(street.address).await.unwrap();
        let request = post("/webhooks/meta", headers, &large);
        within(stream.write_all(&request)).await.unwrap();
        assert_eq!(answer(&mut stream).await.status, expected);
    }
}

#[tokio::test]
async fn an_unannounced_body_is_cut_at_the_limit() {
    let mut config = config();
    config.http.max_body = 1000;
    let street = without_log(config).await;
    let at_limit = post_chunked(
        "/webhooks/meta",
        &[SIGNATURE],
        &[&[b' '; 500], &[b' '; 500]],
    );
    assert_eq!(send(street.address, &at_limit).await.status, 401);
    let above = post_chunked(
        "/webhooks/meta",
        &[SIGNATURE],
        &[&[b' '; 500], &[b' '; 501]],
    );
    assert_eq!(send(street.address, &above).await.status, 413);
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let mut config = config();
    config.http.body_read_timeout = Duration::from_millis(200);
    let street = without_log(config).await;
    let mut stream = TcpStream::connect(street.address).await.unwrap();
    let headers = [SIGNATURE, ("content-length", "100")];
    let request = head("POST", "/webhooks/meta", &headers);
    stream.write_all(&request).await.unwrap();
    let started = Instant::now();
    let (mut from, mut to) = stream.split();
    let trickle = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if to.write_all(b" ").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut first = [0; 12];
    tokio::select! {
        read = within(from.read_exact(&mut first)) => { read.unwrap(); }
        () = trickle => {}
    }
    assert_eq!(&first, b"HTTP/1.1 408");
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn only_the_vendors_methods_and_paths_are_there() {
    let mut config = config();
    config.stripe.signing_secrets.clear();
    let street = without_log(config).await;
    for (method, path, expected) in [
        ("PUT", "/webhooks/meta", 405),
        ("DELETE", "/webhooks/meta", 405),
        ("POST", "/webhooks/stripe", 404),
        ("POST", "/webhooks/meta/", 404),
        ("POST", "/", 404),
    ] {
        let answer = send(street.address, &head(method, path, &[])).await;
        assert_eq!(answer.status, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_over_the_rate_is_told_to_come_again() {
    let mut config = config();
    config.http.rate.global_per_second = 2;
    let street = without_log(config).await;
    let unsigned = post("/webhooks/meta", &[], b"");
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let answer = send(street.address, &unsigned).await;
        if answer.status == 429 {
            let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=2).contains(&seconds), "{seconds}");
        }
        statuses.push(answer.status);
    }
    assert_eq!(&statuses[..2], [401, 401]);
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_their_places_come_back() {
    let mut config = config();
    config.http.max_connections = 1;
    let street = without_log(config).await;
    let mut first = TcpStream::connect(street.address).await.unwrap();
    // The first byte shows that it was accepted; the rest of the head is kept back.
    first.write_all(b"POST /webhooks").await.unwrap();
    let mut second = TcpStream::connect(street.address).await.unwrap();
    let mut nothing = Vec::new();
    let _ = within(second.read_to_end(&mut nothing)).await;
    assert_eq!(nothing, b"", "the second was closed without a word");
    first
        .write_all(b"/meta HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(answer(&mut first).await.status, 401);
    within(async {
        loop {
            let mut third = TcpStream::connect(street.address).await.unwrap();
            let _ = third.write_all(&post("/webhooks/meta", &[], b"")).await;
            let mut bytes = Vec::new();
            let _ = third.read_to_end(&mut bytes).await;
            if !bytes.is_empty() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn bodies_share_a_bounded_memory_and_give_it_back() {
    let mut config = config();
    config.http.max_body = 1000;
    config.body_memory = 1000;
    let street = without_log(config).await;
    let mut holder = TcpStream::connect(street.address).await.unwrap();
    let headers = [SIGNATURE, ("content-length", "801")];
    let request = [&head("POST", "/webhooks/meta", &headers)[..], &[b' '; 800]].concat();
    holder.write_all(&request).await.unwrap();
    let other = post("/webhooks/meta", &[SIGNATURE], &[b' '; 500]);
    within(async {
        loop {
            let answer = send(street.address, &other).await;
            if answer.status == 503 {
                assert_eq!(answer.header("retry-after"), Some("1"));
                break;
            }
        }
    })
    .await;
    holder.write_all(b" ").await.unwrap();
    assert_eq!(answer(&mut holder).await.status, 401);
    // All of it: what came in the second piece was given back too.
    let whole = post("/webhooks/meta", &[SIGNATURE], &[b' '; 1000]);
    assert_eq!(send(street.address, &whole).await.status, 401);
}

#[tokio::test]
async fn an_unsigned_body_is_not_waited_for() {
    let street = without_log(config()).await;
    for path in ["/webhooks/meta", "/webhooks/stripe"] {
        let request = head("POST", path, &[("content-length", "100")]);
        let answer = send(street.address, &request).await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.body, "the signature header is missing");
    }
}

#[tokio::test]
async fn an_answer_says_why_and_never_what_would_have_been_right() {
    let street = without_log(config()).await;
    let it = fixture::one("meta/escaped.json", META_SECRETS[0]);
    let (path, header) = addressed(it);
    let request = post(path, &[(header, &it.header)], b"another body");
    let answer = send(street.address, &request).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.body,
        "the signature is not of this body under any live secret"
    );
    let mut twice = delivery(it);
    let line = format!("{header}: {}\r\n", it.header);
    let at = twice.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 2;
    twice.splice(at..at, line.into_bytes());
    assert_eq!(send(street.address, &twice).await.status, 401);
}
