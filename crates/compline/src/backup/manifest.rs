//! What a backup says of itself.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use compline_ad::AdEngine;
use compline_engine::{Engine as _, checkpoint_name};
use compline_readmodel::{Projection as _, generation};
use serde::{Deserialize, Serialize};
use sqlx::migrate::Migrator;
use time::OffsetDateTime;

use crate::street::write_private;

/// Raised when an older program could not restore what a newer one wrote.
pub(super) const FORMAT: u32 = 1;

const NAME: &str = "backup.json";

/// What stands in `backup.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The version that wrote it.
    pub compline: String,
    /// For people.
    pub taken_from: String,
    /// Kafka's name of the cluster whose log it is.
    pub log_id: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub began_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub finished_at: OffsetDateTime,
    /// Of all topics of the log.
    pub topic_prefix: String,
    /// Of the PostgreSQL that the tables were in. Any other takes them.
    pub server_version: String,
    /// How far each reader had come: `reader g1 topic/partition` → the next offset.
    pub positions: BTreeMap<String, i64>,
    /// In the order in which they are loaded.
    pub schemas: Vec<SchemaFacts>,
    pub log: Vec<PartitionFacts>,
    pub files: Vec<FileFacts>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SchemaFacts {
    pub name: String,
    /// A projection, or `engine:<name>`; absent for the protocol's own tables.
    pub owner: Option<String>,
    /// The migrations that its tables went through, with their sums.
    pub migrations: BTreeMap<i64, String>,
    /// In the order in which foreign keys allow to fill them.
    pub tables: Vec<TableFacts>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableFacts {
    pub name: String,
    /// Without generated ones.
    pub columns: Vec<String>,
    pub rows: u64,
}

/// One partition of the log, compared record by record with the one it was copied from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartitionFacts {
    pub topic: String,
    pub partition: i32,
    pub start: i64,
    pub end: i64,
    pub records: u64,
    /// Over offset, time, key, value and headers of every record.
    pub sha256: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileFacts {
    /// Below the backup's folder.
    pub path: String,
    pub bytes: u64,
    pub sha256: String,
}

/// A backup that is not restored. Nothing was made for it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(
        "{} is no backup, or one that was not finished: it has no {NAME}", .folder.display()
    )]
    NotWhole { folder: PathBuf },
    #[error(
        "{} is a backup of format {found}, written by compline {writer}; this build knows \
         {FORMAT}: restore it with that version or a newer one", .folder.display()
    )]
    NewerFormat {
        folder: PathBuf,
        found: u64,
        writer: String,
    },
    #[error(
        "the backup's tables {schema} went through migration {migration}, which this build \
         does not have: restore it with compline {writer} or a newer one"
    )]
    OtherTables {
        schema: String,
        migration: i64,
        writer: String,
    },
    #[error("the backup's {} is missing", .path.display())]
    Missing { path: PathBuf },
    #[error(
        "the backup's {} is damaged: {expected_bytes} bytes with the SHA-256 {expected} were \
         written, {found_bytes} with {found} are there", .path.display()
    )]
    Damaged {
        path: PathBuf,
        expected: String,
        expected_bytes: u64,
        found: String,
        found_bytes: u64,
    },
}

pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// From here on the folder is no backup, whatever happens.
pub(super) fn withdraw(folder: &Path) -> io::Result<()> {
    match fs::remove_file(path_in(folder)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => File::open(folder)?.sync_all(),
    }
}

impl Manifest {
    /// Of a backup that this build can restore; its files are yet to be looked at.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = path_in(folder);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = folder.to_owned();
                return Err(Refused::NotWhole { folder }.into());
            }
            text => text.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let unread = || format!("{} does not say what the backup holds", path.display());
        let value: serde_json::Value = serde_json::from_str(&text).with_context(unread)?;
        if let Some(found) = value["format"].as_u64()
            && found > u64::from(FORMAT)
        {
            return Err(Refused::NewerFormat {
                folder: folder.to_owned(),
                found,
                writer: value["compline"].as_str().unwrap_or("?").to_owned(),
            }
            .into());
        }
        let manifest: Self = serde_json::from_value(value).with_context(unread)?;
        for schema in &manifest.schemas {
            manifest.migrator(schema)?;
        }
        Ok(manifest)
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        write_private(&path_in(folder), &format!("{text}\n"))
    }

    /// What makes a schema's tables, when it has all that they went through.
    pub(super) fn migrator(&self, schema: &SchemaFacts) -> Result<Migrator, Refused> {
        let migrator = known(schema);
        for (version, checksum) in &schema.migrations {
            let has = |own: &&sqlx::migrate::Migration| {
                own.version == *version && hex::encode(&own.checksum) == *checksum
            };
            let found = migrator.as_ref().and_then(|own| own.iter().find(has));
            if found.is_none() {
                return Err(Refused::OtherTables {
                    schema: schema.name.clone(),
                    migration: *version,
                    writer: self.compline.clone(),
                });
            }
        }
        migrator.ok_or_else(|| Refused::OtherTables {
            schema: schema.name.clone(),
            migration: 0,
            writer: self.compline.clone(),
        })
    }

    pub fn rows(&self) -> u64 {
        let tables = self.schemas.iter().flat_map(|schema| &schema.tables);
        tables.map(|table| table.rows).sum()
    }

    pub fn records(&self) -> u64 {
        self.log.iter().map(|partition| partition.records).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Of the files below one of the backup's folders.
    pub fn bytes_below(&self, folder: &str) -> u64 {
        let below = |file: &&FileFacts| Path::new(&file.path).starts_with(folder);
        self.files.iter().filter(below).map(|file| file.bytes).sum()
    }
}

impl SchemaFacts {
    pub(super) fn last_migration(&self) -> i64 {
        self.migrations.keys().last().copied().unwrap_or_default()
    }
}

fn known(schema: &SchemaFacts) -> Option<Migrator> {
    match schema.owner.as_deref() {
        None if schema.name == generation::SCHEMA => Some(generation::migrator()),
        None if schema.name == compline_engine::SCHEMA => Some(compline_engine::migrator()),
        None => None,
        Some(compline_ad_status::NAME) => Some(compline_ad_status::AdStatus::migrator()),
        Some(compline_activity::NAME) => Some(compline_activity::ActivityTrail::migrator()),
        Some(compline_tenancy::NAME) => Some(compline_tenancy::Tenancy::migrator()),
        Some(owner) if owner == checkpoint_name(AdEngine::NAME) => Some(AdEngine::migrator()),
        Some(_) => None,
    }
}
