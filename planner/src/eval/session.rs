//! SessionView: what an expression may know of the session it runs in.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use storage::Datum;

use crate::types::calendar::{EPOCH_DIFFERENCE_SECONDS, MICROS_PER_SECOND};
use crate::types::{Style, oid};
use crate::{Severity, SqlError, SqlResult, Type};

/// Facts about the session that functions may read, and the few things they may change. Implemented by the session, and by
/// a fixed double in tests.
///
/// Moments are microseconds since 2000-01-01 UTC, as in [`storage::Datum::TimestampTz`].
pub trait SessionView: Send + Sync {
    /// The value of a setting (`TimeZone`, `DateStyle`, `IntervalStyle`, `extra_float_digits`, `bytea_output`, …).
    fn setting(&self, name: &str) -> Option<String>;

    /// How long a lock is waited for (`lock_timeout`); `None` is for ever. Asked for before every request of locks: a session
    /// keeps it ready.
    fn lock_timeout(&self) -> Option<Duration> {
        let text = self.setting("lock_timeout")?;
        crate::statement::milliseconds(&text)
            .filter(|ms| *ms > 0)
            .map(Duration::from_millis)
    }

    /// Tells the client something (`NOTICE: relation "t" already exists, skipping`), before the statement's result.
    fn notice(&self, severity: Severity, notice: SqlError) {
        let _ = (severity, notice);
    }

    /// Constraints that are looked at when the transaction ends; `None` if nothing can wait for that.
    fn deferred(&self) -> Option<&Mutex<crate::modify::Deferred>> {
        None
    }

    /// Queues a notification that is sent when the transaction commits (`pg_notify`).
    fn notify(&self, channel: &str, payload: &str) -> SqlResult<()> {
        let _ = (channel, payload);
        Err(SqlError::unsupported("pg_notify here"))
    }

    /// The catalog the running statement sees, for functions that describe objects.
    fn catalog(&self) -> Option<Arc<crate::catalog::Catalog>> {
        None
    }
    /// Sessions of this node, for `pg_stat_activity`.
    fn activities(&self) -> Vec<crate::system::Activity> {
        Vec::new()
    }
    /// Advisory locks of this node, for `pg_locks`.
    fn advisory_locks(&self) -> Vec<crate::system::AdvisoryLock> {
        Vec::new()
    }
    /// How often the plan cache helped, for `cambium.plan_cache`.
    fn plan_cache(&self) -> Option<crate::cached::CacheCounts> {
        None
    }
    /// All settings, for `pg_settings`.
    fn settings(&self) -> Vec<crate::system::SettingInfo> {
        Vec::new()
    }
    /// Name of the database the session is connected to.
    fn current_database(&self) -> String;
    /// Name of the current role.
    fn current_user(&self) -> String;

    /// The settings that formats depend on, parsed. Called for every value of such a type: a session keeps it ready and
    /// renews it with every SET (see [`Style::set`]). The default parses all of them each time.
    fn style(&self) -> Arc<Style> {
        let mut style = Style::default();
        for name in [
            "DateStyle",
            "IntervalStyle",
            "TimeZone",
            "bytea_output",
            "extra_float_digits",
        ] {
            if let Some(value) = self.setting(name) {
                // A value that SET accepted parses; anything else keeps the default.
                let _ = style.set(name, &value);
            }
        }
        Arc::new(style)
    }

    /// `set_config(name, value, is_local)`: the new value as SHOW prints it.
    fn set_setting(&self, name: &str, _value: Option<&str>, _is_local: bool) -> SqlResult<String> {
        Err(SqlError::unsupported(format_args!("set_config of \"{name}\"")))
    }

    /// Start of the transaction: what `now()` is.
    fn transaction_timestamp(&self) -> i64 {
        self.clock_timestamp()
    }

    /// Start of the statement, as the client sent it.
    fn statement_timestamp(&self) -> i64 {
        self.transaction_timestamp()
    }

    /// This moment.
    fn clock_timestamp(&self) -> i64 {
        let micros = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_micros() as i64);
        micros - EPOCH_DIFFERENCE_SECONDS * MICROS_PER_SECOND
    }

    /// Role that logged in.
    fn session_user(&self) -> String {
        self.current_user()
    }

    /// Existing schemas of `search_path` in order, implicit ones (`pg_catalog`) in front if asked for.
    fn current_schemas(&self, include_implicit: bool) -> Vec<String> {
        let mut schemas = vec!["public".to_owned()];
        if include_implicit {
            schemas.insert(0, "pg_catalog".to_owned());
        }
        schemas
    }

    /// Number of the session, as BackendKeyData carries it.
    fn backend_pid(&self) -> i32 {
        0
    }

    /// Client address and port, if it came over TCP.
    fn client_address(&self) -> Option<(String, u16)> {
        None
    }

    /// Server address and port, if the client came over TCP.
    fn server_address(&self) -> Option<(String, u16)> {
        None
    }

    /// A number in 0.0..1.0.
    fn random(&self) -> f64 {
        rand::random()
    }

    /// `setseed`: later calls of [`SessionView::random`] repeat.
    fn set_seed(&self, _seed: f64) {}

    /// `nextval` of a sequence by OID.
    fn next_value(&self, _sequence: u32) -> SqlResult<i64> {
        Err(SqlError::unsupported("nextval here"))
    }

    /// `currval` of a sequence by OID.
    fn current_value(&self, _sequence: u32) -> SqlResult<i64> {
        Err(SqlError::unsupported("currval here"))
    }

    /// `lastval`
    fn last_value(&self) -> SqlResult<i64> {
        Err(SqlError::unsupported("lastval here"))
    }

    /// `setval` of a sequence by OID.
    fn set_value(&self, _sequence: u32, _value: i64, _is_called: bool) -> SqlResult<i64> {
        Err(SqlError::unsupported("setval here"))
    }

    /// OID of an object by name, as the reg* type of OID `kind` reads it (`regclass`, `regnamespace`, `regrole`, and
    /// `regtype` for row types).
    fn object_oid(&self, _kind: u32, _name: &str) -> Option<u32> {
        None
    }

    /// Name of an object as the reg* type of OID `kind` prints it.
    fn object_name(&self, _kind: u32, _oid: u32) -> Option<String> {
        None
    }

    /// Types of the live columns of a row type, or `None` if the OID is none.
    fn composite_fields(&self, row_type: u32) -> Option<Arc<[Type]>> {
        self.composite_columns(row_type)
            .map(|columns| columns.iter().map(|(_, ty)| *ty).collect())
    }

    /// Names and types of the live columns of a row type, or `None` if the OID is none.
    fn composite_columns(&self, _row_type: u32) -> Option<Arc<[(String, Type)]>> {
        None
    }

    /// Domains of the live columns of a row type.
    fn composite_domains(&self, row_type: u32) -> Vec<Option<u32>> {
        let catalog = self.catalog();
        let relation = catalog.as_ref().and_then(|catalog| catalog.relations.get(&row_type));
        relation
            .map(|relation| relation.live_columns().map(|(_, column)| column.domain).collect())
            .unwrap_or_default()
    }

    /// A function that only the catalogs can answer (`pg_get_viewdef`, `has_table_privilege`, …), by name; the variants of
    /// the arguments tell overloads apart.
    fn catalog_call(&self, function: &str, _args: &[Datum]) -> SqlResult<Datum> {
        Err(SqlError::unsupported(format_args!("function {function} here")))
    }

    /// As [`SessionView::catalog_call`], for functions that return rows.
    fn catalog_rows(&self, function: &str, _args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
        Err(SqlError::unsupported(format_args!("function {function} here")))
    }

    /// Sleeps, unless the statement is cancelled meanwhile (`pg_sleep`).
    fn sleep(&self, duration: Duration) -> SqlResult<()> {
        std::thread::sleep(duration);
        Ok(())
    }

    /// OID of the current user's role, for `regrole` and privileges.
    fn current_user_oid(&self) -> u32 {
        self.object_oid(oid::REGROLE, &self.current_user()).unwrap_or(10)
    }
}

/// A session without settings, at a fixed moment: for tests, and for constants that depend on nothing.
#[derive(Clone, Debug)]
pub struct FixedSession {
    /// Formats.
    pub style: Arc<Style>,
    /// What `now()` is.
    pub now: i64,
}

impl Default for FixedSession {
    fn default() -> Self {
        Self {
            style: Arc::new(Style::default()),
            now: 0,
        }
    }
}

impl SessionView for FixedSession {
    fn current_database(&self) -> String {
        "cambium".to_owned()
    }

    fn current_user(&self) -> String {
        "cambium".to_owned()
    }

    fn setting(&self, name: &str) -> Option<String> {
        match name.to_ascii_lowercase().as_str() {
            "timezone" => Some(self.style.zone.name().to_owned()),
            "datestyle" => Some(self.style.date_style()),
            "extra_float_digits" => Some(self.style.extra_float_digits.to_string()),
            _ => None,
        }
    }

    fn style(&self) -> Arc<Style> {
        self.style.clone()
    }

    fn transaction_timestamp(&self) -> i64 {
        self.now
    }

    fn clock_timestamp(&self) -> i64 {
        self.now
    }
}
