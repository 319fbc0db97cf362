//! Planned statements: from a parsed statement to an answer, through the planner.

use std::sync::Arc;

use planner::cached::{CachedStatement, Found};
use planner::catalog::Catalog;
use planner::statement::{Execution, Parsed, Prepared, StatementContext, Verb};
use planner::{SqlError, SqlResult, SqlState};
use sqlparser::ast::{self, SetExpr};
use storage::Datum;
use tokio_util::sync::CancellationToken;
use txn::Isolation;

use super::Session;
use super::block::{self, Block};
use super::rows::{Answer, RowSet, RowTag, Rows};

/// A statement with its plan, and the values of the literals in its text.
#[derive(Clone)]
pub struct Planned {
    /// The plan.
    pub statement: Arc<CachedStatement>,
    /// Values of its parameters.
    pub parameters: Arc<[Datum]>,
}

impl std::fmt::Debug for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Planned({:?}, {:?})", self.statement.parsed.text, self.parameters)
    }
}

impl Session {
    /// Looks for the plan of a simple query; what has none yet is remembered for `learn`.
    pub fn find_plan(&mut self, text: &str) -> Option<Planned> {
        self.unlearned = None;
        // A failed block refuses, and a transaction that changed the catalog has one of its own.
        if self.block == Block::Failed || self.has_catalog_changes {
            return None;
        }
        let planner = &self.services.planner;
        let catalog = planner.current_catalog()?;
        let meaning = self.shared.meaning(&planner.plans, &catalog)?;
        match planner.find(&catalog, &*self.shared, meaning, text) {
            Found::Plan(statement, parameters) => {
                self.see(&catalog);
                Some(Planned { statement, parameters })
            }
            Found::Nothing(unknown) => {
                self.unlearned = unknown.map(|unknown| (text.to_owned(), unknown));
                None
            }
        }
    }

    /// Makes a plan of the simple query that [`Self::find_plan`] had none for, once it was bound.
    pub(crate) fn learn(&mut self, prepared: &Prepared) {
        let Some((text, unknown)) = self.unlearned.take().filter(|_| prepared.is_cacheable()) else {
            return;
        };
        let catalog = self.shared.catalog.lock().clone();
        if !self.has_catalog_changes && catalog.version == prepared.catalog_version {
            self.services.planner.learn(&catalog, &*self.shared, &text, &unknown);
        }
    }

    /// Reads the one row that a query outside of a transaction names by its key, if that can be done at once.
    ///
    /// # Errors
    /// What the query raises.
    pub(crate) fn read_at_once(&mut self, prepared: &Prepared, parameters: &[Datum]) -> SqlResult<Option<Answer>> {
        if self.block != Block::Idle || self.transaction.is_some() || !self.portals.is_empty() {
            return Ok(None);
        }
        if self.shared.settings.lock().current().defaults.isolation == Isolation::Serializable {
            return Ok(None);
        }
        let Some(columns) = &prepared.columns else {
            return Ok(None);
        };
        self.shared.start_transaction();
        let planner = &self.services.planner;
        let rows = prepared.read_by_key(planner, &*self.shared, parameters)?;
        Ok(rows.map(|rows| {
            Answer::Rows(RowSet {
                columns: columns.clone(),
                rows: Rows::ready(rows),
                tag: RowTag::of(Verb::Select),
                is_binary: false,
            })
        }))
    }

    /// The catalog that functions of the running statement see.
    pub(super) fn see(&self, catalog: &Arc<Catalog>) {
        let mut seen = self.shared.catalog.lock();
        if !Arc::ptr_eq(&seen, catalog) {
            *seen = catalog.clone();
        }
    }

    /// The catalog statements see now.
    pub(crate) async fn catalog(&mut self) -> SqlResult<Arc<Catalog>> {
        let catalog = match &self.transaction {
            Some(transaction) if self.has_catalog_changes => self.services.planner.catalog_within(transaction).await?,
            _ => self.services.planner.catalog().await?,
        };
        self.see(&catalog);
        Ok(catalog)
    }

    /// Binds a statement against the present catalog.
    ///
    /// # Errors
    /// What binding raises, with positions in the whole text.
    pub(crate) async fn bind(&mut self, parsed: &Parsed, offset: u32, types: &[u32]) -> SqlResult<Prepared> {
        if self.block == Block::Failed {
            return Err(block::aborted());
        }
        let catalog = self.catalog().await?;
        let shared = self.shared.clone();
        self.services
            .planner
            .prepare(&catalog, &*shared, parsed, types)
            .map_err(|error| error.shift(offset))
    }

    /// Runs a bound statement in the block's transaction.
    ///
    /// # Errors
    /// What the statement raises; the caller then calls [`fail`](Self::fail).
    pub(crate) async fn run(
        &mut self,
        parsed: &Parsed,
        prepared: &Prepared,
        parameters: Arc<[Datum]>,
    ) -> SqlResult<Answer> {
        if self.block == Block::Failed {
            return Err(block::aborted());
        }
        self.check_place(&parsed.ast)?;
        self.read_ahead().await;
        self.ensure_transaction().await_tables(prepared.tables()).await?;
        let context = self.context(parameters).await?;
        let rebound;
        let prepared = if prepared.catalog_version == context.catalog.version {
            prepared
        } else {
            rebound = self.rebind(parsed, prepared, &context)?;
            &rebound
        };
        let execution = self.services.planner.execute(&context, prepared).await?;
        Ok(match execution {
            Execution::Rows { columns, rows, verb } => Answer::Rows(RowSet {
                columns,
                rows: Rows::stream(rows),
                tag: RowTag::of(verb),
                is_binary: false,
            }),
            Execution::Ready { columns, rows, verb } => Answer::Rows(RowSet {
                columns,
                rows: Rows::ready(rows),
                tag: RowTag::of(verb),
                is_binary: false,
            }),
            Execution::Done(tag) => {
                self.has_catalog_changes |= prepared.is_ddl;
                self.may_have_temporary |= prepared.is_ddl;
                Answer::Done(tag.into())
            }
        })
    }

    /// Binds a statement again, because the catalog moved on between its plan and its execution: it may have waited for the
    /// change of a table. Never is a plan run against another catalog than it was made for (DESIGN C8).
    fn rebind(&self, parsed: &Parsed, prepared: &Prepared, context: &StatementContext) -> SqlResult<Prepared> {
        let types: Vec<u32> = prepared.parameters.iter().map(|ty| ty.oid).collect();
        let planner = &self.services.planner;
        let rebound = planner.prepare(&context.catalog, &*self.shared, parsed, &types)?;
        // One change at a time is waited for; whoever makes another one meanwhile is noticed by the shards.
        context.transaction.plan_for(rebound.tables());
        Ok(rebound)
    }

    /// What a statement runs in: the block's transaction with a fresh statement begun.
    pub(crate) async fn context(&mut self, parameters: Arc<[Datum]>) -> SqlResult<StatementContext> {
        let transaction = self.ensure_transaction();
        self.has_queried = true;
        transaction.begin_statement(true).await?;
        let catalog = self.catalog().await?;
        let cancel = CancellationToken::new();
        *self.shared.cancel.lock() = cancel.clone();
        Ok(StatementContext {
            transaction,
            catalog,
            session: self.shared.clone(),
            parameters,
            cancel,
        })
    }

    /// Rows that portals and cursors have not read yet no longer depend on the snapshot after this (S2).
    async fn read_ahead(&mut self) {
        for portal in self.portals.values_mut() {
            portal.read_ahead().await;
        }
    }

    /// Refuses statements where PostgreSQL refuses them: writes in READ ONLY, some inside blocks, some outside.
    fn check_place(&self, statement: &ast::Statement) -> SqlResult<()> {
        if let Some(what) = never_in_block(statement)
            && self.block != Block::Idle
        {
            return Err(block::forbids_block(what));
        }
        if matches!(statement, ast::Statement::Lock(_)) && self.block == Block::Idle {
            return Err(block::needs_block("LOCK TABLE"));
        }
        if let Some(what) = writes(statement)
            && self.is_read_only()
        {
            return Err(SqlError::new(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                format!("cannot execute {what} in a read-only transaction"),
            ));
        }
        Ok(())
    }
}

/// Statements that commit by themselves.
fn never_in_block(statement: &ast::Statement) -> Option<&'static str> {
    match statement {
        ast::Statement::CreateDatabase { .. } => Some("CREATE DATABASE"),
        ast::Statement::Drop {
            object_type: ast::ObjectType::Database,
            ..
        } => Some("DROP DATABASE"),
        ast::Statement::CreateIndex(index) if index.concurrently => Some("CREATE INDEX CONCURRENTLY"),
        ast::Statement::Vacuum(_) => Some("VACUUM"),
        _ => None,
    }
}

/// The command a read-only transaction refuses, if the statement is one.
fn writes(statement: &ast::Statement) -> Option<&'static str> {
    match statement {
        ast::Statement::Query(query) => query_writes(query),
        ast::Statement::Insert(_) => Some("INSERT"),
        ast::Statement::Update(_) => Some("UPDATE"),
        ast::Statement::Delete(_) => Some("DELETE"),
        ast::Statement::Merge(_) => Some("MERGE"),
        ast::Statement::Truncate(_) => Some("TRUNCATE TABLE"),
        ast::Statement::CreateTable(_) => Some("CREATE TABLE"),
        ast::Statement::CreateView(_) => Some("CREATE VIEW"),
        ast::Statement::CreateIndex(_) => Some("CREATE INDEX"),
        ast::Statement::CreateSequence { .. } => Some("CREATE SEQUENCE"),
        ast::Statement::CreateSchema { .. } => Some("CREATE SCHEMA"),
        ast::Statement::CreateDatabase { .. } => Some("CREATE DATABASE"),
        ast::Statement::CreateRole(_) => Some("CREATE ROLE"),
        ast::Statement::AlterTable(_) => Some("ALTER TABLE"),
        ast::Statement::AlterIndex { .. } => Some("ALTER INDEX"),
        ast::Statement::AlterView { .. } => Some("ALTER VIEW"),
        ast::Statement::AlterRole { .. } => Some("ALTER ROLE"),
        ast::Statement::Drop { object_type, .. } => Some(match object_type {
            ast::ObjectType::Table => "DROP TABLE",
            ast::ObjectType::View => "DROP VIEW",
            ast::ObjectType::Index => "DROP INDEX",
            ast::ObjectType::Sequence => "DROP SEQUENCE",
            ast::ObjectType::Schema => "DROP SCHEMA",
            ast::ObjectType::Role => "DROP ROLE",
            ast::ObjectType::Database => "DROP DATABASE",
            _ => "DROP",
        }),
        ast::Statement::Comment { .. } => Some("COMMENT"),
        ast::Statement::Grant(_) => Some("GRANT"),
        ast::Statement::Revoke(_) => Some("REVOKE"),
        ast::Statement::Explain {
            analyze: true,
            statement,
            ..
        } => writes(statement),
        _ => None,
    }
}

fn query_writes(query: &ast::Query) -> Option<&'static str> {
    let of_body = |body: &SetExpr| match body {
        SetExpr::Insert(_) => Some("INSERT"),
        SetExpr::Update(_) => Some("UPDATE"),
        SetExpr::Delete(_) => Some("DELETE"),
        SetExpr::Merge(_) => Some("MERGE"),
        SetExpr::Select(select) if select.into.is_some() => Some("SELECT INTO"),
        _ => None,
    };
    let in_with = query
        .with
        .iter()
        .flat_map(|with| &with.cte_tables)
        .find_map(|cte| query_writes(&cte.query));
    of_body(&query.body)
        .or(in_with)
        .or_else(|| (!query.locks.is_empty()).then_some("SELECT FOR UPDATE"))
}
