//! `compline backup check`: is it one to rely on?

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Args;
use tempfile::TempDir;

use super::{doing, done};
use crate::{
    backup::{self, Examined, Folder, Manifest},
    cli::projection::compare,
    client::Target,
    config::{Purpose, Settings},
    output::Output,
    role::ProjectionName,
    show,
    street::Street,
};

/// Both generations stand at the log's end, so nothing is waited for.
const WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct Check {
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Where it is restored to and removed from; as large as the backup twice over
    /// [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Most differing rows shown of each table
    #[arg(long, value_name = "N", default_value_t = 10)]
    rows: usize,
}

impl Check {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let settings = Settings::load_for(Purpose::Up, target.config.as_deref())?;
        let scratch = Scratch::make(self.scratch.unwrap_or_else(std::env::temp_dir))?;
        let folder = Folder::at(&self.folder);
        let restored = backup::restore(&folder, &scratch.street, settings.clone(), &doing).await;
        done();
        let manifest = restored?;
        let examined = Examined::open(&scratch.street, settings, &manifest).await?;
        let equal = compare_all(&examined, &manifest, self.rows, out).await;
        done();
        let closed = examined.close().await;
        equal?;
        closed?;
        if !out.is_json() {
            out.line(format!(
                "\n{} is whole: {} files have their sums, {} records of the log their offsets, and \
                 every read model its rows",
                self.folder.display(),
                show::count(manifest.files.len() as u64),
                show::count(manifest.records()),
            ))?;
        }
        Ok(())
    }
}

async fn compare_all(
    examined: &Examined,
    manifest: &Manifest,
    rows: usize,
    out: &mut Output,
) -> Result<()> {
    examined.check_log(manifest).await?;
    for name in ProjectionName::ALL {
        let (mut steward, generation) = examined.rebuild(name, &doing).await?;
        done();
        if !out.is_json() {
            out.line(format!(
                "\n{} as it was copied, and folded anew",
                name.as_str()
            ))?;
        }
        compare::run(&mut steward, generation, rows, WITHIN, out)
            .await
            .with_context(|| format!("{} is not what the log says", name.as_str()))?;
    }
    Ok(())
}

/// A street's folder that goes when this is dropped.
struct Scratch {
    street: Street,
    _folder: TempDir,
}

impl Scratch {
    fn make(below: PathBuf) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("compline-check-")
            // Root's PostgreSQL runs as another user, who must pass.
            .permissions(Permissions::from_mode(0o711))
            .tempdir_in(&below)
            .with_context(|| format!("cannot make a folder in {}", below.display()))?;
        Ok(Self {
            street: Street::at(folder.path().join("data")),
            _folder: folder,
        })
    }
}

impl Drop for Scratch {
    /// Where PostgreSQL's user could not pass, its files stand elsewhere.
    fn drop(&mut self) {
        let location = self.street.postgres_folder().join("location");
        if let Ok(home) = fs::read_to_string(location) {
            let _ = fs::remove_dir_all(home.trim_end());
        }
    }
}
