//! ModifyPlan: what a data-modifying statement needs compiled, once for all its executions.

use std::sync::{Arc, OnceLock};

use ahash::AHashMap;
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::program::{TableProgram, row_layout};
use super::target::Derived;
use crate::bound::columns::for_each_column;
use crate::bound::{
    Assignment, ColumnId, ConflictUpdate, Expr, MergeAction, MergeActionKind, Modify, ModifyKind, OnConflict, Query,
    Rel,
};
use crate::catalog::{Index, Relation};
use crate::eval::Layout;
use crate::partition::Mapping;
use crate::relational::{CompiledExprs, QueryPlan, QueryScope};
use crate::statement::{Planner, StatementContext};
use crate::{SqlError, SqlResult, SqlState};

/// Rows of a VALUES list that are computed without a plan around them.
const VALUES_ROWS_MAX: usize = 64;

/// A data-modifying statement compiled.
pub struct ModifyPlan {
    /// What the table demands of its rows.
    pub(super) program: Arc<TableProgram>,
    pub(super) kind: KindPlan,
    /// RETURNING of an INSERT over the new row.
    pub(super) returning: Option<CompiledExprs>,
}

/// What is compiled of each kind.
pub(super) enum KindPlan {
    Insert {
        source: InsertSource,
        defaults: CompiledExprs,
        /// What is compiled for each table that rows went to.
        places: Mutex<AHashMap<u32, Arc<InsertPlace>>>,
    },
    Change {
        source: QueryPlan,
        /// Place of the oid of a row's table behind the row's key, if the rows are of several tables.
        oid_at: Option<usize>,
        /// The tables whose rows may be changed, compiled when the first row of each comes.
        places: Vec<(Arc<Relation>, OnceLock<ChangePlace>)>,
        /// Columns of the source beside the target's own that expressions name.
        extra: Vec<ColumnId>,
    },
    Merge(MergePlan),
}

/// What is compiled of MERGE.
pub(super) struct MergePlan {
    /// Rows: the target's key, its columns in `seen`, and the source's columns that expressions name.
    pub source: QueryPlan,
    /// Positions of the target's columns by which the actions of a matching row are chosen.
    pub seen: Vec<u16>,
    /// Place of the oid of a row's table among the source's columns, if the rows are of several tables.
    pub oid_at: Option<usize>,
    /// The tables whose rows may match, compiled when the first row of each comes.
    pub places: Vec<(Arc<Relation>, OnceLock<MergePlace>)>,
    /// What is for the named table, and for rows of the source that match nothing.
    pub named: MergePlace,
    /// Columns of the source beside the target's own that expressions name.
    pub extra: Vec<ColumnId>,
}

/// MERGE for the rows of one table. Positions are its own; expressions are over its row followed by the source's columns.
pub(super) struct MergePlace {
    pub program: Arc<TableProgram>,
    /// The named table's rows in it.
    pub mapping: Mapping,
    pub old_columns: Vec<(u16, ColumnId)>,
    pub on: CompiledExprs,
    pub actions: Vec<MergeActionPlan>,
}

/// What is compiled of one WHEN of MERGE.
pub(super) struct MergeActionPlan {
    /// Its condition, if it has one.
    pub condition: CompiledExprs,
    pub assignments: Vec<Assignment>,
    /// Assigned or inserted values.
    pub values: CompiledExprs,
    /// Values of the columns an INSERT does not give.
    pub defaults: CompiledExprs,
    pub amounts: Amounts,
}

impl MergePlace {
    /// Compiles what a statement needs for the rows of a table, the named one or one that comes from it.
    ///
    /// # Errors
    /// What its constants raise.
    pub(super) fn new(
        modify: &Modify,
        program: Arc<TableProgram>,
        extra: &[ColumnId],
        scope: &QueryScope,
    ) -> SqlResult<Self> {
        let ModifyKind::Merge {
            old_columns,
            on,
            actions,
            ..
        } = &modify.kind
        else {
            return Err(SqlError::new(SqlState::INTERNAL_ERROR, "no MERGE"));
        };
        let session = &*scope.runtime().session;
        let compile = |layout: &Layout, exprs: &mut dyn Iterator<Item = &Expr>| {
            let exprs: Vec<&Expr> = exprs.collect();
            CompiledExprs::new(layout, &exprs, session)
        };
        let mapping = Mapping::between(&modify.table, &program.table);
        let old_columns = mapping.columns(old_columns);
        let mut layout = row_layout(&program.table, &old_columns);
        for column in extra {
            layout.push(*column);
        }
        let mut compiled = Vec::with_capacity(actions.len());
        for action in actions {
            let none: &[(u16, Expr)] = &[];
            let (given, defaults) = match &action.kind {
                MergeActionKind::Insert { values, defaults } => (values.as_slice(), defaults.as_slice()),
                _ => (none, none),
            };
            let assignments = placed(&mapping, action.assignments());
            let assigned = assignments.iter().map(|assignment| &assignment.value);
            compiled.push(MergeActionPlan {
                condition: compile(&layout, &mut action.condition.iter())?,
                values: compile(&layout, &mut assigned.chain(given.iter().map(|(_, expr)| expr)))?,
                defaults: compile(&Layout::default(), &mut defaults.iter().map(|(_, expr)| expr))?,
                amounts: Amounts {
                    layout: layout.clone(),
                    last: ArcSwapOption::empty(),
                },
                assignments,
            });
        }
        Ok(MergePlace {
            on: compile(&layout, &mut [on].into_iter())?,
            actions: compiled,
            program,
            mapping,
            old_columns,
        })
    }
}

/// A table that rows are inserted into.
pub(super) struct InsertPlace {
    /// The named table's rows in it.
    pub(super) mapping: Mapping,
    /// The unique indexes of it that arbitrate.
    pub(super) arbiters: Vec<u32>,
    /// DO UPDATE, and what is compiled of it over the existing row followed by the excluded one: assignments, then the
    /// condition.
    pub(super) conflict: Option<(ConflictUpdate, CompiledExprs)>,
}

/// A table whose rows are changed. Positions are its own.
pub(super) struct ChangePlace {
    pub(super) program: Arc<TableProgram>,
    pub(super) old_columns: Vec<(u16, ColumnId)>,
    pub(super) row_columns: Arc<[(u16, ColumnId)]>,
    pub(super) assignments: Vec<Assignment>,
    /// Assigned values over the target row followed by the source's columns, as RETURNING.
    pub(super) values: CompiledExprs,
    pub(super) condition: CompiledExprs,
    pub(super) amounts: Amounts,
    pub(super) returning: Option<CompiledExprs>,
    /// Whether its rows look like those of the named table.
    pub(super) is_same: bool,
}

impl InsertPlace {
    /// Compiles what a statement needs for the rows of a table, the named one or a partition of it.
    ///
    /// # Errors
    /// What its constants raise.
    pub(super) fn new(modify: &Modify, program: &TableProgram, scope: &QueryScope) -> SqlResult<Self> {
        let mapping = Mapping::between(&modify.table, &program.table);
        let ModifyKind::Insert { on_conflict, .. } = &modify.kind else {
            return Err(SqlError::new(SqlState::INTERNAL_ERROR, "no INSERT"));
        };
        let is_own = program.table.id == modify.table.id;
        let named = on_conflict.iter().flat_map(|conflict| &conflict.arbiters);
        let arbiters = named.flat_map(|arbiter| match is_own {
            true => vec![*arbiter],
            false => descendants_of(&program.table, *arbiter, scope),
        });
        let arbiters = arbiters.collect();
        let conflict = match update_of(on_conflict.as_ref()) {
            None => None,
            Some(update) => {
                let update = ConflictUpdate {
                    existing: mapping.columns(&update.existing),
                    excluded: mapping.columns(&update.excluded),
                    assignments: placed(&mapping, &update.assignments),
                    predicate: update.predicate.clone(),
                };
                let existing = row_layout(&program.table, &update.existing);
                let layout = existing.concat(&row_layout(&program.table, &update.excluded));
                let assigned = update.assignments.iter().map(|assignment| &assignment.value);
                let exprs: Vec<&Expr> = assigned.chain(&update.predicate).collect();
                let compiled = CompiledExprs::new(&layout, &exprs, &*scope.runtime().session)?;
                Some((update, compiled))
            }
        };
        Ok(InsertPlace {
            mapping,
            arbiters,
            conflict,
        })
    }
}

/// The indexes of a partition that belong to an index of a table above it.
fn descendants_of(table: &Relation, index: u32, scope: &QueryScope) -> Vec<u32> {
    let catalog = scope.runtime().session.catalog();
    let parent_of = |id: u32| {
        let catalog = catalog.as_ref()?;
        let indexes = catalog.relations.values().flat_map(|relation| &relation.indexes);
        indexes.into_iter().find(|index| index.id == id)?.origin.parent
    };
    let comes_from = |own: &Index| {
        let mut at = own.origin.parent;
        while let Some(parent) = at {
            if parent == index {
                return true;
            }
            at = parent_of(parent);
        }
        false
    };
    table
        .indexes
        .iter()
        .filter(|own| comes_from(own))
        .map(|own| own.id)
        .collect()
}

/// Assignments to the columns of a child.
fn placed(mapping: &Mapping, assignments: &[Assignment]) -> Vec<Assignment> {
    let place = |assignment: &Assignment| {
        Some(Assignment {
            column: mapping.place(assignment.column)?,
            value: assignment.value.clone(),
        })
    };
    assignments.iter().filter_map(place).collect()
}

impl ChangePlace {
    /// Compiles what a statement needs for the rows of a table, the named one or one that comes from it.
    ///
    /// # Errors
    /// What its constants raise.
    pub(super) fn new(
        modify: &Modify,
        program: Arc<TableProgram>,
        extra: &[ColumnId],
        scope: &QueryScope,
    ) -> SqlResult<Self> {
        let session = &*scope.runtime().session;
        let compile = |layout: &Layout, exprs: &mut dyn Iterator<Item = &Expr>| {
            let exprs: Vec<&Expr> = exprs.collect();
            CompiledExprs::new(layout, &exprs, session)
        };
        let (ModifyKind::Update {
            old_columns, recheck, ..
        }
        | ModifyKind::Delete {
            old_columns, recheck, ..
        }) = &modify.kind
        else {
            return Err(SqlError::new(SqlState::INTERNAL_ERROR, "no UPDATE or DELETE"));
        };
        let mapping = Mapping::between(&modify.table, &program.table);
        let old_columns = mapping.columns(old_columns);
        let row_columns = mapping.columns(&modify.row_columns);
        let assignments = placed(&mapping, assignments(modify));
        let mut layout = row_layout(&program.table, &old_columns);
        for column in extra {
            layout.push(*column);
        }
        let returning = if modify.returning.is_empty() {
            None
        } else {
            let mut layout = row_layout(&program.table, &row_columns);
            for column in extra.iter().chain(&modify.table_oid) {
                layout.push(*column);
            }
            Some(compile(&layout, &mut modify.returning.iter().map(|(_, expr)| expr))?)
        };
        Ok(ChangePlace {
            values: compile(&layout, &mut assignments.iter().map(|assignment| &assignment.value))?,
            condition: compile(&layout, &mut recheck.iter())?,
            amounts: Amounts {
                layout,
                last: ArcSwapOption::empty(),
            },
            returning,
            is_same: mapping.is_same(),
            program,
            old_columns,
            row_columns: row_columns.into(),
            assignments,
        })
    }
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
        let kind = match &modify.kind {
            ModifyKind::Insert { source, defaults, .. } => KindPlan::Insert {
                source: insert_source(source, scope)?,
                defaults: compile(&Layout::default(), &mut defaults.iter().map(|(_, expr)| expr))?,
                places: Mutex::default(),
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
                let exprs: Vec<&Expr> = exprs.collect();
                let extra = source_columns(modify, source, *row_key, old_columns, &exprs);
                let columns: Vec<ColumnId> = [*row_key].into_iter().chain(extra.iter().copied()).collect();
                let tables = match modify.source_oid {
                    None => vec![modify.table.clone()],
                    Some(_) => crate::partition::routing::members(&context.catalog, &modify.table)?.tables,
                };
                KindPlan::Change {
                    source: scope.plan(source, &columns)?,
                    oid_at: modify
                        .source_oid
                        .and_then(|oid| extra.iter().position(|column| *column == oid)),
                    places: tables.into_iter().map(|table| (table, OnceLock::new())).collect(),
                    extra,
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
                let extra = source_columns(modify, source, *row_key, old_columns, &exprs);
                let seen = columns_seen(actions, old_columns);
                let columns = [*row_key].into_iter().chain(seen.iter().map(|(_, id)| *id));
                let columns: Vec<ColumnId> = columns.chain(extra.iter().copied()).collect();
                let tables = match modify.source_oid {
                    None => Vec::new(),
                    Some(_) => crate::partition::routing::members(&context.catalog, &modify.table)?.tables,
                };
                KindPlan::Merge(MergePlan {
                    source: scope.plan(source, &columns)?,
                    seen: seen.into_iter().map(|(position, _)| position).collect(),
                    oid_at: modify
                        .source_oid
                        .and_then(|oid| extra.iter().position(|column| *column == oid)),
                    places: tables.into_iter().map(|table| (table, OnceLock::new())).collect(),
                    named: MergePlace::new(modify, program.clone(), &extra, scope)?,
                    extra,
                })
            }
        };
        let returning = if modify.returning.is_empty() || !matches!(kind, KindPlan::Insert { .. }) {
            None
        } else {
            let mut layout = row_layout(&program.table, &modify.row_columns);
            if let Some(column) = modify.table_oid {
                layout.push(column);
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
    let mut extra: Vec<ColumnId> = modify.source_oid.into_iter().collect();
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
