//! Numerics of arrays: arithmetic, comparisons and sums over mantissas, without a [`Numeric`] for each value.
//!
//! What a mantissa cannot hold, and NaN and the infinities, are computed by [`Numeric`], which says what every result is.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, BooleanBuilder};
use storage::numeric::SCALE_MAX;
use storage::{Datum, Numeric, NumericError};

use crate::bound::Comparison;
use crate::relational::columnar::form::{Form, read_numeric, read_small_numeric, small_numeric, write_numeric};
use crate::relational::columnar::vector::Column;

/// Powers of ten that an `i128` holds.
const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < 39 {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Arithmetic that vectors know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
}

/// One side of an operation.
pub(crate) enum Operand<'a> {
    Array(&'a BinaryArray),
    Constant(Option<(i128, u32)>, &'a Numeric),
}

impl<'a> Operand<'a> {
    /// A column of numerics; `None` if it is something else.
    pub(crate) fn of(column: &'a Column) -> Option<Self> {
        match column {
            Column::Array(array, Form::Numeric) => Some(Self::Array(array.as_binary::<i32>())),
            Column::Constant(Datum::Numeric(value)) => Some(Self::Constant(value.small_parts(), value)),
            _ => None,
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Array(array) => array.is_null(row),
            Self::Constant(..) => false,
        }
    }

    fn small(&self, row: usize) -> Option<(i128, u32)> {
        match self {
            Self::Array(array) => read_small_numeric(array.value(row)),
            Self::Constant(small, _) => *small,
        }
    }

    fn value(&self, row: usize) -> Numeric {
        match self {
            Self::Array(array) => read_numeric(array.value(row)).unwrap_or(Numeric::NAN),
            Self::Constant(_, value) => (*value).clone(),
        }
    }
}

/// Mantissas of the same scale.
fn align((left, left_scale): (i128, u32), (right, right_scale): (i128, u32)) -> Option<(i128, i128, u32)> {
    let raise = |mantissa: i128, by: u32| POWERS.get(by as usize).and_then(|power| mantissa.checked_mul(*power));
    match left_scale.cmp(&right_scale) {
        Ordering::Equal => Some((left, right, left_scale)),
        Ordering::Less => Some((raise(left, right_scale - left_scale)?, right, right_scale)),
        Ordering::Greater => Some((left, raise(right, left_scale - right_scale)?, left_scale)),
    }
}

impl Operation {
    fn of_small(self, left: (i128, u32), right: (i128, u32)) -> Option<(i128, u32)> {
        match self {
            Self::Multiply => {
                let scale = left.1 + right.1;
                (scale <= SCALE_MAX).then_some((left.0.checked_mul(right.0)?, scale))
            }
            Self::Add => align(left, right).and_then(|(left, right, scale)| Some((left.checked_add(right)?, scale))),
            Self::Subtract => {
                align(left, right).and_then(|(left, right, scale)| Some((left.checked_sub(right)?, scale)))
            }
        }
    }

    fn of(self, left: &Numeric, right: &Numeric) -> Result<Numeric, NumericError> {
        match self {
            Self::Add => left.add(right),
            Self::Subtract => left.sub(right),
            Self::Multiply => left.mul(right),
        }
    }

    /// The results for all rows.
    pub(crate) fn apply(self, left: &Operand<'_>, right: &Operand<'_>, rows: usize) -> Result<ArrayRef, NumericError> {
        let mut builder = BinaryBuilder::with_capacity(rows, rows * 19);
        for row in 0..rows {
            if left.is_null(row) || right.is_null(row) {
                builder.append_null();
                continue;
            }
            let small = left.small(row).zip(right.small(row));
            match small.and_then(|(left, right)| self.of_small(left, right)) {
                Some((mantissa, scale)) => builder.append_value(small_numeric(mantissa, scale)),
                None => write_numeric(&mut builder, &self.of(&left.value(row), &right.value(row))?),
            }
        }
        Ok(Arc::new(builder.finish()))
    }
}

/// Compares all rows.
pub(crate) fn compare(comparison: Comparison, left: &Operand<'_>, right: &Operand<'_>, rows: usize) -> BooleanArray {
    let mut builder = BooleanBuilder::with_capacity(rows);
    for row in 0..rows {
        if left.is_null(row) || right.is_null(row) {
            builder.append_null();
            continue;
        }
        let small = left.small(row).zip(right.small(row));
        let ordering = match small.and_then(|(left, right)| align(left, right)) {
            Some((left, right, _)) => left.cmp(&right),
            None => left.value(row).cmp(&right.value(row)),
        };
        builder.append_value(comparison.holds(ordering));
    }
    builder.finish()
}

/// An exact sum, and of how many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    mantissa: i128,
    scale: u32,
    /// What the mantissa could not hold.
    rest: Option<Numeric>,
    count: i64,
}

impl Sum {
    /// Adds a value of an array.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<(), NumericError> {
        self.count += 1;
        if let Some(small) = read_small_numeric(bytes) {
            if let Some((mantissa, scale)) = Operation::Add.of_small((self.mantissa, self.scale), small) {
                (self.mantissa, self.scale) = (mantissa, scale);
                return Ok(());
            }
            let full = self.total()?;
            self.rest = Some(full);
            (self.mantissa, self.scale) = small;
            return Ok(());
        }
        let value = read_numeric(bytes).unwrap_or(Numeric::NAN);
        self.rest = Some(match self.rest.take() {
            Some(rest) => rest.add(&value)?,
            None => value,
        });
        Ok(())
    }

    fn total(&self) -> Result<Numeric, NumericError> {
        let small = Numeric::from_parts(self.mantissa, self.scale).unwrap_or(Numeric::NAN);
        match &self.rest {
            Some(rest) => rest.add(&small),
            None => Ok(small),
        }
    }

    /// The sum, or the average; `None` of nothing.
    pub(crate) fn finish(&self, is_average: bool) -> Result<Option<Numeric>, NumericError> {
        match (self.count, is_average) {
            (0, _) => Ok(None),
            (_, false) => self.total().map(Some),
            (count, true) => self.total()?.div(&Numeric::from_i64(count)).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::relational::columnar::form::ArrayBuilder;

    fn numeric() -> impl Strategy<Value = Datum> {
        let parts = (any::<i128>(), 0..40u32, 0..127u32);
        let finite = parts.prop_map(|(mantissa, scale, shift)| Numeric::from_parts(mantissa >> shift, scale));
        prop_oneof![
            8 => finite.prop_map(|value| value.map_or(Datum::Null, Datum::Numeric)),
            1 => Just(Datum::Numeric(Numeric::NAN)),
            1 => Just(Datum::Numeric(Numeric::INFINITY)),
            1 => Just(Datum::Null),
        ]
    }

    fn array(values: &[Datum]) -> Column {
        let mut builder = ArrayBuilder::new(Form::Numeric, values.len());
        values.iter().for_each(|value| builder.push(value).expect("a numeric"));
        Column::Array(builder.finish(), Form::Numeric)
    }

    fn text(value: &Datum) -> String {
        format!("{value:?}")
    }

    proptest! {
        #[test]
        fn vectors_compute_what_numerics_do(pairs in prop::collection::vec((numeric(), numeric()), 1..20)) {
            let (left, right): (Vec<Datum>, Vec<Datum>) = pairs.iter().cloned().unzip();
            let (left_column, right_column) = (array(&left), array(&right));
            let (left_side, right_side) = (Operand::of(&left_column).unwrap(), Operand::of(&right_column).unwrap());
            for operation in [Operation::Add, Operation::Subtract, Operation::Multiply] {
                let results = operation.apply(&left_side, &right_side, pairs.len()).unwrap();
                for (row, pair) in pairs.iter().enumerate() {
                    let expected = match pair {
                        (Datum::Numeric(left), Datum::Numeric(right)) => {
                            Datum::Numeric(operation.of(left, right).unwrap())
                        }
                        _ => Datum::Null,
                    };
                    let results = results.as_binary::<i32>();
                    let found = results.is_valid(row).then(|| read_numeric(results.value(row)).unwrap());
                    prop_assert_eq!(text(&found.map_or(Datum::Null, Datum::Numeric)), text(&expected));
                }
            }
            let less = compare(Comparison::Less, &left_side, &right_side, pairs.len());
            for (row, pair) in pairs.iter().enumerate() {
                let expected = match pair {
                    (Datum::Numeric(left), Datum::Numeric(right)) => Some(left < right),
                    _ => None,
                };
                prop_assert_eq!(less.is_valid(row).then(|| less.value(row)), expected);
            }
            let (mut sum, mut expected) = (Sum::default(), None::<Numeric>);
            let values = left_column;
            let Column::Array(values, _) = &values else { unreachable!() };
            for (row, value) in left.iter().enumerate() {
                if let Datum::Numeric(value) = value {
                    sum.add(values.as_binary::<i32>().value(row)).unwrap();
                    expected = Some(expected.map_or(Ok(value.clone()), |sum| sum.add(value)).unwrap());
                }
            }
            let found = sum.finish(false).unwrap();
            prop_assert_eq!(text(&found.map_or(Datum::Null, Datum::Numeric)), text(&expected.map_or(Datum::Null, Datum::Numeric)));
        }
    }
}
