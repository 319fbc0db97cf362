//! Joins: by hash where there is an equality, by nested loop otherwise, by running the right side again where it is lateral.

use std::sync::Arc;

use super::{Builder, Built, Needed};
use crate::bound::{ColumnId, Comparison, Expr, ExprKind, JoinKind, Rel};
use crate::eval::compile::{is_plain_equality, plain_comparison};
use crate::eval::{Layout, OuterScope};
use crate::relational::operators::dependent_join::DependentJoinPlan;
use crate::relational::operators::hash_join::HashJoinPlan;
use crate::relational::operators::nested_loop::NestedLoopPlan;
use crate::relational::plan::Plan;
use crate::relational::rewrite::fold::{conjunction, split_conjuncts};
use crate::types::oid;
use crate::{SqlResult, Type};

/// An equality between the sides of a join.
pub(super) struct Pair {
    left: Expr,
    right: Expr,
    function: &'static crate::functions::Function,
}

impl Builder<'_> {
    #[allow(clippy::too_many_arguments, reason = "the parts of a join")]
    pub(super) fn join(
        &mut self,
        kind: JoinKind,
        left: &Rel,
        right: &Rel,
        on: Option<&Expr>,
        lateral: bool,
        needed: &Needed,
        scope: &mut OuterScope,
    ) -> Built {
        let mut below = needed.clone();
        on.iter().for_each(|on| below.extend(on.columns()));
        if lateral {
            return self.dependent_join(kind, left, right, on, below, scope);
        }
        let left_plan = self.build(left, &below, scope)?;
        let right_plan = self.build(right, &below, scope)?;
        let (left_layout, right_layout) = (left_plan.layout().clone(), right_plan.layout().clone());
        let (mut pairs, mut rest) = (Vec::new(), Vec::new());
        for conjunct in on.cloned().into_iter().flat_map(split_conjuncts) {
            match equality(&conjunct, &left_layout, &right_layout) {
                Some(pair) => pairs.push(pair),
                None => rest.push(conjunct),
            }
        }
        let both = left_layout.concat(&right_layout);
        let layout = if matches!(kind, JoinKind::Semi | JoinKind::Anti) {
            left_layout.clone()
        } else {
            both.clone()
        };
        if pairs.is_empty() {
            let mut expressions = self.expressions(&both, scope);
            let on = expressions.programs(&rest)?;
            let subplans = expressions.finish();
            return Ok(Arc::new(NestedLoopPlan {
                kind,
                left: left_plan,
                right: right_plan,
                on,
                subplans,
                layout,
            }));
        }
        let lookup = self.lookup(kind, right, &pairs, &right_layout, scope)?;
        let mut expressions = self.expressions(&left_layout, scope);
        let left_keys = pairs
            .iter()
            .map(|pair| expressions.key(&pair.left))
            .collect::<SqlResult<_>>()?;
        let paused = expressions.pause();
        let mut expressions = self.expressions_after(&right_layout, scope, paused);
        let right_keys = pairs
            .iter()
            .map(|pair| expressions.key(&pair.right))
            .collect::<SqlResult<_>>()?;
        let paused = expressions.pause();
        let mut expressions = self.expressions_after(&both, scope, paused);
        let on = expressions.programs(&rest)?;
        let subplans = expressions.finish();
        let (lookup, lookup_outer) = lookup.unzip();
        Ok(Arc::new(HashJoinPlan {
            kind,
            left: left_plan,
            right: right_plan,
            left_keys,
            right_keys,
            on,
            subplans,
            lookup,
            lookup_outer: lookup_outer.unwrap_or_default(),
            layout,
        }))
    }

    /// The right side as a function of the left keys, if an index can find its rows by them. The keys are the first outer
    /// columns of that plan.
    fn lookup(
        &mut self,
        kind: JoinKind,
        right: &Rel,
        pairs: &[Pair],
        layout: &Layout,
        scope: &mut OuterScope,
    ) -> SqlResult<Option<(Arc<dyn Plan>, Vec<usize>)>> {
        let (scan, predicate) = match right {
            Rel::Scan(scan) => (scan, None),
            Rel::Filter { input, predicate } => match &**input {
                Rel::Scan(scan) => (scan, Some(predicate)),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        // Children of INHERITS need not have the indexes of their parent.
        let is_inherited = scan.members.is_some() && !scan.table.is_partitioned();
        if is_inherited || matches!(kind, JoinKind::Right | JoinKind::Full) {
            return Ok(None);
        }
        // The values of the left keys get column ids of their own, from the end of the range: no statement has so many.
        let value = |number: usize, ty: Type| Expr {
            kind: ExprKind::Column(ColumnId(u32::MAX - number as u32)),
            ty,
            position: None,
        };
        let mut conjuncts: Vec<Expr> = pairs
            .iter()
            .enumerate()
            .map(|(number, pair)| Expr {
                kind: ExprKind::Call {
                    function: pair.function,
                    args: vec![pair.right.clone(), value(number, pair.left.ty)],
                },
                ty: Type::BOOL,
                position: None,
            })
            .collect();
        let mut inner = OuterScope::default();
        for number in 0..pairs.len() {
            inner.slot(ColumnId(u32::MAX - number as u32));
        }
        let keys_only = self.choose_access(scan, &conjuncts, &mut inner)?;
        if matches!(keys_only, crate::relational::access::Access::Full) {
            return Ok(None);
        }
        conjuncts.extend(predicate.cloned().into_iter().flat_map(split_conjuncts));
        let Some(condition) = conjunction(conjuncts) else {
            return Ok(None);
        };
        for (number, pair) in pairs.iter().enumerate() {
            self.note_lookup_value(ColumnId(u32::MAX - number as u32), &pair.left);
        }
        let filtered = Rel::Filter {
            input: Box::new(Rel::Scan(scan.clone())),
            predicate: condition,
        };
        let plan = self.build_exactly(&filtered, layout.columns(), &mut inner)?;
        let outer = inner.columns()[pairs.len()..]
            .iter()
            .map(|column| scope.slot(*column))
            .collect();
        Ok(Some((plan, outer)))
    }

    fn dependent_join(
        &mut self,
        kind: JoinKind,
        left: &Rel,
        right: &Rel,
        on: Option<&Expr>,
        mut below: Needed,
        scope: &mut OuterScope,
    ) -> Built {
        let mut inner = OuterScope::default();
        self.depth += 1;
        let right_plan = self.build(right, &below, &mut inner);
        self.depth -= 1;
        let right_plan = right_plan?;
        below.extend(inner.columns().iter().copied());
        let left_plan = self.build(left, &below, scope)?;
        let both = left_plan.layout().concat(right_plan.layout());
        let is_existence = matches!(kind, JoinKind::Semi | JoinKind::Anti);
        let layout = if is_existence {
            left_plan.layout().clone()
        } else {
            both.clone()
        };
        let values: Vec<Expr> = inner
            .columns()
            .iter()
            .map(|column| Expr {
                kind: ExprKind::Column(*column),
                ty: Type::UNKNOWN,
                position: None,
            })
            .collect();
        let mut expressions = self.expressions(left_plan.layout(), scope);
        let outer = expressions.programs(&values)?;
        let paused = expressions.pause();
        let mut expressions = self.expressions_after(&both, scope, paused);
        let conjuncts: Vec<Expr> = on.cloned().into_iter().flat_map(split_conjuncts).collect();
        let on = expressions.programs(&conjuncts)?;
        let subplans = expressions.finish();
        let remember = Builder::is_repeatable(right);
        Ok(Arc::new(DependentJoinPlan {
            kind,
            left: left_plan,
            right: right_plan,
            outer,
            on,
            subplans,
            remember,
            layout,
        }))
    }
}

/// A conjunct as an equality between the sides.
pub(super) fn equality(conjunct: &Expr, left: &Layout, right: &Layout) -> Option<Pair> {
    let ExprKind::Call { function, args } = &conjunct.kind else {
        return None;
    };
    let [first, second] = args.as_slice() else { return None };
    let is_equal = is_plain_equality(function) || function.name == "bpchareq";
    let same_width = first.ty.oid == second.ty.oid || plain_comparison(function) == Some(Comparison::Equal);
    if !is_equal || !same_width || conjunct.has_subquery() || conjunct.is_volatile() {
        return None;
    }
    let is_over = |expr: &Expr, own: &Layout, other: &Layout| {
        let columns = expr.columns();
        columns.iter().any(|column| own.contains(*column)) && !columns.iter().any(|column| other.contains(*column))
    };
    // bpchar keys are compared without trailing blanks, so both sides must be of that type.
    if function.name == "bpchareq" && (first.ty.oid != oid::BPCHAR || second.ty.oid != oid::BPCHAR) {
        return None;
    }
    if is_over(first, left, right) && is_over(second, right, left) {
        return Some(Pair {
            left: first.clone(),
            right: second.clone(),
            function,
        });
    }
    if is_over(first, right, left) && is_over(second, left, right) {
        return Some(Pair {
            left: second.clone(),
            right: first.clone(),
            function,
        });
    }
    None
}
