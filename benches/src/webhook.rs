//! Row 1: signed webhook → acknowledged.

mod limit;

use std::time::Duration;

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
struct Round {
    per_second: f64,
    latency: Summary,
    /// Of server and broker together, microseconds for each request.
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
        round(address, warm_up).await?;
    }
    let length = Duration::from_secs(setting.choose(5, 2));
    let mut rounds = Vec::new();
    for number in 0..setting.choose(8, 3) {
        eprintln!("webhook: round {}", number + 1);
        // Who begins takes turns as well.
        let pair = if number % 2 == 0 {
            let ours = round(ours, length).await?;
            (ours, round(limit, length).await?)
        } else {
            let limit = round(limit, length).await?;
            (round(ours, length).await?, limit)
        };
        rounds.push(pair);
    }
    stop.cancel();
    own.close().await?;
    Ok(row(&rounds))
}

async fn round(address: std::net::SocketAddr, length: Duration) -> Result<Round> {
    let before = processor_seconds();
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
        processor_us: (processor_seconds() - before) * 1e6 / requests,
    })
}

fn row(rounds: &[(Round, Round)]) -> Row {
    let pairs = |number: fn(&Round) -> f64| -> Vec<(f64, f64)> {
        rounds
            .iter()
            .map(|(ours, limit)| (number(ours), number(limit)))
            .collect()
    };
    let processor = pairs(|round| round.processor_us);
    let p50 = pairs(|round| round.latency.p50_ms);
    let middle = |pairs: &[(f64, f64)]| {
        (
            median(pairs.iter().map(|pair| pair.0)),
            median(pairs.iter().map(|pair| pair.1)),
        )
    };
    let (ours, limit) = middle(&processor);
    let (ours_p50, limit_p50) = middle(&p50);
    Row {
        path: "signed webhook → acknowledged",
        limit: "the same HTTP server doing only HMAC and the same rdkafka send of the body",
        findings: vec![
            Finding::ratio(
                "requests/s",
                &pairs(|round| round.per_second),
                Goal::RatioAtLeast(0.85),
            ),
            Finding::ratio(
                "p99, ms",
                &pairs(|round| round.latency.p99_ms),
                Goal::RatioAtMost(1.5),
            ),
        ],
        notes: vec![
            format!(
                "{CONNECTIONS} connections in a closed loop, bodies of about {BODY_BYTES_ABOUT} bytes"
            ),
            format!("p50: ours {ours_p50:.2} ms, limit {limit_p50:.2} ms"),
            format!(
                "processor time of server and broker: ours {ours:.0} µs a request, limit {limit:.0} µs"
            ),
        ],
    }
}
