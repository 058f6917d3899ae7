//! Every instance of every role stopped in order and started again, one by one, as a
//! new build is rolled out, while webhooks come in and people read what they command.
//!
//! `SOAK_COMMANDS` says how many commands; `dev/soak rolling` runs the long form.

use std::{sync::atomic::Ordering, time::Duration};

use anyhow::{Context as _, Result, ensure};
use compline_api::query::{Consistency, OnTimeout, Position};
use compline_event::Topic;
use compline_eventlog::Log;
use rustix::process::Signal;
use tokio::time::Instant;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::own_writes::{OwnWrites, list};
use crate::{
    load::Load,
    town::{Town, instance::Instance},
    verdict,
};

const COMMANDS: u64 = 100;
const PEOPLE: u64 = 4;
const ACCOUNTS: usize = 2;
const PAUSE: Duration = Duration::from_millis(25);
const BETWEEN: Duration = Duration::from_secs(5);
const READY: Duration = Duration::from_secs(60);
/// Longer than a paused projector is waited for.
const SOON: Duration = Duration::from_millis(500);

#[ignore = "takes a minute: dev/soak rolling"]
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_drops_nothing_and_no_read_is_stale() -> Result<()> {
    let told = std::env::var("SOAK_COMMANDS");
    let commands: u64 = told.map_or(Ok(COMMANDS), |text| text.parse())?;
    let mut town = Town::found(None).await?;
    let (accounts, keys) = town.audience(ACCOUNTS).await?;
    let load = Load::start(&town.doors("ingress"), accounts, 1, PAUSE)?;
    let (command, query) = (
        town.clients("command", &keys[1])?,
        town.clients("query", &keys[1])?,
    );
    let people = OwnWrites::start(PEOPLE, &command, &query);

    let mut restarts = 0;
    for instance in &mut town.instances {
        restart(instance).await?;
        restarts += 1;
    }
    // From here on those alone that the commands and the reads wait for.
    while people.commanded.load(Ordering::Relaxed) < commands {
        for projector in town.all_of("tenancy") {
            restart(projector).await?;
            restarts += 1;
        }
        town.rest(BETWEEN).await?;
    }
    let commanded = people.commanded.load(Ordering::Relaxed);
    let read = people.finish().await?;
    let acknowledged = load.finish().await?;
    let again = town.everybody().map(|each| each.gave_up).sum::<usize>();
    ensure!(again == 0, "{again} instances ended by themselves");
    eprintln!(
        "{restarts} restarts; {commanded} commands; {} reads of them, 0 stale, {} asked again",
        read.answers, read.refused
    );
    eprintln!(
        "{}",
        verdict::all(&town.log, &town.database, &acknowledged).await?
    );
    a_paused_projector_is_waited_for_and_no_longer(&mut town, &keys[1]).await?;
    town.stop().await
}

async fn restart(instance: &mut Instance) -> Result<()> {
    instance.stop().await?;
    instance.start()?;
    instance.ready(READY).await
}

/// Nobody projects, so a read with a token can only wait: it says in time that it did
/// not see it, or, if it was asked to, that what it shows is old.
async fn a_paused_projector_is_waited_for_and_no_longer(town: &mut Town, key: &str) -> Result<()> {
    for projector in town.all_of("tenancy") {
        projector.signal(Signal::STOP)?;
    }
    let command = &town.clients("command", key)?[0];
    let unanswered = super::commands::connect(command, "99").await;
    let status = unanswered.err().context("no verdict can be known")?;
    ensure!(status.code() == Code::DeadlineExceeded, "{status}");

    let token = ends(&town.log, Topic::Account).await?;
    let within = |on_timeout: OnTimeout| Consistency {
        min_position: token.clone(),
        max_wait: prost_types::Duration::try_from(SOON).ok(),
        on_timeout: on_timeout.into(),
    };
    for query in town.clients("query", key)? {
        let began = Instant::now();
        let late = list(&query, within(OnTimeout::Unspecified)).await;
        let late = late.err().context("it cannot have been seen")?;
        ensure!(late.code() == Code::DeadlineExceeded, "{late}");
        let details = late.get_error_details();
        let info = details.error_info().context("what was wanted")?;
        ensure!(info.metadata.contains_key("wanted"), "{info:?}");
        ensure!(began.elapsed() >= SOON && began.elapsed() < SOON * 6);

        let stale = list(&query, within(OnTimeout::Stale)).await?;
        ensure!(stale.seen.is_some_and(|seen| seen.stale), "it is old");
    }

    for projector in town.all_of("tenancy") {
        projector.signal(Signal::CONT)?;
    }
    let patient = Consistency {
        min_position: token,
        max_wait: prost_types::Duration::try_from(READY).ok(),
        ..Default::default()
    };
    let query = &town.clients("query", key)?[0];
    let seen = list(query, patient).await?;
    let found = seen
        .accounts
        .iter()
        .any(|found| found.name == "accounts/99");
    ensure!(found, "what was appended comes in the end");
    Ok(())
}

/// Where each partition ends that holds anything.
async fn ends(log: &Log, topic: Topic) -> Result<Vec<Position>> {
    let places: Vec<_> = Log::partitions(topic).map(|at| (topic, at)).collect();
    let ends = log.ends(&places).await?;
    let position =
        |(topic, partition, end): &(Topic, compline_event::Partition, compline_event::Offset)| {
            Position {
                topic: topic.to_string(),
                partition: partition.0,
                next_offset: end.0,
            }
        };
    Ok(ends
        .iter()
        .map(position)
        .filter(|at| at.next_offset > 0)
        .collect())
}
