//! The HTTP door's bounds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use compline_runtime::bind;
use compline_runtime::http::{HttpConfig, RawBody, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Door {
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
    /// Told when a handler that takes its time has begun.
    begun: Arc<Notify>,
}

async fn open(config: HttpConfig) -> Door {
    let begun = Arc::new(Notify::new());
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route(
            "/slow",
            get(|State(begun): State<Arc<Notify>>| async move {
                begun.notify_one();
                tokio::time::sleep(Duration::from_millis(300)).await;
                "slow hello"
            }),
        )
        .route(
            "/stuck",
            get(|State(begun): State<Arc<Notify>>| async move {
                begun.notify_one();
                std::future::pending::<()>().await;
            }),
        )
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("oh no")
                }
            }),
        )
        .route(
            "/body",
            post(|RawBody(body): RawBody| async move { body.len().to_string() }),
        )
        .route(
            "/out",
            post(|RawBody(_): RawBody| async { StatusCode::SERVICE_UNAVAILABLE }),
        )
        .with_state(begun.clone());
    let listener = bind("test", config.listen).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let token = stop.clone();
    let served = tokio::spawn(async move {
        serve("test", listener, router, &config, token)
            .await
            .unwrap();
    });
    Door {
        address,
        stop,
        served,
        begun,
    }
}

/// Sends `request` as it is and reads all that comes until the peer closes.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset also ends what came before it.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn it_answers_and_survives_a_panic() {
    let door = open(HttpConfig::default()).await;
    assert!(
        exchange(door.address, &request("/"))
            .await
            .ends_with("hello")
    );
    assert!(
        exchange(door.address, &request("/panic"))
            .await
            .starts_with("HTTP/1.1 500")
    );
    assert!(
        exchange(door.address, &request("/"))
            .await
            .ends_with("hello")
    );
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_places_come_back() {
    let door = open(HttpConfig {
        max_connections: 2,
        ..HttpConfig::default()
    })
    .await;
    let first = TcpStream::connect(door.address).await.unwrap();
    let _second = TcpStream::connect(door.address).await.unwrap();
    assert_eq!(exchange(door.address, &request("/")).await, "");
    drop(first);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !exchange(door.address, &request("/"))
        .await
        .ends_with("hello")
    {
        assert!(Instant::now() < deadline, "its place did not come back");
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_or_little_loses_its_place() {
    let config = HttpConfig {
        header_read_timeout: Duration::from_millis(200),
        ..HttpConfig::default()
    };
    let door = open(config).await;
    for said in ["", "P", "PRI * HT", "GET / HTTP/1.1\r\nhost:"] {
        let started = Instant::now();
        exchange(door.address, said).await;
        let waited = started.elapsed();
        assert!(
            waited >= Duration::from_millis(150),
            "{said:?} was cut at once"
        );
        assert!(
            waited < Duration::from_secs(3),
            "{said:?} kept its place for {waited:?}"
        );
    }
}

#[tokio::test]
async fn bodies_are_bounded_in_size_and_time() {
    let door = open(HttpConfig {
        max_body: 3_000_000,
        body_read_timeout: Duration::from_millis(300),
        ..HttpConfig::default()
    })
    .await;
    let post = |length: usize, body: &str| {
        format!(
            "POST /body HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    // Above axum's own 2 MB.
    let large = "x".repeat(2_500_000);
    assert!(
        exchange(door.address, &post(large.len(), &large))
            .await
            .ends_with("2500000")
    );
    let told = exchange(door.address, &post(3_000_001, "x")).await;
    assert!(told.starts_with("HTTP/1.1 413"), "{told}");
    let chunked = format!(
        "POST /body HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
         2DC6C1\r\n{}\r\n0\r\n\r\n",
        "x".repeat(3_000_001)
    );
    let found = exchange(door.address, &chunked).await;
    assert!(
        found.starts_with("HTTP/1.1 413"),
        "{}",
        &found[..found.len().min(200)]
    );

    // Whoever speaks to the end before it listens hears the answer too.
    let unread = post(20_000_000, &"x".repeat(20_000_000));
    let told = exchange(door.address, &unread).await;
    assert!(told.starts_with("HTTP/1.1 413"), "{told}");

    // One byte now and then resets an idle time-out, but not this one.
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    stream.write_all(post(1000, "").as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let trickle = tokio::spawn(async move {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = [0; 12];
    let heard = tokio::time::timeout(Duration::from_secs(3), read.read_exact(&mut answer)).await;
    heard.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    trickle.abort();
}

#[tokio::test]
async fn rates_are_limited_with_retry_after() {
    for per_ip in [true, false] {
        let mut config = HttpConfig::default();
        match per_ip {
            true => config.rate.per_ip_per_second = 3,
            false => config.rate.global_per_second = 3,
        }
        let door = open(config).await;
        let mut refused = 0;
        for _ in 0..6 {
            let answer = exchange(door.address, &request("/")).await;
            if answer.starts_with("HTTP/1.1 429") {
                assert!(answer.contains("retry-after: 1"), "{answer}");
                refused += 1;
            }
        }
        // One comes free each third of a second, should this take that long.
        assert!((1..=3).contains(&refused), "{refused} of 6 were refused");
    }
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_takes_no_more() {
    let door = open(HttpConfig::default()).await;
    let address = door.address;
    let slow = tokio::spawn(async move { exchange(address, &request("/slow")).await });
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    door.begun.notified().await;
    let started = Instant::now();
    door.stop.cancel();
    door.served.await.unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "an idle connection does not hold it up"
    );
    assert!(slow.await.unwrap().ends_with("slow hello"));
    assert!(TcpStream::connect(address).await.is_err());
}

/// Who was refused and neither goes on nor hangs up is not waited for at a stop.
#[tokio::test]
async fn a_refused_sender_does_not_hold_up_a_drain() {
    let door = open(HttpConfig {
        drain: Duration::from_millis(200),
        ..HttpConfig::default()
    })
    .await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let request = "POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\nx";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"));
    let cut = Instant::now();
    door.stop.cancel();
    tokio::time::timeout(Duration::from_secs(2), door.served)
        .await
        .unwrap()
        .unwrap();
    assert!(
        cut.elapsed() >= Duration::from_millis(150),
        "it was heard out until then"
    );
}

/// Who was heard to the end and then refused keeps its connection, which holds up nothing; who was
/// not is told to hang up.
#[tokio::test]
async fn only_unread_bodies_are_heard_out() {
    let door = open(HttpConfig::default()).await;
    let mut kept = TcpStream::connect(door.address).await.unwrap();
    let bodies = [
        "content-length: 4\r\n\r\nbody",
        "transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ];
    for body in bodies {
        let request = format!("POST /out HTTP/1.1\r\nhost: x\r\n{body}");
        kept.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 1024];
        let read = kept.read(&mut answer).await.unwrap();
        let answer = str::from_utf8(&answer[..read]).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    let unread = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody";
    let told = exchange(door.address, unread).await;
    assert!(told.starts_with("HTTP/1.1 405"), "{told}");
    assert!(told.contains("connection: close"), "{told}");

    let stopped = Instant::now();
    door.stop.cancel();
    door.served.await.unwrap();
    let took = stopped.elapsed();
    assert!(took < Duration::from_secs(2), "it was held up for {took:?}");
    assert_eq!(kept.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_drain_ends() {
    let door = open(HttpConfig {
        drain: Duration::from_millis(200),
        ..HttpConfig::default()
    })
    .await;
    let address = door.address;
    let stuck = tokio::spawn(async move { exchange(address, &request("/stuck")).await });
    door.begun.notified().await;
    door.stop.cancel();
    tokio::time::timeout(Duration::from_secs(2), door.served)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stuck.await.unwrap(), "");
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let taken = bind("first", SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind("second", address).await.unwrap_err().to_string();
    assert!(
        error.contains("second") && error.contains(&address.to_string()),
        "{error}"
    );
}
