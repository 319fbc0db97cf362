//! Compilation of rewritten relations into plans: one function per relation, needed columns only.

mod access;
mod aggregate;
mod append;
pub(crate) mod describe;
mod expressions;
mod join;
mod keys;
mod scan;
mod window;

use std::sync::Arc;

use ahash::AHashSet;

use storage::Datum;

use crate::bound::{ColumnId, Cte, Expr, ExprKind, FunctionCall, OutputColumn, Rel, RowLock, SetKind, SortKey};
use crate::eval::{Layout, OuterScope, Program, SessionView};
use crate::explain::node::Measure;
use crate::relational::build::describe::Recorder;
use crate::relational::columnar::adaptive::AdaptivePlan;
use crate::relational::columnar::lower::ColumnTypes;
use crate::relational::evaluator::{SubPlans, next_plan_number};
use crate::relational::operators::cte::{CteDefinition, CteScanPlan, WithPlan};
use crate::relational::operators::distinct::DistinctPlan;
use crate::relational::operators::filter::FilterPlan;
use crate::relational::operators::limit::LimitPlan;
use crate::relational::operators::lock_rows::{LockProgram, LockRowsPlan, RowProgram};
use crate::relational::operators::modify::ModifyPlan;
use crate::relational::operators::project::ProjectPlan;
use crate::relational::operators::project_set::{ProjectSetPlan, SetCall};
use crate::relational::operators::recursive::RecursivePlan;
use crate::relational::operators::set_operation::SetOperationPlan;
use crate::relational::operators::sort::SortPlan;
use crate::relational::operators::spool::SpoolPlan;
use crate::relational::operators::values::ValuesPlan;
use crate::relational::plan::Plan;
use crate::relational::read_paths::QueryReads;
use crate::relational::rewrite::fold::split_conjuncts;
use crate::relational::rewrite::inline::reads_outer_cte;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

/// Columns that somebody above reads.
pub(crate) type Needed = AHashSet<ColumnId>;

/// A plan, and whether it uses outer columns.
pub(crate) type Built = SqlResult<Arc<dyn Plan>>;

/// Compiles relations.
pub(crate) struct Builder<'a> {
    /// The session, for text in the catalog that has to be read (values of columns added later).
    pub(crate) session: &'a dyn SessionView,
    /// How many correlated subqueries are around: parts of them that do not depend on outer columns are kept.
    depth: usize,
    /// Types of the statement's columns, for the columnar engine.
    types: Arc<ColumnTypes>,
    /// Takes notes for EXPLAIN.
    recorder: Option<Recorder>,
    /// What the query reads, if it is a whole one.
    reads: Option<Arc<QueryReads>>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(session: &'a dyn SessionView) -> Self {
        Self {
            session,
            depth: 0,
            types: Arc::default(),
            recorder: None,
            reads: None,
        }
    }

    /// A builder for a whole query, whose large parts may run on the columnar engine.
    pub(crate) fn for_query(session: &'a dyn SessionView, reads: &Arc<QueryReads>) -> Self {
        Self {
            session,
            depth: 0,
            types: Arc::new(expressions::column_types(&reads.rel)),
            recorder: None,
            reads: Some(reads.clone()),
        }
    }

    /// The same builder, taking notes for EXPLAIN.
    pub(crate) fn noting(mut self, recorder: Recorder) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Counters for an operator, if EXPLAIN asks.
    fn measure(&self) -> Option<Arc<Measure>> {
        self.recorder.as_ref().map(|_| Arc::default())
    }

    /// Lets a plan choose its engine when it runs, if it does not depend on an outer row.
    fn adaptive(&self, plan: Arc<dyn Plan>, measure: Option<Arc<Measure>>) -> Arc<dyn Plan> {
        match self.depth == 0 && !self.types.is_empty() {
            true => AdaptivePlan::wrap(plan, &self.types, measure),
            false => plan,
        }
    }

    /// Compiles a relation that gives at least the needed columns.
    pub(crate) fn build(&mut self, rel: &Rel, needed: &Needed, scope: &mut OuterScope) -> Built {
        if self.recorder.is_none() {
            return self.build_any(rel, needed, scope);
        }
        let around = self.begin_notes();
        let plan = self.build_any(rel, needed, scope);
        let plan = plan.map(|plan| self.describe(rel, plan));
        self.end_notes(around);
        plan
    }

    fn build_any(&mut self, rel: &Rel, needed: &Needed, scope: &mut OuterScope) -> Built {
        match rel {
            Rel::OneRow => Ok(one_row()),
            Rel::Scan(scan) => {
                let uses = scope.uses();
                let plan = self.scan(scan, &[], needed, scope)?;
                Ok(self.kept(plan, scope, uses))
            }
            Rel::SystemScan(scan) => {
                let uses = scope.uses();
                let plan = self.system_scan(scan, &[], needed, scope)?;
                Ok(self.kept(plan, scope, uses))
            }
            Rel::Values { rows, columns } => self.values(rows, columns, scope),
            Rel::FunctionScan { calls, ordinality } => self.function_scan(calls, ordinality.as_ref(), scope),
            Rel::Filter { input, predicate } => self.filter(input, predicate, needed, scope),
            Rel::Project { input, columns } => self.project(input, columns, needed, scope),
            Rel::ProjectSet { input, calls } => self.project_set(input, calls, needed, scope),
            Rel::Join {
                kind,
                left,
                right,
                on,
                lateral,
            } => self.join(*kind, left, right, on.as_ref(), *lateral, needed, scope),
            Rel::Aggregate {
                input,
                groups,
                sets,
                aggregates,
                groupings,
            } => self.aggregate(input, groups, sets, aggregates, groupings, scope),
            Rel::Window { input, calls } => self.window(input, calls, needed, scope),
            Rel::Sort { input, keys } => self.sort(input, keys, None, needed, scope),
            Rel::Limit {
                input,
                limit,
                offset,
                with_ties,
            } => self.limit(input, limit.as_ref(), offset.as_ref(), *with_ties, needed, scope),
            Rel::Distinct { input, on } => self.distinct(input, on.as_deref(), needed, scope),
            Rel::SetOperation {
                kind,
                all,
                left,
                left_columns,
                right,
                right_columns,
                columns,
            } => {
                let left = self.build_exactly(left, left_columns, scope)?;
                let right = self.build_exactly(right, right_columns, scope)?;
                Ok(set_operation(*kind, *all, left, right, columns))
            }
            Rel::With { ctes, body } => self.with(ctes, body, needed, scope),
            Rel::CteRef { cte, columns } => {
                let layout = Layout::new(columns.iter().map(|column| column.id));
                Ok(Arc::new(CteScanPlan { id: *cte, layout }))
            }
            Rel::LockRows { input, locks } => self.lock_rows(input, locks, needed, scope),
            Rel::Modify(modify) => {
                let layout = Layout::new(modify.returned().iter().map(|(column, _)| column.id));
                Ok(Arc::new(ModifyPlan {
                    modify: Arc::new((**modify).clone()),
                    layout,
                }))
            }
        }
    }

    /// Compiles a relation whose rows hold just these columns, in this order.
    pub(crate) fn build_exactly(&mut self, rel: &Rel, columns: &[ColumnId], scope: &mut OuterScope) -> Built {
        let plan = self.build(rel, &columns.iter().copied().collect(), scope)?;
        if plan.layout().columns() == columns {
            return Ok(plan);
        }
        let values = columns
            .iter()
            .map(|column| slot_program(plan.layout(), *column))
            .collect::<SqlResult<_>>()?;
        let layout = Layout::new(columns.iter().copied());
        Ok(Arc::new(ProjectPlan {
            input: plan,
            values,
            subplans: SubPlans::default(),
            output: self.output_names(&layout),
            layout,
        }))
    }

    /// Inside of a subquery, keeps the rows of a part that does not use outer columns.
    fn kept(&self, plan: Arc<dyn Plan>, scope: &OuterScope, uses_before: u64) -> Arc<dyn Plan> {
        if self.depth == 0 || scope.uses() != uses_before {
            return plan;
        }
        Arc::new(SpoolPlan {
            input: plan,
            number: next_plan_number(),
        })
    }

    fn values(&mut self, rows: &[Vec<Expr>], columns: &[OutputColumn], scope: &mut OuterScope) -> Built {
        let input = Layout::default();
        let mut expressions = self.expressions(&input, scope);
        let rows = rows
            .iter()
            .map(|row| expressions.programs(row))
            .collect::<SqlResult<_>>()?;
        let subplans = expressions.finish();
        let layout = Layout::new(columns.iter().map(|column| column.id));
        Ok(Arc::new(ValuesPlan { rows, subplans, layout }))
    }

    fn function_scan(
        &mut self,
        calls: &[(FunctionCall, Vec<OutputColumn>)],
        ordinality: Option<&OutputColumn>,
        scope: &mut OuterScope,
    ) -> Built {
        let mut layout = Layout::default();
        let input = Layout::default();
        let mut expressions = self.expressions(&input, scope);
        let mut compiled = Vec::with_capacity(calls.len());
        for (call, columns) in calls {
            compiled.push(SetCall::new(
                call,
                expressions.programs(&call.args)?,
                columns.len(),
                true,
            ));
            columns.iter().for_each(|column| {
                layout.push(column.id);
            });
        }
        if let Some(column) = ordinality {
            layout.push(column.id);
        }
        let subplans = expressions.finish();
        Ok(Arc::new(ProjectSetPlan {
            input: one_row(),
            calls: compiled,
            subplans,
            ordinality: ordinality.is_some(),
            layout,
        }))
    }

    fn filter(&mut self, input: &Rel, predicate: &Expr, needed: &Needed, scope: &mut OuterScope) -> Built {
        let conjuncts = split_conjuncts(predicate.clone());
        if conjuncts.iter().any(never_holds) {
            // PostgreSQL's one-time filter: nothing below is run.
            let layout = Layout::new(needed.iter().copied());
            return Ok(Arc::new(ValuesPlan {
                rows: Vec::new(),
                subplans: SubPlans::default(),
                layout,
            }));
        }
        match input {
            Rel::Scan(scan) => {
                let uses = scope.uses();
                let plan = self.scan(scan, &conjuncts, needed, scope)?;
                return Ok(self.kept(plan, scope, uses));
            }
            Rel::SystemScan(scan) => {
                let uses = scope.uses();
                let plan = self.system_scan(scan, &conjuncts, needed, scope)?;
                return Ok(self.kept(plan, scope, uses));
            }
            _ => {}
        }
        let mut needed = needed.clone();
        needed.extend(predicate.columns());
        let input = self.build(input, &needed, scope)?;
        let mut expressions = self.expressions(input.layout(), scope);
        let conditions = expressions.programs(&conjuncts)?;
        let subplans = expressions.finish();
        Ok(Arc::new(FilterPlan {
            input,
            conditions,
            subplans,
        }))
    }

    fn project(
        &mut self,
        input: &Rel,
        columns: &[(OutputColumn, Expr)],
        needed: &Needed,
        scope: &mut OuterScope,
    ) -> Built {
        let input = self.build(input, &project_needs(columns, needed), scope)?;
        self.project_over(input, columns, needed, scope)
    }

    fn project_over(
        &mut self,
        input: Arc<dyn Plan>,
        columns: &[(OutputColumn, Expr)],
        needed: &Needed,
        scope: &mut OuterScope,
    ) -> Built {
        let mut expressions = self.expressions(input.layout(), scope);
        let (mut values, mut layout) = (Vec::new(), Layout::default());
        for (column, value) in columns.iter().filter(|(column, value)| is_kept(column, value, needed)) {
            values.push(expressions.program(value)?);
            layout.push(column.id);
        }
        let subplans = expressions.finish();
        Ok(Arc::new(ProjectPlan {
            input,
            values,
            subplans,
            output: self.output_names(&layout),
            layout,
        }))
    }

    fn project_set(
        &mut self,
        input: &Rel,
        calls: &[(FunctionCall, OutputColumn)],
        needed: &Needed,
        scope: &mut OuterScope,
    ) -> Built {
        let mut needed = needed.clone();
        calls
            .iter()
            .flat_map(|(call, _)| &call.args)
            .for_each(|arg| needed.extend(arg.columns()));
        let input = self.build(input, &needed, scope)?;
        let mut layout = input.layout().clone();
        let mut expressions = self.expressions(input.layout(), scope);
        let mut compiled = Vec::with_capacity(calls.len());
        for (call, column) in calls {
            compiled.push(SetCall::new(call, expressions.programs(&call.args)?, 1, false));
            layout.push(column.id);
        }
        let subplans = expressions.finish();
        Ok(Arc::new(ProjectSetPlan {
            input,
            calls: compiled,
            subplans,
            ordinality: false,
            layout,
        }))
    }

    fn sort(
        &mut self,
        input: &Rel,
        keys: &[SortKey],
        top: Option<(&Expr, Option<&Expr>)>,
        needed: &Needed,
        scope: &mut OuterScope,
    ) -> Built {
        if let Some(plan) = self.ordered(input, keys, top.is_some(), needed, scope)? {
            return plan;
        }
        let mut needed = needed.clone();
        keys.iter().for_each(|key| needed.extend(key.expr.columns()));
        let input = self.build(input, &needed, scope)?;
        let mut expressions = self.expressions(input.layout(), scope);
        let keys = expressions.sort_keys(keys)?;
        let top = match top {
            Some((limit, offset)) => Some((
                expressions.program(limit)?,
                offset.map(|offset| expressions.program(offset)).transpose()?,
            )),
            None => None,
        };
        let subplans = expressions.finish();
        let measure = self.measure();
        let plan = SortPlan {
            input,
            keys,
            top,
            subplans,
            measure: measure.clone(),
        };
        Ok(self.adaptive(Arc::new(plan), measure))
    }

    fn limit(
        &mut self,
        input: &Rel,
        limit: Option<&Expr>,
        offset: Option<&Expr>,
        with_ties: bool,
        needed: &Needed,
        scope: &mut OuterScope,
    ) -> Built {
        let keys = sort_keys_below(input).filter(|_| with_ties).unwrap_or(&[]);
        let mut needed = needed.clone();
        keys.iter().for_each(|key| needed.extend(key.expr.columns()));
        let top = limit.filter(|limit| !with_ties && !limit.is_volatile() && !limit.has_subquery());
        let top = top.filter(|_| offset.is_none_or(|offset| !offset.is_volatile() && !offset.has_subquery()));
        let whole = input;
        let plan = match (input, top) {
            (Rel::Sort { input, keys }, Some(limit)) => {
                let sorted = self.sort(input, keys, Some((limit, offset)), &needed, scope)?;
                self.describe(whole, sorted)
            }
            (Rel::Project { input, columns }, Some(limit)) if matches!(**input, Rel::Sort { .. }) => {
                let below = &**input;
                let Rel::Sort { input, keys } = below else {
                    return Err(internal("a sort was just seen"));
                };
                let sorted = self.sort(
                    input,
                    keys,
                    Some((limit, offset)),
                    &project_needs(columns, &needed),
                    scope,
                )?;
                let sorted = self.describe(below, sorted);
                let projected = self.project_over(sorted, columns, &needed, scope)?;
                self.describe(whole, projected)
            }
            _ => self.build(input, &needed, scope)?,
        };
        let mut expressions = self.expressions(plan.layout(), scope);
        let ties = match with_ties {
            true => Some(expressions.sort_keys(keys)?.into_iter().map(|key| key.value).collect()),
            false => None,
        };
        let empty = Layout::default();
        let subplans = expressions.pause();
        let mut counts = self.expressions_after(&empty, scope, subplans);
        let limit = limit.map(|limit| counts.program(limit)).transpose()?;
        let offset = offset.map(|offset| counts.program(offset)).transpose()?;
        let subplans = counts.finish();
        Ok(Arc::new(LimitPlan {
            input: plan,
            limit,
            offset,
            ties,
            subplans,
        }))
    }

    fn distinct(&mut self, input: &Rel, on: Option<&[Expr]>, needed: &Needed, scope: &mut OuterScope) -> Built {
        let Some(on) = on else {
            // What is left out of a DISTINCT would change which rows are equal.
            let columns = input.output_columns();
            let plan = self.build_exactly(input, &columns, scope)?;
            let keys = row_keys(input, plan.layout());
            return Ok(Arc::new(DistinctPlan {
                input: plan,
                keys,
                subplans: SubPlans::default(),
            }));
        };
        let mut needed = needed.clone();
        on.iter().for_each(|key| needed.extend(key.columns()));
        let input = self.build(input, &needed, scope)?;
        let mut expressions = self.expressions(input.layout(), scope);
        let keys = on.iter().map(|key| expressions.key(key)).collect::<SqlResult<_>>()?;
        let subplans = expressions.finish();
        Ok(Arc::new(DistinctPlan { input, keys, subplans }))
    }

    fn with(&mut self, ctes: &[Cte], body: &Rel, needed: &Needed, scope: &mut OuterScope) -> Built {
        let mut definitions = Vec::with_capacity(ctes.len());
        // Which rows the definitions give is decided where they are read, not here.
        for cte in ctes {
            let columns: Vec<ColumnId> = cte.columns.iter().map(|column| column.id).collect();
            let plan: Arc<dyn Plan> = match &cte.recursive {
                None => self.build_positional(&cte.rel, &columns, scope)?,
                Some(recursive) => {
                    let start = self.build_positional(&cte.rel, &columns, scope)?;
                    let step = self.build_exactly(&recursive.rel, &recursive.columns, scope)?;
                    let keys = column_keys(&cte.columns);
                    let plan = RecursivePlan {
                        id: cte.id,
                        start,
                        step,
                        all: recursive.all,
                        keys,
                        layout: Layout::new(columns.iter().copied()),
                    };
                    self.describe_recursion(&cte.rel, Arc::new(plan))
                }
            };
            let modifies = matches!(cte.rel, Rel::Modify(_));
            definitions.push(CteDefinition {
                id: cte.id,
                name: cte.name.clone(),
                plan,
                modifies,
            });
        }
        let body = self.build(body, needed, scope)?;
        for definition in &definitions {
            self.note_cte(&definition.name, &definition.plan, &body);
        }
        Ok(Arc::new(WithPlan {
            ctes: definitions,
            body,
        }))
    }

    /// Compiles a definition: its query produces the definition's columns by id or, failing that, by position.
    fn build_positional(&mut self, rel: &Rel, columns: &[ColumnId], scope: &mut OuterScope) -> Built {
        let produced = rel.output_columns();
        match columns.iter().all(|column| produced.contains(column)) {
            true => self.build_exactly(rel, columns, scope),
            false => self.build_exactly(rel, &produced[..columns.len().min(produced.len())], scope),
        }
    }

    fn lock_rows(&mut self, input: &Rel, locks: &[RowLock], needed: &Needed, scope: &mut OuterScope) -> Built {
        let mut needed = needed.clone();
        needed.extend(
            locks
                .iter()
                .flat_map(|lock| [lock.row_key].into_iter().chain(lock.table_oid)),
        );
        let input = self.build(input, &needed, scope)?;
        let mut plan = LockRowsPlan {
            input,
            locks: Vec::new(),
            pins: Vec::new(),
        };
        for lock in locks {
            let layout = plan.input.layout();
            let scan = RowProgram {
                table: lock.table.clone(),
                slot: layout.slot(lock.row_key).ok_or_else(|| missing_column(lock.row_key))?,
                row_key: lock.row_key,
                table_slot: lock.table_oid.and_then(|column| layout.slot(column)),
            };
            match lock.strength {
                None => plan.pins.push(scan),
                Some(strength) => plan.locks.push(LockProgram {
                    scan,
                    strength,
                    wait: lock.wait,
                }),
            }
        }
        Ok(Arc::new(plan))
    }

    /// Whether the rows of a subquery are the same whenever its outer values are.
    pub(crate) fn is_repeatable(rel: &Rel) -> bool {
        !rel.is_volatile()
    }

    /// Whether a relation may be run once for the whole statement, if it uses no outer columns.
    pub(crate) fn is_statement_wide(rel: &Rel) -> bool {
        Self::is_repeatable(rel) && !reads_outer_cte(rel)
    }
}

/// Whether a condition is the constant false or NULL.
fn never_holds(condition: &Expr) -> bool {
    matches!(condition.kind, ExprKind::Literal(Datum::Null | Datum::Bool(false)))
}

/// The row that a SELECT without FROM reads.
pub(crate) fn one_row() -> Arc<dyn Plan> {
    Arc::new(ValuesPlan {
        rows: vec![Vec::new()],
        subplans: SubPlans::default(),
        layout: Layout::default(),
    })
}

fn is_kept(column: &OutputColumn, value: &Expr, needed: &Needed) -> bool {
    needed.contains(&column.id) || value.is_volatile()
}

fn project_needs(columns: &[(OutputColumn, Expr)], needed: &Needed) -> Needed {
    columns
        .iter()
        .filter(|(column, value)| is_kept(column, value, needed))
        .flat_map(|(_, value)| value.columns())
        .collect()
}

fn sort_keys_below(rel: &Rel) -> Option<&[SortKey]> {
    match rel {
        Rel::Sort { keys, .. } => Some(keys),
        Rel::Project { input, .. } | Rel::LockRows { input, .. } => sort_keys_below(input),
        _ => None,
    }
}

fn set_operation(
    kind: SetKind,
    all: bool,
    left: Arc<dyn Plan>,
    right: Arc<dyn Plan>,
    columns: &[OutputColumn],
) -> Arc<dyn Plan> {
    let layout = Layout::new(columns.iter().map(|column| column.id));
    Arc::new(SetOperationPlan {
        kind,
        all,
        left,
        right,
        keys: column_keys(columns),
        layout,
    })
}

/// Programs that read columns one after the other, as keys.
fn column_keys(columns: &[OutputColumn]) -> Vec<Program> {
    columns
        .iter()
        .enumerate()
        .map(|(slot, column)| key_program(slot, column.ty))
        .collect()
}

/// Keys of whole rows. Types decide only about bpchar, so columns whose type is not at hand count as others.
fn row_keys(rel: &Rel, layout: &Layout) -> Vec<Program> {
    let types = expressions::column_types(rel);
    layout
        .columns()
        .iter()
        .enumerate()
        .map(|(slot, column)| key_program(slot, types.get(column).copied().unwrap_or(Type::UNKNOWN)))
        .collect()
}

fn key_program(slot: usize, ty: Type) -> Program {
    let program = Program::slot(slot, ty);
    if ty.oid == oid::BPCHAR {
        program.trimmed()
    } else {
        program
    }
}

/// A program that reads a column.
pub(crate) fn slot_program(layout: &Layout, column: ColumnId) -> SqlResult<Program> {
    let slot = layout.slot(column).ok_or_else(|| missing_column(column))?;
    Ok(Program::slot(slot, Type::UNKNOWN))
}

pub(crate) fn missing_column(column: ColumnId) -> SqlError {
    internal(&format!("column {} is not produced by the relation below", column.0))
}

pub(crate) fn internal(text: &str) -> SqlError {
    SqlError::new(SqlState::INTERNAL_ERROR, text)
}
