//! What becomes of an account.

use compline_event::{Event, account_events::AccountStatusChanged, timestamp};

use crate::{
    change::Change,
    notice::{self, account_status},
    state::{Account, State},
    tell::Teller,
};

pub(super) fn of_account(
    state: &mut State,
    teller: &mut Teller<'_>,
    change: &Change<'_>,
    status: i32,
    disable_reason: i32,
) {
    let key = (teller.tenant, change.account.clone());
    let known = state.accounts.get(&key).copied();
    let late = known.is_some_and(|known| change.at < known.changed_at);
    let same =
        known.is_some_and(|known| (known.status, known.disable_reason) == (status, disable_reason));
    if !late {
        let row = Account {
            status,
            disable_reason,
            changed_at: change.at,
        };
        state.accounts.put(key, row);
        if same {
            state.tally.unchanged += 1;
            return;
        }
    }
    let old_status = known.filter(|_| !late).map_or(0, |known| known.status);
    teller.tell(Event::AccountStatusChanged(AccountStatusChanged {
        ad_account_id: change.account.to_string(),
        old_status,
        new_status: status,
        disable_reason,
        changed_at: Some(timestamp::to_proto(change.at)),
        late,
    }));
    let subject = format!("accounts/{}", change.account);
    let (was, is) = (account_status(old_status), account_status(status));
    let account = &change.account;
    let summary = match (late, old_status) {
        (true, _) => format!("Ad account {account} had been {is}: told late"),
        (false, 0) => format!("Ad account {account} is {is}"),
        (false, _) => format!("Ad account {account} went from {was} to {is}"),
    };
    teller.record("account.status_changed", &subject, summary);
    if late {
        state.tally.late += 1;
        return;
    }
    state.tally.applied += 1;
    if old_status != status
        && let Some(notice) =
            notice::of_account(account.as_str(), old_status, status, disable_reason)
    {
        teller.notify(&subject, notice);
    }
}
