//! Somebody who reads all the while.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use compline::client::Client;
use compline_api::query::{ListAccountsRequest, ListAccountsResponse};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

const PAUSE: Duration = Duration::from_millis(20);
/// As long as people wait.
const ANSWER: Duration = Duration::from_secs(5);
const PEOPLE: usize = 4;

pub(super) struct Reads {
    stop: Arc<AtomicBool>,
    people: Vec<JoinHandle<Read>>,
}

#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) answered: u64,
    pub(super) refused: u64,
}

impl Reads {
    pub(super) fn start(doors: Vec<Client>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let person = |door: &Client| tokio::spawn(go_on(door.clone(), stop.clone()));
        let people = doors.iter().cycle().take(PEOPLE).map(person).collect();
        Self { stop, people }
    }

    pub(super) async fn finish(self) -> Result<Read> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Read::default();
        for person in self.people {
            let read = person.await?;
            all.answered += read.answered;
            all.refused += read.refused;
        }
        ensure!(all.answered > 0, "reads were answered at all");
        Ok(all)
    }
}

async fn go_on(door: Client, stop: Arc<AtomicBool>) -> Read {
    let mut read = Read::default();
    while !stop.load(Ordering::Relaxed) {
        match list(&door, ANSWER).await {
            Some(_) => read.answered += 1,
            None => read.refused += 1,
        }
        sleep(PAUSE).await;
    }
    read
}

/// The tenant's accounts, if they come in time.
pub(super) async fn list(door: &Client, within: Duration) -> Option<ListAccountsResponse> {
    let request = ListAccountsRequest {
        page_size: 100,
        ..Default::default()
    };
    let mut tenancy = door.tenancy();
    let answer = timeout(within, tenancy.list_accounts(request)).await;
    Some(answer.ok()?.ok()?.into_inner())
}
