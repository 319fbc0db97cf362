//! Filter: rows for which every condition is true.

use std::sync::Arc;

use async_trait::async_trait;

use crate::SqlResult;
use crate::eval::{Layout, Program};
use crate::relational::batch::Batch;
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Runtime};

/// A compiled filter.
#[derive(Debug)]
pub struct FilterPlan {
    /// Input.
    pub input: Arc<dyn Plan>,
    /// Conditions, in order.
    pub conditions: Vec<Program>,
    /// Their subqueries.
    pub subplans: SubPlans,
}

impl Plan for FilterPlan {
    fn layout(&self) -> &Layout {
        self.input.layout()
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let input = self.input.clone().open(runtime, frame)?;
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        Ok(Box::new(FilterOperator {
            plan: self,
            input,
            evaluator,
            pending: Batch::default(),
            position: 0,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        vec![self.input.clone()]
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct FilterOperator {
    plan: Arc<FilterPlan>,
    input: Box<dyn Operator>,
    evaluator: Evaluator,
    /// Input rows not yet looked at, from `position` on.
    pending: Batch,
    position: usize,
}

#[async_trait]
impl Operator for FilterOperator {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let mut out = Batch::new(self.plan.layout().width());
        loop {
            while self.position < self.pending.len() {
                let row = self.pending.row(self.position);
                self.position += 1;
                let mut passes = true;
                for condition in &self.plan.conditions {
                    if !self.evaluator.is_true(condition, row).await? {
                        passes = false;
                        break;
                    }
                }
                if passes {
                    out.push_slice(row);
                    if out.len() == rows_max {
                        return Ok(Some(out));
                    }
                }
            }
            if !out.is_empty() {
                return Ok(Some(out));
            }
            self.evaluator.runtime.breathe().await?;
            match self.input.next(rows_max).await? {
                Some(batch) => {
                    self.pending = batch;
                    self.position = 0;
                }
                None => return Ok(None),
            }
        }
    }
}
