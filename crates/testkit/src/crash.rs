//! A program that dies at a crash point: an ignored test of the same binary, in a
//! process of its own, on the log and the database of the test that runs it.

use std::{
    env,
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use compline_eventlog::{Log, LogConfig};
use compline_readmodel::{
    Database, Role,
    crash::{CRASH_AT, Guard, WITHOUT},
};
use sqlx::postgres::PgConnectOptions;
use tokio::{process::Command, time::timeout};

use crate::{Postgres, TestBroker};

const BOOTSTRAP: &str = "CRASH_TEST_BOOTSTRAP";
const POSTGRES: &str = "CRASH_TEST_POSTGRES";
const PATIENCE: Duration = Duration::from_secs(60);
/// What `abort` sends.
const SIGABRT: i32 = 6;

/// How a program is to die.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    /// `point` or `point:n`, see [`compline_readmodel::crash`].
    pub at: &'static str,
    pub without: Option<Guard>,
}

impl Crash {
    pub const fn at(at: &'static str) -> Self {
        Self { at, without: None }
    }

    /// Runs `program`, an ignored test of this binary by its full name, until it dies.
    pub async fn of(self, program: &str, broker: &TestBroker, postgres: &Postgres) {
        let status = run(program, broker, postgres, self.at, self.without).await;
        assert_eq!(status.signal(), Some(SIGABRT), "{self:?} was not met");
    }
}

async fn run(
    program: &str,
    broker: &TestBroker,
    postgres: &Postgres,
    at: &str,
    without: Option<Guard>,
) -> ExitStatus {
    let mut command = Command::new(env::current_exe().expect("this binary is somewhere"));
    command
        .args(["--exact", program, "--ignored"])
        .env(BOOTSTRAP, broker.bootstrap())
        .env(POSTGRES, postgres.url(Role::Owner))
        .env(CRASH_AT, at)
        .env(WITHOUT, without.map_or("", Guard::as_str))
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let status = timeout(PATIENCE, command.status()).await;
    status
        .unwrap_or_else(|_| panic!("{program} does not end at {at:?}"))
        .expect("a program of this binary can be run")
}

/// What such a program stands on.
pub fn stage() -> (Log, Database) {
    let told = |name| env::var(name).expect("it is run by another test");
    let log = Log::new(LogConfig::new(told(BOOTSTRAP))).expect("the settings are good");
    let options: PgConnectOptions = told(POSTGRES).parse().expect("a URL of the kit's");
    let of = move |role: Role| options.clone().username(role.as_str());
    (log, Database::new(of))
}
