//! EXPLAIN: the plan of a statement in PostgreSQL's words, with estimates, and with what was measured if it was run.
//!
//! ```text
//!   options   EXPLAIN's options                      node   one step: kind, properties, estimates, counters
//!   names     columns and subqueries by name         show   described plan → tree of printed steps (with cost)
//!   deparse   bound expressions → SQL                text, json   the tree printed
//! ```
//! The notes are taken by `relational/build/describe.rs` while the plan is compiled: the plan that is printed is the plan
//! that runs.

mod cost;
pub(crate) mod deparse;
mod json;
mod locks;
pub(crate) mod names;
pub(crate) mod node;
pub(crate) mod options;
mod show;
mod text;

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use parking_lot::Mutex;
use sqlparser::ast::Statement;
use storage::Datum;

use self::json::Times;
use self::node::{DescribedPlan, Measure, Node, Target};
use self::options::{Format, Options};
use self::show::{Shown, View};
use crate::bound::{ColumnId, Modify, ModifyKind, Query, Rel};
use crate::catalog::Catalog;
use crate::eval::SessionView;
use crate::modify;
use crate::relational::build::describe::modify_description;
use crate::relational::operators::modify::ModifyPlan;
use crate::relational::plan::Plan as RelationalPlan;
use crate::relational::scope::plan_noted;
use crate::relational::{QueryPlan, QueryScope};
use crate::statement::{Parsed, Plan, PlannedQuery, Planner, Prepared, ResultColumn, StatementContext};
use crate::{SqlError, SqlResult, SqlState, Type, eval};

/// A bound EXPLAIN.
pub(crate) struct Explain {
    statement: Prepared,
    options: Options,
}

impl Explain {
    /// The statement inside of an EXPLAIN, `None` for other statements.
    pub(crate) fn inner(statement: &Parsed) -> Option<Parsed> {
        match &*statement.ast {
            Statement::Explain { statement: inner, .. } => Some(Parsed {
                ast: Arc::new(Statement::clone(inner)),
                text: statement.text.clone(),
                offset: statement.offset,
            }),
            _ => None,
        }
    }

    /// Binds the options.
    ///
    /// # Errors
    /// Options that are unknown, or contradict each other; statements that have no plan.
    pub(crate) fn new(
        statement: &Parsed,
        _catalog: &Catalog,
        _session: &dyn SessionView,
        inner: Prepared,
    ) -> SqlResult<Explain> {
        let options = Options::of(statement)?;
        if let Plan::Ddl(parsed) = &*inner.plan {
            return Err(match &*parsed.ast {
                Statement::CreateTable(_) | Statement::CreateView(_) => {
                    SqlError::unsupported("EXPLAIN of CREATE TABLE AS").hint("Explain the query itself.")
                }
                _ => SqlError::new(SqlState::SYNTAX_ERROR, "this statement cannot be explained")
                    .hint("EXPLAIN takes SELECT, INSERT, UPDATE, DELETE and VALUES."),
            });
        }
        Ok(Explain {
            statement: inner,
            options,
        })
    }

    /// The one column of the result.
    pub(crate) fn columns(&self) -> Vec<ResultColumn> {
        vec![ResultColumn {
            name: "QUERY PLAN".into(),
            ty: match self.options.format {
                Format::Text => Type::TEXT,
                Format::Json => Type::JSON,
            },
            table: 0,
            attribute: 0,
        }]
    }

    /// The rows.
    ///
    /// # Errors
    /// What planning raises and, with ANALYZE, what running the statement raises.
    pub(crate) async fn run(&self, planner: &Arc<Planner>, context: &StatementContext) -> SqlResult<Vec<Vec<Datum>>> {
        if self.options.locks {
            return self.run_locks(planner, context).await;
        }
        let observer = Arc::new(Observer {
            session: context.session.clone(),
            verbose: self.options.verbose,
            plans: Mutex::default(),
        });
        let started = Instant::now();
        let plan = match &*self.statement.plan {
            Plan::Query(PlannedQuery { query, .. }) | Plan::ModifyWithin(_, query) => {
                observer.plan(&query.rel, &ids(query))?.plan
            }
            Plan::Modify(_, modify, _) => observer.modify_plan(modify),
            Plan::Ddl(_) | Plan::Explain(_) => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "this statement cannot be explained",
                ));
            }
        };
        let mut times = Times {
            planning: started.elapsed().as_secs_f64() * 1e3,
            execution: None,
        };
        if self.options.analyze {
            let started = Instant::now();
            let scope = planner.scope(context).0.observed(observer.clone());
            match &*self.statement.plan {
                Plan::Modify(_, modify, _) => {
                    let outcome = modify::run(planner, context, modify, &scope).await?;
                    let measure = plan.described().map(|node| node.measure.clone()).unwrap_or_default();
                    measure.add_run(outcome.returning.len() as u64, started.elapsed().as_nanos() as u64);
                }
                _ => drain(&scope, &plan).await?,
            }
            times.execution = Some(started.elapsed().as_secs_f64() * 1e3);
        }
        let view = View {
            options: self.options,
            observer: &observer,
        };
        let shown = view.steps(&plan).into_iter().next().unwrap_or_else(Shown::result);
        let texts = match self.options.format {
            Format::Json => {
                let document = json::document(&shown, self.options, &times);
                return Ok(vec![vec![Datum::Json(document.into())]]);
            }
            Format::Text => {
                let mut lines = text::lines(&shown, self.options);
                if self.options.summary {
                    lines.push(format!("Planning Time: {:.3} ms", times.planning));
                    lines.extend(times.execution.map(|ms| format!("Execution Time: {ms:.3} ms")));
                }
                lines
            }
        };
        Ok(texts.into_iter().map(|line| vec![Datum::text(line.as_str())]).collect())
    }
}

impl Explain {
    /// The rows of `EXPLAIN (LOCKS)`: the locks stand alone.
    async fn run_locks(&self, planner: &Arc<Planner>, context: &StatementContext) -> SqlResult<Vec<Vec<Datum>>> {
        let report = locks::LockReport::of(planner, context, &self.statement).await?;
        if self.options.format == Format::Text {
            return Ok(report.text().into_iter().map(|line| vec![Datum::text(line)]).collect());
        }
        let members: serde_json::Map<String, serde_json::Value> = report
            .json()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let text = serde_json::to_string_pretty(&vec![members]).unwrap_or_default();
        Ok(vec![vec![Datum::text(text)]])
    }
}

fn ids(query: &Query) -> Vec<ColumnId> {
    query.columns.iter().map(|column| column.id).collect()
}

/// Runs a plan to its end.
async fn drain(scope: &QueryScope, plan: &Arc<dyn RelationalPlan>) -> SqlResult<()> {
    let mut rows = scope.run_plan(&QueryPlan { plan: plan.clone() })?;
    while let Some(batch) = rows.next().await {
        batch?;
    }
    Ok(())
}

/// Plans the queries of a statement under EXPLAIN, and keeps the plans that data-modifying statements ran.
pub struct Observer {
    session: Arc<dyn SessionView>,
    verbose: bool,
    /// Plans by where their relation stands.
    plans: Mutex<Vec<(usize, Arc<dyn RelationalPlan>)>>,
}

impl Observer {
    /// Plans a query with notes, and keeps the plan.
    pub(crate) fn plan(&self, rel: &Rel, columns: &[ColumnId]) -> SqlResult<QueryPlan> {
        let plan = plan_noted(rel, columns, &*self.session, self.verbose)?;
        self.plans.lock().push((node::address(rel), plan.plan.clone()));
        Ok(plan)
    }

    /// The step that stands for a data-modifying statement at the top.
    fn modify_plan(&self, modify: &Arc<Modify>) -> Arc<dyn RelationalPlan> {
        let (kind, details, removes) = modify_description(modify);
        let layout = eval::Layout::new(modify.returned().iter().map(|(column, _)| column.id));
        let width = layout.width() * 32;
        let plan = ModifyPlan {
            modify: modify.clone(),
            layout,
        };
        let node = Node {
            kind,
            details,
            removes,
            rows: 0.0,
            width,
            output: Vec::new(),
            subplans: Mutex::default(),
            measure: Arc::<Measure>::default(),
        };
        DescribedPlan::wrap(Arc::new(plan), node)
    }

    /// The steps of the source of a data-modifying statement: as it ran last, or as it would.
    fn steps_of(&self, source: usize, plan: &Arc<dyn RelationalPlan>, view: View<'_>) -> Vec<Shown> {
        let run = self
            .plans
            .lock()
            .iter()
            .rev()
            .find(|(at, _)| *at == source)
            .map(|(_, plan)| plan.clone());
        let planned = run.or_else(|| {
            let modify = &plan.as_any().downcast_ref::<ModifyPlan>()?.modify;
            let rel = source_of(modify);
            let plan = plan_noted(rel, &rel.output_columns(), &*self.session, self.verbose);
            plan.ok().map(|plan| plan.plan)
        });
        planned.map(|plan| view.steps(&plan)).unwrap_or_default()
    }

    /// A table as the plan names it.
    fn named(&self, target: &Target, verbose: bool) -> String {
        use crate::system::deparse::quote_ident;
        let mut text = quote_ident(&target.table.name);
        if verbose {
            text = format!("{}.{text}", quote_ident(&self.schema(target)));
        }
        if target.alias != target.table.name {
            text.push(' ');
            text.push_str(&quote_ident(&target.alias));
        }
        text
    }

    fn schema(&self, target: &Target) -> String {
        let catalog = self.session.catalog();
        let schema = catalog.and_then(|catalog| {
            catalog
                .schemas
                .get(&target.table.schema)
                .map(|schema| schema.name.clone())
        });
        schema.unwrap_or_else(|| "pg_catalog".into())
    }
}

fn source_of(modify: &Modify) -> &Rel {
    match &modify.kind {
        ModifyKind::Insert { source, .. } => &source.rel,
        ModifyKind::Update { source, .. } | ModifyKind::Delete { source, .. } | ModifyKind::Merge { source, .. } => {
            source
        }
    }
}
