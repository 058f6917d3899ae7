//! Bounds that a value's type cannot say. Each refuses with the key, what was found and what is
//! allowed.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{ConfigError, byte_size, duration};

pub fn count(key: &str, found: usize, allowed: RangeInclusive<usize>) -> Result<(), ConfigError> {
    within(key, found, allowed, |number| number.to_string())
}

/// In bytes.
pub fn size(key: &str, found: usize, allowed: RangeInclusive<usize>) -> Result<(), ConfigError> {
    within(key, found, allowed, |bytes| byte_size::format(bytes as u64))
}

pub fn time(
    key: &str,
    found: Duration,
    allowed: RangeInclusive<Duration>,
) -> Result<(), ConfigError> {
    within(key, found, allowed, duration::format)
}

fn within<T: Copy + PartialOrd>(
    key: &str,
    found: T,
    allowed: RangeInclusive<T>,
    show: impl Fn(T) -> String,
) -> Result<(), ConfigError> {
    if allowed.contains(&found) {
        return Ok(());
    }
    let allowed = format!("{} to {}", show(*allowed.start()), show(*allowed.end()));
    Err(ConfigError::invalid(key, show(found), allowed))
}
