//! Settings: what SET changes, transactionally.
//!
//! ```text
//!   SET x        changes `current` and `lasting`       COMMIT     current = lasting
//!   SET LOCAL x  changes `current` only                ROLLBACK   both = as at BEGIN
//!   SAVEPOINT    remembers both                        ROLLBACK TO restores both
//! ```
//! The three states are shared maps, so that a transaction that sets nothing copies nothing.

pub mod special;
pub mod table;
pub mod value;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use planner::types::Style;
use planner::{SqlError, SqlResult, SqlState};
use txn::Isolation;

pub use table::{Context, Position, SETTINGS, Setting};

/// Values that differ from the defaults.
#[derive(Clone, Debug, Default)]
pub struct Values {
    known: HashMap<Position, Arc<str>>,
    /// Settings with a dot in their name, which anybody may invent.
    custom: BTreeMap<String, Arc<str>>,
    /// Timeouts, read before every statement.
    pub timeouts: Timeouts,
    /// What values are printed by, parsed once per change.
    pub style: Arc<Style>,
    /// How transactions begin that do not say it themselves.
    pub defaults: TransactionDefaults,
}

/// How transactions begin that do not say it themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionDefaults {
    /// default_transaction_isolation
    pub isolation: Isolation,
    /// default_transaction_read_only
    pub is_read_only: bool,
}

/// Settings in milliseconds that the connection acts on; `None` is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// statement_timeout
    pub statement: Option<Duration>,
    /// idle_in_transaction_session_timeout
    pub idle_in_transaction: Option<Duration>,
    /// idle_session_timeout
    pub idle_session: Option<Duration>,
    /// lock_timeout
    pub lock: Option<Duration>,
}

/// Settings that change no statement's meaning, only how it is watched or reported.
const MEANINGLESS: [&str; 6] = [
    "application_name",
    "client_min_messages",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "lock_timeout",
    "statement_timeout",
];

/// How long a change lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The session (from COMMIT on).
    Session,
    /// The transaction.
    Local,
}

/// Settings of one session.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    current: Arc<Values>,
    lasting: Arc<Values>,
    /// What RESET returns to: the defaults, changed by the startup packet.
    base: Arc<Values>,
    begun: Option<Saved>,
    marks: Vec<Saved>,
}

#[derive(Clone, Debug)]
struct Saved {
    current: Arc<Values>,
    lasting: Arc<Values>,
}

impl Values {
    /// The kept form of a setting.
    pub fn get(&self, position: Position) -> &str {
        self.known
            .get(&position)
            .map_or(SETTINGS[position].default, |value| value)
    }

    fn put(&mut self, position: Position, value: Option<Arc<str>>) {
        match value {
            Some(value) => self.known.insert(position, value),
            None => self.known.remove(&position),
        };
        self.refresh(position);
    }

    fn refresh(&mut self, position: Position) {
        let mut style = Style::clone(&self.style);
        if style.set(SETTINGS[position].name, self.get(position)).is_some() {
            self.style = Arc::new(style);
        }
        let timeout = |name: &str| {
            let value = table::find(name)
                .and_then(|position| self.get(position).parse::<u64>().ok())
                .unwrap_or(0);
            (value > 0).then(|| Duration::from_millis(value))
        };
        self.timeouts = Timeouts {
            statement: timeout("statement_timeout"),
            idle_in_transaction: timeout("idle_in_transaction_session_timeout"),
            idle_session: timeout("idle_session_timeout"),
            lock: timeout("lock_timeout"),
        };
        let default = |name: &str| table::find(name).map_or("", |position| self.get(position));
        self.defaults = TransactionDefaults {
            isolation: isolation(default("default_transaction_isolation")),
            is_read_only: default("default_transaction_read_only") == "on",
        };
    }

    /// Everything that differs from the defaults and may change what a statement means, as a text.
    pub fn meaning(&self) -> String {
        let mut known: Vec<_> = self.known.iter().collect();
        known.sort();
        let mut text = String::new();
        for (position, value) in known {
            let name = SETTINGS[*position].name;
            if !MEANINGLESS.contains(&name) {
                text.extend([name, "=", value, "\n"]);
            }
        }
        text
    }
}

/// An isolation level by its name.
pub fn isolation(name: &str) -> Isolation {
    match name {
        "serializable" => Isolation::Serializable,
        "repeatable read" => Isolation::RepeatableRead,
        _ => Isolation::ReadCommitted,
    }
}

impl Settings {
    /// The values in force.
    pub fn current(&self) -> &Arc<Values> {
        &self.current
    }

    /// What SHOW prints; `None` for an unknown name.
    pub fn show(&self, name: &str) -> Option<String> {
        match table::find(name) {
            Some(position) => Some(value::shown(&SETTINGS[position], self.current.get(position))),
            None => self
                .current
                .custom
                .get(&name.to_lowercase())
                .map(|value| value.to_string()),
        }
    }

    /// Names and values SHOW ALL lists, custom ones last.
    pub fn show_all(&self) -> Vec<(String, String)> {
        let known = SETTINGS.iter().enumerate().map(|(position, setting)| {
            (
                setting.name.to_owned(),
                value::shown(setting, self.current.get(position)),
            )
        });
        known
            .chain(
                self.current
                    .custom
                    .iter()
                    .map(|(name, value)| (name.clone(), value.to_string())),
            )
            .collect()
    }

    /// Sets a value (`None`: back to what RESET gives). Returns the setting's name as SHOW spells it.
    ///
    /// # Errors
    /// 42704 for an unknown name, 22023 for a bad value, 55P02 for what cannot change, 42501 without the right.
    pub fn set(&mut self, name: &str, text: Option<&str>, scope: Scope, is_superuser: bool) -> SqlResult<()> {
        let Some(position) = table::find(name) else {
            return self.set_custom(name, text, scope);
        };
        let setting = &SETTINGS[position];
        check_context(setting, is_superuser)?;
        let new = match text {
            Some(text) => Some(self.check(position, text)?),
            None => self.base.known.get(&position).cloned(),
        };
        self.change(scope, |values| values.put(position, new.clone()));
        Ok(())
    }

    /// Sets what the server itself decides (user, database facts) as the value RESET returns to.
    pub fn set_base(&mut self, name: &str, text: &str) {
        if let Some(position) = table::find(name) {
            for values in [&mut self.base, &mut self.current, &mut self.lasting] {
                Arc::make_mut(values).put(position, Some(text.into()));
            }
        }
    }

    /// Sets what the client asked for in its startup packet: checked, and what RESET returns to.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_startup(&mut self, name: &str, text: &str, is_superuser: bool) -> SqlResult<()> {
        self.set(name, Some(text), Scope::Session, is_superuser)?;
        self.base = self.lasting.clone();
        Ok(())
    }

    /// RESET ALL
    pub fn reset_all(&mut self) {
        let base = self.base.clone();
        let keep = [
            "transaction_isolation",
            "transaction_read_only",
            "transaction_deferrable",
            "role",
            "session_authorization",
        ];
        self.change(Scope::Session, |values| {
            let kept: Vec<_> = keep
                .iter()
                .filter_map(|name| table::find(name))
                .filter_map(|position| values.known.get(&position).map(|value| (position, value.clone())))
                .collect();
            *values = (*base).clone();
            values.known.extend(kept);
        });
    }

    /// Begins a transaction block.
    pub fn begin(&mut self) {
        self.begun = Some(Saved {
            current: self.current.clone(),
            lasting: self.lasting.clone(),
        });
        self.marks.clear();
    }

    /// Begins one unless one is open: an implicit block begins with its first SET.
    pub fn begin_once(&mut self) {
        if self.begun.is_none() {
            self.begin();
        }
    }

    /// Ends a transaction block.
    pub fn end(&mut self, is_committed: bool) {
        let begun = self.begun.take();
        self.marks.clear();
        if is_committed {
            self.current = self.lasting.clone();
        } else {
            if let Some(saved) = begun {
                self.lasting = saved.lasting;
            }
            self.current = self.lasting.clone();
        }
    }

    /// Remembers the state at a savepoint; savepoints are numbered from 0 outwards in.
    pub fn mark(&mut self) {
        self.marks.push(Saved {
            current: self.current.clone(),
            lasting: self.lasting.clone(),
        });
    }

    /// Restores the state of the savepoint at a depth, which stays.
    pub fn rollback_to(&mut self, depth: usize) {
        self.marks.truncate(depth + 1);
        if let Some(saved) = self.marks.last() {
            (self.current, self.lasting) = (saved.current.clone(), saved.lasting.clone());
        }
    }

    /// Forgets savepoints from a depth on.
    pub fn release(&mut self, depth: usize) {
        self.marks.truncate(depth);
    }

    fn set_custom(&mut self, name: &str, text: Option<&str>, scope: Scope) -> SqlResult<()> {
        let name = name.to_lowercase();
        if !name.contains('.') {
            return Err(unrecognized(&name));
        }
        let valid = name.split('.').all(|part| {
            part.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
        });
        if !valid {
            return Err(SqlError::new(
                SqlState::INVALID_NAME,
                format!("invalid configuration parameter name \"{name}\""),
            )
            .detail("Custom parameter names must be two or more simple identifiers separated by dots."));
        }
        let text: Option<Arc<str>> = text.map(Into::into);
        self.change(scope, |values| {
            match &text {
                Some(text) => values.custom.insert(name.clone(), text.clone()),
                None => values.custom.insert(name.clone(), "".into()),
            };
        });
        Ok(())
    }

    fn check(&self, position: Position, text: &str) -> SqlResult<Arc<str>> {
        let setting = &SETTINGS[position];
        let value = value::canonical(setting, text)?;
        Ok(special::check(setting, &value, self.current.get(position))?.into())
    }

    fn change(&mut self, scope: Scope, change: impl Fn(&mut Values)) {
        change(Arc::make_mut(&mut self.current));
        if scope == Scope::Session {
            change(Arc::make_mut(&mut self.lasting));
        }
    }
}

/// 42704
pub fn unrecognized(name: &str) -> SqlError {
    SqlError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

fn check_context(setting: &Setting, is_superuser: bool) -> SqlResult<()> {
    let name = setting.name;
    match setting.context {
        Context::User => Ok(()),
        Context::Superuser if is_superuser => Ok(()),
        Context::Superuser => Err(SqlError::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied to set parameter \"{name}\""),
        )),
        Context::Start => Err(SqlError::new(
            SqlState::CANT_CHANGE_RUNTIME_PARAM,
            format!("parameter \"{name}\" cannot be changed without restarting the server"),
        )),
        Context::Fixed => Err(SqlError::new(
            SqlState::CANT_CHANGE_RUNTIME_PARAM,
            format!("parameter \"{name}\" cannot be changed"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(settings: &Settings, name: &str) -> String {
        settings.show(name).unwrap()
    }

    #[test]
    fn set_survives_commit_and_not_rollback() {
        let mut settings = Settings::default();
        settings.begin();
        settings.set("work_mem", Some("8MB"), Scope::Session, true).unwrap();
        settings.end(false);
        assert_eq!(show(&settings, "work_mem"), "4MB");
        settings.begin();
        settings.set("work_mem", Some("8MB"), Scope::Session, true).unwrap();
        settings
            .set("statement_timeout", Some("1s"), Scope::Local, true)
            .unwrap();
        assert_eq!(settings.current().timeouts.statement, Some(Duration::from_secs(1)));
        settings.end(true);
        assert_eq!(
            (show(&settings, "work_mem"), show(&settings, "statement_timeout")),
            ("8MB".into(), "0".into())
        );
        assert_eq!(settings.current().timeouts.statement, None);
    }

    #[test]
    fn rollback_to_restores_the_savepoint() {
        let mut settings = Settings::default();
        settings.begin();
        settings.set("work_mem", Some("8MB"), Scope::Local, true).unwrap();
        settings.mark();
        settings.set("work_mem", Some("9MB"), Scope::Session, true).unwrap();
        settings.rollback_to(0);
        assert_eq!(show(&settings, "work_mem"), "8MB");
        settings.end(true);
        assert_eq!(show(&settings, "work_mem"), "4MB");
    }

    #[test]
    fn custom_names_need_a_dot() {
        let mut settings = Settings::default();
        settings.set("my.Var", Some("x"), Scope::Session, false).unwrap();
        assert_eq!(show(&settings, "MY.var"), "x");
        let error = settings.set("nonsense", Some("x"), Scope::Session, false).unwrap_err();
        assert_eq!(
            error.fields().message,
            "unrecognized configuration parameter \"nonsense\""
        );
        assert_eq!(
            settings
                .set("a.1b", Some("x"), Scope::Session, false)
                .unwrap_err()
                .code(),
            SqlState::INVALID_NAME
        );
    }

    #[test]
    fn fixed_and_superuser_settings_are_guarded() {
        let mut settings = Settings::default();
        let code = |result: SqlResult<()>| result.unwrap_err().code();
        assert_eq!(
            code(settings.set("server_version", Some("16"), Scope::Session, true)),
            SqlState::CANT_CHANGE_RUNTIME_PARAM
        );
        assert_eq!(
            code(settings.set("deadlock_timeout", Some("2s"), Scope::Session, false)),
            SqlState::INSUFFICIENT_PRIVILEGE
        );
    }
}
