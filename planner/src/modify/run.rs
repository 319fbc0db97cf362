//! Drivers of INSERT, UPDATE and DELETE: from source rows to written rows and RETURNING.

use std::sync::Arc;

use futures::StreamExt;
use storage::{Datum, Path, Row};
use txn::{Key, Mode, RowPart};

use super::derive::{self, Target};
use super::program::{TableProgram, row_layout};
use super::target::{self, Derived, LockedTarget};
use super::writer::{Arbiters, Change, Inserted, Writer, row_lock};
use crate::bound::visit::for_each_column;
use crate::bound::{Assignment, ColumnId, ConflictUpdate, Expr, Modify, ModifyKind, OnConflict, Query, Rel};
use crate::eval::Layout;
use crate::relational::read_locks::{ScanTarget, Wants};
use crate::relational::{QueryScope, RowEvaluator};
use crate::statement::{Planner, StatementContext};
use crate::{SqlError, SqlResult, SqlState};

/// What a modifying statement did.
pub struct Outcome {
    /// Rows written.
    pub count: u64,
    /// RETURNING rows.
    pub returning: Vec<Vec<Datum>>,
}

/// Runs a modifying statement to its end.
///
/// # Errors
/// What its expressions, constraints and locks raise; nothing is half-done then, because the session rolls back to its mark.
pub async fn run(
    planner: &Planner,
    context: &StatementContext,
    modify: &Modify,
    scope: &QueryScope,
) -> SqlResult<Outcome> {
    let program = planner.program(context, modify.table.id)?;
    let mut runner = Runner {
        context,
        modify,
        scope,
        program,
        writer: Writer::new(planner, context),
        outcome: Outcome {
            count: 0,
            returning: Vec::new(),
        },
    };
    match &modify.kind {
        ModifyKind::Insert {
            source,
            targets,
            defaults,
            on_conflict,
        } => {
            runner.insert(source, targets, defaults, on_conflict.as_ref()).await?;
        }
        ModifyKind::Update {
            source,
            row_key,
            old_columns,
            assignments,
            recheck,
        } => {
            runner
                .change(source, *row_key, old_columns, Some(assignments), recheck.as_ref())
                .await?;
        }
        ModifyKind::Delete {
            source,
            row_key,
            old_columns,
            recheck,
        } => {
            runner
                .change(source, *row_key, old_columns, None, recheck.as_ref())
                .await?;
        }
    }
    runner.writer.finish().await?;
    Ok(runner.outcome)
}

pub(super) struct Runner<'a> {
    pub(super) context: &'a StatementContext,
    pub(super) modify: &'a Modify,
    scope: &'a QueryScope,
    pub(super) program: Arc<TableProgram>,
    pub(super) writer: Writer<'a>,
    outcome: Outcome,
}

impl Runner<'_> {
    fn compile<'e>(&self, layout: &Layout, exprs: impl IntoIterator<Item = &'e Expr>) -> SqlResult<RowEvaluator> {
        let exprs: Vec<&Expr> = exprs.into_iter().collect();
        self.scope.evaluator(layout.columns(), &exprs)
    }

    /// RETURNING over the target row followed by `extra` columns of the source.
    fn compile_returning(&self, extra: &[ColumnId]) -> SqlResult<Option<RowEvaluator>> {
        if self.modify.returning.is_empty() {
            return Ok(None);
        }
        let mut layout = row_layout(&self.program.table, &self.modify.row_columns);
        for column in extra {
            layout.push(*column);
        }
        if let Some(column) = self.modify.table_oid {
            layout.push(column);
        }
        self.compile(&layout, self.modify.returning.iter().map(|(_, expr)| expr))
            .map(Some)
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
        source: &Query,
        targets: &[u16],
        defaults: &[(u16, Expr)],
        on_conflict: Option<&OnConflict>,
    ) -> SqlResult<()> {
        let columns: Vec<ColumnId> = source.columns.iter().map(|column| column.id).collect();
        let mut defaults_compiled = self.compile(&Layout::default(), defaults.iter().map(|(_, expr)| expr))?;
        let mut returning = self.compile_returning(&[])?;
        let mut conflict = match on_conflict.and_then(|on_conflict| on_conflict.update.as_ref()) {
            Some(update) => Some(self.compile_conflict(update)?),
            None => None,
        };
        let arbiters = match on_conflict {
            None => Arbiters::None,
            Some(on_conflict) if on_conflict.arbiters.is_empty() => Arbiters::All,
            Some(on_conflict) => Arbiters::Indexes(&on_conflict.arbiters),
        };
        let width = self.program.table.columns.len();
        let mut rows = self.scope.run(&source.rel, &columns)?;
        while let Some(batch) = rows.next().await {
            for values in batch? {
                let mut row = vec![Datum::Null; width];
                for (at, value) in targets.iter().zip(values) {
                    row[*at as usize] = value;
                }
                for (i, (at, _)) in defaults.iter().enumerate() {
                    row[*at as usize] = defaults_compiled.eval(i, &[]).await?;
                }
                let program = self.program.clone();
                program.generate(&mut row, &self.writer.eval_context())?;
                program.check(&row, &self.writer.eval_context())?;
                match self.writer.insert(&program, row.clone(), arbiters).await? {
                    Inserted::Written(_) => self.finish_row(&mut returning, row, &[]).await?,
                    Inserted::Conflict { key } => {
                        if let (Some(update), Some(compiled)) = (
                            on_conflict.and_then(|on_conflict| on_conflict.update.as_ref()),
                            conflict.as_mut(),
                        ) {
                            self.update_conflicting(update, compiled, &key, row, &mut returning)
                                .await?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// DO UPDATE over the existing row followed by the excluded one: assignments, then the condition.
    fn compile_conflict(&self, update: &ConflictUpdate) -> SqlResult<RowEvaluator> {
        let table = &self.program.table;
        let layout = row_layout(table, &update.existing).concat(&row_layout(table, &update.excluded));
        self.compile(
            &layout,
            update
                .assignments
                .iter()
                .map(|assignment| &assignment.value)
                .chain(&update.predicate),
        )
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
        let Some(LockedTarget { row: old, .. }) = self.lock_row(key, &derived, &read, false, &[]).await? else {
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
            row: old,
            changed: false,
            additions: Vec::new(),
        };
        let new = self.apply(key, locked, &derived, &update.assignments, values).await?;
        self.finish_row(returning, new, &[]).await
    }

    /// UPDATE (with assignments) or DELETE (without) of the rows of a source.
    async fn change(
        &mut self,
        source: &Rel,
        row_key: ColumnId,
        old_columns: &[(u16, ColumnId)],
        assignments: Option<&Vec<Assignment>>,
        recheck: Option<&Expr>,
    ) -> SqlResult<()> {
        let extra = self.source_columns(
            old_columns,
            assignments.map(Vec::as_slice).unwrap_or_default(),
            recheck,
            row_key,
        );
        let layout = {
            let mut layout = row_layout(&self.program.table, old_columns);
            for column in &extra {
                layout.push(*column);
            }
            layout
        };
        let assigned = assignments.map(Vec::as_slice).unwrap_or_default();
        let mut values = self.compile(&layout, assigned.iter().map(|assignment| &assignment.value))?;
        let mut condition = self.compile(&layout, recheck)?;
        let mut returning = self.compile_returning(&extra)?;
        let parameters = self.context.parameters.clone();
        let target = Target {
            columns: old_columns,
            parameters: &parameters,
        };
        let mut read = recheck
            .map(|recheck| derive::reads_with(recheck, target))
            .unwrap_or_default();
        let derived = self.derive(assigned, target, &mut read);
        let additions = derived.iter().filter_map(|derived| derived.addition.as_ref());
        let mut amounts = self.compile(&layout, additions.map(|(_, addition)| addition.amount))?;

        let columns: Vec<ColumnId> = [row_key].into_iter().chain(extra.iter().copied()).collect();
        let moves = derived
            .iter()
            .any(|derived| self.program.primary_key.contains(&derived.column));
        let wants = match assignments.is_none() || moves {
            true => Wants::Part(RowPart::Row, Mode::Exclusive),
            false => Wants::Paths(target::written_paths(&derived)),
        };
        let scope = self.scope.for_target(ScanTarget {
            row_key,
            wants,
            wait: self.context.lock_wait(),
        });
        let mut rows = scope.run(source, &columns)?;
        while let Some(batch) = rows.next().await {
            for mut source_row in batch? {
                let Some(Datum::Bytea(key)) = source_row.first().cloned() else {
                    // An outer join's missing side: no target row.
                    continue;
                };
                let others = source_row.split_off(1);
                if self.writer.written(self.program.table.id, &key).is_some() {
                    // PostgreSQL changes a row once in a statement, whichever source row comes first.
                    continue;
                }
                let mut amount_values = Vec::new();
                if !amounts.is_empty() {
                    let mut whole = vec![Datum::Null; self.program.table.columns.len()];
                    whole.extend_from_slice(&others);
                    amount_values = amounts.eval_all(&whole).await?;
                }
                let is_delete = assignments.is_none();
                let locked = self.lock_row(&key, &derived, &read, is_delete, &amount_values).await?;
                let Some(locked) = locked else { continue };
                let mut whole = locked.row.clone();
                whole.extend_from_slice(&others);
                if locked.changed && recheck.is_some() && !matches!(condition.eval(0, &whole).await?, Datum::Bool(true))
                {
                    continue;
                }
                if assignments.is_none() {
                    let program = self.program.clone();
                    self.writer.delete(&program, &key, &locked.row).await?;
                    self.finish_row(&mut returning, locked.row, &others).await?;
                    continue;
                }
                let new_values = values.eval_all(&whole).await?;
                let new = self.apply(&key, locked, &derived, assigned, new_values).await?;
                self.finish_row(&mut returning, new, &others).await?;
            }
        }
        Ok(())
    }

    /// Columns of the source beside the target's own that expressions name.
    fn source_columns(
        &self,
        old_columns: &[(u16, ColumnId)],
        assignments: &[Assignment],
        recheck: Option<&Expr>,
        row_key: ColumnId,
    ) -> Vec<ColumnId> {
        let mut extra: Vec<ColumnId> = Vec::new();
        let produced = match &self.modify.kind {
            ModifyKind::Update { source, .. } | ModifyKind::Delete { source, .. } => source.output_columns(),
            ModifyKind::Insert { source, .. } => source.rel.output_columns(),
        };
        let own = |id: ColumnId| {
            id == row_key
                || old_columns
                    .iter()
                    .chain(&self.modify.row_columns)
                    .any(|(_, known)| *known == id)
                || self.modify.table_oid == Some(id)
        };
        let exprs = assignments.iter().map(|assignment| &assignment.value).chain(recheck);
        for expr in exprs.chain(self.modify.returning.iter().map(|(_, expr)| expr)) {
            for_each_column(expr, &mut |id| {
                if !own(id) && produced.contains(&id) && !extra.contains(&id) {
                    extra.push(id);
                }
            });
        }
        extra
    }

    /// Writes the new values of a locked row.
    async fn apply(
        &mut self,
        key: &Key,
        locked: LockedTarget,
        derived: &[Derived<'_>],
        assignments: &[Assignment],
        values: Vec<Datum>,
    ) -> SqlResult<Row> {
        let LockedTarget {
            row: old, additions, ..
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
                .map(|path| row_lock(program.table.id, key, RowPart::Path(path.clone()), Mode::Exclusive));
            self.writer.lock(requests.collect()).await?;
            paths.extend(whole);
            paths = derive::minimal(paths);
        }
        self.writer
            .update(
                &program,
                key,
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
