//! Columns: which ones bound trees name and produce, and what else is asked of whole trees.

use ahash::AHashSet;

use super::visit::{for_each_child, for_each_expr, for_each_input, for_each_own_expr};
use super::{ColumnId, Expr, ExprKind, FunctionCall, Rel};
use crate::functions::Volatility;

/// Calls `visit` with every column an expression names, those inside of its subqueries included (a subquery's own columns
/// too: ids are unique in the statement, so they never meet another relation's).
pub fn for_each_column(expr: &Expr, visit: &mut dyn FnMut(ColumnId)) {
    match &expr.kind {
        ExprKind::Column(column) => visit(*column),
        ExprKind::Grouping(columns) => columns.iter().copied().for_each(&mut *visit),
        ExprKind::Subquery(subquery) => for_each_column_of_rel(&subquery.rel, visit),
        _ => {}
    }
    for_each_child(expr, &mut |child| for_each_column(child, visit));
}

/// Calls `visit` with every column that any expression of a relation names.
pub fn for_each_column_of_rel(rel: &Rel, visit: &mut dyn FnMut(ColumnId)) {
    for_each_own_expr(rel, &mut |expr| for_each_column(expr, visit));
    match rel {
        Rel::SetOperation {
            left_columns,
            right_columns,
            ..
        } => {
            left_columns.iter().chain(right_columns).copied().for_each(&mut *visit);
        }
        Rel::LockRows { locks, .. } => locks
            .iter()
            .flat_map(|lock| [lock.row_key].into_iter().chain(lock.table_oid))
            .for_each(&mut *visit),
        Rel::With { ctes, .. } => {
            for cte in ctes {
                if let Some(recursive) = &cte.recursive {
                    recursive.columns.iter().copied().for_each(&mut *visit);
                }
            }
        }
        _ => {}
    }
    for_each_input(rel, &mut |input| for_each_column_of_rel(input, visit));
}

impl Expr {
    /// The columns it names, those inside of its subqueries included.
    pub fn columns(&self) -> AHashSet<ColumnId> {
        let mut columns = AHashSet::new();
        for_each_column(self, &mut |column| {
            columns.insert(column);
        });
        columns
    }

    /// Whether it holds a subquery.
    pub fn has_subquery(&self) -> bool {
        let mut found = false;
        for_each_expr(self, &mut |expr| found |= matches!(expr.kind, ExprKind::Subquery(_)));
        found
    }

    /// Whether it calls a volatile function, in a subquery or outside.
    pub fn is_volatile(&self) -> bool {
        let mut found = false;
        for_each_expr(self, &mut |expr| match &expr.kind {
            ExprKind::Call { function, .. } => found |= function.volatility == Volatility::Volatile,
            ExprKind::Subquery(subquery) => found |= subquery.rel.is_volatile(),
            _ => {}
        });
        found
    }
}

impl Rel {
    /// The columns it produces, in order.
    pub fn output_columns(&self) -> Vec<ColumnId> {
        match self {
            Rel::OneRow => Vec::new(),
            Rel::Scan(scan) | Rel::SystemScan(scan) => {
                let columns = scan.columns.iter().map(|(column, _)| column.id);
                columns.chain(scan.row_key).chain(scan.table_oid).collect()
            }
            Rel::Values { columns, .. } | Rel::CteRef { columns, .. } | Rel::SetOperation { columns, .. } => {
                columns.iter().map(|column| column.id).collect()
            }
            Rel::FunctionScan { calls, ordinality } => {
                let columns = calls.iter().flat_map(|(_, columns)| columns).chain(ordinality);
                columns.map(|column| column.id).collect()
            }
            Rel::Filter { input, .. }
            | Rel::Sort { input, .. }
            | Rel::Limit { input, .. }
            | Rel::Distinct { input, .. }
            | Rel::LockRows { input, .. } => input.output_columns(),
            Rel::Project { columns, .. } => columns.iter().map(|(column, _)| column.id).collect(),
            Rel::ProjectSet { input, calls } => {
                let mut columns = input.output_columns();
                columns.extend(calls.iter().map(|(_, column)| column.id));
                columns
            }
            Rel::Join { kind, left, right, .. } => {
                let mut columns = left.output_columns();
                if !matches!(kind, crate::bound::JoinKind::Semi | crate::bound::JoinKind::Anti) {
                    columns.extend(right.output_columns());
                }
                columns
            }
            Rel::Aggregate {
                groups,
                aggregates,
                groupings,
                ..
            } => {
                let groups = groups.iter().map(|(column, _)| column.id);
                let aggregates = aggregates.iter().map(|(column, _)| column.id);
                groups
                    .chain(aggregates)
                    .chain(groupings.iter().map(|(column, _)| column.id))
                    .collect()
            }
            Rel::Window { input, calls } => {
                let mut columns = input.output_columns();
                columns.extend(calls.iter().map(|(column, _)| column.id));
                columns
            }
            Rel::With { body, .. } => body.output_columns(),
            Rel::Modify(modify) => modify.returned().iter().map(|(column, _)| column.id).collect(),
        }
    }

    /// Whether any expression in it calls a volatile function, or it modifies data.
    pub fn is_volatile(&self) -> bool {
        let mut found = matches!(self, Rel::Modify(_) | Rel::LockRows { .. });
        for_each_own_expr(self, &mut |expr| found |= expr.is_volatile());
        let mut call = |call: &FunctionCall| found |= call.function.volatility == Volatility::Volatile;
        match self {
            Rel::FunctionScan { calls, .. } => calls.iter().for_each(|(function, _)| call(function)),
            Rel::ProjectSet { calls, .. } => calls.iter().for_each(|(function, _)| call(function)),
            _ => {}
        }
        for_each_input(self, &mut |input| found |= input.is_volatile());
        found
    }
}
