//! Rough row counts, without statistics: enough to tell a lookup from a scan.

use crate::bound::{Comparison, Expr, ExprKind, JoinKind, Rel};
use crate::catalog::{IndexSource, Relation};
use crate::eval::compile::plain_comparison;

/// Rows of a table nobody knows anything about.
const UNKNOWN_ROWS: f64 = 1000.0;

/// Rows that a table is thought to hold.
pub(crate) fn rows_of_table(_table: &Relation) -> f64 {
    UNKNOWN_ROWS
}

/// Rows a relation is thought to give.
pub(crate) fn estimate(rel: &Rel) -> f64 {
    match rel {
        Rel::OneRow => 1.0,
        Rel::Scan(_) | Rel::SystemScan(_) | Rel::CteRef { .. } | Rel::Modify(_) => UNKNOWN_ROWS,
        Rel::Values { rows, .. } => rows.len() as f64,
        Rel::FunctionScan { .. } => 100.0,
        Rel::Filter { input, predicate } => {
            let conjuncts = match &predicate.kind {
                ExprKind::And(operands) => operands.as_slice(),
                _ => std::slice::from_ref(predicate),
            };
            let selectivity: f64 = conjuncts.iter().map(|conjunct| selectivity(conjunct, input)).product();
            (estimate(input) * selectivity).max(1.0)
        }
        Rel::Join {
            kind: JoinKind::Semi | JoinKind::Anti,
            left,
            ..
        } => estimate(left) / 2.0,
        Rel::Join { left, right, on, .. } => match on {
            Some(_) => estimate(left).max(estimate(right)),
            None => estimate(left) * estimate(right),
        },
        Rel::Aggregate { input, groups, .. } if !groups.is_empty() => (estimate(input) / 5.0).max(1.0),
        Rel::Aggregate { .. } => 1.0,
        Rel::Limit { input, limit, .. } => {
            let limit = limit.as_ref().and_then(|limit| match &limit.kind {
                ExprKind::Literal(value) => value.as_i64(),
                _ => None,
            });
            limit.map_or(f64::INFINITY, |limit| limit as f64).min(estimate(input))
        }
        Rel::SetOperation { left, right, .. } => estimate(left) + estimate(right),
        Rel::With { body, .. } => estimate(body),
        Rel::Project { input, .. }
        | Rel::ProjectSet { input, .. }
        | Rel::Window { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Distinct { input, .. }
        | Rel::LockRows { input, .. } => estimate(input),
    }
}

fn selectivity(conjunct: &Expr, input: &Rel) -> f64 {
    match &conjunct.kind {
        ExprKind::Call { function, args } if args.len() == 2 => match plain_comparison(function) {
            Some(Comparison::Equal) if args.iter().any(|arg| is_unique_column(arg, input)) => 1.0 / UNKNOWN_ROWS,
            Some(Comparison::Equal) => 0.01,
            Some(_) => 0.33,
            None => 0.5,
        },
        ExprKind::ArrayCompare { .. } => 0.05,
        _ => 0.5,
    }
}

/// Whether an expression is a column of a scan that a unique index is over alone.
fn is_unique_column(expr: &Expr, input: &Rel) -> bool {
    let (ExprKind::Column(column), Rel::Scan(scan)) = (&expr.kind, input) else {
        return false;
    };
    let Some((_, position)) = scan.columns.iter().find(|(output, _)| output.id == *column) else {
        return false;
    };
    scan.table.indexes.iter().any(|index| match index.keys.as_slice() {
        [key] => {
            index.unique
                && index.predicate.is_none()
                && matches!(key.source, IndexSource::Column(column) if column == *position)
        }
        _ => false,
    })
}
