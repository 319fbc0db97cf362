//! Conditions taken apart and put together.

use ahash::AHashMap;

use crate::Type;
use crate::bound::visit::for_each_child_mut;
use crate::bound::{ColumnId, Expr, ExprKind, Rel};

/// The conjuncts of a condition, in order.
pub(crate) fn split_conjuncts(expr: Expr) -> Vec<Expr> {
    let mut conjuncts = Vec::new();
    split_into(expr, &mut conjuncts);
    conjuncts
}

fn split_into(expr: Expr, conjuncts: &mut Vec<Expr>) {
    match expr.kind {
        ExprKind::And(operands) => operands.into_iter().for_each(|operand| split_into(operand, conjuncts)),
        kind => conjuncts.push(Expr {
            kind,
            ty: expr.ty,
            position: expr.position,
        }),
    }
}

/// The conjunction of conditions; `None` for none.
pub(crate) fn conjunction(mut conjuncts: Vec<Expr>) -> Option<Expr> {
    match conjuncts.len() {
        0 => None,
        1 => conjuncts.pop(),
        _ => {
            let position = conjuncts[0].position;
            Some(Expr {
                kind: ExprKind::And(conjuncts),
                ty: Type::BOOL,
                position,
            })
        }
    }
}

/// The relation under conditions; those with subqueries come last, as PostgreSQL orders conditions by cost.
pub(crate) fn filtered(rel: Rel, conjuncts: Vec<Expr>) -> Rel {
    let (costly, mut cheap): (Vec<_>, Vec<_>) = conjuncts.into_iter().partition(Expr::has_subquery);
    cheap.extend(costly);
    match conjunction(cheap) {
        None => rel,
        Some(mut predicate) => {
            super::optimise_subqueries(&mut predicate);
            Rel::Filter {
                input: Box::new(rel),
                predicate,
            }
        }
    }
}

/// Replaces columns by expressions. The expression must not hold subqueries (R2).
pub(crate) fn substitute(expr: &mut Expr, map: &AHashMap<ColumnId, Expr>) {
    if let ExprKind::Column(column) = expr.kind {
        if let Some(replacement) = map.get(&column) {
            *expr = replacement.clone();
        }
        return;
    }
    for_each_child_mut(expr, &mut |child| substitute(child, map));
}
