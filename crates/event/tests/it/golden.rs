//! Bytes of every event version ever released still say what they said.
//!
//! `schemas/golden/` holds, for each (type, version), an encoded envelope and what
//! it says as JSON. Files are added by `BLESS=1 cargo test -p compline-event` when
//! a type or version is new, and never changed.

use std::{collections::BTreeSet, fs, path::PathBuf};

use compline_event::{DESCRIPTOR_SET, Envelope, Event};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use crate::sample;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../schemas/golden")
}

/// What the payload says, by the descriptors of this build.
fn payload_json(envelope: &Envelope) -> String {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
    let message = pool
        .all_messages()
        .find(|message| message.name() == envelope.event.type_name())
        .unwrap();
    let payload = DynamicMessage::decode(message, envelope.event.encode()).unwrap();
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
        let envelope = Envelope::decode(fs::read(&path).unwrap().into())
            .unwrap_or_else(|error| panic!("{name} no longer decodes: {error}"));
        let said = fs::read_to_string(path.with_extension("json")).unwrap();
        assert_eq!(payload_json(&envelope), said, "{name}");
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
            "{name} has no golden bytes; BLESS=1 cargo test -p compline-event makes them"
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
        let message = pool
            .all_messages()
            .find(|message| message.name() == event.type_name())
            .unwrap();
        let payload = DynamicMessage::decode(message.clone(), event.encode()).unwrap();
        for field in message.fields() {
            assert!(
                payload.has_field(&field),
                "{}.{} is at its default",
                event.type_name(),
                field.name()
            );
        }
        bless(&event);
    }
}

/// Writes the files of a version that has none yet; changes no other.
fn bless(event: &Event) {
    if std::env::var_os("BLESS").is_none() {
        return;
    }
    let name = format!("{}.v{}.binpb", event.type_name(), event.version());
    let path = folder().join(name);
    if !path.exists() {
        let envelope = sample::envelope(event.clone());
        fs::write(&path, envelope.encode()).unwrap();
        fs::write(path.with_extension("json"), payload_json(&envelope)).unwrap();
    }
}
