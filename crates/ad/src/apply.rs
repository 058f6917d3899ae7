//! One change, one tenant: the fold of what the tenant was told, and what it is
//! told now.
//!
//! `entry.time` is the version. A change older than the newest one that was
//! applied is *late*: it goes to the history, moves nothing and warns nobody. An
//! equal time is not late; log order decides.
//!
//! | change | the tenant is told | the state |
//! |---|---|---|
//! | a status, another than the known one | AdStatusChanged | the status; its issues end unless it is WITH_ISSUES |
//! | a status, the known one, while a fetch is due | AdStatusChanged from it to itself | no fetch is due |
//! | a status, the known one | nothing | its time |
//! | touched | AdStatusChanged, fetch needed | a fetch is due |
//! | an issue | AdStatusChanged to WITH_ISSUES unless it is; AdIssueRaised unless it is open | WITH_ISSUES; the issue |
//! | an issue, late, while WITH_ISSUES | AdIssueRaised unless it is open | the issue |
//! | an account's status or reason, another than the known | AccountStatusChanged | both |

mod account;
mod ad;

use compline_engine::Outputs;
use compline_event::{
    TenantId,
    ad_events::{AdIssueRaised, AdStatusChanged},
    timestamp,
};

use crate::{
    change::{Change, What},
    state::State,
    tell::{Cause, Teller},
};

pub(crate) fn apply(
    state: &mut State,
    outputs: &mut Outputs,
    cause: &Cause<'_>,
    tenant: TenantId,
    change: &Change<'_>,
) {
    let mut teller = Teller {
        cause,
        tenant,
        at: change.at,
        outputs,
    };
    match &change.what {
        What::Status {
            ad,
            status,
            old_status,
            reason,
            placements,
        } => {
            let told = AdStatusChanged {
                old_status: old_status.clone(),
                new_status: status.clone(),
                reason: reason.clone(),
                placements: placements.clone(),
                ..ad::subject_of(change, ad)
            };
            ad::of_status(state, &mut teller, change, ad, told);
        }
        What::Touched { ad, called } => ad::of_touch(state, &mut teller, change, ad, called),
        What::Issue {
            ad,
            error_code,
            summary,
            message,
        } => {
            let raised = AdIssueRaised {
                ad_account_id: change.account.to_string(),
                ad_id: ad.id.clone(),
                level: ad.level.into(),
                error_code: error_code.clone(),
                summary: summary.clone(),
                message: message.clone(),
                raised_at: Some(timestamp::to_proto(change.at)),
            };
            ad::of_issue(state, &mut teller, change, ad, raised);
        }
        What::Account {
            status,
            disable_reason,
        } => account::of_account(state, &mut teller, change, *status, *disable_reason),
    }
}
