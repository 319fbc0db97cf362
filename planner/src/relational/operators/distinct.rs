//! DISTINCT, and DISTINCT ON: the first row of each group in input order.

use std::sync::Arc;

use ahash::AHashSet;
use async_trait::async_trait;
use storage::Datum;

use crate::SqlResult;
use crate::eval::order::KeyValues;
use crate::eval::{Layout, Program};
use crate::relational::batch::{BATCH_ROWS, Batch};
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Reservation, Runtime};

/// A compiled DISTINCT.
#[derive(Debug)]
pub struct DistinctPlan {
    /// Input.
    pub input: Arc<dyn Plan>,
    /// What makes rows equal.
    pub keys: Vec<Program>,
    /// Subqueries of the keys.
    pub subplans: SubPlans,
}

impl Plan for DistinctPlan {
    fn layout(&self) -> &Layout {
        self.input.layout()
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let input = self.input.clone().open(runtime, frame)?;
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        let reservation = Reservation::new(runtime);
        Ok(Box::new(DistinctOperator {
            plan: self,
            input,
            evaluator,
            seen: AHashSet::new(),
            reservation,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        vec![self.input.clone()]
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct DistinctOperator {
    plan: Arc<DistinctPlan>,
    input: Box<dyn Operator>,
    evaluator: Evaluator,
    seen: AHashSet<KeyValues>,
    reservation: Reservation,
}

#[async_trait]
impl Operator for DistinctOperator {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let plan = self.plan.clone();
        loop {
            self.evaluator.runtime.breathe().await?;
            let Some(batch) = self.input.next(rows_max.min(BATCH_ROWS)).await? else {
                return Ok(None);
            };
            let mut out = Batch::new(batch.width());
            for row in batch.rows() {
                let mut keys: Vec<Datum> = Vec::with_capacity(plan.keys.len());
                self.evaluator.eval_into(&plan.keys, row, &mut keys).await?;
                if self.seen.insert(keys.into_iter().collect()) {
                    out.push_slice(row);
                }
            }
            if !out.is_empty() {
                self.reservation.grow(out.size())?;
                return Ok(Some(out));
            }
        }
    }
}
