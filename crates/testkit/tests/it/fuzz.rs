//! What strangers and other builds may send, damaged. Nothing panics, and memory stays bounded by
//! what came in.
//!
//! | target | what is mutated | what must hold |
//! |---|---|---|
//! | `envelopes` | the golden bytes of every event | an error, or an event that is written as it reads |
//! | `webhooks` | the sample deliveries | a key; a decision, which Postgres can store |
//! | `page_tokens` | tokens of pages, watches and positions | a refusal, or what is written as it reads |
//! | `filters` | filters of every operator | a refusal with its place, or a filter that `NOT` turns round |
//!
//! `dev/fuzz-input` runs them for long, and the settings with them.

mod envelopes;
mod filters;
mod page_tokens;
mod webhooks;

use std::{fs, path::Path};

fn corpus(target: &str) -> String {
    format!("{}/corpus/{target}", env!("CARGO_MANIFEST_DIR"))
}

/// The files of a folder of the workspace, those with this extension.
fn files(folder: &str, extension: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    // The same seed is the same input on every machine.
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
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
