//! Bytes of every event version ever released still say what they said.
//!
//! `schemas/golden/` holds, for each (type, version), an encoded envelope and what
//! its payload says as JSON. Files are added by `dev/release-schema` when a type or
//! version is new, and never changed.

use std::{collections::BTreeSet, fs, path::PathBuf};

use bytes::Bytes;
use compline_event::{
    DESCRIPTOR_SET, Envelope, Event, catalogue::message_name, envelope_proto::Envelope as Raw,
};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};

use crate::{release, sample};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../schemas/golden")
}

/// The message of that version, which stands in the package of that version.
fn message_of(pool: &DescriptorPool, event_type: &str, version: u32) -> Option<MessageDescriptor> {
    pool.all_messages()
        .find(|message| message_name(message.full_name()) == Some((event_type, version)))
}

/// What the payload says, by the descriptors of this build.
fn payload_json(event_type: &str, version: u32, payload: Bytes) -> String {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
    let message = message_of(&pool, event_type, version)
        .unwrap_or_else(|| panic!("no package of version {version} has {event_type}"));
    let payload = DynamicMessage::decode(message, payload).unwrap();
    let mut json = Vec::new();
    let options = SerializeOptions::new().use_proto_field_name(true);
    let mut serializer = serde_json::Serializer::pretty(&mut json);
    payload
        .serialize_with_options(&mut serializer, &options)
        .unwrap();
    json.push(b'\n');
    String::from_utf8(json).unwrap()
}

#[test]
fn every_released_version_still_says_what_it_said() {
    let shapes = release::released();
    let mut released = BTreeSet::new();
    for file in fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_none_or(|extension| extension != "binpb")
        {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let bytes = Bytes::from(fs::read(&path).unwrap());
        let raw = Raw::decode(bytes.clone()).unwrap();
        assert_eq!(format!("{}.v{}", raw.r#type, raw.version), name);
        let said = fs::read_to_string(path.with_extension("json")).unwrap();
        let says = payload_json(&raw.r#type, raw.version, raw.payload);
        assert_eq!(says, said, "{name}");
        assert!(
            message_of(&shapes, &raw.r#type, raw.version).is_some(),
            "{name} is not in schemas/released.binpb; dev/release-schema puts it there"
        );

        let envelope = Envelope::decode(bytes)
            .unwrap_or_else(|error| panic!("{name} no longer decodes: {error}"));
        assert_eq!(
            envelope,
            sample::envelope(envelope.event.clone()),
            "{name}: the envelope's own fields"
        );
        released.insert(name);
    }
    for (event_type, version) in Event::TYPES {
        let name = format!("{event_type}.v{version}");
        assert!(
            released.contains(&name),
            "{name} has no golden bytes; dev/release-schema makes them"
        );
    }
}

/// A sample without one of its fields would let that field vanish unseen.
#[test]
fn samples_leave_no_field_out() {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
    let events = sample::events();
    assert_eq!(events.len(), Event::TYPES.len(), "one sample of each type");
    for event in events {
        let message = message_of(&pool, event.type_name(), event.version()).unwrap();
        let payload = DynamicMessage::decode(message.clone(), event.encode()).unwrap();
        for field in message.fields() {
            assert!(
                payload.has_field(&field),
                "{}.{} is at its default",
                event.type_name(),
                field.name()
            );
        }
    }
}

/// Writes the files of each version that has none yet; changes no other.
pub(crate) fn write_new() {
    for event in sample::events() {
        let (event_type, version) = (event.type_name(), event.version());
        let path = folder().join(format!("{event_type}.v{version}.binpb"));
        if path.exists() {
            continue;
        }
        let json = payload_json(event_type, version, event.encode());
        fs::write(path.with_extension("json"), json).unwrap();
        fs::write(&path, sample::envelope(event).encode()).unwrap();
    }
}
