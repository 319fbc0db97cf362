//! Runtime: what the operators of one statement share; Frame: what changes between runs of a subplan.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use ahash::AHashMap;
use async_trait::async_trait;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use storage::{Datum, Row};
use tokio_util::sync::CancellationToken;
use txn::Key;

use crate::bound::{ColumnId, CteId, Modify};
use crate::eval::{EvalContext, SessionView, SubqueryRows};
use crate::explain::Observer;
use crate::relational::QueryScope;
use crate::relational::columnar::adaptive::BegunScans;
use crate::relational::operators::cte::CteBuffer;
use crate::relational::read_locks::ScanTarget;
use crate::relational::read_paths::{ColumnReads, QueryReads};
use crate::relational::source::RowSource;
use crate::{SqlError, SqlResult, SqlState};

/// Rows of a running query, in batches.
pub type RowBatches = BoxStream<'static, SqlResult<Vec<Vec<Datum>>>>;

/// Runs data-modifying statements inside of queries.
#[async_trait]
pub trait ModifyHook: Send + Sync {
    /// Runs the statement once, to its end or as its rows are drawn; gives its RETURNING rows. The source is run through
    /// `scope`, which knows the CTEs around it.
    async fn execute(&self, modify: &Arc<Modify>, scope: &QueryScope) -> SqlResult<RowBatches>;
}

/// Refuses data-modifying statements: for queries that cannot hold any.
pub struct NoModify;

#[async_trait]
impl ModifyHook for NoModify {
    async fn execute(&self, _: &Arc<Modify>, _: &QueryScope) -> SqlResult<RowBatches> {
        Err(SqlError::unsupported("a data-modifying statement here"))
    }
}

/// Longest time a statement computes without letting others of its task look at it.
const BREATH_MILLISECONDS: u64 = 10;

/// What the operators of one statement share.
pub struct Runtime {
    /// Where scans read.
    pub source: Arc<dyn RowSource>,
    /// Session facts.
    pub session: Arc<dyn SessionView>,
    /// Parameter values.
    pub parameters: Arc<[Datum]>,
    /// Cancels the statement.
    pub cancel: CancellationToken,
    /// When it began.
    pub started: Instant,
    /// When it last let others run, in milliseconds since then.
    pub(crate) breath: AtomicU64,
    /// Memory of the statement.
    pub budget: Arc<Budget>,
    /// Runs data-modifying statements.
    pub modify: Arc<dyn ModifyHook>,
    /// Plans queries with notes and keeps the plans, while EXPLAIN runs the statement.
    pub(crate) observer: Option<Arc<Observer>>,
    /// Rows of subqueries and spools that depend on nothing but the statement, by plan number.
    pub(crate) once: Mutex<AHashMap<usize, SubqueryRows>>,
    /// What the queries of the statement read, found when it was first asked for.
    pub(crate) reads: Mutex<Vec<(Arc<QueryReads>, Arc<ColumnReads>)>>,
}

impl Runtime {
    /// Fails if the statement was cancelled.
    pub fn check(&self) -> SqlResult<()> {
        if self.cancel.is_cancelled() {
            return Err(SqlError::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to user request",
            ));
        }
        Ok(())
    }

    /// What a query reads, for the parameters of this statement.
    pub(crate) fn column_reads(&self, query: &Arc<QueryReads>) -> Arc<ColumnReads> {
        let mut known = self.reads.lock();
        if let Some((_, reads)) = known.iter().find(|(known, _)| Arc::ptr_eq(known, query)) {
            return reads.clone();
        }
        let reads = Arc::new(query.by_column(&self.parameters));
        known.push((query.clone(), reads.clone()));
        reads
    }

    /// Called between batches and in long loops: fails if cancelled, and lets other tasks of the thread run.
    ///
    /// Batches may be slow, so what counts is time: whoever watches the statement (its timeout, its client) is asked
    /// every `BREATH_MILLISECONDS`.
    pub async fn breathe(&self) -> SqlResult<()> {
        let now = self.started.elapsed().as_millis() as u64;
        if now >= self.breath.load(Ordering::Relaxed) + BREATH_MILLISECONDS {
            self.breath.store(now, Ordering::Relaxed);
            tokio::task::yield_now().await;
        } else {
            tokio::task::consume_budget().await;
        }
        self.check()
    }

    /// What programs may look at.
    pub fn eval_context<'a>(&'a self, frame: &'a Frame) -> EvalContext<'a> {
        EvalContext {
            session: &*self.session,
            parameters: &self.parameters,
            outer: &frame.outer,
        }
    }
}

/// What changes between runs of a (sub)plan.
#[derive(Clone, Default)]
pub struct Frame {
    /// Values of outer columns.
    pub outer: Arc<[Datum]>,
    /// CTEs in scope.
    pub(crate) ctes: CteScope,
    /// Rows that stand for whole scans while a locked row is evaluated again.
    pub(crate) replaced: Option<Arc<ReplacedRows>>,
    /// Scans that were begun to choose an engine.
    pub(crate) begun: Option<BegunScans>,
    /// Scans whose rows the statement will change or lock.
    pub(crate) targets: Arc<[ScanTarget]>,
}

impl Frame {
    /// The same scope with other outer values.
    pub fn with_outer(&self, outer: Vec<Datum>) -> Frame {
        Frame {
            outer: outer.into(),
            ctes: self.ctes.clone(),
            replaced: self.replaced.clone(),
            begun: None,
            targets: self.targets.clone(),
        }
    }
}

/// The one row that a scan gives.
pub(crate) struct ReplacedRow {
    /// Column by which the scan is named.
    pub(crate) row_key: ColumnId,
    /// The table the row is in: a scan of a parent reads several.
    pub(crate) table: u32,
    pub(crate) key: Key,
    pub(crate) row: Row,
}

/// Rows that stand for scans.
pub(crate) type ReplacedRows = Vec<ReplacedRow>;

/// The CTEs a plan may refer to, innermost first.
#[derive(Clone, Default)]
pub(crate) struct CteScope(Option<Arc<CteLink>>);

struct CteLink {
    id: CteId,
    buffer: Arc<CteBuffer>,
    parent: CteScope,
}

impl CteScope {
    pub(crate) fn with(&self, id: CteId, buffer: Arc<CteBuffer>) -> CteScope {
        CteScope(Some(Arc::new(CteLink {
            id,
            buffer,
            parent: self.clone(),
        })))
    }

    pub(crate) fn find(&self, id: CteId) -> Option<&Arc<CteBuffer>> {
        let mut scope = self;
        while let Some(link) = &scope.0 {
            if link.id == id {
                return Some(&link.buffer);
            }
            scope = &link.parent;
        }
        None
    }
}

/// Memory a statement may hold in its operators.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes_max: usize) -> Arc<Budget> {
        Arc::new(Budget {
            used: AtomicUsize::new(0),
            bytes_max,
        })
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// A part of a [`Budget`], given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reservation {
    /// An empty reservation.
    pub fn new(runtime: &Runtime) -> Self {
        Self {
            budget: runtime.budget.clone(),
            bytes: 0,
        }
    }

    /// Takes more bytes.
    ///
    /// # Errors
    /// 53200 beyond the budget.
    pub fn grow(&mut self, bytes: usize) -> SqlResult<()> {
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before + bytes > self.budget.bytes_max {
            return Err(SqlError::new(SqlState::OUT_OF_MEMORY, "out of memory").detail(format!(
                "The statement needs more than {} bytes for its working set.",
                self.budget.bytes_max
            )));
        }
        Ok(())
    }

    /// Gives all bytes back.
    pub fn release(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}
