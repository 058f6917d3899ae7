//! Scripts of the project's that fetch, once, what a row needs beside Rust.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};

/// The folder that a script prints, which is named from the crate's own.
pub(crate) async fn folder_from(script: &str, arguments: &[&str]) -> Result<PathBuf> {
    let script = path(script);
    let told = tokio::process::Command::new(&script)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .await
        .with_context(|| format!("{}", script.display()))?;
    ensure!(told.status.success(), "{} failed", script.display());
    Ok(PathBuf::from(String::from_utf8(told.stdout)?.trim()))
}

/// A file beside the crate's manifest.
pub(crate) fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}
