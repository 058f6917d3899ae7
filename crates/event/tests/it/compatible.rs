//! Whether shapes may follow those that were released. The rules are buf's, by its names (category
//! WIRE_JSON and the deletions of FILE), so that a break can be looked up; where buf lets
//! kinds that are read alike stand for each other, they are held to be the same one here, for
//! they are not in Rust.
//!
//! | what | may | may not |
//! |---|---|---|
//! | message, enum, service, call | be added | go |
//! | field | be added; go, when its number and name are reserved | change number, name, type, presence, repetition, oneof |
//! | required field | | be added or go |
//! | enum value | be added; go, as a field | change its name |
//! | reserved number or name | be added | be free again |
//! | call | | change what it takes, gives or streams |

#[cfg(test)]
mod rules;

use std::fmt;

use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    ServiceDescriptor,
};

/// What a reader of released bytes, or a client of the released API, would not survive.
#[derive(Debug)]
pub(crate) struct Break {
    /// The message's, field's, value's or call's full name.
    pub(crate) at: String,
    pub(crate) rule: &'static str,
    says: String,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, rule, says } = self;
        write!(f, "{at}: {rule}: {says}")
    }
}

/// Every break of `now` against `released`, in packages below `package`.
pub(crate) fn breaks(released: &DescriptorPool, now: &DescriptorPool, package: &str) -> Vec<Break> {
    let ours = |of: &str| of == package || of.starts_with(&format!("{package}."));
    let mut found = Found::default();
    for message in released.all_messages() {
        // A map's entry goes with its field.
        if !ours(message.package_name()) || message.is_map_entry() {
            continue;
        }
        match now.get_message_by_name(message.full_name()) {
            Some(now) => found.message(&message, &now),
            None => found.push(message.full_name(), "MESSAGE_NO_DELETE", "it is gone"),
        }
    }
    for values in released.all_enums() {
        if !ours(values.package_name()) {
            continue;
        }
        match now.get_enum_by_name(values.full_name()) {
            Some(now) => found.values(&values, &now),
            None => found.push(values.full_name(), "ENUM_NO_DELETE", "it is gone"),
        }
    }
    for service in released.services() {
        if !ours(service.package_name()) {
            continue;
        }
        match now.get_service_by_name(service.full_name()) {
            Some(now) => found.service(&service, &now),
            None => found.push(service.full_name(), "SERVICE_NO_DELETE", "it is gone"),
        }
    }
    found.0
}

#[derive(Default)]
struct Found(Vec<Break>);

impl Found {
    fn push(&mut self, at: &str, rule: &'static str, says: impl Into<String>) {
        self.0.push(Break {
            at: at.to_owned(),
            rule,
            says: says.into(),
        });
    }

    fn changed(
        &mut self,
        at: &str,
        rule: &'static str,
        was: impl fmt::Display,
        is: impl fmt::Display,
    ) {
        self.push(at, rule, format!("was {was}, is {is}"));
    }

    fn message(&mut self, released: &MessageDescriptor, now: &MessageDescriptor) {
        for field in released.fields() {
            match now.get_field(field.number()) {
                Some(now) => self.field(&field, &now),
                None => self.missing_field(&field, now),
            }
        }
        for field in now
            .fields()
            .filter(|field| field.cardinality() == Cardinality::Required)
        {
            if released.get_field(field.number()).is_none() {
                let rule = "MESSAGE_SAME_REQUIRED_FIELDS";
                self.push(
                    field.full_name(),
                    rule,
                    "old bytes do not have it, and it is required",
                );
            }
        }
        let at = released.full_name();
        for range in released.reserved_ranges() {
            let held = |number| now.reserved_ranges().any(|range| range.contains(&number));
            if !range.clone().all(held) {
                let says = format!(
                    "numbers {} to {} are free again",
                    range.start,
                    range.end - 1
                );
                self.push(at, "RESERVED_MESSAGE_NO_DELETE", says);
            }
        }
        for name in released.reserved_names() {
            if !now.reserved_names().any(|held| held == name) {
                self.push(
                    at,
                    "RESERVED_MESSAGE_NO_DELETE",
                    format!("the name {name} is free again"),
                );
            }
        }
    }

    fn missing_field(&mut self, field: &FieldDescriptor, now: &MessageDescriptor) {
        let (at, number) = (field.full_name(), field.number());
        if let Some(moved) = now.get_field_by_name(field.name()) {
            return self.changed(at, "FIELD_SAME_NUMBER", number, moved.number());
        }
        if field.cardinality() == Cardinality::Required {
            let rule = "MESSAGE_SAME_REQUIRED_FIELDS";
            self.push(at, rule, "it is gone, and released readers require it");
        }
        if !now.reserved_ranges().any(|range| range.contains(&number)) {
            let says = format!("it is gone, and its number {number} is not reserved");
            self.push(at, "FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED", says);
        }
        if !now.reserved_names().any(|name| name == field.name()) {
            let rule = "FIELD_NO_DELETE_UNLESS_NAME_RESERVED";
            self.push(at, rule, "it is gone, and its name is not reserved");
        }
    }

    fn field(&mut self, released: &FieldDescriptor, now: &FieldDescriptor) {
        let at = released.full_name();
        if released.name() != now.name() {
            self.changed(at, "FIELD_SAME_NAME", released.name(), now.name());
        } else if released.json_name() != now.json_name() {
            self.changed(
                at,
                "FIELD_SAME_JSON_NAME",
                released.json_name(),
                now.json_name(),
            );
        }
        if kind(released) != kind(now) {
            self.changed(at, "FIELD_SAME_TYPE", kind(released), kind(now));
        }
        if label(released) != label(now) {
            self.changed(at, "FIELD_SAME_CARDINALITY", label(released), label(now));
        }
        if oneof(released) != oneof(now) {
            self.changed(at, "FIELD_SAME_ONEOF", oneof(released), oneof(now));
        }
    }

    fn values(&mut self, released: &EnumDescriptor, now: &EnumDescriptor) {
        for value in released.values() {
            let (at, number) = (value.full_name(), value.number());
            if let Some(now) = now.get_value(number) {
                // An alias adds a name to a number and takes none away.
                if !now
                    .parent_enum()
                    .values()
                    .any(|each| each.number() == number && each.name() == value.name())
                {
                    self.changed(at, "ENUM_VALUE_SAME_NAME", value.name(), now.name());
                }
                continue;
            }
            if !now.reserved_ranges().any(|range| range.contains(&number)) {
                let says = format!("it is gone, and its number {number} is not reserved");
                self.push(at, "ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED", says);
            }
            if !now.reserved_names().any(|name| name == value.name()) {
                let rule = "ENUM_VALUE_NO_DELETE_UNLESS_NAME_RESERVED";
                self.push(at, rule, "it is gone, and its name is not reserved");
            }
        }
        let at = released.full_name();
        for range in released.reserved_ranges() {
            let held = |number| now.reserved_ranges().any(|range| range.contains(&number));
            if !range.clone().all(held) {
                let says = format!(
                    "numbers {} to {} are free again",
                    range.start(),
                    range.end()
                );
                self.push(at, "RESERVED_ENUM_NO_DELETE", says);
            }
        }
        for name in released.reserved_names() {
            if !now.reserved_names().any(|held| held == name) {
                self.push(
                    at,
                    "RESERVED_ENUM_NO_DELETE",
                    format!("the name {name} is free again"),
                );
            }
        }
    }

    fn service(&mut self, released: &ServiceDescriptor, now: &ServiceDescriptor) {
        for call in released.methods() {
            let at = call.full_name();
            let Some(now) = now.methods().find(|each| each.name() == call.name()) else {
                self.push(at, "RPC_NO_DELETE", "it is gone");
                continue;
            };
            let (was, is) = (call.input(), now.input());
            if was.full_name() != is.full_name() {
                self.changed(at, "RPC_SAME_REQUEST_TYPE", was.full_name(), is.full_name());
            }
            let (was, is) = (call.output(), now.output());
            if was.full_name() != is.full_name() {
                self.changed(
                    at,
                    "RPC_SAME_RESPONSE_TYPE",
                    was.full_name(),
                    is.full_name(),
                );
            }
            if call.is_client_streaming() != now.is_client_streaming() {
                self.push(
                    at,
                    "RPC_SAME_CLIENT_STREAMING",
                    "one and many are no longer told apart",
                );
            }
            if call.is_server_streaming() != now.is_server_streaming() {
                self.push(
                    at,
                    "RPC_SAME_SERVER_STREAMING",
                    "one and many are no longer told apart",
                );
            }
        }
    }
}

fn kind(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let of = |field: FieldDescriptor| kind(&field);
            format!(
                "map<{}, {}>",
                of(entry.map_entry_key_field()),
                of(entry.map_entry_value_field())
            )
        }
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

fn label(field: &FieldDescriptor) -> &'static str {
    match field.cardinality() {
        Cardinality::Required => "required",
        Cardinality::Repeated => "repeated",
        Cardinality::Optional if field.supports_presence() => "optional",
        Cardinality::Optional => "singular",
    }
}

/// proto3's `optional` is a oneof of its own, and none here.
fn oneof(field: &FieldDescriptor) -> String {
    match field.containing_oneof() {
        Some(oneof) if !oneof.is_synthetic() => oneof.name().to_owned(),
        _ => "in none".to_owned(),
    }
}
