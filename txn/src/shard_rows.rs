//! Parts of a scan: the rows of one shard by themselves, for who needs no order between shards and reads them where they lie.

use std::sync::Arc;

use bytes::Bytes;
use storage::StorageError;
use storage::mvcc::{self, RowRef};

use crate::command::Timestamp;
use crate::shard::Shard;
use crate::transaction::Inner;
use crate::{KeyRange, TableId, TxnError};

/// What is left of one shard's rows in a range of a table, at the snapshot of the statement that asked for it.
pub struct ShardRows {
    shard: Arc<Shard>,
    scan: Arc<OpenScan>,
    table: TableId,
    at: Timestamp,
    from: Bytes,
    to: Bytes,
}

/// Keeps the snapshot of a statement while one of its scans is read.
struct OpenScan(Arc<Inner>);

impl Drop for OpenScan {
    fn drop(&mut self) {
        self.0.state.lock().open_scans -= 1;
    }
}

/// Why a visit ended early.
enum Stop<E> {
    Storage(StorageError),
    Visitor(E),
}

impl<E> From<StorageError> for Stop<E> {
    fn from(error: StorageError) -> Self {
        Stop::Storage(error)
    }
}

impl ShardRows {
    /// Whether there are more than so many rows; a part that cannot be read has none.
    pub fn has_more_than(&self, count: usize) -> bool {
        let range = (&*self.from, &*self.to);
        let mut nothing = |_: &[u8], _: RowRef<'_>| Ok::<(), StorageError>(());
        let next = self.shard.visit_rows(self.table, range, self.at, count, &mut nothing);
        matches!(next, Ok(Some(_)))
    }

    /// Calls `visit` with the key and the row of the next rows, `count_max` at most; says whether there may be more.
    ///
    /// # Errors
    /// What reading or `visit` returns.
    pub fn visit<E: From<TxnError>>(
        &mut self,
        count_max: usize,
        visit: &mut dyn FnMut(&[u8], RowRef<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        self.scan.0.interrupt.check()?;
        let mut visit = |key: &[u8], row: RowRef<'_>| visit(key, row).map_err(Stop::Visitor);
        let range = (&*self.from, &*self.to);
        let next = match self.shard.visit_rows(self.table, range, self.at, count_max, &mut visit) {
            Ok(next) => next,
            Err(Stop::Visitor(error)) => return Err(error),
            Err(Stop::Storage(error)) => return Err(TxnError::from(error).into()),
        };
        self.shard.check_snapshot(self.at)?;
        let Some(next) = next else { return Ok(false) };
        self.from = next;
        Ok(true)
    }
}

/// The parts of ranges of a table; `None` if rows have to be merged with what the transaction wrote.
pub(crate) async fn parts(
    inner: &Arc<Inner>,
    table: TableId,
    ranges: &[KeyRange],
) -> Result<Option<Vec<ShardRows>>, TxnError> {
    if inner.reads_under_locks() || !inner.usable()?.buffer.is_empty() {
        return Ok(None);
    }
    let at = inner.snapshot().await?;
    let planned = {
        let mut state = inner.usable()?;
        state.open_scans += 1;
        state.planned_for(table)
    };
    let scan = Arc::new(OpenScan(inner.clone()));
    let mut parts = Vec::new();
    for range in ranges {
        let (from, to) = mvcc::row_range(table, range.from.as_deref(), range.to.as_deref());
        for id in inner.node.placement.table(table) {
            let shard = inner.node.shard(id)?.clone();
            shard
                .wait_to_scan(inner.asker(), (table, planned), None, (&from, &to), at)
                .await?;
            parts.push(ShardRows {
                shard,
                scan: scan.clone(),
                table,
                at,
                from: Bytes::copy_from_slice(&from),
                to: Bytes::copy_from_slice(&to),
            });
        }
    }
    Ok(Some(parts))
}

impl Shard {
    /// Visits rows of part of a range at a snapshot; [`Self::wait_to_scan`] came before.
    fn visit_rows<E: From<StorageError>>(
        &self,
        table: TableId,
        range: (&[u8], &[u8]),
        at: Timestamp,
        count_max: usize,
        visit: &mut dyn FnMut(&[u8], RowRef<'_>) -> Result<(), E>,
    ) -> Result<Option<Bytes>, E> {
        let hidden_below = self.facts.clears.hidden_below(&[table], at);
        mvcc::visit_rows(&self.view(), range, (at, hidden_below), count_max, visit)
    }
}
