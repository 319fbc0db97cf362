//! Aggregate calls: arguments, FILTER, DISTINCT and ORDER BY around a function's accumulator.

use ahash::AHashSet;
use storage::Datum;

use crate::eval::order::{KeyValues, compare};
use crate::eval::{EvalContext, Program, SessionView};
use crate::functions::{Accumulator, Body, CallTypes, Function};
use crate::relational::batch::datum_size;
use crate::relational::evaluator::Evaluator;
use crate::relational::operators::sort::{KeyProgram, compare_keys};
use crate::{SqlResult, Type};

/// A compiled aggregate call.
#[derive(Clone, Debug)]
pub struct AggregateProgram {
    /// The function.
    pub function: &'static Function,
    /// Makes a fresh accumulator.
    pub make: fn(&CallTypes<'_>) -> Box<dyn Accumulator>,
    /// Argument programs.
    pub args: Vec<Program>,
    /// Argument types.
    pub arg_types: Vec<Type>,
    /// Result type.
    pub result: Type,
    /// DISTINCT
    pub distinct: bool,
    /// ORDER BY inside of the call.
    pub order: Vec<KeyProgram>,
    /// FILTER
    pub filter: Option<Program>,
    /// Whether rows are only counted: count(*) and count(x).
    pub counts: bool,
}

impl AggregateProgram {
    /// The accumulator maker of an aggregate function.
    pub fn maker(function: &'static Function) -> Option<fn(&CallTypes<'_>) -> Box<dyn Accumulator>> {
        match function.body {
            Body::Aggregate(make) => Some(make),
            Body::Scalar(_) | Body::Set(_) | Body::Rows(_) | Body::Window => None,
        }
    }

    /// Arguments of one row, followed by the sort keys; `None` if the row does not count.
    pub async fn arguments(&self, evaluator: &mut Evaluator, row: &[Datum]) -> SqlResult<Option<Vec<Datum>>> {
        if let Some(filter) = &self.filter
            && !evaluator.is_true(filter, row).await?
        {
            return Ok(None);
        }
        let mut values = Vec::with_capacity(self.args.len() + self.order.len());
        evaluator.eval_into(&self.args, row, &mut values).await?;
        if self.function.strict && values.iter().any(Datum::is_null) {
            return Ok(None);
        }
        for key in &self.order {
            values.push(evaluator.eval(&key.value, row).await?);
        }
        Ok(Some(values))
    }

    fn is_buffered(&self) -> bool {
        self.distinct || !self.order.is_empty()
    }

    fn accumulator(&self) -> Box<dyn Accumulator> {
        (self.make)(&CallTypes {
            args: &self.arg_types,
            result: self.result,
        })
    }
}

/// State of one aggregate over one group.
pub enum GroupState {
    /// Rows counted.
    Count(i64),
    /// Rows fed as they come.
    Direct(Box<dyn Accumulator>),
    /// Rows kept until the end, because they have to be sorted or made distinct first.
    Buffered {
        /// Arguments and sort keys of each row.
        rows: Vec<Vec<Datum>>,
        /// Rows already seen (DISTINCT).
        seen: AHashSet<KeyValues>,
    },
}

impl GroupState {
    /// An empty state.
    pub fn new(aggregate: &AggregateProgram) -> Self {
        if aggregate.is_buffered() {
            GroupState::Buffered {
                rows: Vec::new(),
                seen: AHashSet::new(),
            }
        } else if aggregate.counts {
            GroupState::Count(0)
        } else {
            GroupState::Direct(aggregate.accumulator())
        }
    }

    /// Adds a row's arguments; returns the bytes it holds more.
    pub fn add(&mut self, aggregate: &AggregateProgram, args: &[Datum], session: &dyn SessionView) -> SqlResult<usize> {
        match self {
            GroupState::Count(count) => {
                *count += 1;
                Ok(0)
            }
            GroupState::Direct(accumulator) => {
                // Only accumulators that keep what they see grow; asking each time would cost more than it tells.
                accumulator.add_with(session, args)?;
                Ok(if aggregate.keeps_rows() {
                    args.iter().map(datum_size).sum()
                } else {
                    0
                })
            }
            GroupState::Buffered { rows, seen } => {
                let count = aggregate.args.len();
                if aggregate.distinct && !seen.insert(KeyValues::of(&args[..count])) {
                    return Ok(0);
                }
                rows.push(args.to_vec());
                Ok(args.iter().map(datum_size).sum::<usize>() * if aggregate.distinct { 2 } else { 1 })
            }
        }
    }

    /// The result.
    pub fn finish(&mut self, aggregate: &AggregateProgram, context: &EvalContext<'_>) -> SqlResult<Datum> {
        match self {
            GroupState::Count(count) => Ok(Datum::Int8(*count)),
            GroupState::Direct(accumulator) => accumulator.finish(),
            GroupState::Buffered { rows, .. } => {
                let count = aggregate.args.len();
                if aggregate.order.is_empty() {
                    // DISTINCT sorts by the arguments, as PostgreSQL does: array_agg(DISTINCT x) comes out sorted.
                    rows.sort_by(|left, right| {
                        left.iter()
                            .zip(right)
                            .map(|(left, right)| compare(left, right))
                            .find(|ordering| ordering.is_ne())
                            .unwrap_or(std::cmp::Ordering::Equal)
                    });
                } else {
                    rows.sort_by(|left, right| compare_keys(&left[count..], &right[count..], &aggregate.order));
                }
                let mut accumulator = aggregate.accumulator();
                for row in rows.iter() {
                    accumulator.add_with(context.session, &row[..count])?;
                }
                accumulator.finish()
            }
        }
    }
}

impl AggregateProgram {
    /// Whether the order in which rows come makes a difference to the result.
    pub(crate) fn depends_on_order(&self) -> bool {
        self.keeps_rows() && !self.is_buffered()
    }

    fn keeps_rows(&self) -> bool {
        self.function.name.ends_with("agg")
    }
}
