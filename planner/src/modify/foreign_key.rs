//! Foreign keys: looked at when the statement's rows are written, in the newest state, under their locks; and the unique values
//! of deferrable constraints. What is deferred waits in [`super::deferred`].
//!
//! ```text
//!   child written   ─► S on the parent's #key ─► the parent must exist
//!   parent deleted  ─► X on its row (held)    ─► the children: refuse, delete, or set their columns
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use storage::{Datum, Path, Row};
use txn::{Isolation, Key, KeyRange, LockName, LockRequest, Mode, RowPart};

use super::index::{self, Entry};
use super::program::TableProgram;
use super::violation::{describe_values, name_table};
use super::writer::{Change, Writer, primary_key, row_lock};
use crate::catalog::{Constraint, ConstraintKind, Index, IndexSource, ReferentialAction, Relation};
use crate::partition::Mapping;
use crate::partition::routing::members;
use crate::statement::StatementContext;
use crate::{SqlError, SqlResult, SqlState};

/// Deepest chain of cascades. PostgreSQL has no limit of its own; this one keeps a cycle from running for ever.
const CASCADES_MAX: usize = 1_000_000;

/// What is to be looked at when the statement ends.
#[derive(Default)]
pub struct ForeignKeyQueue {
    pending: VecDeque<Pending>,
}

pub(super) enum Pending {
    /// A child row with these values needs its parent.
    Child {
        program: Arc<TableProgram>,
        constraint: usize,
        values: Vec<Datum>,
    },
    /// A parent lost these values: the children of this constraint of this table must not need them, or follow.
    Parent {
        child: u32,
        constraint: u32,
        old: Vec<Datum>,
        new: Option<Vec<Datum>>,
        parent: Arc<Relation>,
        /// The table the row was in: the parent or a partition of it.
        table: Arc<Relation>,
    },
    /// A row took this value of a unique index whose constraint is deferrable.
    Unique {
        program: Arc<TableProgram>,
        index: u32,
        value: Bytes,
        values: Vec<Datum>,
    },
}

impl ForeignKeyQueue {
    /// A row was inserted.
    pub fn inserted(&mut self, program: &Arc<TableProgram>, row: &Row) {
        self.child(program, row, None);
    }

    fn child(&mut self, program: &Arc<TableProgram>, row: &Row, old: Option<&Row>) {
        for (i, constraint) in program.table.constraints.iter().enumerate() {
            let ConstraintKind::Foreign { columns, .. } = &constraint.kind else {
                continue;
            };
            let values = pick(row, columns);
            if old.is_some_and(|old| pick(old, columns) == values) {
                continue;
            }
            if values.iter().all(|value| !value.is_null()) || is_partly_null_and_full(constraint, &values) {
                self.pending.push_back(Pending::Child {
                    program: program.clone(),
                    constraint: i,
                    values,
                });
            }
        }
    }

    /// A row took a value of the unique index of a deferrable constraint.
    pub(super) fn took(&mut self, program: &Arc<TableProgram>, index: u32, entry: &Entry) {
        self.pending.push_back(Pending::Unique {
            program: program.clone(),
            index,
            value: entry.value.clone(),
            values: entry.values.clone(),
        });
    }

    /// A row was deleted.
    pub fn deleted(&mut self, context: &StatementContext, program: &Arc<TableProgram>, _key: &Key, old: &Row) {
        self.parent(context, program, old, None);
    }

    /// A row was changed.
    pub fn updated(
        &mut self,
        context: &StatementContext,
        program: &Arc<TableProgram>,
        _key: &Key,
        old: &Row,
        new: &Row,
    ) {
        self.child(program, new, Some(old));
        self.parent(context, program, old, Some(new));
    }

    /// A row went from one partition to another. Whoever refers to the table both belong to sees it changed.
    pub fn moved(
        &mut self,
        context: &StatementContext,
        (from, old): (&Arc<TableProgram>, &Row),
        (to, new): (&Arc<TableProgram>, &Row),
    ) {
        self.parents(context, (&from.table, old), Some((&to.table, new)));
    }

    fn parent(&mut self, context: &StatementContext, program: &Arc<TableProgram>, old: &Row, new: Option<&Row>) {
        self.parents(context, (&program.table, old), new.map(|new| (&program.table, new)));
    }

    /// Foreign keys on a table and on the partitioned tables that it is a partition of.
    fn parents(
        &mut self,
        context: &StatementContext,
        (from, old): (&Arc<Relation>, &Row),
        new: Option<(&Arc<Relation>, &Row)>,
    ) {
        let catalog = &context.catalog;
        if catalog.referencing.is_empty() {
            return;
        }
        let mut named = vec![from.id];
        named.extend(catalog.ancestors_of(from.id));
        for parent in named.iter().filter_map(|id| catalog.relations.get(id)) {
            let Some(children) = catalog.referencing.get(&parent.id) else {
                continue;
            };
            let shaped = |table: &Relation, row: &Row| match table.id == parent.id {
                true => row.clone(),
                false => Mapping::between(parent, table).to_parent(row),
            };
            let before = shaped(from, old);
            // A row that left the table is deleted as far as this table goes.
            let after = new
                .filter(|(to, _)| to.id == parent.id || catalog.ancestors_of(to.id).contains(&parent.id))
                .map(|(to, row)| shaped(to, row));
            for child in children.iter().filter_map(|child| catalog.relations.get(child)) {
                for constraint in &child.constraints {
                    let ConstraintKind::Foreign { table, referenced, .. } = &constraint.kind else {
                        continue;
                    };
                    // What partitions have of the constraint of their parent is looked at there.
                    if *table != parent.id || constraint.origin.parent.is_some() {
                        continue;
                    }
                    let old = pick(&before, referenced);
                    let new = after.as_ref().map(|after| pick(after, referenced));
                    if new.as_ref() == Some(&old) || old.iter().any(Datum::is_null) {
                        continue;
                    }
                    self.pending.push_back(Pending::Parent {
                        child: child.id,
                        constraint: constraint.id,
                        old,
                        new,
                        parent: parent.clone(),
                        table: from.clone(),
                    });
                }
            }
        }
    }
}

fn pick(row: &[Datum], columns: &[u16]) -> Vec<Datum> {
    columns
        .iter()
        .map(|at| row.get(*at as usize).cloned().unwrap_or(Datum::Null))
        .collect()
}

fn is_partly_null_and_full(constraint: &Constraint, values: &[Datum]) -> bool {
    matches!(constraint.kind, ConstraintKind::Foreign { match_full: true, .. })
        && values.iter().any(|value| !value.is_null())
}

impl Writer<'_> {
    /// Looks at everything queued, and at what that queues in turn.
    ///
    /// # Errors
    /// 23503, and what locks, cascades and their constraints raise.
    pub async fn finish(&mut self) -> SqlResult<()> {
        if self.queue.pending.is_empty() {
            return Ok(());
        }
        self.context.transaction.next_command();
        // While the statement waited for locks, somebody may have made other tables refer to the rows, or be partitions.
        if !self.context.catalog.is_private {
            self.context.catalog = self.planner.catalog().await?;
        }
        let mut left = self.queue.pending.len() + CASCADES_MAX;
        while let Some(pending) = self.queue.pending.pop_front() {
            left -= 1;
            if left == 0 {
                return Err(SqlError::new(
                    SqlState::STATEMENT_TOO_COMPLEX,
                    "too many cascading foreign key actions",
                ));
            }
            let Some(pending) = self.put_off(pending)? else {
                continue;
            };
            match pending {
                Pending::Unique {
                    program,
                    index,
                    value,
                    values,
                } => self.check_unique(&program, index, &value, &values).await?,
                Pending::Child {
                    program,
                    constraint,
                    values,
                } => self.check_child(&program, constraint, &values).await?,
                Pending::Parent {
                    child,
                    constraint,
                    old,
                    new,
                    parent,
                    table,
                } => {
                    self.check_parent(child, constraint, &old, new, (&parent, &table))
                        .await?;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn check_child(
        &mut self,
        program: &TableProgram,
        constraint: usize,
        values: &[Datum],
    ) -> SqlResult<()> {
        let constraint = &program.table.constraints[constraint];
        let ConstraintKind::Foreign {
            columns,
            table,
            referenced,
            ..
        } = &constraint.kind
        else {
            return Ok(());
        };
        let parent = self.planner.program(&self.context, *table)?;
        let has_null = values.iter().any(Datum::is_null);
        if !has_null
            && self
                .find_parent(&parent, referenced, columns, &program.table, values)
                .await?
        {
            return Ok(());
        }
        let error = SqlError::new(
            SqlState::FOREIGN_KEY_VIOLATION,
            format!(
                "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
                program.table.name, constraint.name
            ),
        )
        .object(|object| {
            name_table(object, &program.table, &*self.context.session);
            object.constraint = Some(constraint.name.clone());
        });
        if has_null {
            return Err(error.detail("MATCH FULL does not allow mixing of null and nonnull key values."));
        }
        let names: Vec<&str> = columns
            .iter()
            .map(|at| program.table.columns[*at as usize].name.as_str())
            .collect();
        let types = columns.iter().map(|at| program.table.columns[*at as usize].ty);
        let shown = describe_values(values.iter().zip(types), &self.eval_context());
        let names = names.join(", ");
        Err(error.detail(format!(
            "Key ({names})=({shown}) is not present in table \"{}\".",
            parent.table.name
        )))
    }

    /// Locks the parent's identity and says whether it exists.
    async fn find_parent(
        &mut self,
        parent: &Arc<TableProgram>,
        referenced: &[u16],
        columns: &[u16],
        child: &Relation,
        values: &[Datum],
    ) -> SqlResult<bool> {
        let values = self.as_types_of(&parent.table, referenced, child, columns, values)?;
        let mut row = vec![Datum::Null; parent.table.columns.len()];
        for (at, value) in referenced.iter().zip(&values) {
            row[*at as usize] = value.clone();
        }
        // A unique key of a partitioned table has the partition key in it.
        let leaf;
        let mut parent = parent;
        let mut referenced = referenced;
        let placed: Vec<u16>;
        if parent.routing.is_some() {
            let Some((found, shaped)) = self.try_route(parent, row)? else {
                return Ok(false);
            };
            let mapping = Mapping::between(&parent.table, &found.table);
            placed = referenced.iter().filter_map(|at| mapping.place(*at)).collect();
            (leaf, row) = (found, shaped);
            (parent, referenced) = (&leaf, &placed);
        }
        let mut sorted = referenced.to_vec();
        sorted.sort_unstable();
        let mut primary = parent.primary_key.clone();
        primary.sort_unstable();
        if primary == sorted {
            let key = primary_key(parent, &row)?;
            self.lock(vec![row_lock(parent.table.id, &key, RowPart::Identity, Mode::Shared)])
                .await?;
            return Ok(self.context.transaction.exists(parent.table.id, &key).await?);
        }
        let unique = parent
            .indexes
            .iter()
            .find(|index| index.index.unique && is_index_on(&index.index, referenced));
        let Some(unique) = unique else {
            return Err(SqlError::new(
                SqlState::INTERNAL_ERROR,
                "a foreign key's unique index is gone",
            ));
        };
        let Some(entry) = index::entry(unique, &row, &self.eval_context())? else {
            return Ok(false);
        };
        // The value is locked first, so that the row it names cannot lose it between the look-up and the row lock.
        let name = LockName::IndexValue {
            table: parent.table.id,
            index: unique.index.id,
            global: true,
            value: entry.value.clone(),
            row: None,
        };
        self.lock(vec![LockRequest {
            name,
            mode: Mode::Shared,
            add: None,
        }])
        .await?;
        let rows = self
            .context
            .transaction
            .read_index_locked(parent.table.id, unique.index.id, true, &entry.value)
            .await?;
        let Some(key) = rows.first() else { return Ok(false) };
        self.lock(vec![row_lock(parent.table.id, key, RowPart::Identity, Mode::Shared)])
            .await?;
        Ok(true)
    }

    /// Casts key values from one side's column types to the other's (integer to bigint and the like).
    fn as_types_of(
        &self,
        target: &Relation,
        target_columns: &[u16],
        source: &Relation,
        source_columns: &[u16],
        values: &[Datum],
    ) -> SqlResult<Vec<Datum>> {
        let context = self.eval_context();
        values
            .iter()
            .zip(target_columns.iter().zip(source_columns))
            .map(|(value, (to, from))| {
                let (to, from) = (target.columns[*to as usize].ty, source.columns[*from as usize].ty);
                crate::functions::convert(value, from, to, context.session)
            })
            .collect()
    }

    pub(super) async fn check_parent(
        &mut self,
        child: u32,
        constraint: u32,
        old: &[Datum],
        new: Option<Vec<Datum>>,
        (parent, lost_in): (&Arc<Relation>, &Relation),
    ) -> SqlResult<()> {
        let program = self.planner.program(&self.context, child)?;
        let Some(constraint) = program
            .table
            .constraints
            .iter()
            .find(|known| known.id == constraint)
            .cloned()
        else {
            return Ok(());
        };
        let ConstraintKind::Foreign {
            columns,
            referenced,
            on_delete,
            on_update,
            ..
        } = &constraint.kind
        else {
            return Ok(());
        };
        let values = self.as_types_of(&program.table, columns, parent, referenced, old)?;
        let mut children = Vec::new();
        if program.routing.is_none() {
            for (key, row) in self.find_children(&program, columns, &values).await? {
                children.push((program.clone(), columns.clone(), key, row));
            }
        } else {
            for leaf in members(&self.context.catalog, &program.table)?.tables {
                let leaf = self.planner.program(&self.context, leaf.id)?;
                let mapping = Mapping::between(&program.table, &leaf.table);
                let placed: Vec<u16> = columns.iter().filter_map(|at| mapping.place(*at)).collect();
                for (key, row) in self.find_children(&leaf, &placed, &values).await? {
                    children.push((leaf.clone(), placed.clone(), key, row));
                }
            }
        }
        if children.is_empty() {
            return Ok(());
        }
        let action = if new.is_some() { on_update } else { on_delete };
        if matches!(action, ReferentialAction::NoAction | ReferentialAction::Restrict) {
            // NO ACTION lets another row take the parent's place before the statement ends.
            let parent_program = self.planner.program(&self.context, parent.id)?;
            if *action == ReferentialAction::NoAction
                && self
                    .find_parent(&parent_program, referenced, columns, &program.table, &values)
                    .await?
            {
                return Ok(());
            }
            return Err(self.still_referenced((parent, lost_in), &program.table, &constraint, referenced, old));
        }
        for (leaf, placed, key, row) in children {
            self.check_seen(leaf.table.id, &key).await?;
            self.follow(&leaf, &placed, *action, new.as_deref(), &key, row, parent, referenced)
                .await?;
        }
        self.context.transaction.next_command();
        Ok(())
    }

    /// A row that the transaction's snapshot does not show cannot follow its parent.
    async fn check_seen(&self, table: u32, key: &Key) -> SqlResult<()> {
        let transaction = &self.context.transaction;
        if transaction.isolation() != Isolation::RepeatableRead || transaction.get(table, key).await?.is_some() {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::SERIALIZATION_FAILURE,
            "could not serialize access due to concurrent update",
        ))
    }

    fn still_referenced(
        &self,
        (parent, lost_in): (&Relation, &Relation),
        child: &Relation,
        constraint: &Constraint,
        referenced: &[u16],
        old: &[Datum],
    ) -> SqlError {
        let names: Vec<&str> = referenced
            .iter()
            .map(|at| parent.columns[*at as usize].name.as_str())
            .collect();
        let types = referenced.iter().map(|at| parent.columns[*at as usize].ty);
        let shown = describe_values(old.iter().zip(types), &self.eval_context());
        // PostgreSQL has a constraint of its own for each partition of the parent, named after the one on the parent.
        let mut name = constraint.name.clone();
        if lost_in.id != parent.id {
            let family = self.context.catalog.family_of(parent.id);
            let number = family.iter().position(|member| *member == lost_in.id).unwrap_or(1);
            name = format!("{name}{number}");
        }
        SqlError::new(
            SqlState::FOREIGN_KEY_VIOLATION,
            format!(
                "update or delete on table \"{}\" violates foreign key constraint \"{name}\" on table \"{}\"",
                lost_in.name, child.name
            ),
        )
        .detail(format!(
            "Key ({})=({shown}) is still referenced from table \"{}\".",
            names.join(", "),
            child.name
        ))
        .object(|object| {
            name_table(object, child, &*self.context.session);
            object.constraint = Some(name.clone());
        })
    }

    /// Child rows with these values, locked as a whole.
    pub(super) async fn find_children(
        &mut self,
        program: &Arc<TableProgram>,
        columns: &[u16],
        values: &[Datum],
    ) -> SqlResult<Vec<(Key, Row)>> {
        let table = program.table.id;
        let candidates = self.child_candidates(program, columns, values).await?;
        let mut children = Vec::new();
        for key in candidates {
            self.lock(vec![row_lock(table, &key, RowPart::Row, Mode::Exclusive)])
                .await?;
            let Some(mut row) = self.context.transaction.read_newest(table, &key).await? else {
                continue;
            };
            program.complete(&mut row);
            if pick(&row, columns) == values {
                children.push((key, row));
            }
        }
        Ok(children)
    }

    async fn child_candidates(
        &mut self,
        program: &Arc<TableProgram>,
        columns: &[u16],
        values: &[Datum],
    ) -> SqlResult<Vec<Key>> {
        let table = program.table.id;
        let indexed = program
            .indexes
            .iter()
            .find(|index| index.predicate.is_none() && starts_with(&index.index, columns));
        let mut keys = Vec::new();
        if let Some(indexed) = indexed {
            let by_position: Vec<Datum> = indexed
                .index
                .keys
                .iter()
                .take(columns.len())
                .filter_map(|key| match key.source {
                    IndexSource::Column(at) => columns
                        .iter()
                        .position(|column| *column == at)
                        .map(|i| values[i].clone()),
                    IndexSource::Expression(_) => None,
                })
                .collect();
            let from = index::encode(&indexed.index, &by_position)?;
            let to = storage::key::prefix_end(&from).map(Into::into);
            let name = LockName::IndexInterval {
                table,
                index: indexed.index.id,
                global: indexed.index.unique,
                from: from.clone(),
                to: to.clone(),
            };
            self.lock(vec![LockRequest {
                name,
                mode: Mode::Shared,
                add: None,
            }])
            .await?;
            let range = KeyRange { from: Some(from), to };
            let mut entries =
                self.context
                    .transaction
                    .scan_index_newest(table, indexed.index.id, indexed.index.unique, range);
            while let Some(batch) = entries.next().await {
                keys.extend(batch?.into_iter().map(|(_, key)| key));
            }
            return Ok(keys);
        }
        // Without an index a new child could appear anywhere: the columns of every row are locked against writers.
        let mut requests: Vec<LockRequest> = columns
            .iter()
            .map(|column| LockRequest {
                name: LockName::PathClass {
                    table,
                    path: Path {
                        column: *column,
                        steps: Vec::new(),
                    },
                },
                mode: Mode::Shared,
                add: None,
            })
            .collect();
        requests.push(LockRequest {
            name: LockName::RowSet { table, row: None },
            mode: Mode::Shared,
            add: None,
        });
        self.lock(requests).await?;
        let mut rows = self.context.transaction.scan_newest(table, KeyRange::default(), false);
        while let Some(batch) = rows.next().await {
            for (key, mut row) in batch? {
                program.complete(&mut row);
                if pick(&row, columns) == values {
                    keys.push(key);
                }
            }
        }
        Ok(keys)
    }

    #[allow(clippy::too_many_arguments, reason = "the facts of one cascade, at its one call")]
    async fn follow(
        &mut self,
        program: &Arc<TableProgram>,
        columns: &[u16],
        action: ReferentialAction,
        new: Option<&[Datum]>,
        key: &Key,
        row: Row,
        parent: &Relation,
        referenced: &[u16],
    ) -> SqlResult<()> {
        let mut changed = row.clone();
        match (action, new) {
            (ReferentialAction::Cascade, None) => return self.delete(program, key, &row).await,
            (ReferentialAction::Cascade, Some(new)) => {
                let values = self.as_types_of(&program.table, columns, parent, referenced, new)?;
                for (at, value) in columns.iter().zip(values) {
                    changed[*at as usize] = value;
                }
            }
            (ReferentialAction::SetDefault, _) => {
                for at in columns {
                    changed[*at as usize] = self.planner.default_value(&self.context, &program.table, *at)?;
                }
            }
            (ReferentialAction::SetNull | ReferentialAction::NoAction | ReferentialAction::Restrict, _) => {
                for at in columns {
                    changed[*at as usize] = Datum::Null;
                }
            }
        }
        if program.table.is_partition() && !self.belongs(program, &changed)? {
            let ancestors = self.context.catalog.ancestors_of(program.table.id);
            let root = ancestors.last().copied().unwrap_or(program.table.id);
            let root = self.planner.program(&self.context, root)?;
            self.move_row(&root, program, key, &row, &changed).await?;
            return Ok(());
        }
        let context = self.eval_context();
        program.generate(&mut changed, &context)?;
        program.check(&changed, &context)?;
        let paths: Vec<Path> = columns
            .iter()
            .copied()
            .chain(program.generated.iter().map(|(at, _)| *at))
            .map(|column| Path {
                column,
                steps: Vec::new(),
            })
            .collect();
        self.update(
            program,
            key,
            Change {
                paths: &paths,
                additions: &[],
                old: &row,
                new: changed,
            },
        )
        .await?;
        Ok(())
    }
}

fn is_index_on(index: &Index, columns: &[u16]) -> bool {
    index.keys.len() == columns.len() && starts_with(index, columns)
}

/// Whether the index's first keys are these columns, in any order.
fn starts_with(index: &Index, columns: &[u16]) -> bool {
    let leading: Vec<u16> = index
        .keys
        .iter()
        .take(columns.len())
        .filter_map(|key| match key.source {
            IndexSource::Column(at) => Some(at),
            IndexSource::Expression(_) => None,
        })
        .collect();
    leading.len() == columns.len() && columns.iter().all(|column| leading.contains(column))
}
