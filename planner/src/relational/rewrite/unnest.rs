//! EXISTS and IN as conditions of a filter become semi and anti joins.
//!
//! NOT IN stays what it is: a lookup in the set of the subquery's rows, which knows about NULLs.

use crate::bound::visit::for_each_expr;
use crate::bound::{Expr, ExprKind, JoinKind, OutputColumn, Rel, SubqueryKind};
use crate::relational::rewrite::fold::{conjunction, split_conjuncts};
use crate::relational::rewrite::inline::outer_columns;

/// A semi or anti join that stands for a condition.
pub(crate) struct Unnested {
    pub(crate) kind: JoinKind,
    pub(crate) right: Rel,
    pub(crate) on: Option<Expr>,
}

/// Turns a condition into a join, if it can be one; otherwise gives it back.
pub(crate) fn unnest(condition: Expr) -> Result<Unnested, Expr> {
    match as_join(&condition) {
        Some(join) => Ok(join),
        None => Err(condition),
    }
}

fn as_join(condition: &Expr) -> Option<Unnested> {
    let (kind, subquery) = match &condition.kind {
        ExprKind::Subquery(subquery) => (JoinKind::Semi, subquery),
        ExprKind::Not(operand) => match &operand.kind {
            ExprKind::Subquery(subquery) if matches!(subquery.kind, SubqueryKind::Exists) => (JoinKind::Anti, subquery),
            _ => return None,
        },
        _ => return None,
    };
    if subquery.rel.is_volatile() {
        return None;
    }
    let is_correlated = !outer_columns(&subquery.rel).is_empty();
    match &subquery.kind {
        // Without correlation it runs once, lazily, and stops at its first row: no join is cheaper.
        SubqueryKind::Exists if is_correlated => {
            let mut pulled = Vec::new();
            let right = pull(strip(subquery.rel.clone()), &mut pulled)?;
            let is_free = outer_columns(&right).is_empty();
            is_free.then(|| Unnested {
                kind,
                right,
                on: conjunction(pulled),
            })
        }
        SubqueryKind::Quantified { all: false, test } if !test.has_subquery() && !test.is_volatile() => {
            let mut on = split_conjuncts((**test).clone());
            if !is_correlated {
                return Some(Unnested {
                    kind,
                    right: subquery.rel.clone(),
                    on: conjunction(on),
                });
            }
            // Correlated by conditions below the select list only.
            let Rel::Project { input, columns } = &subquery.rel else {
                return None;
            };
            let mut pulled = Vec::new();
            let input = pull((**input).clone(), &mut pulled)?;
            let mut columns = columns.clone();
            carry(&input, &pulled, &mut columns);
            let right = Rel::Project {
                input: Box::new(input),
                columns,
            };
            on.extend(pulled);
            let is_free = outer_columns(&right).is_empty();
            is_free.then(|| Unnested {
                kind,
                right,
                on: conjunction(on),
            })
        }
        _ => None,
    }
}

/// Lets the columns that pulled conditions name through a projection.
fn carry(input: &Rel, pulled: &[Expr], columns: &mut Vec<(OutputColumn, Expr)>) {
    let produced = input.output_columns();
    for condition in pulled {
        for_each_expr(condition, &mut |expr| {
            let ExprKind::Column(column) = expr.kind else { return };
            if produced.contains(&column) && !columns.iter().any(|(output, _)| output.id == column) {
                let output = OutputColumn {
                    id: column,
                    name: String::new(),
                    ty: expr.ty,
                };
                columns.push((
                    output,
                    Expr {
                        kind: ExprKind::Column(column),
                        ty: expr.ty,
                        position: None,
                    },
                ));
            }
        });
    }
}

/// Drops what does not matter to EXISTS: the select list, ORDER BY and DISTINCT.
fn strip(rel: Rel) -> Rel {
    match rel {
        Rel::Project { input, .. } | Rel::Sort { input, .. } | Rel::Distinct { input, .. } => strip(*input),
        other => other,
    }
}

/// Takes conditions over outer columns out of filters and inner joins; `None` if that cannot be done.
fn pull(rel: Rel, pulled: &mut Vec<Expr>) -> Option<Rel> {
    match rel {
        Rel::Filter { input, predicate } => {
            let input = pull(*input, pulled)?;
            let kept = keep_local(vec![predicate], &input.output_columns(), pulled)?;
            Some(match conjunction(kept) {
                Some(predicate) => Rel::Filter {
                    input: Box::new(input),
                    predicate,
                },
                None => input,
            })
        }
        Rel::Join {
            kind: JoinKind::Inner | JoinKind::Cross,
            left,
            right,
            on,
            lateral: false,
        } => {
            let left = pull(*left, pulled)?;
            let right = pull(*right, pulled)?;
            let mut produced = left.output_columns();
            produced.extend(right.output_columns());
            let kept = keep_local(on.into_iter().collect(), &produced, pulled)?;
            let kind = if kept.is_empty() {
                JoinKind::Cross
            } else {
                JoinKind::Inner
            };
            Some(Rel::Join {
                kind,
                left: Box::new(left),
                right: Box::new(right),
                on: conjunction(kept),
                lateral: false,
            })
        }
        other => Some(other),
    }
}

/// Splits conditions into those over local columns, which are returned, and the others.
fn keep_local(conditions: Vec<Expr>, produced: &[crate::bound::ColumnId], pulled: &mut Vec<Expr>) -> Option<Vec<Expr>> {
    let mut kept = Vec::new();
    for conjunct in conditions.into_iter().flat_map(split_conjuncts) {
        // A nested subquery that takes columns of the outer query keeps the whole from being free: the caller sees that.
        if conjunct.has_subquery() || conjunct.columns().iter().all(|column| produced.contains(column)) {
            kept.push(conjunct);
        } else if conjunct.is_volatile() {
            return None;
        } else {
            pulled.push(conjunct);
        }
    }
    Some(kept)
}
