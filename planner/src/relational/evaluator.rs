//! Evaluator: programs of one operator in one run, with the subqueries in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use storage::Datum;

use crate::SqlResult;
use crate::eval::{EvalState, Program, SubqueryCall, SubqueryRows};
use crate::relational::batch::BATCH_ROWS;
use crate::relational::plan::Plan;
use crate::relational::runtime::{Frame, Reservation, Runtime};

/// A planned subquery of an expression.
#[derive(Debug)]
pub struct SubPlan {
    /// The plan.
    pub plan: Arc<dyn Plan>,
    /// Where the output columns are in the plan's rows.
    pub slots: Vec<usize>,
    /// Whether its rows depend on nothing but the outer values, so that they may be kept for the statement.
    pub keep: bool,
    /// Number under which the rows are kept for the whole statement: set if nothing at all is taken from outside.
    pub once: Option<usize>,
}

/// A number for a plan whose rows are shared within a statement.
pub(crate) fn next_plan_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Subqueries of one operator's expressions.
pub type SubPlans = Arc<[SubPlan]>;

/// Evaluates programs of one operator in one run.
pub struct Evaluator {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) frame: Frame,
    subplans: SubPlans,
    state: EvalState,
    reservation: Reservation,
}

impl Evaluator {
    /// An evaluator for one run.
    pub fn new(runtime: &Arc<Runtime>, frame: &Frame, subplans: &SubPlans) -> Self {
        Self {
            runtime: runtime.clone(),
            frame: frame.clone(),
            subplans: subplans.clone(),
            state: EvalState::default(),
            reservation: Reservation::new(runtime),
        }
    }

    /// The value of a program over a row.
    pub async fn eval(&mut self, program: &Program, row: &[Datum]) -> SqlResult<Datum> {
        if !program.has_subquery() {
            return program.eval_with(row, &self.runtime.eval_context(&self.frame), &mut self.state);
        }
        loop {
            let context = self.runtime.eval_context(&self.frame);
            match program.eval_with(row, &context, &mut self.state) {
                Ok(value) => {
                    self.state.end_row();
                    return Ok(value);
                }
                Err(error) => match self.state.pending() {
                    Some(call) => self.answer(call).await?,
                    None => {
                        self.state.end_row();
                        return Err(error);
                    }
                },
            }
        }
    }

    /// Whether a condition is true for a row.
    pub async fn is_true(&mut self, program: &Program, row: &[Datum]) -> SqlResult<bool> {
        if !program.has_subquery() {
            return program.is_true(row, &self.runtime.eval_context(&self.frame), &mut self.state);
        }
        Ok(matches!(self.eval(program, row).await?, Datum::Bool(true)))
    }

    /// The values of programs over a row, appended to `out`.
    pub async fn eval_into(&mut self, programs: &[Program], row: &[Datum], out: &mut Vec<Datum>) -> SqlResult<()> {
        for program in programs {
            out.push(self.eval(program, row).await?);
        }
        Ok(())
    }

    async fn answer(&mut self, call: SubqueryCall) -> SqlResult<()> {
        let subplan = &self.subplans[call.index];
        if let Some(number) = subplan.once {
            let known = self.runtime.once.lock().get(&number).cloned();
            if let Some(rows) = known {
                self.state.resolve(call, rows);
                return Ok(());
            }
        }
        let frame = self.frame.with_outer(call.outer.clone());
        let mut operator = subplan.plan.clone().open(&self.runtime, &frame)?;
        let wanted = call.rows_wanted.unwrap_or(usize::MAX);
        let mut rows = Vec::new();
        while rows.len() < wanted {
            let Some(batch) = operator.next(BATCH_ROWS.min(wanted - rows.len())).await? else {
                break;
            };
            self.reservation.grow(batch.size())?;
            for row in batch.rows() {
                rows.push(subplan.slots.iter().map(|slot| row[*slot].clone()).collect());
            }
            self.runtime.breathe().await?;
        }
        let rows = SubqueryRows::new(rows, subplan.keep);
        if let Some(number) = subplan.once {
            self.runtime.once.lock().insert(number, rows.clone());
        }
        self.state.resolve(call, rows);
        Ok(())
    }
}
