//! Check: whether rows and index entries agree, over a whole node at rest.
//!
//! Every row of every table is turned into the entries it must have, with the programs that modifying statements use; the
//! entries of each index are read back. The two multisets are compared by count and by a sum of hashes, so that the memory
//! it takes does not depend on the data. A row must also lie under its own primary key.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use txn::{KeyRange, Transaction, TransactionOptions};

use crate::catalog::{Relation, RelationKind};
use crate::eval::EvalContext;
use crate::eval::session::FixedSession;
use crate::modify::index;
use crate::modify::program::TableProgram;
use crate::modify::writer::primary_key;
use crate::statement::Planner;
use crate::{SqlError, SqlResult, SqlState};

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Tables.
    pub tables: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Index entries of all tables.
    pub entries: u64,
}

/// A multiset of index entries: how many, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entries {
    count: u64,
    sum: u64,
}

impl Entries {
    fn add(&mut self, value: &Bytes, row: &Bytes) {
        let mut hasher = DefaultHasher::new();
        (value, row).hash(&mut hasher);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

impl Planner {
    /// Compares the rows of all tables with the entries of their indexes.
    ///
    /// # Errors
    /// XX002 that names the first index that does not agree with its table, or what reading raises.
    pub async fn check_tables(&self) -> SqlResult<Checked> {
        let catalog = self.catalog().await?;
        let mut checked = Checked::default();
        for table in catalog
            .relations
            .values()
            .filter(|table| table.kind == RelationKind::Table)
        {
            let transaction = self.node.begin(TransactionOptions {
                read_only: true,
                ..TransactionOptions::default()
            });
            transaction.begin_statement(true).await?;
            let program = TableProgram::new(&catalog, &FixedSession::default(), table)?;
            check_table(&transaction, &program, &mut checked).await?;
            transaction.rollback().await;
        }
        Ok(checked)
    }
}

async fn check_table(transaction: &Transaction, program: &TableProgram, checked: &mut Checked) -> SqlResult<()> {
    let table: &Arc<Relation> = &program.table;
    let session = FixedSession::default();
    let context = EvalContext {
        session: &session,
        parameters: &[],
        outer: &[],
    };
    let mut expected = vec![Entries::default(); program.indexes.len()];
    let mut rows = transaction.scan(table.id, KeyRange::default(), false);
    while let Some(batch) = rows.next().await {
        for (key, mut row) in batch? {
            program.complete(&mut row);
            checked.rows += 1;
            if !program.primary_key.is_empty() && primary_key(program, &row)? != key {
                return Err(broken(format!(
                    "a row of table \"{}\" is not under its key",
                    table.name
                )));
            }
            for (entries, index) in expected.iter_mut().zip(&program.indexes) {
                if let Some(entry) = index::entry(index, &row, &context)? {
                    entries.add(&entry.value, &key);
                }
            }
        }
    }
    for (expected, index) in expected.into_iter().zip(&program.indexes) {
        let index = &index.index;
        let mut found = Entries::default();
        let mut entries = transaction.scan_index(table.id, index.id, index.unique, KeyRange::default(), false);
        while let Some(batch) = entries.next().await {
            for (value, row) in batch? {
                found.add(&value, &row);
            }
        }
        if found != expected {
            return Err(broken(format!(
                "index \"{}\" of table \"{}\" has {} entries where its rows have {}, or others",
                index.name, table.name, found.count, expected.count
            )));
        }
        checked.entries += found.count;
    }
    checked.tables += 1;
    Ok(())
}

fn broken(text: String) -> SqlError {
    SqlError::new(SqlState::INDEX_CORRUPTED, text)
}
