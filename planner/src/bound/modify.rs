//! Bound INSERT, UPDATE, DELETE and MERGE.

use crate::bound::{ColumnId, Expr, OutputColumn, Query, Rel, RelationRef};

/// A data-modifying statement.
#[derive(Clone, Debug)]
pub struct Modify {
    /// Target table.
    pub table: RelationRef,
    /// Alias of the target, for messages.
    pub alias: String,
    /// What is done.
    pub kind: ModifyKind,
    /// RETURNING: values over `row_columns` (the new row; the old one for DELETE) and the source's columns.
    pub returning: Vec<(OutputColumn, Expr)>,
    /// Views whose CHECK OPTION the new row has to pass: the last of `returning`, which are not handed out, are what they demand.
    pub check_options: Vec<String>,
    /// Ids under which CHECK, generated columns, RETURNING, ON CONFLICT and index expressions see the target row's
    /// columns: for each live column (position, id).
    pub row_columns: Vec<(u16, ColumnId)>,
    /// Column id under which RETURNING sees `tableoid`, if used.
    pub table_oid: Option<ColumnId>,
    /// UPDATE and DELETE of a parent: the column of the source with the oid of the table that a row is in.
    pub source_oid: Option<ColumnId>,
}

impl Modify {
    /// RETURNING without what CHECK OPTION demands.
    pub fn returned(&self) -> &[(OutputColumn, Expr)] {
        &self.returning[..self.returning.len() - self.check_options.len()]
    }
}

/// What a modifying statement does.
#[derive(Clone, Debug)]
pub enum ModifyKind {
    /// INSERT
    Insert {
        /// Rows; one output column per entry of `targets`.
        source: Query,
        /// Where each source column goes.
        targets: Vec<u16>,
        /// Values of live columns not in `targets` (defaults, NULL); evaluated per row. Generated columns are not here.
        defaults: Vec<(u16, Expr)>,
        /// ON CONFLICT
        on_conflict: Option<OnConflict>,
    },
    /// UPDATE
    Update {
        /// The target's scan (with `row_key`) joined with FROM and filtered by WHERE.
        source: Rel,
        /// Row key column of the target in `source`.
        row_key: ColumnId,
        /// Ids under which `source` and the assignments see the target's *old* columns: (position, id).
        old_columns: Vec<(u16, ColumnId)>,
        /// Assignments, evaluated over `source`'s columns.
        assignments: Vec<Assignment>,
        /// WHERE and join conditions that mention the target, to be re-evaluated after a wait (EvalPlanQual).
        recheck: Option<Expr>,
    },
    /// DELETE
    Delete {
        /// The target's scan (with `row_key`) joined with USING and filtered by WHERE.
        source: Rel,
        /// Row key column of the target in `source`.
        row_key: ColumnId,
        /// As in `Update`.
        old_columns: Vec<(u16, ColumnId)>,
        /// As in `Update`.
        recheck: Option<Expr>,
    },
    /// MERGE
    Merge {
        /// USING joined with the target's scan (with `row_key`) by ON: LEFT if anything is inserted.
        source: Rel,
        /// Row key column of the target in `source`; NULL where no row matches.
        row_key: ColumnId,
        /// As in `Update`.
        old_columns: Vec<(u16, ColumnId)>,
        /// ON, to be re-evaluated after a wait.
        on: Expr,
        /// WHEN clauses in order.
        actions: Vec<MergeAction>,
    },
}

/// `WHEN MATCHED` or `WHEN NOT MATCHED` of MERGE.
#[derive(Clone, Debug)]
pub struct MergeAction {
    /// Whether it is for rows of the target that match, or for rows of the source without such a row.
    pub matched: bool,
    /// AND …
    pub condition: Option<Expr>,
    /// THEN …
    pub kind: MergeActionKind,
}

/// THEN of MERGE. Its expressions see the source's columns, and the target's old ones where a row matched.
#[derive(Clone, Debug)]
pub enum MergeActionKind {
    /// DO NOTHING
    Nothing,
    /// UPDATE
    Update(Vec<Assignment>),
    /// DELETE
    Delete,
    /// INSERT
    Insert {
        /// Given columns and their values.
        values: Vec<(u16, Expr)>,
        /// Values of the other live columns but generated ones.
        defaults: Vec<(u16, Expr)>,
    },
}

impl MergeAction {
    /// What an UPDATE assigns.
    pub fn assignments(&self) -> &[Assignment] {
        match &self.kind {
            MergeActionKind::Update(assignments) => assignments,
            MergeActionKind::Nothing | MergeActionKind::Delete | MergeActionKind::Insert { .. } => &[],
        }
    }

    /// Calls `visit` with each of its expressions.
    pub fn for_each_expr<'r>(&'r self, visit: &mut dyn FnMut(&'r Expr)) {
        self.condition.iter().for_each(&mut *visit);
        match &self.kind {
            MergeActionKind::Nothing | MergeActionKind::Delete => {}
            MergeActionKind::Update(assignments) => {
                assignments.iter().for_each(|assignment| visit(&assignment.value));
            }
            MergeActionKind::Insert { values, defaults } => {
                values.iter().chain(defaults).for_each(|(_, value)| visit(value));
            }
        }
    }

    /// As [`Self::for_each_expr`], mutably.
    pub fn for_each_expr_mut<'r>(&'r mut self, visit: &mut dyn FnMut(&'r mut Expr)) {
        self.condition.iter_mut().for_each(&mut *visit);
        match &mut self.kind {
            MergeActionKind::Nothing | MergeActionKind::Delete => {}
            MergeActionKind::Update(assignments) => {
                assignments
                    .iter_mut()
                    .for_each(|assignment| visit(&mut assignment.value));
            }
            MergeActionKind::Insert { values, defaults } => {
                let values = values.iter_mut().chain(defaults);
                values.for_each(|(_, value)| visit(value));
            }
        }
    }
}

/// `column = value` of UPDATE or ON CONFLICT DO UPDATE.
///
/// A subscripted assignment (`doc['a'] = v`, `arr[2] = v`) is bound to a whole-column value: a call of the
/// subscript-assignment function over the old column. Lock derivation recognises that shape and jsonb_set's alike.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Position of the column.
    pub column: u16,
    /// Its new value, of the column's type.
    pub value: Expr,
}

/// ON CONFLICT.
#[derive(Clone, Debug)]
pub struct OnConflict {
    /// Ids of the unique indexes that arbitrate; empty (only with DO NOTHING) means all.
    pub arbiters: Vec<u32>,
    /// DO UPDATE; `None` is DO NOTHING.
    pub update: Option<ConflictUpdate>,
}

/// DO UPDATE SET … WHERE ….
#[derive(Clone, Debug)]
pub struct ConflictUpdate {
    /// Ids of the existing row's columns: (position, id).
    pub existing: Vec<(u16, ColumnId)>,
    /// Ids of `excluded`: (position, id).
    pub excluded: Vec<(u16, ColumnId)>,
    /// Assignments over both.
    pub assignments: Vec<Assignment>,
    /// WHERE over both.
    pub predicate: Option<Expr>,
}
