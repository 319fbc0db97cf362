//! LOCK TABLE: PostgreSQL's eight table modes, held to the end of the transaction.

use std::sync::Arc;

use sqlparser::ast::{Lock, LockTableMode};
use txn::{LockName, LockRequest, LockWait, Mode};

use super::Ddl;
use crate::catalog::{Relation, RelationKind};
use crate::statement::Tag;
use crate::{SqlError, SqlResult, SqlState, stored};

impl Ddl<'_> {
    pub(super) async fn lock_tables(&self, lock: &Lock) -> SqlResult<Tag> {
        let mode = lock.lock_mode.as_ref().map_or(Mode::AccessExclusive, mode_of);
        for target in &lock.tables {
            let relation = self.find(&target.name)?.clone();
            for table in self.tables_below(relation)? {
                let family = match target.only {
                    true => vec![table.id],
                    false => self.catalog().family_of(table.id),
                };
                for member in family {
                    let member = self.relation_by_id(member)?.clone();
                    self.lock_one(&member, mode, lock.nowait).await?;
                }
            }
        }
        Ok(Tag::Text("LOCK TABLE"))
    }

    /// A table itself; of a view, the tables it reads, as PostgreSQL locks them too.
    fn tables_below(&self, relation: Arc<Relation>) -> SqlResult<Vec<Arc<Relation>>> {
        match (relation.kind, &relation.view) {
            (RelationKind::Table, _) => Ok(vec![relation]),
            (RelationKind::View, Some(view)) => {
                let names = stored::relations_of(self.catalog(), &*self.context.session, view)?;
                let mut tables = Vec::new();
                for id in names {
                    tables.extend(self.tables_below(self.relation_by_id(id)?.clone())?);
                }
                Ok(tables)
            }
            _ => Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a table or view", relation.name),
            )),
        }
    }

    async fn lock_one(&self, table: &Relation, mode: Mode, nowait: bool) -> SqlResult<()> {
        let wait = if nowait {
            LockWait::NoWait
        } else {
            self.context.lock_wait()
        };
        let request = LockRequest::new(LockName::Table(table.id), mode);
        let granted = self.context.transaction.lock(vec![request], wait).await;
        granted.map(drop).map_err(|error| {
            let error = SqlError::from(error);
            match nowait && error.code() == SqlState::LOCK_NOT_AVAILABLE {
                true => SqlError::new(
                    SqlState::LOCK_NOT_AVAILABLE,
                    format!("could not obtain lock on relation \"{}\"", table.name),
                ),
                false => error,
            }
        })
    }
}

fn mode_of(mode: &LockTableMode) -> Mode {
    match mode {
        LockTableMode::AccessShare => Mode::AccessShare,
        LockTableMode::RowShare => Mode::RowShare,
        LockTableMode::RowExclusive => Mode::RowExclusive,
        LockTableMode::ShareUpdateExclusive => Mode::ShareUpdateExclusive,
        LockTableMode::Share => Mode::TableShare,
        LockTableMode::ShareRowExclusive => Mode::ShareRowExclusive,
        LockTableMode::Exclusive => Mode::TableExclusive,
        LockTableMode::AccessExclusive => Mode::AccessExclusive,
    }
}
