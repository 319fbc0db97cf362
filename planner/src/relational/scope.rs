//! Entry points: planning a query, running it, and evaluating expressions row by row outside of a query.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use ahash::AHashMap;
use futures::stream;
use parking_lot::Mutex;
use storage::Datum;
use tokio_util::sync::CancellationToken;

use crate::bound::{ColumnId, Expr, Rel};
use crate::eval::{Layout, OuterScope, Program, SessionView};
use crate::explain::Observer;
use crate::explain::names::Names;
use crate::relational::batch::BATCH_ROWS;
use crate::relational::build::Builder;
use crate::relational::build::describe::Recorder;
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::plan::Plan;
use crate::relational::read_locks::ScanTarget;
use crate::relational::read_paths::QueryReads;
use crate::relational::rewrite::constants::{fold, fold_rel};
use crate::relational::rewrite::optimise;
use crate::relational::runtime::{Budget, Frame, ModifyHook, RowBatches, Runtime};
use crate::relational::source::{RowSource, TransactionSource};
use crate::statement::StatementContext;
use crate::{SqlError, SqlResult, SqlState};

/// Memory one statement may hold in its operators.
pub const STATEMENT_BYTES_MAX: usize = 1 << 30;

/// A planned query: may be kept and run again with other parameters as long as the tables it uses stay what they are.
#[derive(Clone, Debug)]
pub struct QueryPlan {
    /// The plan; its rows hold the query's columns in order.
    pub plan: Arc<dyn Plan>,
}

/// Plans a query.
pub fn plan_query(rel: &Rel, columns: &[ColumnId], session: &dyn SessionView) -> SqlResult<QueryPlan> {
    let mut scope = OuterScope::default();
    let mut rel = rel.clone();
    fold_rel(&mut rel, session)?;
    let reads = Arc::new(QueryReads {
        rel: optimise(rel),
        outputs: columns.to_vec(),
    });
    let plan = Builder::for_query(session, &reads).build_exactly(&reads.rel, columns, &mut scope)?;
    match scope.columns() {
        [] => Ok(QueryPlan { plan }),
        [column, ..] => Err(SqlError::new(
            SqlState::INTERNAL_ERROR,
            format!("column {} is used outside of the relation that produces it", column.0),
        )),
    }
}

/// Plans a query, with notes for EXPLAIN.
pub(crate) fn plan_noted(
    rel: &Rel,
    columns: &[ColumnId],
    session: &dyn SessionView,
    verbose: bool,
) -> SqlResult<QueryPlan> {
    let mut scope = OuterScope::default();
    let mut rel = rel.clone();
    fold_rel(&mut rel, session)?;
    let reads = Arc::new(QueryReads {
        rel: optimise(rel),
        outputs: columns.to_vec(),
    });
    let recorder = Recorder::new(Arc::new(Names::of_query(&reads.rel, verbose)));
    let plan = Builder::for_query(session, &reads)
        .noting(recorder)
        .build_exactly(&reads.rel, columns, &mut scope)?;
    Ok(QueryPlan { plan })
}

/// Plans and runs a query.
pub fn run(
    rel: &Rel,
    columns: &[ColumnId],
    context: &StatementContext,
    modify: Arc<dyn ModifyHook>,
) -> SqlResult<RowBatches> {
    QueryScope::new(context, modify).run(rel, columns)
}

/// What a query runs in: the statement, and the CTEs around it.
#[derive(Clone)]
pub struct QueryScope {
    runtime: Arc<Runtime>,
    frame: Frame,
}

impl QueryScope {
    /// The scope of a statement.
    pub fn new(context: &StatementContext, modify: Arc<dyn ModifyHook>) -> Self {
        let source = Arc::new(TransactionSource::new(context));
        Self::over(
            source,
            context.session.clone(),
            context.parameters.clone(),
            context.cancel.clone(),
            modify,
        )
    }

    /// A scope over any source.
    pub fn over(
        source: Arc<dyn RowSource>,
        session: Arc<dyn SessionView>,
        parameters: Arc<[Datum]>,
        cancel: CancellationToken,
        modify: Arc<dyn ModifyHook>,
    ) -> Self {
        let budget = Budget::new(STATEMENT_BYTES_MAX);
        let once = Mutex::new(AHashMap::new());
        let runtime = Runtime {
            source,
            session,
            parameters,
            cancel,
            started: Instant::now(),
            breath: AtomicU64::new(0),
            budget,
            modify,
            observer: None,
            once,
            reads: Mutex::default(),
        };
        Self {
            runtime: Arc::new(runtime),
            frame: Frame::default(),
        }
    }

    /// The scope inside of a running plan.
    pub(crate) fn within(runtime: Arc<Runtime>, frame: Frame) -> Self {
        Self { runtime, frame }
    }

    /// The same scope, whose queries are planned and kept by an observer. For a scope that nothing runs in yet.
    pub(crate) fn observed(mut self, observer: Arc<Observer>) -> Self {
        if let Some(runtime) = Arc::get_mut(&mut self.runtime) {
            runtime.observer = Some(observer);
        }
        self
    }

    /// What the operators share.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// The same scope for the source of a statement that changes rows of one of its scans.
    pub(crate) fn for_target(&self, target: ScanTarget) -> Self {
        let mut scope = self.clone();
        scope.frame.targets = [target].into();
        scope
    }

    /// The same scope, in which no query leaves the row engine.
    #[cfg(test)]
    pub(crate) fn rows_only(&self) -> Self {
        let mut scope = self.clone();
        scope.frame.begun = Some(Arc::default());
        scope
    }

    /// Plans and runs a query.
    pub fn run(&self, rel: &Rel, columns: &[ColumnId]) -> SqlResult<RowBatches> {
        self.run_plan(&self.plan(rel, columns)?)
    }

    /// Plans a query for this scope.
    pub(crate) fn plan(&self, rel: &Rel, columns: &[ColumnId]) -> SqlResult<QueryPlan> {
        match &self.runtime.observer {
            Some(observer) => observer.plan(rel, columns),
            None => plan_query(rel, columns, &*self.runtime.session),
        }
    }

    /// Whether somebody counts what its operators do.
    pub(crate) fn is_observed(&self) -> bool {
        self.runtime.observer.is_some()
    }

    /// Runs a planned query. Dropping the stream stops it.
    pub fn run_plan(&self, plan: &QueryPlan) -> SqlResult<RowBatches> {
        let operator = plan.plan.clone().open(&self.runtime, &self.frame)?;
        let runtime = self.runtime.clone();
        let batches = stream::unfold(Some((operator, runtime)), |state| async {
            let (mut operator, runtime) = state?;
            let batch = async {
                runtime.breathe().await?;
                operator.next(BATCH_ROWS).await
            };
            match batch.await {
                Ok(Some(batch)) => Some((Ok(batch.into_rows()), Some((operator, runtime)))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Box::pin(batches))
    }

    /// Compiles expressions over rows that hold these columns in order.
    pub fn evaluator(&self, columns: &[ColumnId], exprs: &[&Expr]) -> SqlResult<RowEvaluator> {
        let layout = Layout::new(columns.iter().copied());
        let compiled = CompiledExprs::new(&layout, exprs, &*self.runtime.session)?;
        Ok(compiled.evaluator(self))
    }
}

/// Expressions compiled over a layout, to be kept with a plan.
#[derive(Clone, Debug)]
pub struct CompiledExprs {
    programs: Arc<[Program]>,
    subplans: SubPlans,
}

impl CompiledExprs {
    /// Compiles expressions over a layout; subqueries in them are planned.
    pub fn new(layout: &Layout, exprs: &[&Expr], session: &dyn SessionView) -> SqlResult<Self> {
        let mut scope = OuterScope::default();
        let mut builder = Builder::new(session);
        let mut expressions = builder.expressions(layout, &mut scope);
        let mut programs = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let mut expr = (*expr).clone();
            fold(&mut expr, session)?;
            crate::relational::rewrite::optimise_subqueries(&mut expr);
            programs.push(expressions.program(&expr)?);
        }
        let subplans = expressions.finish();
        match scope.columns() {
            [] => Ok(Self {
                programs: programs.into(),
                subplans,
            }),
            [column, ..] => Err(SqlError::new(
                SqlState::INTERNAL_ERROR,
                format!("expression names column {}, which its row does not have", column.0),
            )),
        }
    }

    /// Ready to evaluate in a scope.
    pub fn evaluator(&self, scope: &QueryScope) -> RowEvaluator {
        let evaluator = Evaluator::new(&scope.runtime, &scope.frame, &self.subplans);
        RowEvaluator {
            programs: self.programs.clone(),
            evaluator,
        }
    }
}

/// Evaluates a fixed list of expressions over rows: defaults, assignments, checks, RETURNING.
pub struct RowEvaluator {
    programs: Arc<[Program]>,
    evaluator: Evaluator,
}

impl RowEvaluator {
    /// The value of one expression.
    pub async fn eval(&mut self, index: usize, row: &[Datum]) -> SqlResult<Datum> {
        let programs = self.programs.clone();
        self.evaluator.eval(&programs[index], row).await
    }

    /// The values of all expressions, in order.
    pub async fn eval_all(&mut self, row: &[Datum]) -> SqlResult<Vec<Datum>> {
        let programs = self.programs.clone();
        let mut values = Vec::with_capacity(programs.len());
        self.evaluator.eval_into(&programs, row, &mut values).await?;
        Ok(values)
    }

    /// Number of expressions.
    pub fn len(&self) -> usize {
        self.programs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }
}
