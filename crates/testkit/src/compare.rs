//! Saying where two dumps differ, without printing all of both.

use std::{collections::BTreeMap, fmt::Write as _};

const SHOWN: usize = 10;

/// Nothing when both have the same lines; else what is in only one of them.
pub fn same_rows(
    (left_name, left): (&str, &str),
    (right_name, right): (&str, &str),
) -> Result<(), String> {
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
    let mut text = String::new();
    for (name, sign) in [(left_name, 1), (right_name, -1)] {
        let only = balance.iter().filter(|(_, count)| **count * sign > 0);
        let lines: Vec<&str> = only.map(|(line, _)| *line).collect();
        let _ = writeln!(text, "only {name}: {} rows", lines.len());
        for line in lines.iter().take(SHOWN) {
            let _ = writeln!(text, "    {line}");
        }
    }
    Err(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_there_twice_is_a_difference() {
        assert!(same_rows(("a", "x\ny\n"), ("b", "y\nx\n")).is_ok());
        let found = same_rows(("a", "x\nx\ny\n"), ("b", "x\nz\n")).unwrap_err();
        assert_eq!(found, "only a: 2 rows\n    x\n    y\nonly b: 1 rows\n    z\n");
    }
}
