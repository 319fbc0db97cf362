//! TRUNCATE.

use std::sync::Arc;

use sqlparser::ast::{CascadeOption, Truncate, TruncateIdentityOption};
use txn::Mode;

use super::Ddl;
use super::known_paths::forget_documents;
use crate::catalog::{Relation, RelationKind};
use crate::modify::deferred::check_unused;
use crate::statement::Tag;
use crate::{Severity, SqlError, SqlResult, SqlState};

impl Ddl<'_> {
    pub(super) async fn truncate(&self, truncate: &Truncate) -> SqlResult<Tag> {
        let mut tables: Vec<Arc<Relation>> = Vec::new();
        for target in &truncate.table_names {
            let table = self.find_table(&target.name)?.clone();
            self.check_not_system(&table)?;
            if target.only && table.is_partitioned() {
                return Err(
                    SqlError::new(SqlState::WRONG_OBJECT_TYPE, "cannot truncate only a partitioned table")
                        .hint("Do not specify the ONLY keyword, or use TRUNCATE ONLY on the partitions directly."),
                );
            }
            let family = match target.only {
                true => vec![table.id],
                false => self.catalog().family_of(table.id),
            };
            for member in family {
                if !tables.iter().any(|known| known.id == member) {
                    tables.push(self.relation_by_id(member)?.clone());
                }
            }
        }
        let cascade = matches!(truncate.cascade, Some(CascadeOption::Cascade));
        let mut next = 0;
        while let Some(table) = tables.get(next).cloned() {
            next += 1;
            for child in self.catalog().referencing.get(&table.id).into_iter().flatten() {
                let child = self.relation_by_id(*child)?.clone();
                if tables.iter().any(|known| known.id == child.id) {
                    continue;
                }
                if !cascade {
                    return Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "cannot truncate a table referenced in a foreign key constraint",
                    )
                    .detail(format!("Table \"{}\" references \"{}\".", child.name, table.name))
                    .hint(format!(
                        "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                        child.name
                    )));
                }
                let notice = SqlError::new(
                    SqlState::SUCCESSFUL_COMPLETION,
                    format!("truncate cascades to table \"{}\"", child.name),
                );
                self.context.session.notice(Severity::Notice, notice);
                for member in self.catalog().family_of(child.id) {
                    if !tables.iter().any(|known| known.id == member) {
                        tables.push(self.relation_by_id(member)?.clone());
                    }
                }
            }
        }
        for table in &tables {
            self.lock_table(table, Mode::AccessExclusive).await?;
            check_unused(&*self.context.session, table, "TRUNCATE")?;
            self.context.transaction.clear_table(table.id)?;
            forget_documents(&self.context.transaction, table);
            for index in table.indexes.iter().filter(|index| !index.primary) {
                self.context.transaction.clear_index(table.id, index.id)?;
            }
        }
        if matches!(truncate.identity, Some(TruncateIdentityOption::Restart)) {
            for sequence in self
                .catalog()
                .relations
                .values()
                .filter(|relation| relation.kind == RelationKind::Sequence)
            {
                if let Some(parameters) = &sequence.sequence
                    && parameters
                        .owned_by
                        .is_some_and(|(table, _)| tables.iter().any(|known| known.id == table))
                {
                    self.planner
                        .sequences
                        .set(sequence.id, parameters, parameters.start, false)
                        .await?;
                }
            }
        }
        Ok(Tag::Text("TRUNCATE TABLE"))
    }
}
