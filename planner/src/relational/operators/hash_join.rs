//! Joins with equalities: the right side is hashed by them.
//!
//! When the left side turns out to be small and the right side can be found by an index, the right rows are looked up
//! instead of read: nobody has to know beforehand how many rows there are.

use std::sync::Arc;

use ahash::AHashMap;
use async_trait::async_trait;
use smallvec::SmallVec;
use storage::Datum;

use crate::SqlResult;
use crate::bound::JoinKind;
use crate::eval::order::KeyValues;
use crate::eval::{Layout, Program};
use crate::relational::batch::{BATCH_ROWS, Batch};
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Reservation, Runtime};

/// Most left rows for which the right rows are looked up one key at a time.
const LOOKUP_ROWS_MAX: usize = 256;

/// A compiled hash join.
#[derive(Debug)]
pub struct HashJoinPlan {
    /// Which join.
    pub kind: JoinKind,
    /// Left input.
    pub left: Arc<dyn Plan>,
    /// Right input.
    pub right: Arc<dyn Plan>,
    /// Equal keys of both sides, over their own rows.
    pub left_keys: Vec<Program>,
    /// As `left_keys`.
    pub right_keys: Vec<Program>,
    /// Other conditions, over the left row followed by the right row.
    pub on: Vec<Program>,
    /// Subqueries of all of these.
    pub subplans: SubPlans,
    /// Reads the right rows for one value of each left key, given as the frame.
    pub lookup: Option<Arc<dyn Plan>>,
    /// Outer values that the lookup takes beside the keys: slots of this plan's frame.
    pub lookup_outer: Vec<usize>,
    /// Output.
    pub layout: Layout,
}

impl Plan for HashJoinPlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let left = self.left.clone().open(runtime, frame)?;
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        Ok(Box::new(HashJoin {
            plan: self,
            left,
            evaluator,
            table: None,
            early: Vec::new().into_iter(),
            batch: Batch::default(),
            left_at: 0,
            match_at: 0,
            current: None,
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

/// The right side by key.
#[derive(Default)]
struct Table {
    rows: Batch,
    buckets: AHashMap<KeyValues, SmallVec<[u32; 2]>>,
    /// Which right rows found a partner (Right and Full joins).
    matched: Vec<bool>,
}

struct HashJoin {
    plan: Arc<HashJoinPlan>,
    left: Box<dyn Operator>,
    evaluator: Evaluator,
    table: Option<Table>,
    /// Left batches read while it was decided how the right side is read.
    early: std::vec::IntoIter<Batch>,
    batch: Batch,
    left_at: usize,
    match_at: usize,
    /// Key of the current left row (`None`: it has a NULL), and whether it found a partner.
    current: Option<(Option<KeyValues>, bool)>,
    unmatched_at: Option<usize>,
    reservation: Reservation,
}

async fn key_of(evaluator: &mut Evaluator, programs: &[Program], row: &[Datum]) -> SqlResult<Option<KeyValues>> {
    let mut values: SmallVec<[Datum; 2]> = SmallVec::with_capacity(programs.len());
    let mut has_null = false;
    for program in programs {
        let value = evaluator.eval(program, row).await?;
        has_null |= value.is_null();
        values.push(value);
    }
    Ok((!has_null).then(|| values.into_iter().collect()))
}

#[async_trait]
impl Operator for HashJoin {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let plan = self.plan.clone();
        if self.table.is_none() {
            self.table = Some(self.build(rows_max).await?);
        }
        let Some(table) = &mut self.table else { return Ok(None) };
        let (left_width, right_width) = (plan.left.layout().width(), plan.right.layout().width());
        let paired = !matches!(plan.kind, JoinKind::Semi | JoinKind::Anti);
        let mut out = Batch::new(plan.layout.width());
        let mut pair: Vec<Datum> = Vec::new();
        while self.unmatched_at.is_none() {
            if self.left_at == self.batch.len() {
                self.evaluator.runtime.breathe().await?;
                if !out.is_empty() {
                    return Ok(Some(out));
                }
                let batch = match self.early.next() {
                    Some(batch) => Some(batch),
                    None => self.left.next(rows_max).await?,
                };
                match batch {
                    Some(batch) => (self.batch, self.left_at) = (batch, 0),
                    None => {
                        self.unmatched_at = Some(0);
                        break;
                    }
                }
            }
            let left = self.batch.row(self.left_at);
            let (key, mut found) = match self.current.take() {
                Some(current) => current,
                None => (key_of(&mut self.evaluator, &plan.left_keys, left).await?, false),
            };
            let bucket = key.as_ref().and_then(|key| table.buckets.get(key));
            let matches: &[u32] = bucket.map_or(&[], |bucket| bucket);
            let mut is_full = false;
            while self.match_at < matches.len() {
                let right_at = matches[self.match_at] as usize;
                self.match_at += 1;
                let right_row = table.rows.row(right_at);
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
                    found = true;
                    if let Some(matched) = table.matched.get_mut(right_at) {
                        *matched = true;
                    }
                    if !paired {
                        break;
                    }
                    out.push_pair(left, right_row);
                    if out.len() == rows_max {
                        is_full = true;
                        break;
                    }
                }
            }
            if is_full {
                self.current = Some((key, found));
                return Ok(Some(out));
            }
            match plan.kind {
                JoinKind::Left | JoinKind::Full if !found => out.push_padded(left, right_width),
                JoinKind::Semi if found => out.push_slice(left),
                JoinKind::Anti if !found => out.push_slice(left),
                _ => {}
            }
            self.left_at += 1;
            self.match_at = 0;
            if out.len() == rows_max {
                return Ok(Some(out));
            }
        }
        while let Some(at) = self
            .unmatched_at
            .filter(|at| *at < table.matched.len() && out.len() < rows_max)
        {
            if !table.matched[at] {
                out.push_left_padded(left_width, table.rows.row(at));
            }
            self.unmatched_at = Some(at + 1);
        }
        Ok((!out.is_empty()).then_some(out))
    }
}

impl HashJoin {
    async fn build(&mut self, rows_max: usize) -> SqlResult<Table> {
        let plan = self.plan.clone();
        if plan.lookup.is_some() && !matches!(plan.kind, JoinKind::Right | JoinKind::Full) {
            let mut early = Vec::new();
            let mut count = 0;
            let mut ended = false;
            while count <= LOOKUP_ROWS_MAX {
                match self.left.next(rows_max.min(LOOKUP_ROWS_MAX + 1)).await? {
                    Some(batch) => {
                        count += batch.len();
                        early.push(batch);
                    }
                    None => {
                        ended = true;
                        break;
                    }
                }
                // A small demand means that few rows are wanted: those read are looked up, the rest is not touched.
                if rows_max <= LOOKUP_ROWS_MAX && count >= rows_max {
                    break;
                }
            }
            let table = if ended { Some(self.look_up(&early).await?) } else { None };
            self.early = early.into_iter();
            if let Some(table) = table {
                return Ok(table);
            }
        }
        let runtime = self.evaluator.runtime.clone();
        let mut right = plan.right.clone().open(&runtime, &self.evaluator.frame)?;
        let mut table = Table {
            rows: Batch::new(plan.right.layout().width()),
            ..Table::default()
        };
        while let Some(batch) = right.next(BATCH_ROWS).await? {
            self.add(&mut table, batch).await?;
            runtime.breathe().await?;
        }
        if matches!(plan.kind, JoinKind::Right | JoinKind::Full) {
            table.matched = vec![false; table.rows.len()];
        }
        Ok(table)
    }

    /// Adds right rows to the table.
    async fn add(&mut self, table: &mut Table, batch: Batch) -> SqlResult<()> {
        self.reservation.grow(batch.size() + batch.len() * 64)?;
        let plan = self.plan.clone();
        for (index, row) in batch.rows().enumerate() {
            // A row with a NULL key has no partner; an outer join still gives it, padded.
            if let Some(key) = key_of(&mut self.evaluator, &plan.right_keys, row).await? {
                table
                    .buckets
                    .entry(key)
                    .or_default()
                    .push((table.rows.len() + index) as u32);
            }
        }
        table.rows.append(batch);
        Ok(())
    }

    /// Reads the right rows of just the keys that the left rows have.
    async fn look_up(&mut self, left: &[Batch]) -> SqlResult<Table> {
        let plan = self.plan.clone();
        let mut table = Table {
            rows: Batch::new(plan.right.layout().width()),
            ..Table::default()
        };
        let Some(lookup) = &plan.lookup else { return Ok(table) };
        let mut seen = ahash::AHashSet::new();
        let runtime = self.evaluator.runtime.clone();
        for row in left.iter().flat_map(Batch::rows) {
            let Some(key) = key_of(&mut self.evaluator, &plan.left_keys, row).await? else {
                continue;
            };
            if !seen.insert(key.clone()) {
                continue;
            }
            let mut outer = key.values().to_vec();
            outer.extend(
                plan.lookup_outer
                    .iter()
                    .map(|slot| self.evaluator.frame.outer[*slot].clone()),
            );
            let mut operator = lookup.clone().open(&runtime, &self.evaluator.frame.with_outer(outer))?;
            while let Some(batch) = operator.next(BATCH_ROWS).await? {
                self.add(&mut table, batch).await?;
            }
            runtime.breathe().await?;
        }
        Ok(table)
    }
}
