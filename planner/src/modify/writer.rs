//! Writer: one row with its index entries, under their locks.
//!
//! Invariants
//!  - W1 A row, or the paths of it that change, is locked before anything read of it is used (DESIGN L4).
//!  - W2 A unique value is locked, then looked up in the newest state, then written.
//!  - W3 Foreign keys and deferrable unique values are checked when the statement's rows are all written, because PostgreSQL's
//!    are, or when the transaction ends.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use storage::key::{KeyOrder, encode_columns};
use storage::{Action, Datum, Path, PathOp, Row, Step};
use txn::{AddIncrement, Key, LockName, LockRequest, Mode, RowPart, RowWrite};

use super::foreign_key::ForeignKeyQueue;
use super::index::{self, Entry, as_key};
use super::program::TableProgram;
use super::violation;
use crate::catalog::{Index, Relation};
use crate::eval::EvalContext;
use crate::statement::{Planner, StatementContext};
use crate::{SqlError, SqlResult, SqlState};

/// What a new row met.
pub enum Inserted {
    /// It was written under this key.
    Written(Key),
    /// Another row has the value of this unique index (the primary key if `None`): its key.
    Conflict {
        /// The other row.
        key: Key,
    },
}

/// How an UPDATE reaches its row.
pub struct Change<'a> {
    /// Paths to write, resolved against the locked row; a path without steps is a whole column.
    pub paths: &'a [Path],
    /// Numbers to add to, under A, and what is added.
    pub additions: &'a [(Path, AddIncrement)],
    /// The row before.
    pub old: &'a Row,
    /// The row after, generated columns included.
    pub new: Row,
}

/// Writes rows of one statement.
pub struct Writer<'a> {
    pub(super) planner: &'a Planner,
    pub(super) context: StatementContext,
    /// Rows this statement wrote: a later row of the statement must see them for uniqueness, and may not change them again.
    rows: HashMap<(u32, Key), bool>,
    /// Unique values this statement took (`Some`) or gave up (`None`).
    values: HashMap<(u32, Bytes), Option<Key>>,
    /// Foreign keys to look at when the statement ends.
    pub(super) queue: ForeignKeyQueue,
    /// Whether nothing may wait for the end of the transaction.
    pub(super) is_immediate: bool,
}

impl<'a> Writer<'a> {
    /// A writer for one statement.
    pub fn new(planner: &'a Planner, context: &StatementContext) -> Self {
        Self {
            planner,
            context: context.clone(),
            rows: HashMap::new(),
            values: HashMap::new(),
            queue: ForeignKeyQueue::default(),
            is_immediate: false,
        }
    }

    /// What programs may look at.
    pub fn eval_context(&self) -> EvalContext<'_> {
        EvalContext {
            session: &*self.context.session,
            parameters: &self.context.parameters,
            outer: &[],
        }
    }

    /// Whether this statement already wrote the row (`true` if it still exists).
    pub fn written(&self, table: u32, key: &Key) -> Option<bool> {
        self.rows.get(&(table, key.clone())).copied()
    }

    /// Queues the foreign keys of a row that exists already (ADD CONSTRAINT), which are looked at now even if they are deferred.
    pub fn queue_inserted(&mut self, program: &Arc<TableProgram>, row: &Row) {
        self.is_immediate = true;
        self.queue.inserted(program, row);
    }

    pub(super) async fn lock(&self, requests: Vec<LockRequest>) -> SqlResult<()> {
        self.context
            .transaction
            .lock(requests, self.context.lock_wait())
            .await?;
        Ok(())
    }

    /// The key of a row: its primary key, or a new row id.
    ///
    /// # Errors
    /// 54000 for a key that is too long.
    pub async fn row_key(&self, program: &TableProgram, row: &[Datum]) -> SqlResult<Key> {
        if program.primary_key.is_empty() {
            let id = self.planner.allocate_row_id().await?;
            return Ok(Bytes::from(encode_columns([&Datum::Int8(id)], &[KeyOrder::default()])?));
        }
        primary_key(program, row)
    }

    /// Writes a new row unless a unique value of it is taken by another row. `arbiters` are the unique indexes whose
    /// conflicts are reported to the caller; a conflict of another one is an error.
    ///
    /// # Errors
    /// 23505, and what locks and expressions raise.
    pub async fn insert(
        &mut self,
        program: &Arc<TableProgram>,
        row: Row,
        arbiters: Arbiters<'_>,
    ) -> SqlResult<Inserted> {
        let table = program.table.id;
        let key = self.row_key(program, &row).await?;
        let mut requests = vec![
            row_lock(table, &key, RowPart::Row, Mode::Exclusive),
            LockRequest {
                name: LockName::RowSet {
                    table,
                    row: Some(key.clone()),
                },
                mode: Mode::IntentionExclusive,
                add: None,
            },
        ];
        let entries = self.entries(program, &row)?;
        for (index, entry) in entries
            .iter()
            .filter_map(|(index, entry)| Some((index, entry.as_ref()?)))
        {
            requests.push(value_lock(&program.table, index, entry, &key));
        }
        requests.extend(new_key_lock(program, &key));
        self.lock(requests).await?;
        if !program.primary_key.is_empty()
            && let Some(primary) = program.table.primary_key()
            && self.exists(table, &key).await?
        {
            if arbiters.contains(primary) {
                return Ok(Inserted::Conflict { key });
            }
            let values: Vec<&Datum> = program.primary_key.iter().map(|at| &row[*at as usize]).collect();
            return Err(self.unique_violation(&program.table, primary, values));
        }
        for (index, entry) in entries.iter().filter(|(index, _)| index.unique) {
            let Some(entry) = entry.as_ref().filter(|entry| !entry.is_distinct) else {
                continue;
            };
            if index.deferrable {
                if arbiters.contains(index) {
                    return Err(SqlError::new(
                        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                        "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters",
                    )
                    .object(|object| {
                        violation::name_table(object, &program.table, &*self.context.session);
                        object.constraint = Some(index.name.clone());
                    }));
                }
                self.queue.took(program, index.id, entry);
                continue;
            }
            if let Some(other) = self.holder(table, index, entry).await? {
                if arbiters.contains(index) {
                    return Ok(Inserted::Conflict { key: other });
                }
                return Err(self.unique_violation(&program.table, index, &entry.values));
            }
        }
        for (index, entry) in entries
            .iter()
            .filter_map(|(index, entry)| Some((index, entry.as_ref()?)))
        {
            self.write_entry(table, index, entry, &key, true)?;
        }
        self.learn_row(program, &row)?;
        self.queue.inserted(program, &row);
        self.rows.insert((table, key.clone()), true);
        self.context.transaction.write(table, &key, RowWrite::Put(row))?;
        Ok(Inserted::Written(key))
    }

    /// Deletes a locked row (X on the row is held).
    ///
    /// # Errors
    /// What locks and expressions raise.
    pub async fn delete(&mut self, program: &Arc<TableProgram>, key: &Key, old: &Row) -> SqlResult<()> {
        self.delete_row(program, key, old, RowWrite::Delete).await?;
        self.queue.deleted(&self.context, program, key, old);
        Ok(())
    }

    /// As [`Self::delete`], but for what refers to the row. `write` says what becomes of it.
    pub(super) async fn delete_row(
        &mut self,
        program: &Arc<TableProgram>,
        key: &Key,
        old: &Row,
        write: RowWrite,
    ) -> SqlResult<()> {
        let table = program.table.id;
        let entries = self.entries(program, old)?;
        let mut requests = vec![LockRequest {
            name: LockName::RowSet {
                table,
                row: Some(key.clone()),
            },
            mode: Mode::IntentionExclusive,
            add: None,
        }];
        for (index, entry) in entries
            .iter()
            .filter_map(|(index, entry)| Some((index, entry.as_ref()?)))
        {
            requests.push(value_lock(&program.table, index, entry, key));
        }
        self.lock(requests).await?;
        for (index, entry) in entries
            .iter()
            .filter_map(|(index, entry)| Some((index, entry.as_ref()?)))
        {
            self.write_entry(table, index, entry, key, false)?;
        }
        self.rows.insert((table, key.clone()), false);
        self.context.transaction.write(table, key, write)?;
        Ok(())
    }

    /// Changes a locked row. A change of the primary key moves the row.
    ///
    /// # Errors
    /// 23505, and what locks and expressions raise.
    pub async fn update(&mut self, program: &Arc<TableProgram>, key: &Key, change: Change<'_>) -> SqlResult<Key> {
        let table = program.table.id;
        let Change {
            paths,
            additions,
            old,
            new,
        } = change;
        let new_key = if program.primary_key.is_empty() {
            key.clone()
        } else {
            primary_key(program, &new)?
        };
        let is_moved = new_key != *key;
        let before = self.entries(program, old)?;
        let after = self.entries(program, &new)?;
        let mut requests = Vec::new();
        if is_moved {
            requests.push(row_lock(table, &new_key, RowPart::Row, Mode::Exclusive));
            requests.extend(new_key_lock(program, &new_key));
            for moved in [key, &new_key] {
                let name = LockName::RowSet {
                    table,
                    row: Some(moved.clone()),
                };
                requests.push(LockRequest {
                    name,
                    mode: Mode::IntentionExclusive,
                    add: None,
                });
            }
        }
        let mut changed = Vec::new();
        for ((index, old_entry), (_, new_entry)) in before.iter().zip(&after) {
            let is_same = match (old_entry, new_entry) {
                (Some(a), Some(b)) => a.value == b.value,
                (None, None) => true,
                _ => false,
            };
            if is_same && !is_moved {
                continue;
            }
            requests.extend(
                old_entry
                    .iter()
                    .map(|entry| value_lock(&program.table, index, entry, key)),
            );
            requests.extend(
                new_entry
                    .iter()
                    .map(|entry| value_lock(&program.table, index, entry, &new_key)),
            );
            changed.push((*index, old_entry.as_ref(), new_entry.as_ref(), is_same));
        }
        if !requests.is_empty() {
            self.lock(requests).await?;
        }
        if is_moved && self.exists(table, &new_key).await? {
            let values: Vec<&Datum> = program.primary_key.iter().map(|at| &new[*at as usize]).collect();
            if let Some(primary) = program.table.primary_key() {
                return Err(self.unique_violation(&program.table, primary, values));
            }
        }
        for (index, _, new_entry, is_same) in &changed {
            let (true, false, Some(entry)) = (index.unique, *is_same, new_entry) else {
                continue;
            };
            if index.deferrable && !entry.is_distinct {
                self.queue.took(program, index.id, entry);
                continue;
            }
            if !entry.is_distinct && self.holder(table, index, entry).await?.is_some() {
                return Err(self.unique_violation(&program.table, index, &entry.values));
            }
        }
        for (index, old_entry, new_entry, _) in &changed {
            if let Some(entry) = old_entry {
                self.write_entry(table, index, entry, key, false)?;
            }
            if let Some(entry) = new_entry {
                self.write_entry(table, index, entry, &new_key, true)?;
            }
        }
        self.queue.updated(&self.context, program, key, old, &new);
        if is_moved {
            self.learn_row(program, &new)?;
            self.rows.insert((table, key.clone()), false);
            let moved = RowWrite::Move(new_key.clone());
            self.context.transaction.write(table, key, moved)?;
            self.context.transaction.write(table, &new_key, RowWrite::Put(new))?;
        } else {
            let mut operations = operations(paths, old, &new);
            self.learn_operations(program, &operations)?;
            operations.extend(additions.iter().map(|(path, increment)| PathOp {
                path: path.clone(),
                action: Action::Add(increment.by.clone()),
            }));
            if !operations.is_empty() {
                self.context
                    .transaction
                    .write(table, key, RowWrite::Change(operations))?;
            }
        }
        self.rows.insert((table, new_key.clone()), true);
        Ok(new_key)
    }

    fn entries<'p>(&self, program: &'p TableProgram, row: &[Datum]) -> SqlResult<Vec<(&'p Index, Option<Entry>)>> {
        let context = self.eval_context();
        program
            .indexes
            .iter()
            .map(|index| Ok((&index.index, index::entry(index, row, &context)?)))
            .collect()
    }

    /// Whether a row exists in the newest state, this statement's writes included (its lock is held).
    async fn exists(&self, table: u32, key: &Key) -> SqlResult<bool> {
        if let Some(exists) = self.written(table, key) {
            return Ok(exists);
        }
        Ok(self.context.transaction.exists(table, key).await?)
    }

    /// The row that has a unique value in the newest state, this statement's writes included (its lock is held).
    async fn holder(&self, table: u32, index: &Index, entry: &Entry) -> SqlResult<Option<Key>> {
        if let Some(known) = self.values.get(&(index.id, entry.value.clone())) {
            return Ok(known.clone());
        }
        let holders = self
            .context
            .transaction
            .read_index_locked(table, index.id, index.unique, &entry.value)
            .await?;
        Ok(holders
            .into_iter()
            .find(|holder| self.written(table, holder) != Some(false)))
    }

    /// 23505 if several rows have a value of the unique index of a deferrable constraint (its lock is held).
    pub(super) async fn check_unique(
        &self,
        program: &TableProgram,
        index: u32,
        value: &Key,
        values: &[Datum],
    ) -> SqlResult<()> {
        let transaction = &self.context.transaction;
        let Some(index) = program.indexes.iter().find(|candidate| candidate.index.id == index) else {
            return Ok(());
        };
        let table = &program.table;
        let holders = transaction
            .read_index_locked(table.id, index.index.id, true, value)
            .await?;
        match holders.len() {
            0 | 1 => Ok(()),
            _ => Err(self.unique_violation(table, &index.index, values)),
        }
    }

    fn write_entry(&mut self, table: u32, index: &Index, entry: &Entry, key: &Key, present: bool) -> SqlResult<()> {
        if index.unique && !index.deferrable && !entry.is_distinct {
            self.values
                .insert((index.id, entry.value.clone()), present.then(|| key.clone()));
        }
        Ok(self
            .context
            .transaction
            .write_index(table, index.id, index.unique, &entry.value, key, present)?)
    }

    fn unique_violation<'v>(
        &self,
        table: &Relation,
        index: &Index,
        values: impl IntoIterator<Item = &'v Datum>,
    ) -> SqlError {
        let columns: Vec<String> = index.keys.iter().map(|key| key.describe(table)).collect();
        let types = index.keys.iter().map(|key| key.ty);
        let values = violation::describe_values(values.into_iter().zip(types), &self.eval_context());
        violation::unique(table, &index.name, &columns.join(", "), &values, &self.eval_context())
    }
}

/// Unique indexes whose conflicts a caller handles itself.
#[derive(Clone, Copy)]
pub enum Arbiters<'a> {
    /// None: a conflict is an error.
    None,
    /// All of the table's (ON CONFLICT DO NOTHING without a target).
    All,
    /// These.
    Indexes(&'a [u32]),
}

impl Arbiters<'_> {
    fn contains(self, index: &Index) -> bool {
        match self {
            Arbiters::None => false,
            Arbiters::All => true,
            Arbiters::Indexes(ids) => ids.contains(&index.id),
        }
    }
}

/// The encoded primary key of a row.
///
/// # Errors
/// 54000 for a key that is too long.
pub fn primary_key(program: &TableProgram, row: &[Datum]) -> SqlResult<Key> {
    let values: Vec<_> = program
        .primary_key
        .iter()
        .map(|at| (&row[usize::from(*at)], &program.table.columns[usize::from(*at)]))
        .map(|(value, column)| as_key(value, column.ty))
        .collect();
    let orders = vec![KeyOrder::default(); values.len()];
    Ok(Bytes::from(encode_columns(
        values.iter().map(|value| &**value),
        &orders,
    )?))
}

/// The key that a row which went to another partition is said to have moved to: that of NULL, which no row has.
pub(super) const ELSEWHERE: Key = Key::from_static(&[0xff]);

/// Whether a row moved to another partition, so that it cannot be followed by its key.
pub fn is_elsewhere(key: &Key) -> bool {
    *key == ELSEWHERE
}

/// 40001 for a row that another transaction took to another partition: the newest version of its chain is not in this table.
pub fn moved_away() -> SqlError {
    SqlError::new(
        SqlState::SERIALIZATION_FAILURE,
        "tuple to be locked was already moved to another partition due to concurrent update",
    )
}

/// A lock on a part of a row.
pub fn row_lock(table: u32, key: &Key, part: RowPart, mode: Mode) -> LockRequest {
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

fn value_lock(table: &Relation, index: &Index, entry: &Entry, key: &Key) -> LockRequest {
    // Rows that are distinct by a NULL do not exclude each other, so only the entry is locked, not the value.
    let is_value = index.unique && !entry.is_distinct;
    let name = LockName::IndexValue {
        table: table.id,
        index: index.id,
        global: index.unique,
        value: entry.value.clone(),
        row: (!is_value).then(|| key.clone()),
    };
    LockRequest {
        name,
        mode: Mode::Exclusive,
        add: None,
    }
}

/// A new key as a value of the primary key's index, where SERIALIZABLE scans lock intervals. A row that goes away needs none:
/// who saw it has locked the row.
fn new_key_lock(program: &TableProgram, key: &Key) -> Option<LockRequest> {
    let index = program.table.primary_key()?;
    let name = LockName::IndexValue {
        table: program.table.id,
        index: index.id,
        global: false,
        value: key.clone(),
        row: Some(key.clone()),
    };
    Some(LockRequest::new(name, Mode::Exclusive))
}

/// The path operations that turn one row into another at the given paths.
pub(super) fn operations(paths: &[Path], old: &Row, new: &Row) -> Vec<PathOp> {
    let mut operations = Vec::with_capacity(paths.len());
    for path in paths {
        let column = path.column as usize;
        let (before, after) = (old.get(column).unwrap_or(&Datum::Null), &new[column]);
        let action = match (path.steps.is_empty(), after) {
            (false, Datum::Jsonb(document)) => {
                let steps: Vec<String> = path.steps.iter().map(step_text).collect();
                match document.path(&steps) {
                    Some(value) => Action::Set {
                        value,
                        create_parents: true,
                    },
                    None => Action::Remove,
                }
            }
            _ if before.is_null() && after.is_null() => continue,
            _ => Action::SetColumn(after.clone()),
        };
        operations.push(PathOp {
            path: path.clone(),
            action,
        });
    }
    operations
}

fn step_text(step: &Step) -> String {
    match step {
        Step::Member(name) => name.to_string(),
        Step::Element(position) => position.to_string(),
    }
}
