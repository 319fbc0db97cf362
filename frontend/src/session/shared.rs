//! Shared: the part of a session that others may touch while it works — functions of the running statement, cancel
//! requests, `pg_stat_activity`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use planner::cached::{Meaning, PlanCache};
use planner::catalog::Catalog;
use planner::eval::SessionView;
use planner::modify::Deferred;
use planner::{Severity, SqlError, SqlState};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Services;
use super::notify::{Notice, Pending};
use super::settings::{Settings, Values};

/// Who a session is; fixed once it is authenticated.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Number, shown as the process id.
    pub id: u32,
    /// What a cancel request must know.
    pub secret: [u8; 4],
    /// Role that logged in.
    pub user: String,
    /// Database.
    pub database: String,
    /// Client.
    pub client: Option<SocketAddr>,
    /// This server, as the client reached it.
    pub server: Option<SocketAddr>,
    /// Start, microseconds since 2000.
    pub started: i64,
}

/// What a session is doing, as `pg_stat_activity` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Waiting for a statement.
    Idle,
    /// Running one.
    Active,
    /// Waiting for a statement inside a transaction block.
    IdleInTransaction,
    /// The same in a failed block.
    IdleInTransactionAborted,
}

impl Doing {
    /// PostgreSQL's words.
    pub fn words(self) -> &'static str {
        match self {
            Doing::Idle => "idle",
            Doing::Active => "active",
            Doing::IdleInTransaction => "idle in transaction",
            Doing::IdleInTransactionAborted => "idle in transaction (aborted)",
        }
    }
}

/// A row of `pg_stat_activity`. Moments are microseconds since 2000.
#[derive(Clone, Debug)]
pub struct Activity {
    /// State.
    pub doing: Doing,
    /// The present or last query.
    pub query: Arc<str>,
    /// When it started.
    pub query_start: i64,
    /// When `doing` changed.
    pub state_change: i64,
    /// When the transaction started.
    pub transaction_start: Option<i64>,
}

/// Characteristics of the present transaction, as SHOW prints them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Characteristics {
    /// transaction_isolation
    pub isolation: String,
    /// transaction_read_only
    pub is_read_only: bool,
    /// transaction_deferrable
    pub is_deferrable: bool,
}

/// Why a running statement must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A cancel request.
    Cancel,
    /// `pg_terminate_backend` or shutdown: the session ends.
    Terminate,
}

/// The shared part of a session.
pub struct Shared {
    /// Who it is.
    pub identity: Identity,
    /// Settings.
    pub settings: Mutex<Settings>,
    /// Set while a transaction block is open.
    pub characteristics: Mutex<Option<Characteristics>>,
    /// For `pg_stat_activity`.
    pub activity: Mutex<Activity>,
    /// Notices the running statement raised.
    pub notices: Mutex<Vec<Notice>>,
    /// LISTEN and NOTIFY of the present transaction.
    pub pending: Mutex<Vec<Pending>>,
    /// Constraints that are looked at when the present transaction ends.
    pub deferred: Mutex<Deferred>,
    /// Current role after SET ROLE, and whether it is a superuser.
    pub role: Mutex<(String, bool)>,
    /// Catalog of the running statement.
    pub catalog: Mutex<Arc<Catalog>>,
    /// Cancels what the running statement has started elsewhere.
    pub cancel: Mutex<CancellationToken>,
    /// When the running statement is out of time.
    pub deadline: Mutex<Option<Instant>>,
    /// Number of the open transaction, 0 for none.
    pub transaction_id: AtomicU64,
    /// What the node's sessions share; gone in a test without a node.
    pub services: Weak<Services>,
    /// Random numbers after `setseed`.
    pub seeded: Mutex<Option<rand::rngs::StdRng>>,
    /// `currval` by sequence, and the sequence `nextval` was last called for.
    pub sequences: Mutex<Sequences>,
    /// What [`Self::meaning`] found last.
    meaning: Mutex<Option<MeaningMemo>>,
    pub(super) statement_time: AtomicI64,
    pub(super) transaction_time: AtomicI64,
    is_cancelled: AtomicBool,
    is_terminated: AtomicBool,
    wake: Notify,
}

/// What a session's statements mean beside their text, and what that was found from.
struct MeaningMemo {
    values: Arc<Values>,
    role: (String, bool),
    catalog_version: u64,
    meaning: Option<Meaning>,
}

/// What `currval` and `lastval` answer.
#[derive(Debug, Default)]
pub struct Sequences {
    /// Value by sequence.
    pub values: std::collections::HashMap<u32, i64>,
    /// Sequence last used.
    pub last: Option<u32>,
}

impl Shared {
    /// The shared part of a new session.
    pub fn new(
        identity: Identity,
        settings: Settings,
        is_superuser: bool,
        catalog: Arc<Catalog>,
        services: Weak<Services>,
    ) -> Self {
        let now = now();
        let role = (identity.user.clone(), is_superuser);
        Self {
            identity,
            settings: Mutex::new(settings),
            characteristics: Mutex::new(None),
            activity: Mutex::new(Activity {
                doing: Doing::Idle,
                query: "".into(),
                query_start: now,
                state_change: now,
                transaction_start: None,
            }),
            notices: Mutex::default(),
            pending: Mutex::default(),
            deferred: Mutex::default(),
            role: Mutex::new(role),
            catalog: Mutex::new(catalog),
            sequences: Mutex::default(),
            cancel: Mutex::default(),
            deadline: Mutex::new(None),
            transaction_id: AtomicU64::new(0),
            services,
            seeded: Mutex::new(None),
            meaning: Mutex::new(None),
            statement_time: AtomicI64::new(now),
            transaction_time: AtomicI64::new(now),
            is_cancelled: AtomicBool::new(false),
            is_terminated: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// A statement arrived: it is what `pg_stat_activity` shows, and earlier cancel requests no longer count.
    pub fn arrive(&self, query: &str) {
        let now = now();
        self.statement_time.store(now, Ordering::Relaxed);
        self.is_cancelled.store(false, Ordering::Release);
        let mut activity = self.activity.lock();
        activity.doing = Doing::Active;
        if &*activity.query != query {
            // Longer queries are cut, as track_activity_query_size does.
            let end = (0..=query.len().min(1024))
                .rev()
                .find(|end| query.is_char_boundary(*end))
                .unwrap_or(0);
            activity.query = query[..end].into();
        }
        activity.query_start = now;
        activity.state_change = now;
    }

    /// The session waits for its client again.
    pub fn rest(&self, doing: Doing) {
        let mut activity = self.activity.lock();
        activity.doing = doing;
        activity.state_change = now();
        if doing == Doing::Idle {
            activity.transaction_start = None;
        }
    }

    /// A transaction starts with the present statement.
    pub fn start_transaction(&self) {
        let time = self.statement_time.load(Ordering::Relaxed);
        self.transaction_time.store(time, Ordering::Relaxed);
        self.activity.lock().transaction_start = Some(time);
    }

    /// What the session's statements mean beside their text, for the plan cache; `None` if it must do without.
    pub fn meaning(&self, plans: &PlanCache, catalog: &Catalog) -> Option<Meaning> {
        let values = self.settings.lock().current().clone();
        let mut memo = self.meaning.lock();
        if let Some(memo) = &*memo
            && Arc::ptr_eq(&memo.values, &values)
            && memo.role == *self.role.lock()
            && memo.catalog_version == catalog.version
        {
            return memo.meaning;
        }
        let role = self.role.lock().clone();
        let path = catalog.search_path(self);
        let text = format!(
            "{:?} {:?} {:?} {path:?}\n{}",
            self.identity.database,
            self.identity.user,
            role,
            values.meaning()
        );
        let meaning = plans.meaning(&text);
        *memo = Some(MeaningMemo {
            values,
            role,
            catalog_version: catalog.version,
            meaning,
        });
        meaning
    }

    /// Asks the session to stop what it is doing.
    pub fn stop(&self, stop: Stop) {
        match stop {
            Stop::Cancel => self.is_cancelled.store(true, Ordering::Release),
            Stop::Terminate => self.is_terminated.store(true, Ordering::Release),
        }
        // Work that does not come back to its own task soon (a sleep, a sort elsewhere) learns of it by the token.
        self.cancel.lock().cancel();
        self.wake.notify_one();
    }

    /// Resolves when the session is asked to stop.
    pub async fn stopped(&self) -> Stop {
        loop {
            if self.is_terminated() {
                return Stop::Terminate;
            }
            if self.is_cancelled.swap(false, Ordering::AcqRel) {
                return Stop::Cancel;
            }
            self.wake.notified().await;
        }
    }

    /// Resolves when the session is to end; cancel requests while idle are ignored.
    pub async fn terminated(&self) {
        while self.stopped().await != Stop::Terminate {}
    }

    /// Whether the session is to end.
    pub fn is_terminated(&self) -> bool {
        self.is_terminated.load(Ordering::Acquire)
    }

    /// Whether the current role is a superuser.
    pub fn is_superuser(&self) -> bool {
        self.role.lock().1
    }

    /// Raises a warning.
    pub fn warn(&self, code: SqlState, message: impl Into<String>) {
        self.notice(Severity::Warning, SqlError::new(code, message));
    }

    /// What SHOW prints; `None` for an unknown name.
    pub fn show(&self, name: &str) -> Option<String> {
        let on_off = |value: bool| if value { "on".to_owned() } else { "off".to_owned() };
        let transaction = self.characteristics.lock().clone();
        let in_block = |of_block: fn(&Characteristics) -> String, default: &str| {
            Some(
                transaction
                    .as_ref()
                    .map_or_else(|| self.settings.lock().show(default).unwrap_or_default(), of_block),
            )
        };
        match name.to_ascii_lowercase().as_str() {
            "transaction_isolation" => in_block(|modes| modes.isolation.clone(), "default_transaction_isolation"),
            "transaction_read_only" => transaction
                .map(|modes| on_off(modes.is_read_only))
                .or_else(|| self.settings.lock().show("default_transaction_read_only")),
            "transaction_deferrable" => transaction
                .map(|modes| on_off(modes.is_deferrable))
                .or_else(|| self.settings.lock().show("default_transaction_deferrable")),
            "is_superuser" => Some(on_off(self.is_superuser())),
            "session_authorization" => Some(self.identity.user.clone()),
            "role" => {
                let role = self.role.lock().0.clone();
                Some(if role == self.identity.user {
                    "none".into()
                } else {
                    role
                })
            }
            _ => self.settings.lock().show(name),
        }
    }
}

/// This moment in microseconds since 2000-01-01 UTC.
pub fn now() -> i64 {
    const SECONDS_1970_TO_2000: i64 = 946_684_800;
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_micros() as i64);
    since_1970 - SECONDS_1970_TO_2000 * 1_000_000
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A session of a test.
    pub fn shared() -> Shared {
        let identity = Identity {
            id: 1,
            secret: *b"key!",
            user: "ann".into(),
            database: "shop".into(),
            client: None,
            server: None,
            started: 0,
        };
        Shared::new(identity, Settings::default(), false, Arc::default(), Weak::new())
    }

    #[test]
    fn set_config_is_undone_with_its_transaction() {
        let shared = shared();
        shared.set_setting("work_mem", Some("9MB"), false).unwrap();
        shared.settings.lock().end(false);
        assert_eq!(shared.show("work_mem").as_deref(), Some("4MB"));
    }

    #[test]
    fn settings_the_session_decides_are_shown() {
        let shared = shared();
        assert_eq!(shared.show("session_authorization").as_deref(), Some("ann"));
        assert_eq!(shared.show("is_superuser").as_deref(), Some("off"));
        assert_eq!(shared.show("transaction_isolation").as_deref(), Some("read committed"));
        assert_eq!(shared.show("nothing"), None);
    }
}
