//! System relations: tables whose rows the server computes (pg_catalog, information_schema, cambium).
//!
//! ```text
//!   definitions  ─►  Relation (in every catalog)       a scan of one ─►  rows(relation, SystemContext) ─►  Builder rows
//! ```
//!
//! Columns are PostgreSQL's, so that psql, drivers and tools find what they ask for. A column this server has nothing to
//! say about holds the type's neutral value (NULL, 0, false), as PostgreSQL's own do; a relation with nothing to show is
//! empty, because there is nothing, not because it is missing.

mod activity;
mod builder;
pub mod calls;
mod cluster;
mod definitions;
pub mod deparse;
mod dependencies;
pub(crate) mod expression;
mod information_schema;
mod json_paths;
mod objects;
pub mod partition;
mod routines;
mod schema;

use std::sync::{Arc, LazyLock};

use storage::Datum;
use txn::Transaction;

use crate::catalog::{
    BOOTSTRAP_ROLE, CAMBIUM_SCHEMA, Catalog, Column, INFORMATION_SCHEMA, PG_CATALOG, Relation, RelationKind, SystemRows,
};
use crate::eval::SessionView;
use crate::statement::StatementContext;
use crate::types::{self, oid};
use crate::{SqlResult, Type};

pub(crate) use activity::{lock_name, mode_name};
pub use builder::Builder;

/// What rows of system relations are computed from.
pub struct SystemContext<'a> {
    /// Catalog as the statement sees it.
    pub catalog: &'a Catalog,
    /// The session that asks.
    pub session: &'a dyn SessionView,
    /// The transaction, for the node's locks.
    pub transaction: &'a Transaction,
}

/// An advisory lock as `pg_locks` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvisoryLock {
    /// Name of its database.
    pub database: String,
    /// First half of the key.
    pub class: u32,
    /// Second half.
    pub object: u32,
    /// 1 for a key of one bigint, 2 for one of two integers.
    pub parts: i16,
    /// Session that holds it or waits.
    pub session: u32,
    /// Shared rather than exclusive.
    pub is_shared: bool,
    /// Held, or waited for.
    pub granted: bool,
}

/// A session as `pg_stat_activity` shows it.
#[derive(Clone, Debug)]
pub struct Activity {
    /// Backend id.
    pub pid: i32,
    /// Database.
    pub database: String,
    /// Role.
    pub user: String,
    /// `application_name`
    pub application: String,
    /// Client address and port, if it is not local.
    pub client: Option<(String, u16)>,
    /// When the session, its transaction, its statement and its state began, in microseconds since 2000-01-01.
    pub backend_start: i64,
    /// See `backend_start`; `None` outside of a transaction.
    pub transaction_start: Option<i64>,
    /// See `backend_start`.
    pub query_start: Option<i64>,
    /// See `backend_start`.
    pub state_change: i64,
    /// `active`, `idle`, `idle in transaction`, `idle in transaction (aborted)`.
    pub state: &'static str,
    /// Text of the running or last statement.
    pub query: String,
}

/// A setting as `pg_settings` shows it.
#[derive(Clone, Debug)]
pub struct SettingInfo {
    /// Name.
    pub name: String,
    /// Current value.
    pub value: String,
    /// Unit, for numbers.
    pub unit: Option<String>,
    /// Category.
    pub category: String,
    /// Description.
    pub description: String,
    /// `bool`, `integer`, `real`, `string`, `enum`.
    pub kind: String,
    /// Value at start.
    pub boot_value: String,
}

/// Every system relation of this build.
pub fn relations() -> &'static [Arc<Relation>] {
    static RELATIONS: LazyLock<Vec<Arc<Relation>>> = LazyLock::new(|| {
        definitions::DEFINITIONS
            .lines()
            .filter_map(define)
            .map(Arc::new)
            .collect()
    });
    &RELATIONS
}

fn define(line: &str) -> Option<Relation> {
    let mut words = line.split_whitespace();
    let (schema, name) = words.next()?.split_once('.')?;
    let id = words.next()?.parse().ok()?;
    let columns = words.filter_map(|word| word.split_once(':')).map(|(column, ty)| {
        let mut column = Column::new(column.to_string(), Type::new(column_type(ty)));
        column.not_null = column.name == "oid";
        column
    });
    Some(Relation {
        id,
        schema: match schema {
            "pg_catalog" => PG_CATALOG,
            "information_schema" => INFORMATION_SCHEMA,
            _ => CAMBIUM_SCHEMA,
        },
        name: name.to_string(),
        kind: RelationKind::System,
        owner: BOOTSTRAP_ROLE,
        columns: columns.collect(),
        constraints: Vec::new(),
        indexes: Vec::new(),
        view: None,
        check_option: None,
        sequence: None,
        comment: None,
        on_commit: crate::catalog::OnCommit::PreserveRows,
        family: crate::catalog::Family::default(),
        version: 0,
    })
}

/// A sequence as the relation of one row it can be read as.
pub fn sequence_row(sequence: &Relation) -> Relation {
    let column = |name: &str, ty| Column {
        not_null: true,
        ..Column::new(name.into(), ty)
    };
    Relation {
        columns: vec![
            column("last_value", Type::INT8),
            column("log_cnt", Type::INT8),
            column("is_called", Type::BOOL),
        ],
        ..sequence.clone()
    }
}

/// Types this server does not have are shown as text.
fn column_type(name: &str) -> u32 {
    match name {
        "pg_node_tree" => oid::PG_NODE_TREE,
        "inet" | "anyarray" | "pg_lsn" => oid::TEXT,
        "_aclitem" => oid::TEXT_ARRAY,
        "xid" => oid::INT8,
        name => types::lookup_name(name).unwrap_or(oid::TEXT),
    }
}

/// The rows of a system relation, in the order of its columns.
///
/// # Errors
/// What reading the node's state reports.
pub async fn rows(relation: &Relation, statement: &StatementContext) -> SqlResult<SystemRows> {
    if relation.kind == RelationKind::Sequence {
        return statement
            .session
            .catalog_rows("sequence row", &[Datum::Oid(relation.id)]);
    }
    let context = SystemContext {
        catalog: &statement.catalog,
        session: &*statement.session,
        transaction: &statement.transaction,
    };
    let mut builder = Builder::new(relation);
    match (relation.schema, relation.name.as_str()) {
        (PG_CATALOG, name) => {
            let _is_filled = schema::fill(name, &mut builder, &context)
                || dependencies::fill(name, &mut builder, &context)
                || routines::fill(name, &mut builder, &context)
                || objects::fill(name, &mut builder, &context)
                || activity::fill(name, &mut builder, &context);
        }
        (INFORMATION_SCHEMA, name) => information_schema::fill(name, &mut builder, &context),
        (CAMBIUM_SCHEMA, "json_paths") => json_paths::fill(&mut builder, &context).await,
        (CAMBIUM_SCHEMA, name @ ("nodes" | "shards" | "replicas" | "moves")) => {
            // Boxed: few statements ask, and all would carry the room for it.
            Box::pin(cluster::fill(name, &mut builder, &context)).await?;
        }
        (_, name) => {
            activity::fill(name, &mut builder, &context);
        }
    }
    Ok(builder.finish())
}
