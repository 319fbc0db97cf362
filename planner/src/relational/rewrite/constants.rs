//! Constant folding, as far as PostgreSQL's planner goes and no further: what it decides at planning time (an error in a
//! constant, a comparison with NULL that makes everything beside it irrelevant) a client can see.

use storage::Datum;

use crate::bound::visit::{for_each_child_mut, for_each_input_mut, for_each_own_expr_mut};
use crate::bound::{Expr, ExprKind, Rel};
use crate::eval::{Compiler, EvalContext, Layout, OuterScope, SessionView};
use crate::functions::{Function, Volatility};
use crate::types::oid;
use crate::{SqlResult, Type};

/// Folds the constants in all expressions of a relation, subqueries included.
///
/// # Errors
/// What a constant expression raises.
pub(crate) fn fold_rel(rel: &mut Rel, session: &dyn SessionView) -> SqlResult<()> {
    let mut result = Ok(());
    for_each_own_expr_mut(rel, &mut |expr| {
        if result.is_ok() {
            result = fold(expr, session);
        }
    });
    for_each_input_mut(rel, &mut |input| {
        if result.is_ok() {
            result = fold_rel(input, session);
        }
    });
    result
}

/// Folds the constants of an expression.
pub(crate) fn fold(expr: &mut Expr, session: &dyn SessionView) -> SqlResult<()> {
    match &mut expr.kind {
        // These decide which of their operands are looked at at all.
        ExprKind::Case { .. } => return fold_case(expr, session),
        ExprKind::Coalesce(_) => return fold_coalesce(expr, session),
        ExprKind::Subquery(subquery) => fold_rel(&mut subquery.rel, session)?,
        _ => {}
    }
    let operands_of_junction = match &mut expr.kind {
        ExprKind::And(operands) => Some((operands, false)),
        ExprKind::Or(operands) => Some((operands, true)),
        _ => None,
    };
    if let Some((operands, decisive)) = operands_of_junction {
        if fold_junction(operands, decisive, session)? {
            expr.kind = ExprKind::Literal(Datum::Bool(decisive));
            return Ok(());
        }
    } else {
        let mut result = Ok(());
        for_each_child_mut(expr, &mut |child| {
            if result.is_ok() {
                result = fold(child, session);
            }
        });
        result?;
    }
    let ty = expr.ty;
    let folded = match &mut expr.kind {
        ExprKind::And(operands) => junction(operands, false),
        ExprKind::Or(operands) => junction(operands, true),
        ExprKind::Call { function, args } => {
            if function.strict && args.iter().any(is_null) && !is_row_maker(function) {
                Some(Datum::Null)
            } else if is_immutable(function) && args.iter().all(is_literal) {
                Some(evaluate(expr, session)?)
            } else {
                None
            }
        }
        ExprKind::Not(operand) | ExprKind::IsNull(operand) | ExprKind::IsNotNull(operand) => {
            if is_literal(operand) {
                Some(evaluate(expr, session)?)
            } else {
                None
            }
        }
        ExprKind::IsTruth { operand, .. } if is_literal(operand) => Some(evaluate(expr, session)?),
        ExprKind::IsDistinct { left, right, equal, .. } | ExprKind::NullIf { left, right, equal } => {
            if is_literal(left) && is_literal(right) && is_immutable(equal) {
                Some(evaluate(expr, session)?)
            } else {
                None
            }
        }
        ExprKind::ArrayCompare {
            operator, left, array, ..
        } => {
            if is_literal(left) && is_literal(array) && is_immutable(operator) {
                Some(evaluate(expr, session)?)
            } else {
                None
            }
        }
        ExprKind::Array { elements, .. } if elements.iter().all(is_literal) => Some(evaluate(expr, session)?),
        ExprKind::Coerce { base, .. } if is_literal(base) => Some(evaluate(expr, session)?),
        ExprKind::ConvertIo(base) if is_null(base) => Some(Datum::Null),
        ExprKind::ConvertIo(base) if is_literal(base) && is_fixed_text(base.ty) && is_fixed_text(ty) => {
            Some(evaluate(expr, session)?)
        }
        _ => None,
    };
    if let Some(value) = folded {
        expr.kind = ExprKind::Literal(value);
    }
    Ok(())
}

/// Folds the operands of AND or OR from left to right; `true` at the first that decides: those behind it are not looked at.
fn fold_junction(operands: &mut [Expr], decisive: bool, session: &dyn SessionView) -> SqlResult<bool> {
    for operand in operands {
        fold(operand, session)?;
        if matches!(operand.kind, ExprKind::Literal(Datum::Bool(value)) if value == decisive) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Literal(_))
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Literal(Datum::Null))
}

fn is_immutable(function: &Function) -> bool {
    function.volatility == Volatility::Immutable
}

/// PostgreSQL does not fold functions that return records.
fn is_row_maker(function: &Function) -> bool {
    function.returns == oid::RECORD
}

/// Whether a type's text form depends on no setting, so that a conversion is immutable.
fn is_fixed_text(ty: Type) -> bool {
    matches!(
        ty.oid,
        oid::BOOL
            | oid::INT2
            | oid::INT4
            | oid::INT8
            | oid::NUMERIC
            | oid::TEXT
            | oid::VARCHAR
            | oid::BPCHAR
            | oid::NAME
            | oid::UUID
            | oid::JSON
            | oid::JSONB
            | oid::UNKNOWN
    )
}

fn evaluate(expr: &Expr, session: &dyn SessionView) -> SqlResult<Datum> {
    let program = Compiler::new(&Layout::default(), &mut OuterScope::default(), None).compile(expr)?;
    program.eval(
        &[],
        &EvalContext {
            session,
            parameters: &[],
            outer: &[],
        },
    )
}

/// AND (`decisive` is false) or OR (`decisive` is true): one decisive constant settles it, the other constant is dropped.
fn junction(operands: &mut Vec<Expr>, decisive: bool) -> Option<Datum> {
    let is_value =
        |expr: &Expr, value: bool| matches!(expr.kind, ExprKind::Literal(Datum::Bool(known)) if known == value);
    if operands.iter().any(|operand| is_value(operand, decisive)) {
        return Some(Datum::Bool(decisive));
    }
    let null = operands
        .iter()
        .position(is_null)
        .map(|position| operands[position].clone());
    operands.retain(|operand| !is_value(operand, !decisive) && !is_null(operand));
    match (operands.is_empty(), null) {
        (true, Some(_)) => Some(Datum::Null),
        (true, None) => Some(Datum::Bool(!decisive)),
        (false, Some(null)) => {
            operands.push(null);
            None
        }
        (false, None) => None,
    }
}

fn fold_case(expr: &mut Expr, session: &dyn SessionView) -> SqlResult<()> {
    let ExprKind::Case { branches, otherwise } = &mut expr.kind else {
        return Ok(());
    };
    let mut kept = Vec::with_capacity(branches.len());
    let mut decided = None;
    for (mut condition, mut result) in std::mem::take(branches) {
        fold(&mut condition, session)?;
        match condition.kind {
            ExprKind::Literal(Datum::Bool(true)) => {
                fold(&mut result, session)?;
                decided = Some(result);
                break;
            }
            // Neither false nor NULL is ever true: the result is not even looked at.
            ExprKind::Literal(_) => {}
            _ => {
                fold(&mut result, session)?;
                kept.push((condition, result));
            }
        }
    }
    let last = match (decided, otherwise.take()) {
        (Some(decided), _) => Some(Box::new(decided)),
        (None, Some(mut otherwise)) => {
            fold(&mut otherwise, session)?;
            Some(otherwise)
        }
        (None, None) => None,
    };
    if kept.is_empty() {
        expr.kind = last.map_or(ExprKind::Literal(Datum::Null), |last| last.kind);
    } else {
        (*branches, *otherwise) = (kept, last);
    }
    Ok(())
}

fn fold_coalesce(expr: &mut Expr, session: &dyn SessionView) -> SqlResult<()> {
    let ExprKind::Coalesce(args) = &mut expr.kind else {
        return Ok(());
    };
    let mut kept: Vec<Expr> = Vec::with_capacity(args.len());
    for mut arg in std::mem::take(args) {
        fold(&mut arg, session)?;
        let is_last = is_literal(&arg) && !is_null(&arg);
        if !is_null(&arg) {
            kept.push(arg);
        }
        if is_last {
            break;
        }
    }
    match kept.len() {
        0 => expr.kind = ExprKind::Literal(Datum::Null),
        1 => {
            if let Some(only) = kept.pop() {
                expr.kind = only.kind;
            }
        }
        _ => *args = kept,
    }
    Ok(())
}
