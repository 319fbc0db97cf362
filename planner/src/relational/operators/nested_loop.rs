//! Joins without an equality: each left row meets each right row.

use std::sync::Arc;

use async_trait::async_trait;

use crate::SqlResult;
use crate::bound::JoinKind;
use crate::eval::{Layout, Program};
use crate::relational::batch::Batch;
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::plan::{Operator, Plan, collect};
use crate::relational::runtime::{Frame, Reservation, Runtime};

/// A compiled nested loop join; the right side is kept in memory.
#[derive(Debug)]
pub struct NestedLoopPlan {
    /// Which join.
    pub kind: JoinKind,
    /// Left input.
    pub left: Arc<dyn Plan>,
    /// Right input.
    pub right: Arc<dyn Plan>,
    /// Conditions over the left row followed by the right row.
    pub on: Vec<Program>,
    /// Their subqueries.
    pub subplans: SubPlans,
    /// Output.
    pub layout: Layout,
}

impl Plan for NestedLoopPlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let left = self.left.clone().open(runtime, frame)?;
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        Ok(Box::new(NestedLoop {
            plan: self,
            left,
            evaluator,
            right: None,
            batch: Batch::default(),
            left_at: 0,
            right_at: 0,
            left_matched: false,
            right_matched: Vec::new(),
            unmatched_at: None,
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

struct NestedLoop {
    plan: Arc<NestedLoopPlan>,
    left: Box<dyn Operator>,
    evaluator: Evaluator,
    right: Option<Arc<Batch>>,
    batch: Batch,
    left_at: usize,
    right_at: usize,
    left_matched: bool,
    /// Which right rows found a partner (Right and Full joins).
    right_matched: Vec<bool>,
    /// Next right row to look at for the unmatched ones, once the left side is at its end.
    unmatched_at: Option<usize>,
    reservation: Reservation,
}

/// Row pairs compared between two looks at cancellation.
const PAIRS_PER_BREATH: usize = 8192;

#[async_trait]
impl Operator for NestedLoop {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let plan = self.plan.clone();
        let right = self.right().await?;
        let (left_width, right_width) = (plan.left.layout().width(), plan.right.layout().width());
        let paired = !matches!(plan.kind, JoinKind::Semi | JoinKind::Anti);
        let mut out = Batch::new(plan.layout.width());
        let mut pair: Vec<storage::Datum> = Vec::with_capacity(left_width + right_width);
        let mut compared = 0;
        while self.unmatched_at.is_none() {
            if self.left_at == self.batch.len() {
                self.evaluator.runtime.breathe().await?;
                if !out.is_empty() {
                    return Ok(Some(out));
                }
                match self.left.next(rows_max).await? {
                    Some(batch) => (self.batch, self.left_at) = (batch, 0),
                    None => {
                        self.unmatched_at = Some(0);
                        break;
                    }
                }
            }
            let left = self.batch.row(self.left_at);
            while self.right_at < right.len() {
                let right_row = right.row(self.right_at);
                self.right_at += 1;
                compared += 1;
                if compared % PAIRS_PER_BREATH == 0 {
                    self.evaluator.runtime.breathe().await?;
                }
                let mut matches = true;
                if !plan.on.is_empty() {
                    pair.clear();
                    pair.extend_from_slice(left);
                    pair.extend_from_slice(right_row);
                    for condition in &plan.on {
                        if !self.evaluator.is_true(condition, &pair).await? {
                            matches = false;
                            break;
                        }
                    }
                }
                if matches {
                    self.left_matched = true;
                    if let Some(matched) = self.right_matched.get_mut(self.right_at - 1) {
                        *matched = true;
                    }
                    if !paired {
                        break;
                    }
                    out.push_pair(left, right_row);
                    if out.len() == rows_max {
                        return Ok(Some(out));
                    }
                }
            }
            match plan.kind {
                JoinKind::Left | JoinKind::Full if !self.left_matched => out.push_padded(left, right_width),
                JoinKind::Semi if self.left_matched => out.push_slice(left),
                JoinKind::Anti if !self.left_matched => out.push_slice(left),
                _ => {}
            }
            self.left_at += 1;
            self.right_at = 0;
            self.left_matched = false;
            if out.len() == rows_max {
                return Ok(Some(out));
            }
        }
        while let Some(at) = self
            .unmatched_at
            .filter(|at| *at < self.right_matched.len() && out.len() < rows_max)
        {
            if !self.right_matched[at] {
                out.push_left_padded(left_width, right.row(at));
            }
            self.unmatched_at = Some(at + 1);
        }
        Ok((!out.is_empty()).then_some(out))
    }
}

impl NestedLoop {
    async fn right(&mut self) -> SqlResult<Arc<Batch>> {
        if let Some(right) = &self.right {
            return Ok(right.clone());
        }
        let runtime = self.evaluator.runtime.clone();
        let mut operator = self.plan.right.clone().open(&runtime, &self.evaluator.frame)?;
        let rows = Arc::new(collect(&mut *operator, &runtime, self.plan.right.layout().width()).await?);
        self.reservation.grow(rows.size())?;
        if matches!(self.plan.kind, JoinKind::Right | JoinKind::Full) {
            self.right_matched = vec![false; rows.len()];
        }
        self.right = Some(rows.clone());
        Ok(rows)
    }
}
