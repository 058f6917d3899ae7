//! What the trail says of a command that took effect.

use compline_event::{
    Event,
    tenant_events::{ApiKeyIssued, Role},
};

pub(crate) struct Told {
    pub(crate) kind: &'static str,
    pub(crate) summary: String,
}

/// `None` for an event that nobody commanded. The subject is the command's entity.
pub(crate) fn told(event: &Event) -> Option<Told> {
    let (kind, summary) = match event {
        Event::OrganizationCreated(e) => (
            "tenant.created",
            format!("Organization {:?} was created", e.display_name),
        ),
        Event::ApiKeyIssued(e) => (
            "api_key.issued",
            format!("Key {:?} was issued for {}", e.display_name, role(e)),
        ),
        Event::ApiKeyRevoked(_) => ("api_key.revoked", "A key was revoked".to_owned()),
        Event::AccountConnected(e) if e.display_name.is_empty() => {
            ("account.connected", "The account was connected".to_owned())
        }
        Event::AccountConnected(e) => (
            "account.connected",
            format!("Account {:?} was connected", e.display_name),
        ),
        Event::AccountDisconnected(_) => (
            "account.disconnected",
            "The account was disconnected".to_owned(),
        ),
        _ => return None,
    };
    Some(Told { kind, summary })
}

fn role(issued: &ApiKeyIssued) -> &'static str {
    match issued.role() {
        Role::Admin => "an admin",
        Role::Auditor => "an auditor",
        Role::Standard => "a standard user",
        Role::Unspecified => "nobody",
    }
}
