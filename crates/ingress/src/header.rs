//! Which headers of a delivery are kept beside its body.

use axum::http::HeaderMap;
use bytes::Bytes;
use compline_event::webhook_events::Header;

/// What says something about a delivery or lets it be checked again. A list of what is kept, not of
/// what is dropped: cookies and authorization never get in, whatever a proxy calls them.
const KEPT: [&str; 10] = [
    "content-type",
    "user-agent",
    "x-hub-signature-256",
    "x-hub-signature",
    "facebook-api-version",
    "stripe-signature",
    "traceparent",
    "tracestate",
    "x-request-id",
    "x-forwarded-for",
];

pub(crate) fn kept(headers: &HeaderMap) -> Vec<Header> {
    let mut kept = Vec::with_capacity(4);
    for name in KEPT {
        kept.extend(headers.get_all(name).iter().map(|value| Header {
            name: name.to_owned(),
            value: Bytes::copy_from_slice(value.as_bytes()),
        }));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lets_someone_in_elsewhere_is_not_kept() {
        let mut headers = HeaderMap::new();
        for name in [
            "cookie",
            "authorization",
            "proxy-authorization",
            "x-api-key",
        ] {
            headers.insert(name, "secret".parse().unwrap());
        }
        headers.insert("user-agent", "facebookexternalua".parse().unwrap());
        let names: Vec<_> = kept(&headers)
            .into_iter()
            .map(|header| header.name)
            .collect();
        assert_eq!(names, ["user-agent"]);
    }
}
