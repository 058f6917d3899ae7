//! What does not start, and says why.

use std::time::Duration;

use compline_eventlog::{Log, LogConfig};
use compline_ingress::{Ingress, IngressConfig, IngressError, sample};
use compline_runtime::Secret;
use compline_runtime::config::Layers;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::street::{clock, within};

async fn start(config: IngressConfig) -> Result<Ingress, IngressError> {
    let log = Log::new(LogConfig::new("127.0.0.1:1")).unwrap();
    let appender = log.appender(IngressConfig::default().appender()).unwrap();
    Ingress::new(config, appender, clock())
}

fn real() -> IngressConfig {
    let mut config = IngressConfig::default();
    config.meta.app_secrets = vec![Secret::new("a-real-secret")];
    config
}

fn sampled() -> IngressConfig {
    IngressConfig {
        meta: sample::meta(),
        stripe: sample::stripe(),
        allow_sample_secrets: true,
        ..IngressConfig::default()
    }
}

#[tokio::test]
async fn a_bad_value_is_named_and_a_secret_is_not_shown() {
    type Change = fn(&mut IngressConfig);
    let cases: [(&str, Change); 12] = [
        ("`meta.app_secrets`: found none", |c| {
            c.meta.app_secrets.clear()
        }),
        (
            "`meta.app_secrets`: found none, expected at least one, as there are meta.verify_tokens",
            |c| {
                c.meta.app_secrets.clear();
                c.meta.verify_tokens.push(Secret::new("hunter2"));
                c.stripe.signing_secrets.push(Secret::new("hunter2"));
            },
        ),
        ("`meta.app_secrets`: found an empty one", |c| {
            c.meta.app_secrets.push(Secret::new(""));
        }),
        (
            "`meta.verify_tokens`: found one that begins or ends with white space",
            |c| {
                c.meta.verify_tokens.push(Secret::new("hunter2\n"));
            },
        ),
        (
            "`stripe.signing_secrets`: found a documented sample, without",
            |c| {
                c.stripe = sample::stripe();
            },
        ),
        ("`http.max_body`: found 8MiB", |c| c.http.max_body = 8 << 20),
        ("`http.max_connections`: found 0", |c| {
            c.http.max_connections = 0
        }),
        ("`body_memory`: found 1MiB, expected 4MiB to", |c| {
            c.body_memory = 1 << 20
        }),
        ("`http.drain`: found 9s, expected at least 10s", |c| {
            c.http.drain = Duration::from_secs(9)
        }),
        ("`delivery_timeout`: found 0s, expected 100ms to", |c| {
            c.delivery_timeout = Duration::ZERO
        }),
        ("`linger`: found 1m, expected 0s to 1s", |c| {
            c.linger = Duration::from_secs(60)
        }),
        (
            "`meta.app_secrets`: found a documented sample, with http.listen = 0.0.0.0:80",
            |c| {
                c.meta = sample::meta();
                c.allow_sample_secrets = true;
                c.http.listen = "0.0.0.0:80".parse().unwrap();
            },
        ),
    ];
    assert!(start(real()).await.is_ok());
    for (expected, change) in cases {
        let mut config = real();
        change(&mut config);
        let shown = format!("{config:?}");
        let error = start(config).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        for secret in ["hunter2", "a-real-secret", sample::META_APP_SECRET] {
            assert!(
                !error.contains(secret) && !shown.contains(secret),
                "{error} {shown}"
            );
        }
    }
}

#[tokio::test]
async fn the_sample_secrets_serve_on_loopback_alone() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let mut config = sampled();
        config.http.listen = address.parse().unwrap();
        assert!(start(config).await.is_ok(), "{address}");
    }
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let ingress = start(sampled()).await.unwrap();
    let serving = ingress.serve(listener, CancellationToken::new());
    let error = within(serving).await.unwrap_err();
    assert!(
        matches!(error, IngressError::SampleSecret { .. }),
        "{error}"
    );
}

#[test]
fn settings_are_read_from_a_file_and_the_environment() {
    let file = r#"
        delivery_timeout = "3s"
        body_memory = "64MiB"
        [http]
        listen = "127.0.0.1:9000"
        max_connections = 7
        [meta]
        app_secrets = ["one", "two"]
    "#;
    let env = [("COMPLINE_STRIPE__SIGNING_SECRETS", r#"["whsec_1"]"#)];
    let env = env.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let layers = Layers::new().defaults(file).env_from("COMPLINE", env);
    let config: IngressConfig = layers.load().unwrap();
    assert_eq!(config.appender().delivery_timeout.unwrap().as_secs(), 3);
    assert_eq!(
        (config.body_memory, config.http.max_connections),
        (64 << 20, 7)
    );
    assert_eq!(config.meta.app_secrets[1].expose(), "two");
    assert_eq!(config.stripe.signing_secrets[0].expose(), "whsec_1");
    let unknown = Layers::new()
        .defaults("[meta]\napp_secret = 'x'")
        .load::<IngressConfig>();
    assert!(unknown.unwrap_err().to_string().contains("app_secret"));
}
