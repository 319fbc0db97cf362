//! VALUES, and the one row without columns that a SELECT without FROM reads.

use std::sync::Arc;

use async_trait::async_trait;

use crate::SqlResult;
use crate::eval::{Layout, Program};
use crate::relational::batch::Batch;
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Runtime};

/// Compiled constant rows.
#[derive(Debug)]
pub struct ValuesPlan {
    /// Rows.
    pub rows: Vec<Vec<Program>>,
    /// Their subqueries.
    pub subplans: SubPlans,
    /// Output.
    pub layout: Layout,
}

impl Plan for ValuesPlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        Ok(Box::new(ValuesOperator {
            plan: self,
            evaluator,
            position: 0,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        Vec::new()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct ValuesOperator {
    plan: Arc<ValuesPlan>,
    evaluator: Evaluator,
    position: usize,
}

#[async_trait]
impl Operator for ValuesOperator {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        self.evaluator.runtime.check()?;
        let plan = self.plan.clone();
        let rows = &plan.rows[self.position..];
        let count = rows.len().min(rows_max);
        if count == 0 {
            return Ok(None);
        }
        let width = plan.layout.width();
        let mut values = Vec::with_capacity(count * width);
        for row in &rows[..count] {
            self.evaluator.eval_into(row, &[], &mut values).await?;
        }
        self.position += count;
        Ok(Some(Batch::from_values(width, count, values)))
    }
}
