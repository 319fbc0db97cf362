//! ModifyPlan: what a data-modifying statement needs compiled, once for all its executions.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::program::{TableProgram, row_layout};
use super::target::Derived;
use crate::SqlResult;
use crate::bound::columns::for_each_column;
use crate::bound::{
    Assignment, ColumnId, ConflictUpdate, Expr, MergeAction, MergeActionKind, Modify, ModifyKind, OnConflict, Query,
    Rel,
};
use crate::eval::Layout;
use crate::relational::{CompiledExprs, QueryPlan, QueryScope};
use crate::statement::{Planner, StatementContext};

/// Rows of a VALUES list that are computed without a plan around them.
const VALUES_ROWS_MAX: usize = 64;

/// A data-modifying statement compiled.
pub struct ModifyPlan {
    /// What the table demands of its rows.
    pub(super) program: Arc<TableProgram>,
    pub(super) kind: KindPlan,
    /// RETURNING over the target row, followed by the columns of the source that expressions name beside the target's own.
    pub(super) returning: Option<CompiledExprs>,
}

/// What is compiled of each kind.
pub(super) enum KindPlan {
    Insert {
        source: InsertSource,
        defaults: CompiledExprs,
        /// DO UPDATE over the existing row followed by the excluded one: assignments, then the condition.
        conflict: Option<CompiledExprs>,
    },
    Change {
        source: QueryPlan,
        /// Assigned values over the target row followed by the source's columns, as RETURNING.
        values: CompiledExprs,
        condition: CompiledExprs,
        amounts: Amounts,
    },
    Merge(MergePlan),
}

/// What is compiled of MERGE. Expressions are over the target row followed by the source's columns.
pub(super) struct MergePlan {
    /// Rows: the target's key, its columns in `seen`, and the source's columns that expressions name.
    pub source: QueryPlan,
    /// Positions of the target's columns by which the actions of a matching row are chosen.
    pub seen: Vec<u16>,
    pub on: CompiledExprs,
    pub actions: Vec<MergeActionPlan>,
}

/// What is compiled of one WHEN of MERGE.
pub(super) struct MergeActionPlan {
    /// Its condition, if it has one.
    pub condition: CompiledExprs,
    /// Assigned or inserted values.
    pub values: CompiledExprs,
    /// Values of the columns an INSERT does not give.
    pub defaults: CompiledExprs,
    pub amounts: Amounts,
}

/// Where inserted rows come from.
pub(super) enum InsertSource {
    /// A VALUES list: rows of as many expressions each as there are target columns, in the targets' order.
    Values(CompiledExprs),
    Query(QueryPlan),
}

/// Amounts of the assignments that are additions: which those are is found out per execution, and is nearly always the same.
pub(super) struct Amounts {
    layout: Layout,
    last: ArcSwapOption<(Vec<usize>, CompiledExprs)>,
}

impl Amounts {
    /// The amounts of a statement's additions, in order.
    ///
    /// # Errors
    /// What their constants raise.
    pub(super) fn of(&self, derived: &[Derived<'_>], scope: &QueryScope) -> SqlResult<CompiledExprs> {
        let amounts = derived.iter().filter_map(|derived| derived.addition.as_ref());
        let amounts: Vec<&Expr> = amounts.map(|(_, addition)| addition.amount).collect();
        // Expressions are told apart by where they are: all belong to the one statement this plan was made of.
        let places: Vec<usize> = amounts
            .iter()
            .map(|amount| std::ptr::from_ref(*amount).addr())
            .collect();
        if let Some(last) = &*self.last.load()
            && last.0 == places
        {
            return Ok(last.1.clone());
        }
        let compiled = CompiledExprs::new(&self.layout, &amounts, &*scope.runtime().session)?;
        self.last.store(Some(Arc::new((places, compiled.clone()))));
        Ok(compiled)
    }
}

impl ModifyPlan {
    /// Compiles a statement.
    ///
    /// # Errors
    /// What its constants raise.
    pub fn new(planner: &Planner, context: &StatementContext, modify: &Modify, scope: &QueryScope) -> SqlResult<Self> {
        let program = planner.program(context, modify.table.id)?;
        let session = &*scope.runtime().session;
        let compile = |layout: &Layout, exprs: &mut dyn Iterator<Item = &Expr>| {
            let exprs: Vec<&Expr> = exprs.collect();
            CompiledExprs::new(layout, &exprs, session)
        };
        let mut extra = Vec::new();
        let kind = match &modify.kind {
            ModifyKind::Insert {
                source,
                defaults,
                on_conflict,
                ..
            } => KindPlan::Insert {
                source: insert_source(source, scope)?,
                defaults: compile(&Layout::default(), &mut defaults.iter().map(|(_, expr)| expr))?,
                conflict: match update_of(on_conflict.as_ref()) {
                    None => None,
                    Some(update) => {
                        let existing = row_layout(&program.table, &update.existing);
                        let layout = existing.concat(&row_layout(&program.table, &update.excluded));
                        let assigned = update.assignments.iter().map(|assignment| &assignment.value);
                        Some(compile(&layout, &mut assigned.chain(&update.predicate))?)
                    }
                },
            },
            ModifyKind::Update {
                source,
                row_key,
                old_columns,
                recheck,
                ..
            }
            | ModifyKind::Delete {
                source,
                row_key,
                old_columns,
                recheck,
            } => {
                let assigned = assignments(modify);
                let exprs = assigned.iter().map(|assignment| &assignment.value).chain(recheck);
                extra = source_columns(modify, source, *row_key, old_columns, &exprs.collect::<Vec<_>>());
                let mut layout = row_layout(&program.table, old_columns);
                for column in &extra {
                    layout.push(*column);
                }
                let columns: Vec<ColumnId> = [*row_key].into_iter().chain(extra.iter().copied()).collect();
                KindPlan::Change {
                    source: scope.plan(source, &columns)?,
                    values: compile(&layout, &mut assigned.iter().map(|assignment| &assignment.value))?,
                    condition: compile(&layout, &mut recheck.iter())?,
                    amounts: Amounts {
                        layout,
                        last: ArcSwapOption::empty(),
                    },
                }
            }
            ModifyKind::Merge {
                source,
                row_key,
                old_columns,
                on,
                actions,
            } => {
                let mut exprs = vec![on];
                actions
                    .iter()
                    .for_each(|action| action.for_each_expr(&mut |expr| exprs.push(expr)));
                extra = source_columns(modify, source, *row_key, old_columns, &exprs);
                let mut layout = row_layout(&program.table, old_columns);
                for column in &extra {
                    layout.push(*column);
                }
                let seen = columns_seen(actions, old_columns);
                let columns = [*row_key].into_iter().chain(seen.iter().map(|(_, id)| *id));
                let columns: Vec<ColumnId> = columns.chain(extra.iter().copied()).collect();
                let mut compiled = Vec::with_capacity(actions.len());
                for action in actions {
                    let none: &[(u16, Expr)] = &[];
                    let (given, defaults) = match &action.kind {
                        MergeActionKind::Insert { values, defaults } => (values.as_slice(), defaults.as_slice()),
                        _ => (none, none),
                    };
                    let assigned = action.assignments().iter().map(|assignment| &assignment.value);
                    compiled.push(MergeActionPlan {
                        condition: compile(&layout, &mut action.condition.iter())?,
                        values: compile(&layout, &mut assigned.chain(given.iter().map(|(_, expr)| expr)))?,
                        defaults: compile(&Layout::default(), &mut defaults.iter().map(|(_, expr)| expr))?,
                        amounts: Amounts {
                            layout: layout.clone(),
                            last: ArcSwapOption::empty(),
                        },
                    });
                }
                KindPlan::Merge(MergePlan {
                    source: scope.plan(source, &columns)?,
                    seen: seen.into_iter().map(|(position, _)| position).collect(),
                    on: compile(&layout, &mut [on].into_iter())?,
                    actions: compiled,
                })
            }
        };
        let returning = if modify.returning.is_empty() {
            None
        } else {
            let mut layout = row_layout(&program.table, &modify.row_columns);
            for column in extra.iter().chain(&modify.table_oid) {
                layout.push(*column);
            }
            Some(compile(&layout, &mut modify.returning.iter().map(|(_, expr)| expr))?)
        };
        Ok(ModifyPlan {
            program,
            kind,
            returning,
        })
    }
}

/// The assignments of an UPDATE.
pub(super) fn assignments(modify: &Modify) -> &[Assignment] {
    match &modify.kind {
        ModifyKind::Update { assignments, .. } => assignments,
        ModifyKind::Insert { .. } | ModifyKind::Delete { .. } | ModifyKind::Merge { .. } => &[],
    }
}

/// DO UPDATE
pub(super) fn update_of(on_conflict: Option<&OnConflict>) -> Option<&ConflictUpdate> {
    on_conflict.and_then(|on_conflict| on_conflict.update.as_ref())
}

/// A short VALUES list is computed row by row; anything else is a query.
fn insert_source(source: &Query, scope: &QueryScope) -> SqlResult<InsertSource> {
    if let Rel::Values { rows, columns } = &source.rel
        && rows.len() <= VALUES_ROWS_MAX
        && !scope.is_observed()
    {
        let place = |wanted: ColumnId| columns.iter().position(|column| column.id == wanted);
        let places: Option<Vec<usize>> = source.columns.iter().map(|column| place(column.id)).collect();
        if let Some(places) = places {
            let exprs: Vec<&Expr> = rows
                .iter()
                .flat_map(|row| places.iter().map(move |place| &row[*place]))
                .collect();
            return CompiledExprs::new(&Layout::default(), &exprs, &*scope.runtime().session).map(InsertSource::Values);
        }
    }
    let columns: Vec<ColumnId> = source.columns.iter().map(|column| column.id).collect();
    scope.plan(&source.rel, &columns).map(InsertSource::Query)
}

/// Columns of the target by which an action for a matching row is chosen.
fn columns_seen(actions: &[MergeAction], old_columns: &[(u16, ColumnId)]) -> Vec<(u16, ColumnId)> {
    let mut seen: Vec<(u16, ColumnId)> = Vec::new();
    for condition in actions.iter().filter_map(|action| action.condition.as_ref()) {
        for_each_column(condition, &mut |id| {
            if let Some(column) = old_columns.iter().find(|(_, known)| *known == id)
                && !seen.contains(column)
            {
                seen.push(*column);
            }
        });
    }
    seen
}

/// Columns of the source beside the target's own that expressions name.
fn source_columns(
    modify: &Modify,
    source: &Rel,
    row_key: ColumnId,
    old_columns: &[(u16, ColumnId)],
    exprs: &[&Expr],
) -> Vec<ColumnId> {
    let mut extra: Vec<ColumnId> = Vec::new();
    let produced = source.output_columns();
    let own = |id: ColumnId| {
        id == row_key
            || old_columns
                .iter()
                .chain(&modify.row_columns)
                .any(|(_, known)| *known == id)
            || modify.table_oid == Some(id)
    };
    for expr in exprs
        .iter()
        .copied()
        .chain(modify.returning.iter().map(|(_, expr)| expr))
    {
        for_each_column(expr, &mut |id| {
            if !own(id) && produced.contains(&id) && !extra.contains(&id) {
                extra.push(id);
            }
        });
    }
    extra
}
