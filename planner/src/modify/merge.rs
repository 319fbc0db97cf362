//! MERGE: for each row of the source joined with the target, the first WHEN clause whose condition holds.
//!
//! ```text
//!   row of the join ─► a target row? ─ yes ─► first WHEN MATCHED that holds in the snapshot ─► lock for it, read the newest row
//!                          │                       ▲                                              │ changed
//!                          │                       └──── ON still holds: choose again ◄───────────┤
//!                          ▼                                                                      │ ON does not hold, or no
//!                       first WHEN NOT MATCHED that holds: INSERT ◄───────────────────────────────┘ row is left
//! ```
//! That is PostgreSQL's ExecMerge. A row is locked only for what an action reads and writes of it, so clauses that do
//! nothing wait for nobody. Under S on what ON and the conditions up to the chosen one read, the choice stands.
//!
//! Rows of a parent are in several tables, whose columns may be in another order: each has its own programs ([`MergePlace`]).

use ahash::AHashMap;
use futures::StreamExt;
use storage::{Datum, Path, Row};
use txn::{Key, Mode, RowPart};

use super::derive::{self, Target};
use super::plan::{MergePlace, MergePlan};
use super::run::Runner;
use super::target::{self, Derived, Needs};
use super::writer::Arbiters;
use crate::bound::{MergeAction, MergeActionKind, ModifyKind};
use crate::relational::RowEvaluator;
use crate::relational::read_locks::{ScanTarget, Wants};
use crate::{SqlError, SqlResult, SqlState};

/// The tables whose rows a MERGE has met.
type Known<'a> = AHashMap<u32, Merging<'a>>;

/// What a MERGE evaluates row by row, for the rows of one table.
struct Merging<'a> {
    place: &'a MergePlace,
    partition_columns: Vec<u16>,
    /// ON.
    on: RowEvaluator,
    actions: Vec<Action<'a>>,
}

/// One WHEN of a MERGE.
struct Action<'a> {
    bound: &'a MergeAction,
    assignments: &'a [crate::bound::Assignment],
    condition: RowEvaluator,
    values: RowEvaluator,
    defaults: RowEvaluator,
    amounts: RowEvaluator,
    derived: Vec<Derived<'a>>,
    /// Whether rows may go to another key or partition.
    moves: bool,
    /// What the choice of this action and its values read of the target row.
    read: Vec<Path>,
}

impl Action<'_> {
    fn is_delete(&self) -> bool {
        matches!(self.bound.kind, MergeActionKind::Delete)
    }
}

impl Merging<'_> {
    /// The first action for a row: the target's columns (NULLs if none matched), then the source's.
    async fn choose(&mut self, matched: bool, row: &[Datum]) -> SqlResult<Option<usize>> {
        for (at, action) in self.actions.iter_mut().enumerate() {
            if action.bound.matched == matched
                && (action.bound.condition.is_none()
                    || matches!(action.condition.eval(0, row).await?, Datum::Bool(true)))
            {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}

impl<'a> Runner<'a> {
    /// MERGE
    pub(super) async fn merge(&mut self, plan: &'a MergePlan) -> SqlResult<()> {
        let ModifyKind::Merge { row_key, .. } = &self.modify.kind else {
            return Ok(());
        };
        let mut known = Known::default();
        let mut named = self.merging(&plan.named)?;
        let scope = match self.wants(plan, &named) {
            None => self.scope.clone(),
            Some(wants) => self.scope.for_target(ScanTarget {
                row_key: *row_key,
                wants,
                wait: self.context.lock_wait(),
            }),
        };
        let mut rows = scope.run_plan(&plan.source)?;
        while let Some(batch) = rows.next().await {
            for row in batch? {
                self.merge_row(row, plan, &mut known, &mut named).await?;
            }
        }
        Ok(())
    }

    /// Turns to the rows of a table, and makes ready what is evaluated for them.
    fn merging(&mut self, place: &'a MergePlace) -> SqlResult<Merging<'a>> {
        let ModifyKind::Merge { on, actions, .. } = &self.modify.kind else {
            return Err(SqlError::new(SqlState::INTERNAL_ERROR, "no MERGE"));
        };
        self.program = place.program.clone();
        self.partition_columns = self.writer.partition_columns(&self.program)?;
        let parameters = self.context.parameters.clone();
        let target = Target {
            columns: &place.old_columns,
            parameters: &parameters,
        };
        let mut chosen_by = derive::reads_with(on, target);
        let mut merging = Merging {
            place,
            partition_columns: self.partition_columns.clone(),
            on: place.on.evaluator(self.scope),
            actions: Vec::with_capacity(actions.len()),
        };
        for (bound, compiled) in actions.iter().zip(&place.actions) {
            if bound.matched {
                chosen_by.extend(bound.condition.iter().flat_map(|expr| derive::reads_with(expr, target)));
            }
            let mut read = chosen_by.clone();
            let derived = self.derive(&compiled.assignments, target, &mut read);
            merging.actions.push(Action {
                bound,
                assignments: &compiled.assignments,
                condition: compiled.condition.evaluator(self.scope),
                values: compiled.values.evaluator(self.scope),
                defaults: compiled.defaults.evaluator(self.scope),
                amounts: compiled.amounts.of(&derived, self.scope)?.evaluator(self.scope),
                moves: self.moves(&derived),
                derived,
                read,
            });
        }
        Ok(merging)
    }

    /// What the actions will ask for of the rows that match, for the scan's locks in SERIALIZABLE.
    fn wants(&self, plan: &MergePlan, named: &Merging<'_>) -> Option<Wants> {
        let changing = |action: &&Action<'_>| action.is_delete() || !action.derived.is_empty();
        let mut changing = named.actions.iter().filter(changing).peekable();
        changing.peek()?;
        // The columns of several tables may be in different places.
        if plan.oid_at.is_some() || changing.clone().any(|action| action.is_delete() || action.moves) {
            return Some(Wants::Part(RowPart::Row, Mode::Exclusive));
        }
        let written = changing.flat_map(|action| target::written_paths(&action.derived));
        Some(Wants::Paths(derive::minimal(written.collect())))
    }

    /// Turns to the table of a row.
    fn enter_merging(&mut self, table: u32, plan: &'a MergePlan, known: &mut Known<'a>) -> SqlResult<Merging<'a>> {
        if let Some(merging) = known.remove(&table) {
            self.program = merging.place.program.clone();
            self.partition_columns.clone_from(&merging.partition_columns);
            return Ok(merging);
        }
        let place: &'a MergePlace = match plan.places.iter().find(|(place, _)| place.id == table) {
            None => &plan.named,
            Some((_, place)) => match place.get() {
                Some(place) => place,
                None => {
                    let program = self.writer.planner.program(self.context, table)?;
                    let compiled = MergePlace::new(self.modify, program, &plan.extra, self.scope)?;
                    place.get_or_init(|| compiled)
                }
            },
        };
        self.merging(place)
    }

    async fn merge_row(
        &mut self,
        mut row: Vec<Datum>,
        plan: &'a MergePlan,
        known: &mut Known<'a>,
        named: &mut Merging<'a>,
    ) -> SqlResult<()> {
        let others = row.split_off(1 + plan.seen.len());
        if let Datum::Bytea(key) = &row[0] {
            let table = match plan.oid_at.map(|at| &others[at]) {
                Some(Datum::Oid(table)) => *table,
                _ => self.modify.table.id,
            };
            let mut merging = self.enter_merging(table, plan, known)?;
            let mut whole = vec![Datum::Null; self.program.table.columns.len()];
            for (at, value) in plan.seen.iter().zip(&row[1..]) {
                if let Some(place) = merging.place.mapping.place(*at) {
                    whole[place as usize] = value.clone();
                }
            }
            whole.extend_from_slice(&others);
            let is_done = self.merge_matched(key, whole, &others, &mut merging).await;
            known.insert(table, merging);
            if is_done? {
                return Ok(());
            }
        }
        let mut whole = vec![Datum::Null; self.modify.table.columns.len()];
        whole.extend(others);
        self.merge_not_matched(&whole, named).await
    }

    /// Does what is to be done with a row of the target; `false` if it no longer matches. `whole` is what the statement saw
    /// of the row, then the source's columns.
    async fn merge_matched(
        &mut self,
        key: &Key,
        mut whole: Vec<Datum>,
        others: &[Datum],
        merging: &mut Merging<'_>,
    ) -> SqlResult<bool> {
        let mut chosen = merging.choose(true, &whole).await?;
        // Each further round locks what the conditions of a later action read, so there are no more rounds than actions
        // unless a condition is volatile.
        loop {
            let Some(at) = chosen else { return Ok(true) };
            let action = &mut merging.actions[at];
            if matches!(action.bound.kind, MergeActionKind::Nothing) {
                return Ok(true);
            }
            self.check_unchanged(key)?;
            let mut amounts = Vec::new();
            if !action.amounts.is_empty() {
                amounts = action.amounts.eval_all(&whole).await?;
            }
            let is_delete = action.is_delete();
            let locked = self
                .lock_row(
                    key,
                    &action.derived,
                    &action.read,
                    is_delete,
                    Needs {
                        amounts: &amounts,
                        ..Needs::default()
                    },
                )
                .await?;
            let Some(locked) = locked else { return Ok(false) };
            whole.clear();
            whole.extend_from_slice(&locked.row);
            whole.extend_from_slice(others);
            if locked.changed {
                self.check_unchanged(&locked.key)?;
                if !matches!(merging.on.eval(0, &whole).await?, Datum::Bool(true)) {
                    return Ok(false);
                }
                chosen = merging.choose(true, &whole).await?;
                if chosen != Some(at) {
                    continue;
                }
            }
            let action = &mut merging.actions[at];
            if is_delete {
                let program = self.program.clone();
                self.writer.delete(&program, &locked.key, &locked.row).await?;
            } else {
                let values = action.values.eval_all(&whole).await?;
                let key = locked.key.clone();
                let old = if action.moves { locked.row.clone() } else { Row::new() };
                let written = self
                    .apply(locked, &action.derived, action.assignments, values.clone())
                    .await?;
                if written.is_none() {
                    self.move_to_partition(&key, old, action.assignments, values).await?;
                }
            }
            self.outcome.count += 1;
            return Ok(true);
        }
    }

    /// 21000 for a row that this statement has written.
    fn check_unchanged(&self, key: &Key) -> SqlResult<()> {
        if self.writer.written(self.program.table.id, key).is_none() {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::CARDINALITY_VIOLATION,
            "MERGE command cannot affect row a second time",
        )
        .hint("Ensure that not more than one source row matches any one target row."))
    }

    /// Inserts what is to be inserted for a row of the source that no row of the target matches.
    async fn merge_not_matched(&mut self, whole: &[Datum], named: &mut Merging<'_>) -> SqlResult<()> {
        let Some(at) = named.choose(false, whole).await? else {
            return Ok(());
        };
        let action = &mut named.actions[at];
        let MergeActionKind::Insert { values, defaults } = &action.bound.kind else {
            return Ok(());
        };
        let mut row = vec![Datum::Null; self.modify.table.columns.len()];
        for (i, (at, _)) in values.iter().enumerate() {
            row[*at as usize] = action.values.eval(i, whole).await?;
        }
        for (i, (at, _)) in defaults.iter().enumerate() {
            row[*at as usize] = action.defaults.eval(i, &[]).await?;
        }
        let row = self.place_new(row)?;
        let program = self.program.clone();
        self.writer.insert(&program, row, Arbiters::None).await?;
        self.outcome.count += 1;
        Ok(())
    }
}
