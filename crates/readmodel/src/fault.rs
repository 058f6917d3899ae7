//! What a failed statement means for the batch it was part of.

/// Whether a retry may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The world: a lost connection, a deadlock, a full disk, a wrong grant. The
    /// partition is held and tried again.
    Transient,
    /// The data: Postgres will refuse these values every time.
    Permanent,
}

/// Permanent are the data exceptions (class 22) and the constraint violations
/// (class 23) of Postgres' appendix A, and values that cannot be encoded. All
/// else is transient, errors in our own SQL included: to park every key of a
/// topic because a table is missing would be the worse mistake.
pub fn classify(error: &sqlx::Error) -> Fault {
    match error {
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some(code) if code.starts_with("22") || code.starts_with("23") => Fault::Permanent,
            _ => Fault::Transient,
        },
        sqlx::Error::Encode(_) => Fault::Permanent,
        _ => Fault::Transient,
    }
}
