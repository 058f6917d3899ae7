//! Bodies as senders write them.

/// The time of the sample files. Stories count in seconds from here.
pub(super) const T: i64 = 1_703_500_800;

/// A body of one entry.
pub(super) fn body(object: &str, id: &str, at: i64, changes: &[String]) -> String {
    let (time, changes) = (T + at, changes.join(","));
    format!(
        r#"{{"object":"{object}","entry":[{{"id":"{id}","time":{time},"changes":[{changes}]}}]}}"#
    )
}

/// The change that says what status an ad has now.
pub(super) fn status(ad: &str, status: &str) -> String {
    format!(r#"{{"field":"ad_status","value":{{"ad_id":"{ad}","status":"{status}"}}}}"#)
}

/// A body that says what status an ad has now.
pub(super) fn says(account: &str, at: i64, ad: &str, is: &str) -> String {
    body("ad_account", account, at, &[status(ad, is)])
}
