//! The environment as a layer of settings.
//!
//! The `config` crate has one too; this one keeps each variable's name as the origin, so that an
//! error can say which variable was wrong, and never guesses a type (a password `007` stays one).

use std::collections::BTreeMap;

use config::{Map, Source, Value, ValueKind};

/// Variables under one prefix.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    prefix: String,
    vars: BTreeMap<String, String>,
}

impl Environment {
    pub(super) fn new(prefix: &str, vars: impl IntoIterator<Item = (String, String)>) -> Self {
        let prefix = format!("{prefix}_");
        let vars = vars
            .into_iter()
            .filter(|(key, _)| key.starts_with(&prefix) && key.len() > prefix.len())
            .collect();
        Self { prefix, vars }
    }

    pub(super) fn without(mut self, names: &[String]) -> Self {
        for name in names {
            self.vars.remove(name);
        }
        self
    }
}

impl Source for Environment {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        let mut settings = Map::new();
        for (name, text) in &self.vars {
            let key = name[self.prefix.len()..].to_lowercase().replace("__", ".");
            let origin = format!("environment variable {name}");
            settings.insert(key, Value::new(Some(&origin), parse(text)));
        }
        Ok(settings)
    }
}

/// Text stays text (the field's type decides later), except a TOML list: a list has no other way in.
pub(super) fn parse(text: &str) -> ValueKind {
    if !text.trim_start().starts_with('[') {
        return ValueKind::String(text.to_owned());
    }
    #[derive(serde::Deserialize)]
    struct List {
        list: Vec<toml::Value>,
    }
    match toml::from_str::<List>(&format!("list = {text}")) {
        Ok(List { list }) => ValueKind::Array(list.into_iter().map(from_toml).collect()),
        Err(_) => ValueKind::String(text.to_owned()),
    }
}

fn from_toml(value: toml::Value) -> Value {
    let kind = match value {
        toml::Value::String(text) => ValueKind::String(text),
        toml::Value::Integer(number) => ValueKind::I64(number),
        toml::Value::Float(number) => ValueKind::Float(number),
        toml::Value::Boolean(truth) => ValueKind::Boolean(truth),
        toml::Value::Datetime(at) => ValueKind::String(at.to_string()),
        toml::Value::Array(list) => ValueKind::Array(list.into_iter().map(from_toml).collect()),
        toml::Value::Table(table) => ValueKind::Table(
            table
                .into_iter()
                .map(|(key, value)| (key, from_toml(value)))
                .collect(),
        ),
    };
    Value::new(None, kind)
}
