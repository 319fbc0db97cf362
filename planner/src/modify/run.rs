//! Drivers of INSERT, UPDATE and DELETE: from source rows to written rows and RETURNING ([`super::merge`] drives MERGE).

use std::sync::Arc;

use futures::StreamExt;
use storage::path::Parts;
use storage::{Datum, Path, Row};
use txn::{Isolation, Key, Mode, RowPart};

use super::derive::{self, Target};
use super::parts;
use super::plan::{Amounts, InsertSource, KindPlan, ModifyPlan, assignments, update_of};
use super::program::TableProgram;
use super::target::{self, Derived, LockedTarget, Needs};
use super::writer::{Arbiters, Change, Inserted, Writer, row_lock};
use crate::bound::{Assignment, ConflictUpdate, Modify, ModifyKind};
use crate::relational::read_locks::{ScanTarget, Wants};
use crate::relational::{CompiledExprs, KeyedPlan, QueryPlan, QueryScope, RowEvaluator};
use crate::statement::{Planner, StatementContext};
use crate::{SqlError, SqlResult, SqlState};

/// What a modifying statement did.
pub struct Outcome {
    /// Rows written.
    pub count: u64,
    /// RETURNING rows.
    pub returning: Vec<Vec<Datum>>,
}

/// Compiles and runs a modifying statement.
///
/// # Errors
/// As [`run_plan`].
pub async fn run(
    planner: &Planner,
    context: &StatementContext,
    modify: &Modify,
    scope: &QueryScope,
) -> SqlResult<Outcome> {
    let plan = ModifyPlan::new(planner, context, modify, scope)?;
    run_plan(planner, context, modify, &plan, scope).await
}

/// Runs a modifying statement to its end.
///
/// # Errors
/// What its expressions, constraints and locks raise; nothing is half-done then, because the session rolls back to its mark.
pub async fn run_plan(
    planner: &Planner,
    context: &StatementContext,
    modify: &Modify,
    plan: &ModifyPlan,
    scope: &QueryScope,
) -> SqlResult<Outcome> {
    plan.program.keep_closed(&context.transaction);
    let mut runner = Runner {
        context,
        modify,
        plan,
        scope,
        program: plan.program.clone(),
        writer: Writer::new(planner, context),
        outcome: Outcome {
            count: 0,
            returning: Vec::new(),
        },
    };
    match &plan.kind {
        KindPlan::Insert {
            source,
            defaults,
            conflict,
        } => runner.insert(source, defaults, conflict.as_ref()).await?,
        KindPlan::Change {
            source,
            values,
            condition,
            amounts,
        } => runner.change(source, values, condition, amounts).await?,
        KindPlan::Merge(merge) => runner.merge(merge).await?,
    }
    runner.writer.finish().await?;
    Ok(runner.outcome)
}

pub(super) struct Runner<'a> {
    pub(super) context: &'a StatementContext,
    pub(super) modify: &'a Modify,
    plan: &'a ModifyPlan,
    pub(super) scope: &'a QueryScope,
    pub(super) program: Arc<TableProgram>,
    pub(super) writer: Writer<'a>,
    pub(super) outcome: Outcome,
}

impl Runner<'_> {
    fn returning(&self) -> Option<RowEvaluator> {
        self.plan
            .returning
            .as_ref()
            .map(|compiled| compiled.evaluator(self.scope))
    }

    async fn finish_row(
        &mut self,
        returning: &mut Option<RowEvaluator>,
        mut row: Row,
        extra: &[Datum],
    ) -> SqlResult<()> {
        self.outcome.count += 1;
        if let Some(returning) = returning {
            row.extend_from_slice(extra);
            if self.modify.table_oid.is_some() {
                row.push(Datum::Oid(self.program.table.id));
            }
            self.outcome.returning.push(returning.eval_all(&row).await?);
        }
        Ok(())
    }

    async fn insert(
        &mut self,
        source: &InsertSource,
        defaults: &CompiledExprs,
        conflict: Option<&CompiledExprs>,
    ) -> SqlResult<()> {
        let mut insert = Inserting {
            defaults: defaults.evaluator(self.scope),
            returning: self.returning(),
            conflict: conflict.map(|compiled| compiled.evaluator(self.scope)),
        };
        match source {
            InsertSource::Values(compiled) => {
                let mut values = compiled.evaluator(self.scope);
                let ModifyKind::Insert { targets, .. } = &self.modify.kind else {
                    return Ok(());
                };
                let width = targets.len();
                // A row of no columns (DEFAULT VALUES) is one row all the same.
                let count = values.len().checked_div(width).unwrap_or(1);
                for first in (0..count).map(|row| row * width) {
                    let mut row = Vec::with_capacity(width);
                    for at in first..first + width {
                        row.push(values.eval(at, &[]).await?);
                    }
                    self.insert_row(row, &mut insert).await?;
                }
            }
            InsertSource::Query(plan) => {
                let mut rows = self.scope.run_plan(plan)?;
                while let Some(batch) = rows.next().await {
                    for values in batch? {
                        self.insert_row(values, &mut insert).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn insert_row(&mut self, values: Vec<Datum>, insert: &mut Inserting) -> SqlResult<()> {
        let ModifyKind::Insert {
            targets,
            defaults,
            on_conflict,
            ..
        } = &self.modify.kind
        else {
            return Ok(());
        };
        let arbiters = match on_conflict {
            None => Arbiters::None,
            Some(on_conflict) if on_conflict.arbiters.is_empty() => Arbiters::All,
            Some(on_conflict) => Arbiters::Indexes(&on_conflict.arbiters),
        };
        let mut row = vec![Datum::Null; self.program.table.columns.len()];
        for (at, value) in targets.iter().zip(values) {
            row[*at as usize] = value;
        }
        for (i, (at, _)) in defaults.iter().enumerate() {
            row[*at as usize] = insert.defaults.eval(i, &[]).await?;
        }
        let program = self.program.clone();
        program.generate(&mut row, &self.writer.eval_context())?;
        program.check(&row, &self.writer.eval_context())?;
        if insert.returning.is_none() && on_conflict.is_none() {
            self.writer.insert(&program, row, arbiters).await?;
            self.outcome.count += 1;
            return Ok(());
        }
        match self.writer.insert(&program, row.clone(), arbiters).await? {
            Inserted::Written(_) => self.finish_row(&mut insert.returning, row, &[]).await?,
            Inserted::Conflict { key } => {
                if let (Some(update), Some(compiled)) = (update_of(on_conflict.as_ref()), insert.conflict.as_mut()) {
                    self.update_conflicting(update, compiled, &key, row, &mut insert.returning)
                        .await?;
                }
            }
        }
        Ok(())
    }

    async fn update_conflicting(
        &mut self,
        update: &ConflictUpdate,
        compiled: &mut RowEvaluator,
        key: &Key,
        excluded: Row,
        returning: &mut Option<RowEvaluator>,
    ) -> SqlResult<()> {
        if self.writer.written(self.program.table.id, key).is_some() {
            return Err(SqlError::new(
                SqlState::CARDINALITY_VIOLATION,
                "ON CONFLICT DO UPDATE command cannot affect row a second time",
            )
            .hint(
                "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
            ));
        }
        let parameters = self.context.parameters.clone();
        let target = Target {
            columns: &update.existing,
            parameters: &parameters,
        };
        let mut read = Vec::new();
        if let Some(expr) = &update.predicate {
            read.extend(derive::reads_with(expr, target));
        }
        let derived = self.derive(&update.assignments, target, &mut read);
        // The key is locked by X already: an addition would gain nothing.
        let Some(LockedTarget { key, row: old, .. }) =
            self.lock_row(key, &derived, &read, false, Needs::default()).await?
        else {
            return Err(SqlError::new(
                SqlState::SERIALIZATION_FAILURE,
                "could not serialize access due to concurrent delete",
            ));
        };
        let mut both = old.clone();
        both.extend(excluded);
        let count = update.assignments.len();
        if update.predicate.is_some() && !matches!(compiled.eval(count, &both).await?, Datum::Bool(true)) {
            return Ok(());
        }
        let mut values = Vec::with_capacity(count);
        for i in 0..count {
            values.push(compiled.eval(i, &both).await?);
        }
        let locked = LockedTarget {
            key,
            row: old,
            changed: false,
            additions: Vec::new(),
        };
        let new = self.apply(locked, &derived, &update.assignments, values).await?;
        self.finish_row(returning, new, &[]).await
    }

    /// UPDATE (with assignments) or DELETE (without) of the rows of a source.
    async fn change(
        &mut self,
        source: &QueryPlan,
        values: &CompiledExprs,
        condition: &CompiledExprs,
        amounts: &Amounts,
    ) -> SqlResult<()> {
        let (ModifyKind::Update {
            row_key,
            old_columns,
            recheck,
            ..
        }
        | ModifyKind::Delete {
            row_key,
            old_columns,
            recheck,
            ..
        }) = &self.modify.kind
        else {
            return Ok(());
        };
        let modify = self.modify;
        let parameters = self.context.parameters.clone();
        let target = Target {
            columns: old_columns,
            parameters: &parameters,
        };
        let mut read = recheck
            .as_ref()
            .map(|recheck| derive::reads_with(recheck, target))
            .unwrap_or_default();
        let derived = self.derive(assignments(modify), target, &mut read);
        let amounts = amounts.of(&derived, self.scope)?;
        let moves = derived
            .iter()
            .any(|derived| self.program.primary_key.contains(&derived.column));
        let is_delete = matches!(modify.kind, ModifyKind::Delete { .. });
        let parts = match is_delete || moves {
            true => None,
            false => parts::of_update(&self.program, &derived, &read),
        };
        let mut change = Changing {
            derived: &derived,
            read: &read,
            parts,
            looked: None,
            values: values.evaluator(self.scope),
            amounts: amounts.evaluator(self.scope),
            condition: recheck.is_some().then(|| condition.evaluator(self.scope)),
            returning: self.returning(),
            is_unsure: false,
        };
        let transaction = &self.context.transaction;
        let is_plain = !transaction.reads_under_locks()
            && !transaction.has_additions(self.program.table.id)
            && !self.scope.is_observed();
        if let Some(keyed) = KeyedPlan::of(source).filter(|_| is_plain) {
            // Whether the newest state changed before it was locked the snapshot does not tell: it is always looked at again.
            change.is_unsure = transaction.isolation() == Isolation::ReadCommitted && keyed.width() == 1;
            let looks_first = !is_delete && !moves && target::has_paths(&derived);
            let row = match change.is_unsure {
                // The row is looked at for its paths anyway.
                true if looks_first && keyed.only_names_row() => self.look(&keyed, &mut change).await?,
                true => keyed.run_newest(self.context).await?,
                false => keyed.run(self.context).await?,
            };
            return match row {
                Some(row) => self.change_row(row, &mut change).await,
                None => Ok(()),
            };
        }
        let wants = match is_delete || moves {
            true => Wants::Part(RowPart::Row, Mode::Exclusive),
            false => Wants::Paths(target::written_paths(&derived)),
        };
        let scope = self.scope.for_target(ScanTarget {
            row_key: *row_key,
            wants,
            wait: self.context.lock_wait(),
        });
        let mut rows = scope.run_plan(source)?;
        while let Some(batch) = rows.next().await {
            for row in batch? {
                self.change_row(row, &mut change).await?;
            }
        }
        Ok(())
    }

    /// The key of the row that a statement names, if it is there.
    async fn look(&self, keyed: &KeyedPlan<'_>, change: &mut Changing<'_>) -> SqlResult<Option<Vec<Datum>>> {
        let Some(key) = keyed.key(&self.writer.eval_context())? else {
            return Ok(None);
        };
        let (table, transaction) = (self.program.table.id, &self.context.transaction);
        let (row, seen) = transaction.look_newest(table, &key, change.parts.as_ref()).await?;
        let Some(mut row) = row else {
            // Nothing is locked and read again then: the statement's answer rests on what was seen here.
            transaction.saw(seen)?;
            return Ok(None);
        };
        self.program.complete(&mut row);
        change.looked = Some(row);
        Ok(Some(vec![Datum::Bytea(key)]))
    }

    /// Changes or deletes the target row of one row of the source.
    async fn change_row(&mut self, mut source_row: Vec<Datum>, change: &mut Changing<'_>) -> SqlResult<()> {
        let is_delete = matches!(self.modify.kind, ModifyKind::Delete { .. });
        let Some(Datum::Bytea(key)) = source_row.first().cloned() else {
            // An outer join's missing side: no target row.
            return Ok(());
        };
        let others = source_row.split_off(1);
        if self.writer.written(self.program.table.id, &key).is_some() {
            // PostgreSQL changes a row once in a statement, whichever source row comes first.
            return Ok(());
        }
        let mut amounts = Vec::new();
        if !change.amounts.is_empty() {
            let mut whole = vec![Datum::Null; self.program.table.columns.len()];
            whole.extend_from_slice(&others);
            amounts = change.amounts.eval_all(&whole).await?;
        }
        let locked = self
            .lock_row(
                &key,
                change.derived,
                change.read,
                is_delete,
                Needs {
                    amounts: &amounts,
                    parts: change.parts.as_ref(),
                    looked: change.looked.take(),
                },
            )
            .await?;
        let Some(locked) = locked else { return Ok(()) };
        if locked.key != key && self.writer.written(self.program.table.id, &locked.key).is_some() {
            return Ok(());
        }
        let mut whole = locked.row.clone();
        whole.extend_from_slice(&others);
        if let (true, Some(condition)) = (locked.changed || change.is_unsure, &mut change.condition)
            && !matches!(condition.eval(0, &whole).await?, Datum::Bool(true))
        {
            return Ok(());
        }
        if is_delete {
            let program = self.program.clone();
            self.writer.delete(&program, &locked.key, &locked.row).await?;
            return self.finish_row(&mut change.returning, locked.row, &others).await;
        }
        let values = change.values.eval_all(&whole).await?;
        let place = locked.key.clone();
        let applied = self
            .apply(locked, change.derived, assignments(self.modify), values)
            .await;
        match applied {
            Ok(new) => self.finish_row(&mut change.returning, new, &others).await,
            Err(error) => Err(self.violation_of_whole(&place, &others, change, error).await?),
        }
    }

    /// A violation that shows its row, of which only parts were read: the same, of the whole row.
    async fn violation_of_whole(
        &self,
        key: &Key,
        others: &[Datum],
        change: &mut Changing<'_>,
        error: SqlError,
    ) -> SqlResult<SqlError> {
        let shows_row = [SqlState::NOT_NULL_VIOLATION, SqlState::CHECK_VIOLATION].contains(&error.code());
        if change.parts.is_none() || !shows_row {
            return Ok(error);
        }
        let table = self.program.table.id;
        let Some(mut row) = self.context.transaction.read_newest(table, key).await? else {
            return Ok(error);
        };
        self.program.complete(&mut row);
        let mut whole = row.clone();
        whole.extend_from_slice(others);
        let values = change.values.eval_all(&whole).await?;
        for (assignment, value) in assignments(self.modify).iter().zip(values) {
            row[assignment.column as usize] = value;
        }
        let context = self.writer.eval_context();
        self.program.generate(&mut row, &context)?;
        Ok(self.program.check(&row, &context).err().unwrap_or(error))
    }

    /// Writes the new values of a locked row.
    pub(super) async fn apply(
        &mut self,
        locked: LockedTarget,
        derived: &[Derived<'_>],
        assignments: &[Assignment],
        values: Vec<Datum>,
    ) -> SqlResult<Row> {
        let LockedTarget {
            key,
            row: old,
            additions,
            ..
        } = locked;
        let mut new = old.clone();
        for (assignment, value) in assignments.iter().zip(values) {
            new[assignment.column as usize] = value;
        }
        let program = self.program.clone();
        program.generate(&mut new, &self.writer.eval_context())?;
        program.check(&new, &self.writer.eval_context())?;
        let mut paths = target::resolve_all(derived, Some(&old), &additions);
        let additions = target::added(derived, &additions);
        // A path function of a NULL gives NULL for the whole column, which only the value shows.
        let mut whole = Vec::new();
        for derived in derived.iter().filter(|derived| !derived.paths.is_empty()) {
            if new[derived.column as usize].is_null() && !old[derived.column as usize].is_null() {
                whole.push(Path {
                    column: derived.column,
                    steps: Vec::new(),
                });
            }
        }
        if !whole.is_empty() {
            let requests = whole
                .iter()
                .map(|path| row_lock(program.table.id, &key, RowPart::Path(path.clone()), Mode::Exclusive));
            self.writer.lock(requests.collect()).await?;
            paths.extend(whole);
            paths = derive::minimal(paths);
        }
        self.writer
            .update(
                &program,
                &key,
                Change {
                    paths: &paths,
                    additions: &additions,
                    old: &old,
                    new: new.clone(),
                },
            )
            .await?;
        Ok(new)
    }
}

/// What an INSERT evaluates row by row.
struct Inserting {
    defaults: RowEvaluator,
    returning: Option<RowEvaluator>,
    conflict: Option<RowEvaluator>,
}

/// What an UPDATE or DELETE evaluates row by row.
struct Changing<'a> {
    derived: &'a [Derived<'a>],
    read: &'a [Path],
    /// Which parts of documents are enough, if not all are needed.
    parts: Option<Parts>,
    /// The row, if it was looked at already.
    looked: Option<Row>,
    values: RowEvaluator,
    amounts: RowEvaluator,
    condition: Option<RowEvaluator>,
    returning: Option<RowEvaluator>,
    /// Whether the row was found in a state that may have changed without a trace before it was locked.
    is_unsure: bool,
}
