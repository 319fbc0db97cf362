//! Dependent join: the right side is run for each left row, whose columns it uses (LATERAL).

use std::sync::Arc;

use ahash::AHashMap;
use async_trait::async_trait;
use storage::Datum;

use crate::SqlResult;
use crate::bound::JoinKind;
use crate::eval::order::KeyValues;
use crate::eval::{Layout, Program};
use crate::relational::batch::{BATCH_ROWS, Batch};
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Reservation, Runtime};

/// Most runs of the right side that are remembered.
const REMEMBERED_RUNS_MAX: usize = 1024;
/// Rows beyond which a run is not remembered.
const REMEMBERED_ROWS_MAX: usize = 4096;

/// A compiled dependent join.
#[derive(Debug)]
pub struct DependentJoinPlan {
    /// Inner, Cross, Left, Semi or Anti.
    pub kind: JoinKind,
    /// Left input.
    pub left: Arc<dyn Plan>,
    /// Right input.
    pub right: Arc<dyn Plan>,
    /// Values of the right side's outer columns, over the left row.
    pub outer: Vec<Program>,
    /// Conditions over the left row followed by the right row.
    pub on: Vec<Program>,
    /// Subqueries of all of these.
    pub subplans: SubPlans,
    /// Whether equal outer values give equal rows.
    pub remember: bool,
    /// Output.
    pub layout: Layout,
}

impl Plan for DependentJoinPlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let left = self.left.clone().open(runtime, frame)?;
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        Ok(Box::new(DependentJoin {
            plan: self,
            left,
            evaluator,
            batch: Batch::default(),
            left_at: 0,
            run: None,
            remembered: AHashMap::new(),
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

struct DependentJoin {
    plan: Arc<DependentJoinPlan>,
    left: Box<dyn Operator>,
    evaluator: Evaluator,
    batch: Batch,
    left_at: usize,
    run: Option<Run>,
    remembered: AHashMap<KeyValues, Arc<Batch>>,
    reservation: Reservation,
}

/// The right side for one left row.
struct Run {
    /// `None` once it has ended, or if its rows were remembered.
    operator: Option<Box<dyn Operator>>,
    rows: Arc<Batch>,
    at: usize,
    matched: bool,
    /// Where the rows go when the run ends.
    key: Option<(KeyValues, Batch)>,
}

#[async_trait]
impl Operator for DependentJoin {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let plan = self.plan.clone();
        let right_width = plan.right.layout().width();
        let paired = !matches!(plan.kind, JoinKind::Semi | JoinKind::Anti);
        let mut out = Batch::new(plan.layout.width());
        let mut pair: Vec<Datum> = Vec::new();
        loop {
            let mut run = match self.run.take() {
                Some(run) => run,
                None => {
                    if self.left_at == self.batch.len() {
                        self.evaluator.runtime.breathe().await?;
                        if !out.is_empty() {
                            return Ok(Some(out));
                        }
                        match self.left.next(rows_max).await? {
                            Some(batch) => (self.batch, self.left_at) = (batch, 0),
                            None => return Ok(None),
                        }
                    }
                    self.start().await?
                }
            };
            let left = self.batch.row(self.left_at);
            'rows: loop {
                while run.at < run.rows.len() {
                    let right_row = run.rows.row(run.at);
                    run.at += 1;
                    let mut holds = true;
                    if !plan.on.is_empty() {
                        pair.clear();
                        pair.extend_from_slice(left);
                        pair.extend_from_slice(right_row);
                        for condition in &plan.on {
                            if !self.evaluator.is_true(condition, &pair).await? {
                                holds = false;
                                break;
                            }
                        }
                    }
                    if holds {
                        run.matched = true;
                        if !paired {
                            break 'rows;
                        }
                        out.push_pair(left, right_row);
                        if out.len() == rows_max {
                            self.run = Some(run);
                            return Ok(Some(out));
                        }
                    }
                }
                let Some(operator) = &mut run.operator else { break };
                let demand = if plan.on.is_empty() {
                    (rows_max - out.len()).min(BATCH_ROWS)
                } else {
                    BATCH_ROWS
                };
                match operator.next(demand).await? {
                    Some(batch) => {
                        if let Some((_, kept)) = &mut run.key {
                            kept.append(batch.clone());
                            if kept.len() > REMEMBERED_ROWS_MAX {
                                run.key = None;
                            }
                        }
                        run.rows = Arc::new(batch);
                        run.at = 0;
                    }
                    None => {
                        run.operator = None;
                        if let Some((key, rows)) = run.key.take() {
                            self.reservation.grow(rows.size())?;
                            if self.remembered.len() >= REMEMBERED_RUNS_MAX {
                                self.remembered.clear();
                                self.reservation.release();
                            }
                            self.remembered.insert(key, Arc::new(rows));
                        }
                        break;
                    }
                }
            }
            match plan.kind {
                JoinKind::Left if !run.matched => out.push_padded(left, right_width),
                JoinKind::Semi if run.matched => out.push_slice(left),
                JoinKind::Anti if !run.matched => out.push_slice(left),
                _ => {}
            }
            self.left_at += 1;
            if out.len() == rows_max {
                return Ok(Some(out));
            }
        }
    }
}

impl DependentJoin {
    async fn start(&mut self) -> SqlResult<Run> {
        let plan = self.plan.clone();
        let mut outer = Vec::with_capacity(plan.outer.len());
        self.evaluator
            .eval_into(&plan.outer, self.batch.row(self.left_at), &mut outer)
            .await?;
        let width = plan.right.layout().width();
        let key = plan.remember.then(|| KeyValues::exact(&outer));
        if let Some(rows) = key.as_ref().and_then(|key| self.remembered.get(key)) {
            return Ok(Run {
                operator: None,
                rows: rows.clone(),
                at: 0,
                matched: false,
                key: None,
            });
        }
        let frame = self.evaluator.frame.with_outer(outer);
        let operator = plan.right.clone().open(&self.evaluator.runtime, &frame)?;
        let key = key.map(|key| (key, Batch::new(width)));
        Ok(Run {
            operator: Some(operator),
            rows: Arc::new(Batch::new(width)),
            at: 0,
            matched: false,
            key,
        })
    }
}
