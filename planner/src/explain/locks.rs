//! EXPLAIN (LOCKS): the locks a statement asks for, and the shards that COMMIT would bring together.
//!
//! ```text
//!   Locks
//!     X  cart/1/doc/items/3/qty      shard 3
//!     S  cart/1/doc/coupon           shard 3
//!   Commit: one phase on shard 3
//! ```
//! The statement is rehearsed (`txn::rehearsal`): it runs, its lock requests are noted instead of made, and what it wrote is
//! undone. Locks depend on data (index values, missing parents, foreign keys, cascades), and this way derivation and report
//! cannot disagree. Its price: defaults draw from their sequences, as in EXPLAIN ANALYZE.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use serde_json::{Value, json};
use txn::{CommitPlan, Isolation, RehearsedLock};

use crate::bound::visit::{for_each_expr, for_each_input, for_each_own_expr};
use crate::bound::{ExprKind, Rel};
use crate::statement::{Execution, Plan, Planner, Prepared, StatementContext};
use crate::system::{lock_name, mode_name};
use crate::{SqlError, SqlResult};

/// Functions that reach beyond the transaction, whose effects a rehearsal could not undo.
const EFFECTS: [&str; 14] = [
    "setval",
    "set_config",
    "pg_notify",
    "pg_cancel_backend",
    "pg_terminate_backend",
    "pg_reload_conf",
    "pg_sleep",
    "pg_switch_wal",
    "cambium.drain_node",
    "cambium.activate_node",
    "cambium.decommission_node",
    "cambium.set_replicas",
    "cambium.set_dead_after",
    "cambium.set_moves_max",
];

/// What a rehearsal found.
pub(crate) struct LockReport {
    locks: Vec<Line>,
    commit: CommitPlan,
    isolation: Isolation,
}

/// One lock, on one shard or several.
struct Line {
    shards: Vec<u32>,
    path: String,
    mode: &'static str,
}

impl LockReport {
    /// Rehearses a statement.
    ///
    /// # Errors
    /// What the statement raises before it is through; 0A000 if it does something that cannot be undone.
    pub(crate) async fn of(
        planner: &Arc<Planner>,
        context: &StatementContext,
        prepared: &Prepared,
    ) -> SqlResult<LockReport> {
        check_rehearsable(&prepared.plan)?;
        let transaction = &context.transaction;
        let mark = transaction.savepoint();
        transaction.begin_rehearsal();
        let outcome = run(planner, context, prepared).await;
        let rehearsed = transaction.end_rehearsal();
        let commit = transaction.commit_plan(&rehearsed);
        transaction.rollback_to(mark).await?;
        outcome?;
        Ok(LockReport {
            locks: lines(context, &rehearsed),
            commit,
            isolation: transaction.isolation(),
        })
    }

    /// Lines of FORMAT TEXT.
    pub(crate) fn text(&self) -> Vec<String> {
        let mut text = Vec::with_capacity(self.locks.len() + 2);
        if self.locks.is_empty() {
            text.push("Locks: none".to_owned());
        } else {
            text.push("Locks".to_owned());
            let width = |of: fn(&Line) -> usize| self.locks.iter().map(of).max().unwrap_or(0);
            let mode_width = width(|line| line.mode.len());
            let path_width = width(|line| line.path.chars().count());
            text.extend(self.locks.iter().map(|line| {
                let Line { shards, path, mode } = line;
                let noun = if shards.len() == 1 { "shard" } else { "shards" };
                format!("  {mode:mode_width$}  {path:path_width$}  {noun} {}", list(shards))
            }));
        }
        text.push(match self.commit.written.as_slice() {
            [] => "Commit: nothing to write".to_owned(),
            [shard] => format!("Commit: one phase on shard {shard}"),
            shards => format!("Commit: two phases on shards {}", list(shards)),
        });
        if self.confirms() {
            text.push(format!("Confirm: locks on shards {}", list(&self.commit.read)));
        }
        text
    }

    /// Members of FORMAT JSON, to stand beside those of the plan.
    pub(crate) fn json(&self) -> Vec<(&'static str, Value)> {
        let locks = self
            .locks
            .iter()
            .map(|Line { shards, path, mode }| json!({"Mode": mode, "Path": path, "Shards": shards}));
        let mut members = vec![
            ("Locks", Value::Array(locks.collect())),
            ("Commit Phases", json!(self.commit.written.len().min(2))),
            ("Commit Shards", json!(self.commit.written)),
        ];
        if self.confirms() {
            members.push(("Confirm Shards", json!(self.commit.read)));
        }
        members
    }

    /// Whether shards where nothing is written take part in the commit too.
    fn confirms(&self) -> bool {
        self.isolation == Isolation::Serializable && !self.commit.read.is_empty()
    }
}

/// `3`, `2, 5`, `1-8`.
fn list(shards: &[u32]) -> String {
    match shards {
        [first, .., last] if shards.len() > 2 && (last - first) as usize + 1 == shards.len() => {
            format!("{first}-{last}")
        }
        _ => shards.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// What was asked for, each once, in order of the first shard, then of the path.
fn lines(context: &StatementContext, rehearsed: &[RehearsedLock]) -> Vec<Line> {
    let mut shards: BTreeMap<(String, &'static str), BTreeSet<u32>> = BTreeMap::new();
    for lock in rehearsed {
        let path = lock_name(&context.catalog, &*context.session, &lock.name);
        shards
            .entry((path, mode_name(lock.mode)))
            .or_default()
            .insert(lock.shard);
    }
    let mut lines: Vec<Line> = shards
        .into_iter()
        .map(|((path, mode), shards)| Line {
            shards: shards.into_iter().collect(),
            path,
            mode,
        })
        .collect();
    lines.sort_by(|a, b| (a.shards[0], &a.path).cmp(&(b.shards[0], &b.path)));
    lines
}

/// Runs a statement and throws its rows away.
async fn run(planner: &Arc<Planner>, context: &StatementContext, prepared: &Prepared) -> SqlResult<()> {
    // Boxed, because a statement may be an EXPLAIN, which comes here.
    let execution = Box::pin(planner.execute(context, prepared)).await?;
    if let Execution::Rows { mut rows, .. } = execution {
        while let Some(batch) = rows.next().await {
            batch?;
        }
    }
    Ok(())
}

fn check_rehearsable(plan: &Plan) -> SqlResult<()> {
    match plan {
        Plan::Query(planned) => check_effects(&planned.query.rel),
        Plan::ModifyWithin(_, query) => check_effects(&query.rel),
        Plan::Modify(_, modify, _) => check_effects(&Rel::Modify(Box::new((**modify).clone()))),
        Plan::Ddl(_) | Plan::Explain(_) => Err(SqlError::unsupported("EXPLAIN (LOCKS) of a utility statement")
            .hint("Run it, and look at pg_locks from another session before COMMIT.")),
    }
}

fn check_effects(rel: &Rel) -> SqlResult<()> {
    match effect_of(rel) {
        None => Ok(()),
        Some(name) => Err(SqlError::unsupported(format_args!(
            "EXPLAIN (LOCKS) of a statement with an effect that cannot be undone ({name})"
        ))),
    }
}

/// The first function with such an effect.
fn effect_of(rel: &Rel) -> Option<&'static str> {
    let known = |name: &'static str| EFFECTS.contains(&name).then_some(name);
    let mut found = match rel {
        Rel::FunctionScan { calls, .. } => calls.iter().find_map(|(call, _)| known(call.function.name)),
        _ => None,
    };
    for_each_own_expr(rel, &mut |expr| {
        for_each_expr(expr, &mut |part| match &part.kind {
            ExprKind::Call { function, .. } => found = found.or_else(|| known(function.name)),
            ExprKind::Subquery(subquery) => found = found.or_else(|| effect_of(&subquery.rel)),
            _ => {}
        });
    });
    for_each_input(rel, &mut |input| found = found.or_else(|| effect_of(input)));
    found
}
