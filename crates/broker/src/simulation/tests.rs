//! Many seeds, each guard taken away, and one seed replayed.

use std::time::Instant;

use super::{Run, run};
use crate::guard::Guard;

/// Seeds of the short form.
const SEEDS: u64 = 1_000;
/// Seeds within which a guard must be missed. Each is missed earlier.
const SEEDS_WITHOUT_A_GUARD: u64 = 4_000;

fn setting(key: &str) -> Option<u64> {
    std::env::var(key).ok()?.parse().ok()
}

fn report(seed: u64, removed: Option<Guard>) -> String {
    let Run {
        trace, violation, ..
    } = run(seed, removed, true);
    let violation = violation.map_or("nothing was violated".into(), |violation| violation.0);
    format!(
        "{}\nseed {seed}: {violation}\nreplay it with: dev/simulate-log --seed {seed}",
        trace.join("\n")
    )
}

#[test]
fn what_was_told_holds_whatever_happens() {
    let from = setting("SIMULATION_FROM").unwrap_or(0);
    let seeds = setting("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let began = Instant::now();
    let (mut steps, mut refused) = (0, 0);
    for seed in from..from + seeds {
        let run = run(seed, None, false);
        steps += run.steps;
        refused += u64::from(run.was_refused);
        assert!(run.violation.is_none(), "{}", report(seed, None));
    }
    println!(
        "seeds {from} to {}: {steps} steps, {:.1} s, {refused} starts refused after a failed sync",
        from + seeds - 1,
        began.elapsed().as_secs_f64()
    );
}

#[test]
#[ignore = "prints one run; dev/simulate-log --seed N"]
fn replay() {
    println!("{}", report(setting("SIMULATION_FROM").unwrap_or(0), None));
}

#[test]
fn a_seed_always_ends_the_same() {
    for seed in 0..20 {
        let steps = |seed| {
            let run = run(seed, None, true);
            let without_ids = |line: &String| line.split('~').next().unwrap().to_owned();
            run.trace.iter().map(without_ids).collect::<Vec<_>>()
        };
        assert_eq!(steps(seed), steps(seed), "seed {seed}");
    }
}

/// Finds a seed that misses a guard, and says that by `sign`.
fn missed(guard: Guard, sign: &str) {
    let found = (0..SEEDS_WITHOUT_A_GUARD).find_map(|seed| {
        let violation = run(seed, Some(guard), false).violation?;
        violation.0.contains(sign).then_some((seed, violation.0))
    });
    let (seed, what) = found.unwrap_or_else(|| panic!("nobody misses {guard:?}"));
    println!("{guard:?}: seed {seed}, {what}");
}

#[test]
fn the_synced_high_watermark_is_missed() {
    missed(Guard::SyncedHighWatermark, "was shown");
}

#[test]
fn a_duplicate_that_does_not_wait_is_missed() {
    missed(Guard::DuplicateWaits, "was shown");
}

#[test]
fn a_failed_sync_that_stops_nobody_is_missed() {
    missed(
        Guard::FailedSyncIsFatal,
        "before the point up to which the log was synced",
    );
}

#[test]
fn a_producer_id_that_is_not_durable_is_missed() {
    missed(Guard::IdsDurableFirst, "was given twice");
}

#[test]
fn a_cut_before_the_mark_is_missed() {
    missed(Guard::CutBehindMark, "damage");
}

#[test]
fn a_cut_before_sound_batches_is_missed() {
    missed(Guard::SoundBatchesFollow, "damage");
}

#[test]
fn a_start_that_is_not_durable_is_missed() {
    missed(Guard::StartDurableFirst, "the log begins at");
}

#[test]
fn a_swap_that_is_not_durable_is_missed() {
    missed(Guard::SwapDurableFirst, "the segment before it ends at");
}

#[test]
fn a_deleted_topics_offsets_that_are_cleared_in_one_log_are_missed() {
    missed(Guard::ClearedInBoth, "the committed offset is");
}
