//! Inputs that nobody should send: mutations of what is valid, by seed.
//!
//! The short form tries a fixed number of seeds, so that it fails for everybody or nobody; with
//! `FUZZ_SECONDS` new seeds are tried for that long. Seeds that once failed stand in a corpus file,
//! one a line, and are tried first. The log's own targets are in `crates/broker`.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng as _, rngs::StdRng};

/// Inputs of the short form.
const INPUTS: u64 = 1_500;

/// Tries one input after the other, each drawn from one seed.
///
/// # Panics
/// When an input does, with the seed to add to `corpus`.
pub fn fuzz(corpus: &str, try_one: impl Fn(&mut StdRng)) {
    let seconds = std::env::var("FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let from: u64 = match until {
        Some(_) => rand::random(),
        None => 0,
    };
    let kept = fs::read_to_string(corpus).unwrap_or_else(|error| panic!("{corpus}: {error}"));
    let kept = kept
        .lines()
        .map(|line| line.parse().expect("a seed a line"));
    let mut tried = 0;
    for seed in kept.chain((0..).map(|n| from.wrapping_add(n))) {
        if until.map_or(tried == INPUTS, |until| Instant::now() > until) {
            break;
        }
        tried += 1;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            try_one(&mut StdRng::seed_from_u64(seed));
        }));
        assert!(outcome.is_ok(), "add {seed} to {corpus} and mend it");
    }
    // For whoever runs it for long.
    eprintln!("{corpus}: {tried} inputs");
}

/// Does to bytes what transport and enemies do; `telling` are pieces that mean something there.
pub fn mutate(bytes: &mut Vec<u8>, telling: &[&[u8]], rng: &mut StdRng) {
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=bytes.len());
        let end = rng.random_range(at..=bytes.len().min(at + 64));
        match rng.random_range(0..7) {
            0 if at < end => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                let to = rng.random_range(0..=bytes.len());
                bytes.splice(to..to, again);
            }
            4 => bytes.extend((0..rng.random_range(1..80)).map(|_| rng.random::<u8>())),
            _ if telling.is_empty() => {}
            // In the place of something, or in between.
            n => {
                let piece = telling[rng.random_range(0..telling.len())];
                let until = if n == 5 { end } else { at };
                bytes.splice(at..until, piece.iter().copied());
            }
        }
    }
}
