//! What a read must have seen: what its caller says, else what earlier commands on the
//! same data folder were answered with.
//!
//! The folder keeps the newest position of each partition that a command printed. A read
//! waits for those of the topics that its read model is folded from:
//!
//! | read | waits for |
//! |---|---|
//! | `tenant`, `account`, `key` | tenant, account |
//! | `activity`, `notifications` | activity, tenant, account |
//! | `ads` | ad, to which no command appends |
//!
//! Where a URL names the street, nothing is kept and nothing waited for.

use std::{fs, io, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use compline_api::query::{Consistency, OnTimeout, Position as ApiPosition};
use compline_event::{Offset, Partition, Position, Token, Topic};

use super::{Target, parse_duration};
use crate::street::write_private;

/// The longest that the query service waits.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// What a read must have seen.
#[derive(Debug, Clone, Args)]
pub struct Freshness {
    /// Wait until the read has seen this place in the log, as commands print it:
    /// ad/3@120,account/0@7 [default: those that earlier commands on this data folder
    /// printed; when the wait for them is over, what is there is shown]
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<Token>,

    /// How long to wait, such as 500ms or 5s; at most 60s
    #[arg(long, value_name = "DURATION", value_parser = parse_wait, default_value = "5s")]
    pub max_wait: Duration,

    /// When the wait for --token is over, show what is there instead of failing
    #[arg(long)]
    pub allow_stale: bool,
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        wait if wait <= MAX_WAIT => Ok(wait),
        _ => Err("the longest wait is 60s".to_owned()),
    }
}

impl Freshness {
    /// `folded`: the topics of which the read model is folded.
    pub fn consistency(&self, target: &Target, folded: &[Topic]) -> Option<Consistency> {
        let (token, on_timeout) = match &self.token {
            Some(token) if self.allow_stale => (token.clone(), OnTimeout::Stale),
            Some(token) => (token.clone(), OnTimeout::Unspecified),
            None => {
                let kept = target.kept_token().unwrap_or_default();
                let folded = |position: &Position| folded.contains(&position.topic);
                (kept.positions().filter(folded).collect(), OnTimeout::Stale)
            }
        };
        if token.is_empty() {
            return None;
        }
        Some(Consistency {
            min_position: token.positions().map(to_api).collect(),
            max_wait: Some(prost_types::Duration {
                seconds: i64::try_from(self.max_wait.as_secs()).expect("at most a minute"),
                nanos: i32::try_from(self.max_wait.subsec_nanos()).expect("below 10^9"),
            }),
            on_timeout: on_timeout.into(),
        })
    }
}

impl Target {
    /// Keeps a command's answer for the next reads.
    pub fn keep_token(&self, answered: &[ApiPosition]) -> Result<()> {
        if !self.is_of_folder() || answered.is_empty() {
            return Ok(());
        }
        let mut kept = self.kept_token().unwrap_or_default();
        for position in answered {
            kept.include(from_api(position)?);
        }
        let path = self.street().token_file();
        match write_private(&path, &format!("{kept}\n")) {
            // A client of a street elsewhere has no folder.
            Err(error) if is_missing(&error) => Ok(()),
            written => written,
        }
    }

    /// Nothing where nothing readable is kept: it is only there to spare a surprise.
    fn kept_token(&self) -> Option<Token> {
        if !self.is_of_folder() {
            return None;
        }
        let text = fs::read_to_string(self.street().token_file()).ok()?;
        text.trim().parse().ok()
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn to_api(position: Position) -> ApiPosition {
    ApiPosition {
        topic: position.topic.to_string(),
        partition: position.partition.0,
        next_offset: position.next_offset.0,
    }
}

fn from_api(position: &ApiPosition) -> Result<Position> {
    let topic = position.topic.parse().context("a token of the answer")?;
    Ok(Position {
        topic,
        partition: Partition(position.partition),
        next_offset: Offset(position.next_offset),
    })
}
