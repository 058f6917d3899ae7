//! Bytes that nobody should send or find: mutations of what is valid, by seed. Nothing panics,
//! memory stays bounded by what came in, and what was synced is never lost in silence.
//!
//! | target | what is mutated | what must hold |
//! |---|---|---|
//! | `frames` | requests of every call in every version, made from their shapes | an answer or a refusal |
//! | `batches` | record batches of every codec | a check that passes only what can be read |
//! | `folders` | every kind of file of a stopped broker | an error, or all that was synced |
//!
//! `dev/fuzz-log` runs for long. Inputs that once failed stand in `corpus/`, by target, and are
//! tried first.

mod batches;
mod folders;
mod frames;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Inputs of the short form.
const INPUTS: u64 = 1_500;

/// Tries one input after the other, drawn from one seed each: those of the corpus, then new ones.
fn fuzz(target: &str, try_one: impl Fn(&mut StdRng)) {
    let seconds = std::env::var("FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let from: u64 = match until {
        Some(_) => rand::random(),
        None => 0,
    };
    let mut tried = 0;
    for seed in corpus(target)
        .into_iter()
        .chain((0..).map(|n| from.wrapping_add(n)))
    {
        if until.map_or(tried == INPUTS, |until| Instant::now() > until) {
            break;
        }
        tried += 1;
        let tried = catch_unwind(AssertUnwindSafe(|| {
            try_one(&mut StdRng::seed_from_u64(seed));
        }));
        assert!(
            tried.is_ok(),
            "{target}: add {seed} to corpus/{target} and mend it"
        );
    }
    println!("{target}: {tried} inputs");
}

/// One seed a line.
fn corpus(target: &str) -> Vec<u64> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("no corpus {path:?}"));
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Does to bytes what transport, disks and enemies do.
fn mutate(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    const TELLING: [&[u8]; 7] = [
        &[0xff; 4],
        &[0; 8],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x80, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 0x07],
        &[0x7f, 0xff],
        &[0xff; 10],
    ];
    for _ in 0..rng.random_range(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..7) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random(),
            2 => bytes.truncate(at),
            3 => {
                let telling = TELLING[rng.random_range(0..TELLING.len())];
                let end = (at + telling.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&telling[..end - at]);
            }
            4 => {
                let end = rng.random_range(at..bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let end = rng.random_range(at..bytes.len().min(at + 64));
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => bytes.extend((0..rng.random_range(1..80)).map(|_| rng.random::<u8>())),
        }
    }
}

/// Runs something that may hold at most so many bytes more than it began with.
fn within<T>(most: usize, work: impl FnOnce() -> T) -> T {
    let mut done = None;
    let used = allocation_counter::measure(|| done = Some(work()));
    assert!(
        used.bytes_max <= most as u64,
        "{} bytes were held, {most} are allowed",
        used.bytes_max
    );
    done.unwrap()
}
