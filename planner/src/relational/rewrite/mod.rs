//! Rewriting of bound relations before they are compiled: what PostgreSQL's planner does to the shape of a query.
//!
//! ```text
//!   constants are folded as PostgreSQL folds them
//!   inline    CTEs used once become part of their reader          unnest   EXISTS and IN become semi and anti joins
//!   push      conditions move to where their columns come from    order    inner joins are joined along their conditions
//! ```
//!
//! Invariants
//!  - R1 A condition moves only through relations that give the same rows with and without it: never below a LIMIT, an
//!    aggregate it does not group by, or the nullable side of an outer join.
//!  - R2 A volatile condition, and one with a subquery, is never copied and never moves into another query level.
//!  - R3 The set of columns a relation produces stays the same; only more may be computed, never fewer.
//!
//! PostgreSQL itself moves conditions that may raise errors down to scans and through joins; so do we, and just as far.

pub(crate) mod constants;
pub(crate) mod estimate;
pub(crate) mod fold;
pub(crate) mod inline;
mod order;
mod push;
mod unnest;

use crate::bound::{Expr, ExprKind, Rel};

/// Rewrites a relation and, inside of its expressions, every subquery.
pub fn optimise(rel: Rel) -> Rel {
    push::push(inline::inline_ctes(rel), Vec::new())
}

/// Rewrites the subqueries of an expression.
pub(crate) fn optimise_subqueries(expr: &mut Expr) {
    if let ExprKind::Subquery(subquery) = &mut expr.kind {
        let rel = std::mem::replace(&mut subquery.rel, Rel::OneRow);
        subquery.rel = optimise(rel);
    }
    crate::bound::visit::for_each_child_mut(expr, &mut optimise_subqueries);
}
