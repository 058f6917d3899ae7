//! The embedded log beside Apache Kafka with one node, and beside itself without syncs.

mod node;
mod syncs;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

pub(crate) use node::{Durability, Node, free_port, serve};

use crate::{
    Setting,
    client::{self, LogLoad, LogLoaded, RECORD_BYTES},
    house,
    measure::{Summary, median},
    report::{Finding, Goal, Row},
    script,
};

/// Prints the folder with Kafka's jars.
pub(crate) const KAFKA: &str = "../dev/kafka-tools/jars";

const PER_SECOND: u32 = 1_000;

/// A log and what was measured of it.
struct Side {
    node: Node,
    rounds: Vec<LogLoaded>,
}

impl Side {
    fn of(node: Node) -> Self {
        Side {
            node,
            rounds: Vec::new(),
        }
    }

    async fn round(&self, setting: &Setting) -> Result<LogLoaded> {
        let records = setting.choose(1_000_000, 50_000);
        self.load(records, setting.choose(8, 2)).await
    }

    async fn load(&self, records: u32, seconds: u64) -> Result<LogLoaded> {
        client::ask(LogLoad {
            bootstrap: self.node.bootstrap.clone(),
            records,
            per_second: PER_SECOND,
            length: Duration::from_secs(seconds),
        })
        .await
    }
}

/// Rows 1 and 2: beside Kafka, neither syncing and both.
pub(crate) async fn beside_kafka(setting: &Setting) -> Result<Vec<Row>> {
    let jars = script::folder_from(KAFKA, &[]).await?;
    let mut rows = Vec::new();
    for durability in [Durability::Relaxed, Durability::Synced] {
        let folder = house::folder(&setting.folder)?;
        let (mut ours, mut starts) = (None, Vec::new());
        let mut kafka = None;
        for number in 0..setting.choose(3, 1) {
            let at = |who| folder.path().join(format!("{who}-{number}"));
            let own = Node::embedded(&at("embedded"), durability).await?;
            let peer = Node::kafka(&jars, &at("kafka"), durability).await?;
            starts.push((own.start.as_secs_f64(), peer.start.as_secs_f64()));
            // The last pair is the one that is measured.
            for before in [ours.replace(own), kafka.replace(peer)]
                .into_iter()
                .flatten()
            {
                before.stop().await?;
            }
        }
        let ours = Side::of(ours.context("a round")?);
        let kafka = Side::of(kafka.context("a round")?);
        let (ours, kafka) = take_turns(setting, "log beside Kafka", ours, kafka).await?;
        rows.push(row(durability, &starts, &ours, &kafka)?);
        ours.node.stop().await?;
        kafka.node.stop().await?;
    }
    Ok(rows)
}

/// Row 3: what syncing before each acknowledgement costs.
pub(crate) async fn group_commit(setting: &Setting) -> Result<Row> {
    let folder: TempDir = house::folder(&setting.folder)?;
    let at = |who| folder.path().join(who);
    let synced = Node::embedded(&at("synced"), Durability::Synced).await?;
    let relaxed = Node::embedded(&at("relaxed"), Durability::Relaxed).await?;
    let mut disk = Vec::new();
    let length = Duration::from_secs(setting.choose(5, 1));
    let look = |folder: PathBuf| {
        tokio::task::spawn_blocking(move || syncs::measure(&folder, PER_SECOND, length))
    };
    disk.push(look(folder.path().to_owned()).await??);
    let (synced, relaxed) =
        take_turns(setting, "group commit", Side::of(synced), Side::of(relaxed)).await?;
    disk.push(look(folder.path().to_owned()).await??);
    let disk_p50 = median(disk.iter().map(|summary| summary.p50_ms));

    let p50 = |summary: &LogLoaded| summary.acknowledged.p50_ms;
    let pairs = |number: fn(&LogLoaded) -> f64| pair_up(&synced, &relaxed, number);
    let against = pairs(p50)
        .into_iter()
        .map(|(synced, relaxed)| (synced, relaxed + 3.0 * disk_p50));
    let row = Row {
        path: "durable log, group commit",
        limit: "the same broker without syncs",
        findings: vec![
            Finding::ratio(
                "p50 at 1,000/s, ms",
                &against.collect::<Vec<_>>(),
                Goal::RatioAtMost(1.0),
            ),
            Finding::ratio(
                "in, records/s",
                &pairs(|round| round.in_per_second),
                Goal::RatioAtLeast(0.6),
            ),
        ],
        notes: vec![format!(
            "the limit of p50 is {:.2} ms without syncs and three of the disk's of {disk_p50:.2} ms, \
                 with six files written at the same rate",
            median(pairs(p50).iter().map(|pair| pair.1))
        )],
    };
    synced.node.stop().await?;
    relaxed.node.stop().await?;
    Ok(row)
}

async fn take_turns(
    setting: &Setting,
    what: &str,
    mut one: Side,
    mut other: Side,
) -> Result<(Side, Side)> {
    eprintln!("{what}: warming up");
    // A JVM compiles what it runs often.
    for side in [&one, &other] {
        side.load(setting.choose(1_000_000, 20_000), setting.choose(5, 1))
            .await?;
    }
    for number in 0..setting.choose(5, 1) {
        eprintln!("{what}: round {}", number + 1);
        let sides = match number % 2 {
            0 => [&mut one, &mut other],
            _ => [&mut other, &mut one],
        };
        for side in sides {
            let loaded = side.round(setting).await?;
            side.rounds.push(loaded);
        }
    }
    Ok((one, other))
}

fn pair_up(one: &Side, other: &Side, number: fn(&LogLoaded) -> f64) -> Vec<(f64, f64)> {
    let rounds = one.rounds.iter().zip(&other.rounds);
    rounds
        .map(|(one, other)| (number(one), number(other)))
        .collect()
}

fn row(durability: Durability, starts: &[(f64, f64)], ours: &Side, kafka: &Side) -> Result<Row> {
    let pairs = |number: fn(&LogLoaded) -> f64| pair_up(ours, kafka, number);
    let at_most = |what, rounds: &[_]| Finding::ratio(what, rounds, Goal::RatioAtMost(1.0));
    let at_least = |what, rounds: &[_]| Finding::ratio(what, rounds, Goal::RatioAtLeast(1.0));
    let longest = |of: fn(&LogLoaded) -> &Summary| {
        let most = |side: &Side| {
            side.rounds
                .iter()
                .map(|round| of(round).max_ms)
                .fold(0.0, f64::max)
        };
        format!("ours {:.1} ms, Kafka {:.1} ms", most(ours), most(kafka))
    };
    Ok(Row {
        path: match durability {
            Durability::Relaxed => "the log, neither syncs",
            Durability::Synced => "the log, both sync before they acknowledge",
        },
        limit: "Apache Kafka 4.3.1 with one node, its defaults",
        findings: vec![
            at_least("in, records/s", &pairs(|round| round.in_per_second)),
            at_least("out, records/s", &pairs(|round| round.out_per_second)),
            at_most(
                "p50 at 1,000/s, ms",
                &pairs(|round| round.acknowledged.p50_ms),
            ),
            at_most(
                "p99 at 1,000/s, ms",
                &pairs(|round| round.acknowledged.p99_ms),
            ),
            at_most("end to end p50, ms", &pairs(|round| round.read.p50_ms)),
            at_most("end to end p99, ms", &pairs(|round| round.read.p99_ms)),
            at_most(
                "memory after, MiB",
                &[(ours.node.resident_mib()?, kafka.node.resident_mib()?)],
            ),
            at_most("start to first answer, s", starts),
        ],
        notes: vec![
            format!(
                "{RECORD_BYTES} B a record, six partitions, idempotent, acks=all; in with linger 5 ms, \
                 the paced with linger 0 and counted from when each was due"
            ),
            format!(
                "longest acknowledgement: {}",
                longest(|round| &round.acknowledged)
            ),
            format!("longest end to end: {}", longest(|round| &round.read)),
        ],
    })
}
