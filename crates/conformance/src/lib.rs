//! One suite for any log that speaks Kafka's protocol: what must be the same whichever it is.
//!
//! It sees a log only over the wire, through rdkafka or request by request, and knows nothing of
//! who runs it. Topics and groups get names of their own, so it can be run again and beside
//! others, and it leaves them behind. Where logs may differ, [`DIFFERENCES`] says how, and the
//! checks hold each line of it against the log at hand; nothing is skipped.

mod admin;
mod differences;
mod foreign;
mod groups;
mod kit;
mod log;
mod members;
mod producers;
mod raw;
mod records;
mod restarts;
mod retention;
mod settings;
mod times;

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::StreamExt;

pub use differences::{DIFFERENCES, Difference};
pub use log::Log;

/// Longer than any check takes on a slow machine.
const LONGEST: Duration = Duration::from_secs(120);
/// Checks at once: most of their time they wait.
const AT_ONCE: usize = 4;

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

#[derive(Clone, Copy)]
struct Check {
    name: &'static str,
    run: fn(Log) -> Running,
}

macro_rules! checks {
    ($($module:ident::$name:ident),* $(,)?) => {
        [$(Check { name: stringify!($name), run: |log| Box::pin($module::$name(log)) }),*]
    };
}

const CHECKS: [Check; 48] = checks![
    records::every_codec_keeps_keys_values_headers_and_timestamps,
    records::offsets_have_no_holes_and_keep_the_order_of_each_partition,
    records::an_idempotent_producer_writes_each_record_once,
    records::null_and_empty_keys_and_values_are_told_apart,
    records::a_record_that_is_too_large_is_refused_and_the_next_is_taken,
    records::a_record_larger_than_what_a_fetch_asks_for_is_given_whole,
    records::a_consumer_starts_in_the_middle_of_a_batch,
    records::an_offset_out_of_range_is_an_error,
    records::a_waiting_consumer_is_woken_at_once,
    producers::a_batch_sent_twice_is_written_once_and_gets_its_offset_again,
    producers::a_hole_in_the_sequence_is_refused_and_its_filling_taken,
    producers::an_old_epoch_is_fenced_and_a_new_one_begins_at_zero,
    producers::an_unknown_producer_may_begin_anywhere,
    producers::nothing_is_lost_doubled_or_reordered_when_connections_break,
    producers::a_batch_that_is_not_sound_is_refused_and_not_stored,
    producers::what_cannot_be_appended_to_is_named,
    times::times_are_looked_up,
    times::a_time_inside_of_a_compressed_batch_is_looked_up,
    times::the_newest_timestamp_is_found,
    times::a_topic_may_be_stamped_by_the_log,
    retention::old_segments_go_when_there_is_too_much,
    retention::records_go_when_they_are_too_old,
    retention::records_are_deleted_up_to_where_there_are_some,
    retention::records_of_a_compacted_topic_are_not_deleted,
    retention::a_reader_under_whom_the_start_moves_is_told,
    retention::compaction_keeps_the_newest_of_each_key,
    admin::topics_are_made_and_deleted,
    admin::what_is_only_validated_is_refused_for_the_same_reasons,
    admin::partitions_are_added_and_never_taken,
    admin::settings_are_described_and_changed,
    admin::bad_names_and_settings_are_refused,
    admin::what_is_asked_twice_is_not_done,
    admin::wishes_that_contradict_themselves_are_refused,
    settings::defaults_are_described,
    settings::single_settings_are_changed_and_go_back_to_their_defaults,
    settings::changes_that_contradict_themselves_are_refused,
    settings::settings_that_one_log_has_and_the_other_has_not,
    settings::more_copies_than_nodes_are_refused,
    groups::committed_offsets_are_kept_and_deleted_with_their_group,
    groups::members_share_partitions_and_take_over,
    members::a_static_member_comes_again_without_a_rebalance,
    members::a_static_leader_that_comes_again_is_told_to_keep_the_assignment,
    members::an_old_generation_and_a_stranger_cannot_commit,
    members::a_member_that_leaves_or_falls_silent_is_missed,
    members::a_group_is_deleted_when_nobody_is_in_it,
    members::offsets_are_deleted_unless_someone_reads_there,
    foreign::foreign_bytes_close_their_own_connection_and_no_other,
    foreign::a_question_for_versions_that_is_too_new_is_answered_in_the_oldest_form,
];

/// Checks of requests that one of the logs does not have.
const CHECKS_OF_DIFFERENCES: [Check; 3] = checks![
    foreign::transactions_are_taken_or_refused_for_good,
    foreign::requests_that_a_log_does_not_have_are_not_listed,
    foreign::the_newer_group_protocol_is_taken_or_refused,
];

/// What disturbs every other check, and runs alone.
const CHECKS_ALONE: [Check; 2] = checks![
    restarts::what_was_acknowledged_outlives_a_restart,
    every::difference_was_found_as_it_is_written_down,
];

/// Runs every check, or those whose names contain `only`. `told` hears of each when it is done.
pub async fn suite(log: Log, only: &str, told: impl Fn(&Outcome)) -> Vec<Outcome> {
    let wanted = |check: &Check| check.name.contains(only);
    let beside = CHECKS.into_iter().chain(CHECKS_OF_DIFFERENCES);
    let beside: Vec<_> = beside.filter(wanted).collect();
    let running = beside.into_iter().map(|check| run(check, log.clone()));
    let mut outcomes: Vec<_> = futures_util::stream::iter(running)
        .buffer_unordered(AT_ONCE)
        .inspect(&told)
        .collect()
        .await;
    for check in CHECKS_ALONE.into_iter().filter(wanted) {
        let outcome = run(check, log.clone()).await;
        told(&outcome);
        outcomes.push(outcome);
    }
    outcomes
}

async fn run(check: Check, log: Log) -> Outcome {
    let began = Instant::now();
    let running = tokio::time::timeout(LONGEST, (check.run)(log));
    let result = running
        .await
        .unwrap_or_else(|_| Err(anyhow::anyhow!("it did not end in {LONGEST:?}")));
    Outcome {
        name: check.name,
        took: began.elapsed(),
        result,
    }
}

mod every {
    use super::*;

    /// A line that nothing holds against the log could say anything.
    pub(crate) async fn difference_was_found_as_it_is_written_down(log: Log) -> anyhow::Result<()> {
        for line in &DIFFERENCES {
            ensure!(line.embedded != line.kafka, "no difference: {line}");
            ensure!(log.has_seen(line), "not found to be so: {line}");
        }
        Ok(())
    }
}
