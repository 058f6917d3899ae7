//! Messages as protobuf's canonical JSON, by reflection: the machine-readable
//! output is the schema's, with no second set of field names to keep.

use std::sync::LazyLock;

use compline_event::catalogue::message_name;
use prost::{Message, Name};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage as _,
    SerializeOptions,
};
use serde_json::Value;

static API: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(compline_api::DESCRIPTOR_SET)
        .expect("the descriptor set was made by this build")
});

static EVENTS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(compline_event::DESCRIPTOR_SET)
        .expect("the descriptor set was made by this build")
});

/// A message of the gRPC API.
pub fn api<M: Message + Name>(message: &M) -> Value {
    let descriptor = API
        .get_message_by_name(&M::full_name())
        .expect("the name stands in this build's own descriptor set");
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .expect("a message decodes as what it was encoded as");
    to_value(&message)
}

/// The descriptor of an event's payload by its type, such as `AdStatusChanged`, and
/// version: types are unique over all domains.
pub fn event_descriptor(event_type: &str, version: u32) -> Option<MessageDescriptor> {
    EVENTS
        .all_messages()
        .find(|message| message_name(message.full_name()) == Some((event_type, version)))
}

/// Canonical JSON with all fields, so that each line of a list has the same ones:
/// those at their default too, and null for what is absent. Of alternatives only the
/// one that is there.
pub fn to_value(message: &DynamicMessage) -> Value {
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut value = message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .expect("a message of a known schema is representable");
    add_absent(message, &mut value);
    value
}

/// Well-known types are no objects in JSON, and stay as they are.
fn add_absent(message: &DynamicMessage, value: &mut Value) {
    let Value::Object(object) = value else { return };
    for field in message.descriptor().fields() {
        if field.supports_presence() && !message.has_field(&field) {
            if !is_alternative(&field) {
                object.insert(field.json_name().to_owned(), Value::Null);
            }
            continue;
        }
        let inside = message.get_field(&field);
        match (inside.as_message(), inside.as_list()) {
            (Some(inner), _) => {
                let value = object.get_mut(field.json_name());
                value.into_iter().for_each(|value| add_absent(inner, value));
            }
            (_, Some(list)) => {
                let values = object.get_mut(field.json_name());
                let values = values.and_then(Value::as_array_mut).into_iter().flatten();
                for (inner, value) in list.iter().zip(values) {
                    inner
                        .as_message()
                        .into_iter()
                        .for_each(|inner| add_absent(inner, value));
                }
            }
            _ => {}
        }
    }
}

/// proto3's `optional` is a oneof of its own on the wire, and none to a reader.
fn is_alternative(field: &FieldDescriptor) -> bool {
    field
        .containing_oneof()
        .is_some_and(|oneof| !oneof.is_synthetic())
}

#[cfg(test)]
mod tests {
    use compline_api::query::{Ad, AdIssue, WatchAdsResponse, watch_ads_response::Event};
    use serde_json::json;

    use super::*;

    #[test]
    fn every_event_type_has_a_descriptor() {
        for (name, version) in compline_event::Event::TYPES {
            assert!(event_descriptor(name, *version).is_some(), "{name}");
        }
    }

    #[test]
    fn an_answer_is_canonical_json_with_every_field() {
        let ad = Ad {
            name: "ads/1".into(),
            version: 7,
            open_issues: vec![AdIssue {
                error_code: "1".into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let issue = json!({
            "errorCode": "1", "summary": "", "message": "", "raiseTime": null,
        });
        let shown = json!({
            "name": "ads/1", "adId": "", "adAccountId": "", "level": "AD_LEVEL_UNSPECIFIED",
            "status": "", "oldStatus": "", "reason": "", "placements": [],
            "statusTime": null, "updateTime": null, "fetchNeeded": false,
            "openIssues": [issue], "version": "7",
        });
        assert_eq!(api(&ad), shown);

        let told = WatchAdsResponse {
            event: Some(Event::Changed(ad)),
            resume_token: String::new(),
        };
        assert_eq!(api(&told), json!({ "changed": shown, "resumeToken": "" }));
    }
}
