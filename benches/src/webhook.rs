//! Row 1: signed webhook → acknowledged.

mod limit;

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    Setting,
    client::{self, BODY_BYTES_ABOUT, Flood},
    house::{self, OwnLog},
    measure::{Summary, median, processor_seconds},
    report::{Finding, Goal, Row},
    street,
};

const CONNECTIONS: usize = 64;

/// One side of one round.
pub(crate) struct Round {
    per_second: f64,
    pub(crate) latency: Summary,
    /// Of all that serves, microseconds for each request.
    processor_us: f64,
}

pub(crate) async fn measure(setting: &Setting) -> Result<Row> {
    let folder = house::folder(&setting.folder)?;
    let own = OwnLog::open(&folder).await?;
    let stop = CancellationToken::new();

    let (ours, listener) = street::listen().await?;
    let ingress = street::ingress(&own.log)?;
    let _ours = AbortOnDropHandle::new(tokio::spawn(ingress.serve(listener, stop.clone())));
    let (limit, listener) = street::listen().await?;
    let _limit = AbortOnDropHandle::new(limit::serve(&own, listener, stop.clone())?);

    let warm_up = Duration::from_secs(setting.choose(2, 1));
    for address in [ours, limit] {
        round(address, warm_up, processor_seconds).await?;
    }
    let length = Duration::from_secs(setting.choose(5, 2));
    let mut rounds = Vec::new();
    for number in 0..setting.choose(8, 3) {
        eprintln!("webhook: round {}", number + 1);
        // Who begins takes turns as well.
        let pair = if number % 2 == 0 {
            let ours = round(ours, length, processor_seconds).await?;
            (ours, round(limit, length, processor_seconds).await?)
        } else {
            let limit = round(limit, length, processor_seconds).await?;
            (round(ours, length, processor_seconds).await?, limit)
        };
        rounds.push(pair);
    }
    stop.cancel();
    own.close().await?;
    Ok(row(&rounds))
}

/// `processor` is what those who serve there have used so far.
pub(crate) async fn round(
    address: SocketAddr,
    length: Duration,
    processor: impl Fn() -> f64,
) -> Result<Round> {
    let before = processor();
    let flooded = client::ask(Flood {
        address,
        connections: CONNECTIONS,
        length,
    })
    .await?;
    #[allow(clippy::cast_precision_loss)]
    let requests = flooded.latency.count as f64;
    Ok(Round {
        per_second: flooded.per_second,
        latency: flooded.latency,
        processor_us: (processor() - before) * 1e6 / requests,
    })
}

fn row(rounds: &[(Round, Round)]) -> Row {
    Row {
        path: "signed webhook → acknowledged",
        limit: "the same HTTP server doing only HMAC and the same rdkafka send of the body",
        findings: findings(rounds, Goal::RatioAtLeast(0.85), Goal::RatioAtMost(1.5)),
        notes: notes(rounds, "limit"),
    }
}

pub(crate) fn findings(rounds: &[(Round, Round)], speed: Goal, p99: Goal) -> Vec<Finding> {
    vec![
        Finding::ratio(
            "requests/s",
            &pairs(rounds, |round| round.per_second),
            speed,
        ),
        Finding::ratio("p99, ms", &pairs(rounds, |round| round.latency.p99_ms), p99),
    ]
}

pub(crate) fn notes(rounds: &[(Round, Round)], limit: &str) -> Vec<String> {
    let middle = |pairs: &[(f64, f64)]| {
        (
            median(pairs.iter().map(|pair| pair.0)),
            median(pairs.iter().map(|pair| pair.1)),
        )
    };
    let (ours_p50, limit_p50) = middle(&pairs(rounds, |round| round.latency.p50_ms));
    let (ours_us, limit_us) = middle(&pairs(rounds, |round| round.processor_us));
    vec![
        format!(
            "{CONNECTIONS} connections in a closed loop, bodies of about {BODY_BYTES_ABOUT} bytes"
        ),
        format!("p50: ours {ours_p50:.2} ms, {limit} {limit_p50:.2} ms"),
        format!(
            "processor time of server and broker: ours {ours_us:.0} µs a request, \
             {limit} {limit_us:.0} µs"
        ),
    ]
}

fn pairs(rounds: &[(Round, Round)], number: fn(&Round) -> f64) -> Vec<(f64, f64)> {
    rounds
        .iter()
        .map(|(ours, limit)| (number(ours), number(limit)))
        .collect()
}
