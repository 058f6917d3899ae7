//! The broker under a seed: the real one, from requests down to the file layer, on a disk that
//! forgets and fails, in one thread, under a clock that stands still between steps.
//!
//! A run draws its plan, then step by step what clients, operators and fate do: requests with
//! answers that are lost, syncs with others going on meanwhile, crashes in the middle of any call
//! on the disk (recovery's as well), power losses, rot. A plain model beside it knows what clients
//! were told, and after each start everything is read and compared:
//!
//! - nothing acknowledged or shown is lost, doubled or moved, no offset is given again, the high
//!   watermark never goes back, and what a batch holds is what was sent;
//! - of each producer the order is kept without holes, and no producer id is given twice;
//! - what was deleted does not return, with topics, by retention or by request; retention takes
//!   no more than it may;
//! - a committed offset is the one that was confirmed last, or one that was sent after it; an old
//!   generation commits nothing;
//! - damage to what was synced is refused, and named.
//!
//! `dev/simulate-log` runs many seeds, or one with its trace.

mod about;
mod answers;
mod audit;
mod clients;
mod groups;
mod meanwhile;
mod model;
mod net;
mod plan;
mod requests;
mod steps;
mod tests;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use model::{Checked, Violation};
use plan::Step;
use world::World;

use crate::guard::{self, Guard};

/// How a run ended.
#[derive(Debug)]
struct Run {
    steps: usize,
    /// Empty unless it was asked for.
    trace: Vec<String>,
    violation: Option<Violation>,
    /// It ended early, because a start was refused after a failed sync.
    was_refused: bool,
}

/// Runs one seed, with all guards but `removed`.
fn run(seed: u64, removed: Option<Guard>, with_trace: bool) -> Run {
    let mut world = World::new(seed, with_trace);
    // Who is to miss a guard has to come across what it is for.
    match removed {
        Some(Guard::SwapDurableFirst) => {
            world.plan.compacts = true;
            world.plan.interrupted_compactions = 4;
            world.plan.segment_bytes = 400;
            world.plan.favour(Step::Compact);
        }
        Some(Guard::ClearedInBoth) => {
            world.plan.steps = 300;
            for step in [Step::Commit, Step::CompactOffsets, Step::LosePower] {
                (0..4).for_each(|_| world.plan.favour(step));
            }
        }
        Some(Guard::FailedSyncIsFatal) => {
            world.plan.faults.sync = 0.05;
            world.disk.set_faults(world.plan.faults);
        }
        _ => {}
    }
    let mut steps = 0;
    let ran = guard::without(removed, || {
        catch_unwind(AssertUnwindSafe(|| live(&mut world, &mut steps)))
    });
    let violation = match ran {
        Ok(checked) => checked.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
            Some(Violation(format!("a panic: {}", text.unwrap_or_default())))
        }
    };
    Run {
        steps,
        trace: world.trace.take().unwrap_or_default(),
        violation,
        was_refused: world.is_over,
    }
}

fn live(world: &mut World, steps: &mut usize) -> Checked {
    world.start()?;
    while *steps < world.plan.steps && !world.is_over {
        world.step()?;
        *steps += 1;
    }
    if world.is_over {
        return Ok(());
    }
    // Whatever happened, what was told holds after one more loss.
    world.crash(true)
}
