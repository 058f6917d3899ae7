//! A street goes on on a copy of its log, with the same database, as if it had never
//! been another: nothing is lost, nothing doubled, and old tokens are answered.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use compline::{
    street::Street,
    up::Running,
    webhook::{Poster, Sender},
};
use compline_broker::{Broker, BrokerConfig};
use compline_ingress::sample::META_APP_SECRET;
use compline_readmodel::{Role, generation::SCHEMA};
use tokio::task::JoinHandle;

use crate::house::{as_owner, caught_up, folder, log_of, start};

/// A sample account's ad, at a second of its own.
fn webhook(number: u64) -> String {
    let time = 1_703_500_800 + number;
    format!(
        r#"{{"object":"ad_account","entry":[{{"id":"123456789","time":{time},"changes":[{{"field":"ad_status","value":{{"ad_id":"9{number:05}","status":"DISAPPROVED"}}}}]}}]}}"#
    )
}

pub(crate) async fn post(running: &Running, numbers: std::ops::Range<u64>) {
    let url = format!("http://{}", running.run_file.addresses.ingress);
    let poster = Poster::new(&url, Duration::from_secs(30)).unwrap();
    for number in numbers {
        let body = webhook(number);
        let answer = poster
            .post(Sender::Meta, META_APP_SECRET, body.into())
            .await;
        assert_eq!(answer.unwrap().status, 200);
    }
}

/// Ads, their history and the last position in it.
pub(crate) async fn rows(running: &Running) -> (i64, i64, String) {
    let at = &running.run_file;
    let database = as_owner(at).unwrap();
    caught_up(&log_of(at).unwrap(), &database).await.unwrap();
    let pool = database.pool(Role::Owner, SCHEMA, 1);
    let (ads, history): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM ad_status_g1.ad), \
                (SELECT count(*) FROM ad_status_g1.ad_status_history)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    let token: String = sqlx::query_scalar(
        "SELECT 'ad/' || log_partition || '@' || log_offset FROM ad_status_g1.ad_status_history \
         ORDER BY log_partition, log_offset DESC LIMIT 1",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    (ads, history, token)
}

pub(crate) async fn stop(running: Running) {
    let shutdown = running.shutdown();
    let ended: JoinHandle<_> = tokio::spawn(running.run());
    shutdown.begin("the test goes on elsewhere");
    ended.await.unwrap().unwrap();
}

pub(crate) fn compline(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compline"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

#[track_caller]
fn copy(from: &Path, to: &Path) -> String {
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let output = compline(&["log", "copy", "--from", from, "--to", to]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_street_goes_on_on_a_copy_of_its_log() {
    let folder = folder();
    let (data, away) = (folder.path().join("data"), folder.path().join("away"));
    let street = Street::at(&data);
    let running = start(&street).await.unwrap();
    post(&running, 0..60).await;
    let (ads, history, token) = rows(&running).await;
    stop(running).await;

    let said = copy(&data, &away);
    assert!(said.contains("each at its offset"), "{said}");
    fs::rename(data.join("log"), folder.path().join("old")).unwrap();
    copy(&away, &data);

    let running = start(&street).await.unwrap();
    assert_eq!(rows(&running).await, (ads, history, token.clone()));
    let args = ["--data", data.to_str().unwrap(), "ads", "list", "--token"];
    let list = compline(&[&args[..], &[token.as_str(), "--json"]].concat());
    assert!(
        list.status.success(),
        "{}",
        String::from_utf8_lossy(&list.stderr)
    );

    // Half of them were seen before the move.
    post(&running, 30..90).await;
    let (now, _, _) = rows(&running).await;
    assert_eq!(now, ads + 30);
    stop(running).await;

    // The copy is behind now, and the old way round is refused.
    let away = away.to_str().unwrap();
    let refused = compline(&[
        "log",
        "copy",
        "--from",
        away,
        "--to",
        data.to_str().unwrap(),
    ]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("written to after the copy"), "{said}");
}

/// A log that a failed copy had opened is closed as after a stop in order.
#[track_caller]
fn is_clean(data: &Path) {
    let said = compline(&["broker", "inspect", "--json", data.to_str().unwrap()]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("\"clean\":true"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_to_what_is_no_kafka_ends_soon_and_closes_what_it_opened() {
    let folder = folder();
    let (data, other) = (folder.path().join("data"), folder.path().join("other"));
    for data in [&data, &other] {
        fs::create_dir(data).unwrap();
        let broker = Broker::open(on_a_free_port(data)).await.unwrap().start();
        broker.stop().await.unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.read_exact(&mut [0; 22]).unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n").unwrap();
        }
    });
    let data = data.to_str().unwrap();
    for (from, to) in [(data, address.as_str()), (address.as_str(), data)] {
        let began = Instant::now();
        let output = compline(&["log", "copy", "--from", from, "--to", to]);
        let took = began.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("{address}: no broker")), "{said}");
        assert!(said.contains("it speaks HTTP"), "{said}");
        assert!(took < Duration::from_secs(10), "{took:?}");
        is_clean(data.as_ref());
    }

    // Both ends are open when it finds that the source lacks the topics.
    let other = other.to_str().unwrap();
    let output = compline(&["log", "copy", "--from", data, "--to", other]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    is_clean(data.as_ref());
    is_clean(other.as_ref());
}

fn on_a_free_port(data: &Path) -> BrokerConfig {
    let mut config = BrokerConfig::new(data.join("log"));
    config.bind.set_port(0);
    config
}
