//! One suite for any log that speaks Kafka's protocol: what must be the same whichever it is.
//!
//! It sees a log only through rdkafka and knows nothing of who runs it. Topics and groups get
//! names of their own, so it can be run again and beside others, and it leaves them behind.
//! Where logs may differ, a check takes both answers and says so in its text; nothing is skipped.

mod admin;
mod groups;
mod kit;
mod records;
mod times;

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

pub use kit::Log;

/// Longer than any check takes on a slow machine.
const LONGEST: Duration = Duration::from_secs(120);

/// What one check found.
#[derive(Debug)]
pub struct Outcome {
    /// What must hold, as a sentence without spaces.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// What did not hold.
    pub result: anyhow::Result<()>,
}

type Running = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

struct Check {
    name: &'static str,
    run: fn(Log) -> Running,
}

macro_rules! checks {
    ($($module:ident::$name:ident),* $(,)?) => {
        [$(Check { name: stringify!($name), run: |log| Box::pin($module::$name(log)) }),*]
    };
}

const CHECKS: [Check; 16] = checks![
    records::every_codec_keeps_keys_values_headers_and_timestamps,
    records::offsets_have_no_holes_and_keep_the_order_of_each_partition,
    records::an_idempotent_producer_writes_each_record_once,
    records::null_and_empty_keys_and_values_are_told_apart,
    records::a_record_that_is_too_large_is_refused_and_the_next_is_taken,
    records::a_consumer_starts_in_the_middle_of_a_batch,
    records::an_offset_out_of_range_is_an_error,
    records::a_waiting_consumer_is_woken_at_once,
    times::times_are_looked_up,
    admin::topics_are_made_and_deleted,
    admin::partitions_are_added_and_never_taken,
    admin::settings_are_described_and_changed,
    admin::bad_names_and_settings_are_refused,
    admin::records_are_deleted_from_the_beginning,
    groups::committed_offsets_are_kept_and_deleted_with_their_group,
    groups::members_share_partitions_and_take_over,
];

/// Runs every check, one after the other, against the log at `bootstrap` (`host:port`).
pub async fn suite(bootstrap: &str) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(CHECKS.len());
    for check in CHECKS {
        let began = Instant::now();
        let running = tokio::time::timeout(LONGEST, (check.run)(Log::at(bootstrap)));
        let result = running
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("it did not end in {LONGEST:?}")));
        outcomes.push(Outcome {
            name: check.name,
            took: began.elapsed(),
            result,
        });
    }
    outcomes
}
