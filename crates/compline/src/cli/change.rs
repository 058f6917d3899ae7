//! What the commands that change something have in common.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::Args;
use compline_api::query::Position;
use prost::Name;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    client::{Target, token_text},
    output::Output,
    street::PrivateFile,
    wire_json,
};

/// Of every command that changes something.
#[derive(Debug, Args)]
pub(super) struct Request {
    /// A UUID; the same call with the same one does nothing and gives the first answer. Take another
    /// for another call
    /// [default: a new one]
    #[arg(long, value_name = "UUID")]
    pub(super) request_id: Option<Uuid>,
}

impl Request {
    pub(super) fn id(&self) -> String {
        self.request_id.unwrap_or_else(Uuid::now_v7).to_string()
    }
}

#[derive(Debug, Args)]
pub(super) struct Expect {
    /// Only when it is at this version
    #[arg(long, value_name = "N")]
    pub(super) expected_version: Option<u64>,
}

/// The token of a command's answer, which is kept for the next reads.
pub(super) fn kept(target: &Target, token: &[Position], out: &mut Output) -> Result<String> {
    // The command has been carried out, whatever becomes of its token.
    if let Err(error) = target.keep_token(token) {
        out.note(&format!("the next reads will not wait: {error:#}"))?;
    }
    Ok(token_text(token))
}

/// A command's answer for machines.
pub(super) fn json_of(what: &str, message: &impl Name, token: &str, unchanged: bool) -> Value {
    json!({ what: wire_json::api(message), "token": token, "unchanged": unchanged })
}

/// Where a new key goes. It is shown once: on the screen, or in a file that only its
/// owner reads.
#[derive(Debug, Args)]
pub(super) struct KeyFile {
    /// Write the key to this file (mode 0600) instead of printing it
    #[arg(long, value_name = "FILE")]
    write_key: Option<PathBuf>,
    /// Write over the file when there is one: the key in it is lost
    #[arg(long, requires = "write_key")]
    force: bool,
}

impl KeyFile {
    /// To be asked before the key is made: afterwards it would be lost.
    pub(super) fn prepare(self) -> Result<KeyPlace> {
        let Some(path) = self.write_key else {
            return Ok(KeyPlace::Screen);
        };
        ensure!(
            self.force || !path.try_exists()?,
            "{} is there already and may hold a key; name another file, or write over it with --force",
            path.display()
        );
        PrivateFile::prepare(&path).map(KeyPlace::File)
    }
}

/// What takes a new key.
#[derive(Debug)]
pub(super) enum KeyPlace {
    Screen,
    File(PrivateFile),
}

impl KeyPlace {
    /// What to tell of the key. The error of a file that fails all the same shows the
    /// key, for nobody can be asked for it again.
    pub(super) fn deliver(self, secret: &str) -> Result<String> {
        if secret.is_empty() {
            return Ok("(shown once already: this request was a repetition)".to_owned());
        }
        let file = match self {
            KeyPlace::Screen => return Ok(secret.to_owned()),
            KeyPlace::File(file) => file,
        };
        let shown = format!("in {}", file.path().display());
        match file.write(&format!("{secret}\n")) {
            Ok(()) => Ok(shown),
            Err(error) => bail!("{error:#}; the key is made, and shown this once: {secret}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

    use super::*;

    fn prepare(path: &Path, force: bool) -> Result<KeyPlace> {
        let write_key = Some(path.to_owned());
        KeyFile { write_key, force }.prepare()
    }

    fn refused(path: &Path, force: bool) -> String {
        format!("{:#}", prepare(path, force).unwrap_err())
    }

    #[test]
    fn a_place_that_takes_no_key_is_refused_before_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        fs::write(&key, "old").unwrap();
        assert!(refused(&key, false).contains("--force"));
        for (path, reason) in [
            (folder.path().join("missing/key"), "No such file"),
            (key.join("key"), "Not a directory"),
            (folder.path().to_owned(), "is a directory"),
        ] {
            let said = refused(&path, true);
            assert!(said.contains(path.to_str().unwrap()), "{said}");
            assert!(said.contains(reason), "{said}");
        }

        // Until the key comes, the old one stands; a request that fails leaves nothing.
        drop(prepare(&key, true).unwrap());
        assert_eq!(fs::read_to_string(&key).unwrap(), "old");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);

        let place = prepare(&key, true).unwrap();
        let shown = place.deliver("cpl_new").unwrap();
        assert_eq!(shown, format!("in {}", key.display()));
        assert_eq!(fs::read_to_string(&key).unwrap(), "cpl_new\n");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode(), 0o100_600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_key_whose_file_fails_all_the_same_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let place = prepare(&folder.path().join("key"), false).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let said = place.deliver("cpl_new").unwrap_err().to_string();
        assert!(
            said.contains("No such file") && said.contains("cpl_new"),
            "{said}"
        );
    }
}
