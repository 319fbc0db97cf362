//! UNION, INTERSECT and EXCEPT, with and without ALL.

use std::sync::Arc;

use ahash::AHashMap;
use async_trait::async_trait;

use crate::SqlResult;
use crate::bound::SetKind;
use crate::eval::order::KeyValues;
use crate::eval::{Layout, Program};
use crate::relational::batch::{BATCH_ROWS, Batch};
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Reservation, Runtime};

/// A compiled set operation. Both inputs give the output's columns, in order, and nothing else.
#[derive(Debug)]
pub struct SetOperationPlan {
    /// Which.
    pub kind: SetKind,
    /// ALL
    pub all: bool,
    /// Left input.
    pub left: Arc<dyn Plan>,
    /// Right input.
    pub right: Arc<dyn Plan>,
    /// What makes rows equal, over a row of either side.
    pub keys: Vec<Program>,
    /// Output.
    pub layout: Layout,
}

impl Plan for SetOperationPlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let left = self.left.clone().open(runtime, frame)?;
        let right = self.right.clone().open(runtime, frame)?;
        let evaluator = Evaluator::new(runtime, frame, &SubPlans::default());
        Ok(Box::new(SetOperation {
            plan: self,
            left: Some(left),
            right: Some(right),
            evaluator,
            counts: AHashMap::new(),
            reservation: Reservation::new(runtime),
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        vec![self.left.clone(), self.right.clone()]
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct SetOperation {
    plan: Arc<SetOperationPlan>,
    left: Option<Box<dyn Operator>>,
    right: Option<Box<dyn Operator>>,
    evaluator: Evaluator,
    /// UNION: rows given. INTERSECT and EXCEPT: how often a row is on the right, and (distinct) whether it was decided.
    counts: AHashMap<KeyValues, u64>,
    reservation: Reservation,
}

/// Marks a row of a distinct operation that was already given or refused.
const DECIDED: u64 = u64::MAX;

#[async_trait]
impl Operator for SetOperation {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let (kind, all) = (self.plan.kind, self.plan.all);
        if kind != SetKind::Union {
            self.count_right().await?;
        }
        loop {
            self.evaluator.runtime.breathe().await?;
            let Some(batch) = self.draw(rows_max).await? else {
                return Ok(None);
            };
            if kind == SetKind::Union && all {
                return Ok(Some(batch));
            }
            let mut out = Batch::new(batch.width());
            for row in batch.rows() {
                let key = self.key(row).await?;
                let passes = match (kind, all) {
                    (SetKind::Union, _) => self.counts.insert(key, DECIDED).is_none(),
                    (SetKind::Intersect, true) => match self.counts.get_mut(&key) {
                        Some(count) if *count > 0 => {
                            *count -= 1;
                            true
                        }
                        _ => false,
                    },
                    (SetKind::Intersect, false) => match self.counts.get_mut(&key) {
                        Some(count) if *count != DECIDED => {
                            *count = DECIDED;
                            true
                        }
                        _ => false,
                    },
                    (SetKind::Except, true) => match self.counts.get_mut(&key) {
                        Some(count) if *count > 0 => {
                            *count -= 1;
                            false
                        }
                        _ => true,
                    },
                    // What is on the right, and what was given before, has an entry.
                    (SetKind::Except, false) => match self.counts.entry(key) {
                        std::collections::hash_map::Entry::Occupied(_) => false,
                        std::collections::hash_map::Entry::Vacant(entry) => {
                            entry.insert(DECIDED);
                            true
                        }
                    },
                };
                if passes {
                    out.push_slice(row);
                }
            }
            if !all {
                self.reservation.grow(out.size())?;
            }
            if !out.is_empty() {
                return Ok(Some(out));
            }
        }
    }
}

impl SetOperation {
    /// Rows of the left input; of UNION then those of the right one.
    async fn draw(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        if let Some(left) = &mut self.left {
            if let Some(batch) = left.next(rows_max).await? {
                return Ok(Some(batch));
            }
            self.left = None;
        }
        match &mut self.right {
            Some(right) => right.next(rows_max).await,
            None => Ok(None),
        }
    }

    async fn key(&mut self, row: &[storage::Datum]) -> SqlResult<KeyValues> {
        let mut values = Vec::with_capacity(self.plan.keys.len());
        let plan = self.plan.clone();
        self.evaluator.eval_into(&plan.keys, row, &mut values).await?;
        Ok(values.into_iter().collect())
    }

    async fn count_right(&mut self) -> SqlResult<()> {
        let Some(mut right) = self.right.take() else {
            return Ok(());
        };
        while let Some(batch) = right.next(BATCH_ROWS).await? {
            self.reservation.grow(batch.size())?;
            for row in batch.rows() {
                let key = self.key(row).await?;
                *self.counts.entry(key).or_insert(0) += 1;
            }
            self.evaluator.runtime.breathe().await?;
        }
        Ok(())
    }
}
