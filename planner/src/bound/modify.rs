//! Bound INSERT, UPDATE and DELETE.

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
    /// Ids under which CHECK, generated columns, RETURNING, ON CONFLICT and index expressions see the target row's
    /// columns: for each live column (position, id).
    pub row_columns: Vec<(u16, ColumnId)>,
    /// Column id under which RETURNING sees `tableoid`, if used.
    pub table_oid: Option<ColumnId>,
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
