//! LIMIT and OFFSET, with FETCH's WITH TIES.

use std::cmp::Ordering;
use std::sync::Arc;

use async_trait::async_trait;
use storage::Datum;

use crate::eval::order::{compare, integer};
use crate::eval::{Layout, Program};
use crate::relational::batch::{BATCH_ROWS, Batch};
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Runtime};
use crate::{SqlError, SqlResult, SqlState};

/// A compiled LIMIT.
#[derive(Debug)]
pub struct LimitPlan {
    /// Input.
    pub input: Arc<dyn Plan>,
    /// Rows wanted.
    pub limit: Option<Program>,
    /// Rows skipped.
    pub offset: Option<Program>,
    /// Keys by which rows tie with the last one (WITH TIES).
    pub ties: Option<Vec<Program>>,
    /// Subqueries of all of these.
    pub subplans: SubPlans,
}

impl Plan for LimitPlan {
    fn layout(&self) -> &Layout {
        self.input.layout()
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let input = self.input.clone().open(runtime, frame)?;
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        Ok(Box::new(LimitOperator {
            plan: self,
            input,
            evaluator,
            bounds: None,
            last: None,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        vec![self.input.clone()]
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct LimitOperator {
    plan: Arc<LimitPlan>,
    input: Box<dyn Operator>,
    evaluator: Evaluator,
    /// Rows still to skip, and still to give.
    bounds: Option<(u64, u64)>,
    /// Keys of the last row given, for ties.
    last: Option<Vec<Datum>>,
}

/// The value of a LIMIT or OFFSET clause; NULL is as if it were not there.
pub(crate) async fn row_count(
    evaluator: &mut Evaluator,
    program: Option<&Program>,
    is_offset: bool,
) -> SqlResult<Option<u64>> {
    let Some(program) = program else { return Ok(None) };
    let Some(value) = integer(&evaluator.eval(program, &[]).await?) else {
        return Ok(None);
    };
    u64::try_from(value).map(Some).map_err(|_| {
        if is_offset {
            SqlError::new(SqlState::INVALID_ROW_COUNT_IN_OFFSET, "OFFSET must not be negative")
        } else {
            SqlError::new(SqlState::INVALID_ROW_COUNT_IN_LIMIT, "LIMIT must not be negative")
        }
    })
}

#[async_trait]
impl Operator for LimitOperator {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let plan = self.plan.clone();
        let (mut skip, mut give) = match self.bounds {
            Some(bounds) => bounds,
            None => {
                let skip = row_count(&mut self.evaluator, plan.offset.as_ref(), true)
                    .await?
                    .unwrap_or(0);
                let give = row_count(&mut self.evaluator, plan.limit.as_ref(), false)
                    .await?
                    .unwrap_or(u64::MAX);
                if give == 0 {
                    self.bounds = Some((0, 0));
                    return Ok(None);
                }
                (skip, give)
            }
        };
        while skip > 0 {
            let Some(batch) = self
                .input
                .next(BATCH_ROWS.min(usize::try_from(skip).unwrap_or(BATCH_ROWS)))
                .await?
            else {
                self.bounds = Some((0, 0));
                self.last = None;
                return Ok(None);
            };
            skip -= batch.len() as u64;
        }
        self.bounds = Some((0, give));
        if give == 0 {
            return self.tied_rows(rows_max).await;
        }
        let wanted = usize::try_from(give).unwrap_or(usize::MAX).min(rows_max);
        let Some(batch) = self.input.next(wanted).await? else {
            self.bounds = Some((0, 0));
            self.last = None;
            return Ok(None);
        };
        give -= batch.len() as u64;
        self.bounds = Some((0, give));
        if let (Some(ties), 0) = (&plan.ties, give) {
            let mut keys = Vec::new();
            self.evaluator
                .eval_into(ties, batch.row(batch.len() - 1), &mut keys)
                .await?;
            self.last = Some(keys);
        }
        Ok(Some(batch))
    }
}

impl LimitOperator {
    /// Rows beyond the limit whose keys equal those of its last row.
    async fn tied_rows(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let plan = self.plan.clone();
        let (Some(last), Some(ties)) = (self.last.clone(), &plan.ties) else {
            return Ok(None);
        };
        let Some(mut batch) = self.input.next(rows_max).await? else {
            self.last = None;
            return Ok(None);
        };
        for index in 0..batch.len() {
            let mut keys = Vec::new();
            self.evaluator.eval_into(ties, batch.row(index), &mut keys).await?;
            if keys
                .iter()
                .zip(&last)
                .any(|(key, last)| compare(key, last) != Ordering::Equal)
            {
                batch.split_off(index);
                self.last = None;
                break;
            }
        }
        Ok((!batch.is_empty()).then_some(batch))
    }
}
