//! Who won: the rule by which every reader of the log decides whether a
//! commanded event takes effect.
//!
//! A command is appended before anyone knows whether it is still valid; two may
//! race. So the event carries its precondition, and each fold that keeps the
//! entity asks [`verdict`] in log order. Readers with the same log give the same
//! answer; the command service waits for the tenancy projection's.
//!
//! | request seen before | expected version | verdict |
//! |---|---|---|
//! | yes | any | `Repeated`: a retry, nothing changes |
//! | no | absent, or the current one | `Effective` |
//! | no | another | `Stale`: nothing changes but the request is remembered |

/// What a fold does with a commanded event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Effective,
    Stale,
    Repeated,
}

/// `current_version` counts the effective commands of the entity; 0 before the
/// first.
pub fn verdict(seen: bool, current_version: u64, expected_version: Option<u64>) -> Verdict {
    if seen {
        return Verdict::Repeated;
    }
    match expected_version {
        Some(expected) if expected != current_version => Verdict::Stale,
        _ => Verdict::Effective,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds() {
        assert_eq!(verdict(true, 3, Some(3)), Verdict::Repeated);
        assert_eq!(verdict(false, 3, None), Verdict::Effective);
        assert_eq!(verdict(false, 3, Some(3)), Verdict::Effective);
        assert_eq!(verdict(false, 3, Some(2)), Verdict::Stale);
        assert_eq!(verdict(false, 0, Some(1)), Verdict::Stale);
    }
}
