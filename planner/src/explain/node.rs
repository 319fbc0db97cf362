//! Node: what is known of one step of a plan (its PostgreSQL name, its properties, its estimates), and what was measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::SqlResult;
use crate::bound::{JoinKind, Rel, RelationRef, SetKind};
use crate::eval::Layout;
use crate::relational::batch::Batch;
use crate::relational::columnar::adaptive::take_begun;
use crate::relational::plan::{Operator, Plan};
use crate::relational::runtime::{Frame, Runtime};

/// A table that is read or written.
#[derive(Clone, Debug)]
pub struct Target {
    pub table: RelationRef,
    pub alias: String,
}

/// How groups are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    Plain,
    Hashed,
    Mixed,
}

/// What a step is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A step that needs no further words: Sort, Limit, Result.
    Plain(&'static str),
    SeqScan(Target),
    IndexScan {
        target: Target,
        index: String,
        backward: bool,
    },
    ValuesScan,
    FunctionScan(String),
    CteScan(String),
    WorkTableScan(String),
    HashJoin(JoinKind),
    /// A join that finds its right rows by an index while the left ones are few, and reads and hashes them otherwise.
    LookupJoin(JoinKind),
    NestedLoop(JoinKind),
    Aggregate(Strategy),
    SetOperation(SetKind),
    Append,
    Window {
        /// Keys each window sorts its rows by, in the order in which they are computed.
        sorts: Vec<Vec<String>>,
    },
    Modify {
        operation: &'static str,
        target: Target,
        /// Where the source relation stands: the plan of its last run is found by it.
        source: usize,
    },
    /// Conditions over the step below, which is shown with them as one.
    Conditions,
}

/// A property of a step.
#[derive(Clone, Debug)]
pub enum Detail {
    Text(&'static str, String),
    List(&'static str, Vec<String>),
}

/// Which rows a measured property counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    Filter,
    JoinFilter,
}

impl Removed {
    pub fn label(self) -> &'static str {
        match self {
            Removed::Filter => "Rows Removed by Filter",
            Removed::JoinFilter => "Rows Removed by Join Filter",
        }
    }
}

/// A subquery or a CTE of a step.
#[derive(Debug)]
pub struct Subplan {
    /// `InitPlan` or `SubPlan`.
    pub relationship: &'static str,
    /// `SubPlan 1`, `CTE x`
    pub title: String,
    pub plan: Arc<dyn Plan>,
}

/// What was counted while a step ran.
#[derive(Debug, Default)]
pub struct Measure {
    loops: AtomicU64,
    rows: AtomicU64,
    startup: AtomicU64,
    total: AtomicU64,
    removed: AtomicU64,
    /// Bytes of memory an operator held at most.
    memory: AtomicU64,
    /// Bytes an operator wrote to disk.
    disk: AtomicU64,
    columnar: AtomicU64,
}

impl Measure {
    /// Counts rows that a condition rejected.
    pub fn remove(&self, rows: u64) {
        self.removed.fetch_add(rows, Ordering::Relaxed);
    }

    /// Notes how much an operator holds.
    pub fn hold(&self, memory: usize, disk: u64) {
        self.memory.fetch_max(memory as u64, Ordering::Relaxed);
        self.disk.fetch_max(disk, Ordering::Relaxed);
    }

    /// Notes that the columnar engine ran the step and those below.
    pub fn set_columnar(&self) {
        self.columnar.store(1, Ordering::Relaxed);
    }

    pub fn is_columnar(&self) -> bool {
        self.columnar.load(Ordering::Relaxed) > 0
    }

    pub fn loops(&self) -> u64 {
        self.loops.load(Ordering::Relaxed)
    }

    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub fn removed(&self) -> u64 {
        self.removed.load(Ordering::Relaxed)
    }

    pub fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    pub fn disk(&self) -> u64 {
        self.disk.load(Ordering::Relaxed)
    }

    /// Milliseconds until the first row and until the last one, of one run.
    pub fn milliseconds(&self) -> (f64, f64) {
        let loops = self.loops().max(1) as f64;
        let of = |nanoseconds: &AtomicU64| nanoseconds.load(Ordering::Relaxed) as f64 / 1e6 / loops;
        (of(&self.startup), of(&self.total))
    }

    /// Forgets what was counted so far: the step begins again.
    pub fn restart(&self) {
        for counter in [&self.loops, &self.rows, &self.startup, &self.total, &self.removed] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// Adds a run that somebody else timed.
    pub fn add_run(&self, rows: u64, nanoseconds: u64) {
        self.loops.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.startup.fetch_add(nanoseconds, Ordering::Relaxed);
        self.total.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

/// One step of a plan.
#[derive(Debug)]
pub struct Node {
    pub kind: Kind,
    pub details: Vec<Detail>,
    /// What the rows removed were removed by, if the step has such a condition.
    pub removes: Option<Removed>,
    /// Rows expected.
    pub rows: f64,
    /// Bytes of a row expected.
    pub width: usize,
    /// Output columns, for VERBOSE.
    pub output: Vec<String>,
    /// Subqueries of its expressions, CTEs defined at it.
    pub subplans: Mutex<Vec<Subplan>>,
    pub measure: Arc<Measure>,
}

/// A plan with what is known of it; it behaves as the plan itself.
#[derive(Debug)]
pub struct DescribedPlan {
    inner: Arc<dyn Plan>,
    node: Arc<Node>,
}

impl DescribedPlan {
    pub fn wrap(inner: Arc<dyn Plan>, node: Node) -> Arc<dyn Plan> {
        Arc::new(Self {
            inner,
            node: Arc::new(node),
        })
    }
}

impl Plan for DescribedPlan {
    fn layout(&self) -> &Layout {
        self.inner.layout()
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        // What was begun to choose an engine is measured already.
        if let Some(begun) = take_begun(frame, &*self.inner) {
            return Ok(begun);
        }
        let start = Instant::now();
        let inner = self.inner.clone().open(runtime, frame)?;
        self.node.measure.loops.fetch_add(1, Ordering::Relaxed);
        let elapsed = nanoseconds(start);
        self.node.measure.startup.fetch_add(elapsed, Ordering::Relaxed);
        self.node.measure.total.fetch_add(elapsed, Ordering::Relaxed);
        Ok(Box::new(MeasuredOperator {
            inner,
            measure: self.node.measure.clone(),
            started: false,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        self.inner.inputs()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self.inner.as_any()
    }

    fn described(&self) -> Option<&Arc<Node>> {
        Some(&self.node)
    }
}

struct MeasuredOperator {
    inner: Box<dyn Operator>,
    measure: Arc<Measure>,
    started: bool,
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[async_trait]
impl Operator for MeasuredOperator {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let start = Instant::now();
        let batch = self.inner.next(rows_max).await?;
        let elapsed = nanoseconds(start);
        if !std::mem::replace(&mut self.started, true) {
            self.measure.startup.fetch_add(elapsed, Ordering::Relaxed);
        }
        self.measure.total.fetch_add(elapsed, Ordering::Relaxed);
        if let Some(batch) = &batch {
            self.measure.rows.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
        Ok(batch)
    }
}

/// By what the source relation of a data-modifying statement is found again: where it stands.
pub fn address(rel: &Rel) -> usize {
    std::ptr::from_ref(rel) as usize
}
