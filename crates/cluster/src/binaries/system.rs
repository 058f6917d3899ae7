//! Binaries that the machine has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Binaries, OLDEST_MAJOR};
use crate::account::Account;

/// Distributions' and Homebrew's folders; `*` is one version.
const FOLDERS: [(&str, &str); 6] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr/lib64/pgsql", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "bin"),
];

/// The newest of `major`, else the newest that is new enough, that Postgres' user can reach.
pub(super) fn newest(major: Option<u32>, account: &Account) -> Option<Binaries> {
    places()
        .iter()
        .filter_map(|place| Binaries::at(place))
        .filter(|found| match major {
            Some(major) => found.major == major,
            None => found.major >= OLDEST_MAJOR,
        })
        .filter(|found| account.barred_from(&found.bin).is_none())
        .max_by_key(|found| numbers(&found.version))
}

/// Every folder that may hold a `postgres`.
pub(super) fn places() -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = Vec::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    places.extend(std::env::split_paths(&path).filter(|folder| folder.join("postgres").is_file()));
    for (folder, bin) in FOLDERS {
        places.extend(
            fs::read_dir(folder)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path().join(bin))
                .filter(|bin| bin.join("postgres").is_file()),
        );
    }
    places.extend(pg_config());
    places.extend([
        PathBuf::from("/usr/pgsql/bin"),
        PathBuf::from("/usr/local/pgsql/bin"),
    ]);
    let mut places: Vec<PathBuf> = places.iter().map(|place| resolved(place)).collect();
    places.sort();
    places.dedup();
    places
}

/// Versions as numbers, so that 18.10 is newer than 18.9.
pub(super) fn numbers(version: &str) -> Vec<u32> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let bin = PathBuf::from(text.trim());
    bin.join("postgres").is_file().then_some(bin)
}

fn resolved(place: &Path) -> PathBuf {
    place.canonicalize().unwrap_or_else(|_| place.to_owned())
}
