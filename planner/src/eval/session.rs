//! SessionView: what an expression may know of the session it runs in.

/// Facts about the session that functions may read. Implemented by the session, and by a fixed double in tests.
pub trait SessionView: Send + Sync {
    /// The value of a setting (`TimeZone`, `DateStyle`, `IntervalStyle`, `extra_float_digits`, `bytea_output`, …).
    fn setting(&self, name: &str) -> Option<String>;
}
