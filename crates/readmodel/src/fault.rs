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

/// Whether Postgres ended the statement or the session because it took too long: a
/// smaller batch may pass.
pub fn took_too_long(error: &sqlx::Error) -> bool {
    // query_canceled, idle_in_transaction_session_timeout
    matches!(
        error
            .as_database_error()
            .and_then(|error| error.code())
            .as_deref(),
        Some("57014" | "25P03")
    )
}

/// Whether somebody else's locks are to blame: the same may pass at once.
pub fn is_contention(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // serialization_failure, deadlock_detected, lock_not_available
    matches!(code.as_deref(), Some("40001" | "40P01" | "55P03"))
}

/// Whether a lock was not to be had in time.
pub fn is_lock_timeout(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.as_deref() == Some("55P03")
}

/// Whether the connection, and nothing else, is to blame.
pub fn lost_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // admin_shutdown, crash_shutdown, and class 08: connection exceptions
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code == "57P01" || code == "57P02" || code.starts_with("08")),
        _ => false,
    }
}
