//! Window functions: rows are sorted by partition and order, then each call is computed partition by partition.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use storage::Datum;

use crate::eval::order::{compare, integer};
use crate::eval::{Layout, Program};
use crate::relational::accumulate::AggregateProgram;
use crate::relational::batch::Batch;
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::operators::frame::{FrameProgram, FrameRows, Partition, ResolvedFrame};
use crate::relational::operators::sort::{KeyProgram, compare_keys};
use crate::relational::plan::{Operator, Plan, collect};
use crate::relational::runtime::{Frame, Reservation, Runtime};
use crate::{SqlError, SqlResult, SqlState};

/// Compiled window functions.
#[derive(Debug)]
pub struct WindowPlan {
    /// Input.
    pub input: Arc<dyn Plan>,
    /// Calls by window, in the order in which the windows are computed; rows come out in the order of the last one.
    pub windows: Vec<Window>,
    /// Subqueries of all expressions.
    pub subplans: SubPlans,
    /// Output: the input's columns, then the calls'.
    pub layout: Layout,
}

/// Calls over one window.
#[derive(Debug)]
pub struct Window {
    /// PARTITION BY
    pub partition: Vec<Program>,
    /// ORDER BY
    pub order: Vec<KeyProgram>,
    /// Calls: output slot and call.
    pub calls: Vec<(usize, WindowProgram)>,
}

/// A compiled call.
#[derive(Debug)]
pub struct WindowProgram {
    /// What is computed.
    pub kind: WindowKind,
    /// Arguments.
    pub args: Vec<Program>,
    /// Frame.
    pub frame: FrameProgram,
}

/// What a window call computes.
#[derive(Debug)]
#[allow(missing_docs, reason = "the functions of their names")]
pub enum WindowKind {
    Aggregate(AggregateProgram),
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile,
    Lag,
    Lead,
    FirstValue,
    LastValue,
    NthValue,
}

impl WindowKind {
    /// A window function by name.
    pub fn by_name(name: &str) -> Option<WindowKind> {
        Some(match name {
            "row_number" => WindowKind::RowNumber,
            "rank" => WindowKind::Rank,
            "dense_rank" => WindowKind::DenseRank,
            "percent_rank" => WindowKind::PercentRank,
            "cume_dist" => WindowKind::CumeDist,
            "ntile" => WindowKind::Ntile,
            "lag" => WindowKind::Lag,
            "lead" => WindowKind::Lead,
            "first_value" => WindowKind::FirstValue,
            "last_value" => WindowKind::LastValue,
            "nth_value" => WindowKind::NthValue,
            _ => return None,
        })
    }
}

impl Plan for WindowPlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let input = self.input.clone().open(runtime, frame)?;
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        let reservation = Reservation::new(runtime);
        Ok(Box::new(WindowOperator {
            plan: self,
            input: Some(input),
            evaluator,
            output: Vec::new().into_iter(),
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

struct WindowOperator {
    plan: Arc<WindowPlan>,
    input: Option<Box<dyn Operator>>,
    evaluator: Evaluator,
    output: std::vec::IntoIter<Vec<Datum>>,
    reservation: Reservation,
}

#[async_trait]
impl Operator for WindowOperator {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        if let Some(mut input) = self.input.take() {
            let runtime = self.evaluator.runtime.clone();
            let rows = collect(&mut *input, &runtime, self.plan.input.layout().width()).await?;
            self.reservation.grow(rows.size() * 2)?;
            self.output = self.compute(rows).await?.into_iter();
        }
        self.evaluator.runtime.check()?;
        let count = self.output.len().min(rows_max);
        if count == 0 {
            return Ok(None);
        }
        Ok(Some(Batch::from_rows(
            self.plan.layout.width(),
            self.output.by_ref().take(count),
        )))
    }
}

/// A row with the keys of the window being computed.
struct Keyed {
    partition: Vec<Datum>,
    order: Vec<Datum>,
    row: Vec<Datum>,
}

impl WindowOperator {
    async fn compute(&mut self, input: Batch) -> SqlResult<Vec<Vec<Datum>>> {
        let plan = self.plan.clone();
        let width = plan.layout.width();
        let mut rows: Vec<Vec<Datum>> = input.into_rows();
        for row in &mut rows {
            row.resize(width, Datum::Null);
        }
        for window in &plan.windows {
            let mut keyed = Vec::with_capacity(rows.len());
            for row in rows {
                let mut partition = Vec::with_capacity(window.partition.len());
                self.evaluator
                    .eval_into(&window.partition, &row, &mut partition)
                    .await?;
                let mut order = Vec::with_capacity(window.order.len());
                for key in &window.order {
                    order.push(self.evaluator.eval(&key.value, &row).await?);
                }
                keyed.push(Keyed { partition, order, row });
            }
            keyed.sort_by(|left, right| {
                compare_partitions(&left.partition, &right.partition)
                    .then_with(|| compare_keys(&left.order, &right.order, &window.order))
            });
            rows = Vec::with_capacity(keyed.len());
            let mut keyed = keyed.into_iter().peekable();
            while let Some(first) = keyed.next() {
                let Keyed { partition, order, row } = first;
                let (mut part, mut keys) = (vec![row], vec![order]);
                while let Some(next) =
                    keyed.next_if(|next| compare_partitions(&next.partition, &partition) == Ordering::Equal)
                {
                    part.push(next.row);
                    keys.push(next.order);
                }
                self.partition(window, &mut part, &keys).await?;
                rows.append(&mut part);
                self.evaluator.runtime.breathe().await?;
            }
        }
        Ok(rows)
    }

    async fn partition(&mut self, window: &Window, rows: &mut [Vec<Datum>], keys: &[Vec<Datum>]) -> SqlResult<()> {
        let partition = Partition::new(keys, &window.order);
        for (slot, call) in &window.calls {
            let values = match &call.kind {
                WindowKind::Aggregate(aggregate) => self.aggregate(call, aggregate, rows, &partition).await?,
                _ => self.window_function(call, rows, &partition).await?,
            };
            for (row, value) in rows.iter_mut().zip(values) {
                row[*slot] = value;
            }
        }
        Ok(())
    }

    async fn aggregate(
        &mut self,
        call: &WindowProgram,
        aggregate: &AggregateProgram,
        rows: &[Vec<Datum>],
        partition: &Partition<'_>,
    ) -> SqlResult<Vec<Datum>> {
        let mut args = Vec::with_capacity(rows.len());
        for row in rows {
            args.push(aggregate.arguments(&mut self.evaluator, row).await?);
        }
        let runtime = self.evaluator.runtime.clone();
        let run_frame = self.evaluator.frame.clone();
        let frame = call.frame.resolve(&runtime.eval_context(&run_frame))?;
        let grows = call.frame.only_grows();
        let mut state = crate::relational::accumulate::GroupState::new(aggregate);
        let mut fed = 0;
        let mut last: Option<(FrameRows, Datum)> = None;
        let mut values = Vec::with_capacity(rows.len());
        let mut work = 0usize;
        for row in 0..rows.len() {
            let seen = frame.rows(partition, row, &runtime.eval_context(&run_frame))?;
            if let Some((_, value)) = last.as_ref().filter(|(known, _)| *known == seen) {
                values.push(value.clone());
                continue;
            }
            if !grows {
                state = crate::relational::accumulate::GroupState::new(aggregate);
                fed = 0;
            }
            for position in seen.iter().cloned().flatten().skip(if grows { fed } else { 0 }) {
                if let Some(args) = &args[position] {
                    state.add(aggregate, args, &*runtime.session)?;
                }
                fed += 1;
                work += 1;
                if work.is_multiple_of(8192) {
                    runtime.breathe().await?;
                }
            }
            let value = state.finish(aggregate, &runtime.eval_context(&run_frame))?;
            last = Some((seen, value.clone()));
            values.push(value);
        }
        Ok(values)
    }

    async fn window_function(
        &mut self,
        call: &WindowProgram,
        rows: &[Vec<Datum>],
        partition: &Partition<'_>,
    ) -> SqlResult<Vec<Datum>> {
        let count = rows.len();
        let runtime = self.evaluator.runtime.clone();
        let run_frame = self.evaluator.frame.clone();
        let frame = call.frame.resolve(&runtime.eval_context(&run_frame))?;
        let mut values = Vec::with_capacity(count);
        let buckets = match call.kind {
            WindowKind::Ntile => self.bucket_count(call, &rows[0]).await?,
            _ => None,
        };
        for row in 0..count {
            if row % 4096 == 4095 {
                runtime.breathe().await?;
            }
            let peers = partition.peers(row);
            values.push(match &call.kind {
                WindowKind::RowNumber => Datum::Int8(row as i64 + 1),
                WindowKind::Rank => Datum::Int8(peers.start as i64 + 1),
                WindowKind::DenseRank => Datum::Int8(partition.group_of[row] as i64 + 1),
                WindowKind::PercentRank => Datum::Float8(if count > 1 {
                    peers.start as f64 / (count - 1) as f64
                } else {
                    0.0
                }),
                WindowKind::CumeDist => Datum::Float8(peers.end as f64 / count as f64),
                WindowKind::Ntile => buckets.map_or(Datum::Null, |buckets| Datum::Int4(bucket(row, count, buckets))),
                WindowKind::Lag | WindowKind::Lead => self.neighbour(call, rows, row).await?,
                WindowKind::FirstValue | WindowKind::LastValue | WindowKind::NthValue => {
                    self.frame_value(call, &frame, rows, partition, row).await?
                }
                WindowKind::Aggregate(_) => Datum::Null,
            });
        }
        Ok(values)
    }

    async fn bucket_count(&mut self, call: &WindowProgram, first: &[Datum]) -> SqlResult<Option<i64>> {
        let Some(program) = call.args.first() else {
            return Ok(None);
        };
        match integer(&self.evaluator.eval(program, first).await?) {
            Some(count) if count > 0 => Ok(Some(count)),
            Some(_) => Err(SqlError::new(
                SqlState::INVALID_ARGUMENT_FOR_NTILE,
                "argument of ntile must be greater than zero",
            )),
            None => Ok(None),
        }
    }

    async fn neighbour(&mut self, call: &WindowProgram, rows: &[Vec<Datum>], row: usize) -> SqlResult<Datum> {
        let offset = match call.args.get(1) {
            None => 1,
            Some(program) => match integer(&self.evaluator.eval(program, &rows[row]).await?) {
                Some(offset) => offset,
                None => return Ok(Datum::Null),
            },
        };
        let distance = if matches!(call.kind, WindowKind::Lag) {
            -i128::from(offset)
        } else {
            i128::from(offset)
        };
        let target = row as i128 + distance;
        if (0..rows.len() as i128).contains(&target) {
            return self.evaluator.eval(&call.args[0], &rows[target as usize]).await;
        }
        match call.args.get(2) {
            Some(default) => self.evaluator.eval(default, &rows[row]).await,
            None => Ok(Datum::Null),
        }
    }

    async fn frame_value(
        &mut self,
        call: &WindowProgram,
        frame: &ResolvedFrame<'_>,
        rows: &[Vec<Datum>],
        partition: &Partition<'_>,
        row: usize,
    ) -> SqlResult<Datum> {
        let runtime = self.evaluator.runtime.clone();
        let run_frame = self.evaluator.frame.clone();
        let seen = frame.rows(partition, row, &runtime.eval_context(&run_frame))?;
        let target = match call.kind {
            WindowKind::FirstValue => seen.first().map(|range| range.start),
            WindowKind::LastValue => seen.last().map(|range| range.end - 1),
            _ => match integer(&self.evaluator.eval(&call.args[1], &rows[row]).await?) {
                None => None,
                Some(nth) if nth <= 0 => {
                    return Err(SqlError::new(
                        SqlState("22016"),
                        "argument of nth_value must be greater than zero",
                    ));
                }
                Some(nth) => nth_row(&seen, nth as usize - 1),
            },
        };
        match target {
            Some(target) => self.evaluator.eval(&call.args[0], &rows[target]).await,
            None => Ok(Datum::Null),
        }
    }
}

fn nth_row(seen: &[Range<usize>], mut nth: usize) -> Option<usize> {
    for range in seen {
        if nth < range.len() {
            return Some(range.start + nth);
        }
        nth -= range.len();
    }
    None
}

/// The bucket of a row: the first `count % buckets` buckets hold one row more.
fn bucket(row: usize, count: usize, buckets: i64) -> i32 {
    let (row, count) = (row as i64, count as i64);
    let (size, larger) = (count / buckets, count % buckets);
    let bucket = if row < larger * (size + 1) {
        row / (size + 1)
    } else {
        larger + (row - larger * (size + 1)) / size.max(1)
    };
    bucket as i32 + 1
}

fn compare_partitions(left: &[Datum], right: &[Datum]) -> Ordering {
    left.iter()
        .zip(right)
        .map(|(left, right)| compare(left, right))
        .find(|ordering| ordering.is_ne())
        .unwrap_or(Ordering::Equal)
}
