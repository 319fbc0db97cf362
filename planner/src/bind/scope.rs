//! Scope: the names one query level sees, and what its expressions ask of it (aggregates, windows, set-returning calls).
//!
//! A FROM clause makes a list of items. A join adds an item for itself that owns the column names (merged ones first), and
//! leaves its inputs in the list for qualified names only. While FROM is being read its items are visible to LATERAL only.

use std::sync::Arc;

use sqlparser::ast as sql;

use crate::Type;
use crate::bound::{AggregateCall, ColumnId, Expr, FunctionCall, OutputColumn, RelationRef, Scan, WindowCall};

use super::context::Context;

/// A query level.
#[derive(Default)]
pub(super) struct Scope {
    /// What FROM made visible.
    pub items: Vec<Item>,
    /// Clause being bound.
    pub context: Context,
    /// LATERAL: items still being joined may be referred to.
    pub lateral_active: bool,
    /// Aggregates of this level, each with the column that stands for it.
    pub aggregates: Vec<(OutputColumn, AggregateCall)>,
    /// GROUPING(…) of this level: its column, the arguments, the position.
    pub groupings: Vec<(OutputColumn, Vec<Expr>, Option<u32>)>,
    /// Window functions of this level.
    pub windows: Vec<(OutputColumn, WindowCall)>,
    /// WINDOW clause.
    pub named_windows: Vec<NamedWindow>,
    /// Set-returning functions of the select list: depth of nesting, call, column.
    pub sets: Vec<(usize, FunctionCall, OutputColumn)>,
    /// Inside the arguments of an aggregate of this level.
    pub in_aggregate: bool,
    /// Inside a window function's arguments or definition of this level.
    pub in_window: bool,
    /// A construct in which set-returning functions may not stand (CASE, COALESCE, an aggregate's arguments).
    pub no_sets: Option<&'static str>,
    /// Tables scanned at this level that FOR UPDATE may name, and the relation their rows come from.
    pub lockable: Vec<Lockable>,
}

/// A window of the WINDOW clause, bound when a function uses it.
#[derive(Clone)]
pub(super) struct NamedWindow {
    pub name: String,
    pub spec: sql::WindowSpec,
}

/// A FROM item that FOR UPDATE can lock.
#[derive(Clone)]
pub(super) struct Lockable {
    pub alias: String,
    pub target: LockTarget,
}

/// A scan whose rows can be locked.
#[derive(Clone)]
pub(super) struct LockedScan {
    pub table: RelationRef,
    /// Column with a row's key.
    pub row_key: ColumnId,
    /// Column with the oid of a row's table, if the scan reads several.
    pub table_oid: Option<ColumnId>,
}

impl LockedScan {
    pub(super) fn of(scan: &Scan) -> Option<LockedScan> {
        Some(LockedScan {
            table: scan.table.clone(),
            row_key: scan.row_key?,
            table_oid: scan.table_oid.filter(|_| scan.members.is_some()),
        })
    }
}

/// What FOR UPDATE finds behind a name.
#[derive(Clone)]
pub(super) enum LockTarget {
    /// A table's scan.
    Table(LockedScan),
    /// A subquery with scans of its own.
    Subquery(Vec<LockedScan>),
    /// Something that cannot be locked, as the message names it.
    Other(&'static str),
}

impl LockTarget {
    /// The scans behind it.
    pub(super) fn scans(&self) -> &[LockedScan] {
        match self {
            LockTarget::Table(scan) => std::slice::from_ref(scan),
            LockTarget::Subquery(scans) => scans,
            LockTarget::Other(_) => &[],
        }
    }
}

/// Something a FROM clause makes visible.
#[derive(Clone)]
pub(super) struct Item {
    /// Alias or table name; `None` for an unnamed join.
    pub name: Option<Arc<str>>,
    /// The table, if it is one; with its schema's name when it was not given an alias.
    pub relation: Option<RelationRef>,
    /// Schema a qualified name may use.
    pub schema: Option<String>,
    /// Columns in order.
    pub columns: Vec<ItemColumn>,
    /// Qualified names see it.
    pub relation_visible: bool,
    /// Unqualified names see its columns.
    pub columns_visible: bool,
    /// Still being joined: only LATERAL may refer to it …
    pub lateral_only: bool,
    /// … unless the join's kind forbids that.
    pub lateral_ok: bool,
    /// The table an UPDATE or DELETE changes, which its FROM cannot refer to.
    pub is_target: bool,
    /// On the side of an outer join that may have no row.
    pub nullable: bool,
    /// A join: its columns are those of its inputs.
    pub is_join: bool,
    /// The single column of a scalar function in FROM stands for the whole row.
    pub is_scalar_function: bool,
    /// Row key of a scan of a table, for ctid and row locks.
    pub row_key: Option<ColumnId>,
    /// Column that is NULL where an outer join found no row of a subquery.
    pub presence: Option<ColumnId>,
    /// Column of the table's oid, if it was asked for.
    pub table_oid: Option<ColumnId>,
    /// Row type of a whole-row reference.
    pub row_type: Type,
}

/// A column of an [`Item`].
#[derive(Clone)]
pub(super) struct ItemColumn {
    pub name: Arc<str>,
    pub expr: Expr,
}

impl Item {
    /// An item that is visible in every way.
    pub(super) fn new(name: Option<&str>, columns: Vec<ItemColumn>) -> Self {
        Self {
            name: name.map(Into::into),
            relation: None,
            schema: None,
            columns,
            relation_visible: name.is_some(),
            columns_visible: true,
            lateral_only: false,
            lateral_ok: true,
            is_target: false,
            nullable: false,
            is_join: false,
            is_scalar_function: false,
            row_key: None,
            presence: None,
            table_oid: None,
            row_type: Type::RECORD,
        }
    }

    /// Takes the item out of sight; messages still know of it.
    pub(super) fn hide(&mut self) {
        self.relation_visible = false;
        self.columns_visible = false;
    }
}
