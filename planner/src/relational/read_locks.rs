//! Read locks: what a scan locks before it reads (DESIGN §3 and §4, SERIALIZABLE).
//!
//! ```text
//!   all rows             S orders/*/doc/a, S orders/#rows        who writes doc/a of any row waits, and who adds a row;
//!                                                                a writer of doc/b does not
//!   rows by key          S orders/7/doc/a                        also if there is no such row: an insert needs X there
//!   range of an index    S orders/by_total/[10, 20), then S on the paths of the rows found
//! ```
//! What is then read is the newest state, and stays so until the transaction ends. Rows that the statement will change or
//! lock are locked as it will need them: two transactions that both read first and write then would deadlock.
//!
//! SKIP LOCKED leaves out rows that are locked, not predicates: a scan of a whole table waits for who writes what it reads.

use std::sync::Arc;

use storage::Path;
use txn::{Key, KeyRange, LockName, LockRequest, LockWait, Mode, RowPart};

use crate::SqlResult;
use crate::bound::{ColumnId, RowLockStrength};
use crate::catalog::{IndexKey, IndexSource};
use crate::modify::derive;
use crate::relational::access::{Access, Target};
use crate::relational::operators::scan::ScanPlan;
use crate::relational::read_paths::{ColumnReads, of_scan};
use crate::relational::source::RowSource;

/// Rows of a scan that its statement will change or lock.
#[derive(Clone, Debug)]
pub struct ScanTarget {
    /// Column by which the scan is named.
    pub row_key: ColumnId,
    /// What will be asked for.
    pub wants: Wants,
    /// What to do where it is held.
    pub wait: LockWait,
}

/// What a statement will ask for of each row it finds.
#[derive(Clone, Debug)]
pub enum Wants {
    /// A part of the row in a mode.
    Part(RowPart, Mode),
    /// X on these paths.
    Paths(Vec<Path>),
}

/// What SELECT … FOR … asks for (DESIGN L2).
pub fn row_lock_of(strength: RowLockStrength) -> (RowPart, Mode) {
    match strength {
        RowLockStrength::Update => (RowPart::Row, Mode::Exclusive),
        RowLockStrength::NoKeyUpdate => (RowPart::Data, Mode::Exclusive),
        RowLockStrength::Share => (RowPart::Row, Mode::Shared),
        RowLockStrength::KeyShare => (RowPart::Identity, Mode::Shared),
    }
}

/// The locks of one run of a scan.
pub struct ReadLocks {
    source: Arc<dyn RowSource>,
    table: u32,
    /// Paths of each row that are read; if none, only whether there is a row.
    paths: Vec<Path>,
    target: Option<ScanTarget>,
    wait: LockWait,
}

impl ReadLocks {
    /// The locks of a scan; `reads` is what its query reads, `None` if that is not known: then all of it.
    pub fn new(
        source: Arc<dyn RowSource>,
        plan: &ScanPlan,
        reads: Option<&ColumnReads>,
        target: Option<&ScanTarget>,
        wait: LockWait,
    ) -> ReadLocks {
        let mut paths = match reads {
            Some(reads) => of_scan(reads, &plan.columns),
            None => plan.columns.iter().map(|(at, _)| Path::column(*at)).collect(),
        };
        // The primary key changes only with the row itself, which is locked in any case.
        let keys = plan.table.primary_key().map(|index| index.keys.as_slice());
        let is_key = |at: u16| {
            let of = |key: &IndexKey| matches!(key.source, IndexSource::Column(column) if column == at);
            keys.into_iter().flatten().any(of)
        };
        paths.retain(|path| !is_key(path.column));
        ReadLocks {
            source,
            table: plan.table.id,
            paths,
            target: target.cloned(),
            wait,
        }
    }

    /// Makes known what the transaction has only added to and is about to read.
    ///
    /// # Errors
    /// What locking reports.
    pub async fn settle_additions(&self, target: &Target) -> SqlResult<()> {
        let keys = match target {
            Target::Nothing => return Ok(()),
            Target::Keys(keys) => Some(keys.as_slice()),
            Target::Ranges(_) | Target::IndexRanges { .. } => None,
        };
        self.source
            .settle_additions(self.table, keys, &self.paths, self.wait)
            .await
    }

    /// Takes the locks on the predicate, which keep phantoms out.
    ///
    /// # Errors
    /// What locking reports.
    pub async fn lock_predicate(&self, plan: &ScanPlan, target: &Target) -> SqlResult<()> {
        let requests = match target {
            Target::Nothing | Target::Keys(_) => return Ok(()),
            Target::Ranges(ranges) if ranges.iter().all(is_bounded) => {
                let interval = |range| self.interval(plan, primary_key(plan), false, range);
                ranges.iter().flat_map(interval).collect()
            }
            Target::Ranges(_) => self.all_rows(),
            Target::IndexRanges { index, global, ranges } => {
                let interval = |range| self.interval(plan, *index, *global, range);
                ranges.iter().flat_map(interval).collect()
            }
        };
        self.source.lock(requests, self.wait).await?;
        Ok(())
    }

    /// Locks what is read of rows, all at once; the rows to go on with. Rows that are locked by others are left out if the
    /// statement says SKIP LOCKED.
    ///
    /// # Errors
    /// What locking reports.
    pub async fn lock_rows(&self, keys: Vec<Key>) -> SqlResult<Vec<Key>> {
        let wait = self.target.as_ref().map_or(self.wait, |target| target.wait);
        if wait != LockWait::Skip {
            let requests = keys.iter().flat_map(|key| self.row(key)).collect();
            self.source.lock(requests, wait).await?;
            return Ok(keys);
        }
        let mut granted = Vec::with_capacity(keys.len());
        for key in keys {
            if self.source.lock(self.row(&key), wait).await? {
                granted.push(key);
            }
        }
        Ok(granted)
    }

    /// A class mode that meets itself where the statement goes on to write what it reads.
    fn predicate_mode(&self, path: Option<&Path>) -> Mode {
        let writes = match self.target.as_ref().map(|target| &target.wants) {
            None => false,
            Some(Wants::Part(_, mode)) => *mode == Mode::Exclusive,
            Some(Wants::Paths(paths)) => path.is_some_and(|path| paths.iter().any(|written| written.overlaps(path))),
        };
        if writes {
            Mode::SharedIntentionExclusive
        } else {
            Mode::Shared
        }
    }

    fn all_rows(&self) -> Vec<LockRequest> {
        let table = self.table;
        let classes = self.paths.iter().map(|path| {
            let name = LockName::PathClass {
                table,
                path: path.clone(),
            };
            LockRequest::new(name, self.predicate_mode(Some(path)))
        });
        let row_set = LockName::RowSet { table, row: None };
        classes
            .chain([LockRequest::new(row_set, self.predicate_mode(None))])
            .collect()
    }

    fn interval(&self, plan: &ScanPlan, index: u32, global: bool, range: &KeyRange) -> Vec<LockRequest> {
        let table = self.table;
        let from = range.from.clone().unwrap_or_default();
        // One value of a unique index lies on one shard; an interval of them anywhere.
        let name = match global && is_one_value(plan) {
            true => LockName::IndexValue {
                table,
                index,
                global,
                value: from,
                row: None,
            },
            false => LockName::IndexInterval {
                table,
                index,
                global,
                from,
                to: range.to.clone(),
            },
        };
        vec![LockRequest::new(name, Mode::Shared)]
    }

    fn row(&self, key: &Key) -> Vec<LockRequest> {
        let request = |part, mode| {
            let (table, key) = (self.table, key.clone());
            LockRequest::new(LockName::Row { table, key, part }, mode)
        };
        let read = |path: &Path| request(RowPart::Path(path.clone()), Mode::Shared);
        match self.target.as_ref().map(|target| &target.wants) {
            Some(Wants::Part(part, mode)) => {
                let covers = match part {
                    RowPart::Row => true,
                    RowPart::Data => *mode == Mode::Exclusive,
                    RowPart::Identity | RowPart::Path(_) => false,
                };
                let paths = self.paths.iter().filter(|_| !covers).map(read);
                [request(part.clone(), *mode)].into_iter().chain(paths).collect()
            }
            Some(Wants::Paths(written)) => {
                let writes = written
                    .iter()
                    .map(|path| request(RowPart::Path(path.clone()), Mode::Exclusive));
                let is_written = |path: &&Path| written.iter().any(|written| derive::covers(written, path));
                writes
                    .chain(self.paths.iter().filter(|path| !is_written(path)).map(read))
                    .collect()
            }
            None if self.paths.is_empty() => vec![request(RowPart::Identity, Mode::Shared)],
            None => self.paths.iter().map(read).collect(),
        }
    }
}

/// Whether a range leaves rows out.
pub fn is_bounded(range: &KeyRange) -> bool {
    range.from.as_ref().is_some_and(|from| !from.is_empty()) || range.to.is_some()
}

/// Id of the index that orders the rows themselves; ranges of it are bounded only by conditions on its columns.
fn primary_key(plan: &ScanPlan) -> u32 {
    plan.table.primary_key().map_or(0, |index| index.id)
}

/// Whether the access path names every column of its index by one value, none of which can be NULL.
fn is_one_value(plan: &ScanPlan) -> bool {
    let Access::Index(access) = &plan.access else {
        return false;
    };
    let index = plan.table.indexes.iter().find(|index| index.id == access.index);
    index.is_some_and(|index| access.equal.len() == index.keys.len())
}
