//! A person who reads what was just commanded, wherever the read is answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use compline::client::Client;
use compline_api::{
    command::{ConnectAccountRequest, DisconnectAccountRequest},
    query::{Account, Consistency, ListAccountsRequest, ListAccountsResponse, Position},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tonic::Status;
use uuid::Uuid;

/// Accounts of one person, connected and disconnected in turn.
const ACCOUNTS: u64 = 20;
const ANSWER: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(50);

pub(super) struct OwnWrites {
    stop: Arc<AtomicBool>,
    pub(super) commanded: Arc<AtomicU64>,
    people: JoinSet<Result<Read>>,
}

/// What one person has read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    pub(super) answers: u64,
    /// An error said that there is no answer now; asked again.
    pub(super) refused: u64,
}

impl OwnWrites {
    /// Of so many people, who share a tenant.
    pub(super) fn start(people: u64, commands: &[Client], queries: &[Client]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let commanded = Arc::new(AtomicU64::new(0));
        let mut running = JoinSet::new();
        for number in 0..people {
            let person = Person {
                number,
                commands: commands.to_vec(),
                queries: queries.to_vec(),
            };
            running.spawn(person.go_on(stop.clone(), commanded.clone()));
        }
        Self {
            stop,
            commanded,
            people: running,
        }
    }

    /// # Errors
    /// A read that did not see what was commanded before.
    pub(super) async fn finish(mut self) -> Result<Read> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Read::default();
        while let Some(read) = self.people.join_next().await {
            let read = read??;
            all.answers += read.answers;
            all.refused += read.refused;
        }
        Ok(all)
    }
}

struct Person {
    number: u64,
    commands: Vec<Client>,
    queries: Vec<Client>,
}

impl Person {
    async fn go_on(self, stop: Arc<AtomicBool>, commanded: Arc<AtomicU64>) -> Result<Read> {
        let mut read = Read::default();
        for turn in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let (account, token) = self.command(turn).await?;
            commanded.fetch_add(1, Ordering::Relaxed);
            for query in &self.queries {
                let seen = loop {
                    match list(query, at_least(token.clone())).await {
                        Ok(seen) => break seen,
                        Err(_) => read.refused += 1,
                    }
                    sleep(AGAIN).await;
                };
                let found = seen
                    .accounts
                    .iter()
                    .find(|found| found.name == account.name);
                let found = found.with_context(|| format!("{} is not there", account.name))?;
                ensure!(
                    found.version >= account.version && found.connected == account.connected,
                    "stale: {found:?} is read after {account:?} was answered with {token:?}"
                );
                ensure!(!seen.seen.is_some_and(|seen| seen.stale), "it says so");
                read.answers += 1;
            }
        }
        Ok(read)
    }

    /// Connects an account, or disconnects it; the same command until it is answered.
    async fn command(&self, turn: u64) -> Result<(Account, Vec<Position>)> {
        let ad_account_id = format!("77{}{:02}", self.number, turn % ACCOUNTS);
        let request_id = Uuid::now_v7().to_string();
        let mut next = self.commands.iter().cycle().skip(turn as usize % 2);
        loop {
            let mut accounts = next.next().context("a command service")?.accounts();
            let (id, request_id) = (ad_account_id.clone(), request_id.clone());
            let answered = async {
                Ok::<_, Status>(match turn / ACCOUNTS % 2 {
                    0 => {
                        let request = ConnectAccountRequest {
                            request_id,
                            ad_account_id: id,
                            ..Default::default()
                        };
                        let answer = accounts.connect_account(request).await?.into_inner();
                        (answer.account, answer.token)
                    }
                    _ => {
                        let request = DisconnectAccountRequest {
                            request_id,
                            ad_account_id: id,
                            ..Default::default()
                        };
                        let answer = accounts.disconnect_account(request).await?.into_inner();
                        (answer.account, answer.token)
                    }
                })
            };
            if let Ok(Ok((account, token))) = timeout(ANSWER, answered).await {
                return Ok((account.context("an account")?, token));
            }
            sleep(AGAIN).await;
        }
    }
}

/// The tenant's accounts.
pub(super) async fn list(
    query: &Client,
    consistency: Consistency,
) -> Result<ListAccountsResponse, Status> {
    let request = ListAccountsRequest {
        page_size: 1_000,
        consistency: Some(consistency),
        ..Default::default()
    };
    let answer = query.tenancy().list_accounts(request).await;
    answer.map(tonic::Response::into_inner)
}

fn at_least(min_position: Vec<Position>) -> Consistency {
    Consistency {
        min_position,
        ..Default::default()
    }
}
