//! Which events there are, and where each stands in the log.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use prost::Message;

use crate::{
    account_events as account, activity_events as activity, ad_events as ad, envelope::DecodeError,
    id::TenantId, tenant_events as tenant, webhook_events as webhook,
};

/// A topic of the log, without the installation's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    WebhookMeta,
    WebhookStripe,
    Ad,
    Account,
    Tenant,
    Activity,
}

impl Topic {
    pub const ALL: [Topic; 6] = [
        Topic::WebhookMeta,
        Topic::WebhookStripe,
        Topic::Ad,
        Topic::Account,
        Topic::Tenant,
        Topic::Activity,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Topic::WebhookMeta => "webhook.meta",
            Topic::WebhookStripe => "webhook.stripe",
            Topic::Ad => "ad",
            Topic::Account => "account",
            Topic::Tenant => "tenant",
            Topic::Activity => "activity",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no topic is called {found:?}")]
pub struct UnknownTopic {
    pub found: String,
}

impl FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Topic::ALL
            .into_iter()
            .find(|topic| topic.as_str() == text)
            .ok_or_else(|| UnknownTopic {
                found: text.to_owned(),
            })
    }
}

/// One table, three readings of it: the sum of all payloads, its encoding, and
/// its decoding by (type, version).
///
/// A row is `Name(payload) = version`; behind `from`, each older version has its
/// payload and the upcaster that makes today's of it.
macro_rules! events {
    ($($name:ident($payload:ty) = $version:literal
        $(from $($old:literal: $old_payload:ty => $upcast:expr),+)?;)*) => {
        /// A payload, whichever it is, in its newest version.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event {
            $($name($payload),)*
        }

        impl Event {
            /// (type, version) of every event that this build writes.
            pub const TYPES: &[(&str, u32)] = &[$((stringify!($name), $version),)*];

            /// The payload's message name, as it stands in the envelope.
            pub const fn type_name(&self) -> &'static str {
                match self { $(Event::$name(_) => stringify!($name),)* }
            }

            pub const fn version(&self) -> u32 {
                match self { $(Event::$name(_) => $version,)* }
            }

            pub fn encode(&self) -> Bytes {
                match self { $(Event::$name(payload) => payload.encode_to_vec().into(),)* }
            }

            /// Bytes of the encoded payload.
            pub fn encoded_len(&self) -> usize {
                match self { $(Event::$name(payload) => payload.encoded_len(),)* }
            }

            /// Reads a payload; an older version goes through its upcaster.
            pub fn decode(name: &str, version: u32, payload: Bytes) -> Result<Self, DecodeError> {
                match (name, version) {
                    $(
                        (stringify!($name), $version) => {
                            read::<$payload>(stringify!($name), payload).map(Event::$name)
                        }
                        $($((stringify!($name), $old) => {
                            let upcast: fn($old_payload) -> $payload = $upcast;
                            read(stringify!($name), payload).map(|old| Event::$name(upcast(old)))
                        })+)?
                        (stringify!($name), _) => Err(DecodeError::UnknownVersion {
                            event_type: stringify!($name),
                            version,
                            newest: $version,
                        }),
                    )*
                    _ => Err(DecodeError::UnknownType {
                        event_type: name.to_owned(),
                        version,
                    }),
                }
            }
        }
    };
}

events! {
    WebhookReceived(webhook::WebhookReceived) = 1;
    AdStatusChanged(ad::AdStatusChanged) = 1;
    AdIssueRaised(ad::AdIssueRaised) = 1;
    AccountConnected(account::AccountConnected) = 1;
    AccountDisconnected(account::AccountDisconnected) = 1;
    AccountStatusChanged(account::AccountStatusChanged) = 1;
    OrganizationCreated(tenant::OrganizationCreated) = 1;
    ApiKeyIssued(tenant::ApiKeyIssued) = 1;
    ApiKeyRevoked(tenant::ApiKeyRevoked) = 1;
    ActivityRecorded(activity::ActivityRecorded) = 1;
    NotificationRaised(activity::NotificationRaised) = 1;
    NotificationRead(activity::NotificationRead) = 1;
    WebhookUnrecognized(activity::WebhookUnrecognized) = 1;
    WebhookExpired(activity::WebhookExpired) = 1;
}

fn read<M: Message + Default>(event_type: &'static str, payload: Bytes) -> Result<M, DecodeError> {
    M::decode(payload).map_err(|source| DecodeError::Payload { event_type, source })
}

/// Type and version of an event's message by its full name: version 2 of
/// `AdStatusChanged` is `compline.event.ad.v2.AdStatusChanged`.
pub fn message_name(full_name: &str) -> Option<(&str, u32)> {
    let (package, event_type) = full_name.rsplit_once('.')?;
    let (domain, version) = package.rsplit_once(".v")?;
    let is_event = domain.starts_with("compline.event.");
    Some((event_type, version.parse().ok().filter(|_| is_event)?))
}

impl Event {
    /// Where the event is appended and under which key; keys decide order.
    ///
    /// `None` for raw webhooks: ingress knows which sender's topic it is and
    /// takes the key from the body.
    pub fn destination(&self, tenant: TenantId) -> Option<(Topic, Bytes)> {
        let key = |entity: &str| Bytes::from(format!("{tenant}/{entity}"));
        Some(match self {
            Event::WebhookReceived(_) => return None,
            Event::AdStatusChanged(e) => (Topic::Ad, key(&e.ad_id)),
            Event::AdIssueRaised(e) => (Topic::Ad, key(&e.ad_id)),
            Event::AccountConnected(e) => (Topic::Account, key(&e.ad_account_id)),
            Event::AccountDisconnected(e) => (Topic::Account, key(&e.ad_account_id)),
            Event::AccountStatusChanged(e) => (Topic::Account, key(&e.ad_account_id)),
            Event::OrganizationCreated(_) | Event::ApiKeyIssued(_) | Event::ApiKeyRevoked(_) => {
                (Topic::Tenant, Bytes::from(tenant.to_string()))
            }
            Event::ActivityRecorded(_)
            | Event::NotificationRaised(_)
            | Event::NotificationRead(_)
            | Event::WebhookUnrecognized(_)
            | Event::WebhookExpired(_) => (Topic::Activity, Bytes::from(tenant.to_string())),
        })
    }
}

/// The worked example of `docs/schema.md`.
#[cfg(test)]
#[allow(unreachable_pub)] // The macro's enum is made for a crate's face.
mod example;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_reads_as_it_prints() {
        for topic in Topic::ALL {
            assert_eq!(topic.to_string().parse(), Ok(topic));
        }
    }

    #[test]
    fn an_unknown_type_is_named() {
        let error = Event::decode("AdPainted", 1, Bytes::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no event AdPainted of version 1 is known: a newer build may have written it"
        );
    }

    #[test]
    fn a_messages_package_names_its_version() {
        let named = message_name("compline.event.ad.v2.AdStatusChanged");
        assert_eq!(named, Some(("AdStatusChanged", 2)));
        for other in ["compline.query.v1.Ad", "compline.event.ad.Ad", "Ad", ""] {
            assert_eq!(message_name(other), None, "{other}");
        }
    }
}
