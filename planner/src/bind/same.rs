//! Sameness: whether two bound expressions are written alike, as GROUP BY, DISTINCT and ORDER BY need to know.
//!
//! Positions do not count; subqueries are never the same, because their columns differ.

use storage::Datum;

use crate::bound::{AggregateCall, Expr, ExprKind, SortKey, Subscript};

/// Whether two expressions are written alike.
pub(crate) fn same(a: &Expr, b: &Expr) -> bool {
    a.ty == b.ty && same_kind(&a.kind, &b.kind)
}

/// As [`same`], but a column that was only relabelled (varchar as text) is still itself.
pub(crate) fn same_value(a: &Expr, b: &Expr) -> bool {
    match (&a.kind, &b.kind) {
        (ExprKind::Column(a), ExprKind::Column(b)) => a == b,
        (ExprKind::Literal(_) | ExprKind::Coerce { .. } | ExprKind::ConvertIo(_), _) => same(a, b),
        _ => same_kind(&a.kind, &b.kind),
    }
}

fn all_same(a: &[Expr], b: &[Expr]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

fn same_option(a: Option<&Expr>, b: Option<&Expr>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same(a, b),
        _ => false,
    }
}

/// Whether two aggregate calls are written alike.
pub(super) fn same_call(a: &AggregateCall, b: &AggregateCall) -> bool {
    std::ptr::eq(a.function, b.function)
        && a.ty == b.ty
        && a.distinct == b.distinct
        && all_same(&a.args, &b.args)
        && same_keys(&a.order, &b.order)
        && same_option(a.filter.as_ref(), b.filter.as_ref())
        && a.function.volatility != crate::functions::Volatility::Volatile
}

/// Whether two lists of sort keys are written alike.
pub(super) fn same_keys(a: &[SortKey], b: &[SortKey]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| a.descending == b.descending && a.nulls_first == b.nulls_first && same(&a.expr, &b.expr))
}

fn same_subscript(a: &Subscript, b: &Subscript) -> bool {
    match (a, b) {
        (Subscript::Index(a), Subscript::Index(b)) => same(a, b),
        (Subscript::Slice(la, ua), Subscript::Slice(lb, ub)) => {
            same_option(la.as_ref(), lb.as_ref()) && same_option(ua.as_ref(), ub.as_ref())
        }
        _ => false,
    }
}

/// Whether two constants are one value in one form.
fn same_datum(a: &Datum, b: &Datum) -> bool {
    match (a, b) {
        (Datum::Null, Datum::Null) => true,
        (Datum::Bool(a), Datum::Bool(b)) => a == b,
        (Datum::Int2(a), Datum::Int2(b)) => a == b,
        (Datum::Int4(a), Datum::Int4(b)) => a == b,
        (Datum::Int8(a), Datum::Int8(b)) => a == b,
        (Datum::Text(a), Datum::Text(b)) | (Datum::Json(a), Datum::Json(b)) => a == b,
        (Datum::Date(a), Datum::Date(b)) => a == b,
        (Datum::Timestamp(a), Datum::Timestamp(b)) | (Datum::TimestampTz(a), Datum::TimestampTz(b)) => a == b,
        (Datum::Time(a), Datum::Time(b)) => a == b,
        (Datum::Oid(a), Datum::Oid(b)) => a == b,
        (Datum::Uuid(a), Datum::Uuid(b)) => a == b,
        // Rarer values: their whole form tells.
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b) && format!("{a:?}") == format!("{b:?}"),
    }
}

fn same_kind(a: &ExprKind, b: &ExprKind) -> bool {
    use ExprKind as K;
    match (a, b) {
        (K::Literal(a), K::Literal(b)) => same_datum(a, b),
        (K::Parameter(a), K::Parameter(b)) => a == b,
        (K::Column(a), K::Column(b)) => a == b,
        (K::Call { function: fa, args: a }, K::Call { function: fb, args: b }) => {
            std::ptr::eq(*fa, *fb) && all_same(a, b)
        }
        (K::And(a), K::And(b)) | (K::Or(a), K::Or(b)) | (K::Coalesce(a), K::Coalesce(b)) | (K::Row(a), K::Row(b)) => {
            all_same(a, b)
        }
        (K::Not(a), K::Not(b))
        | (K::IsNull(a), K::IsNull(b))
        | (K::IsNotNull(a), K::IsNotNull(b))
        | (K::ConvertIo(a), K::ConvertIo(b)) => same(a, b),
        (
            K::IsTruth {
                operand: a,
                value: va,
                negated: na,
            },
            K::IsTruth {
                operand: b,
                value: vb,
                negated: nb,
            },
        ) => va == vb && na == nb && same(a, b),
        (
            K::IsDistinct {
                equal: ea,
                left: la,
                right: ra,
                negated: na,
            },
            K::IsDistinct {
                equal: eb,
                left: lb,
                right: rb,
                negated: nb,
            },
        ) => std::ptr::eq(*ea, *eb) && na == nb && same(la, lb) && same(ra, rb),
        (
            K::Case {
                branches: a,
                otherwise: oa,
            },
            K::Case {
                branches: b,
                otherwise: ob,
            },
        ) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| same(&a.0, &b.0) && same(&a.1, &b.1))
                && same_option(oa.as_deref(), ob.as_deref())
        }
        (
            K::NullIf {
                equal: ea,
                left: la,
                right: ra,
            },
            K::NullIf {
                equal: eb,
                left: lb,
                right: rb,
            },
        ) => std::ptr::eq(*ea, *eb) && same(la, lb) && same(ra, rb),
        (K::Extreme { greatest: ga, args: a }, K::Extreme { greatest: gb, args: b }) => ga == gb && all_same(a, b),
        (
            K::ArrayCompare {
                operator: oa,
                all: aa,
                left: la,
                array: ra,
            },
            K::ArrayCompare {
                operator: ob,
                all: ab,
                left: lb,
                array: rb,
            },
        ) => std::ptr::eq(*oa, *ob) && aa == ab && same(la, lb) && same(ra, rb),
        (
            K::Array {
                elements: a,
                nested: na,
            },
            K::Array {
                elements: b,
                nested: nb,
            },
        ) => na == nb && all_same(a, b),
        (
            K::RowCompare {
                comparison: ca,
                pairs: a,
            },
            K::RowCompare {
                comparison: cb,
                pairs: b,
            },
        ) => {
            ca == cb
                && a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(a, b)| same(&a.left, &b.left) && same(&a.right, &b.right))
        }
        (
            K::Subscript {
                base: ba,
                subscripts: a,
            },
            K::Subscript {
                base: bb,
                subscripts: b,
            },
        ) => same(ba, bb) && a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_subscript(a, b)),
        (K::Field { base: a, index: ia }, K::Field { base: b, index: ib }) => ia == ib && same(a, b),
        (K::ConvertArray { base: a, element: ea }, K::ConvertArray { base: b, element: eb }) => {
            same(a, b) && same(ea, eb)
        }
        (K::Placeholder, K::Placeholder) => true,
        (K::Coerce { base: a, explicit: ea }, K::Coerce { base: b, explicit: eb }) => ea == eb && same(a, b),
        _ => false,
    }
}
