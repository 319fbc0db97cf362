//! View: what the functions of a running statement see of its session.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use planner::cached::CacheCounts;
use planner::catalog::{Catalog, PG_CATALOG, Relation};
use planner::eval::SessionView;
use planner::functions::quote_identifier;
use planner::modify::Deferred;
use planner::system::{Activity, AdvisoryLock, SettingInfo};
use planner::types::{Style, oid};
use planner::{Severity, SqlError, SqlResult, Type};
use rand::{Rng, SeedableRng};
use storage::Datum;

use super::lexer::{Kind, Lexer};
use super::notify::{Notice, Pending};
use super::settings::table::Kind as TableKind;
use super::settings::{SETTINGS, Scope, Setting, value};
use super::shared::Shared;

impl SessionView for Shared {
    fn setting(&self, name: &str) -> Option<String> {
        self.show(name)
    }

    fn notice(&self, severity: Severity, notice: SqlError) {
        self.notices.lock().push(Notice {
            severity,
            report: notice,
        });
    }

    fn notify(&self, channel: &str, payload: &str) -> SqlResult<()> {
        super::notify::check(channel, payload)?;
        self.pending
            .lock()
            .push(Pending::Notify(channel.to_owned(), payload.to_owned()));
        Ok(())
    }

    fn deferred(&self) -> Option<&Mutex<Deferred>> {
        Some(&self.deferred)
    }

    fn current_database(&self) -> String {
        self.identity.database.clone()
    }

    fn current_user(&self) -> String {
        self.role.lock().0.clone()
    }

    fn session_user(&self) -> String {
        self.identity.user.clone()
    }

    fn lock_timeout(&self) -> Option<Duration> {
        self.settings.lock().current().timeouts.lock
    }

    fn style(&self) -> Arc<Style> {
        self.settings.lock().current().style.clone()
    }

    fn set_setting(&self, name: &str, value: Option<&str>, is_local: bool) -> SqlResult<String> {
        let scope = if is_local { Scope::Local } else { Scope::Session };
        let is_superuser = self.is_superuser();
        let mut settings = self.settings.lock();
        settings.begin_once();
        settings.set(name, value, scope, is_superuser)?;
        drop(settings);
        Ok(self.show(name).unwrap_or_default())
    }

    fn transaction_timestamp(&self) -> i64 {
        self.transaction_time.load(Ordering::Relaxed)
    }

    fn statement_timestamp(&self) -> i64 {
        self.statement_time.load(Ordering::Relaxed)
    }

    fn current_schemas(&self, include_implicit: bool) -> Vec<String> {
        let catalog = self.catalog.lock().clone();
        let path = self.show("search_path").unwrap_or_default();
        let is_written = path.contains("pg_catalog");
        let temporary = catalog
            .temporary_schema(self)
            .filter(|_| !path.contains("pg_temp"))
            .map(|schema| schema.id);
        catalog
            .search_path(self)
            .into_iter()
            .filter(|schema| include_implicit || is_written || *schema != PG_CATALOG)
            .filter(|schema| include_implicit || Some(*schema) != temporary)
            .filter_map(|schema| catalog.schemas.get(&schema).map(|schema| schema.name.clone()))
            .collect()
    }

    fn backend_pid(&self) -> i32 {
        self.identity.id as i32
    }

    fn client_address(&self) -> Option<(String, u16)> {
        self.identity
            .client
            .map(|address| (address.ip().to_string(), address.port()))
    }

    fn server_address(&self) -> Option<(String, u16)> {
        self.identity
            .server
            .map(|address| (address.ip().to_string(), address.port()))
    }

    fn random(&self) -> f64 {
        match self.seeded.lock().as_mut() {
            Some(generator) => generator.random(),
            None => rand::random(),
        }
    }

    fn set_seed(&self, seed: f64) {
        *self.seeded.lock() = Some(rand::rngs::StdRng::seed_from_u64(seed.to_bits()));
    }

    fn object_oid(&self, kind: u32, name: &str) -> Option<u32> {
        let catalog = self.catalog.lock().clone();
        let (schema, name) = qualified(name)?;
        match kind {
            oid::REGCLASS | oid::REGTYPE => {
                let relation = catalog
                    .relation(self, schema.as_deref(), &name)
                    .map(|relation| relation.id);
                let user = || {
                    let user = catalog.user_type(self, schema.as_deref(), &name)?;
                    (kind == oid::REGTYPE).then_some(user.id)
                };
                let index = || catalog.index(self, schema.as_deref(), &name).map(|(_, index)| index.id);
                relation.or_else(|| if kind == oid::REGCLASS { index() } else { user() })
            }
            oid::REGNAMESPACE => catalog.schema_of(self, &name).map(|schema| schema.id),
            oid::REGROLE => catalog.role(&name).map(|role| role.id),
            _ => None,
        }
    }

    fn object_name(&self, kind: u32, oid: u32) -> Option<String> {
        let catalog = self.catalog.lock().clone();
        match kind {
            oid::REGTYPE if catalog.types.contains_key(&oid) => self.user_type_name(&catalog, oid),
            oid::REGCLASS | oid::REGTYPE => self.relation_name(&catalog, oid),
            oid::REGNAMESPACE => catalog.schemas.get(&oid).map(|schema| quote_identifier(&schema.name)),
            oid::REGROLE => catalog.roles.get(&oid).map(|role| quote_identifier(&role.name)),
            _ => None,
        }
    }

    fn catalog(&self) -> Option<Arc<Catalog>> {
        Some(self.catalog.lock().clone())
    }

    fn advisory_locks(&self) -> Vec<AdvisoryLock> {
        let services = self.services.upgrade();
        services.map_or_else(Vec::new, |services| services.registry.advisory.entries())
    }

    fn activities(&self) -> Vec<Activity> {
        let services = self.services.upgrade();
        let sessions = services.map(|services| services.registry.all()).unwrap_or_default();
        sessions.iter().map(|session| activity(session)).collect()
    }

    fn plan_cache(&self) -> Option<CacheCounts> {
        Some(self.services.upgrade()?.planner.plans.counts())
    }

    fn settings(&self) -> Vec<SettingInfo> {
        let values = self.settings.lock().current().clone();
        SETTINGS
            .iter()
            .enumerate()
            .map(|(position, setting)| setting_info(setting, values.get(position)))
            .collect()
    }

    fn next_value(&self, sequence: u32) -> SqlResult<i64> {
        super::sequences::next_value(self, sequence)
    }

    fn current_value(&self, sequence: u32) -> SqlResult<i64> {
        super::sequences::current_value(self, sequence)
    }

    fn last_value(&self) -> SqlResult<i64> {
        super::sequences::last_value(self)
    }

    fn set_value(&self, sequence: u32, value: i64, is_called: bool) -> SqlResult<i64> {
        super::sequences::set_value(self, sequence, value, is_called)
    }

    fn composite_columns(&self, row_type: u32) -> Option<Arc<[(String, Type)]>> {
        let catalog = self.catalog.lock().clone();
        let relation = catalog.relations.get(&row_type)?;
        Some(
            relation
                .live_columns()
                .map(|(_, column)| (column.name.clone(), column.ty))
                .collect(),
        )
    }

    fn sleep(&self, duration: Duration) -> SqlResult<()> {
        super::calls::sleep(self, duration)
    }

    fn catalog_call(&self, function: &str, args: &[Datum]) -> SqlResult<Datum> {
        super::calls::call(self, function, args)
    }

    fn catalog_rows(&self, function: &str, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
        super::calls::rows(self, function, args)
    }
}

/// A session as `pg_stat_activity` shows it.
fn activity(session: &Shared) -> Activity {
    let identity = &session.identity;
    let now = session.activity.lock().clone();
    Activity {
        pid: identity.id as i32,
        database: identity.database.clone(),
        user: identity.user.clone(),
        application: session.show("application_name").unwrap_or_default(),
        client: identity
            .client
            .map(|address| (address.ip().to_string(), address.port())),
        backend_start: identity.started,
        transaction_start: now.transaction_start,
        query_start: Some(now.query_start),
        state_change: now.state_change,
        state: now.doing.words(),
        query: now.query.to_string(),
    }
}

/// A setting as `pg_settings` shows it: numbers in the base unit.
fn setting_info(setting: &Setting, value: &str) -> SettingInfo {
    let (kind, unit) = match setting.kind {
        TableKind::Bool => ("bool", None),
        TableKind::Integer(_, _, unit) => ("integer", value::unit_name(unit)),
        TableKind::Real(_, _, unit) => ("real", value::unit_name(unit)),
        TableKind::Enum(_) => ("enum", None),
        TableKind::Text | TableKind::List | TableKind::Names => ("string", None),
    };
    SettingInfo {
        name: setting.name.to_owned(),
        value: value.to_owned(),
        unit: unit.map(str::to_owned),
        category: String::new(),
        description: String::new(),
        kind: kind.to_owned(),
        boot_value: setting.default.to_owned(),
    }
}

impl Shared {
    /// Name of a domain or enum, with its schema unless the search path finds it without.
    fn user_type_name(&self, catalog: &Catalog, oid: u32) -> Option<String> {
        let user = catalog.types.get(&oid)?;
        let name = quote_identifier(&user.name);
        if catalog
            .user_type(self, None, &user.name)
            .is_some_and(|found| found.id == oid)
        {
            return Some(name);
        }
        let schema = catalog.schemas.get(&user.schema)?;
        Some(format!("{}.{name}", quote_identifier(&schema.name)))
    }

    /// Name of a relation or index, with its schema unless the search path finds it without.
    fn relation_name(&self, catalog: &Catalog, oid: u32) -> Option<String> {
        let of_index = || {
            let has = |relation: &&Arc<Relation>| relation.indexes.iter().any(|index| index.id == oid);
            let relation = catalog.relations.values().find(has)?;
            let index = relation.indexes.iter().find(|index| index.id == oid)?;
            Some((relation.schema, index.name.clone()))
        };
        let of_relation = catalog
            .relations
            .get(&oid)
            .map(|relation| (relation.schema, relation.name.clone()));
        let (schema, name) = of_relation.or_else(of_index)?;
        if self.object_oid(oid::REGCLASS, &quote_identifier(&name)) == Some(oid) {
            return Some(quote_identifier(&name));
        }
        let schema = catalog.schemas.get(&schema)?;
        Some(format!(
            "{}.{}",
            quote_identifier(&schema.name),
            quote_identifier(&name)
        ))
    }
}

/// Splits a possibly qualified name; a database in front is left out.
fn qualified(text: &str) -> Option<(Option<String>, String)> {
    let mut lexer = Lexer::new(text);
    let mut parts = Vec::new();
    loop {
        match lexer.token().ok()??.kind {
            Kind::Word(name) | Kind::Quoted(name) => parts.push(name),
            _ => return None,
        }
        match lexer.token().ok()? {
            None => break,
            Some(token) if token.kind == Kind::Symbol('.') => {}
            Some(_) => return None,
        }
    }
    let name = parts.pop()?;
    Some((parts.pop(), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_qualified_and_quoted() {
        assert_eq!(qualified("T"), Some((None, "t".into())));
        assert_eq!(qualified("s.\"T.x\""), Some((Some("s".into()), "T.x".into())));
        assert_eq!(qualified("a b"), None);
        assert_eq!(qualified(""), None);
    }
}
