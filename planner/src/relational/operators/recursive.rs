//! WITH RECURSIVE: the recursive term runs over what the last round gave, until a round gives nothing.

use std::sync::Arc;

use ahash::AHashSet;
use async_trait::async_trait;

use crate::SqlResult;
use crate::bound::CteId;
use crate::eval::order::KeyValues;
use crate::eval::{Layout, Program};
use crate::relational::batch::Batch;
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::operators::cte::CteBuffer;
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Reservation, Runtime};

/// A compiled recursive definition.
#[derive(Debug)]
pub struct RecursivePlan {
    /// The CTE, by which the recursive term reads the working table.
    pub id: CteId,
    /// Non-recursive term.
    pub start: Arc<dyn Plan>,
    /// Recursive term, in the same column order.
    pub step: Arc<dyn Plan>,
    /// UNION ALL rather than UNION.
    pub all: bool,
    /// What makes rows equal (UNION).
    pub keys: Vec<Program>,
    /// Output.
    pub layout: Layout,
}

impl Plan for RecursivePlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let current = self.start.clone().open(runtime, frame)?;
        let evaluator = Evaluator::new(runtime, frame, &SubPlans::default());
        let working = Batch::new(self.layout.width());
        let reservation = Reservation::new(runtime);
        Ok(Box::new(Recursive {
            plan: self,
            evaluator,
            current,
            working,
            seen: AHashSet::new(),
            reservation,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        vec![self.start.clone(), self.step.clone()]
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct Recursive {
    plan: Arc<RecursivePlan>,
    evaluator: Evaluator,
    /// The term that is running.
    current: Box<dyn Operator>,
    /// What it gave so far.
    working: Batch,
    seen: AHashSet<KeyValues>,
    reservation: Reservation,
}

#[async_trait]
impl Operator for Recursive {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let plan = self.plan.clone();
        loop {
            self.evaluator.runtime.breathe().await?;
            let Some(batch) = self.current.next(rows_max).await? else {
                if self.working.is_empty() {
                    return Ok(None);
                }
                let working = std::mem::replace(&mut self.working, Batch::new(plan.layout.width()));
                let mut frame = self.evaluator.frame.clone();
                frame.ctes = frame.ctes.with(plan.id, CteBuffer::full(working));
                self.current = plan.step.clone().open(&self.evaluator.runtime, &frame)?;
                continue;
            };
            let batch = if plan.all { batch } else { self.unseen(batch).await? };
            if !batch.is_empty() {
                self.working.append(batch.clone());
                return Ok(Some(batch));
            }
        }
    }
}

impl Recursive {
    async fn unseen(&mut self, batch: Batch) -> SqlResult<Batch> {
        let plan = self.plan.clone();
        let mut out = Batch::new(batch.width());
        for row in batch.rows() {
            let mut values = Vec::with_capacity(plan.keys.len());
            self.evaluator.eval_into(&plan.keys, row, &mut values).await?;
            if self.seen.insert(values.into_iter().collect()) {
                out.push_slice(row);
            }
        }
        self.reservation.grow(out.size())?;
        Ok(out)
    }
}
