//! Additions: assignments that only add to a number, which take A instead of X (DESIGN L5).
//!
//! ```text
//!   n = n + 5                                              adds 5 to n
//!   doc['qty'] = to_jsonb((doc['qty'])::int - x.taken)     adds −taken to doc/qty
//! ```
//! Two transactions that add to one number both proceed: neither knows what it adds to, and the order does not matter. That
//! holds only if nothing else of the statement reads the number (RETURNING, WHERE, CHECK, an index …), which
//! `run::Runner::derive` sees to, and if adding gives what the expression would have given: exact numbers, within their
//! type, with the digits the sum would have had.

use storage::{Datum, Numeric, Path, Step};
use txn::AddIncrement;

use super::derive::{self, Target};
use crate::Type;
use crate::bound::{ColumnId, Expr, ExprKind};
use crate::types::oid;

/// An assignment that adds to the number at a path.
#[derive(Clone, Debug)]
pub struct Addition<'e> {
    /// Where.
    pub path: Path,
    /// What is added or taken away; reads nothing of the target row.
    pub amount: &'e Expr,
    /// Whether it is taken away.
    pub is_negative: bool,
    number: Number,
}

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    /// A column, or a member read as one, of an integer type with these bounds.
    Integer(i64, i64),
    /// A numeric column, with its modifier.
    Numeric(i32),
    /// A jsonb number read as numeric.
    Json,
}

const PLUS: [&str; 10] = [
    "int2pl",
    "int24pl",
    "int28pl",
    "int4pl",
    "int42pl",
    "int48pl",
    "int8pl",
    "int82pl",
    "int84pl",
    "numeric_add",
];
const MINUS: [&str; 10] = [
    "int2mi",
    "int24mi",
    "int28mi",
    "int4mi",
    "int42mi",
    "int48mi",
    "int8mi",
    "int82mi",
    "int84mi",
    "numeric_sub",
];

/// Greatest precision whose bounds are computed; wider columns are locked by X.
const PRECISION_MAX: u32 = 38;

/// An assignment as an addition, if its shape proves it.
pub fn addition<'e>(column: u16, ty: Type, value: &'e Expr, target: Target<'_>) -> Option<Addition<'e>> {
    let own = |id: ColumnId| target.columns.iter().any(|(at, known)| *at == column && *known == id);
    let found = match ty.oid {
        oid::JSONB => json_addition(column, value, target, &own)?,
        _ => column_addition(column, ty, value, &own)?,
    };
    let reads_target = !derive::reads_with(found.amount, target).is_empty();
    let is_fixed = !found.amount.has_subquery() && !found.amount.is_volatile();
    (is_fixed && !reads_target).then_some(found)
}

fn column_addition<'e>(column: u16, ty: Type, value: &'e Expr, own: &dyn Fn(ColumnId) -> bool) -> Option<Addition<'e>> {
    let is_operand = |expr: &Expr| matches!(&expr.kind, ExprKind::Column(id) if own(*id));
    let (sum, number) = match ty.oid {
        oid::INT2 | oid::INT4 | oid::INT8 => (without_narrowing(value), Number::integer(ty.oid)?),
        oid::NUMERIC => (without_modifier(value), Number::Numeric(ty.modifier)),
        _ => return None,
    };
    let (amount, is_negative) = sum_of(sum, &is_operand)?;
    // An integer column plus a fraction is rounded.
    let is_exact = number == Number::Numeric(ty.modifier) || is_integer(sum.ty.oid);
    is_exact.then_some(Addition {
        path: Path::column(column),
        amount,
        is_negative,
        number,
    })
}

fn json_addition<'e>(
    column: u16,
    value: &'e Expr,
    target: Target<'_>,
    own: &dyn Fn(ColumnId) -> bool,
) -> Option<Addition<'e>> {
    let ExprKind::Call { function, args } = &value.kind else {
        return None;
    };
    if !matches!(function.name, "jsonb_set" | "jsonb_subscript_set") {
        return None;
    }
    let [document, path, new, ..] = args.as_slice() else {
        return None;
    };
    matches!(&document.kind, ExprKind::Column(id) if own(*id)).then_some(())?;
    let texts = derive::constant_path(path, target.parameters)?;
    let steps: Vec<Step> = texts.iter().map(|text| Step::Member(text.as_str().into())).collect();
    let ExprKind::Call { function, args } = &new.kind else {
        return None;
    };
    let [sum] = args.as_slice() else { return None };
    if function.name != "to_jsonb" || steps.is_empty() {
        return None;
    }
    let is_place =
        |expr: &Expr| derive::place_of(expr, target.parameters).is_some_and(|(id, at)| own(id) && at == steps);
    let is_operand = |expr: &Expr| match &expr.kind {
        // The sum has the operand's type: a wider one would have other bounds.
        ExprKind::Call { function, args } if matches!(function.name, "int2" | "int4" | "int8" | "numeric") => {
            expr.ty.oid == sum.ty.oid && args.len() == 1 && args[0].ty.oid == oid::JSONB && is_place(&args[0])
        }
        ExprKind::ConvertIo(text) => expr.ty.oid == sum.ty.oid && text.ty.oid == oid::TEXT && is_place(text),
        _ => false,
    };
    let (amount, is_negative) = sum_of(sum, &is_operand)?;
    let number = match sum.ty.oid {
        oid::NUMERIC => Number::Json,
        other => Number::integer(other)?,
    };
    Some(Addition {
        path: Path::new(column, steps),
        amount,
        is_negative,
        number,
    })
}

/// The other operand of an addition to what `is_operand` knows, and whether it is taken away.
fn sum_of<'e>(sum: &'e Expr, is_operand: &dyn Fn(&Expr) -> bool) -> Option<(&'e Expr, bool)> {
    let ExprKind::Call { function, args } = &sum.kind else {
        return None;
    };
    let [left, right] = args.as_slice() else { return None };
    if PLUS.contains(&function.name) {
        if is_operand(left) {
            return Some((right, false));
        }
        return is_operand(right).then_some((left, false));
    }
    (MINUS.contains(&function.name) && is_operand(left)).then_some((right, true))
}

fn is_integer(ty: u32) -> bool {
    matches!(ty, oid::INT2 | oid::INT4 | oid::INT8)
}

/// An integer without the cast that assignment puts around it: out of range there is out of range here.
fn without_narrowing(value: &Expr) -> &Expr {
    match &value.kind {
        ExprKind::Call { function, args }
            if matches!(function.name, "int2" | "int4" | "int8") && args.len() == 1 && is_integer(args[0].ty.oid) =>
        {
            &args[0]
        }
        _ => value,
    }
}

/// A numeric without the rounding to the column's scale; [`Addition::increment`] sees that there is nothing to round.
fn without_modifier(value: &Expr) -> &Expr {
    match &value.kind {
        ExprKind::Coerce { base, .. } if base.ty.oid == oid::NUMERIC => base,
        _ => value,
    }
}

impl Number {
    fn integer(ty: u32) -> Option<Number> {
        match ty {
            oid::INT2 => Some(Number::Integer(i16::MIN.into(), i16::MAX.into())),
            oid::INT4 => Some(Number::Integer(i32::MIN.into(), i32::MAX.into())),
            oid::INT8 => Some(Number::Integer(i64::MIN, i64::MAX)),
            _ => None,
        }
    }
}

impl Addition<'_> {
    /// What is added to a row, for the amount's value; `None` if that makes it no addition after all.
    pub fn increment(&self, amount: &Datum) -> Option<AddIncrement> {
        let amount = number_of(amount).filter(Numeric::is_finite)?;
        let by = if self.is_negative { amount.neg() } else { amount };
        let increment = |min, max| AddIncrement {
            by: by.clone(),
            min,
            max,
        };
        match self.number {
            Number::Integer(min, max) => {
                (by.scale() == 0).then(|| increment(Some(Numeric::from_i64(min)), Some(Numeric::from_i64(max))))
            }
            Number::Numeric(-1) => Some(increment(None, None)),
            Number::Numeric(modifier) => {
                let packed = (modifier - 4) as u32;
                let (precision, scale) = (packed >> 16, packed & 0x7ff);
                if precision > PRECISION_MAX || scale > precision || by.scale() > scale {
                    return None;
                }
                let most = Numeric::from_parts(10i128.pow(precision) - 1, scale)?;
                Some(increment(Some(most.neg()), Some(most)))
            }
            // Who reads the number as an integer must not find a fraction that somebody adds meanwhile.
            Number::Json => (by.scale() == 0).then(|| increment(None, None)),
        }
    }

    /// Whether the row holds a number that may be added to.
    pub fn fits(&self, row: &[Datum]) -> bool {
        let Some(value) = row.get(self.path.column as usize) else {
            return false;
        };
        let number = match value {
            Datum::Jsonb(document) if !self.path.steps.is_empty() => {
                let mut place = document.view();
                for step in &self.path.steps {
                    let Step::Member(name) = step else { return false };
                    match place.step(name) {
                        Some(below) => place = below,
                        None => return false,
                    }
                }
                place.as_number()
            }
            column => number_of(column),
        };
        let Some(number) = number.filter(Numeric::is_finite) else {
            return false;
        };
        match self.number {
            Number::Integer(min, max) => {
                number.scale() == 0 && number >= Numeric::from_i64(min) && number <= Numeric::from_i64(max)
            }
            Number::Numeric(_) | Number::Json => true,
        }
    }
}

fn number_of(value: &Datum) -> Option<Numeric> {
    match value {
        Datum::Numeric(number) => Some(number.clone()),
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) => value.as_i64().map(Numeric::from_i64),
        _ => None,
    }
}
