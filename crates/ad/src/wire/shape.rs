//! What each (object, field) means. The table, with all the way to what people
//! see, is `docs/webhooks.md`.
//!
//! | object | field | value | is |
//! |---|---|---|---|
//! | ad_account | field_changed | object_id, object_type, changed_fields with effective_status | `Touched` that object |
//! | ad_account | effective_status | none | `Touched` the account: some object below it |
//! | ad_account | in_process_ad_objects | id, level, status_name | `Touched`: it *left* processing, to a status told in words |
//! | ad_account | with_issues_ad_objects | id, level, error_code, error_summary, error_message | `Issue` |
//! | application | ad_account | id, account_status, disable_reason | `Account` |
//! | – or ad_account | ad_status | ad_id, ad_account_id, status, old_status | `Status`; `Touched` without a status |
//!
//! Sources: Meta's pages "Effective status", "In-process ad objects" and
//! "With-issues ad objects" of its ads webhooks, and the reference of the object
//! `application`.

use compline_event::{AdAccountId, ad_events::Level};
use serde_json::{Value, value::RawValue};
use time::OffsetDateTime;

use super::{NAME_MAX, clean, list, text, value::Fields};
use crate::change::{AdObject, Alone, Change, Unrecognized, What, content_id};

pub(super) const AD_ACCOUNT: &str = "ad_account";
pub(super) const APPLICATION: &str = "application";

/// Bounds of what is kept of a sender's texts, in bytes.
const STATUS_MAX: usize = 128;
const CODE_MAX: usize = 64;
const SUMMARY_MAX: usize = 512;
const MESSAGE_MAX: usize = 4_096;
const PLACEMENTS_MAX: usize = 64;

/// Where in a body a change stands.
pub(super) struct Place<'p> {
    pub(super) object: Option<&'p str>,
    pub(super) entry_id: &'p str,
    /// The entry's id, where it is an ad account's.
    pub(super) account: Option<AdAccountId>,
    pub(super) at: OffsetDateTime,
}

/// How much the change says besides its field.
#[derive(Clone, Copy)]
pub(super) enum Told<'a> {
    Value(&'a RawValue),
    /// `changed_fields` beside the field instead of inside a value.
    Fields(&'a RawValue),
    Nothing,
}

impl Place<'_> {
    pub(super) fn read<'a>(
        &self,
        field: &str,
        told: Told<'_>,
        unread: &Unrecognized,
        alone: Alone<'a>,
    ) -> Result<Change<'a>, Unrecognized> {
        let unrecognized = |problem: String| Unrecognized {
            field: clean(field, NAME_MAX),
            problem: clean(&problem, SUMMARY_MAX),
            account: self
                .account_named(field, told)
                .or_else(|| unread.account.clone()),
            ..unread.clone()
        };
        let value = match told {
            Told::Value(raw) => match serde_json::from_str::<Value>(raw.get()) {
                Ok(value) => Some(value),
                Err(error) => return Err(unrecognized(format!("value does not parse: {error}"))),
            },
            Told::Fields(_) | Told::Nothing => None,
        };
        let fields = match &value {
            None => None,
            Some(Value::Object(fields)) => Some(Fields(fields)),
            Some(_) => return Err(unrecognized("value is not a JSON object".into())),
        };
        let (account, what) = match (self.object, field, fields) {
            (Some(APPLICATION), "ad_account", Some(value)) => self.account_status(value),
            (None | Some(AD_ACCOUNT), "ad_status", Some(value)) => self.ad_status(value),
            (Some(AD_ACCOUNT), "field_changed", Some(value)) => self.field_changed(value),
            (Some(AD_ACCOUNT), "in_process_ad_objects", Some(value)) => self.in_process(value),
            (Some(AD_ACCOUNT), "with_issues_ad_objects", Some(value)) => self.with_issues(value),
            (Some(AD_ACCOUNT), "effective_status", Some(value)) => self.effective_status(value),
            (Some(AD_ACCOUNT), "field_changed", None) => self.fields_changed(told),
            (
                Some(AD_ACCOUNT),
                "effective_status" | "in_process_ad_objects" | "with_issues_ad_objects",
                None,
            ) => self.something_below(),
            (Some(APPLICATION), "ad_account", None)
            | (None | Some(AD_ACCOUNT), "ad_status", None) => Err("value is missing".into()),
            _ => Err("this field of this object is not followed".into()),
        }
        .map_err(unrecognized)?;
        let content = match (&value, touched_without_value(field, &what)) {
            (Some(value), false) => {
                let object = self.object.unwrap_or_default();
                Some(content_id(object, self.entry_id, self.at, field, value))
            }
            _ => None,
        };
        Ok(Change {
            account,
            at: self.at,
            what,
            content,
            alone,
        })
    }

    fn account_status(&self, value: Fields<'_>) -> Result<(AdAccountId, What), String> {
        let account = account_of(value, "id")?;
        let status = value
            .number("account_status")?
            .ok_or("value.account_status is missing")?;
        let what = What::Account {
            status,
            disable_reason: value.number("disable_reason")?.unwrap_or(0),
        };
        Ok((account, what))
    }

    /// The ad's account is the one that the value names: a relay may gather the
    /// ads of several accounts in one entry.
    fn ad_status(&self, value: Fields<'_>) -> Result<(AdAccountId, What), String> {
        let account = if value.has("ad_account_id") {
            account_of(value, "ad_account_id")?
        } else {
            self.entry_account()?
        };
        let ad = AdObject {
            id: value.id("ad_id")?,
            level: value.level("level", Level::Ad)?,
        };
        let status = value.text("status", STATUS_MAX)?;
        let reason = value.text("reason", SUMMARY_MAX)?;
        if status.is_empty() {
            return Ok((account, What::Touched { ad, called: reason }));
        }
        let what = What::Status {
            ad,
            status,
            old_status: value.text("old_status", STATUS_MAX)?,
            reason,
            placements: value.texts("placements", PLACEMENTS_MAX, NAME_MAX)?,
        };
        Ok((account, what))
    }

    fn field_changed(&self, value: Fields<'_>) -> Result<(AdAccountId, What), String> {
        let changed = value.texts("changed_fields", usize::MAX, NAME_MAX)?;
        status_is_among(&changed)?;
        let ad = AdObject {
            id: value.id("object_id")?,
            level: value.level("object_type", Level::Unspecified)?,
        };
        let called = String::new();
        Ok((self.entry_account()?, What::Touched { ad, called }))
    }

    fn fields_changed(&self, told: Told<'_>) -> Result<(AdAccountId, What), String> {
        let Told::Fields(raw) = told else {
            return Err("value is missing".into());
        };
        let changed: Option<Vec<String>> =
            list(raw).and_then(|names| names.into_iter().map(text).collect());
        status_is_among(&changed.ok_or("changed_fields is not a list of names")?)?;
        self.something_below()
    }

    fn in_process(&self, value: Fields<'_>) -> Result<(AdAccountId, What), String> {
        let what = What::Touched {
            ad: ad_object(value)?,
            called: value.text("status_name", STATUS_MAX)?,
        };
        Ok((self.entry_account()?, what))
    }

    fn with_issues(&self, value: Fields<'_>) -> Result<(AdAccountId, What), String> {
        let what = What::Issue {
            ad: ad_object(value)?,
            error_code: value.text("error_code", CODE_MAX)?,
            summary: value.text("error_summary", SUMMARY_MAX)?,
            message: value.text("error_message", MESSAGE_MAX)?,
        };
        Ok((self.entry_account()?, what))
    }

    /// Meta's page does not show this shape; should it carry an object after all,
    /// it is that object which changed.
    fn effective_status(&self, value: Fields<'_>) -> Result<(AdAccountId, What), String> {
        if value.has("object_id") {
            return self.field_changed(value);
        }
        if value.has("id") {
            let called = String::new();
            let ad = ad_object(value)?;
            return Ok((self.entry_account()?, What::Touched { ad, called }));
        }
        self.something_below()
    }

    /// All that is known is the account.
    fn something_below(&self) -> Result<(AdAccountId, What), String> {
        let account = self.entry_account()?;
        let ad = AdObject {
            id: account.to_string(),
            level: Level::Account,
        };
        let called = String::new();
        Ok((account, What::Touched { ad, called }))
    }

    fn entry_account(&self) -> Result<AdAccountId, String> {
        let missing = || "entry.id is not an ad account's".to_owned();
        self.account.clone().ok_or_else(missing)
    }

    /// For telling the right tenants of what could not be read.
    fn account_named(&self, field: &str, told: Told<'_>) -> Option<AdAccountId> {
        let name = match (self.object, field) {
            (Some(APPLICATION), "ad_account") => "id",
            (None | Some(AD_ACCOUNT), "ad_status") => "ad_account_id",
            _ => return None,
        };
        let Told::Value(raw) = told else { return None };
        match serde_json::from_str(raw.get()) {
            Ok(Value::Object(fields)) => account_of(Fields(&fields), name).ok(),
            _ => None,
        }
    }
}

fn ad_object(value: Fields<'_>) -> Result<AdObject, String> {
    Ok(AdObject {
        id: value.id("id")?,
        level: value.level("level", Level::Unspecified)?,
    })
}

fn account_of(value: Fields<'_>, name: &str) -> Result<AdAccountId, String> {
    let id = value.id(name)?;
    id.parse()
        .map_err(|_| format!("value.{name} is not an ad account's id"))
}

fn status_is_among(changed: &[String]) -> Result<(), String> {
    if changed.iter().any(|field| field == "effective_status") {
        return Ok(());
    }
    Err(format!("changes of {changed:?} are not followed"))
}

/// in_process_ad_objects tells a status, if only in words; the others that touch
/// an object tell nothing, and each of them asks for a fetch of its own.
fn touched_without_value(field: &str, what: &What) -> bool {
    matches!(what, What::Touched { .. }) && field != "in_process_ad_objects"
}
