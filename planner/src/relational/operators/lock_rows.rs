//! FOR UPDATE and its kin: locks the rows that come by, and looks again at those that changed meanwhile.

use std::sync::Arc;

use async_trait::async_trait;
use storage::{Datum, Path, Row};
use txn::{Isolation, Key, LockName, LockRequest, LockWait, LockedRow};

use crate::bound::{LockWait as WaitClause, RelationRef, RowLockStrength};
use crate::catalog::IndexSource;
use crate::eval::Layout;
use crate::modify::writer::{is_elsewhere, moved_away};
use crate::relational::batch::Batch;
use crate::relational::plan::{Operator, Plan};
use crate::relational::read_locks::{ScanTarget, Wants, row_lock_of};
use crate::relational::runtime::{Frame, ReplacedRow, Runtime};
use crate::{SqlError, SqlResult, SqlState};

/// Compiled row locks.
#[derive(Debug)]
pub struct LockRowsPlan {
    /// Input.
    pub input: Arc<dyn Plan>,
    /// Locks per row.
    pub locks: Vec<LockProgram>,
    /// Scans whose rows are not locked, but stay as they were read when a locked one is looked at again.
    pub pins: Vec<RowProgram>,
}

/// Where the rows of a scan are known by.
#[derive(Debug)]
pub struct RowProgram {
    /// Table.
    pub table: RelationRef,
    /// Slot of the row's key.
    pub slot: usize,
    /// Column of the row's key.
    pub row_key: crate::bound::ColumnId,
    /// Slot of the oid of the row's table, if it may be another.
    pub table_slot: Option<usize>,
}

/// A compiled row lock.
#[derive(Debug)]
pub struct LockProgram {
    /// What is locked.
    pub scan: RowProgram,
    /// Strength.
    pub strength: RowLockStrength,
    /// What to do when it is held.
    pub wait: WaitClause,
}

impl RowProgram {
    /// Table and key of a row; `None` on the side of an outer join that has none.
    fn find(&self, row: &[Datum]) -> Option<(u32, Key)> {
        let Datum::Bytea(key) = &row[self.slot] else {
            return None;
        };
        let table = match self.table_slot.map(|slot| &row[slot]) {
            Some(Datum::Oid(table)) => *table,
            _ => self.table.id,
        };
        Some((table, key.clone()))
    }

    /// The one row that stands for the scan.
    fn replaced(&self, found: Option<(u32, Key, Row)>) -> ReplacedRow {
        // No table has this number: a scan of any has no row then.
        let (table, key, row) = found.unwrap_or_default();
        ReplacedRow {
            row_key: self.row_key,
            table,
            key,
            row,
        }
    }
}

impl LockProgram {
    fn request(&self, table: u32, key: &Key) -> LockRequest {
        let (part, mode) = row_lock_of(self.strength);
        LockRequest {
            name: LockName::Row {
                table,
                key: key.clone(),
                part,
            },
            mode,
            add: None,
        }
    }

    /// Whether the row's newest state is wanted. KEY SHARE locks only its identity, which no change touches that leaves the
    /// row where it is; PostgreSQL too gives the row as the snapshot has it.
    fn sees_changes(&self) -> bool {
        self.strength != RowLockStrength::KeyShare
    }

    /// Paths whose change since the snapshot is a conflict under REPEATABLE READ; none means all of the row.
    fn looks_at(&self) -> Vec<Path> {
        if self.sees_changes() {
            return Vec::new();
        }
        let keys = self.scan.table.primary_key().map(|index| index.keys.as_slice());
        let key_columns = keys.into_iter().flatten().filter_map(|key| match key.source {
            IndexSource::Column(at) => Some(Path::column(at)),
            IndexSource::Expression(_) => None,
        });
        // A column no table has: the row's own id never changes.
        key_columns.chain([Path::column(u16::MAX)]).collect()
    }

    fn lock_wait(&self, runtime: &Runtime) -> LockWait {
        match self.wait {
            WaitClause::Wait => LockWait::Wait(lock_timeout(runtime)),
            WaitClause::NoWait => LockWait::NoWait,
            WaitClause::SkipLocked => LockWait::Skip,
        }
    }

    fn target(&self, runtime: &Runtime) -> ScanTarget {
        let (part, mode) = row_lock_of(self.strength);
        ScanTarget {
            row_key: self.scan.row_key,
            wants: Wants::Part(part, mode),
            wait: self.lock_wait(runtime),
        }
    }
}

impl Plan for LockRowsPlan {
    fn layout(&self) -> &Layout {
        self.input.layout()
    }

    fn open(self: Arc<Self>, runtime: &Arc<Runtime>, frame: &Frame) -> SqlResult<Box<dyn Operator>> {
        let mut frame = frame.clone();
        frame.targets = self.locks.iter().map(|lock| lock.target(runtime)).collect();
        let input = self.input.clone().open(runtime, &frame)?;
        Ok(Box::new(LockRows {
            plan: self,
            runtime: runtime.clone(),
            frame: frame.clone(),
            input,
        }))
    }

    fn inputs(&self) -> Vec<Arc<dyn Plan>> {
        vec![self.input.clone()]
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct LockRows {
    plan: Arc<LockRowsPlan>,
    runtime: Arc<Runtime>,
    frame: Frame,
    input: Box<dyn Operator>,
}

#[async_trait]
impl Operator for LockRows {
    async fn next(&mut self, rows_max: usize) -> SqlResult<Option<Batch>> {
        loop {
            // One row at a time: a row beyond a LIMIT must not be locked.
            let Some(batch) = self.input.next(rows_max.min(1)).await? else {
                return Ok(None);
            };
            let mut out = Batch::new(batch.width());
            for row in batch.rows() {
                if let Some(row) = self.lock(row).await? {
                    out.push(row);
                }
            }
            if !out.is_empty() {
                return Ok(Some(out));
            }
            self.runtime.breathe().await?;
        }
    }
}

impl LockRows {
    /// Locks a row and gives it back as it is now, or `None` if it is skipped, gone, or no longer qualifies.
    async fn lock(&mut self, row: &[Datum]) -> SqlResult<Option<Vec<Datum>>> {
        let plan = self.plan.clone();
        let mut changed = false;
        let mut replaced = Vec::new();
        for lock in &plan.locks {
            let Some((table, mut key)) = lock.scan.find(row) else {
                replaced.push(lock.scan.replaced(None));
                continue;
            };
            let mut since = None;
            // A row whose key another transaction changed is followed to where it went on.
            let (newest, stored) = loop {
                let Some(mut newest) = lock.take(&self.runtime, table, &key).await? else {
                    return Ok(None);
                };
                if since.is_some_and(|since| newest.put_at > since) {
                    // Another row has the key by now.
                    return Ok(None);
                }
                match (newest.row.take(), newest.moved.take()) {
                    (Some(stored), _) => break (newest, stored),
                    _ if self.runtime.source.isolation() != Isolation::ReadCommitted => {
                        return Err(SqlError::new(
                            SqlState::SERIALIZATION_FAILURE,
                            "could not serialize access due to concurrent delete",
                        ));
                    }
                    (None, Some((to, _))) if is_elsewhere(&to) => return Err(moved_away()),
                    (None, Some((to, at))) => (key, since) = (to, Some(at)),
                    (None, None) => return Ok(None),
                }
            };
            changed |= since.is_some() || (newest.changed && lock.sees_changes());
            replaced.push(lock.scan.replaced(Some((table, key, stored))));
        }
        if !changed {
            return Ok(Some(row.to_vec()));
        }
        for pin in &plan.pins {
            let mut found = None;
            if let Some((table, key)) = pin.find(row) {
                let stored = self.runtime.source.get(table, &key).await?;
                found = stored.map(|stored| (table, key, stored));
            }
            replaced.push(pin.replaced(found));
        }
        // EvalPlanQual: the same query over just these rows, the locked ones in their newest state.
        let mut frame = self.frame.clone();
        frame.replaced = Some(Arc::new(replaced));
        let mut again = plan.input.clone().open(&self.runtime, &frame)?;
        Ok(again.next(1).await?.map(|batch| batch.row(0).to_vec()))
    }
}

impl LockProgram {
    /// Locks what lies under a key and reads it; `None` if it is skipped.
    async fn take(&self, runtime: &Runtime, table: u32, key: &Key) -> SqlResult<Option<LockedRow>> {
        let wait = self.lock_wait(runtime);
        let granted = runtime
            .source
            .lock(vec![self.request(table, key)], wait)
            .await
            .map_err(
                |error| match (self.wait, error.code() == SqlState::LOCK_NOT_AVAILABLE) {
                    (WaitClause::NoWait, true) => SqlError::new(
                        SqlState::LOCK_NOT_AVAILABLE,
                        format!("could not obtain lock on row in relation \"{}\"", self.scan.table.name),
                    ),
                    _ => error,
                },
            )?;
        if !granted {
            return Ok(None);
        }
        let paths = self.looks_at();
        let newest = runtime.source.read_locked(table, key, &paths).await?;
        Ok(Some(newest))
    }
}

/// `lock_timeout`, if it is set.
pub(crate) fn lock_timeout(runtime: &Runtime) -> Option<std::time::Duration> {
    let text = runtime.session.setting("lock_timeout")?;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim();
    let value: u64 = digits.parse().ok()?;
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim();
    let milliseconds = match unit {
        "s" => value * 1000,
        "min" => value * 60_000,
        "h" => value * 3_600_000,
        _ => value,
    };
    (milliseconds > 0).then(|| std::time::Duration::from_millis(milliseconds))
}
