//! Join order: inner joins become a graph of relations and conditions, and are joined along the conditions, small first.

use ahash::AHashSet;

use crate::bound::{ColumnId, Comparison, Expr, ExprKind, JoinKind, Rel};
use crate::eval::compile::plain_comparison;
use crate::relational::rewrite::estimate::estimate;
use crate::relational::rewrite::fold::{conjunction, filtered, split_conjuncts};
use crate::relational::rewrite::inline::outer_columns;
use crate::relational::rewrite::push::{existence_joins, produced_by, push};
use crate::relational::rewrite::unnest::unnest;

struct Leaf {
    rel: Rel,
    columns: AHashSet<ColumnId>,
    /// Columns of other leaves that it uses (LATERAL).
    requires: AHashSet<ColumnId>,
    rows: f64,
}

struct Edge {
    condition: Expr,
    /// Columns of the graph that it names.
    columns: AHashSet<ColumnId>,
    is_equality: bool,
}

/// Rewrites a tree of inner joins under conditions.
pub(crate) fn join_graph(rel: Rel, conjuncts: Vec<Expr>) -> Rel {
    let (mut inputs, mut conditions) = (Vec::new(), Vec::new());
    flatten(rel, &mut inputs, &mut conditions);
    conditions.extend(conjuncts);
    let mut leaves: Vec<(Rel, AHashSet<ColumnId>, Vec<Expr>)> = inputs
        .into_iter()
        .map(|rel| {
            let columns = produced_by(&rel);
            (rel, columns, Vec::new())
        })
        .collect();
    let all: AHashSet<ColumnId> = leaves.iter().flat_map(|(_, columns, _)| columns).copied().collect();
    let (mut edges, mut above, mut joins) = (Vec::new(), Vec::new(), Vec::new());
    for condition in conditions {
        let condition = match unnest(condition) {
            Ok(join) => {
                joins.push(join);
                continue;
            }
            Err(condition) => condition,
        };
        let columns: AHashSet<ColumnId> = condition.columns().intersection(&all).copied().collect();
        let has_subquery = condition.has_subquery();
        match leaves.iter_mut().find(|(_, produced, _)| columns.is_subset(produced)) {
            // A subquery is run for as few rows as possible: after the joins, unless one input has all it needs.
            Some((_, _, own)) if !has_subquery || !columns.is_empty() => own.push(condition),
            _ if has_subquery => above.push(condition),
            _ => edges.push(Edge {
                is_equality: is_equality(&condition),
                condition,
                columns,
            }),
        }
    }
    let leaves = leaves.into_iter().map(|(rel, columns, own)| {
        let requires = outer_columns(&rel)
            .into_iter()
            .filter(|column| all.contains(column))
            .collect();
        let rel = push(rel, own);
        Leaf {
            rows: estimate(&rel),
            rel,
            columns,
            requires,
        }
    });
    let rel = arrange(leaves.collect(), edges);
    filtered(existence_joins(rel, joins), above)
}

fn flatten(rel: Rel, inputs: &mut Vec<Rel>, conditions: &mut Vec<Expr>) {
    match rel {
        Rel::Join {
            kind: JoinKind::Inner | JoinKind::Cross,
            left,
            right,
            on,
            ..
        } => {
            flatten(*left, inputs, conditions);
            flatten(*right, inputs, conditions);
            conditions.extend(on.into_iter().flat_map(split_conjuncts));
        }
        Rel::Filter { input, predicate }
            if matches!(
                *input,
                Rel::Join {
                    kind: JoinKind::Inner | JoinKind::Cross,
                    ..
                }
            ) =>
        {
            flatten(*input, inputs, conditions);
            conditions.extend(split_conjuncts(predicate));
        }
        leaf => inputs.push(leaf),
    }
}

fn is_equality(condition: &Expr) -> bool {
    match &condition.kind {
        ExprKind::Call { function, args } => args.len() == 2 && plain_comparison(function) == Some(Comparison::Equal),
        _ => false,
    }
}

/// Joins everything: each component of the graph along its conditions, and the components with each other.
fn arrange(leaves: Vec<Leaf>, mut edges: Vec<Edge>) -> Rel {
    let mut parts: Vec<(Rel, f64)> = components(leaves, &edges)
        .into_iter()
        .map(|members| chain(members, &mut edges))
        .collect();
    // The larger part stands on the left, where rows stream; the smaller ones are kept in memory.
    parts.sort_by(|left, right| right.1.total_cmp(&left.1));
    let joined = parts.into_iter().map(|(rel, _)| rel).reduce(|left, right| Rel::Join {
        kind: JoinKind::Cross,
        left: Box::new(left),
        right: Box::new(right),
        on: None,
        lateral: false,
    });
    let rest = edges.into_iter().map(|edge| edge.condition).collect();
    filtered(joined.unwrap_or(Rel::OneRow), rest)
}

/// The connected parts of the graph.
fn components(leaves: Vec<Leaf>, edges: &[Edge]) -> Vec<Vec<Leaf>> {
    let mut component: Vec<usize> = (0..leaves.len()).collect();
    let mut connect = |members: &[usize]| {
        let Some((first, rest)) = members.split_first() else {
            return;
        };
        for other in rest {
            let (from, to) = (component[*other], component[*first]);
            component
                .iter_mut()
                .filter(|number| **number == from)
                .for_each(|number| *number = to);
        }
    };
    let touched = |columns: &AHashSet<ColumnId>| -> Vec<usize> {
        (0..leaves.len())
            .filter(|leaf| !leaves[*leaf].columns.is_disjoint(columns))
            .collect()
    };
    for edge in edges {
        connect(&touched(&edge.columns));
    }
    for (number, leaf) in leaves.iter().enumerate() {
        let mut members = touched(&leaf.requires);
        members.push(number);
        connect(&members);
    }
    let mut groups: Vec<(usize, Vec<Leaf>)> = Vec::new();
    for (leaf, number) in leaves.into_iter().zip(component) {
        match groups.iter_mut().find(|(known, _)| *known == number) {
            Some((_, members)) => members.push(leaf),
            None => groups.push((number, vec![leaf])),
        }
    }
    groups.into_iter().map(|(_, members)| members).collect()
}

/// Joins the relations of one component: begins with the smallest, then always takes the one that keeps the result smallest.
fn chain(mut leaves: Vec<Leaf>, edges: &mut Vec<Edge>) -> (Rel, f64) {
    let smallest = (0..leaves.len())
        .filter(|leaf| leaves[*leaf].requires.is_empty())
        .min_by(|left, right| leaves[*left].rows.total_cmp(&leaves[*right].rows))
        .unwrap_or(0);
    let Leaf {
        mut rel,
        columns: mut joined,
        mut rows,
        ..
    } = leaves.remove(smallest);
    while !leaves.is_empty() {
        let next = (0..leaves.len())
            .filter(|leaf| leaves[*leaf].requires.is_subset(&joined))
            .map(|leaf| (leaf, cost(&leaves[leaf], &joined, rows, edges)))
            .min_by(|(_, left), (_, right)| left.0.cmp(&right.0).then(left.1.total_cmp(&right.1)));
        // Requirements form no cycle: LATERAL sees only what stands before it.
        let (next, (_, next_rows)) = next.unwrap_or((0, (2, rows)));
        let leaf = leaves.remove(next);
        rows = next_rows.max(1.0);
        joined.extend(&leaf.columns);
        let on: Vec<Expr> = edges
            .extract_if(.., |edge| edge.columns.is_subset(&joined))
            .map(|edge| edge.condition)
            .collect();
        rel = Rel::Join {
            kind: if on.is_empty() {
                JoinKind::Cross
            } else {
                JoinKind::Inner
            },
            left: Box::new(rel),
            right: Box::new(leaf.rel),
            on: conjunction(on),
            lateral: !leaf.requires.is_empty(),
        };
    }
    (rel, rows)
}

/// How bad a next relation is: joined by an equality, by another condition, or by none; then the rows expected.
fn cost(leaf: &Leaf, joined: &AHashSet<ColumnId>, rows: f64, edges: &[Edge]) -> (u8, f64) {
    let mut class = if leaf.requires.is_empty() { 2 } else { 1 };
    let mut expected = rows * leaf.rows;
    for edge in edges {
        let connects = !edge.columns.is_disjoint(&leaf.columns)
            && edge
                .columns
                .iter()
                .all(|column| joined.contains(column) || leaf.columns.contains(column));
        if connects && edge.is_equality {
            class = 0;
            expected /= rows.max(leaf.rows).max(1.0);
        } else if connects {
            class = class.min(1);
            expected /= 3.0;
        }
    }
    (class, expected)
}
