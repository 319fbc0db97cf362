//! Choice of the engine while a query runs: rows first, columns once there are many.

use std::fmt;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::prelude::SessionConfig;
use futures::StreamExt;
use parking_lot::Mutex;
use txn::ShardRows;

use crate::eval::Layout;
use crate::explain::node::Measure;
use crate::relational::batch::{BATCH_ROWS, Batch};
use crate::relational::columnar::expression::RunContext;
use crate::relational::columnar::form::Form;
use crate::relational::columnar::lower::{ColumnTypes, Leaf, Lowering, inward, is_columnar, row_plan};
use crate::relational::columnar::rows::{ARROW_ROWS, to_rows};
use crate::relational::columnar::scan::parts;
use crate::relational::operators::aggregate::AggregatePlan;
use crate::relational::operators::append::AppendPlan;
use crate::relational::operators::hash_join::HashJoinPlan;
use crate::relational::operators::scan::ScanPlan;
use crate::relational::operators::sort::SortPlan;
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Runtime};
use crate::{SqlError, SqlResult, SqlState};

/// Rows of any one scan from which on the columnar engine runs.
const COLUMNAR_ROWS_MIN: usize = 8192;

/// Left rows of a join up to which its right side is looked up by an index instead of read.
const LOOKUP_ROWS_MAX: usize = 256;

/// Memory for all columnar queries of the process.
const POOL_BYTES: usize = 2 << 30;

/// A plan that both engines can run.
pub struct AdaptivePlan {
    /// The row plan.
    pub rows: Arc<dyn Plan>,
    /// Told which engine ran, if EXPLAIN asks.
    pub measure: Option<Arc<Measure>>,
    /// Types of the statement's columns.
    types: Arc<ColumnTypes>,
}

impl AdaptivePlan {
    /// Lets a plan choose its engine when it runs; a plan that only rows can compute stays what it is.
    pub fn wrap(rows: Arc<dyn Plan>, types: &Arc<ColumnTypes>, measure: Option<Arc<Measure>>) -> Arc<dyn Plan> {
        let mut scans = Vec::new();
        collect_scans(&rows, &mut scans);
        if !is_columnar(&*rows) || scans.is_empty() {
            return rows;
        }
        Arc::new(Self {
            rows,
            measure,
            types: types.clone(),
        })
    }
}

impl fmt::Debug for AdaptivePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.rows)
    }
}

impl Plan for AdaptivePlan {
    fn layout(&self) -> &Layout {
        self.rows.layout()
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        // A row that is looked at again after a lock wait stands alone; and where a plan around this one chose, it chose
        // for this one too.
        if frame.replaced.is_some() || frame.begun.is_some() {
            return self.rows.clone().open(runtime, frame);
        }
        Ok(Box::new(Adaptive {
            plan: self,
            runtime: runtime.clone(),
            frame: frame.clone(),
            engine: Engine::Undecided,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        vec![self.rows.clone()]
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The scans below the part of a plan that DataFusion would compute whose order makes no difference to the result.
fn collect_unordered(plan: &Arc<dyn Plan>, mut is_unordered: bool, scans: &mut Vec<Arc<dyn Plan>>) {
    let plan = row_plan(plan);
    if !is_columnar(&*plan) {
        if is_unordered && plan.as_any().is::<ScanPlan>() {
            scans.push(plan);
        }
        return;
    }
    if let Some(aggregate) = plan.as_any().downcast_ref::<AggregatePlan>() {
        is_unordered = aggregate.aggregates.iter().all(|call| !call.depends_on_order());
    } else if plan.as_any().is::<SortPlan>() {
        is_unordered = true;
    }
    plan.inputs()
        .iter()
        .for_each(|input| collect_unordered(input, is_unordered, scans));
}

/// The scans below the part of a plan that DataFusion would compute, leftmost first.
fn collect_scans(plan: &Arc<dyn Plan>, scans: &mut Vec<Arc<dyn Plan>>) {
    let plan = row_plan(plan);
    if is_columnar(&*plan) {
        plan.inputs().iter().for_each(|input| collect_scans(input, scans));
    } else if plan.as_any().is::<ScanPlan>() || plan.as_any().is::<AppendPlan>() {
        scans.push(plan);
    }
}

fn has_lookup(plan: &Arc<dyn Plan>) -> bool {
    let plan = row_plan(plan);
    plan.as_any()
        .downcast_ref::<HashJoinPlan>()
        .is_some_and(|join| join.lookup.is_some())
        || (is_columnar(&*plan) && plan.inputs().iter().any(has_lookup))
}

struct Adaptive {
    plan: Arc<AdaptivePlan>,
    runtime: Arc<Runtime>,
    frame: Frame,
    engine: Engine,
}

enum Engine {
    Undecided,
    Rows(Box<dyn Operator>),
    Columns(SendableRecordBatchStream, Arc<[Form]>, Batch),
}

#[async_trait]
impl Operator for Adaptive {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        if let Engine::Undecided = self.engine {
            self.engine = decide(&self.plan, &self.runtime, &self.frame).await?;
        }
        match &mut self.engine {
            Engine::Undecided => Ok(None),
            Engine::Rows(operator) => operator.next(rows_max).await,
            Engine::Columns(stream, forms, rest) => {
                while rest.is_empty() {
                    self.runtime.breathe().await?;
                    let next = tokio::select! {
                        biased;
                        () = self.runtime.cancel.cancelled() => return Err(cancelled()),
                        next = stream.next() => next,
                    };
                    match next {
                        Some(batch) => *rest = to_rows(&batch.map_err(inward)?, forms),
                        None => return Ok(None),
                    }
                }
                let later = rest.split_off(rows_max);
                Ok(Some(std::mem::replace(rest, later)))
            }
        }
    }
}

fn cancelled() -> SqlError {
    SqlError::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
}

/// The beginning of a scan, and the scan itself for what follows.
pub(crate) struct Begun {
    rows: Batch,
    rest: Option<Box<dyn Operator>>,
}

#[async_trait]
impl Operator for Begun {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        if !self.rows.is_empty() {
            let later = self.rows.split_off(rows_max);
            return Ok(Some(std::mem::replace(&mut self.rows, later)));
        }
        match &mut self.rest {
            Some(rest) => rest.next(rows_max).await,
            None => Ok(None),
        }
    }
}

/// Reads the first rows of the scans, then opens the engine that suits them.
async fn decide(plan: &AdaptivePlan, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Engine> {
    let (mut scans, mut unordered) = (Vec::new(), Vec::new());
    collect_scans(&plan.rows, &mut scans);
    collect_unordered(&plan.rows, false, &mut unordered);
    let may_look_up = has_lookup(&plan.rows);
    let mut begun: Vec<(Arc<dyn Plan>, Begun)> = Vec::with_capacity(scans.len());
    for scan in scans {
        // By how many rows there are, not by how many pass the conditions.
        let is_seen_large = unordered.iter().any(|other| Arc::ptr_eq(other, &scan))
            && parts(&scan, runtime, frame)
                .await?
                .is_some_and(|parts| has_many(&parts));
        let (count, is_large) = match is_seen_large {
            true => (0, true),
            false => {
                let first = begin(&scan, runtime, frame).await?;
                let seen = (first.rows.len(), first.rest.is_some());
                begun.push((scan, first));
                seen
            }
        };
        if is_large {
            if let Some(measure) = &plan.measure {
                measure.set_columnar();
            }
            return columns(plan, runtime, frame, begun, unordered).await;
        }
        // If few rows come from the first scan, the others are not read but looked up.
        if may_look_up && begun.len() == 1 && count <= LOOKUP_ROWS_MAX {
            break;
        }
    }
    let mut frame = frame.clone();
    frame.begun = Some(Arc::new(Mutex::new(begun)));
    Ok(Engine::Rows(plan.rows.clone().open(runtime, &frame)?))
}

async fn columns(
    plan: &AdaptivePlan,
    runtime: &Arc<Runtime>,
    frame: &Frame,
    mut begun: Vec<(Arc<dyn Plan>, Begun)>,
    unordered: Vec<Arc<dyn Plan>>,
) -> SqlResult<Engine> {
    let context = Arc::new(RunContext {
        runtime: runtime.clone(),
        frame: frame.clone(),
    });
    let mut parted: Vec<(Arc<dyn Plan>, Vec<ShardRows>)> = Vec::new();
    for scan in unordered {
        let is_read = |(known, begun): &(Arc<dyn Plan>, Begun)| Arc::ptr_eq(known, &scan) && begun.rest.is_none();
        if !begun.iter().any(is_read)
            && let Some(parts) = parts(&scan, runtime, frame).await?
        {
            parted.push((scan, parts));
        }
    }
    let mut leaf = |plan: &Arc<dyn Plan>| -> SqlResult<Leaf> {
        if let Some(position) = parted.iter().position(|(scan, _)| Arc::ptr_eq(scan, plan)) {
            return Ok(Leaf::Parts(parted.swap_remove(position).1));
        }
        match begun.iter().position(|(scan, _)| Arc::ptr_eq(scan, plan)) {
            Some(position) => Ok(Leaf::Rows(Box::new(begun.swap_remove(position).1))),
            None => Ok(Leaf::Rows(plan.clone().open(runtime, frame)?)),
        }
    };
    let (exec, forms) = Lowering {
        types: &plan.types,
        context,
        leaf: &mut leaf,
    }
    .lower(&plan.rows)?;
    let stream = exec.execute(0, task_context()).map_err(inward)?;
    Ok(Engine::Columns(stream, forms, Batch::default()))
}

/// Whether parts of a scan have so many rows that columns are worth it, to judge by the first: keys are spread evenly.
fn has_many(parts: &[ShardRows]) -> bool {
    parts
        .first()
        .is_some_and(|first| first.has_more_than(COLUMNAR_ROWS_MIN / parts.len()))
}

/// Reads the first rows of a scan.
async fn begin(scan: &Arc<dyn Plan>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Begun> {
    let mut operator = scan.clone().open(runtime, frame)?;
    let mut rows = Batch::new(scan.layout().width());
    while rows.len() < COLUMNAR_ROWS_MIN {
        match operator.next(BATCH_ROWS).await? {
            Some(batch) => rows.append(batch),
            None => return Ok(Begun { rows, rest: None }),
        }
        runtime.breathe().await?;
    }
    Ok(Begun {
        rows,
        rest: Some(operator),
    })
}

/// Takes the beginning of a scan that was read to choose the engine.
pub(crate) fn take_begun(frame: &Frame, scan: &dyn Plan) -> Option<Box<dyn Operator>> {
    let mut begun = frame.begun.as_ref()?.lock();
    // A description around a plan is not the plan: both are asked for what they really are.
    let address = |plan: &dyn Plan| std::ptr::from_ref(plan.as_any()).cast::<()>();
    let position = begun.iter().position(|(plan, _)| address(&**plan) == address(scan))?;
    Some(Box::new(begun.swap_remove(position).1))
}

/// Begun scans, waiting to be opened.
pub(crate) type BegunScans = Arc<Mutex<Vec<(Arc<dyn Plan>, Begun)>>>;

fn task_context() -> Arc<TaskContext> {
    static RUNTIME: LazyLock<Arc<RuntimeEnv>> = LazyLock::new(|| {
        let builder = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(POOL_BYTES)));
        builder.build_arc().unwrap_or_default()
    });
    static CONFIG: LazyLock<SessionConfig> = LazyLock::new(|| {
        SessionConfig::new()
            .with_batch_size(ARROW_ROWS)
            .with_target_partitions(1)
    });
    Arc::new(
        TaskContext::default()
            .with_session_config(CONFIG.clone())
            .with_runtime(RUNTIME.clone()),
    )
}
