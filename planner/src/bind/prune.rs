//! Prune: takes from scans what nobody uses, so that a document column that is not read is not decoded.

use std::collections::HashSet;

use super::join::PRESENCE;
use crate::bound::{ColumnId, Expr, ExprKind, Modify, ModifyKind, OutputColumn, Query, Rel, SubqueryKind, visit};

/// Removes unused columns, row keys and table oids from every scan of a query.
pub(super) fn prune(query: &mut Query) {
    let mut used: HashSet<ColumnId> = query.columns.iter().map(|column| column.id).collect();
    collect(&query.rel, &mut used);
    remove(&mut query.rel, &used);
}

fn collect_expr(expr: &Expr, used: &mut HashSet<ColumnId>) {
    match &expr.kind {
        ExprKind::Column(id) => {
            used.insert(*id);
        }
        ExprKind::Grouping(ids) => used.extend(ids),
        ExprKind::Subquery(subquery) => {
            // EXISTS looks at no column.
            if !matches!(subquery.kind, SubqueryKind::Exists) {
                used.extend(&subquery.columns);
            }
            collect(&subquery.rel, used);
        }
        _ => {}
    }
    visit::for_each_child(expr, &mut |child| collect_expr(child, used));
}

fn collect(rel: &Rel, used: &mut HashSet<ColumnId>) {
    visit::for_each_own_expr(rel, &mut |expr| collect_expr(expr, used));
    match rel {
        Rel::SetOperation {
            left_columns,
            right_columns,
            ..
        } => {
            used.extend(left_columns);
            used.extend(right_columns);
        }
        Rel::With { ctes, .. } => {
            for cte in ctes {
                used.extend(cte.columns.iter().map(|column| column.id));
                used.extend(cte.recursive.iter().flat_map(|term| &term.columns));
            }
        }
        Rel::LockRows { locks, .. } => {
            used.extend(locks.iter().map(|lock| lock.row_key));
            used.extend(locks.iter().filter_map(|lock| lock.table_oid));
        }
        Rel::Modify(modify) => collect_modify(modify, used),
        _ => {}
    }
    visit::for_each_input(rel, &mut |input| collect(input, used));
}

fn collect_modify(modify: &Modify, used: &mut HashSet<ColumnId>) {
    match &modify.kind {
        ModifyKind::Insert { source, .. } => used.extend(source.columns.iter().map(|column| column.id)),
        ModifyKind::Update { row_key, .. } | ModifyKind::Delete { row_key, .. } | ModifyKind::Merge { row_key, .. } => {
            used.insert(*row_key);
        }
    }
    used.extend(modify.source_oid);
}

fn remove(rel: &mut Rel, used: &HashSet<ColumnId>) {
    match rel {
        Rel::Scan(scan) | Rel::SystemScan(scan) => {
            scan.columns.retain(|(column, _)| used.contains(&column.id));
            scan.row_key = scan.row_key.filter(|key| used.contains(key));
            scan.table_oid = scan.table_oid.filter(|id| used.contains(id));
        }
        Rel::Project { input, columns } => {
            let count = columns.len();
            columns.retain(|(column, _)| column.name != PRESENCE || used.contains(&column.id));
            let passes =
                |(column, value): &(OutputColumn, Expr)| matches!(value.kind, ExprKind::Column(id) if id == column.id);
            if columns.len() < count && columns.iter().all(passes) {
                let inner = std::mem::replace(&mut **input, Rel::OneRow);
                *rel = inner;
                return remove(rel, used);
            }
        }
        Rel::Modify(modify) => {
            modify.table_oid = modify.table_oid.filter(|id| used.contains(id));
            if let ModifyKind::Update { old_columns, .. }
            | ModifyKind::Delete { old_columns, .. }
            | ModifyKind::Merge { old_columns, .. } = &mut modify.kind
            {
                old_columns.retain(|(_, id)| used.contains(id));
            }
        }
        _ => {}
    }
    visit::for_each_own_expr_mut(rel, &mut |expr| remove_in_expr(expr, used));
    visit::for_each_input_mut(rel, &mut |input| remove(input, used));
}

fn remove_in_expr(expr: &mut Expr, used: &HashSet<ColumnId>) {
    if let ExprKind::Subquery(subquery) = &mut expr.kind {
        remove(&mut subquery.rel, used);
    }
    visit::for_each_child_mut(expr, &mut |child| remove_in_expr(child, used));
}
