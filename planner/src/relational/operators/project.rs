//! Project: computed columns.

use std::sync::Arc;

use async_trait::async_trait;

use crate::SqlResult;
use crate::eval::{Layout, Program};
use crate::relational::batch::Batch;
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Runtime};

/// A compiled projection.
#[derive(Debug)]
pub struct ProjectPlan {
    /// Input.
    pub input: Arc<dyn Plan>,
    /// Values of the output columns.
    pub values: Vec<Program>,
    /// Their subqueries.
    pub subplans: SubPlans,
    /// Output.
    pub layout: Layout,
    /// What the output is called, if EXPLAIN asks.
    pub output: Option<Vec<String>>,
}

impl Plan for ProjectPlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let input = self.input.clone().open(runtime, frame)?;
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        Ok(Box::new(ProjectOperator {
            plan: self,
            input,
            evaluator,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        vec![self.input.clone()]
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct ProjectOperator {
    plan: Arc<ProjectPlan>,
    input: Box<dyn Operator>,
    evaluator: Evaluator,
}

#[async_trait]
impl Operator for ProjectOperator {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let Some(batch) = self.input.next(rows_max).await? else {
            return Ok(None);
        };
        let mut values = Vec::with_capacity(self.plan.values.len() * batch.len());
        for row in batch.rows() {
            self.evaluator.eval_into(&self.plan.values, row, &mut values).await?;
        }
        Ok(Some(Batch::from_values(self.plan.values.len(), batch.len(), values)))
    }
}
