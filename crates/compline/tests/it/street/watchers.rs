//! Several tenants, one account.

use std::sync::Arc;

use tonic::Code;

use super::{body::says, show, tenant::Tenant};
use crate::house::House;

const ACCOUNT: &str = "7100001";
const AD: &str = "71000010";

/// Each that watches has rows of its own; who does not has none; who has left
/// keeps what was and gets nothing more.
pub(super) async fn of_one_account(house: Arc<House>) {
    let one = Tenant::watching(&house, ACCOUNT).await;
    let two = Tenant::watching(&house, ACCOUNT).await;
    let stranger = Tenant::watching(&house, "7100002").await;
    house.post(says(ACCOUNT, 0, AD, "DISAPPROVED")).await;
    house.caught_up().await;

    let mut events = Vec::new();
    for tenant in [&one, &two] {
        assert_eq!(
            show::ad(tenant.ad(AD).await.unwrap()),
            r#"AD 71000010 of 7100001: "" to "DISAPPROVED" since 0; version 1"#
        );
        assert_eq!(tenant.ads().await.len(), 1);
        let history = tenant.history(AD).await.unwrap();
        events.extend(history.iter().map(|change| change.event_id.clone()));
        assert_eq!(show::changes(history), [r#""" to "DISAPPROVED" at 0"#]);
        assert_eq!(tenant.activities("ads/71000010").await.len(), 1);
        let counts = tenant.counts().await;
        assert_eq!(counts.len(), 1, "{counts:?}");
        assert_eq!(
            (&*counts[0].ad_account_id, &*counts[0].status, counts[0].ads),
            (ACCOUNT, "DISAPPROVED", 1)
        );
    }
    events.dedup();
    assert_eq!(events.len(), 2, "an event belongs to one tenant");
    assert_sees_nothing(&stranger).await;

    // What one has read the other has not.
    let unread = one.notifications(Vec::new()).await;
    assert_eq!(unread.unread_count, 1);
    let token = one.mark_read(&unread.notifications[0].name).await;
    assert_eq!(one.notifications(token).await.unread_count, 0);
    house.caught_up().await;
    assert_eq!(two.notifications(Vec::new()).await.unread_count, 1);

    two.disconnect(ACCOUNT, None).await.unwrap();
    house.post(says(ACCOUNT, 1, AD, "ACTIVE")).await;
    house.caught_up().await;
    assert_eq!(
        show::changes(one.history(AD).await.unwrap()),
        [
            r#""" to "DISAPPROVED" at 0"#,
            r#""DISAPPROVED" to "ACTIVE" at 1"#
        ]
    );
    assert_eq!(
        show::changes(two.history(AD).await.unwrap()),
        [r#""" to "DISAPPROVED" at 0"#]
    );
    assert_sees_nothing(&stranger).await;
}

async fn assert_sees_nothing(stranger: &Tenant) {
    assert_eq!(stranger.ad(AD).await.unwrap_err().code(), Code::NotFound);
    let history = stranger.history(AD).await;
    assert_eq!(history.unwrap_err().code(), Code::NotFound);
    assert_eq!(stranger.ads().await, []);
    assert_eq!(stranger.counts().await, []);
    assert_eq!(stranger.activities("ads/71000010").await, []);
    assert_eq!(stranger.notifications(Vec::new()).await.notifications, []);
    assert_eq!(stranger.counters().await, []);
}
