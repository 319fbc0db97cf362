//! Conditions move down to where their columns come from.

use ahash::{AHashMap, AHashSet};

use crate::bound::{ColumnId, Expr, ExprKind, JoinKind, Rel};
use crate::relational::rewrite::fold::{conjunction, filtered, split_conjuncts, substitute};
use crate::relational::rewrite::optimise_subqueries;
use crate::relational::rewrite::order::join_graph;
use crate::relational::rewrite::unnest::{Unnested, unnest};

/// Rewrites a relation so that it gives only the rows for which `conjuncts` hold.
pub(crate) fn push(rel: Rel, conjuncts: Vec<Expr>) -> Rel {
    match rel {
        Rel::Filter { input, predicate } => filter(*input, predicate, conjuncts),
        Rel::Join {
            kind: JoinKind::Inner | JoinKind::Cross,
            ..
        } => join_graph(rel, conjuncts),
        Rel::Join {
            kind,
            left,
            right,
            on,
            lateral,
        } => outer_join(kind, *left, *right, on, lateral, conjuncts),
        Rel::Project { input, mut columns } => {
            columns.iter_mut().for_each(|(_, value)| optimise_subqueries(value));
            let is_fixed = |value: &Expr| value.is_volatile() || value.has_subquery();
            let fixed: AHashSet<ColumnId> = columns
                .iter()
                .filter(|(_, value)| is_fixed(value))
                .map(|(column, _)| column.id)
                .collect();
            let map = columns
                .iter()
                .map(|(column, value)| (column.id, value.clone()))
                .collect();
            let (pushed, kept) = conjuncts
                .into_iter()
                .partition(|conjunct| is_movable(conjunct) && conjunct.columns().is_disjoint(&fixed));
            let input = Box::new(push(*input, substituted(pushed, &map)));
            filtered(Rel::Project { input, columns }, kept)
        }
        Rel::Aggregate { .. } => aggregate(rel, conjuncts),
        Rel::Window { input, calls } => {
            let input = Box::new(push(*input, Vec::new()));
            filtered(Rel::Window { input, calls }, conjuncts)
        }
        Rel::ProjectSet { input, mut calls } => {
            calls
                .iter_mut()
                .flat_map(|(call, _)| &mut call.args)
                .for_each(optimise_subqueries);
            let input = Box::new(push(*input, Vec::new()));
            filtered(Rel::ProjectSet { input, calls }, conjuncts)
        }
        Rel::Sort { input, mut keys } => {
            keys.iter_mut().for_each(|key| optimise_subqueries(&mut key.expr));
            let (pushed, kept) = conjuncts.into_iter().partition(is_movable);
            let input = Box::new(push(*input, pushed));
            filtered(Rel::Sort { input, keys }, kept)
        }
        Rel::Limit {
            input,
            mut limit,
            mut offset,
            with_ties,
        } => {
            limit.iter_mut().chain(&mut offset).for_each(optimise_subqueries);
            let input = Box::new(push(*input, Vec::new()));
            filtered(
                Rel::Limit {
                    input,
                    limit,
                    offset,
                    with_ties,
                },
                conjuncts,
            )
        }
        Rel::Distinct { input, on } => {
            let (pushed, kept) = conjuncts
                .into_iter()
                .partition(|conjunct| on.is_none() && is_movable(conjunct));
            let input = Box::new(push(*input, pushed));
            filtered(Rel::Distinct { input, on }, kept)
        }
        Rel::SetOperation {
            kind,
            all,
            left,
            left_columns,
            right,
            right_columns,
            columns,
        } => {
            let (pushed, kept) = conjuncts.into_iter().partition::<Vec<_>, _>(is_movable);
            // Filtering the right side of EXCEPT, too, changes nothing: what it removes could not be on the left.
            let arm = |rel: Rel, sources: &[ColumnId]| {
                let column = |source: &ColumnId, ty| Expr {
                    kind: ExprKind::Column(*source),
                    ty,
                    position: None,
                };
                let map = columns
                    .iter()
                    .zip(sources)
                    .map(|(output, source)| (output.id, column(source, output.ty)));
                Box::new(push(rel, substituted(pushed.clone(), &map.collect())))
            };
            let (left, right) = (arm(*left, &left_columns), arm(*right, &right_columns));
            filtered(
                Rel::SetOperation {
                    kind,
                    all,
                    left,
                    left_columns,
                    right,
                    right_columns,
                    columns,
                },
                kept,
            )
        }
        Rel::With { mut ctes, body } => {
            for cte in &mut ctes {
                let rel = std::mem::replace(&mut cte.rel, Rel::OneRow);
                cte.rel = push(rel, Vec::new());
                if let Some(recursive) = &mut cte.recursive {
                    let rel = std::mem::replace(&mut recursive.rel, Rel::OneRow);
                    recursive.rel = push(rel, Vec::new());
                }
            }
            Rel::With {
                ctes,
                body: Box::new(push(*body, conjuncts)),
            }
        }
        Rel::LockRows { input, locks } => {
            let input = Box::new(push(*input, Vec::new()));
            filtered(Rel::LockRows { input, locks }, conjuncts)
        }
        Rel::Values { mut rows, columns } => {
            rows.iter_mut().flatten().for_each(optimise_subqueries);
            filtered(Rel::Values { rows, columns }, conjuncts)
        }
        Rel::FunctionScan { mut calls, ordinality } => {
            calls
                .iter_mut()
                .flat_map(|(call, _)| &mut call.args)
                .for_each(optimise_subqueries);
            filtered(Rel::FunctionScan { calls, ordinality }, conjuncts)
        }
        leaf @ (Rel::OneRow | Rel::Scan(_) | Rel::SystemScan(_) | Rel::CteRef { .. } | Rel::Modify(_)) => {
            filtered(leaf, conjuncts)
        }
    }
}

/// Whether a condition may move into another query level (R2).
fn is_movable(conjunct: &Expr) -> bool {
    !conjunct.has_subquery() && !conjunct.is_volatile()
}

fn substituted(mut conjuncts: Vec<Expr>, map: &AHashMap<ColumnId, Expr>) -> Vec<Expr> {
    conjuncts.iter_mut().for_each(|conjunct| substitute(conjunct, map));
    conjuncts
}

/// The columns of a relation as a set.
pub(crate) fn produced_by(rel: &Rel) -> AHashSet<ColumnId> {
    rel.output_columns().into_iter().collect()
}

fn filter(input: Rel, predicate: Expr, conjuncts: Vec<Expr>) -> Rel {
    let own = split_conjuncts(predicate);
    // Inner joins look at all conditions at once, those that become joins included.
    if matches!(
        input,
        Rel::Join {
            kind: JoinKind::Inner | JoinKind::Cross,
            ..
        } | Rel::Filter { .. }
    ) {
        return push(input, own.into_iter().chain(conjuncts).collect());
    }
    let (mut joins, mut rest) = (Vec::new(), Vec::new());
    for conjunct in own.into_iter().chain(conjuncts) {
        match unnest(conjunct) {
            Ok(join) => joins.push(join),
            Err(conjunct) => rest.push(conjunct),
        }
    }
    existence_joins(push(input, rest), joins)
}

/// Semi and anti joins over a relation, each condition spread over the sides.
pub(crate) fn existence_joins(mut rel: Rel, joins: Vec<Unnested>) -> Rel {
    for Unnested { kind, right, on } in joins {
        let left_columns = produced_by(&rel);
        let (right_only, on) = on
            .into_iter()
            .flat_map(split_conjuncts)
            .partition::<Vec<_>, _>(|conjunct| {
                !conjunct.has_subquery() && conjunct.columns().is_disjoint(&left_columns)
            });
        let right = Box::new(push(right, right_only));
        rel = Rel::Join {
            kind,
            left: Box::new(rel),
            right,
            on: conjunction(on),
            lateral: false,
        };
    }
    rel
}

fn aggregate(rel: Rel, conjuncts: Vec<Expr>) -> Rel {
    let Rel::Aggregate {
        input,
        mut groups,
        sets,
        mut aggregates,
        groupings,
    } = rel
    else {
        return rel;
    };
    groups.iter_mut().for_each(|(_, value)| optimise_subqueries(value));
    for (_, call) in &mut aggregates {
        call.args
            .iter_mut()
            .chain(&mut call.filter)
            .for_each(optimise_subqueries);
    }
    // HAVING over group columns alone filters whole groups: it may as well filter their rows.
    let is_plain = sets.len() == 1 && sets[0].len() == groups.len();
    let map: AHashMap<ColumnId, Expr> = groups
        .iter()
        .filter(|(_, value)| is_plain && is_movable(value))
        .map(|(column, value)| (column.id, value.clone()))
        .collect();
    let outputs: AHashSet<ColumnId> = groups
        .iter()
        .map(|(column, _)| column.id)
        .chain(aggregates.iter().map(|(column, _)| column.id))
        .collect();
    let (pushed, kept) = conjuncts.into_iter().partition(|conjunct| {
        let columns = conjunct.columns();
        is_movable(conjunct)
            && columns.iter().any(|column| map.contains_key(column))
            && columns
                .iter()
                .all(|column| map.contains_key(column) || !outputs.contains(column))
    });
    let input = Box::new(push(*input, substituted(pushed, &map)));
    filtered(
        Rel::Aggregate {
            input,
            groups,
            sets,
            aggregates,
            groupings,
        },
        kept,
    )
}

fn outer_join(kind: JoinKind, left: Rel, right: Rel, on: Option<Expr>, lateral: bool, conjuncts: Vec<Expr>) -> Rel {
    // A right join is a left join with its sides exchanged.
    if kind == JoinKind::Right && !lateral {
        return outer_join(JoinKind::Left, right, left, on, false, conjuncts);
    }
    let (left_columns, right_columns) = (produced_by(&left), produced_by(&right));
    // A condition that no row with NULLs for the right side satisfies makes an inner join of a left join.
    if kind == JoinKind::Left && conjuncts.iter().any(|conjunct| rejects_nulls(conjunct, &right_columns)) {
        let join = Rel::Join {
            kind: JoinKind::Inner,
            left: Box::new(left),
            right: Box::new(right),
            on,
            lateral,
        };
        return push(join, conjuncts);
    }
    let keeps_left = matches!(kind, JoinKind::Left | JoinKind::Semi | JoinKind::Anti);
    let (to_left, above) = conjuncts.into_iter().partition::<Vec<_>, _>(|conjunct| {
        keeps_left && !conjunct.has_subquery() && conjunct.columns().is_disjoint(&right_columns)
    });
    let (to_right, mut on) = on
        .into_iter()
        .flat_map(split_conjuncts)
        .partition::<Vec<_>, _>(|conjunct| {
            keeps_left && !conjunct.has_subquery() && conjunct.columns().is_disjoint(&left_columns)
        });
    on.iter_mut().for_each(optimise_subqueries);
    let left = Box::new(push(left, to_left));
    let right = Box::new(push(right, to_right));
    let join = Rel::Join {
        kind,
        left,
        right,
        on: conjunction(on),
        lateral,
    };
    let (mut joins, mut rest) = (Vec::new(), Vec::new());
    for conjunct in above {
        match unnest(conjunct) {
            Ok(join) => joins.push(join),
            Err(conjunct) => rest.push(conjunct),
        }
    }
    existence_joins(filtered(join, rest), joins)
}

/// Whether a condition is not true of any row in which all of `columns` are NULL.
fn rejects_nulls(conjunct: &Expr, columns: &AHashSet<ColumnId>) -> bool {
    match &conjunct.kind {
        ExprKind::Call { .. } | ExprKind::Column(_) => is_null_of(conjunct, columns),
        ExprKind::IsNotNull(operand) => is_null_of(operand, columns),
        ExprKind::And(operands) => operands.iter().any(|operand| rejects_nulls(operand, columns)),
        ExprKind::Or(operands) => operands.iter().all(|operand| rejects_nulls(operand, columns)),
        _ => false,
    }
}

/// Whether an expression is NULL of any row in which all of `columns` are NULL.
fn is_null_of(expr: &Expr, columns: &AHashSet<ColumnId>) -> bool {
    match &expr.kind {
        ExprKind::Column(column) => columns.contains(column),
        ExprKind::Call { function, args } => function.strict && args.iter().any(|arg| is_null_of(arg, columns)),
        ExprKind::ConvertIo(base) | ExprKind::Coerce { base, .. } => is_null_of(base, columns),
        _ => false,
    }
}
