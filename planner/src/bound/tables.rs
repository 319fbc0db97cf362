//! Tables: which tables a statement was bound to, and in which version (DESIGN C8).

use super::visit::{for_each_expr, for_each_input, for_each_own_expr};
use super::{Expr, ExprKind, Rel};

/// The stored tables in a relation and below it, subqueries included, each once with the version it was bound in.
pub fn tables(rel: &Rel) -> Vec<(u32, u64)> {
    let mut found = Vec::new();
    of_rel(rel, &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

fn of_rel(rel: &Rel, found: &mut Vec<(u32, u64)>) {
    if let Rel::Scan(scan) = rel {
        found.push((scan.table.id, scan.table.version));
        let members = scan.members.iter().flat_map(|members| &members.tables);
        found.extend(members.map(|member| (member.id, member.version)));
    }
    if let Rel::Modify(modify) = rel {
        found.push((modify.table.id, modify.table.version));
    }
    for_each_own_expr(rel, &mut |expr| of_expr(expr, found));
    for_each_input(rel, &mut |input| of_rel(input, found));
}

fn of_expr(expr: &Expr, found: &mut Vec<(u32, u64)>) {
    for_each_expr(expr, &mut |expr| {
        if let ExprKind::Subquery(subquery) = &expr.kind {
            of_rel(&subquery.rel, found);
        }
    });
}
