//! What stands in a topic: of which types, and under which keys.

use bytes::Bytes;
use compline_event::{Event, TenantId, Topic};

/// Where events of this type are appended.
pub fn topics_of(event_type: &str) -> Vec<Topic> {
    let known = Event::TYPES.iter().find(|(name, _)| *name == event_type);
    // All fields of an event may be missing on the wire.
    let event = known.and_then(|(name, version)| Event::decode(name, *version, Bytes::new()).ok());
    match event.map(|event| event.destination(TenantId::OPERATOR)) {
        Some(Some((topic, _))) => vec![topic],
        Some(None) => vec![Topic::WebhookMeta, Topic::WebhookStripe],
        None => Vec::new(),
    }
}

/// How keys of the topic read.
pub const fn key_form(topic: Topic) -> &'static str {
    match topic {
        Topic::WebhookMeta | Topic::WebhookStripe => "ID",
        Topic::Ad => "TENANT/AD",
        Topic::Account => "TENANT/ACCOUNT",
        Topic::Tenant | Topic::Activity => "TENANT",
    }
}

pub fn is_key_of(topic: Topic, key: &str) -> bool {
    let tenant = |text: &str| text.parse::<TenantId>().is_ok();
    match topic {
        Topic::WebhookMeta | Topic::WebhookStripe => true,
        Topic::Ad | Topic::Account => {
            (key.split_once('/')).is_some_and(|(of, id)| tenant(of) && !id.is_empty())
        }
        Topic::Tenant | Topic::Activity => tenant(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_stands_somewhere() {
        for (name, _) in Event::TYPES {
            assert!(!topics_of(name).is_empty(), "{name}");
        }
        assert_eq!(topics_of("AdStatusChanged"), [Topic::Ad]);
        assert!(topics_of("AdPainted").is_empty());
    }

    #[test]
    fn a_key_is_one_of_its_topic() {
        let tenant = "0190d0a8-0000-7000-8000-000000000001";
        let of_tenant = |id: &str| format!("{tenant}/{id}");
        assert!(is_key_of(Topic::Ad, &of_tenant("238")));
        assert!(is_key_of(Topic::Activity, tenant));
        assert!(is_key_of(Topic::WebhookMeta, "123456789"));
        for (topic, key) in [
            (Topic::Ad, "238".to_owned()),
            (Topic::Ad, of_tenant("")),
            (Topic::Account, tenant.to_owned()),
            (Topic::Tenant, of_tenant("k1")),
        ] {
            assert!(!is_key_of(topic, &key), "{topic} {key}");
        }
    }
}
