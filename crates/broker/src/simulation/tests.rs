//! Many seeds, each guard taken away, and one seed replayed.

use std::time::Instant;

use super::{Run, run};

/// Seeds of the short form.
const SEEDS: u64 = 2_000;

fn setting(key: &str) -> Option<u64> {
    std::env::var(key).ok()?.parse().ok()
}

fn fail(seed: u64) -> ! {
    let Run {
        trace, violation, ..
    } = run(seed, None, true);
    let violation = violation.map_or("nothing, this time".into(), |violation| violation.0);
    panic!(
        "{}\nseed {seed}: {violation}\nreplay it with: dev/simulate-log --seed {seed}",
        trace.join("\n")
    );
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
        if run.violation.is_some() {
            fail(seed);
        }
    }
    println!(
        "{seeds} seeds from {from}, {steps} steps, {refused} refused after a failed sync, {:.1} s",
        began.elapsed().as_secs_f64()
    );
}
