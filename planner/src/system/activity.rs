//! What runs: pg_locks, pg_stat_activity, pg_settings, cambium.plan_cache.

use std::fmt::Write as _;

use storage::key::decode_columns;
use storage::{Datum, Path, Step};
use txn::{LockName, Mode, RowPart};

use super::SystemContext;
use super::builder::{Builder, id, maybe, text};
use crate::catalog::{Catalog, Relation};
use crate::eval::SessionView;
use crate::types;

/// Fills one of these relations; `false` if it is not one of them.
pub(super) fn fill(name: &str, rows: &mut Builder, context: &SystemContext<'_>) -> bool {
    match name {
        "pg_locks" => {
            locks(rows, context);
            advisory_locks(rows, context);
        }
        "pg_stat_activity" => activity(rows, context),
        "pg_settings" => settings(rows, context),
        "plan_cache" => plan_cache(rows, context),
        _ => return false,
    }
    true
}

fn plan_cache(rows: &mut Builder, context: &SystemContext<'_>) {
    if let Some(counts) = context.session.plan_cache() {
        let number = |count: u64| Datum::Int8(count as i64);
        rows.row([
            ("hits", number(counts.hits)),
            ("misses", number(counts.misses)),
            ("entries", number(counts.entries)),
        ]);
    }
}

fn locks(rows: &mut Builder, context: &SystemContext<'_>) {
    let database = context.catalog.session_database(context.session);
    for lock in context.transaction.node_locks() {
        let kind = match &lock.name {
            LockName::Table(_) | LockName::RowSet { .. } => "relation",
            LockName::Row {
                part: RowPart::Row | RowPart::Identity | RowPart::Data,
                ..
            } => "tuple",
            LockName::Row {
                part: RowPart::Path(_), ..
            }
            | LockName::PathClass { .. } => "path",
            LockName::IndexValue { .. } | LockName::IndexInterval { .. } => "index",
        };
        rows.row([
            ("locktype", text(kind)),
            ("database", id(database)),
            ("relation", id(table_of(&lock.name))),
            ("path", text(lock_name(context.catalog, context.session, &lock.name))),
            ("shard", Datum::Int4(lock.shard as i32)),
            (
                "virtualtransaction",
                text(format!("{}/{}", lock.session, lock.transaction)),
            ),
            ("pid", Datum::Int4(lock.session as i32)),
            ("mode", text(mode_name(lock.mode))),
            ("granted", Datum::Bool(lock.granted)),
            ("fastpath", Datum::Bool(false)),
        ]);
    }
}

fn advisory_locks(rows: &mut Builder, context: &SystemContext<'_>) {
    for lock in context.session.advisory_locks() {
        let database = context
            .catalog
            .database(&lock.database)
            .map_or(0, |database| database.id);
        let mode = if lock.is_shared { "ShareLock" } else { "ExclusiveLock" };
        rows.row([
            ("locktype", text("advisory")),
            ("database", id(database)),
            ("classid", id(lock.class)),
            ("objid", id(lock.object)),
            ("objsubid", Datum::Int2(lock.parts)),
            ("virtualtransaction", text(format!("{}/0", lock.session))),
            ("pid", Datum::Int4(lock.session as i32)),
            ("mode", text(mode)),
            ("granted", Datum::Bool(lock.granted)),
            ("fastpath", Datum::Bool(false)),
        ]);
    }
}

fn table_of(name: &LockName) -> u32 {
    match name {
        LockName::Table(table)
        | LockName::Row { table, .. }
        | LockName::IndexValue { table, .. }
        | LockName::IndexInterval { table, .. }
        | LockName::PathClass { table, .. }
        | LockName::RowSet { table, .. } => *table,
    }
}

/// A mode as `pg_locks` shows it: PostgreSQL's names for table modes, the textbook's for the rest.
pub(crate) fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::IntentionShared => "IS",
        Mode::IntentionExclusive => "IX",
        Mode::Shared => "S",
        Mode::SharedIntentionExclusive => "SIX",
        Mode::Exclusive => "X",
        Mode::Add => "A",
        Mode::AccessShare => "AccessShareLock",
        Mode::RowShare => "RowShareLock",
        Mode::RowExclusive => "RowExclusiveLock",
        Mode::ShareUpdateExclusive => "ShareUpdateExclusiveLock",
        Mode::TableShare => "ShareLock",
        Mode::ShareRowExclusive => "ShareRowExclusiveLock",
        Mode::TableExclusive => "ExclusiveLock",
        Mode::AccessExclusive => "AccessExclusiveLock",
    }
}

/// A lock's name in words a user knows: `orders/42/doc/items/3/qty`.
pub(crate) fn lock_name(catalog: &Catalog, session: &dyn SessionView, name: &LockName) -> String {
    let relation = catalog.relations.get(&table_of(name)).map(AsRef::as_ref);
    let mut path = relation.map_or_else(
        || table_of(name).to_string(),
        |relation: &Relation| relation.name.clone(),
    );
    let index_name = |index: u32| {
        let found = relation.and_then(|relation| relation.indexes.iter().find(|known| known.id == index));
        found.map_or_else(|| index.to_string(), |found| found.name.clone())
    };
    match name {
        LockName::Table(_) => {}
        LockName::Row { key, part, .. } => {
            let _ = write!(path, "/{}", key_text(session, relation, key));
            match part {
                RowPart::Row => {}
                RowPart::Identity => path.push_str("/#key"),
                RowPart::Data => path.push_str("/#data"),
                RowPart::Path(inner) => push_path(&mut path, relation, inner),
            }
        }
        LockName::IndexValue { index, value, row, .. } => {
            let _ = write!(path, "/{}/{}", index_name(*index), key_text(session, None, value));
            if let Some(row) = row {
                let _ = write!(path, "/{}", key_text(session, relation, row));
            }
        }
        LockName::IndexInterval { index, from, to, .. } => {
            let to = to.as_ref().map_or_else(String::new, |to| key_text(session, None, to));
            let _ = write!(
                path,
                "/{}/[{}, {to})",
                index_name(*index),
                key_text(session, None, from)
            );
        }
        LockName::PathClass { path: inner, .. } => {
            path.push_str("/*");
            push_path(&mut path, relation, inner);
        }
        LockName::RowSet { row, .. } => {
            path.push_str("/#rows");
            if let Some(row) = row {
                let _ = write!(path, "/{}", key_text(session, relation, row));
            }
        }
    }
    path
}

fn push_path(text: &mut String, relation: Option<&Relation>, path: &Path) {
    match relation.and_then(|relation| relation.columns.get(path.column as usize)) {
        Some(column) => {
            let _ = write!(text, "/{}", column.name);
        }
        None => {
            let _ = write!(text, "/{}", path.column);
        }
    }
    for step in &path.steps {
        let _ = match step {
            Step::Member(name) => write!(text, "/{name}"),
            Step::Element(position) => write!(text, "/{position}"),
        };
    }
}

/// An encoded key as its values; an undecodable one (an interval's bound) in hexadecimal.
fn key_text(session: &dyn SessionView, relation: Option<&Relation>, key: &[u8]) -> String {
    let Ok(values) = decode_columns(key) else {
        return key.iter().fold(String::from("0x"), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
    };
    let key_types: Vec<crate::Type> = relation
        .and_then(Relation::primary_key)
        .map(|index| index.keys.iter().map(|key| key.ty).collect())
        .unwrap_or_default();
    let mut out = String::new();
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        let ty = key_types.get(i).copied().unwrap_or_else(|| value_type(value));
        if types::output(ty, value, session, &mut out).is_err() || value.is_null() {
            out.push_str("null");
        }
    }
    out
}

/// A type that prints a value whose SQL type is not at hand.
fn value_type(value: &Datum) -> crate::Type {
    use crate::Type;
    match value {
        Datum::Bool(_) => Type::BOOL,
        Datum::Int2(_) => Type::INT2,
        Datum::Int4(_) => Type::INT4,
        Datum::Int8(_) => Type::INT8,
        Datum::Float4(_) => Type::FLOAT4,
        Datum::Float8(_) => Type::FLOAT8,
        Datum::Numeric(_) => Type::NUMERIC,
        Datum::Bytea(_) => Type::BYTEA,
        Datum::Date(_) => Type::DATE,
        Datum::Time(_) => Type::TIME,
        Datum::TimeTz(..) => Type::TIMETZ,
        Datum::Timestamp(_) => Type::TIMESTAMP,
        Datum::TimestampTz(_) => Type::TIMESTAMPTZ,
        Datum::Interval(_) => Type::INTERVAL,
        Datum::Uuid(_) => Type::UUID,
        Datum::Oid(_) => Type::OID,
        Datum::Jsonb(_) => Type::JSONB,
        _ => Type::TEXT,
    }
}

fn activity(rows: &mut Builder, context: &SystemContext<'_>) {
    for one in context.session.activities() {
        let database = context
            .catalog
            .database(&one.database)
            .map_or(0, |database| database.id);
        let role = context.catalog.role(&one.user).map_or(0, |role| role.id);
        rows.row([
            ("datid", id(database)),
            ("datname", text(&one.database)),
            ("pid", Datum::Int4(one.pid)),
            ("leader_pid", Datum::Null),
            ("usesysid", id(role)),
            ("usename", text(&one.user)),
            ("application_name", text(&one.application)),
            ("client_addr", maybe(one.client.as_ref().map(|(address, _)| address))),
            (
                "client_port",
                one.client
                    .as_ref()
                    .map_or(Datum::Null, |(_, port)| Datum::Int4(i32::from(*port))),
            ),
            ("backend_start", Datum::TimestampTz(one.backend_start)),
            (
                "xact_start",
                one.transaction_start.map_or(Datum::Null, Datum::TimestampTz),
            ),
            ("query_start", one.query_start.map_or(Datum::Null, Datum::TimestampTz)),
            ("state_change", Datum::TimestampTz(one.state_change)),
            (
                "wait_event_type",
                if context.transaction.blocking(one.pid as u32).is_empty() {
                    Datum::Null
                } else {
                    text("Lock")
                },
            ),
            ("backend_xid", Datum::Null),
            ("backend_xmin", Datum::Null),
            ("query_id", Datum::Null),
            ("state", text(one.state)),
            ("query", text(&one.query)),
            ("backend_type", text("client backend")),
        ]);
    }
}

fn settings(rows: &mut Builder, context: &SystemContext<'_>) {
    for setting in context.session.settings() {
        rows.row([
            ("name", text(&setting.name)),
            ("setting", text(&setting.value)),
            ("unit", maybe(setting.unit.as_ref())),
            ("category", text(&setting.category)),
            ("short_desc", text(&setting.description)),
            ("context", text("user")),
            ("vartype", text(&setting.kind)),
            ("source", text("default")),
            ("boot_val", text(&setting.boot_value)),
            ("reset_val", text(&setting.boot_value)),
        ]);
    }
}
