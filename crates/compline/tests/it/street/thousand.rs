//! The largest body that Meta sends.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use super::{body::body, tenant::Tenant};
use crate::house::House;

const CHANGES: u64 = 1_000;
const ACCOUNT: &str = "7500001";

/// A thousand changes, all of their text escaped as Meta signs it: all are there.
pub(super) async fn in_one_body(house: Arc<House>) {
    let tenant = Tenant::watching(&house, ACCOUNT).await;
    let message = |index: u64| format!("{index}: {}", "Prüfung läuft – 審査中/😀 ".repeat(15));
    let mut expected = BTreeMap::new();
    let mut changes = Vec::new();
    for index in 0..CHANGES {
        let (id, message) = (format!("{}", 750_000_000 + index), message(index));
        let escaped = escape(&message);
        changes.push(format!(
            r#"{{"field":"with_issues_ad_objects","value":{{"id":"{id}","level":"AD","error_code":"1815869","error_summary":"Ad post is not available","error_message":"{escaped}"}}}}"#
        ));
        expected.insert(id, message);
    }
    let body = body("ad_account", ACCOUNT, 0, &changes);
    assert!(
        body.is_ascii() && (1 << 20..3 << 20).contains(&body.len()),
        "{}",
        body.len()
    );
    house.post(body).await;
    house.caught_up().await;

    let mut found = BTreeMap::new();
    for ad in tenant.ads().await {
        assert_eq!(ad.status, "WITH_ISSUES", "{}", ad.ad_id);
        assert_eq!(ad.open_issues.len(), 1, "{}", ad.ad_id);
        found.insert(ad.ad_id, ad.open_issues[0].message.clone());
    }
    assert_eq!(found.len(), expected.len());
    assert!(found == expected, "every message as it was meant");
    let counts = tenant.counts().await;
    let counts: Vec<_> = counts.iter().map(|of| (&*of.status, of.ads)).collect();
    assert_eq!(counts, [("WITH_ISSUES", 1_000)]);
    assert_eq!(tenant.notifications(Vec::new()).await.unread_count, 1_000);
}

/// JSON's escapes of everything beyond ASCII, and of the slash.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    let mut units = [0; 2];
    for c in text.chars() {
        match c {
            '/' => escaped.push_str("\\/"),
            c if c.is_ascii() => escaped.push(c),
            c => {
                for unit in c.encode_utf16(&mut units) {
                    write!(escaped, "\\u{unit:04x}").unwrap();
                }
            }
        }
    }
    escaped
}
