//! Visit: walks over bound trees, by reference and in place.
//!
//! `for_each_child` goes to the operands of an expression (a subquery's relation is not one of them, its test is);
//! `for_each_input` to the relations directly below a relation, `for_each_own_expr` to the expressions it holds itself. The
//! `walk` functions go all the way down, into subqueries too. Each exists twice, the second of a pair (`…_mut`) in place.

use crate::bound::{
    AggregateCall, Expr, ExprKind, FrameBound, Modify, ModifyKind, Rel, SubqueryKind, Subscript, WindowCall,
};

macro_rules! visitors {
    () => {
        visitors!(@functions for_each_child, for_each_input, for_each_own_expr, aggregate_exprs, window_exprs, modify_exprs, walk_rel, walk_expr, iter, as_ref, for_each_expr; );
    };
    (mutable) => {
        visitors!(@functions for_each_child_mut, for_each_input_mut, for_each_own_expr_mut, aggregate_exprs_mut, window_exprs_mut, modify_exprs_mut, walk_rel_mut, walk_expr_mut, iter_mut, as_mut, for_each_expr_mut; mut);
    };
    (@functions $child:ident, $input:ident, $own:ident, $aggregate:ident, $window:ident, $modify:ident, $walk_rel:ident, $walk_expr:ident, $iter:ident, $as_ref:ident, $of_action:ident; $($m:tt)?) => {
        /// Calls `f` with each direct operand of an expression; of a subquery only with its test.
        pub fn $child<'a>(expr: &'a $($m)? Expr, f: &mut dyn FnMut(&'a $($m)? Expr)) {
            match & $($m)? expr.kind {
                ExprKind::Literal(_)
                | ExprKind::Parameter(_)
                | ExprKind::Column(_)
                | ExprKind::Grouping(_)
                | ExprKind::Placeholder => {}
                ExprKind::Call { args, .. }
                | ExprKind::And(args)
                | ExprKind::Or(args)
                | ExprKind::Coalesce(args)
                | ExprKind::Extreme { args, .. }
                | ExprKind::Array { elements: args, .. }
                | ExprKind::Row(args) => args.$iter().for_each(f),
                ExprKind::Not(operand)
                | ExprKind::IsNull(operand)
                | ExprKind::IsNotNull(operand)
                | ExprKind::IsTruth { operand, .. }
                | ExprKind::Field { base: operand, .. }
                | ExprKind::ConvertIo(operand)
                | ExprKind::Coerce { base: operand, .. } => f(operand),
                ExprKind::ConvertArray { base, element } => {
                    f(base);
                    f(element);
                }
                ExprKind::IsDistinct { left, right, .. }
                | ExprKind::NullIf { left, right, .. }
                | ExprKind::ArrayCompare { left, array: right, .. } => {
                    f(left);
                    f(right);
                }
                ExprKind::Case { branches, otherwise } => {
                    for (condition, result) in branches {
                        f(condition);
                        f(result);
                    }
                    otherwise.$iter().for_each(|e| f(e));
                }
                ExprKind::RowCompare { pairs, .. } => {
                    for pair in pairs {
                        f(& $($m)? pair.left);
                        f(& $($m)? pair.right);
                    }
                }
                ExprKind::Subscript { base, subscripts } => {
                    f(base);
                    for subscript in subscripts {
                        match subscript {
                            Subscript::Index(index) => f(index),
                            Subscript::Slice(lower, upper) => {
                                lower.$iter().for_each(&mut *f);
                                upper.$iter().for_each(&mut *f);
                            }
                        }
                    }
                }
                ExprKind::Subquery(subquery) => {
                    if let SubqueryKind::Quantified { test, .. } = & $($m)? subquery.kind {
                        f(test);
                    }
                }
            }
        }

        /// Calls `f` with the expressions of an aggregate call.
        pub fn $aggregate<'a>(call: &'a $($m)? AggregateCall, f: &mut dyn FnMut(&'a $($m)? Expr)) {
            call.args.$iter().for_each(&mut *f);
            call.order.$iter().for_each(|key| f(& $($m)? key.expr));
            call.filter.$iter().for_each(f);
        }

        /// Calls `f` with the expressions of a window function call.
        pub fn $window<'a>(call: &'a $($m)? WindowCall, f: &mut dyn FnMut(&'a $($m)? Expr)) {
            $aggregate(& $($m)? call.call, f);
            call.partition.$iter().for_each(&mut *f);
            call.order.$iter().for_each(|key| f(& $($m)? key.expr));
            for bound in [& $($m)? call.frame.start, & $($m)? call.frame.end] {
                if let FrameBound::Preceding(offset) | FrameBound::Following(offset) = bound {
                    f(offset);
                }
            }
        }

        /// Calls `f` with each direct input of a relation; of WITH the definitions first, then the body.
        pub fn $input<'a>(rel: &'a $($m)? Rel, f: &mut dyn FnMut(&'a $($m)? Rel)) {
            match rel {
                Rel::OneRow
                | Rel::Scan(_)
                | Rel::SystemScan(_)
                | Rel::Values { .. }
                | Rel::FunctionScan { .. }
                | Rel::CteRef { .. } => {}
                Rel::Filter { input, .. }
                | Rel::Project { input, .. }
                | Rel::ProjectSet { input, .. }
                | Rel::Aggregate { input, .. }
                | Rel::Window { input, .. }
                | Rel::Sort { input, .. }
                | Rel::Limit { input, .. }
                | Rel::Distinct { input, .. }
                | Rel::LockRows { input, .. } => f(input),
                Rel::Join { left, right, .. } | Rel::SetOperation { left, right, .. } => {
                    f(left);
                    f(right);
                }
                Rel::With { ctes, body } => {
                    for cte in ctes {
                        f(& $($m)? cte.rel);
                        cte.recursive.$iter().for_each(|term| f(& $($m)? term.rel));
                    }
                    f(body);
                }
                Rel::Modify(modify) => match & $($m)? modify.kind {
                    ModifyKind::Insert { source, .. } => f(& $($m)? source.rel),
                    ModifyKind::Update { source, .. }
                    | ModifyKind::Delete { source, .. }
                    | ModifyKind::Merge { source, .. } => f(source),
                },
            }
        }

        fn $modify<'a>(
            modify: &'a $($m)? Modify,
            f: &mut dyn FnMut(&'a $($m)? Expr),
        ) {
            modify.returning.$iter().for_each(|(_, expr)| f(expr));
            match & $($m)? modify.kind {
                ModifyKind::Insert { defaults, on_conflict, .. } => {
                    defaults.$iter().for_each(|(_, expr)| f(expr));
                    if let Some(update) = on_conflict.$as_ref().and_then(|conflict| conflict.update.$as_ref()) {
                        update.assignments.$iter().for_each(|assignment| f(& $($m)? assignment.value));
                        update.predicate.$iter().for_each(f);
                    }
                }
                ModifyKind::Update { assignments, recheck, .. } => {
                    assignments.$iter().for_each(|assignment| f(& $($m)? assignment.value));
                    recheck.$iter().for_each(f);
                }
                ModifyKind::Delete { recheck, .. } => recheck.$iter().for_each(f),
                ModifyKind::Merge { on, actions, .. } => {
                    f(on);
                    actions.$iter().for_each(|action| action.$of_action(f));
                }
            }
        }

        /// Calls `f` with each expression that stands directly in a relation (not in its inputs).
        pub fn $own<'a>(rel: &'a $($m)? Rel, f: &mut dyn FnMut(&'a $($m)? Expr)) {
            match rel {
                Rel::OneRow
                | Rel::Scan(_)
                | Rel::SystemScan(_)
                | Rel::SetOperation { .. }
                | Rel::With { .. }
                | Rel::CteRef { .. }
                | Rel::LockRows { .. } => {}
                Rel::Values { rows, .. } => {
                    for row in rows {
                        row.$iter().for_each(&mut *f);
                    }
                }
                Rel::FunctionScan { calls, .. } => {
                    for (call, _) in calls {
                        call.args.$iter().for_each(&mut *f);
                    }
                }
                Rel::Filter { predicate, .. } => f(predicate),
                Rel::Project { columns, .. } => columns.$iter().for_each(|(_, expr)| f(expr)),
                Rel::ProjectSet { calls, .. } => {
                    for (call, _) in calls {
                        call.args.$iter().for_each(&mut *f);
                    }
                }
                Rel::Join { on, .. } => on.$iter().for_each(f),
                Rel::Aggregate { groups, aggregates, .. } => {
                    groups.$iter().for_each(|(_, expr)| f(expr));
                    for (_, call) in aggregates {
                        $aggregate(call, f);
                    }
                }
                Rel::Window { calls, .. } => {
                    for (_, call) in calls {
                        $window(call, f);
                    }
                }
                Rel::Sort { keys, .. } => keys.$iter().for_each(|key| f(& $($m)? key.expr)),
                Rel::Limit { limit, offset, .. } => {
                    limit.$iter().for_each(&mut *f);
                    offset.$iter().for_each(f);
                }
                Rel::Distinct { on, .. } => {
                    if let Some(keys) = on {
                        keys.$iter().for_each(&mut *f);
                    }
                }
                Rel::Modify(modify) => $modify(modify, f),
            }
        }

        /// Calls `f` with an expression and all below it, subqueries' relations included; parents first.
        pub fn $walk_expr(expr: & $($m)? Expr, f: &mut dyn FnMut(& $($m)? Expr)) {
            f(expr);
            if let ExprKind::Subquery(subquery) = & $($m)? expr.kind {
                $walk_rel(& $($m)? subquery.rel, f);
            }
            $child(expr, &mut |child| $walk_expr(child, f));
        }

        /// Calls `f` with every expression in a relation and below it.
        pub fn $walk_rel(rel: & $($m)? Rel, f: &mut dyn FnMut(& $($m)? Expr)) {
            $own(rel, &mut |expr| $walk_expr(expr, f));
            $input(rel, &mut |input| $walk_rel(input, f));
        }
    };
}

visitors!();
visitors!(mutable);

/// Calls `visit` with every expression of a tree, the root first; subqueries' relations are not entered.
pub fn for_each_expr<'e>(expr: &'e Expr, visit: &mut dyn FnMut(&'e Expr)) {
    visit(expr);
    for_each_child(expr, &mut |child| for_each_expr(child, visit));
}
