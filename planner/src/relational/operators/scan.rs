//! Scan of a stored table: by range of its key, by single keys, or through an index; filters before it copies.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use storage::{Datum, Row};
use txn::transaction::{EntryStream, RowStream};
use txn::{IndexId, Key, KeyRange, LockWait};

use crate::SqlResult;
use crate::bound::{ColumnId, RelationRef};
use crate::eval::{Layout, Program};
use crate::explain::node::Measure;
use crate::relational::access::{Access, Target};
use crate::relational::batch::Batch;
use crate::relational::columnar::adaptive::take_begun;
use crate::relational::evaluator::{Evaluator, SubPlans};
use crate::relational::operators::lock_rows::lock_timeout;
use crate::relational::plan::{Operator, Plan};
use crate::relational::read_locks::{ReadLocks, is_bounded};
use crate::relational::read_paths::QueryReads;
use crate::relational::runtime::{Frame, Runtime};
use crate::relational::source::RowSource;

/// A compiled scan.
#[derive(Debug)]
pub struct ScanPlan {
    /// The table.
    pub table: RelationRef,
    /// Name in the query, for EXPLAIN.
    pub alias: String,
    /// Output.
    pub layout: Layout,
    /// Where each output column is in the extended stored row: the table's columns, then the row's key, then tableoid.
    pub slots: Vec<usize>,
    /// Positions of the table's columns that the conditions and the output need, ascending; `None` is all.
    pub wanted: Option<Arc<[u16]>>,
    /// Values of columns that rows written before the column existed lack.
    pub missing: Vec<Datum>,
    /// Which rows are read.
    pub access: Access,
    /// Conditions over the extended stored row, in order.
    pub filter: Vec<Program>,
    /// Subqueries of the conditions.
    pub subplans: SubPlans,
    /// Column by which row locks name this scan.
    pub row_key: Option<ColumnId>,
    /// Counts the rows that the conditions reject, if EXPLAIN asks.
    pub measure: Option<Arc<Measure>>,
    /// The table's columns as the query names them: position and id.
    pub columns: Vec<(u16, ColumnId)>,
    /// What the query around the scan reads, if it is known.
    pub reads: Option<Arc<QueryReads>>,
}

impl Plan for ScanPlan {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        if let Some(begun) = take_begun(frame, &*self) {
            return Ok(begun);
        }
        let evaluator = Evaluator::new(runtime, frame, &self.subplans);
        Ok(Box::new(ScanOperator {
            plan: self,
            evaluator,
            state: State::Closed,
            keys_only: [].into(),
            pending: Vec::new().into_iter(),
            locks: None,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        Vec::new()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct ScanOperator {
    plan: Arc<ScanPlan>,
    evaluator: Evaluator,
    state: State,
    /// No column, where only keys are used.
    keys_only: Arc<[u16]>,
    pending: std::vec::IntoIter<(Key, Row)>,
    /// SERIALIZABLE: locks to take on rows before they are read.
    locks: Option<ReadLocks>,
}

enum State {
    Closed,
    /// A range of rows, and the ranges after it.
    Rows(RowStream, std::vec::IntoIter<KeyRange>),
    /// Rows that are locked one by one: of these only the keys are used.
    Candidates(RowStream, std::vec::IntoIter<KeyRange>),
    /// Single keys, still to be read.
    Keys(std::vec::IntoIter<Key>),
    Entries(Entries),
    /// The one row that stands for the scan while a locked row is looked at again.
    Replaced(Key, Row),
    Done,
}

/// Entries of an index.
struct Entries {
    index: IndexId,
    global: bool,
    stream: EntryStream,
    rest: std::vec::IntoIter<KeyRange>,
    /// Whether it was looked at how many there are.
    is_counted: bool,
    /// Entries read while they were counted.
    early: VecDeque<Vec<Key>>,
}

/// Entries beyond which an index is left for the table: fetching so many rows one by one is slower than reading all.
const ENTRIES_MAX: usize = 4096;
/// Rows wanted up to which nobody counts the entries: few will be read.
const FEW_ROWS: usize = 256;

#[async_trait]
impl Operator for ScanOperator {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        let plan = self.plan.clone();
        let mut batch = Batch::with_capacity(plan.layout.width(), rows_max.min(64));
        loop {
            for (key, row) in self.pending.by_ref() {
                let row = plan.extend(key, row);
                let mut passes = true;
                for condition in &plan.filter {
                    if !self.evaluator.is_true(condition, &row).await? {
                        passes = false;
                        break;
                    }
                }
                if passes {
                    batch.push(plan.slots.iter().map(|slot| row[*slot].clone()));
                    if batch.len() == rows_max {
                        return Ok(Some(batch));
                    }
                } else if let Some(measure) = &plan.measure {
                    measure.remove(1);
                }
            }
            self.evaluator.runtime.breathe().await?;
            match self.fetch(rows_max).await? {
                Some(rows) => self.pending = rows.into_iter(),
                None if batch.is_empty() => return Ok(None),
                None => return Ok(Some(batch)),
            }
            if !batch.is_empty() && self.pending.len() == 0 {
                return Ok(Some(batch));
            }
        }
    }
}

/// Keys read at once when an index names them one by one.
const KEYS_PER_FETCH: usize = 256;

impl ScanOperator {
    async fn fetch(&mut self, rows_max: usize) -> SqlResult<Option<Vec<(Key, Row)>>> {
        if let State::Closed = self.state {
            self.state = self.start().await?;
        }
        self.count_entries(rows_max).await?;
        let table = self.plan.table.id;
        let reverse = self.plan.access.is_reverse();
        let source = self.evaluator.runtime.source.clone();
        let wanted = self.plan.wanted.as_ref();
        let keys = match &mut self.state {
            State::Closed | State::Done => None,
            State::Rows(stream, rest) => loop {
                if let Some(rows) = stream.next().await.transpose()? {
                    return Ok(Some(rows));
                }
                match rest.next() {
                    Some(range) => *stream = source.scan(table, wanted, range, reverse),
                    None => break None,
                }
            },
            State::Candidates(stream, rest) => loop {
                if let Some(rows) = stream.next().await.transpose()? {
                    break Some(rows.into_iter().map(|(key, _)| key).collect());
                }
                match rest.next() {
                    Some(range) => *stream = source.scan(table, Some(&self.keys_only), range, reverse),
                    None => break None,
                }
            },
            State::Keys(keys) => {
                let next: Vec<Key> = keys.take(rows_max.min(KEYS_PER_FETCH)).collect();
                (!next.is_empty()).then_some(next)
            }
            State::Entries(entries) => entries.next(&*source, &self.plan).await?,
            State::Replaced(key, row) => {
                let row = (key.clone(), std::mem::take(row));
                self.state = State::Done;
                return Ok(Some(vec![row]));
            }
        };
        let Some(mut keys) = keys else {
            self.state = State::Done;
            return Ok(None);
        };
        if let Some(locks) = &self.locks {
            keys = locks.lock_rows(keys).await?;
        }
        let mut rows = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(row) = source.get(table, &key).await? {
                rows.push((key, row));
            }
        }
        Ok(Some(rows))
    }

    async fn start(&mut self) -> SqlResult<State> {
        let plan = &self.plan;
        if let (Some(replaced), Some(row_key)) = (&self.evaluator.frame.replaced, plan.row_key)
            && let Some(replaced) = replaced.iter().find(|replaced| replaced.row_key == row_key)
        {
            // A scan of a parent reads several tables: the others have no row then.
            return Ok(match replaced.table == plan.table.id {
                true => State::Replaced(replaced.key.clone(), replaced.row.clone()),
                false => State::Done,
            });
        }
        let runtime = self.evaluator.runtime.clone();
        let targets = plan
            .access
            .targets(&plan.table, &runtime.eval_context(&self.evaluator.frame))?;
        if runtime.source.has_additions(plan.table.id) {
            self.read_locks().settle_additions(&targets).await?;
        }
        if runtime.source.reads_under_locks() {
            let locks = self.read_locks();
            locks.lock_predicate(plan, &targets).await?;
            self.locks = Some(locks);
        }
        let is_locked = self.locks.is_some();
        Ok(match targets {
            Target::Nothing => State::Done,
            Target::Ranges(ranges) => {
                let is_candidates = is_locked && ranges.iter().all(is_bounded);
                let mut rest = ranges.into_iter();
                let reverse = plan.access.is_reverse();
                let wanted = match is_candidates {
                    true => Some(&self.keys_only),
                    false => plan.wanted.as_ref(),
                };
                match rest
                    .next()
                    .map(|range| runtime.source.scan(plan.table.id, wanted, range, reverse))
                {
                    Some(stream) if is_candidates => State::Candidates(stream, rest),
                    Some(stream) => State::Rows(stream, rest),
                    None => State::Done,
                }
            }
            Target::Keys(keys) => State::Keys(keys.into_iter()),
            Target::IndexRanges { index, global, ranges } => {
                let mut rest = ranges.into_iter();
                let reverse = plan.access.is_reverse();
                match rest.next() {
                    Some(range) => State::Entries(Entries {
                        index,
                        global,
                        stream: runtime.source.scan_index(plan.table.id, index, global, range, reverse),
                        rest,
                        // Under locks only the rows that the index names are locked, and so only those may be read.
                        is_counted: is_locked || plan.access.is_ordered(),
                        early: VecDeque::new(),
                    }),
                    None => State::Done,
                }
            }
        })
    }

    /// Where many rows are wanted, looks how many an index names before they are fetched; too many, and the table is read.
    async fn count_entries(&mut self, rows_max: usize) -> SqlResult<()> {
        let State::Entries(entries) = &mut self.state else {
            return Ok(());
        };
        if std::mem::replace(&mut entries.is_counted, true) || rows_max <= FEW_ROWS {
            return Ok(());
        }
        let source = self.evaluator.runtime.source.clone();
        let mut count = 0;
        let mut early = VecDeque::new();
        while let Some(keys) = entries.next(&*source, &self.plan).await? {
            count += keys.len();
            early.push_back(keys);
            if count > ENTRIES_MAX {
                let whole = source.scan(
                    self.plan.table.id,
                    self.plan.wanted.as_ref(),
                    KeyRange::default(),
                    false,
                );
                self.state = State::Rows(whole, Vec::new().into_iter());
                return Ok(());
            }
        }
        entries.early = early;
        Ok(())
    }

    fn read_locks(&self) -> ReadLocks {
        let runtime = &self.evaluator.runtime;
        let reads = self.plan.reads.as_ref().map(|query| runtime.column_reads(query));
        let targets = &self.evaluator.frame.targets;
        let target = self
            .plan
            .row_key
            .and_then(|row_key| targets.iter().find(|target| target.row_key == row_key));
        let wait = LockWait::Wait(lock_timeout(runtime));
        ReadLocks::new(runtime.source.clone(), &self.plan, reads.as_deref(), target, wait)
    }
}

impl Entries {
    /// The keys of the next rows.
    async fn next(&mut self, source: &dyn RowSource, plan: &ScanPlan) -> SqlResult<Option<Vec<Key>>> {
        if let Some(keys) = self.early.pop_front() {
            return Ok(Some(keys));
        }
        loop {
            if let Some(entries) = self.stream.next().await.transpose()? {
                return Ok(Some(entries.into_iter().map(|(_, key)| key).collect()));
            }
            let Some(range) = self.rest.next() else { return Ok(None) };
            let reverse = plan.access.is_reverse();
            self.stream = source.scan_index(plan.table.id, self.index, self.global, range, reverse);
        }
    }
}

impl ScanPlan {
    /// The stored row in full width, with its key and the table's oid behind.
    pub fn extend(&self, key: Key, mut row: Row) -> Row {
        let width = self.missing.len();
        if row.len() < width {
            row.extend_from_slice(&self.missing[row.len()..]);
        }
        row.truncate(width);
        row.push(Datum::Bytea(Bytes::clone(&key)));
        row.push(Datum::Oid(self.table.id));
        row
    }
}
