//! What one seed is about. Most seeds leave most kinds of steps out, so that each gets its turn
//! at going on undisturbed by the others.

use rand::Rng;
use rand::rngs::StdRng;

use crate::file::sim::Faults;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Produce,
    ProducePlain,
    RepeatAbandoned,
    NewEpoch,
    NewProducer,
    Sync,
    /// A sync while which others go on.
    SyncMeanwhile,
    SyncMarks,
    Tidy,
    Compact,
    CompactOffsets,
    Fetch,
    ListOffsets,
    DeleteRecords,
    CreateTopic,
    DeleteTopic,
    Commit,
    FetchOffsets,
    ForgetOffsets,
    Join,
    Heartbeat,
    Leave,
    Tick,
    /// Producers are forgotten after a day.
    Day,
    Audit,
    FillDisk,
    FreeDisk,
    Kill,
    LosePower,
    /// Like one of the two before, in the middle of one of the next calls on the disk.
    CrashSoon,
    Stop,
    Rot,
}

/// How often each is done, if it is done at all.
const WEIGHTS: [(Step, u32); 32] = [
    (Step::Produce, 24),
    (Step::ProducePlain, 8),
    (Step::RepeatAbandoned, 2),
    (Step::NewEpoch, 1),
    (Step::NewProducer, 2),
    (Step::Sync, 12),
    (Step::SyncMeanwhile, 8),
    (Step::SyncMarks, 3),
    (Step::Tidy, 3),
    (Step::Compact, 4),
    (Step::Fetch, 10),
    (Step::ListOffsets, 4),
    (Step::DeleteRecords, 2),
    (Step::CreateTopic, 4),
    (Step::DeleteTopic, 1),
    (Step::Commit, 6),
    (Step::FetchOffsets, 4),
    (Step::ForgetOffsets, 1),
    (Step::Join, 5),
    (Step::Heartbeat, 2),
    (Step::Leave, 1),
    (Step::Tick, 3),
    (Step::CompactOffsets, 2),
    (Step::Day, 1),
    (Step::Audit, 2),
    (Step::FillDisk, 1),
    (Step::FreeDisk, 3),
    (Step::Kill, 2),
    (Step::LosePower, 2),
    (Step::CrashSoon, 3),
    (Step::Stop, 1),
    (Step::Rot, 1),
];

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: usize,
    weights: Vec<(Step, u32)>,
    pub(super) topics: usize,
    pub(super) partitions: i32,
    pub(super) producers: usize,
    /// Settings of topics.
    pub(super) segment_bytes: i64,
    pub(super) retention_ms: i64,
    pub(super) retention_bytes: i64,
    /// Topics are compacted, and their producers write tombstones as well.
    pub(super) compacts: bool,
    /// How many of four compactions are interrupted.
    pub(super) interrupted_compactions: u32,
    /// How often an answer is lost on its way.
    pub(super) lost_answers: f64,
    pub(super) faults: Faults,
}

impl Plan {
    pub(super) fn draw(rng: &mut StdRng) -> Plan {
        let always = [Step::Produce, Step::Sync, Step::CreateTopic, Step::Audit];
        let weights = WEIGHTS.into_iter().filter_map(|(step, weight)| {
            let kept = always.contains(&step) || rng.random_ratio(1, 2);
            kept.then_some((step, weight))
        });
        let weights = weights.collect();
        let mut some = |one_in: u32, most: f64| match rng.random_ratio(1, one_in) {
            true => rng.random_range(0.0..most),
            false => 0.0,
        };
        let faults = Faults {
            sync: some(6, 0.05),
            open: some(8, 0.03),
            rename: some(8, 0.05),
            read: some(8, 0.01),
            write: some(8, 0.03),
            short_read: some(4, 0.5),
        };
        let lost_answers = some(2, 0.3);
        Plan {
            steps: rng.random_range(20..200),
            weights,
            topics: rng.random_range(1..=2),
            partitions: rng.random_range(1..=2),
            producers: rng.random_range(1..=3),
            segment_bytes: rng.random_range(300..4_000),
            retention_ms: if rng.random() {
                -1
            } else {
                rng.random_range(100..20_000)
            },
            retention_bytes: if rng.random() {
                -1
            } else {
                rng.random_range(500..5_000)
            },
            compacts: rng.random_ratio(1, 3),
            interrupted_compactions: 1,
            lost_answers,
            faults,
        }
    }

    /// Has a step come often.
    pub(super) fn favour(&mut self, step: Step) {
        self.weights.push((step, 5));
    }

    pub(super) fn next(&self, rng: &mut StdRng) -> Step {
        let all: u32 = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut at = rng.random_range(0..all);
        for (step, weight) in &self.weights {
            if at < *weight {
                return *step;
            }
            at -= weight;
        }
        Step::Sync
    }
}
