//! Set-returning functions: in the select list (in lockstep, beside the input's columns) and in FROM.

use std::sync::Arc;

use async_trait::async_trait;
use storage::Datum;

use crate::bound::FunctionCall;
use crate::eval::{Layout, Program};
use crate::functions::{Body, CallContext, CallTypes, Function, RowIterator};
use crate::relational::batch::Batch;
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Runtime};
use crate::types::is_row;
use crate::{SqlError, SqlResult, SqlState, Type};

/// A compiled call of a function that gives rows.
#[derive(Debug)]
pub struct SetCall {
    /// The function.
    pub function: &'static Function,
    /// Its arguments.
    pub args: Vec<Program>,
    /// Result type of one row.
    pub result: Type,
    /// Columns of a row.
    pub width: usize,
    /// What becomes of rows of several columns.
    pub shape: Shape,
}

/// What becomes of a row of a function that gives records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// In the select list: one record value.
    Record,
    /// In FROM: a column for each field.
    Columns,
    /// The values are not records.
    Value,
}

impl SetCall {
    /// A call with compiled arguments.
    pub fn new(call: &FunctionCall, args: Vec<Program>, width: usize, is_from: bool) -> Self {
        let gives_records = call.function.columns.len() > 1 || is_row(call.ty.oid);
        let shape = match (is_from, gives_records) {
            (true, true) => Shape::Columns,
            (false, true) if width == 1 => Shape::Record,
            _ => Shape::Value,
        };
        Self {
            function: call.function,
            args,
            result: call.ty,
            width,
            shape,
        }
    }

    /// The rows for one input row.
    pub async fn rows(&self, evaluator: &mut Evaluator, row: &[Datum]) -> SqlResult<RowIterator> {
        let mut args = Vec::with_capacity(self.args.len());
        evaluator.eval_into(&self.args, row, &mut args).await?;
        let is_set = matches!(self.function.body, Body::Set(_) | Body::Rows(_));
        if self.function.strict && args.iter().any(Datum::is_null) {
            // No rows from a set-returning function, one NULL from a scalar one.
            return Ok(match is_set {
                true => Box::new(std::iter::empty()),
                false => Box::new(std::iter::once(Ok(vec![Datum::Null]))),
            });
        }
        let types: Vec<Type> = self.args.iter().map(Program::ty).collect();
        let types = CallTypes {
            args: &types,
            result: self.result,
        };
        let mut context = CallContext {
            types,
            session: &*evaluator.runtime.session,
        };
        match self.function.body {
            Body::Set(body) => Ok(Box::new(body(&mut context, &args)?.into_iter().map(Ok))),
            Body::Rows(body) => body(&mut context, &args),
            Body::Scalar(body) => Ok(Box::new(std::iter::once(Ok(vec![body(&mut context, &args)?])))),
            Body::Aggregate(_) | Body::Window => Err(SqlError::new(
                SqlState::INTERNAL_ERROR,
                format!("function {} does not give rows", self.function.name),
            )),
        }
    }

    /// A row as the plan wants it: one record, or its fields in the width of the column list.
    fn shape(&self, row: Vec<Datum>) -> Vec<Datum> {
        let is_set = matches!(self.function.body, Body::Set(_) | Body::Rows(_));
        // unnest of an array of records gives them whole.
        let is_whole = matches!(row.as_slice(), [Datum::Record(_)]);
        if self.shape == Shape::Record && is_set && !is_whole {
            vec![Datum::Record(row.into())]
        } else {
            self.spread(row)
        }
    }

    /// A row in the width of the column list: a record (`json_to_record(…) AS (…)`, or a scalar function that returns one)
    /// becomes its fields.
    fn spread(&self, mut row: Vec<Datum>) -> Vec<Datum> {
        let is_set = matches!(self.function.body, Body::Set(_) | Body::Rows(_));
        if row.len() == 1
            && (self.width != 1 || (self.shape == Shape::Columns && !is_set))
            && let Datum::Record(fields) = &row[0]
        {
            row = fields.to_vec();
        }
        row.resize(self.width, Datum::Null);
        row
    }
}

/// Compiled set-returning functions beside their input's columns; with an input of one empty row, a function in FROM.
#[derive(Debug)]
pub struct ProjectSetPlan {
    /// Input.
    pub input: Arc<dyn Plan>,
    /// Calls.
    pub calls: Vec<SetCall>,
    /// Subqueries of the arguments.
    pub subplans: SubPlans,
    /// Whether a row number stands last (WITH ORDINALITY).
    pub ordinality: bool,
    /// Output: the input's columns, then the calls'.
    pub layout: Layout,
}

impl Plan for ProjectSetPlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let input = self.input.clone().open(runtime, frame)?;
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        let pending = Vec::new().into_iter();
        Ok(Box::new(ProjectSet {
            plan: self,
            input,
            evaluator,
            pending,
            current: None,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        vec![self.input.clone()]
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Input rows drawn at once: each usually gives several.
const ROWS_PER_DRAW: usize = 64;

struct ProjectSet {
    plan: Arc<ProjectSetPlan>,
    input: Box<dyn Operator>,
    evaluator: Evaluator,
    pending: std::vec::IntoIter<Vec<Datum>>,
    current: Option<Expansion>,
}

/// What the calls gave for one input row.
struct Expansion {
    row: Vec<Datum>,
    sets: Vec<RowIterator>,
    at: i64,
}

#[async_trait]
impl Operator for ProjectSet {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let plan = self.plan.clone();
        let mut out = Batch::new(plan.layout.width());
        let mut values: Vec<Datum> = Vec::with_capacity(plan.layout.width());
        // One set may be longer than anybody waits: it is left for a moment after each batch.
        self.evaluator.runtime.breathe().await?;
        loop {
            if let Some(expansion) = &mut self.current {
                let mut is_done = false;
                while !is_done && out.len() < rows_max {
                    values.clear();
                    values.extend_from_slice(&expansion.row);
                    is_done = true;
                    for (set, call) in expansion.sets.iter_mut().zip(&plan.calls) {
                        match set.next() {
                            Some(row) => {
                                values.extend(call.shape(row?));
                                is_done = false;
                            }
                            None => values.extend(std::iter::repeat_n(Datum::Null, call.width)),
                        }
                    }
                    if is_done {
                        break;
                    }
                    expansion.at += 1;
                    if plan.ordinality {
                        values.push(Datum::Int8(expansion.at));
                    }
                    out.push_slice(&values);
                }
                if out.len() == rows_max {
                    return Ok(Some(out));
                }
                self.current = None;
            }
            self.evaluator.runtime.breathe().await?;
            let row = match self.pending.next() {
                Some(row) => row,
                None => match self.input.next((rows_max - out.len()).min(ROWS_PER_DRAW)).await? {
                    Some(batch) => {
                        self.pending = batch.into_rows().into_iter();
                        continue;
                    }
                    None => return Ok((!out.is_empty()).then_some(out)),
                },
            };
            let mut sets = Vec::with_capacity(plan.calls.len());
            for call in &plan.calls {
                sets.push(call.rows(&mut self.evaluator, &row).await?);
            }
            self.current = Some(Expansion { row, sets, at: 0 });
        }
    }
}
