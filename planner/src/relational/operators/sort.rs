//! Sort: ORDER BY, and the first rows of it when a LIMIT stands above.
//!
//! Rows beyond what a statement may hold are written out in sorted runs, which are merged when they are read.

use std::cmp::Ordering;
use std::sync::Arc;

use async_trait::async_trait;
use storage::Datum;

use crate::SqlResult;
use crate::eval::order::compare;
use crate::eval::{Layout, Program};
use crate::explain::node::Measure;
use crate::relational::batch::{BATCH_ROWS, Batch, datum_size};
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::operators::limit::row_count;
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Reservation, Runtime};
use crate::relational::spill::{RunReader, RunWriter, WORK_BYTES};

/// A compiled sort key.
#[derive(Clone, Debug)]
pub struct KeyProgram {
    /// Value sorted by.
    pub value: Program,
    /// DESC
    pub descending: bool,
    /// NULLS FIRST
    pub nulls_first: bool,
}

/// Compares two keys made by the same programs.
pub fn compare_keys(left: &[Datum], right: &[Datum], keys: &[KeyProgram]) -> Ordering {
    for ((left, right), key) in left.iter().zip(right).zip(keys) {
        let ordering = match (left.is_null(), right.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => {
                if key.nulls_first {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (false, true) => {
                if key.nulls_first {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (false, false) if key.descending => compare(right, left),
            (false, false) => compare(left, right),
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    Ordering::Equal
}

/// A compiled sort.
#[derive(Debug)]
pub struct SortPlan {
    /// Input.
    pub input: Arc<dyn Plan>,
    /// Keys.
    pub keys: Vec<KeyProgram>,
    /// LIMIT and OFFSET of the limit right above: no more rows than their sum are kept.
    pub top: Option<(Program, Option<Program>)>,
    /// Subqueries of all of these.
    pub subplans: SubPlans,
    /// Told how much is held, if EXPLAIN asks.
    pub measure: Option<Arc<Measure>>,
}

impl Plan for SortPlan {
    fn layout(&self) -> &Layout {
        self.input.layout()
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let input = self.input.clone().open(runtime, frame)?;
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        let reservation = Reservation::new(runtime);
        Ok(Box::new(SortOperator {
            plan: self,
            input: Some(input),
            evaluator,
            sorted: Vec::new().into_iter(),
            runs: Vec::new(),
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

/// Most rows sorted without looking up whether the statement was cancelled.
const RUN_ROWS_MAX: usize = 16 * 1024;

/// A row behind its keys.
struct KeyedRow {
    keys: Box<[Datum]>,
    row: Box<[Datum]>,
}

struct SortOperator {
    plan: Arc<SortPlan>,
    input: Option<Box<dyn Operator>>,
    evaluator: Evaluator,
    sorted: std::vec::IntoIter<KeyedRow>,
    /// Runs on disk, each with its next row; the rows in memory are the last run.
    runs: Vec<Run>,
    reservation: Reservation,
}

/// A sorted run on disk.
struct Run {
    reader: RunReader,
    head: Option<KeyedRow>,
    key_count: usize,
}

impl Run {
    fn advance(&mut self) -> SqlResult<Option<KeyedRow>> {
        let next = self.reader.next_row()?.map(|mut keys| {
            let row = keys.split_off(self.key_count);
            KeyedRow {
                keys: keys.into(),
                row: row.into(),
            }
        });
        Ok(std::mem::replace(&mut self.head, next))
    }
}

#[async_trait]
impl Operator for SortOperator {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        if let Some(input) = self.input.take() {
            self.sorted = self.sort(input).await?.into_iter();
        }
        self.evaluator.runtime.check()?;
        if !self.runs.is_empty() {
            return self.merge(rows_max);
        }
        let count = self.sorted.len().min(rows_max);
        if count == 0 {
            return Ok(None);
        }
        let mut batch = Batch::with_capacity(self.plan.layout().width(), count);
        for keyed in self.sorted.by_ref().take(count) {
            batch.push(keyed.row.into_vec());
        }
        Ok(Some(batch))
    }
}

impl SortOperator {
    async fn sort(&mut self, mut input: Box<dyn Operator>) -> SqlResult<Vec<KeyedRow>> {
        let plan = self.plan.clone();
        let keep = match &plan.top {
            Some((limit, offset)) => {
                let offset = row_count(&mut self.evaluator, offset.as_ref(), true)
                    .await?
                    .unwrap_or(0);
                let limit = row_count(&mut self.evaluator, Some(limit), false).await?;
                limit.and_then(|limit| usize::try_from(limit.checked_add(offset)?).ok())
            }
            None => None,
        };
        if keep == Some(0) {
            return Ok(Vec::new());
        }
        let mut rows: Vec<KeyedRow> = Vec::new();
        let (mut held, mut written) = (0, 0);
        while let Some(batch) = input.next(BATCH_ROWS).await? {
            for row in batch.rows() {
                let mut keys = Vec::with_capacity(plan.keys.len());
                for key in &plan.keys {
                    keys.push(self.evaluator.eval(&key.value, row).await?);
                }
                rows.push(KeyedRow {
                    keys: keys.into(),
                    row: row.into(),
                });
            }
            match keep {
                // Sorting whenever the buffer has doubled keeps it small at the price of one more comparison per row.
                Some(keep) if rows.len() >= keep.saturating_mul(2).max(BATCH_ROWS) => {
                    sort_rows(&mut rows, &plan.keys);
                    rows.truncate(keep);
                }
                Some(_) => {}
                None => {
                    let bytes = batch.size() * 2;
                    held += bytes;
                    self.reservation.grow(bytes)?;
                    if held > WORK_BYTES {
                        written += self.write_run(&mut rows)?;
                        held = 0;
                    }
                }
            }
            self.evaluator.runtime.breathe().await?;
        }
        let runtime = self.evaluator.runtime.clone();
        let mut rows = sort_all(rows, &plan.keys, &runtime).await?;
        if let Some(keep) = keep {
            rows.truncate(keep);
        }
        if let Some(measure) = &plan.measure {
            let bytes = rows
                .iter()
                .flat_map(|row| row.keys.iter().chain(&row.row))
                .map(datum_size)
                .sum();
            measure.hold(bytes, written);
        }
        Ok(rows)
    }
}

/// Sorts any number of rows: short runs at once, and then merges them two by two, so that the statement can be
/// stopped between the steps.
async fn sort_all(mut rows: Vec<KeyedRow>, keys: &[KeyProgram], runtime: &Runtime) -> SqlResult<Vec<KeyedRow>> {
    if rows.len() <= RUN_ROWS_MAX {
        sort_rows(&mut rows, keys);
        return Ok(rows);
    }
    let mut runs = Vec::with_capacity(rows.len() / RUN_ROWS_MAX + 1);
    let mut rest = rows.into_iter();
    loop {
        let mut run: Vec<KeyedRow> = rest.by_ref().take(RUN_ROWS_MAX).collect();
        if run.is_empty() {
            break;
        }
        sort_rows(&mut run, keys);
        runs.push(run);
        runtime.breathe().await?;
    }
    while runs.len() > 1 {
        let mut merged = Vec::with_capacity(runs.len().div_ceil(2));
        let mut pairs = runs.into_iter();
        while let Some(left) = pairs.next() {
            merged.push(match pairs.next() {
                Some(right) => merge(left, right, keys, runtime).await?,
                None => left,
            });
        }
        runs = merged;
    }
    Ok(runs.pop().unwrap_or_default())
}

/// Merges two sorted runs; of equal rows those of the left one come first.
async fn merge(
    left: Vec<KeyedRow>,
    right: Vec<KeyedRow>,
    keys: &[KeyProgram],
    runtime: &Runtime,
) -> SqlResult<Vec<KeyedRow>> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(first), Some(second)) = (left.peek(), right.peek()) {
        let is_left = compare_keys(&first.keys, &second.keys, keys).is_le();
        merged.extend(if is_left { left.next() } else { right.next() });
        if merged.len().is_multiple_of(RUN_ROWS_MAX) {
            runtime.breathe().await?;
        }
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}

impl SortOperator {
    /// Writes rows out, sorted; gives the bytes written.
    fn write_run(&mut self, rows: &mut Vec<KeyedRow>) -> SqlResult<u64> {
        sort_rows(rows, &self.plan.keys);
        let mut run = RunWriter::create()?;
        let mut values = Vec::new();
        for keyed in rows.drain(..) {
            values.clear();
            values.extend(keyed.keys);
            values.extend(keyed.row);
            run.push(&values)?;
        }
        let (reader, bytes) = run.finish()?;
        let mut run = Run {
            reader,
            head: None,
            key_count: self.plan.keys.len(),
        };
        run.advance()?;
        self.runs.push(run);
        self.reservation.release();
        Ok(bytes)
    }

    /// The next rows of all runs. Of equal rows those of the earlier run come first, so that the sort is stable.
    fn merge(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let mut batch = Batch::with_capacity(self.plan.layout().width(), rows_max.min(BATCH_ROWS));
        while batch.len() < rows_max.min(BATCH_ROWS) {
            let mut least: Option<(&[Datum], Option<usize>)> = None;
            let heads = self.runs.iter().enumerate();
            let heads = heads.filter_map(|(number, run)| Some((&*run.head.as_ref()?.keys, Some(number))));
            let memory = self.sorted.as_slice().first().map(|row| (&*row.keys, None));
            for (keys, number) in heads.chain(memory) {
                let is_less = least
                    .as_ref()
                    .is_none_or(|(known, _)| compare_keys(keys, known, &self.plan.keys) == Ordering::Less);
                if is_less {
                    least = Some((keys, number));
                }
            }
            let next = match least.map(|(_, number)| number) {
                None => break,
                Some(Some(number)) => self.runs[number].advance()?,
                Some(None) => self.sorted.next(),
            };
            if let Some(keyed) = next {
                batch.push(keyed.row.into_vec());
            }
        }
        Ok((!batch.is_empty()).then_some(batch))
    }
}

fn sort_rows(rows: &mut [KeyedRow], keys: &[KeyProgram]) {
    rows.sort_by(|left, right| compare_keys(&left.keys, &right.keys, keys));
}
