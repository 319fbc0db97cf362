//! Aggregates of the functions table as DataFusion aggregates, with fast states for the common ones.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Float64Type, Int16Type, Int32Type, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use parking_lot::Mutex;
use storage::{Datum, Numeric};

use crate::relational::accumulate::{AggregateProgram, GroupState};
use crate::relational::columnar::decimal::Sum;
use crate::relational::columnar::expression::RunContext;
use crate::relational::columnar::form::{ArrayBuilder, Form, Reader};
use crate::relational::columnar::vector::outward;
use crate::{SqlError, SqlState};

/// An aggregate call as a DataFusion aggregate over arrays of known forms.
pub(crate) struct AggregateCall {
    /// The call; `None` takes the first value of each group.
    program: Option<AggregateProgram>,
    args: Arc<[Form]>,
    result: Form,
    context: Arc<RunContext>,
    signature: Signature,
}

impl AggregateCall {
    #[allow(
        clippy::new_ret_no_self,
        reason = "DataFusion takes the call in its own wrapper only"
    )]
    pub(crate) fn new(
        program: Option<&AggregateProgram>,
        args: Vec<Form>,
        result: Form,
        context: &Arc<RunContext>,
    ) -> Arc<AggregateUDF> {
        let signature = Signature::variadic_any(Volatility::Volatile);
        let call = Self {
            program: program.cloned(),
            args: args.into(),
            result,
            context: context.clone(),
            signature,
        };
        Arc::new(AggregateUDF::new_from_impl(call))
    }

    fn states(&self) -> States {
        let Some(program) = &self.program else {
            return States::First(Vec::new());
        };
        if program.distinct || !program.order.is_empty() {
            return States::Rows(Vec::new());
        }
        match (program.function.name, &*self.args) {
            ("count", _) => States::Count(Vec::new()),
            ("sum", [Form::Int2 | Form::Int4]) => States::SumInt(Vec::new()),
            ("sum", [Form::Int8]) => States::SumBig {
                sums: Vec::new(),
                is_average: false,
            },
            ("avg", [Form::Int2 | Form::Int4 | Form::Int8]) => States::SumBig {
                sums: Vec::new(),
                is_average: true,
            },
            ("sum", [Form::Numeric]) => States::SumNumeric {
                sums: Vec::new(),
                is_average: false,
            },
            ("avg", [Form::Numeric]) => States::SumNumeric {
                sums: Vec::new(),
                is_average: true,
            },
            ("sum", [Form::Float8]) => States::SumFloat(Vec::new()),
            _ => States::Rows(Vec::new()),
        }
    }
}

impl fmt::Debug for AggregateCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.program)
    }
}

impl PartialEq for AggregateCall {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for AggregateCall {}

impl Hash for AggregateCall {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::hash(self, state);
    }
}

impl AggregateUDFImpl for AggregateCall {
    fn name(&self) -> &str {
        self.program.as_ref().map_or("first", |program| program.function.name)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.data_type())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SingleGroup {
            states: Mutex::new(self.groups_accumulator()),
        }))
    }

    fn state_fields(&self, _: StateFieldsArgs<'_>) -> Result<Vec<arrow::datatypes::FieldRef>> {
        Ok(vec![Arc::new(arrow::datatypes::Field::new(
            "state",
            DataType::Binary,
            true,
        ))])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups_accumulator()))
    }
}

impl AggregateCall {
    fn groups_accumulator(&self) -> Groups {
        Groups {
            states: self.states(),
            program: self.program.clone(),
            args: self.args.clone(),
            result: self.result,
            context: self.context.clone(),
            bytes: 0,
        }
    }
}

/// States of all groups.
enum States {
    Count(Vec<i64>),
    /// sum of smallint and integer: a bigint.
    SumInt(Vec<Option<i64>>),
    /// sum and avg of integers as numeric: exact sum and count.
    SumBig {
        sums: Vec<(i128, i64)>,
        is_average: bool,
    },
    SumFloat(Vec<Option<f64>>),
    SumNumeric {
        sums: Vec<Sum>,
        is_average: bool,
    },
    First(Vec<Option<Datum>>),
    /// Any other aggregate.
    Rows(Vec<GroupState>),
}

struct Groups {
    states: States,
    program: Option<AggregateProgram>,
    args: Arc<[Form]>,
    result: Form,
    context: Arc<RunContext>,
    bytes: usize,
}

/// Calls `visit` with (row, group) of the rows that count.
fn for_each_row(
    groups: &[usize],
    filter: Option<&BooleanArray>,
    mut visit: impl FnMut(usize, usize) -> Result<()>,
) -> Result<()> {
    for (row, group) in groups.iter().enumerate() {
        if filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
            visit(row, *group)?;
        }
    }
    Ok(())
}

fn out_of_range(ty: &str) -> DataFusionError {
    outward(SqlError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("{ty} out of range"),
    ))
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        match &mut self.states {
            States::Count(counts) => {
                counts.resize(total_num_groups, 0);
                // count(*) has a constant argument.
                let nulls = self.args.first().and_then(|_| values[0].nulls());
                for_each_row(group_indices, opt_filter, |row, group| {
                    counts[group] += i64::from(nulls.is_none_or(|nulls| nulls.is_valid(row)));
                    Ok(())
                })
            }
            States::SumInt(sums) => {
                sums.resize(total_num_groups, None);
                let value = integers(&values[0], self.args[0]);
                for_each_row(group_indices, opt_filter, |row, group| {
                    if let Some(value) = value(row) {
                        let sum = sums[group]
                            .unwrap_or(0)
                            .checked_add(value)
                            .ok_or_else(|| out_of_range("bigint"))?;
                        sums[group] = Some(sum);
                    }
                    Ok(())
                })
            }
            States::SumBig { sums, .. } => {
                sums.resize(total_num_groups, (0, 0));
                let value = integers(&values[0], self.args[0]);
                for_each_row(group_indices, opt_filter, |row, group| {
                    if let Some(value) = value(row) {
                        sums[group].0 += i128::from(value);
                        sums[group].1 += 1;
                    }
                    Ok(())
                })
            }
            States::SumFloat(sums) => {
                sums.resize(total_num_groups, None);
                let array = values[0].as_primitive::<Float64Type>();
                for_each_row(group_indices, opt_filter, |row, group| {
                    if array.is_valid(row) {
                        let (value, known) = (array.value(row), sums[group]);
                        let sum = known.map_or(value, |known| known + value);
                        if sum.is_infinite() && !value.is_infinite() && known.is_none_or(f64::is_finite) {
                            return Err(outward(SqlError::new(
                                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                                "value out of range: overflow",
                            )));
                        }
                        sums[group] = Some(sum);
                    }
                    Ok(())
                })
            }
            States::SumNumeric { sums, .. } => {
                sums.resize(total_num_groups, Sum::default());
                let array = values[0].as_binary::<i32>();
                for_each_row(group_indices, opt_filter, |row, group| match array.is_valid(row) {
                    true => sums[group].add(array.value(row)).map_err(|error| outward(error.into())),
                    false => Ok(()),
                })
            }
            States::First(firsts) => {
                firsts.resize(total_num_groups, None);
                let reader = Reader::new(&values[0], self.args[0]);
                for_each_row(group_indices, opt_filter, |row, group| {
                    if firsts[group].is_none() {
                        firsts[group] = Some(reader.get(row));
                    }
                    Ok(())
                })
            }
            States::Rows(states) => {
                let Some(program) = &self.program else { return Ok(()) };
                states.resize_with(total_num_groups, || GroupState::new(program));
                let readers: Vec<Reader<'_>> = values
                    .iter()
                    .zip(&*self.args)
                    .map(|(array, form)| Reader::new(array, *form))
                    .collect();
                let count = program.args.len();
                let mut row_args: Vec<Datum> = Vec::with_capacity(readers.len());
                for_each_row(group_indices, opt_filter, |row, group| {
                    row_args.clear();
                    row_args.extend(readers.iter().map(|reader| reader.get(row)));
                    if !program.function.strict || !row_args[..count].iter().any(Datum::is_null) {
                        self.bytes += states[group]
                            .add(program, &row_args, &*self.context.runtime.session)
                            .map_err(outward)?;
                    }
                    Ok(())
                })
            }
        }
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let context = self.context.runtime.eval_context(&self.context.frame);
        let values: Vec<Datum> = match &mut self.states {
            States::Count(counts) => emit_to.take_needed(counts).into_iter().map(Datum::Int8).collect(),
            States::SumInt(sums) => emit_to.take_needed(sums).into_iter().map(Datum::from).collect(),
            States::SumBig { sums, is_average } => {
                let sums = emit_to.take_needed(sums);
                let values = sums.into_iter().map(|(sum, count)| match (count, *is_average) {
                    (0, _) => Ok(Datum::Null),
                    (_, false) => Ok(Datum::Numeric(Numeric::from_i128(sum))),
                    (_, true) => Numeric::from_i128(sum)
                        .div(&Numeric::from_i64(count))
                        .map(Datum::Numeric),
                });
                values
                    .collect::<std::result::Result<_, _>>()
                    .map_err(|error| outward(SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, error.to_string())))?
            }
            States::SumFloat(sums) => emit_to.take_needed(sums).into_iter().map(Datum::from).collect(),
            States::SumNumeric { sums, is_average } => {
                let sums = emit_to.take_needed(sums);
                let values = sums.iter().map(|sum| sum.finish(*is_average).map(Datum::from));
                values
                    .collect::<std::result::Result<_, _>>()
                    .map_err(|error| outward(error.into()))?
            }
            States::First(firsts) => emit_to
                .take_needed(firsts)
                .into_iter()
                .map(|first| first.unwrap_or(Datum::Null))
                .collect(),
            States::Rows(states) => {
                let Some(program) = &self.program else {
                    return Err(no_program());
                };
                let states = emit_to.take_needed(states);
                let values = states
                    .into_iter()
                    .map(|mut state| state.finish(program, &context).map_err(outward));
                values.collect::<Result<_>>()?
            }
        };
        let mut builder = ArrayBuilder::new(self.result, values.len());
        for value in &values {
            builder.push(value).map_err(outward)?;
        }
        Ok(builder.finish())
    }

    fn state(&mut self, _: EmitTo) -> Result<Vec<ArrayRef>> {
        // Asked for when an aggregation would spill: our accumulators keep values that have no form on disk.
        Err(outward(SqlError::new(SqlState::OUT_OF_MEMORY, "out of memory")))
    }

    fn merge_batch(&mut self, _: &[ArrayRef], _: &[usize], _: usize) -> Result<()> {
        Err(no_program())
    }

    fn convert_to_state(&self, _: &[ArrayRef], _: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        Err(no_program())
    }

    fn size(&self) -> usize {
        let states = match &self.states {
            States::Count(states) => states.len() * 8,
            States::SumInt(states) => states.len() * 16,
            States::SumBig { sums, .. } => sums.len() * 32,
            States::SumFloat(states) => states.len() * 16,
            States::SumNumeric { sums, .. } => size_of_val(sums.as_slice()),
            States::First(states) => states.len() * 64,
            States::Rows(states) => states.len() * 128,
        };
        states + self.bytes
    }
}

fn no_program() -> DataFusionError {
    DataFusionError::Internal("aggregates run in one phase".to_owned())
}

fn integers(array: &ArrayRef, form: Form) -> Box<dyn Fn(usize) -> Option<i64> + '_> {
    match form {
        Form::Int2 => {
            let array = array.as_primitive::<Int16Type>();
            Box::new(move |row| array.is_valid(row).then(|| i64::from(array.value(row))))
        }
        Form::Int4 => {
            let array = array.as_primitive::<Int32Type>();
            Box::new(move |row| array.is_valid(row).then(|| i64::from(array.value(row))))
        }
        _ => {
            let array = array.as_primitive::<Int64Type>();
            Box::new(move |row| array.is_valid(row).then(|| array.value(row)))
        }
    }
}

/// An aggregation without GROUP BY. DataFusion wants it to be shareable, which accumulators are not: hence the lock.
struct SingleGroup {
    states: Mutex<Groups>,
}

impl fmt::Debug for SingleGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.states.lock().program)
    }
}

impl Accumulator for SingleGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |array| array.len());
        self.states.get_mut().update_batch(values, &vec![0; rows], None, 1)
    }

    fn evaluate(&mut self) -> Result<datafusion::common::ScalarValue> {
        // Over no rows there is still one group.
        let states = self.states.get_mut();
        let none: Vec<ArrayRef> = states
            .args
            .iter()
            .map(|form| ArrayBuilder::new(*form, 0).finish())
            .collect();
        states.update_batch(&none, &[], None, 1)?;
        let array = states.evaluate(EmitTo::All)?;
        datafusion::common::ScalarValue::try_from_array(&array, 0)
    }

    fn size(&self) -> usize {
        self.states.lock().size()
    }

    fn state(&mut self) -> Result<Vec<datafusion::common::ScalarValue>> {
        Err(no_program())
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Err(no_program())
    }
}
