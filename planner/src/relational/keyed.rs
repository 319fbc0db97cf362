//! Keyed reads: a query that names one row by its whole primary key goes straight to the transaction.
//!
//! The plan is the relational one, looked at: a projection over a scan whose access path is one key. So there is nothing
//! the keyed path could do differently but skip the operators around it.

use std::sync::Arc;

use storage::path::Parts;
use storage::{Datum, Row};
use txn::Key;

use crate::SqlResult;
use crate::catalog::Index;
use crate::eval::{EvalContext, EvalState, Program};
use crate::relational::QueryPlan;
use crate::relational::access::{Access, IndexAccess, Target};
use crate::relational::operators::project::ProjectPlan;
use crate::relational::operators::scan::ScanPlan;
use crate::relational::plan::Plan;
use crate::relational::read_locks::ReadLocks;
use crate::relational::read_paths::of_scan;
use crate::relational::source::TransactionSource;
use crate::statement::StatementContext;
use crate::types::oid;

/// A query for one row by primary key; borrowed from its plan.
#[derive(Clone, Copy, Debug)]
pub struct KeyedPlan<'p> {
    scan: &'p ScanPlan,
    access: &'p IndexAccess,
    index: &'p Index,
    /// Output values over the scan's row; `None` if that row is the output.
    values: Option<&'p [Program]>,
}

impl<'p> KeyedPlan<'p> {
    /// Looks whether a plan is a keyed read.
    pub fn of(plan: &'p QueryPlan) -> Option<KeyedPlan<'p>> {
        let top: &'p dyn Plan = &*plan.plan;
        let (scan, values) = match top.as_any().downcast_ref::<ProjectPlan>() {
            Some(project) => {
                let scan = project.input.as_any().downcast_ref::<ScanPlan>()?;
                if project.values.iter().any(Program::has_subquery) {
                    return None;
                }
                (scan, Some(project.values.as_slice()))
            }
            None => (top.as_any().downcast_ref::<ScanPlan>()?, None),
        };
        let Access::Index(access) = &scan.access else {
            return None;
        };
        let index = scan.table.indexes.iter().find(|index| index.id == access.index)?;
        let is_whole =
            index.primary && access.equal.len() == index.keys.len() && !scan.filter.iter().any(Program::has_subquery);
        is_whole.then_some(KeyedPlan {
            scan,
            access,
            index,
            values,
        })
    }

    /// Whether nothing in it has effects or may differ between two evaluations.
    pub fn is_pure(&self) -> bool {
        !self
            .values
            .into_iter()
            .flatten()
            .chain(&self.scan.filter)
            .any(Program::is_volatile)
    }

    /// Number of output columns.
    pub fn width(&self) -> usize {
        self.values.map_or(self.scan.slots.len(), <[Program]>::len)
    }

    /// Table that is read, and the version this was planned for.
    pub fn table(&self) -> (u32, u64) {
        (self.scan.table.id, self.scan.table.version)
    }

    /// Key of the row, or `None` if no row can qualify.
    pub fn key(&self, context: &EvalContext<'_>) -> SqlResult<Option<Key>> {
        self.access.primary_key(self.index, context)
    }

    /// The output row made of the stored row, if it qualifies.
    pub fn output(&self, key: Key, row: Row, context: &EvalContext<'_>) -> SqlResult<Option<Vec<Datum>>> {
        let row = self.scan.extend(key, row);
        let mut state = EvalState::default();
        for condition in &self.scan.filter {
            if !condition.is_true(&row, context, &mut state)? {
                return Ok(None);
            }
        }
        let scanned: Vec<Datum> = self.scan.slots.iter().map(|slot| row[*slot].clone()).collect();
        match self.values {
            None => Ok(Some(scanned)),
            Some(values) => values
                .iter()
                .map(|value| value.eval_with(&scanned, context, &mut state))
                .collect::<SqlResult<_>>()
                .map(Some),
        }
    }

    /// Whether the query gives nothing but the key of its row, and asks nothing of the row but to be there.
    pub fn only_names_row(&self) -> bool {
        self.width() == 1 && self.access.equal.len() == 1 && self.scan.filter.len() == 1
    }

    /// The parts of documents that are read, if the table has documents and it is known.
    pub fn parts(&self, parameters: &[Datum]) -> Option<Parts> {
        let mut columns = self.scan.table.columns.iter();
        if !columns.any(|column| column.ty.oid == oid::JSONB) {
            return None;
        }
        let reads = self.scan.reads.as_ref()?.by_column(parameters);
        let mut parts = Parts::new();
        for path in of_scan(&reads, &self.scan.columns) {
            parts.add(&path);
        }
        Some(parts)
    }

    /// Runs the query: no row, or one.
    pub async fn run(&self, context: &StatementContext) -> SqlResult<Option<Vec<Datum>>> {
        let eval = EvalContext {
            session: &*context.session,
            parameters: &context.parameters,
            outer: &[],
        };
        let Some(key) = self.key(&eval)? else { return Ok(None) };
        let transaction = &context.transaction;
        if transaction.reads_under_locks() || transaction.has_additions(self.scan.table.id) {
            self.lock(context, &key).await?;
        }
        let (table, transaction) = (self.scan.table.id, &context.transaction);
        let row = match self.parts(&context.parameters) {
            Some(parts) => transaction.get_parts(table, &key, &parts).await?,
            None => transaction.get(table, &key).await?,
        };
        match row {
            Some(row) => self.output(key, row, &eval),
            None => Ok(None),
        }
    }

    /// The row as it stands now, whatever the snapshot: for a statement of READ COMMITTED that locks it next, and looks at it
    /// again under the lock. A read at the snapshot would wait for commits on their way to the disk, which the lock does not
    /// (DESIGN T4).
    pub async fn run_newest(&self, context: &StatementContext) -> SqlResult<Option<Vec<Datum>>> {
        let eval = EvalContext {
            session: &*context.session,
            parameters: &context.parameters,
            outer: &[],
        };
        let Some(key) = self.key(&eval)? else { return Ok(None) };
        let parts = self.parts(&context.parameters);
        let (table, transaction) = (self.scan.table.id, &context.transaction);
        let (row, seen) = transaction.look_newest(table, &key, parts.as_ref()).await?;
        let output = match row {
            Some(row) => self.output(key, row, &eval),
            None => Ok(None),
        };
        if !matches!(output, Ok(Some(_))) {
            // Nothing is locked and read again then: the statement's answer rests on what was seen here.
            context.transaction.saw(seen)?;
        }
        output
    }

    /// Locks what is read, in SERIALIZABLE; makes known what this transaction has only added to.
    async fn lock(&self, context: &StatementContext, key: &Key) -> SqlResult<()> {
        let source = Arc::new(TransactionSource::new(context));
        let query = self.scan.reads.as_ref();
        let reads = query.map(|query| query.by_column(&context.parameters));
        let locks = ReadLocks::new(source, self.scan, reads.as_ref(), None, context.lock_wait());
        locks.settle_additions(&Target::Keys(vec![key.clone()])).await?;
        if context.transaction.reads_under_locks() {
            locks.lock_rows(vec![key.clone()]).await?;
        }
        Ok(())
    }
}
