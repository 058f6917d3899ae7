//! Without a guard the promise that it keeps is broken: what fails here may be dropped from the
//! protocol.

use compline_model::{CASES, Case, Guard, Guards, RULES};

#[test]
fn each_rule_is_needed() {
    for rule in RULES {
        let case = Case::named(rule.case).unwrap();
        let verdict = case.check(Guards::ALL.without(rule.guard), None);
        let broken = verdict
            .broken
            .unwrap_or_else(|| panic!("{} is not needed", rule.name()));
        assert!(
            broken.promise == rule.breaks,
            "without {}: {}\n{}",
            rule.name(),
            broken.promise,
            broken.story
        );
    }
}

/// A part that nothing breaks shows nothing.
#[test]
fn each_part_needs_a_rule() {
    for case in CASES {
        assert!(
            RULES.iter().any(|rule| rule.case == case.name),
            "{}",
            case.name
        );
    }
}

/// One that is left out of the table is never missed.
#[test]
fn each_guard_has_a_rule() {
    let last = Guard::IdBlocks;
    for guard in 0..=last as usize {
        let rules = RULES.iter().filter(|rule| rule.guard as usize == guard);
        assert_eq!(rules.count(), 1, "guard {guard} of {last:?}");
    }
}
