//! Vectorised evaluation of programs: whole arrays for what cannot surprise, rows for the rest.
//!
//! A node is computed for all rows at once if that gives what computing it row by row gives. Where evaluation is lazy
//! (CASE, COALESCE, and AND and OR whose right side may raise), the subtree is computed row by row, by the same evaluator
//! as everywhere else.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::compute::kernels::{boolean, cmp, numeric};
use arrow::datatypes::{ArrowPrimitiveType, Float64Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use datafusion::error::{DataFusionError, Result};
use storage::Datum;
use storage::jsonb::JsonRef;

use crate::bound::Comparison;
use crate::eval::order::compare;
use crate::eval::program::{Arithmetic, Call, Node};
use crate::eval::{EvalContext, EvalState, Program};
use crate::functions::{CallContext, CallTypes};
use crate::relational::columnar::decimal::{self, Operand, Operation};
use crate::relational::columnar::form::{ArrayBuilder, Form, Reader};
use crate::{SqlError, SqlState};

/// Values of a node for all rows of a batch.
pub(crate) enum Column {
    /// An array of a form.
    Array(ArrayRef, Form),
    /// Values one by one.
    Datums(Vec<Datum>),
    /// The same value for every row.
    Constant(Datum),
}

/// A batch and what programs may look at beside it.
pub(crate) struct Vectors<'a> {
    pub(crate) columns: &'a [ArrayRef],
    pub(crate) forms: &'a [Form],
    pub(crate) rows: usize,
    pub(crate) context: EvalContext<'a>,
}

/// Wraps an error for its way through DataFusion.
pub(crate) fn outward(error: SqlError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl Vectors<'_> {
    /// The values of a program as an array of a form.
    pub(crate) fn array(&self, program: &Program, form: Form) -> Result<ArrayRef> {
        match self.column(&program.root)? {
            Column::Array(array, known) if known == form => Ok(array),
            Column::Array(array, known) => {
                let reader = Reader::new(&array, known);
                self.build(form, |row| Ok(reader.get(row)))
            }
            Column::Datums(values) => self.build(form, |row| Ok(values[row].clone())),
            Column::Constant(value) => self.build(form, |_| Ok(value.clone())),
        }
    }

    fn build(&self, form: Form, mut value: impl FnMut(usize) -> Result<Datum>) -> Result<ArrayRef> {
        let mut builder = ArrayBuilder::new(form, self.rows);
        for row in 0..self.rows {
            builder.push(&value(row)?).map_err(outward)?;
        }
        Ok(builder.finish())
    }

    fn column(&self, node: &Node) -> Result<Column> {
        match node {
            Node::Slot(slot) => Ok(Column::Array(self.columns[*slot].clone(), self.forms[*slot])),
            Node::Literal(value) => Ok(Column::Constant(value.clone())),
            Node::Parameter(_) | Node::Outer(_) => self.constant(node),
            Node::Compare {
                comparison,
                left,
                right,
            } => {
                let (left, right) = (self.column(left)?, self.column(right)?);
                self.compare(*comparison, left, right)
            }
            Node::Int4 { operation, left, right } => {
                let (left, right) = (self.column(left)?, self.column(right)?);
                self.arithmetic::<Int32Type>(*operation, left, right, Form::Int4, node)
            }
            Node::Int8 { operation, left, right } => {
                let (left, right) = (self.column(left)?, self.column(right)?);
                self.arithmetic::<Int64Type>(*operation, left, right, Form::Int8, node)
            }
            Node::And(operands) if operands.iter().skip(1).all(cannot_raise) => self.kleene(operands, true),
            Node::Or(operands) if operands.iter().skip(1).all(cannot_raise) => self.kleene(operands, false),
            Node::Not(operand) => match self.column(operand)? {
                Column::Array(array, Form::Bool) => bools(boolean::not(array.as_boolean())?),
                _ => self.row_by_row(node),
            },
            Node::IsNull { operand, negated } => match self.column(operand)? {
                Column::Array(array, form) if form != Form::Stored => bools(if *negated {
                    boolean::is_not_null(&array)?
                } else {
                    boolean::is_null(&array)?
                }),
                _ => self.row_by_row(node),
            },
            Node::Call(call) if call.memo.is_none() => self.call(call),
            _ => self.row_by_row(node),
        }
    }

    fn constant(&self, node: &Node) -> Result<Column> {
        let program = Program::of_node(node.clone());
        Ok(Column::Constant(program.eval(&[], &self.context).map_err(outward)?))
    }

    /// Computes a subtree by the row evaluator.
    fn row_by_row(&self, node: &Node) -> Result<Column> {
        let program = Program::of_node(node.clone());
        let mut used = Vec::new();
        node.for_each_slot(&mut |slot| {
            if !used.contains(&slot) {
                used.push(slot);
            }
        });
        let readers: Vec<(usize, Reader<'_>)> = used
            .iter()
            .map(|slot| (*slot, Reader::new(&self.columns[*slot], self.forms[*slot])))
            .collect();
        let mut row = vec![Datum::Null; self.columns.len()];
        let mut state = EvalState::default();
        let mut values = Vec::with_capacity(self.rows);
        for index in 0..self.rows {
            for (slot, reader) in &readers {
                row[*slot] = reader.get(index);
            }
            values.push(program.eval_with(&row, &self.context, &mut state).map_err(outward)?);
        }
        Ok(Column::Datums(values))
    }

    fn compare(&self, comparison: Comparison, left: Column, right: Column) -> Result<Column> {
        if let Some(result) = self.compare_arrays(comparison, &left, &right)? {
            return bools(result);
        }
        let (left, right) = (Values::of(&left), Values::of(&right));
        let result: BooleanArray = (0..self.rows)
            .map(|row| {
                let (left, right) = (left.get(row), right.get(row));
                (!left.is_null() && !right.is_null()).then(|| comparison.holds(compare(&left, &right)))
            })
            .collect();
        bools(result)
    }

    /// Compares by Arrow's kernels if both sides have the same ordered form.
    fn compare_arrays(&self, comparison: Comparison, left: &Column, right: &Column) -> Result<Option<BooleanArray>> {
        if let (Some(left), Some(right)) = (Operand::of(left), Operand::of(right)) {
            return Ok(Some(decimal::compare(comparison, &left, &right, self.rows)));
        }
        let single = |value: &Datum, form: Form| -> Option<ArrayRef> {
            let mut builder = ArrayBuilder::new(form, 1);
            builder.push(value).ok()?;
            Some(builder.finish())
        };
        let (result, _kept);
        match (left, right) {
            (Column::Array(left, form), Column::Array(right, other)) if form == other && form.is_ordered() => {
                result = kernel(comparison, left, right)?;
            }
            (Column::Array(array, form), Column::Constant(value)) if form.is_ordered() => {
                let Some(constant) = single(value, *form) else {
                    return Ok(None);
                };
                _kept = arrow::array::Scalar::new(constant);
                result = kernel(comparison, array, &_kept)?;
            }
            (Column::Constant(value), Column::Array(array, form)) if form.is_ordered() => {
                let Some(constant) = single(value, *form) else {
                    return Ok(None);
                };
                _kept = arrow::array::Scalar::new(constant);
                result = kernel(comparison, &_kept, array)?;
            }
            _ => return Ok(None),
        }
        Ok(Some(result))
    }

    fn arithmetic<T: ArrowPrimitiveType>(
        &self,
        operation: Arithmetic,
        left: Column,
        right: Column,
        form: Form,
        node: &Node,
    ) -> Result<Column> {
        let operand = |column: &Column| -> Option<(ArrayRef, bool)> {
            match column {
                Column::Array(array, known) if *known == form => Some((array.clone(), false)),
                Column::Constant(value) => {
                    let mut builder = ArrayBuilder::new(form, 1);
                    builder.push(value).ok()?;
                    Some((builder.finish(), true))
                }
                _ => None,
            }
        };
        let (Some((left, left_single)), Some((right, right_single))) = (operand(&left), operand(&right)) else {
            return self.row_by_row(node);
        };
        if left_single && right_single {
            return self.row_by_row(node);
        }
        let apply = |left: &dyn arrow::array::Datum, right: &dyn arrow::array::Datum| match operation {
            Arithmetic::Add => numeric::add(left, right),
            Arithmetic::Subtract => numeric::sub(left, right),
            Arithmetic::Multiply => numeric::mul(left, right),
        };
        let result = match (left_single, right_single) {
            (true, _) => apply(&arrow::array::Scalar::new(left), &right.as_primitive::<T>()),
            (_, true) => apply(&left.as_primitive::<T>(), &arrow::array::Scalar::new(right)),
            _ => apply(&left.as_primitive::<T>(), &right.as_primitive::<T>()),
        };
        match result {
            Ok(array) => Ok(Column::Array(array, form)),
            Err(ArrowError::ArithmeticOverflow(_)) => {
                let text = if form == Form::Int4 {
                    "integer out of range"
                } else {
                    "bigint out of range"
                };
                Err(outward(SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, text)))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn kleene(&self, operands: &[Node], is_and: bool) -> Result<Column> {
        let mut result: Option<BooleanArray> = None;
        for operand in operands {
            let array = match self.column(operand)? {
                Column::Array(array, Form::Bool) => array.as_boolean().clone(),
                other => {
                    let values = Values::of(&other);
                    (0..self.rows).map(|row| values.get(row).as_bool()).collect()
                }
            };
            result = Some(match result {
                None => array,
                Some(known) if is_and => boolean::and_kleene(&known, &array)?,
                Some(known) => boolean::or_kleene(&known, &array)?,
            });
        }
        bools(result.unwrap_or_else(|| BooleanArray::from(vec![is_and; self.rows])))
    }

    /// A call for all rows: arguments as columns, then the function row by row, without walking the tree again.
    fn call(&self, call: &Call) -> Result<Column> {
        let args = call
            .args
            .iter()
            .map(|arg| self.column(arg))
            .collect::<Result<Vec<_>>>()?;
        if let Some(column) = self.shortcut(call, &args)? {
            return Ok(column);
        }
        let values: Vec<Values<'_>> = args.iter().map(Values::of).collect();
        let types = CallTypes {
            args: &call.types,
            result: call.result,
        };
        let mut context = CallContext {
            types,
            session: self.context.session,
        };
        let mut row_args: Vec<Datum> = Vec::with_capacity(values.len());
        let mut results = Vec::with_capacity(self.rows);
        for row in 0..self.rows {
            row_args.clear();
            row_args.extend(values.iter().map(|value| value.get(row)));
            if call.strict && row_args.iter().any(Datum::is_null) {
                results.push(Datum::Null);
            } else {
                results.push((call.body)(&mut context, &row_args).map_err(outward)?);
            }
        }
        Ok(Column::Datums(results))
    }

    /// Common functions over arrays.
    fn shortcut(&self, call: &Call, args: &[Column]) -> Result<Option<Column>> {
        let operation = match call.function.name {
            "numeric_add" => Some(Operation::Add),
            "numeric_sub" => Some(Operation::Subtract),
            "numeric_mul" => Some(Operation::Multiply),
            _ => None,
        };
        if let (Some(operation), [left, right]) = (operation, args)
            && let (Some(left), Some(right)) = (Operand::of(left), Operand::of(right))
        {
            let array = operation.apply(&left, &right, self.rows);
            let array = array.map_err(|error| outward(error.into()))?;
            return Ok(Some(Column::Array(array, Form::Numeric)));
        }
        match (call.function.name, args) {
            ("float8pl", [Column::Array(left, Form::Float8), Column::Array(right, Form::Float8)]) => {
                self.floats(left, right, |left, right| left + right)
            }
            ("float8mi", [Column::Array(left, Form::Float8), Column::Array(right, Form::Float8)]) => {
                self.floats(left, right, |left, right| left - right)
            }
            ("jsonb_object_field_text", [Column::Array(array, Form::Jsonb), Column::Constant(Datum::Text(key))]) => {
                let mut builder = arrow::array::StringBuilder::with_capacity(self.rows, self.rows * 16);
                for document in array.as_binary::<i32>() {
                    match document
                        .and_then(|bytes| JsonRef::from_trusted_bytes(bytes).get(key))
                        .and_then(JsonRef::to_text)
                    {
                        Some(text) => builder.append_value(text),
                        None => builder.append_null(),
                    }
                }
                Ok(Some(Column::Array(Arc::new(builder.finish()), Form::Text)))
            }
            ("jsonb_object_field", [Column::Array(array, Form::Jsonb), Column::Constant(Datum::Text(key))]) => {
                let mut builder = arrow::array::BinaryBuilder::with_capacity(self.rows, self.rows * 16);
                for document in array.as_binary::<i32>() {
                    match document.and_then(|bytes| JsonRef::from_trusted_bytes(bytes).get(key)) {
                        Some(value) => builder.append_value(value.as_bytes()),
                        None => builder.append_null(),
                    }
                }
                Ok(Some(Column::Array(Arc::new(builder.finish()), Form::Jsonb)))
            }
            _ => Ok(None),
        }
    }

    /// Float arithmetic, unless some result leaves the finite numbers: then the function itself decides, row by row.
    fn floats(&self, left: &ArrayRef, right: &ArrayRef, operation: impl Fn(f64, f64) -> f64) -> Result<Option<Column>> {
        let (left, right) = (left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>());
        let result: PrimitiveArray<Float64Type> = arrow::compute::binary(left, right, operation)?;
        if result.iter().flatten().any(|value| !value.is_finite()) {
            return Ok(None);
        }
        Ok(Some(Column::Array(Arc::new(result), Form::Float8)))
    }
}

fn kernel(
    comparison: Comparison,
    left: &dyn arrow::array::Datum,
    right: &dyn arrow::array::Datum,
) -> Result<BooleanArray> {
    Ok(match comparison {
        Comparison::Equal => cmp::eq(left, right)?,
        Comparison::NotEqual => cmp::neq(left, right)?,
        Comparison::Less => cmp::lt(left, right)?,
        Comparison::LessOrEqual => cmp::lt_eq(left, right)?,
        Comparison::Greater => cmp::gt(left, right)?,
        Comparison::GreaterOrEqual => cmp::gt_eq(left, right)?,
    })
}

fn bools(array: BooleanArray) -> Result<Column> {
    Ok(Column::Array(Arc::new(array), Form::Bool))
}

/// Whether evaluating a node for a row that would not have needed it is harmless.
fn cannot_raise(node: &Node) -> bool {
    match node {
        Node::Literal(_) | Node::Parameter(_) | Node::Slot(_) | Node::Outer(_) => true,
        Node::Compare { left, right, .. } => cannot_raise(left) && cannot_raise(right),
        Node::And(operands) | Node::Or(operands) => operands.iter().all(cannot_raise),
        Node::Not(operand) | Node::IsNull { operand, .. } | Node::IsTruth { operand, .. } => cannot_raise(operand),
        _ => false,
    }
}

/// Values of a column, one by one.
enum Values<'a> {
    Array(Reader<'a>),
    Datums(&'a [Datum]),
    Constant(&'a Datum),
}

impl<'a> Values<'a> {
    fn of(column: &'a Column) -> Self {
        match column {
            Column::Array(array, form) => Values::Array(Reader::new(array, *form)),
            Column::Datums(values) => Values::Datums(values),
            Column::Constant(value) => Values::Constant(value),
        }
    }

    fn get(&self, row: usize) -> Datum {
        match self {
            Values::Array(reader) => reader.get(row),
            Values::Datums(values) => values[row].clone(),
            Values::Constant(value) => (*value).clone(),
        }
    }
}
