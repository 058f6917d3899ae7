//! Meta's body, taken apart: body → entries → changes, each step on its own, so
//! that what cannot be read spoils no more than itself. Never fails and never
//! panics: what is not known is said to be [`Unrecognized`].
//!
//! Bodies come in these shapes:
//!
//! ```text
//! {"object":"…","entry":[{"id":"…","time":…,"changes":[{"field":"…","value":{…}}]}]}
//! {"object":"…","entry":[{"id":"…","time":…,"changed_fields":["…"]}]}
//! ```
//!
//! The first is what Meta sends to subscriptions that include values, the second
//! to others. Our relay leaves `object` out.

mod shape;
mod value;

use std::borrow::Cow;

use compline_event::AdAccountId;
use serde::Deserialize;
use serde_json::value::RawValue;
use time::{Duration, OffsetDateTime};

use crate::change::{Alone, Change, Unrecognized};
use shape::{Place, Told};
pub(crate) use value::clean;

/// Meta sends up to 1000; what a body carries beyond this is passed over, for
/// one record's outputs must fit into one transaction.
pub(crate) const CHANGES_MAX: usize = 5_000;

/// Largest change that is read, in bytes; Meta's have some hundred. Changes that
/// wait are kept in the sender's bytes, and are read many at once.
const CHANGE_BYTES_MAX: usize = 65_536;

/// A stamp further ahead of our clock would be a version that nothing ever
/// overtakes: the ad would stand still.
const AHEAD_MAX: Duration = Duration::hours(24);

/// Longest name of an object or a field that is repeated to people, in bytes.
const NAME_MAX: usize = 100;

/// One change of a body, or one part of it that could not be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part<'a> {
    /// Its place among the body's parts, from 0.
    pub(crate) ordinal: u32,
    pub(crate) read: Result<Change<'a>, Unrecognized>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    entry: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    changes: Option<&'a RawValue>,
    #[serde(borrow)]
    changed_fields: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Field<'a> {
    #[serde(borrow)]
    field: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    changed_fields: Option<&'a RawValue>,
}

/// Reads a body that was recorded at `recorded_at`.
pub(crate) fn parse(body: &[u8], recorded_at: OffsetDateTime) -> Vec<Part<'_>> {
    let mut reading = Reading {
        parts: Vec::new(),
        recorded_at,
    };
    reading.body(body);
    reading.parts
}

struct Reading<'a> {
    parts: Vec<Part<'a>>,
    recorded_at: OffsetDateTime,
}

impl<'a> Reading<'a> {
    fn body(&mut self, bytes: &'a [u8]) {
        let unread = |problem: String| Unrecognized {
            problem,
            ..Default::default()
        };
        let body = match serde_json::from_slice::<&'a RawValue>(bytes) {
            Ok(raw) => match map::<Body<'a>>(raw) {
                Some(body) => body,
                None => return self.push(Err(unread("the body is not a JSON object".into()))),
            },
            Err(error) => return self.push(Err(unread(format!("not JSON: {error}")))),
        };
        let object = match body.object.map(text) {
            None => None,
            Some(Some(object)) => Some(object),
            Some(None) => return self.push(Err(unread("object is not a string".into()))),
        };
        let name = object.clone().unwrap_or_default();
        let Some(entries) = body.entry.and_then(list) else {
            return self.push(Err(Unrecognized {
                object: clean(&name, NAME_MAX),
                ..unread("entry is not a list".into())
            }));
        };
        if entries.is_empty() {
            return self.push(Err(Unrecognized {
                object: clean(&name, NAME_MAX),
                ..unread("entry is empty".into())
            }));
        }
        for entry in entries {
            if !self.entry(object.as_deref(), body.object, entry) {
                return;
            }
        }
    }

    /// `false` when the body carries more than is read.
    fn entry(
        &mut self,
        object: Option<&str>,
        raw_object: Option<&'a RawValue>,
        raw: &'a RawValue,
    ) -> bool {
        let mut unread = Unrecognized {
            object: clean(object.unwrap_or_default(), NAME_MAX),
            ..Default::default()
        };
        let Some(entry) = map::<Entry<'a>>(raw) else {
            unread.problem = "entry is not a JSON object".into();
            self.push(Err(unread));
            return true;
        };
        let id = entry.id.and_then(value::id);
        if object != Some(shape::APPLICATION) {
            unread.account = id.as_deref().and_then(|id| id.parse::<AdAccountId>().ok());
        }
        let at = match value::time(entry.time) {
            Ok(at) if at > self.recorded_at + AHEAD_MAX => {
                Err("entry.time lies more than a day ahead")
            }
            other => other,
        };
        unread.at = at.ok();
        let (id, at) = match (id, at) {
            (Some(id), Ok(at)) => (id, at),
            (None, _) => {
                unread.problem = "entry.id is missing, or neither a string nor a number".into();
                self.push(Err(unread));
                return true;
            }
            (_, Err(problem)) => {
                unread.problem = problem.into();
                self.push(Err(unread));
                return true;
            }
        };
        let place = Place {
            object,
            entry_id: &id,
            account: unread.account.clone(),
            at,
        };
        let around = |change| Alone {
            object: raw_object.map(RawValue::get),
            id: entry.id.map_or("", RawValue::get),
            time: entry.time.map_or("", RawValue::get),
            change,
        };
        let changes = entry.changes.map(list);
        let fields = entry.changed_fields.map(list);
        if !matches!(
            (&changes, &fields),
            (Some(Some(_)), None | Some(Some(_))) | (None, Some(Some(_)))
        ) {
            unread.problem = "entry carries no list of changes".into();
            self.push(Err(unread));
            return true;
        }
        let changes = changes.flatten().unwrap_or_default();
        let fields = fields.flatten().unwrap_or_default();
        if changes.is_empty() && fields.is_empty() {
            unread.problem = "entry carries no changes".into();
            self.push(Err(unread));
            return true;
        }
        for change in changes {
            if self.is_full(&unread) {
                return false;
            }
            let read = read_change(&place, &unread, change, around(change.get().into()));
            self.push(read);
        }
        for field in fields {
            if self.is_full(&unread) {
                return false;
            }
            let alone = around(Cow::Owned(format!(r#"{{"field":{}}}"#, field.get())));
            self.push(match text(field) {
                Some(field) => place.read(&field, Told::Nothing, &unread, alone),
                None => Err(Unrecognized {
                    problem: "changed_fields holds more than names".into(),
                    ..unread.clone()
                }),
            });
        }
        true
    }

    fn is_full(&mut self, unread: &Unrecognized) -> bool {
        let full = self.parts.len() >= CHANGES_MAX;
        if full {
            self.push(Err(Unrecognized {
                problem: format!("more than {CHANGES_MAX} changes; the rest is passed over"),
                ..unread.clone()
            }));
        }
        full
    }

    fn push(&mut self, read: Result<Change<'a>, Unrecognized>) {
        let ordinal = u32::try_from(self.parts.len()).expect("CHANGES_MAX, and one a body's byte");
        self.parts.push(Part { ordinal, read });
    }
}

fn read_change<'a>(
    place: &Place<'_>,
    unread: &Unrecognized,
    raw: &'a RawValue,
    alone: Alone<'a>,
) -> Result<Change<'a>, Unrecognized> {
    let problem = |problem: &str| Unrecognized {
        problem: problem.into(),
        ..unread.clone()
    };
    let length = raw.get().len();
    if length > CHANGE_BYTES_MAX {
        let too_long = format!("change has {length} bytes; {CHANGE_BYTES_MAX} at most are read");
        return Err(problem(&too_long));
    }
    let change = map::<Field<'_>>(raw).ok_or_else(|| problem("change is not a JSON object"))?;
    let field = change
        .field
        .and_then(text)
        .ok_or_else(|| problem("change names no field"))?;
    let told = match (change.value, change.changed_fields) {
        (Some(value), _) => Told::Value(value),
        (None, Some(fields)) => Told::Fields(fields),
        (None, None) => Told::Nothing,
    };
    place.read(&field, told, unread, alone)
}

/// serde would take a list for a struct.
fn map<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    let text = raw.get();
    if !text.starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn list(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}
