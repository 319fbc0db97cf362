//! Deferred constraints: what is looked at when the transaction commits, or when SET CONSTRAINTS … IMMEDIATE says so.
//!
//! ```text
//!   end of a statement ─► deferred? ─ no ─► looked at now
//!                             └ yes ─► waiting ─► COMMIT, SET CONSTRAINTS … IMMEDIATE: newest state, under its locks
//! ```
//!
//! Invariants
//!  - D1 A check says which value has to be looked at, not which row: whatever became of the row since, the newest state decides.
//!    So one check is enough for a value, however many rows have it.
//!  - D2 The locks of a check are taken when it is made and held until the commit, so nothing can break the constraint between.
//!  - D3 ROLLBACK TO forgets the checks that came after the savepoint, and what was looked at after it waits again.

use ahash::{AHashMap, AHashSet};
use bytes::Bytes;
use storage::Datum;
use storage::key::{KeyOrder, encode_columns};

use super::foreign_key::Pending;
use super::index::as_key;
use super::writer::Writer;
use crate::catalog::{Catalog, Constraint, ConstraintKind, Deferral, Relation};
use crate::eval::SessionView;
use crate::statement::{Planner, StatementContext};
use crate::{SqlError, SqlResult, SqlState};

/// What waits for the end of a transaction, and what SET CONSTRAINTS said in it.
#[derive(Debug, Default)]
pub struct Deferred {
    modes: Modes,
    waiting: Vec<Waiting>,
    /// Those of `waiting` that were not looked at yet.
    known: AHashSet<(u32, Bytes)>,
    /// Places in `waiting`, in the order in which they were looked at.
    looked_at: Vec<usize>,
}

/// What SET CONSTRAINTS said: deferred or not.
#[derive(Clone, Debug, Default)]
struct Modes {
    all: Option<bool>,
    named: AHashMap<u32, bool>,
}

/// A place to roll back to.
#[derive(Debug)]
pub struct DeferredMark {
    modes: Modes,
    waiting_count: usize,
    looked_at_count: usize,
}

#[derive(Debug)]
struct Waiting {
    constraint: u32,
    /// Tells the value from others of the constraint; empty for one too long to tell.
    name: Bytes,
    check: Check,
    is_done: bool,
}

/// Something to look at.
#[derive(Clone, Debug)]
pub(super) enum Check {
    /// If a row of the table has these values, they need a parent.
    Child { table: u32, values: Vec<Datum> },
    /// A row of `table`, the parent or a partition of it, lost these values: no child may need them.
    Parent {
        child: u32,
        parent: u32,
        table: u32,
        old: Vec<Datum>,
        is_update: bool,
    },
    /// Only one row of the table may have this value of a unique index.
    Unique {
        table: u32,
        value: Bytes,
        values: Vec<Datum>,
    },
}

impl Check {
    /// The table whose rows it is about.
    fn table(&self) -> u32 {
        match self {
            Check::Child { table, .. } | Check::Parent { table, .. } | Check::Unique { table, .. } => *table,
        }
    }
}

impl Deferred {
    /// Whether something waits to be looked at.
    pub fn has_waiting(&self) -> bool {
        !self.known.is_empty()
    }

    /// A new transaction begins.
    pub fn clear(&mut self) {
        if !self.waiting.is_empty() || self.modes.all.is_some() || !self.modes.named.is_empty() {
            *self = Deferred::default();
        }
    }

    /// A place to roll back to.
    pub fn mark(&self) -> DeferredMark {
        DeferredMark {
            modes: self.modes.clone(),
            waiting_count: self.waiting.len(),
            looked_at_count: self.looked_at.len(),
        }
    }

    /// Forgets what came after a mark (D3).
    pub fn roll_back_to(&mut self, mark: &DeferredMark) {
        self.modes = mark.modes.clone();
        for at in self.looked_at.drain(mark.looked_at_count..) {
            let waiting = &mut self.waiting[at];
            waiting.is_done = false;
            self.known.insert((waiting.constraint, waiting.name.clone()));
        }
        for waiting in self.waiting.drain(mark.waiting_count..) {
            self.known.remove(&(waiting.constraint, waiting.name));
        }
        // A value that waited before the mark may have been looked at and have come again behind it.
        let open = self.waiting.iter().filter(|waiting| !waiting.is_done);
        self.known
            .extend(open.map(|waiting| (waiting.constraint, waiting.name.clone())));
    }

    fn is_deferred(&self, constraint: &Constraint) -> bool {
        let initially = match constraint.deferral {
            Deferral::Never => return false,
            Deferral::Immediate => false,
            Deferral::Deferred => true,
        };
        let named = self.modes.named.get(&constraint.id).copied();
        named.or(self.modes.all).unwrap_or(initially)
    }

    fn wait(&mut self, constraint: u32, name: Bytes, check: Check) {
        if name.is_empty() || self.known.insert((constraint, name.clone())) {
            self.known.insert((constraint, name.clone()));
            self.waiting.push(Waiting {
                constraint,
                name,
                check,
                is_done: false,
            });
        }
    }

    /// What has to be looked at: its place, its constraint, and how.
    fn due(&self, is_due: impl Fn(u32) -> bool) -> Vec<(usize, u32, Check)> {
        let open = self.waiting.iter().enumerate().filter(|(_, waiting)| !waiting.is_done);
        open.filter(|(_, waiting)| is_due(waiting.constraint))
            .map(|(at, waiting)| (at, waiting.constraint, waiting.check.clone()))
            .collect()
    }

    fn looked_at(&mut self, places: impl Iterator<Item = usize>) {
        for at in places {
            if let Some(waiting) = self.waiting.get_mut(at) {
                waiting.is_done = true;
                self.looked_at.push(at);
            }
        }
        let open = self.waiting.iter().filter(|waiting| !waiting.is_done);
        self.known = open.map(|waiting| (waiting.constraint, waiting.name.clone())).collect();
    }

    fn waits_for(&self, table: u32) -> bool {
        let mut open = self.waiting.iter().filter(|waiting| !waiting.is_done);
        open.any(|waiting| waiting.check.table() == table)
    }
}

/// 55006 for a table whose rows a check still waits for: DDL could take away what it needs.
///
/// # Errors
/// As said.
pub fn check_unused(session: &dyn SessionView, table: &Relation, verb: &str) -> SqlResult<()> {
    match session.deferred() {
        Some(deferred) if deferred.lock().waits_for(table.id) => Err(SqlError::new(
            SqlState::OBJECT_IN_USE,
            format!("cannot {verb} \"{}\" because it has pending trigger events", table.name),
        )),
        _ => Ok(()),
    }
}

impl Planner {
    /// Looks at everything that waits: COMMIT begins with it.
    ///
    /// # Errors
    /// 23503, 23505, and what locks raise.
    pub async fn check_deferred(&self, context: &StatementContext) -> SqlResult<()> {
        self.look_at_due(context, |_| true).await
    }

    /// SET CONSTRAINTS: all, or those of these names (schema, name).
    ///
    /// # Errors
    /// 42704, 42809, and for IMMEDIATE what looking at the constraints raises.
    pub async fn set_constraints(
        &self,
        context: &StatementContext,
        names: Option<&[(Option<String>, String)]>,
        is_deferred: bool,
    ) -> SqlResult<()> {
        let Some(deferred) = context.session.deferred() else {
            return Ok(());
        };
        let mut changed = AHashSet::new();
        for (schema, name) in names.unwrap_or_default() {
            changed.extend(constraints_named(
                &context.catalog,
                &*context.session,
                schema.as_deref(),
                name,
            )?);
        }
        {
            let mut deferred = deferred.lock();
            match names {
                Some(_) => deferred.modes.named.extend(changed.iter().map(|id| (*id, is_deferred))),
                None => {
                    deferred.modes = Modes {
                        all: Some(is_deferred),
                        named: AHashMap::new(),
                    }
                }
            }
        }
        match is_deferred {
            true => Ok(()),
            false => {
                self.look_at_due(context, |id| names.is_none() || changed.contains(&id))
                    .await
            }
        }
    }

    async fn look_at_due(&self, context: &StatementContext, is_due: impl Fn(u32) -> bool) -> SqlResult<()> {
        let Some(deferred) = context.session.deferred() else {
            return Ok(());
        };
        let due = deferred.lock().due(is_due);
        if due.is_empty() {
            return Ok(());
        }
        context.transaction.next_command();
        let mut writer = Writer::new(self, context);
        for (_, constraint, check) in &due {
            writer.look_at(*constraint, check).await?;
        }
        deferred.lock().looked_at(due.iter().map(|(at, ..)| *at));
        Ok(())
    }
}

/// The constraints that a name of SET CONSTRAINTS means: those of the first schema that has any, and what partitions have of
/// them.
fn constraints_named(
    catalog: &Catalog,
    session: &dyn SessionView,
    schema: Option<&str>,
    name: &str,
) -> SqlResult<Vec<u32>> {
    let schemas = match schema {
        Some(schema) => vec![
            catalog
                .schema_of(session, schema)
                .map(|found| found.id)
                .ok_or_else(|| {
                    SqlError::new(
                        SqlState::INVALID_SCHEMA_NAME,
                        format!("schema \"{schema}\" does not exist"),
                    )
                })?,
        ],
        None => catalog.search_path(session),
    };
    let mut found: Vec<&Constraint> = Vec::new();
    for schema in schemas {
        let own = catalog.relations.values().filter(|relation| relation.schema == schema);
        let all = own.flat_map(|relation| &relation.constraints);
        found = all.filter(|constraint| constraint.name == name).collect();
        if !found.is_empty() {
            break;
        }
    }
    if found.is_empty() {
        return Err(SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("constraint \"{name}\" does not exist"),
        ));
    }
    if found.iter().any(|constraint| constraint.deferral == Deferral::Never) {
        return Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("constraint \"{name}\" is not deferrable"),
        ));
    }
    let mut ids: Vec<u32> = found.iter().map(|constraint| constraint.id).collect();
    let mut next = 0;
    while let Some(parent) = ids.get(next).copied() {
        next += 1;
        let all = catalog.relations.values().flat_map(|relation| &relation.constraints);
        ids.extend(
            all.filter(|constraint| constraint.origin.parent == Some(parent))
                .map(|constraint| constraint.id),
        );
    }
    Ok(ids)
}

impl Writer<'_> {
    /// Lets something wait if its constraint is deferred; gives it back if it has to be looked at now.
    pub(super) fn put_off(&self, pending: Pending) -> SqlResult<Option<Pending>> {
        let Some(deferred) = self.context.session.deferred().filter(|_| !self.is_immediate) else {
            return Ok(Some(pending));
        };
        let catalog = &self.context.catalog;
        let (constraint, table, columns, check) = match &pending {
            Pending::Child {
                program,
                constraint,
                values,
            } => {
                let table = &program.table;
                let constraint = &table.constraints[*constraint];
                let ConstraintKind::Foreign { columns, .. } = &constraint.kind else {
                    return Ok(Some(pending));
                };
                let check = Check::Child {
                    table: table.id,
                    values: values.clone(),
                };
                (constraint, table, columns.as_slice(), check)
            }
            Pending::Parent {
                child,
                constraint,
                old,
                new,
                parent,
                table,
            } => {
                let found = catalog.relations.get(child).and_then(|child| {
                    let mut all = child.constraints.iter();
                    all.find(|known| known.id == *constraint)
                });
                let Some(constraint) = found else {
                    return Ok(Some(pending));
                };
                let ConstraintKind::Foreign {
                    referenced,
                    on_delete,
                    on_update,
                    ..
                } = &constraint.kind
                else {
                    return Ok(Some(pending));
                };
                let action = if new.is_some() { on_update } else { on_delete };
                // Only NO ACTION can wait; the others act when the statement ends.
                if *action != crate::catalog::ReferentialAction::NoAction {
                    return Ok(Some(pending));
                }
                let check = Check::Parent {
                    child: *child,
                    parent: parent.id,
                    table: table.id,
                    old: old.clone(),
                    is_update: new.is_some(),
                };
                (constraint, parent, referenced.as_slice(), check)
            }
            Pending::Unique {
                program,
                index,
                value,
                values,
            } => {
                let constraint = program.table.constraints.iter().find(|constraint| {
                    matches!(&constraint.kind,
                        ConstraintKind::PrimaryKey { index: id } | ConstraintKind::Unique { index: id } if id == index)
                });
                let Some(constraint) = constraint else {
                    return Ok(Some(pending));
                };
                if !deferred.lock().is_deferred(constraint) {
                    return Ok(Some(pending));
                }
                let check = Check::Unique {
                    table: program.table.id,
                    value: value.clone(),
                    values: values.clone(),
                };
                deferred.lock().wait(constraint.id, value.clone(), check);
                return Ok(None);
            }
        };
        if !deferred.lock().is_deferred(constraint) {
            return Ok(Some(pending));
        }
        let (Check::Child { values, .. } | Check::Parent { old: values, .. } | Check::Unique { values, .. }) = &check;
        let keys: Vec<_> = values
            .iter()
            .zip(columns)
            .map(|(value, at)| as_key(value, table.columns[usize::from(*at)].ty))
            .collect();
        let orders = vec![KeyOrder::default(); keys.len()];
        // A value too long for a key waits once for every row that has it.
        let mut name = encode_columns(keys.iter().map(|key| &**key), &orders).unwrap_or_default();
        if !name.is_empty() {
            name.push(u8::from(matches!(check, Check::Parent { .. })));
        }
        deferred.lock().wait(constraint.id, Bytes::from(name), check);
        Ok(None)
    }

    /// Looks at something that waited. What became of its table or constraint since makes it void.
    async fn look_at(&mut self, constraint: u32, check: &Check) -> SqlResult<()> {
        let relation = |id: &u32| self.context.catalog.relations.get(id).cloned();
        match check {
            Check::Child { table, values } => {
                if relation(table).is_none() {
                    return Ok(());
                }
                let program = self.planner.program(&self.context, *table)?;
                let mut all = program.table.constraints.iter();
                let Some(at) = all.position(|known| known.id == constraint) else {
                    return Ok(());
                };
                let Err(error) = self.check_child(&program, at, values).await else {
                    return Ok(());
                };
                let ConstraintKind::Foreign { columns, .. } = &program.table.constraints[at].kind else {
                    return Err(error);
                };
                let is_void = error.code() == SqlState::FOREIGN_KEY_VIOLATION
                    && self.find_children(&program, columns, values).await?.is_empty();
                if is_void { Ok(()) } else { Err(error) }
            }
            Check::Parent {
                child,
                parent,
                table,
                old,
                is_update,
            } => {
                let (Some(parent), Some(table), Some(_)) = (relation(parent), relation(table), relation(child)) else {
                    return Ok(());
                };
                let new = is_update.then(Vec::new);
                self.check_parent(*child, constraint, old, new, (&parent, &table)).await
            }
            Check::Unique { table, value, values } => {
                if relation(table).is_none() {
                    return Ok(());
                }
                let program = self.planner.program(&self.context, *table)?;
                let mut all = program.table.constraints.iter();
                let kind = all.find(|known| known.id == constraint).map(|known| known.kind.clone());
                match kind {
                    Some(ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index }) => {
                        self.check_unique(&program, index, value, values).await
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(value: i32) -> Check {
        Check::Child {
            table: 1,
            values: vec![Datum::Int4(value)],
        }
    }

    #[test]
    fn a_value_waits_once_and_again_after_it_was_looked_at() {
        let mut deferred = Deferred::default();
        deferred.wait(7, Bytes::from_static(b"a"), child(1));
        deferred.wait(7, Bytes::from_static(b"a"), child(1));
        let due = deferred.due(|_| true);
        assert_eq!(due.len(), 1);
        deferred.looked_at(due.iter().map(|(at, ..)| *at));
        assert!(!deferred.has_waiting() && !deferred.waits_for(1));
        deferred.wait(7, Bytes::from_static(b"a"), child(1));
        assert!(deferred.has_waiting());
    }

    #[test]
    fn rolling_back_forgets_what_came_later_and_looks_again_at_what_was_done() {
        let mut deferred = Deferred::default();
        deferred.wait(7, Bytes::from_static(b"a"), child(1));
        let mark = deferred.mark();
        let due = deferred.due(|_| true);
        deferred.looked_at(due.iter().map(|(at, ..)| *at));
        deferred.wait(7, Bytes::from_static(b"a"), child(1));
        deferred.wait(7, Bytes::from_static(b"b"), child(2));
        deferred.roll_back_to(&mark);
        assert_eq!(deferred.due(|_| true).len(), 1);
        deferred.wait(7, Bytes::from_static(b"a"), child(1));
        assert_eq!(deferred.due(|_| true).len(), 1);
    }
}
