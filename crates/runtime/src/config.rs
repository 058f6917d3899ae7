//! Settings: a commented file, the environment over it, the command line over both.
//!
//! | layer, later wins | example |
//! |---|---|
//! | defaults ([`Layers::defaults`]) | the commented default file, compiled in |
//! | file ([`Layers::file`]) | `[ingress]` / `port = 8080` |
//! | environment ([`Layers::env`]) | `COMPLINE_INGRESS__PORT=8080`, lists as `'["a", "b"]'` |
//! | overrides ([`Layers::set`]) | `("ingress.port", "8080")` |
//!
//! Mark every settings struct `#[serde(deny_unknown_fields)]`; a key that nobody reads is then
//! refused by name. Durations are `#[serde(with = "compline_runtime::config::duration")]`, sizes
//! `#[serde(with = "compline_runtime::config::byte_size")]`, secrets [`Secret`].

pub mod address;
pub mod byte_size;
pub mod check;
mod de;
pub mod duration;
mod environment;
mod error;
mod secret;

use std::path::{Path, PathBuf};

use ::config::{Config, File, FileFormat, Value, ValueKind};
use serde::de::{DeserializeOwned, Error as _};

pub use error::ConfigError;
pub use secret::Secret;

use environment::parse;

/// Values of the compiled-in layer have no origin of their own.
const DEFAULTS_ORIGIN: &str = "the defaults";
const OVERRIDE_ORIGIN: &str = "the command line";

/// Loads `T` from an optional file, the environment under `env_prefix`, and `overrides`
/// (dotted key, value). See [`Layers`] for more than that.
pub fn load<T: DeserializeOwned>(
    file: Option<&Path>,
    env_prefix: &str,
    overrides: &[(&str, &str)],
) -> Result<T, ConfigError> {
    let mut layers = Layers::new();
    if let Some(file) = file {
        layers = layers.file(file);
    }
    layers = layers.env(env_prefix);
    for (key, value) in overrides {
        layers = layers.set(*key, *value);
    }
    layers.load()
}

/// Where settings come from; each kind of layer wins over the one above it in the module's table.
#[derive(Debug, Default)]
pub struct Layers {
    defaults: Option<String>,
    file: Option<PathBuf>,
    env: Option<environment::Environment>,
    not_settings: Vec<String>,
    overrides: Vec<(String, String)>,
}

impl Layers {
    pub fn new() -> Self {
        Self::default()
    }

    /// TOML that is compiled in.
    pub fn defaults(mut self, toml: impl Into<String>) -> Self {
        self.defaults = Some(toml.into());
        self
    }

    /// A TOML file; it must exist.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// This process's variables that start with `prefix` and `_`; `__` goes one level down.
    pub fn env(self, prefix: &str) -> Self {
        let vars = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        self.env_from(prefix, vars)
    }

    /// As [`Layers::env`], from given variables.
    pub fn env_from(
        mut self,
        prefix: &str,
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        self.env = Some(environment::Environment::new(prefix, vars));
        self
    }

    /// Variables under the prefix that mean something else (say, a flag of the command line), by
    /// their full names; without this they would be refused as unknown keys.
    pub fn not_settings<'a>(mut self, variables: impl IntoIterator<Item = &'a str>) -> Self {
        self.not_settings
            .extend(variables.into_iter().map(str::to_owned));
        self
    }

    /// One key, dotted, as the command line gave it.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.overrides.push((key.into(), value.into()));
        self
    }

    /// Reads all layers into a `T`.
    pub fn load<T: DeserializeOwned>(self) -> Result<T, ConfigError> {
        self.load_checked(|_| Ok(()))
    }

    /// As [`Layers::load`]; `check` refuses what no type could. The key that it names is said to
    /// come from the layer that set it.
    pub fn load_checked<T: DeserializeOwned>(
        self,
        check: impl FnOnce(&T) -> Result<(), ConfigError>,
    ) -> Result<T, ConfigError> {
        let file = self.file.as_ref().map(|path| path.display().to_string());
        let merged = self.merge()?;
        T::deserialize(de::Node(merged.clone()))
            .and_then(|settings| check(&settings).map(|()| settings))
            .map_err(|error| {
                let origin = error.key().and_then(|key| origin(&merged, key));
                let otherwise = match (&error, &file) {
                    // An empty table, in which nothing has an origin; the defaults have no key
                    // that is unknown.
                    (ConfigError::Unknown { .. }, Some(file)) => file,
                    _ => DEFAULTS_ORIGIN,
                };
                error.at_origin(Some(origin.unwrap_or(otherwise)))
            })
    }

    fn merge(self) -> Result<Value, ConfigError> {
        let mut builder = Config::builder();
        if let Some(text) = self.defaults {
            check_toml(&text, "the built-in defaults")?;
            builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
        }
        if let Some(path) = self.file {
            let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::File {
                path: path.clone(),
                source,
            })?;
            check_toml(&text, &path.display().to_string())?;
            builder = builder.add_source(File::from(path).format(FileFormat::Toml));
        }
        if let Some(env) = self.env {
            builder = builder.add_source(env.without(&self.not_settings));
        }
        for (key, value) in self.overrides {
            builder = builder
                .set_override(
                    &key,
                    Value::new(Some(&OVERRIDE_ORIGIN.to_owned()), parse(&value)),
                )
                .map_err(|_| ConfigError::Key { key })?;
        }
        // Files were read and keys checked above, so this is only about a file changed meanwhile,
        // and the parser's own message quotes it.
        let settings = builder
            .build()
            .map_err(|_| ConfigError::custom("the layers cannot be merged"))?;
        Ok(settings.cache)
    }
}

/// The layer that set `key`, as far as there is one.
fn origin<'a>(merged: &'a Value, key: &str) -> Option<&'a str> {
    let (mut node, mut rest) = (merged, key);
    while let ValueKind::Table(table) = &node.kind {
        // A quoted key may have dots of its own.
        let (part, below) = match table.contains_key(rest) {
            true => (rest, ""),
            false => rest.split_once('.').unwrap_or((rest, "")),
        };
        let name = part.split('[').next().unwrap_or(part);
        let Some(next) = table.get(name) else { break };
        (node, rest) = (next, below);
    }
    set_by(node)
}

/// A table is of whoever set something in it; what the defaults set has no origin.
fn set_by(node: &Value) -> Option<&str> {
    match &node.kind {
        ValueKind::Table(table) => table.values().find_map(set_by),
        _ => node.origin(),
    }
}

/// Parses once only to say where the file is wrong: the parser's own message quotes the line, and
/// the line may hold a secret.
fn check_toml(text: &str, origin: &str) -> Result<(), ConfigError> {
    let Err(error) = toml::from_str::<toml::Table>(text) else {
        return Ok(());
    };
    let before = error
        .span()
        .and_then(|span| text.get(..span.start))
        .unwrap_or_default();
    Err(ConfigError::Syntax {
        origin: origin.to_owned(),
        line: before.matches('\n').count() + 1,
        problem: error.message().to_owned(),
    })
}
