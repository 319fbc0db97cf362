//! Visit: walks over bound trees, by reference and in place.
//!
//! `children` are the expressions directly below an expression (a subquery's relation is not one of them, its test is);
//! `inputs` are the relations directly below a relation, `expressions` the expressions a relation holds itself. The
//! `walk` functions go all the way down, into subqueries too.

use crate::bound::{Expr, ExprKind, FrameBound, ModifyKind, Rel, SubqueryKind, Subscript};

macro_rules! visit {
    () => {
        visit!(@functions children, inputs, expressions, aggregate, modify_expressions, modify_inputs, walk_rel, walk_expr, iter, as_ref; );
    };
    (mutable) => {
        visit!(@functions children_mut, inputs_mut, expressions_mut, aggregate_mut, modify_expressions_mut, modify_inputs_mut, walk_rel_mut, walk_expr_mut, iter_mut, as_mut; mut);
    };
    (@functions $children:ident, $inputs:ident, $expressions:ident, $aggregate:ident, $modify_expressions:ident, $modify_inputs:ident, $walk_rel:ident, $walk_expr:ident, $iter:ident, $as_ref:ident; $($m:tt)?) => {
        /// Calls `f` with each expression directly below one.
        pub fn $children<'a>(expr: &'a $($m)? Expr, f: &mut dyn FnMut(&'a $($m)? Expr)) {
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

        fn $aggregate<'a>(call: &'a $($m)? crate::bound::AggregateCall, f: &mut dyn FnMut(&'a $($m)? Expr)) {
            call.args.$iter().for_each(&mut *f);
            call.order.$iter().for_each(|key| f(& $($m)? key.expr));
            call.filter.$iter().for_each(f);
        }

        /// Calls `f` with each relation directly below one.
        pub fn $inputs<'a>(rel: &'a $($m)? Rel, f: &mut dyn FnMut(&'a $($m)? Rel)) {
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
                Rel::Modify(modify) => $modify_inputs(modify, f),
            }
        }

        fn $modify_inputs<'a>(modify: &'a $($m)? crate::bound::Modify, f: &mut dyn FnMut(&'a $($m)? Rel)) {
            match & $($m)? modify.kind {
                ModifyKind::Insert { source, .. } => f(& $($m)? source.rel),
                ModifyKind::Update { source, .. } | ModifyKind::Delete { source, .. } => f(source),
            }
        }

        fn $modify_expressions<'a>(
            modify: &'a $($m)? crate::bound::Modify,
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
            }
        }

        /// Calls `f` with each expression a relation holds itself.
        pub fn $expressions<'a>(rel: &'a $($m)? Rel, f: &mut dyn FnMut(&'a $($m)? Expr)) {
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
                        $aggregate(& $($m)? call.call, f);
                        call.partition.$iter().for_each(&mut *f);
                        call.order.$iter().for_each(|key| f(& $($m)? key.expr));
                        for bound in [& $($m)? call.frame.start, & $($m)? call.frame.end] {
                            if let FrameBound::Preceding(offset) | FrameBound::Following(offset) = bound {
                                f(offset);
                            }
                        }
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
                Rel::Modify(modify) => $modify_expressions(modify, f),
            }
        }

        /// Calls `f` with an expression and all below it, subqueries' relations included; parents first.
        pub fn $walk_expr(expr: & $($m)? Expr, f: &mut dyn FnMut(& $($m)? Expr)) {
            f(expr);
            if let ExprKind::Subquery(subquery) = & $($m)? expr.kind {
                $walk_rel(& $($m)? subquery.rel, f);
            }
            $children(expr, &mut |child| $walk_expr(child, f));
        }

        /// Calls `f` with every expression in a relation and below it.
        pub fn $walk_rel(rel: & $($m)? Rel, f: &mut dyn FnMut(& $($m)? Expr)) {
            $expressions(rel, &mut |expr| $walk_expr(expr, f));
            $inputs(rel, &mut |input| $walk_rel(input, f));
        }
    };
}

visit!();
visit!(mutable);
