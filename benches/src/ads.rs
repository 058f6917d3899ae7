//! The ads that are measured with: 5,000 of 48 accounts of 4 tenants.

use compline_event::TenantId;
use uuid::Uuid;

pub(crate) const ADS: usize = 5_000;
pub(crate) const ACCOUNTS: usize = 48;
pub(crate) const TENANTS: usize = 4;

/// One of them; the same number is always the same ad.
#[derive(Clone, Debug)]
pub(crate) struct Ad {
    pub(crate) tenant: TenantId,
    pub(crate) account: String,
    pub(crate) ad_id: String,
}

impl Ad {
    pub(crate) fn nth(number: usize) -> Self {
        let number = number % ADS;
        Self {
            tenant: tenant(number),
            account: account(number),
            ad_id: (FIRST_AD + number).to_string(),
        }
    }

    /// Which one it is.
    pub(crate) fn number_of(ad_id: &str) -> Option<usize> {
        let number = ad_id.parse::<usize>().ok()?.checked_sub(FIRST_AD)?;
        (number < ADS).then_some(number)
    }
}

/// As long as Meta's.
const FIRST_AD: usize = 23_849_200_000_000;
const FIRST_ACCOUNT: usize = 100_000_000;

pub(crate) fn tenant(number: usize) -> TenantId {
    TenantId::new(Uuid::from_u128(
        0x7e4a_0000_0000_4000_8000_0000_0000_0001 + (number % TENANTS) as u128,
    ))
}

/// An account belongs to one tenant, for 4 divides 48.
pub(crate) fn account(number: usize) -> String {
    (FIRST_ACCOUNT + number % ACCOUNTS).to_string()
}
