//! The peer's program, `benches/peers/postgres-es`, and what it works on.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use compline_readmodel::Generation;
use serde::Deserialize;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{house::OwnDatabase, measure::processor_seconds_of_family, project::Nth, script};

/// As cqrs-es asks for its event store, and for a view.
const TABLES: &str = "
    CREATE TABLE events (
        aggregate_type text NOT NULL,
        aggregate_id   text NOT NULL,
        sequence       bigint CHECK (sequence >= 0) NOT NULL,
        event_type     text NOT NULL,
        event_version  text NOT NULL,
        payload        json NOT NULL,
        metadata       json NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, sequence)
    );
    CREATE TABLE ad_row (
        view_id text NOT NULL,
        version bigint CHECK (version >= 0) NOT NULL,
        payload json NOT NULL,
        PRIMARY KEY (view_id)
    );";

#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Execute,
    Replay,
}

#[derive(Debug, Deserialize)]
pub(super) struct Did {
    pub(super) events: usize,
    pub(super) seconds: f64,
}

pub(super) struct Program {
    process: Child,
    /// It ends with its input.
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// As this program was built.
pub(super) async fn build() -> Result<PathBuf> {
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let folder = script::folder_from("peers/postgres-es/install", &[profile]).await?;
    Ok(folder.join("compline-peer-postgres-es"))
}

/// The first `count` changes as commands, a line each.
pub(super) fn write_commands(path: &Path, count: usize) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let at = |time: OffsetDateTime| time.format(&Rfc3339);
    for number in 0..count {
        let nth = Nth::new(number);
        let command = json!({
            "tenant_id": nth.tenant.as_uuid(),
            "ad_id": nth.ad.ad_id,
            "ad_account_id": nth.ad.account,
            "level": "AD",
            "status": nth.new_status,
            "reason": nth.reason,
            "placements": nth.placements,
            "changed_at": at(nth.changed_at)?,
            "recorded_at": at(nth.recorded_at)?,
        });
        serde_json::to_writer(&mut file, &command)?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}

/// Where its tables of a round are.
pub(super) fn schema(round: Generation) -> String {
    format!("peer_g{round}")
}

impl Program {
    /// With tables of its own, and once it is connected.
    pub(super) async fn start(
        program: &Path,
        commands: &Path,
        own: &OwnDatabase,
        round: Generation,
        tasks: u32,
    ) -> Result<Self> {
        let schema = schema(round);
        let mut conn = own.superuser().await?;
        let statement = format!("CREATE SCHEMA {schema}; SET search_path = {schema}; {TABLES}");
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut conn)
            .await?;
        conn.close().await?;
        let mut process = Command::new(program)
            .arg(format!("{}?options=-csearch_path%3D{schema}", own.url()))
            .arg(commands)
            .arg(tasks.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{}", program.display()))?;
        let input = process.stdin.take().context("its input")?;
        let output = process.stdout.take().context("its output")?;
        let mut answers = BufReader::new(output).lines();
        answers
            .next_line()
            .await?
            .context("it ended before it began")?;
        Ok(Self {
            process,
            input,
            answers,
        })
    }

    pub(super) async fn order(&mut self, order: Order) -> Result<Did> {
        let line: &[u8] = match order {
            Order::Execute => b"execute\n",
            Order::Replay => b"replay\n",
        };
        self.input.write_all(line).await?;
        let answer = self.answers.next_line().await?;
        let answer = answer.with_context(|| format!("it ended at {order:?}"))?;
        Ok(serde_json::from_str(&answer)?)
    }

    pub(super) fn processor_seconds(&self) -> f64 {
        let pid = self.process.id().map_or(0, u32::cast_signed);
        processor_seconds_of_family(pid)
    }

    pub(super) async fn end(mut self) -> Result<()> {
        drop(self.input);
        let ended = self.process.wait().await?;
        ensure!(ended.success(), "it ended with {ended}");
        Ok(())
    }
}
