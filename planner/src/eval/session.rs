//! SessionView: what an expression may know of the session it runs in.

use crate::{Severity, SqlError, SqlResult};

/// Facts about the session that functions may read. Implemented by the session, and by a fixed double in tests.
pub trait SessionView: Send + Sync {
    /// The value of a setting (`TimeZone`, `DateStyle`, `IntervalStyle`, `extra_float_digits`, `bytea_output`, …).
    fn setting(&self, name: &str) -> Option<String>;

    /// Tells the client something (`NOTICE: relation "t" already exists, skipping`), before the statement's result.
    fn notice(&self, severity: Severity, notice: SqlError) {
        let _ = (severity, notice);
    }

    /// Queues a notification that is sent when the transaction commits (`pg_notify`).
    fn notify(&self, channel: &str, payload: &str) -> SqlResult<()> {
        let _ = (channel, payload);
        Err(SqlError::unsupported("pg_notify here"))
    }

    /// Name of the database the session is connected to.
    fn current_database(&self) -> String;
    /// Name of the current role.
    fn current_user(&self) -> String;
}
