//! Meta's ad account ids. Its APIs write `act_123`, its webhooks `123`.

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
