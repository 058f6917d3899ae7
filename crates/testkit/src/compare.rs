//! Saying where two dumps differ, without printing all of both.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Result, bail};

const SHOWN: usize = 10;

/// Whether both have the same lines, each as often.
///
/// # Errors
/// What only one of them has: how much, and the first ten of it.
pub fn same_rows((left_name, left): (&str, &str), (right_name, right): (&str, &str)) -> Result<()> {
    let mut balance: BTreeMap<&str, i64> = BTreeMap::new();
    for line in left.lines() {
        *balance.entry(line).or_default() += 1;
    }
    for line in right.lines() {
        *balance.entry(line).or_default() -= 1;
    }
    balance.retain(|_, count| *count != 0);
    if balance.is_empty() {
        return Ok(());
    }
    let mut text = "the rows differ".to_owned();
    for (name, sign) in [(left_name, 1), (right_name, -1)] {
        let only = || balance.iter().filter(|(_, count)| **count * sign > 0);
        let rows: i64 = only().map(|(_, count)| count.abs()).sum();
        let _ = write!(text, "\nonly {name}: {rows}");
        for (line, count) in only().take(SHOWN) {
            let times = match count.abs() {
                1 => String::new(),
                times => format!(" ({times} times)"),
            };
            let _ = write!(text, "\n    {line}{times}");
        }
    }
    bail!(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_there_twice_is_a_difference() {
        assert!(same_rows(("a", "x\ny\n"), ("b", "y\nx\n")).is_ok());
        let found = same_rows(("a", "x\nx\nx\ny\n"), ("b", "x\nz\n")).unwrap_err();
        assert_eq!(
            found.to_string(),
            "the rows differ\nonly a: 3\n    x (2 times)\n    y\nonly b: 1\n    z"
        );
    }
}
