//! Meta's ad accounts: their ids, which its APIs write `act_123` and its webhooks
//! `123`, and the names of their statuses.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An ad account's id, digits only. The `act_` prefix is taken off at the edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AdAccountId(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{found:?} is not an ad account id: it is 1 to 20 digits, with or without act_")]
pub struct AdAccountIdError {
    pub found: String,
}

impl AdAccountId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AdAccountId {
    type Err = AdAccountIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("act_").unwrap_or(text);
        let plausible =
            (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plausible {
            return Err(AdAccountIdError {
                found: text.chars().take(64).collect(),
            });
        }
        Ok(Self(digits.to_owned()))
    }
}

impl fmt::Display for AdAccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Meta's name of an `account_status`, where it has one. Source: its Marketing API
/// reference, AdAccount.
pub fn status_name(account_status: i32) -> Option<&'static str> {
    Some(match account_status {
        1 => "ACTIVE",
        2 => "DISABLED",
        3 => "UNSETTLED",
        7 => "PENDING_RISK_REVIEW",
        8 => "PENDING_SETTLEMENT",
        9 => "IN_GRACE_PERIOD",
        100 => "PENDING_CLOSURE",
        101 => "CLOSED",
        201 => "ANY_ACTIVE",
        202 => "ANY_CLOSED",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_account() {
        let plain: AdAccountId = "123456789".parse().unwrap();
        assert_eq!("act_123456789".parse::<AdAccountId>().unwrap(), plain);
    }

    #[test]
    fn anything_else_is_refused() {
        for nonsense in ["", "act_", "12a", "-1", "123456789012345678901", "１２３"] {
            assert!(nonsense.parse::<AdAccountId>().is_err(), "{nonsense}");
        }
    }
}
