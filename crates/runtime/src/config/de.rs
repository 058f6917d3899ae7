//! From merged layers into a settings struct, with an error for each way that a value can be wrong.
//!
//! The `config` crate can do this too, but does not say what an enum or a field of ours expected,
//! takes `true` for a port, and loses the origin of a value that our own types refuse.

use std::fmt;

use config::{Value, ValueKind};
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::ConfigError;
use super::error::one_of;

/// One value of the layers. Text becomes a number or truth value where the field is one, because
/// the environment has only text.
pub(super) struct Node(pub(super) Value);

impl Node {
    /// Whole numbers in the field's range, so that the error can name it.
    fn whole(self, low: i128, high: i128) -> Result<i128, ConfigError> {
        let number = match &self.0.kind {
            ValueKind::I64(number) => Some(i128::from(*number)),
            ValueKind::U64(number) => Some(i128::from(*number)),
            ValueKind::I128(number) => Some(*number),
            ValueKind::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number
            .filter(|number| (low..=high).contains(number))
            .ok_or_else(|| self.refused(format_args!("a whole number from {low} to {high}")))
    }

    /// What it is, without what it says.
    fn kind(&self) -> &'static str {
        match self.0.kind {
            ValueKind::Nil => "nothing",
            ValueKind::Array(_) => "a list",
            ValueKind::Table(_) => "a table",
            ValueKind::String(_) => "text",
            _ => "a single value",
        }
    }

    fn refused(&self, expected: impl fmt::Display) -> ConfigError {
        let found = match &self.0.kind {
            ValueKind::String(text) => format!("{text:?}"),
            ValueKind::Nil | ValueKind::Array(_) | ValueKind::Table(_) => self.kind().to_owned(),
            plain => format!("`{plain}`"),
        };
        ConfigError::custom(format_args!("found {found}, expected {expected}"))
    }
}

macro_rules! whole {
    ($($method:ident $type:ident $visit:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
            let number = self.whole($type::MIN.into(), $type::MAX.into())?;
            visitor.$visit($type::try_from(number).expect("the range was checked"))
        }
    )*};
}

impl<'de> Deserializer<'de> for Node {
    type Error = ConfigError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        match self.0.kind {
            ValueKind::Nil => visitor.visit_unit(),
            ValueKind::Boolean(truth) => visitor.visit_bool(truth),
            ValueKind::I64(number) => visitor.visit_i64(number),
            ValueKind::I128(number) => visitor.visit_i128(number),
            ValueKind::U64(number) => visitor.visit_u64(number),
            ValueKind::U128(number) => visitor.visit_u128(number),
            ValueKind::Float(number) => visitor.visit_f64(number),
            ValueKind::String(text) => visitor.visit_string(text),
            ValueKind::Array(list) => visitor.visit_seq(List(list.into_iter().enumerate())),
            ValueKind::Table(table) => visitor.visit_map(Table {
                entries: table.into_iter(),
                value: None,
            }),
        }
    }

    whole! {
        deserialize_i8 i8 visit_i8, deserialize_i16 i16 visit_i16, deserialize_i32 i32 visit_i32,
        deserialize_i64 i64 visit_i64, deserialize_u8 u8 visit_u8, deserialize_u16 u16 visit_u16,
        deserialize_u32 u32 visit_u32, deserialize_u64 u64 visit_u64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        match &self.0.kind {
            ValueKind::Boolean(truth) => visitor.visit_bool(*truth),
            ValueKind::String(text) if text == "true" => visitor.visit_bool(true),
            ValueKind::String(text) if text == "false" => visitor.visit_bool(false),
            _ => Err(self.refused("true or false")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        let number = match &self.0.kind {
            ValueKind::Float(number) => Some(*number),
            ValueKind::I64(number) => Some(*number as f64),
            ValueKind::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number.filter(|number| number.is_finite()) {
            Some(number) => visitor.visit_f64(number),
            None => Err(self.refused("a number")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.deserialize_f64(visitor)
    }

    /// Plain values are their text: `max_body = 4096` needs no quotes.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        match self.0.kind {
            ValueKind::String(text) => visitor.visit_string(text),
            ValueKind::Nil | ValueKind::Array(_) | ValueKind::Table(_) => Err(self.refused("text")),
            plain => visitor.visit_string(plain.to_string()),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        match self.0.kind {
            ValueKind::Nil => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        match self.0.kind {
            ValueKind::String(text) => {
                StringDeserializer::new(text).deserialize_enum(name, variants, visitor)
            }
            ValueKind::Table(table) => MapAccessDeserializer::new(Table {
                entries: table.into_iter(),
                value: None,
            })
            .deserialize_enum(name, variants, visitor),
            _ => Err(self.refused(one_of(variants))),
        }
    }

    /// What stands in a list's place is not quoted: it may be a secret without its brackets.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        if let ValueKind::Array(_) = self.0.kind {
            return self.deserialize_any(visitor);
        }
        let expected = r#"a list such as '["one"]' or '["one", "another"]'"#;
        Err(ConfigError::invalid("", self.kind(), expected))
    }

    /// What stands in a table's place is not quoted: the table may be one of secrets.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        if let ValueKind::Table(_) = self.0.kind {
            return self.deserialize_any(visitor);
        }
        Err(ConfigError::invalid("", self.kind(), "a table of settings"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        self.deserialize_map(visitor)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

struct Table<I> {
    entries: I,
    value: Option<(String, Value)>,
}

impl<'de, I: Iterator<Item = (String, Value)>> MapAccess<'de> for Table<I> {
    type Error = ConfigError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ConfigError> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        let parsed = seed
            .deserialize(StringDeserializer::new(key.clone()))
            .map_err(|error: ConfigError| error.at_origin(value.origin()))?;
        self.value = Some((key, value));
        Ok(Some(parsed))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, ConfigError> {
        let (key, value) = self
            .value
            .take()
            .ok_or_else(|| ConfigError::custom("a value was asked for before its key"))?;
        let origin = value.origin().map(str::to_owned);
        seed.deserialize(Node(value))
            .map_err(|error| error.at_origin(origin.as_deref()).below(&key))
    }
}

struct List(std::iter::Enumerate<std::vec::IntoIter<Value>>);

impl<'de> SeqAccess<'de> for List {
    type Error = ConfigError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ConfigError> {
        let Some((index, value)) = self.0.next() else {
            return Ok(None);
        };
        let origin = value.origin().map(str::to_owned);
        seed.deserialize(Node(value)).map(Some).map_err(|error| {
            error
                .at_origin(origin.as_deref())
                .below(&format!("[{index}]"))
        })
    }
}
