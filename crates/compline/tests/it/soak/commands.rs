//! People's commands, each said until it is answered.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use compline::client::Client;
use compline_api::command::ConnectAccountRequest;
use compline_event::{Event, Topic};
use compline_eventlog::Log;
use compline_testkit::verify;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::Status;
use uuid::Uuid;

const PAUSE: Duration = Duration::from_millis(100);
const ANSWER: Duration = Duration::from_secs(10);

pub(super) struct Commands {
    stop: Arc<AtomicBool>,
    saying: JoinHandle<HashSet<String>>,
}

impl Commands {
    /// Connects one account after the other; each try goes to the next of `doors`.
    pub(super) fn start(doors: Vec<Client>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let saying = tokio::spawn(say(doors, stop.clone()));
        Self { stop, saying }
    }

    /// The accounts whose connection was answered.
    pub(super) async fn finish(self) -> Result<HashSet<String>> {
        self.stop.store(true, Ordering::Relaxed);
        let answered = self.saying.await?;
        ensure!(!answered.is_empty(), "commands were answered at all");
        Ok(answered)
    }
}

async fn say(doors: Vec<Client>, stop: Arc<AtomicBool>) -> HashSet<String> {
    let mut answered = HashSet::new();
    let mut next = doors.iter().cycle();
    for number in 0.. {
        let request = connects(&format!("88{number:07}"));
        for door in next.by_ref() {
            let mut accounts = door.accounts();
            let answer = accounts.connect_account(request.clone());
            if matches!(timeout(ANSWER, answer).await, Ok(Ok(_))) {
                answered.insert(request.ad_account_id);
                break;
            }
            sleep(PAUSE).await;
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        sleep(PAUSE).await;
    }
    answered
}

/// One try.
pub(super) async fn connect(door: &Client, account: &str) -> Result<(), Status> {
    let answer = door.accounts().connect_account(connects(account)).await;
    answer.map(drop)
}

fn connects(account: &str) -> ConnectAccountRequest {
    ConnectAccountRequest {
        request_id: Uuid::now_v7().to_string(),
        ad_account_id: account.to_owned(),
        ..Default::default()
    }
}

/// Each once: a command that is said again is the same command.
pub(super) async fn are_in_the_log(answered: &HashSet<String>, log: &Log) -> Result<()> {
    let mut found = HashSet::new();
    for event in verify::read(log, Topic::Account).await?.events {
        if let Event::AccountConnected(connected) = event.envelope.event {
            found.insert(connected.ad_account_id);
        }
    }
    let lost = answered.difference(&found).count();
    ensure!(lost == 0, "{lost} answered commands are not in the log");
    Ok(())
}
