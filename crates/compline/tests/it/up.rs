//! The whole street in this process, on throw-away ports: it starts, does what the
//! tools ask, stops, and goes on where it was.

use std::{fs, path::Path, time::Duration};

use compline::{
    client::Client,
    config::PostgresSettings,
    inspect::Inspector,
    lag,
    street::{Found, LockError, Street},
    up::{OwnKey, Stand},
    webhook::{Poster, sample},
};
use compline_api::query::{Ad, ListAdsRequest};
use compline_broker::{Broker, BrokerConfig};
use compline_event::AdAccountId;
use compline_eventlog::{Log, LogConfig};
use time::OffsetDateTime;

use crate::house::{folder, settings, start, start_on, until};

fn key(path: &Path) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}

async fn ads(query: &Client) -> Vec<Ad> {
    let mut ads = query.ads();
    let answer = ads.list_ads(ListAdsRequest::default()).await.unwrap();
    answer.into_inner().ads
}

#[tokio::test(flavor = "multi_thread")]
async fn a_street_starts_works_stops_and_goes_on() {
    let folder = folder();
    let street = Street::at(folder.path().join("data"));
    let running = start(&street).await.unwrap();
    assert!(
        matches!(running.own_key, OwnKey::Made { .. }),
        "the first start makes a tenant"
    );
    assert!(matches!(street.find().unwrap(), Found::Running(_)));
    let error = start(&street).await.unwrap_err();
    assert!(error.is::<LockError>(), "{error:#}");
    let at = running.run_file.addresses.clone();
    let access = running.run_file.database.clone();
    let (shutdown, ended) = (running.shutdown(), tokio::spawn(running.run()));

    let poster = Poster::new(&format!("http://{}", at.ingress), Duration::from_secs(10)).unwrap();
    let account: AdAccountId = sample::ACCOUNT.parse().unwrap();
    let secrets = settings().ingress;
    for sample in sample::ALL {
        let secret = match sample.sender {
            compline::webhook::Sender::Meta => &secrets.meta.app_secrets[0],
            compline::webhook::Sender::Stripe => &secrets.stripe.signing_secrets[0],
        };
        let body = sample.body(&account, OffsetDateTime::now_utc()).unwrap();
        let answer = poster.post(sample.sender, secret.expose(), body).await;
        assert!(answer.unwrap().status.is_success(), "{}", sample.name);
    }
    let api_key = key(&street.api_key_file());
    let query = Client::connect(&format!("http://{}", at.query), &api_key).unwrap();
    until("every sample's ad", async || ads(&query).await.len() == 13).await;

    let database = PostgresSettings::of_street(&access).database().unwrap();
    let mut inspector = Inspector::connect(&database).await.unwrap();
    let log = Log::new(LogConfig::new(&at.kafka)).unwrap();
    until("every reader", async || {
        let checkpoints = inspector.checkpoints().await.unwrap();
        let lags = lag::measure(&log, &checkpoints, OffsetDateTime::now_utc());
        let lags = lags.await.unwrap();
        assert_eq!(lags.len(), 8, "{lags:?}");
        lags.iter().all(|lag| lag.behind == 0)
    })
    .await;
    let counts = inspector.counts().await.unwrap();
    assert_eq!(
        (counts.unrecognized, counts.pending, counts.expired),
        (1, 0, 0)
    );
    assert_eq!((counts.parked_keys, counts.outbox), (0, 0));
    assert!(counts.database_bytes > 0);
    drop((inspector, log));

    let before = ads(&query).await;
    shutdown.begin("the test has seen enough");
    ended.await.unwrap().unwrap();
    assert!(matches!(street.find().unwrap(), Found::NotRunning));

    let again = start(&street).await.unwrap();
    assert_eq!(again.own_key, OwnKey::Kept);
    assert_eq!(key(&street.api_key_file()), api_key);
    let url = format!("http://{}", again.run_file.addresses.query);
    let query = Client::connect(&url, &api_key).unwrap();
    assert_eq!(ads(&query).await, before);
    again.shutdown().begin("the test is over");
    again.run().await.unwrap();

    let other = compline_command::auth::operator_key().reveal();
    fs::write(street.api_key_file(), other).unwrap();
    let refused = start(&street).await.unwrap();
    assert_eq!(refused.own_key, OwnKey::Refused);
    refused.shutdown().begin("the test is over");
    refused.run().await.unwrap();
}

/// The log elsewhere is a broker of a process of its own, as far as the street can tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_street_stands_on_a_log_elsewhere_and_on_no_other() {
    let folder = folder();
    let elsewhere = async |name: &str| {
        let mut config = BrokerConfig::new(folder.path().join(name));
        config.bind.set_port(0);
        Broker::open(config).await.unwrap().start()
    };
    let on = |bootstrap: &str| Stand::Kafka {
        bootstrap: bootstrap.to_owned(),
        replication: None,
    };
    let (one, two) = (elsewhere("one").await, elsewhere("two").await);
    let street = Street::at(folder.path().join("data"));

    let nobody = start_on(&street, on("127.0.0.1:1")).await.unwrap_err();
    let nobody = format!("{nobody:#}");
    assert!(
        nobody.contains("cannot be reached at 127.0.0.1:1"),
        "{nobody}"
    );

    let running = start_on(&street, on(&one.bootstrap())).await.unwrap();
    assert_eq!(running.run_file.addresses.kafka, one.bootstrap());
    assert!(matches!(running.own_key, OwnKey::Made { .. }));
    running.shutdown().begin("the test has seen enough");
    running.run().await.unwrap();

    for other in [on(&two.bootstrap()), Stand::Embedded] {
        let refused = start_on(&street, other).await.unwrap_err();
        let refused = format!("{refused:#}");
        assert!(refused.contains("compline log copy --from"), "{refused}");
        assert!(refused.contains(&one.bootstrap()), "{refused}");
    }
    let again = start_on(&street, on(&one.bootstrap())).await.unwrap();
    assert_eq!(again.own_key, OwnKey::Kept);
    again.shutdown().begin("the test is over");
    again.run().await.unwrap();
    for broker in [one, two] {
        broker.stop().await.unwrap();
    }
}
