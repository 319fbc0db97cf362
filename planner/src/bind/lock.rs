//! FOR UPDATE and its kin: which scans of a query they lock, and how the rows' keys get there.

use sqlparser::ast as sql;

use crate::bound::{ColumnId, Expr, ExprKind, LockWait, OutputColumn, Rel, RowLock, RowLockStrength};
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;
use super::scope::{LockTarget, Lockable, LockedScan};

/// A locking clause.
#[derive(Clone)]
pub(super) struct Lock {
    strength: RowLockStrength,
    wait: LockWait,
    /// Names after OF, with their positions; empty means all.
    of: Vec<(String, Option<u32>)>,
}

impl Lock {
    /// SKIP LOCKED
    pub(super) fn skips(&self) -> bool {
        self.wait == LockWait::SkipLocked
    }

    /// How the clause is written.
    pub(super) fn clause(&self) -> &'static str {
        match self.strength {
            RowLockStrength::KeyShare => "FOR KEY SHARE",
            RowLockStrength::Share => "FOR SHARE",
            RowLockStrength::NoKeyUpdate => "FOR NO KEY UPDATE",
            RowLockStrength::Update => "FOR UPDATE",
        }
    }
}

/// Reads the locking clauses; the parser keeps strength and names in one name (see `parse::forms`).
pub(super) fn read_locks(binder: &Binder<'_>, clauses: &[sql::LockClause]) -> SqlResult<Vec<Lock>> {
    let mut locks = Vec::with_capacity(clauses.len());
    for clause in clauses {
        let mut strength = match clause.lock_type {
            sql::LockType::Share => RowLockStrength::Share,
            sql::LockType::Update => RowLockStrength::Update,
        };
        let mut of = Vec::new();
        for ident in clause
            .of
            .iter()
            .flat_map(|name| &name.0)
            .filter_map(|part| part.as_ident())
        {
            match ident.value.as_str() {
                "\u{1}no key update" => strength = RowLockStrength::NoKeyUpdate,
                "\u{1}key share" => strength = RowLockStrength::KeyShare,
                "\u{1}update" | "\u{1}share" => {}
                name => of.push((name.to_owned(), binder.at(ident.span))),
            }
        }
        let wait = match clause.nonblock {
            None => LockWait::Wait,
            Some(sql::NonBlock::Nowait) => LockWait::NoWait,
            Some(sql::NonBlock::SkipLocked) => LockWait::SkipLocked,
        };
        locks.push(Lock { strength, wait, of });
    }
    Ok(locks)
}

impl Binder<'_> {
    /// 0A000 for locks where a result row is no row of a table.
    pub(super) fn check_lockable(
        &mut self,
        select: &sql::Select,
        grouped: bool,
        windowed: bool,
        locks: &[Lock],
    ) -> SqlResult<()> {
        let clause = locks.first().map_or("FOR UPDATE", Lock::clause);
        let group_by = matches!(&select.group_by, sql::GroupByExpr::Expressions(items, _) if !items.is_empty());
        let what = if matches!(select.distinct, Some(sql::Distinct::Distinct | sql::Distinct::On(_))) {
            "DISTINCT clause"
        } else if group_by {
            "GROUP BY clause"
        } else if select.having.is_some() {
            "HAVING clause"
        } else if grouped {
            "aggregate functions"
        } else if windowed {
            "window functions"
        } else if !self.scope().sets.is_empty() {
            "set-returning functions in the target list"
        } else {
            return Ok(());
        };
        Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{clause} is not allowed with {what}"),
        ))
    }

    /// The row locks of the current level, one for each scan: the strongest clause wins.
    pub(super) fn bind_locks(&mut self, locks: &[Lock]) -> SqlResult<Vec<RowLock>> {
        let lockable = self.scope().lockable.clone();
        let mut bound: Vec<RowLock> = Vec::new();
        for lock in locks {
            if lock.of.is_empty() {
                for entry in &lockable {
                    // What cannot be locked is skipped unless it is named.
                    add_locks(&mut bound, lock, &entry.target);
                }
                continue;
            }
            for (name, position) in &lock.of {
                let entry = self.lock_target(&lockable, lock, name, *position)?;
                if let LockTarget::Other(what) = &entry.target {
                    return Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        format!("{} cannot be applied to {what}", lock.clause()),
                    )
                    .at(*position));
                }
                add_locks(&mut bound, lock, &entry.target);
            }
        }
        if !bound.is_empty() {
            lockable.iter().for_each(|entry| add_pins(&mut bound, &entry.target));
        }
        Ok(bound)
    }

    fn lock_target(
        &self,
        lockable: &[Lockable],
        lock: &Lock,
        name: &str,
        position: Option<u32>,
    ) -> SqlResult<Lockable> {
        lockable
            .iter()
            .find(|entry| entry.alias == name)
            .cloned()
            .ok_or_else(|| {
                SqlError::new(
                    SqlState::UNDEFINED_TABLE,
                    format!(
                        "relation \"{name}\" in {} clause not found in FROM clause",
                        lock.clause()
                    ),
                )
                .at(position)
            })
    }
}

fn add_locks(bound: &mut Vec<RowLock>, lock: &Lock, target: &LockTarget) {
    for LockedScan {
        table,
        row_key,
        table_oid,
    } in target.scans()
    {
        match bound.iter_mut().find(|known| known.row_key == *row_key) {
            Some(known) => {
                known.strength = known.strength.max(Some(lock.strength));
                if lock.wait != LockWait::Wait && known.wait != LockWait::NoWait {
                    known.wait = lock.wait;
                }
            }
            None => bound.push(RowLock {
                table: table.clone(),
                row_key: *row_key,
                table_oid: *table_oid,
                strength: Some(lock.strength),
                wait: lock.wait,
            }),
        }
    }
}

/// Adds the scans that are not locked.
fn add_pins(bound: &mut Vec<RowLock>, target: &LockTarget) {
    for scan in target.scans() {
        if bound.iter().all(|known| known.row_key != scan.row_key) {
            bound.push(RowLock {
                table: scan.table.clone(),
                row_key: scan.row_key,
                table_oid: scan.table_oid,
                strength: None,
                wait: LockWait::Wait,
            });
        }
    }
}

/// The scans of a subquery whose row keys can be handed up through it; `None` if its rows are no rows of tables.
pub(super) fn exposable_keys(rel: &Rel) -> Option<Vec<LockedScan>> {
    match rel {
        Rel::Scan(scan) => Some(LockedScan::of(scan).into_iter().collect()),
        Rel::Project { input, .. } | Rel::Filter { input, .. } | Rel::Sort { input, .. } | Rel::Limit { input, .. } => {
            exposable_keys(input)
        }
        Rel::Join { left, right, .. } => {
            let mut keys = exposable_keys(left).unwrap_or_default();
            keys.extend(exposable_keys(right).unwrap_or_default());
            Some(keys)
        }
        Rel::LockRows { input, .. } => exposable_keys(input),
        _ => None,
    }
}

/// Hands a scan's row key up through projections; whether the scan is below.
pub(super) fn expose_key(rel: &mut Rel, key: ColumnId, ty: Type) -> bool {
    match rel {
        Rel::Scan(scan) => scan.row_key == Some(key) || scan.table_oid == Some(key),
        Rel::Project { input, columns } => {
            if !expose_key(input, key, ty) {
                return false;
            }
            if columns.iter().all(|(column, _)| column.id != key) {
                let column = OutputColumn {
                    id: key,
                    name: "row key".into(),
                    ty,
                };
                let value = Expr {
                    kind: ExprKind::Column(key),
                    ty,
                    position: None,
                };
                columns.push((column, value));
            }
            true
        }
        Rel::Filter { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Limit { input, .. }
        | Rel::Window { input, .. }
        | Rel::ProjectSet { input, .. }
        | Rel::LockRows { input, .. } => expose_key(input, key, ty),
        Rel::Join { left, right, .. } => expose_key(left, key, ty) || expose_key(right, key, ty),
        _ => false,
    }
}
