//! Statement: what the front end calls. One text comes in, prepared statements and row streams go out.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use sqlparser::ast::Statement;
use storage::{Datum, Row};
use tokio_util::sync::CancellationToken;
use txn::{LockWait, Node, Transaction, TransactionOptions};

use crate::bind::{Binder, BoundStatement, Purpose, StatementKind};
use crate::bound::tables::tables;
use crate::bound::{ColumnId, Expr, ExprKind, Modify, ModifyKind, OutputColumn, Query, Rel};
use crate::cached::PlanCache;
use crate::catalog::registry::{self, OID_SEQUENCE};
use crate::catalog::{Catalog, FIRST_USER_OID, Relation};
use crate::ddl::{self, Ddl};
use crate::eval::{EvalContext, SessionView};
use crate::explain::Explain;
use crate::modify::run::Outcome;
use crate::modify::{self, ModifyPlan, TableProgram};
use crate::relational::{KeyedPlan, ModifyHook, NoModify, QueryPlan, QueryScope, RowBatches, plan_query};
use crate::sequence::{Counter, Sequences};
use crate::{SqlError, SqlResult, SqlState, Type, parse, stored, types};

/// Sequence id the hidden row ids of tables without primary key are drawn from.
const ROW_ID_SEQUENCE: u32 = 2;
/// Row ids reserved at once.
const ROW_ID_BLOCK: u32 = 1 << 16;

/// One statement of a text.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// Syntax tree.
    pub ast: Arc<Statement>,
    /// The statement's own text, for `pg_stat_activity` and error positions.
    pub text: Arc<str>,
    /// Characters of the whole text before this statement (positions count from the whole text).
    pub offset: u32,
}

/// A column of a result.
#[derive(Clone, Debug)]
pub struct ResultColumn {
    /// Name.
    pub name: String,
    /// Type.
    pub ty: Type,
    /// Table the column comes from, or 0.
    pub table: u32,
    /// attnum in that table, or 0.
    pub attribute: i16,
}

/// A statement bound and ready to run with parameters.
#[derive(Clone)]
pub struct Prepared {
    /// Parameter types, inferred where the client left them open.
    pub parameters: Arc<[Type]>,
    /// Result columns; `None` if the statement returns no rows.
    pub columns: Option<Arc<[ResultColumn]>>,
    /// Catalog version it was bound against; a session binds again when the catalog moved on.
    pub catalog_version: u64,
    /// Whether it changes the registry: the session's catalog is stale afterwards.
    pub is_ddl: bool,
    /// The tables it was bound to, and in which version.
    tables: Arc<[(u32, u64)]>,
    pub(crate) plan: Arc<Plan>,
}

/// What a prepared statement runs. What is compiled of it at its first run stays with it.
pub(crate) enum Plan {
    Query(PlannedQuery),
    Modify(Verb, Arc<Modify>, OnceLock<ModifyPlan>),
    /// A data-modifying statement under WITH.
    ModifyWithin(Verb, Query),
    Ddl(Parsed),
    Explain(Explain),
}

/// A query, planned at its first run.
pub(crate) struct PlannedQuery {
    pub(crate) query: Query,
    plan: OnceLock<QueryPlan>,
}

impl PlannedQuery {
    fn new(query: Query) -> Self {
        Self {
            query,
            plan: OnceLock::new(),
        }
    }

    fn plan(&self, session: &dyn SessionView) -> SqlResult<&QueryPlan> {
        if let Some(plan) = self.plan.get() {
            return Ok(plan);
        }
        let ids: Vec<ColumnId> = self.query.columns.iter().map(|column| column.id).collect();
        let plan = plan_query(&self.query.rel, &ids, session)?;
        Ok(self.plan.get_or_init(|| plan))
    }
}

impl Prepared {
    /// A bound statement.
    pub(crate) fn of(bound: BoundStatement, catalog: &Catalog) -> Prepared {
        let verb = match bound.kind {
            StatementKind::Select => Verb::Select,
            StatementKind::Insert => Verb::Insert,
            StatementKind::Update => Verb::Update,
            StatementKind::Delete => Verb::Delete,
            StatementKind::Merge => Verb::Merge,
        };
        let columns = bound.returns_rows.then(|| {
            let origins = bound.origins.iter().copied().chain(std::iter::repeat((0, 0)));
            let columns = bound.query.columns.iter().zip(origins);
            columns
                .map(|(column, (table, attribute))| ResultColumn {
                    name: column.name.clone(),
                    ty: column.ty,
                    table,
                    attribute,
                })
                .collect()
        });
        let tables = tables(&bound.query.rel).into();
        let plan = match (verb, bound.query.rel) {
            (Verb::Select, rel) => Plan::Query(PlannedQuery::new(Query {
                rel,
                columns: bound.query.columns,
            })),
            (_, Rel::Modify(modify)) => Plan::Modify(verb, Arc::new(*modify), OnceLock::new()),
            (_, rel) => Plan::ModifyWithin(
                verb,
                Query {
                    rel,
                    columns: bound.query.columns,
                },
            ),
        };
        Prepared {
            tables,
            ..Prepared::new(bound.parameters, columns, plan, catalog)
        }
    }

    fn new(parameters: Vec<Type>, columns: Option<Vec<ResultColumn>>, plan: Plan, catalog: &Catalog) -> Prepared {
        Prepared {
            parameters: parameters.into(),
            columns: columns.map(Arc::from),
            catalog_version: catalog.version,
            is_ddl: matches!(&plan, Plan::Ddl(parsed) if !matches!(&*parsed.ast, Statement::Lock(_))),
            tables: [].into(),
            plan: Arc::new(plan),
        }
    }

    /// The tables it was bound to, and in which version: what `Transaction::await_tables` wants to know before it runs.
    pub fn tables(&self) -> &Arc<[(u32, u64)]> {
        &self.tables
    }

    /// Whether it may be kept for other executions and sessions.
    pub fn is_cacheable(&self) -> bool {
        match &*self.plan {
            Plan::Query(_) | Plan::Modify(..) | Plan::ModifyWithin(..) => true,
            Plan::Ddl(_) | Plan::Explain(_) => false,
        }
    }

    /// Reads the one row a query names by its key, if that is all it does and the row can be read at once: outside of any
    /// transaction, without a snapshot (DESIGN T3). `None` means that it has to be executed.
    ///
    /// # Errors
    /// What the query's expressions raise.
    pub fn read_by_key(
        &self,
        planner: &Planner,
        session: &dyn SessionView,
        parameters: &[Datum],
    ) -> SqlResult<Option<Vec<Vec<Datum>>>> {
        let Plan::Query(query) = &*self.plan else {
            return Ok(None);
        };
        let Some(keyed) = KeyedPlan::of(query.plan(session)?).filter(KeyedPlan::is_pure) else {
            return Ok(None);
        };
        let eval = EvalContext {
            session,
            parameters,
            outer: &[],
        };
        let Some(key) = keyed.key(&eval)? else {
            return Ok(Some(Vec::new()));
        };
        match planner
            .node
            .read_at_once(keyed.table(), &key, keyed.parts(parameters).as_ref())?
        {
            None => Ok(None),
            Some(None) => Ok(Some(Vec::new())),
            Some(Some(row)) => Ok(Some(keyed.output(key, row, &eval)?.into_iter().collect())),
        }
    }
}

/// What running a statement gives.
pub enum Execution {
    /// Rows that are all there.
    Ready {
        /// Columns of the rows.
        columns: Arc<[ResultColumn]>,
        /// The rows.
        rows: Vec<Vec<Datum>>,
        /// Verb of the command tag.
        verb: Verb,
    },
    /// Rows, in batches, and the tag's verb once they end (`SELECT 3`; for `INSERT … RETURNING` see [`Tag`]).
    Rows {
        /// Columns of the rows.
        columns: Arc<[ResultColumn]>,
        /// Batches of rows.
        rows: BoxStream<'static, SqlResult<Vec<Vec<Datum>>>>,
        /// Verb of the command tag; the front end counts the rows.
        verb: Verb,
    },
    /// No rows.
    Done(Tag),
}

/// Verb of a command tag that counts rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the verbs of their names")]
pub enum Verb {
    Select,
    Insert,
    Update,
    Delete,
    Merge,
    Explain,
    Show,
}

/// A command tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `INSERT 0 5`, `UPDATE 3`, `DELETE 1`, `SELECT 2` (CREATE TABLE AS).
    Count(Verb, u64),
    /// `CREATE TABLE` and the like.
    Text(&'static str),
}

/// What a statement runs in. Shared by its operators.
#[derive(Clone)]
pub struct StatementContext {
    /// The session's transaction.
    pub transaction: Arc<Transaction>,
    /// Catalog as this transaction sees it.
    pub catalog: Arc<Catalog>,
    /// Session facts.
    pub session: Arc<dyn SessionView>,
    /// Parameter values.
    pub parameters: Arc<[Datum]>,
    /// Cancels the statement.
    pub cancel: CancellationToken,
}

impl StatementContext {
    /// How long locks are waited for: `lock_timeout`.
    pub fn lock_wait(&self) -> LockWait {
        LockWait::Wait(self.session.lock_timeout())
    }
}

/// A duration setting as SHOW prints it (`0`, `5s`, `1500ms`, `2min`) in milliseconds.
pub fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The planner of a node.
pub struct Planner {
    /// The node below.
    pub node: Arc<Node>,
    /// Sequences.
    pub sequences: Sequences,
    /// Statements bound before.
    pub plans: PlanCache,
    catalog: ArcSwapOption<Catalog>,
    programs: Mutex<HashMap<u32, Arc<TableProgram>>>,
    oids: Counter,
    row_ids: Counter,
}

impl Planner {
    /// Opens the planner; creates the registry's first rows (database and role `cambium`, schema `public`) in a new node.
    ///
    /// # Errors
    /// What reading or writing the registry reports.
    pub async fn open(node: Arc<Node>) -> SqlResult<Arc<Planner>> {
        let planner = Arc::new(Planner {
            sequences: Sequences::new(node.clone()),
            plans: PlanCache::default(),
            catalog: ArcSwapOption::empty(),
            programs: Mutex::default(),
            oids: Counter::new(OID_SEQUENCE, 16),
            row_ids: Counter::new(ROW_ID_SEQUENCE, ROW_ID_BLOCK),
            node,
        });
        let transaction = planner.node.begin(TransactionOptions::default());
        transaction.begin_statement(true).await?;
        if registry::load(&transaction, 0, None).await?.databases.is_empty() {
            registry::bootstrap(&transaction)?;
            transaction.commit().await?;
        } else {
            transaction.rollback().await;
        }
        // Temporary objects of sessions that a crash ended.
        let transaction = planner.node.begin(TransactionOptions::default());
        planner.drop_temporary(transaction, None).await?;
        planner.forget_lost_documents().await?;
        Ok(planner)
    }

    /// Forgets the paths of columns that a crash ended before they were forgotten with them.
    async fn forget_lost_documents(&self) -> SqlResult<()> {
        let catalog = self.catalog().await?;
        let is_kept = |table, at: u16| {
            let relation = catalog.relations.get(&table);
            let column = relation.and_then(|relation| relation.columns.get(usize::from(at)));
            column.is_some_and(|column| !column.dropped && column.ty.oid == types::oid::JSONB)
        };
        if let Err(error) = self.node.keep_paths_of(is_kept).await {
            tracing::warn!(%error, "paths of documents that are gone are kept until the next start");
        }
        Ok(())
    }

    /// Splits and parses a text. An empty text gives no statements. Errors carry PostgreSQL's text and position.
    ///
    /// # Errors
    /// 42601 and what else the text breaks.
    pub fn parse(&self, sql: &str) -> SqlResult<Vec<Parsed>> {
        parse::parse(sql)
    }

    /// The newest committed catalog.
    ///
    /// # Errors
    /// What reading the registry reports.
    pub async fn catalog(&self) -> SqlResult<Arc<Catalog>> {
        if let Some(catalog) = self.current_catalog() {
            return Ok(catalog);
        }
        let newest = self.node.newest_registry_version();
        let transaction = self.node.begin(TransactionOptions {
            read_only: true,
            ..TransactionOptions::default()
        });
        transaction.begin_statement(true).await?;
        let known = self.catalog.load_full();
        let catalog = Arc::new(registry::load(&transaction, newest, known.as_deref()).await?);
        transaction.rollback().await;
        self.catalog.rcu(|known| match known {
            Some(known) if known.version >= catalog.version => Some(known.clone()),
            _ => Some(catalog.clone()),
        });
        Ok(catalog)
    }

    /// The newest committed catalog, if it is in memory.
    pub fn current_catalog(&self) -> Option<Arc<Catalog>> {
        let newest = self.node.newest_registry_version();
        let known = self.catalog.load();
        known.as_ref().filter(|catalog| catalog.version >= newest).cloned()
    }

    /// The catalog inside a transaction that ran DDL.
    ///
    /// # Errors
    /// What reading the registry reports.
    pub async fn catalog_within(&self, transaction: &Transaction) -> SqlResult<Arc<Catalog>> {
        let version = *self.node.registry_version().borrow();
        transaction.next_command();
        let known = self.catalog.load_full();
        let mut catalog = registry::load(transaction, version, known.as_deref()).await?;
        catalog.is_private = true;
        Ok(Arc::new(catalog))
    }

    /// Binds a statement: SELECT, DML, DDL, EXPLAIN. Transaction control, SET/SHOW, PREPARE/EXECUTE, cursors and COPY are the
    /// session's (front end), which calls back here for the queries inside them.
    ///
    /// # Errors
    /// What binding reports, with position.
    pub fn prepare(
        &self,
        catalog: &Arc<Catalog>,
        session: &dyn SessionView,
        statement: &Parsed,
        parameter_types: &[u32],
    ) -> SqlResult<Prepared> {
        if ddl::is_ddl(&statement.ast) {
            return Ok(Prepared::new(Vec::new(), None, Plan::Ddl(statement.clone()), catalog));
        }
        if let Some(inner) = Explain::inner(statement) {
            let inner = self.prepare(catalog, session, &inner, parameter_types)?;
            let parameters = inner.parameters.to_vec();
            let tables = inner.tables.clone();
            let explain = Explain::new(statement, catalog, session, inner)?;
            let columns = Some(explain.columns());
            let prepared = Prepared::new(parameters, columns, Plan::Explain(explain), catalog);
            return Ok(Prepared { tables, ..prepared });
        }
        let bound = Binder::new(catalog, session, parameter_types).bind_statement(statement)?;
        Ok(Prepared::of(bound, catalog))
    }

    /// Runs a prepared statement. The caller has called `Transaction::begin_statement`, and after an error rolls the
    /// transaction back to the mark it set before.
    ///
    /// # Errors
    /// What the statement raises.
    pub async fn execute(self: &Arc<Self>, context: &StatementContext, prepared: &Prepared) -> SqlResult<Execution> {
        let columns = || prepared.columns.clone().unwrap_or_default();
        match &*prepared.plan {
            Plan::Ddl(parsed) => Ok(Execution::Done(Ddl::new(self, context, parsed).run().await?)),
            Plan::Query(query) => {
                let plan = query.plan(&*context.session)?;
                if let Some(keyed) = KeyedPlan::of(plan) {
                    return Ok(Execution::Ready {
                        columns: columns(),
                        rows: keyed.run(context).await?.into_iter().collect(),
                        verb: Verb::Select,
                    });
                }
                let rows = self.scope(context).0.run_plan(plan)?;
                Ok(Execution::Rows {
                    columns: columns(),
                    rows,
                    verb: Verb::Select,
                })
            }
            Plan::Modify(verb, modify, plan) => {
                let (scope, _) = self.scope(context);
                let plan = match plan.get() {
                    Some(plan) => plan,
                    None => {
                        let compiled = ModifyPlan::new(self, context, modify, &scope)?;
                        plan.get_or_init(|| compiled)
                    }
                };
                let outcome = modify::run_plan(self, context, modify, plan, &scope).await?;
                // Each time anew: the plan is older than this execution (C8).
                if outcome.count > 0 {
                    context.transaction.expect_table(modify.table.id, modify.table.version);
                }
                Ok(modified(prepared, *verb, outcome))
            }
            Plan::ModifyWithin(verb, query) => {
                let ids: Vec<ColumnId> = query.columns.iter().map(|column| column.id).collect();
                let (scope, hook) = self.scope(context);
                let mut rows = scope.run(&query.rel, &ids)?;
                let mut returning = Vec::new();
                while let Some(batch) = rows.next().await {
                    returning.extend(batch?);
                }
                let count = hook.count_of(&query.rel);
                Ok(modified(prepared, *verb, Outcome { count, returning }))
            }
            Plan::Explain(explain) => {
                let lines = explain.run(self, context).await?;
                let rows = futures::stream::iter([Ok(lines)]).boxed();
                Ok(Execution::Rows {
                    columns: columns(),
                    rows,
                    verb: Verb::Explain,
                })
            }
        }
    }

    /// Where the statement's relations run.
    pub(crate) fn scope(self: &Arc<Self>, context: &StatementContext) -> (QueryScope, Arc<Hook>) {
        let hook = Arc::new(Hook {
            planner: self.clone(),
            context: context.clone(),
            counts: Mutex::default(),
        });
        (QueryScope::new(context, hook.clone()), hook)
    }

    /// Inserts rows that COPY FROM decoded (values in the order of `columns`), with defaults and constraints as INSERT.
    ///
    /// # Errors
    /// As INSERT.
    pub async fn copy_in(
        self: &Arc<Self>,
        context: &StatementContext,
        table: u32,
        columns: &[u16],
        rows: Vec<Vec<Datum>>,
    ) -> SqlResult<u64> {
        let relation = self.relation(context, table)?;
        let output = |at: &u16| OutputColumn {
            id: ColumnId(u32::from(*at)),
            name: relation.columns[*at as usize].name.clone(),
            ty: relation.columns[*at as usize].ty,
        };
        let outputs: Vec<OutputColumn> = columns.iter().map(output).collect();
        let literal = |(value, at): (Datum, &u16)| Expr {
            kind: ExprKind::Literal(value),
            ty: relation.columns[*at as usize].ty,
            position: None,
        };
        let rows = rows
            .into_iter()
            .map(|row| row.into_iter().zip(columns).map(literal).collect())
            .collect();
        let mut defaults = Vec::new();
        for (at, column) in relation
            .live_columns()
            .filter(|(at, column)| !column.generated && !columns.contains(at))
        {
            if let Some(text) = &column.default {
                defaults.push((at, stored::default(&context.catalog, &*context.session, text, column)?));
            }
        }
        let modify = Modify {
            table: relation.clone(),
            alias: relation.name.clone(),
            kind: ModifyKind::Insert {
                source: Query {
                    rel: Rel::Values {
                        rows,
                        columns: outputs.clone(),
                    },
                    columns: outputs,
                },
                targets: columns.to_vec(),
                defaults,
                on_conflict: None,
            },
            returning: Vec::new(),
            check_options: Vec::new(),
            row_columns: Vec::new(),
            table_oid: None,
            source_oid: None,
        };
        Ok(modify::run(self, context, &modify, &self.scope(context).0).await?.count)
    }

    /// Fills a new table from a query (CREATE TABLE AS).
    pub(crate) async fn fill_table(
        &self,
        context: &StatementContext,
        table: &Relation,
        rel: &Rel,
        columns: &[ColumnId],
    ) -> SqlResult<u64> {
        let program = Arc::new(TableProgram::new(
            &context.catalog,
            &*context.session,
            &Arc::new(table.clone()),
        )?);
        let mut writer = modify::writer::Writer::new(self, context);
        let mut count = 0;
        let mut rows = QueryScope::new(context, Arc::new(NoModify)).run(rel, columns)?;
        while let Some(batch) = rows.next().await {
            for row in batch? {
                writer.insert(&program, row, modify::writer::Arbiters::None).await?;
                count += 1;
            }
        }
        Ok(count)
    }

    fn relation(&self, context: &StatementContext, id: u32) -> SqlResult<Arc<Relation>> {
        context.catalog.relations.get(&id).cloned().ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation with OID {id} does not exist"),
            )
        })
    }

    /// The compiled programs of a table.
    pub(crate) fn program(&self, context: &StatementContext, table: u32) -> SqlResult<Arc<TableProgram>> {
        let relation = self.relation(context, table)?;
        context.transaction.expect_table(table, relation.version);
        if let Some(program) = self.programs.lock().get(&table)
            && Arc::ptr_eq(&program.table, &relation)
        {
            return Ok(program.clone());
        }
        let program = Arc::new(TableProgram::new(&context.catalog, &*context.session, &relation)?);
        self.programs.lock().insert(table, program.clone());
        Ok(program)
    }

    /// The default of a column, for SET DEFAULT.
    pub(crate) fn default_value(&self, context: &StatementContext, table: &Relation, at: u16) -> SqlResult<Datum> {
        let column = &table.columns[at as usize];
        let Some(text) = &column.default else {
            return Ok(Datum::Null);
        };
        let program = modify::program::row_program(
            &context.catalog,
            &*context.session,
            table,
            text,
            Purpose::Default,
            Some(column.ty),
        )?;
        let row: Row = vec![Datum::Null; table.columns.len()];
        let eval = crate::eval::EvalContext {
            session: &*context.session,
            parameters: &[],
            outer: &[],
        };
        program.program.eval(&row, &eval)
    }

    pub(crate) async fn allocate_oid(&self) -> SqlResult<u32> {
        let oid = self.oids.next(&self.node, i64::from(FIRST_USER_OID)).await?;
        u32::try_from(oid)
            .map_err(|_| SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "object identifiers are exhausted"))
    }

    pub(crate) async fn allocate_row_id(&self) -> SqlResult<i64> {
        self.row_ids.next(&self.node, 1).await
    }
}

/// What a data-modifying statement gives the client.
fn modified(prepared: &Prepared, verb: Verb, outcome: Outcome) -> Execution {
    match &prepared.columns {
        None => Execution::Done(Tag::Count(verb, outcome.count)),
        Some(columns) => Execution::Ready {
            columns: columns.clone(),
            rows: outcome.returning,
            verb,
        },
    }
}

/// Runs data-modifying statements inside of queries, and remembers how many rows each changed.
pub(crate) struct Hook {
    planner: Arc<Planner>,
    context: StatementContext,
    counts: Mutex<Vec<(Vec<(u16, ColumnId)>, u64)>>,
}

impl Hook {
    /// Rows changed by the statement under a WITH. Statements are told apart by the ids of their rows' columns.
    fn count_of(&self, rel: &Rel) -> u64 {
        match rel {
            Rel::With { body, .. } => self.count_of(body),
            Rel::Modify(modify) => {
                let counts = self.counts.lock();
                counts
                    .iter()
                    .find(|(columns, _)| *columns == modify.row_columns)
                    .map_or(0, |(_, count)| *count)
            }
            _ => 0,
        }
    }
}

#[async_trait]
impl ModifyHook for Hook {
    async fn execute(&self, modify: &Arc<Modify>, scope: &QueryScope) -> SqlResult<RowBatches> {
        let outcome = modify::run(&self.planner, &self.context, modify, scope).await?;
        self.counts.lock().push((modify.row_columns.clone(), outcome.count));
        Ok(futures::stream::iter([Ok(outcome.returning)]).boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn durations_have_postgresql_units() {
        assert_eq!(milliseconds("0"), Some(0));
        assert_eq!(milliseconds("1500ms"), Some(1500));
        assert_eq!(milliseconds("2min"), Some(120_000));
        assert_eq!(milliseconds("soon"), None);
    }
}
