//! RowSource: where scans read. The transaction in production, tables in memory in tests.

use std::sync::Arc;

use async_trait::async_trait;
use storage::{Path, Row};
use txn::transaction::{EntryStream, RowStream};
use txn::{IndexId, Isolation, Key, KeyRange, LockRequest, LockWait, LockedRow, ShardRows, TableId};

use crate::SqlResult;
use crate::catalog::{Relation, SystemRows};
use crate::statement::StatementContext;

/// What operators read through and lock with.
#[async_trait]
pub trait RowSource: Send + Sync {
    /// Rows of a table in key order, as the statement's snapshot and the transaction's own earlier writes have them. Columns
    /// beside those wanted (positions, ascending; `None` is all) may come as NULL or be left out at the end.
    fn scan(&self, table: TableId, columns: Option<&Arc<[u16]>>, range: KeyRange, reverse: bool) -> RowStream;
    /// Ranges of a table shard by shard, in no common order; `None` if only [`scan`](Self::scan) can give them.
    async fn parts(&self, _: TableId, _: &[KeyRange]) -> SqlResult<Option<Vec<ShardRows>>> {
        Ok(None)
    }
    /// Entries of an index in value order; they may be stale, so the row they name is checked again.
    fn scan_index(&self, table: TableId, index: IndexId, global: bool, range: KeyRange, reverse: bool) -> EntryStream;
    /// One row.
    async fn get(&self, table: TableId, key: &Key) -> SqlResult<Option<Row>>;
    /// Rows of a relation that the server computes.
    async fn system_rows(&self, relation: &Relation) -> SqlResult<SystemRows>;
    /// Takes locks, all or (with [`LockWait::Skip`], answered by `false`) none.
    async fn lock(&self, requests: Vec<LockRequest>, wait: LockWait) -> SqlResult<bool>;
    /// The newest state of a row whose lock is held.
    async fn read_locked(&self, table: TableId, key: &Key, read_paths: &[Path]) -> SqlResult<LockedRow>;
    /// Isolation level of the transaction.
    fn isolation(&self) -> Isolation;
    /// Before these paths are read, of these rows (`None`: of any): numbers this transaction has only added to become known.
    async fn settle_additions(&self, _: TableId, _: Option<&[Key]>, _: &[Path], _: LockWait) -> SqlResult<()> {
        Ok(())
    }
    /// Whether there may be such numbers in a table.
    fn has_additions(&self, _: TableId) -> bool {
        false
    }
    /// Whether what is read is locked first (SERIALIZABLE that may write).
    fn reads_under_locks(&self) -> bool {
        false
    }
}

/// The transaction of a statement as a source.
pub struct TransactionSource {
    context: StatementContext,
}

impl TransactionSource {
    /// A source over a statement's transaction.
    pub fn new(context: &StatementContext) -> Self {
        Self {
            context: context.clone(),
        }
    }
}

#[async_trait]
impl RowSource for TransactionSource {
    fn scan(&self, table: TableId, columns: Option<&Arc<[u16]>>, range: KeyRange, reverse: bool) -> RowStream {
        let transaction = &self.context.transaction;
        match columns {
            Some(columns) => transaction.scan_columns(table, columns.clone(), range, reverse),
            None => transaction.scan(table, range, reverse),
        }
    }

    async fn parts(&self, table: TableId, ranges: &[KeyRange]) -> SqlResult<Option<Vec<ShardRows>>> {
        Ok(self.context.transaction.parts(table, ranges).await?)
    }

    fn scan_index(&self, table: TableId, index: IndexId, global: bool, range: KeyRange, reverse: bool) -> EntryStream {
        self.context
            .transaction
            .scan_index(table, index, global, range, reverse)
    }

    async fn get(&self, table: TableId, key: &Key) -> SqlResult<Option<Row>> {
        Ok(self.context.transaction.get(table, key).await?)
    }

    async fn system_rows(&self, relation: &Relation) -> SqlResult<SystemRows> {
        crate::system::rows(relation, &self.context).await
    }

    async fn lock(&self, requests: Vec<LockRequest>, wait: LockWait) -> SqlResult<bool> {
        Ok(self.context.transaction.lock(requests, wait).await?)
    }

    async fn read_locked(&self, table: TableId, key: &Key, read_paths: &[Path]) -> SqlResult<LockedRow> {
        Ok(self.context.transaction.read_locked(table, key, read_paths).await?)
    }

    fn isolation(&self) -> Isolation {
        self.context.transaction.isolation()
    }

    async fn settle_additions(
        &self,
        table: TableId,
        keys: Option<&[Key]>,
        paths: &[Path],
        wait: LockWait,
    ) -> SqlResult<()> {
        let transaction = &self.context.transaction;
        Ok(transaction.settle_additions(table, keys, paths, wait).await?)
    }

    fn has_additions(&self, table: TableId) -> bool {
        self.context.transaction.has_additions(table)
    }

    fn reads_under_locks(&self) -> bool {
        self.context.transaction.reads_under_locks()
    }
}
