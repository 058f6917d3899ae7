//! Messages as protobuf's canonical JSON, by reflection: the machine-readable
//! output is the schema's, with no second set of field names to keep.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;

static API: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(compline_api::DESCRIPTOR_SET)
        .expect("the descriptor set was made by this build")
});

static EVENTS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(compline_event::DESCRIPTOR_SET)
        .expect("the descriptor set was made by this build")
});

/// A message of the gRPC API; `name` is its full name, such as
/// `compline.query.v1.Ad`.
pub fn api(name: &str, message: &impl Message) -> Value {
    let descriptor = API
        .get_message_by_name(name)
        .expect("the name stands in this build's own descriptor set");
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .expect("a message decodes as what it was encoded as");
    to_value(&message)
}

/// The descriptor of an event's payload by its type, such as `AdStatusChanged`:
/// event types are unique over all packages.
pub fn event_descriptor(event_type: &str) -> Option<MessageDescriptor> {
    EVENTS
        .all_messages()
        .find(|message| message.name() == event_type)
}

/// Canonical JSON with the fields that have no value left out.
pub fn to_value(message: &DynamicMessage) -> Value {
    let options = SerializeOptions::new().skip_default_fields(true);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .expect("a message of a known schema is representable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_type_has_a_descriptor() {
        for (name, _) in compline_event::Event::TYPES {
            assert!(event_descriptor(name).is_some(), "{name}");
        }
    }

    #[test]
    fn an_answer_is_canonical_json() {
        let ad = compline_api::query::Ad {
            name: "ads/1".into(),
            version: 7,
            ..Default::default()
        };
        assert_eq!(
            api("compline.query.v1.Ad", &ad),
            serde_json::json!({"name": "ads/1", "version": "7"})
        );
    }
}
