//! SET, SHOW, RESET, roles.

use std::sync::Arc;

use planner::{SqlError, SqlResult, SqlState};

use super::Session;
use super::block::Block;
use super::command::{Modes, SetValue};
use super::rows::{Answer, Complete, RowSet, RowTag, Rows, text, text_column};
use super::settings::{self, SETTINGS, Scope, table, value};

const SET: Answer = Answer::Done(Complete::Fixed("SET"));

impl Session {
    /// SET
    pub(super) fn set(&mut self, name: &str, value: &SetValue, scope: Scope) -> SqlResult<Answer> {
        if scope == Scope::Local && self.block == Block::Idle {
            self.shared.warn(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET LOCAL can only be used in transaction blocks",
            );
        }
        let text = match value {
            SetValue::Current => return Ok(SET),
            SetValue::Default => None,
            SetValue::List(values) => Some(joined(name, values)?),
        };
        self.change(name, text.as_deref(), scope)?;
        Ok(SET)
    }

    /// RESET
    pub(super) fn reset(&mut self, name: Option<&str>) -> SqlResult<Answer> {
        match name {
            Some(name) => self.change(name, None, Scope::Session)?,
            None => {
                self.begin_settings();
                self.shared.settings.lock().reset_all();
            }
        }
        Ok(Answer::Done(Complete::Fixed("RESET")))
    }

    /// SHOW
    pub(super) fn show(&mut self, name: Option<&str>) -> SqlResult<Answer> {
        let (columns, rows) = match name {
            Some(name) => {
                let value = self.shared.show(name).ok_or_else(|| settings::unrecognized(name))?;
                (show_columns(Some(name)), vec![vec![text(value)]])
            }
            None => {
                let all = self.shared.settings.lock().show_all();
                let row = |(name, value): (String, String)| {
                    let shown = self.shared.show(&name).unwrap_or(value);
                    vec![text(name), text(shown), text("")]
                };
                (show_columns(None), all.into_iter().map(row).collect())
            }
        };
        Ok(Answer::Rows(RowSet {
            columns,
            rows: Rows::ready(rows),
            tag: RowTag::Fixed("SHOW"),
            is_binary: false,
        }))
    }

    /// SET SESSION CHARACTERISTICS
    pub(super) fn set_characteristics(&mut self, modes: &Modes) -> SqlResult<Answer> {
        let on_off = |value: bool| if value { "on" } else { "off" };
        let changes = [
            ("default_transaction_isolation", modes.isolation_name()),
            ("default_transaction_read_only", modes.read_only.map(on_off)),
            ("default_transaction_deferrable", modes.deferrable.map(on_off)),
        ];
        for (name, value) in changes {
            if value.is_some() {
                self.change(name, value, Scope::Session)?;
            }
        }
        Ok(SET)
    }

    /// SET ROLE
    pub(super) async fn set_role(&mut self, role: Option<&str>, _scope: Scope) -> SqlResult<Answer> {
        let Some(name) = role else {
            self.reset_role();
            return Ok(SET);
        };
        let catalog = self.catalog().await?;
        let wanted = catalog.role(name).ok_or_else(|| no_role(name))?;
        let own = catalog.role(&self.shared.identity.user);
        let is_allowed =
            own.is_some_and(|own| own.superuser || own.id == wanted.id || own.member_of.contains(&wanted.id));
        if !is_allowed {
            return Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied to set role \"{name}\""),
            ));
        }
        *self.shared.role.lock() = (wanted.name.clone(), wanted.superuser);
        Ok(SET)
    }

    /// SET SESSION AUTHORIZATION: the session goes on as another role.
    pub(super) async fn set_authorization(&mut self, role: Option<&str>, scope: Scope) -> SqlResult<Answer> {
        let Some(name) = role else {
            self.reset_role();
            return Ok(SET);
        };
        let catalog = self.catalog().await?;
        let is_superuser = catalog
            .role(&self.shared.identity.user)
            .is_some_and(|own| own.superuser);
        if !is_superuser && name != self.shared.identity.user {
            return Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "permission denied to set session authorization",
            ));
        }
        self.set_role(Some(name), scope).await
    }

    /// The role that logged in is the current one again.
    pub(super) fn reset_role(&mut self) {
        let user = self.shared.identity.user.clone();
        let is_superuser = self
            .shared
            .catalog
            .lock()
            .role(&user)
            .is_some_and(|role| role.superuser);
        *self.shared.role.lock() = (user, is_superuser);
    }

    fn change(&mut self, name: &str, value: Option<&str>, scope: Scope) -> SqlResult<()> {
        if let Some(modes) = transaction_modes(name, value)? {
            return if self.block == Block::Idle {
                Ok(())
            } else {
                self.apply_modes(&modes)
            };
        }
        if name.eq_ignore_ascii_case("seed") {
            return Err(SqlError::unsupported("SET SEED").hint("Call setseed()."));
        }
        self.begin_settings();
        let is_superuser = self.shared.is_superuser();
        // Outside a block a local change ends with its own statement.
        if scope == Scope::Local && self.block == Block::Idle {
            return self
                .shared
                .settings
                .lock()
                .clone()
                .set(name, value, scope, is_superuser);
        }
        self.shared.settings.lock().set(name, value, scope, is_superuser)
    }
}

/// Columns of SHOW; `None` is ALL.
pub fn show_columns(name: Option<&str>) -> Arc<[planner::statement::ResultColumn]> {
    match name {
        Some(name) => {
            let name =
                table::find(name).map_or_else(|| name.to_lowercase(), |position| SETTINGS[position].name.to_owned());
            [text_column(&name)].into()
        }
        None => ["name", "setting", "description"].map(text_column).into(),
    }
}

/// The settings that are transaction modes by another name.
fn transaction_modes(name: &str, value: Option<&str>) -> SqlResult<Option<Modes>> {
    let mut modes = Modes::default();
    let name = name.to_ascii_lowercase();
    let Some(position) = [
        "transaction_isolation",
        "transaction_read_only",
        "transaction_deferrable",
    ]
    .into_iter()
    .position(|known| known == name) else {
        return Ok(None);
    };
    let Some(value) = value else { return Ok(Some(modes)) };
    let setting = table::find(&name).map(|position| &SETTINGS[position]);
    let value = match setting {
        Some(setting) => value::canonical(setting, value)?,
        None => value.to_owned(),
    };
    match position {
        0 => {
            modes.isolation = Some(match value.as_str() {
                "serializable" => txn::Isolation::Serializable,
                "repeatable read" => txn::Isolation::RepeatableRead,
                _ => txn::Isolation::ReadCommitted,
            });
            modes.is_uncommitted = value == "read uncommitted";
        }
        1 => modes.read_only = Some(value == "on"),
        _ => modes.deferrable = Some(value == "on"),
    }
    Ok(Some(modes))
}

fn joined(name: &str, values: &[String]) -> SqlResult<String> {
    let takes_list = table::find(name)
        .is_some_and(|position| matches!(SETTINGS[position].kind, table::Kind::List | table::Kind::Names));
    if values.len() > 1 && !takes_list {
        return Err(value::invalid(format!("SET {name} takes only one argument")));
    }
    Ok(values.join(", "))
}

fn no_role(name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}
