//! Drivers of INSERT, UPDATE and DELETE: from source rows to written rows and RETURNING (`merge` drives MERGE).

use std::sync::{Arc, OnceLock};

use ahash::AHashMap;
use futures::StreamExt;
use parking_lot::Mutex;
use storage::path::Parts;
use storage::{Datum, Path, Row};
use txn::{Isolation, Key, Mode, RowPart};

use super::derive::{self, Target};
use super::parts;
use super::plan::{ChangePlace, InsertPlace, InsertSource, KindPlan, ModifyPlan};
use super::program::TableProgram;
use super::target::{self, Derived, LockedTarget, Needs};
use super::violation;
use super::writer::{Arbiters, Change, Inserted, Writer, row_lock};
use crate::bound::{Assignment, ColumnId, Modify, ModifyKind};
use crate::catalog::Relation;
use crate::partition::Mapping;
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
        row_columns: modify.row_columns.as_slice().into(),
        partition_columns: Vec::new(),
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
            places,
        } => runner.insert(source, defaults, places).await?,
        KindPlan::Change {
            source,
            oid_at,
            places,
            extra,
        } => {
            let changes = Changes {
                oid_at: *oid_at,
                places,
                extra,
            };
            runner.change(source, &changes).await?;
        }
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
    /// The table of the row at hand: the named one, or one that comes from it.
    pub(super) program: Arc<TableProgram>,
    /// Ids under which RETURNING names its columns.
    pub(super) row_columns: Arc<[(u16, ColumnId)]>,
    /// Columns of it that decide whether it may hold a row.
    pub(super) partition_columns: Vec<u16>,
    pub(super) writer: Writer<'a>,
    pub(super) outcome: Outcome,
}

/// The tables whose rows an UPDATE or DELETE changes.
struct Changes<'a> {
    oid_at: Option<usize>,
    places: &'a [(Arc<Relation>, OnceLock<ChangePlace>)],
    extra: &'a [ColumnId],
}

impl<'a> Runner<'a> {
    fn returning(&self, compiled: Option<&CompiledExprs>) -> Option<RowEvaluator> {
        compiled.map(|compiled| compiled.evaluator(self.scope))
    }

    async fn finish_row(
        &mut self,
        returning: &mut Option<RowEvaluator>,
        mut row: Row,
        extra: &[Datum],
        table: u32,
    ) -> SqlResult<()> {
        self.outcome.count += 1;
        if let Some(returning) = returning {
            row.extend_from_slice(extra);
            if self.modify.table_oid.is_some() {
                row.push(Datum::Oid(table));
            }
            let mut values = returning.eval_all(&row).await?;
            let shown = self.modify.returned().len();
            for (view, holds) in self.modify.check_options.iter().zip(&values[shown..]) {
                if !matches!(holds, Datum::Bool(true)) {
                    // An inserted row is shown as the named table has it.
                    let table = match self.modify.kind {
                        ModifyKind::Insert { .. } => &self.modify.table,
                        _ => &self.program.table,
                    };
                    row.truncate(table.columns.len());
                    let context = self.writer.eval_context();
                    return Err(violation::check_option(table, view, &row, &context));
                }
            }
            values.truncate(shown);
            if shown > 0 {
                self.outcome.returning.push(values);
            }
        }
        Ok(())
    }

    async fn insert(
        &mut self,
        source: &InsertSource,
        defaults: &CompiledExprs,
        places: &'a Mutex<AHashMap<u32, Arc<InsertPlace>>>,
    ) -> SqlResult<()> {
        let mut insert = Inserting {
            defaults: defaults.evaluator(self.scope),
            returning: self.returning(self.plan.returning.as_ref()),
            places,
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

    async fn insert_row(&mut self, values: Vec<Datum>, insert: &mut Inserting<'_>) -> SqlResult<()> {
        let ModifyKind::Insert {
            targets,
            defaults,
            on_conflict,
            ..
        } = &self.modify.kind
        else {
            return Ok(());
        };
        let root = &self.plan.program;
        let mut row = vec![Datum::Null; root.table.columns.len()];
        for (at, value) in targets.iter().zip(values) {
            row[*at as usize] = value;
        }
        for (i, (at, _)) in defaults.iter().enumerate() {
            row[*at as usize] = insert.defaults.eval(i, &[]).await?;
        }
        let row = self.place_new(row)?;
        let program = self.program.clone();
        if insert.returning.is_none() && on_conflict.is_none() {
            self.writer.insert(&program, row, Arbiters::None).await?;
            self.outcome.count += 1;
            return Ok(());
        }
        let place = self.insert_place(insert.places)?;
        let arbiters = match on_conflict {
            None => Arbiters::None,
            Some(on_conflict) if on_conflict.arbiters.is_empty() => Arbiters::All,
            Some(_) => Arbiters::Indexes(&place.arbiters),
        };
        let does_nothing = place.conflict.is_none() && on_conflict.is_some();
        let mark = does_nothing.then(|| self.context.transaction.savepoint());
        let inserted = self.writer.insert(&program, row.clone(), arbiters).await?;
        if let (Inserted::Conflict { key }, Some(mark)) = (&inserted, mark) {
            self.check_visible(key).await?;
            // Nothing was written: who wants to change the other row need not wait for this transaction.
            self.context.transaction.rollback_to(mark).await?;
        }
        if let Some(mark) = mark {
            self.context.transaction.forget(mark);
        }
        match inserted {
            Inserted::Written(_) => {
                let row = place.to_named(row);
                self.finish_row(&mut insert.returning, row, &[], program.table.id)
                    .await?;
            }
            Inserted::Conflict { key } => {
                self.update_conflicting(&place, &key, row, &mut insert.returning)
                    .await?;
            }
        }
        Ok(())
    }

    /// Turns to the table that a new row of the named table goes to, and completes the row as that table has it.
    pub(super) fn place_new(&mut self, mut row: Row) -> SqlResult<Row> {
        let root = &self.plan.program;
        self.program = root.clone();
        if root.routing.is_some() {
            if root.table.is_partition() && !self.writer.belongs(root, &row)? {
                return Err(violation::partition(&root.table, &row, &self.writer.eval_context()));
            }
            (self.program, row) = self.writer.route(root, row)?;
        }
        self.program.generate(&mut row, &self.writer.eval_context())?;
        self.program.check(&row, &self.writer.eval_context())?;
        if root.routing.is_none() && root.table.is_partition() && !self.writer.belongs(root, &row)? {
            return Err(violation::partition(&root.table, &row, &self.writer.eval_context()));
        }
        Ok(row)
    }

    /// What is compiled for the table of the row at hand.
    fn insert_place(&self, places: &Mutex<AHashMap<u32, Arc<InsertPlace>>>) -> SqlResult<Arc<InsertPlace>> {
        let table = self.program.table.id;
        if let Some(place) = places.lock().get(&table) {
            return Ok(place.clone());
        }
        let place = Arc::new(InsertPlace::new(self.modify, &self.program, self.scope)?);
        places.lock().insert(table, place.clone());
        Ok(place)
    }

    /// DO NOTHING because of a row that the transaction's snapshot does not show is an anomaly under REPEATABLE READ.
    async fn check_visible(&self, key: &Key) -> SqlResult<()> {
        let transaction = &self.context.transaction;
        let table = self.program.table.id;
        if transaction.isolation() == Isolation::ReadCommitted || self.writer.written(table, key).is_some() {
            return Ok(());
        }
        match transaction.get(table, key).await? {
            Some(_) => Ok(()),
            None => Err(SqlError::new(
                SqlState::SERIALIZATION_FAILURE,
                "could not serialize access due to concurrent update",
            )),
        }
    }

    async fn update_conflicting(
        &mut self,
        place: &InsertPlace,
        key: &Key,
        excluded: Row,
        returning: &mut Option<RowEvaluator>,
    ) -> SqlResult<()> {
        let Some((update, compiled)) = &place.conflict else {
            return Ok(());
        };
        let mut compiled = compiled.evaluator(self.scope);
        self.row_columns = place.mapping.columns(&self.modify.row_columns).into();
        self.partition_columns = self.writer.partition_columns(&self.program)?;
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
        let Some((_, new)) = new else {
            return Err(
                SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "invalid ON UPDATE specification")
                    .detail("The result tuple would appear in a different partition than the original tuple."),
            );
        };
        let table = self.program.table.id;
        self.finish_row(returning, place.to_named(new), &[], table).await
    }

    /// UPDATE (with assignments) or DELETE (without) of the rows of a source.
    async fn change(&mut self, source: &QueryPlan, changes: &Changes<'a>) -> SqlResult<()> {
        let (ModifyKind::Update { row_key, .. } | ModifyKind::Delete { row_key, .. }) = &self.modify.kind else {
            return Ok(());
        };
        let mut known: AHashMap<u32, Changing<'a>> = AHashMap::new();
        let transaction = &self.context.transaction;
        let keyed = KeyedPlan::of(source).filter(|keyed| {
            !transaction.reads_under_locks() && !transaction.has_additions(keyed.table().0) && !self.scope.is_observed()
        });
        if let Some(keyed) = keyed {
            // Whether the newest state changed before it was locked the snapshot does not tell: it is always looked at again.
            let is_unsure = transaction.isolation() == Isolation::ReadCommitted && keyed.width() == 1;
            let is_delete = matches!(self.modify.kind, ModifyKind::Delete { .. });
            let row = match is_unsure {
                true => {
                    let mut change = self.enter(keyed.table().0, changes, &mut known)?;
                    let looks_first = !is_delete && !change.moves && target::has_paths(&change.derived);
                    let row = match looks_first && keyed.only_names_row() {
                        // The row is looked at for its paths anyway.
                        true => self.look(&keyed, &mut change).await?,
                        false => keyed.run_newest(self.context).await?,
                    };
                    known.insert(keyed.table().0, change);
                    row
                }
                false => keyed.run(self.context).await?,
            };
            return match row {
                Some(row) => self.change_row(row, changes, &mut known, is_unsure).await,
                None => Ok(()),
            };
        }
        let wants = self.wants_of_targets(changes, &mut known)?;
        let scope = self.scope.for_target(ScanTarget {
            row_key: *row_key,
            wants,
            wait: self.context.lock_wait(),
        });
        let mut rows = scope.run_plan(source)?;
        while let Some(batch) = rows.next().await {
            for row in batch? {
                self.change_row(row, changes, &mut known, false).await?;
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

    /// What will be asked for of each row that the source finds.
    fn wants_of_targets(&mut self, changes: &Changes<'a>, known: &mut AHashMap<u32, Changing<'a>>) -> SqlResult<Wants> {
        let whole = Wants::Part(RowPart::Row, Mode::Exclusive);
        if matches!(self.modify.kind, ModifyKind::Delete { .. }) || changes.places.is_empty() {
            return Ok(whole);
        }
        // Nobody asks but SERIALIZABLE, for whose sake not every partition is compiled elsewhere.
        if changes.oid_at.is_some() && !self.context.transaction.reads_under_locks() {
            return Ok(whole);
        }
        let mut wants = None;
        for (table, _) in changes.places {
            let change = self.enter(table.id, changes, known)?;
            let (moves, is_same) = (change.moves, change.place.is_same);
            let paths = target::written_paths(&change.derived);
            known.insert(table.id, change);
            if moves || !is_same {
                return Ok(whole);
            }
            wants = Some(Wants::Paths(paths));
        }
        Ok(wants.unwrap_or(whole))
    }

    /// Turns to a row of a table: the one the statement names, or one that comes from it.
    fn enter(
        &mut self,
        table: u32,
        changes: &Changes<'a>,
        known: &mut AHashMap<u32, Changing<'a>>,
    ) -> SqlResult<Changing<'a>> {
        if let Some(change) = known.remove(&table) {
            self.program = change.place.program.clone();
            self.row_columns = change.place.row_columns.clone();
            self.partition_columns.clone_from(&change.partition_columns);
            return Ok(change);
        }
        let found = changes.places.iter().find(|(place, _)| place.id == table);
        let Some((_, place)) = found else {
            return Err(SqlError::new(
                SqlState::INTERNAL_ERROR,
                "a row is of no table that the statement changes",
            ));
        };
        let place: &'a ChangePlace = match place.get() {
            Some(place) => place,
            None => {
                let program = self.writer.planner.program(self.context, table)?;
                let compiled = ChangePlace::new(self.modify, program, changes.extra, self.scope)?;
                place.get_or_init(|| compiled)
            }
        };
        self.program = place.program.clone();
        self.row_columns = place.row_columns.clone();
        self.partition_columns = self.writer.partition_columns(&self.program)?;
        let (ModifyKind::Update { recheck, .. } | ModifyKind::Delete { recheck, .. }) = &self.modify.kind else {
            return Err(SqlError::new(SqlState::INTERNAL_ERROR, "no UPDATE or DELETE"));
        };
        let parameters = self.context.parameters.clone();
        let target = Target {
            columns: &place.old_columns,
            parameters: &parameters,
        };
        let mut read = recheck
            .as_ref()
            .map(|recheck| derive::reads_with(recheck, target))
            .unwrap_or_default();
        let derived = self.derive(&place.assignments, target, &mut read);
        let amounts = place.amounts.of(&derived, self.scope)?;
        let moves = self.moves(&derived);
        let is_delete = matches!(self.modify.kind, ModifyKind::Delete { .. });
        Ok(Changing {
            parts: match is_delete || moves {
                true => None,
                false => parts::of_update(&self.program, &derived, &read),
            },
            looked: None,
            moves,
            partition_columns: self.partition_columns.clone(),
            derived,
            read,
            values: place.values.evaluator(self.scope),
            amounts: amounts.evaluator(self.scope),
            condition: recheck.is_some().then(|| place.condition.evaluator(self.scope)),
            returning: self.returning(place.returning.as_ref()),
            place,
        })
    }

    /// Changes or deletes the target row of one row of the source. `is_unsure`: it was found in a state that may have changed
    /// without a trace before it was locked.
    async fn change_row(
        &mut self,
        mut source_row: Vec<Datum>,
        changes: &Changes<'a>,
        known: &mut AHashMap<u32, Changing<'a>>,
        is_unsure: bool,
    ) -> SqlResult<()> {
        let Some(Datum::Bytea(key)) = source_row.first().cloned() else {
            // An outer join's missing side: no target row.
            return Ok(());
        };
        let others = source_row.split_off(1);
        let table = match changes.oid_at.map(|at| &others[at]) {
            Some(Datum::Oid(table)) => *table,
            _ => self.modify.table.id,
        };
        let mut change = self.enter(table, changes, known)?;
        let result = self.change_known(&key, &others, &mut change, is_unsure).await;
        known.insert(table, change);
        result
    }

    async fn change_known(
        &mut self,
        key: &Key,
        others: &[Datum],
        change: &mut Changing<'a>,
        is_unsure: bool,
    ) -> SqlResult<()> {
        let is_delete = matches!(self.modify.kind, ModifyKind::Delete { .. });
        let table = self.program.table.id;
        if self.writer.written(table, key).is_some() {
            // PostgreSQL changes a row once in a statement, whichever source row comes first.
            return Ok(());
        }
        let mut amounts = Vec::new();
        if !change.amounts.is_empty() {
            let mut whole = vec![Datum::Null; self.program.table.columns.len()];
            whole.extend_from_slice(others);
            amounts = change.amounts.eval_all(&whole).await?;
        }
        let locked = self
            .lock_row(
                key,
                &change.derived,
                &change.read,
                is_delete,
                Needs {
                    amounts: &amounts,
                    parts: change.parts.as_ref(),
                    looked: change.looked.take(),
                },
            )
            .await?;
        let Some(locked) = locked else { return Ok(()) };
        if locked.key != *key && self.writer.written(self.program.table.id, &locked.key).is_some() {
            return Ok(());
        }
        let mut whole = locked.row.clone();
        whole.extend_from_slice(others);
        if let (true, Some(condition)) = (locked.changed || is_unsure, &mut change.condition)
            && !matches!(condition.eval(0, &whole).await?, Datum::Bool(true))
        {
            return Ok(());
        }
        if is_delete {
            let program = self.program.clone();
            self.writer.delete(&program, &locked.key, &locked.row).await?;
            return self.finish_row(&mut change.returning, locked.row, others, table).await;
        }
        let values = change.values.eval_all(&whole).await?;
        let old = change.moves.then(|| locked.row.clone());
        let assignments = &change.place.assignments;
        let key = locked.key.clone();
        let applied = self.apply(locked, &change.derived, assignments, values.clone()).await;
        let (table, new) = match applied {
            Ok(Some(written)) => written,
            Ok(None) => {
                self.move_to_partition(&key, old.unwrap_or_default(), assignments, values)
                    .await?
            }
            Err(error) => return Err(self.violation_of_whole(&key, others, change, error).await?),
        };
        self.finish_row(&mut change.returning, new, others, table).await
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
        for (assignment, value) in change.place.assignments.iter().zip(values) {
            row[assignment.column as usize] = value;
        }
        let context = self.writer.eval_context();
        self.program.generate(&mut row, &context)?;
        Ok(self.program.check(&row, &context).err().unwrap_or(error))
    }

    /// Writes a row whose new values belong to another partition there. Gives that table, and the row as its old one has it.
    pub(super) async fn move_to_partition(
        &mut self,
        key: &Key,
        old: Row,
        assignments: &[Assignment],
        values: Vec<Datum>,
    ) -> SqlResult<(u32, Row)> {
        let program = self.program.clone();
        let mut new = old.clone();
        for (assignment, value) in assignments.iter().zip(values) {
            new[assignment.column as usize] = value;
        }
        program.generate(&mut new, &self.writer.eval_context())?;
        let root = self.plan.program.clone();
        if root.routing.is_none() {
            return Err(violation::partition(&program.table, &new, &self.writer.eval_context()));
        }
        let (target, written) = self.writer.move_row(&root, &program, key, &old, &new).await?;
        let row = Mapping::between(&root.table, &target.table).to_parent(&written);
        let row = Mapping::between(&root.table, &program.table).to_child(row);
        Ok((target.table.id, row))
    }

    /// Writes the new values of a locked row. Gives the table and the row; `None` if it belongs to another partition, which
    /// writes nothing.
    pub(super) async fn apply(
        &mut self,
        locked: LockedTarget,
        derived: &[Derived<'_>],
        assignments: &[Assignment],
        values: Vec<Datum>,
    ) -> SqlResult<Option<(u32, Row)>> {
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
        let is_partition_key = |assignment: &Assignment| self.partition_columns.contains(&assignment.column);
        if assignments.iter().any(is_partition_key) && !self.writer.belongs(&program, &new)? {
            return Ok(None);
        }
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
        Ok(Some((program.table.id, new)))
    }
}

/// What an INSERT evaluates row by row.
struct Inserting<'a> {
    defaults: RowEvaluator,
    returning: Option<RowEvaluator>,
    places: &'a Mutex<AHashMap<u32, Arc<InsertPlace>>>,
}

/// What an UPDATE or DELETE evaluates row by row, for the rows of one table.
struct Changing<'a> {
    place: &'a ChangePlace,
    derived: Vec<Derived<'a>>,
    read: Vec<Path>,
    /// Whether rows may go to another key or partition.
    moves: bool,
    partition_columns: Vec<u16>,
    /// Which parts of documents are enough, if not all are needed.
    parts: Option<Parts>,
    /// The row, if it was looked at already.
    looked: Option<Row>,
    values: RowEvaluator,
    amounts: RowEvaluator,
    condition: Option<RowEvaluator>,
    returning: Option<RowEvaluator>,
}

impl InsertPlace {
    /// A row of the table as the named one has it.
    fn to_named(&self, row: Row) -> Row {
        match self.mapping.is_same() {
            true => row,
            false => self.mapping.to_parent(&row),
        }
    }
}
