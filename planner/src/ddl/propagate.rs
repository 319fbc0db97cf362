//! What ALTER TABLE changed of a parent reaches its children: columns, checks, indexes and foreign keys.
//!
//! The parent before and after is compared, so that it does not matter how an operation came to change what it changed.

use std::sync::Arc;

use sqlparser::ast::{AlterColumnOperation, AlterTable, AlterTableOperation, Ident};
use txn::Mode;

use super::Ddl;
use super::alter_table::find_column;
use super::inherit::inherited;
use super::names::fold;
use crate::catalog::{Column, Constraint, ConstraintKind, Index, Relation};
use crate::{SqlError, SqlResult, SqlState};

impl Ddl<'_> {
    /// Refuses what may be done to the parent only.
    pub(super) fn check_inherited(&self, table: &Relation, operation: &AlterTableOperation) -> SqlResult<()> {
        let refuse = |message: String| Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message));
        let is_inherited = |name: &Ident| {
            let name = fold(name);
            let column = table.live_columns().find(|(_, column)| column.name == name);
            column.is_some_and(|(_, column)| column.origin.inherited > 0)
        };
        let is_key = |name: &Ident| {
            let at = find_column(table, &fold(name));
            let key = table.family.key.as_ref();
            at.zip(key)
                .is_some_and(|(at, key)| key.columns().any(|column| column == at))
        };
        match operation {
            AlterTableOperation::AddColumn { .. } if table.is_partition() => Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                "cannot add column to a partition",
            )),
            AlterTableOperation::DropColumn { column_names, .. } => {
                for name in column_names {
                    if is_inherited(name) {
                        return refuse(format!("cannot drop inherited column \"{}\"", fold(name)));
                    }
                    if is_key(name) {
                        return refuse(format!(
                            "cannot drop column \"{}\" because it is part of the partition key of relation \"{}\"",
                            fold(name),
                            table.name
                        ));
                    }
                }
                Ok(())
            }
            AlterTableOperation::RenameColumn { old_column_name, .. } if is_inherited(old_column_name) => {
                refuse(format!("cannot rename inherited column \"{}\"", fold(old_column_name)))
            }
            AlterTableOperation::DropConstraint { name, .. } => {
                let name = fold(name);
                let found = table.constraints.iter().find(|constraint| constraint.name == name);
                match found.is_some_and(|constraint| constraint.origin.inherited > 0) {
                    true => refuse(format!(
                        "cannot drop inherited constraint \"{name}\" of relation \"{}\"",
                        table.name
                    )),
                    false => Ok(()),
                }
            }
            AlterTableOperation::AlterColumn { column_name, op } => match op {
                AlterColumnOperation::SetDataType { .. } if is_inherited(column_name) => {
                    refuse(format!("cannot alter inherited column \"{}\"", fold(column_name)))
                }
                AlterColumnOperation::SetDataType { .. } if is_key(column_name) => refuse(format!(
                    "cannot alter column \"{}\" because it is part of the partition key of relation \"{}\"",
                    fold(column_name),
                    table.name
                )),
                AlterColumnOperation::DropNotNull if table.is_partition() => {
                    let parent = table
                        .family
                        .parents
                        .first()
                        .and_then(|id| self.catalog().relations.get(id));
                    let name = fold(column_name);
                    let demanded = parent.and_then(|parent| {
                        let column = parent.live_columns().find(|(_, column)| column.name == name);
                        column.map(|(_, column)| column.not_null)
                    });
                    match demanded {
                        Some(true) => refuse(format!("column \"{name}\" is marked NOT NULL in parent table")),
                        _ => Ok(()),
                    }
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Changes the children of a table that was altered, and theirs.
    pub(super) async fn propagate(&self, old: &Arc<Relation>, new: &Relation, alter: &AlterTable) -> SqlResult<()> {
        for child in self.catalog().children_of(old.id).to_vec() {
            let before = self.relation_by_id(child)?.clone();
            self.lock_table(&before, Mode::AccessExclusive).await?;
            let mut table = Relation::clone(&before);
            self.change_columns(&mut table, old, new, alter).await?;
            self.change_constraints(&mut table, old, new).await?;
            if new.is_partitioned() {
                self.change_indexes(&mut table, old, &Arc::new(new.clone())).await?;
            }
            self.put_relation(&table)?;
            Box::pin(self.propagate(&before, &table, alter)).await?;
        }
        Ok(())
    }

    async fn change_columns(
        &self,
        table: &mut Relation,
        old: &Relation,
        new: &Relation,
        alter: &AlterTable,
    ) -> SqlResult<()> {
        for (before, after) in old.columns.iter().zip(&new.columns) {
            let Some(at) = find_column(table, &before.name).filter(|_| !before.dropped) else {
                continue;
            };
            if after.dropped {
                let column = &mut table.columns[usize::from(at)];
                column.origin.inherited = column.origin.inherited.saturating_sub(1);
                match column.origin.inherited == 0 && column.origin.is_only_inherited {
                    true => {
                        let name = Ident::with_quote('"', &before.name);
                        self.alter_drop_column(table, &name, false, true).await?;
                    }
                    false => column.origin.is_only_inherited &= column.origin.inherited > 0,
                }
                continue;
            }
            if before.name != after.name {
                let (from, to) = (&before.name, &after.name);
                self.alter_rename_column(table, &Ident::with_quote('"', from), &Ident::with_quote('"', to))?;
            }
            if before.ty != after.ty {
                self.alter_type(table, at, after.ty, using_of(alter, &before.name))
                    .await?;
            }
            let column = &mut table.columns[usize::from(at)];
            if before.default != after.default && after.identity.is_none() {
                column.default.clone_from(&after.default);
            }
            if before.not_null != after.not_null {
                column.not_null = after.not_null;
                if after.not_null {
                    self.validate_not_null(table, at).await?;
                }
            }
        }
        for column in new
            .columns
            .iter()
            .skip(old.columns.len())
            .filter(|column| !column.dropped)
        {
            self.add_inherited_column(table, column, new.is_partitioned()).await?;
        }
        Ok(())
    }

    async fn add_inherited_column(&self, table: &mut Relation, column: &Column, is_partition: bool) -> SqlResult<()> {
        if let Some(at) = find_column(table, &column.name) {
            let known = &mut table.columns[usize::from(at)];
            if known.ty != column.ty {
                return Err(SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "child table \"{}\" has different type for column \"{}\"",
                        table.name, column.name
                    ),
                ));
            }
            known.origin.inherited += 1;
            let message = format!(
                "merging definition of column \"{}\" for child \"{}\"",
                column.name, table.name
            );
            self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
            return Ok(());
        }
        let at = table.columns.len() as u16;
        table.columns.push(inherited(column, is_partition));
        let is_stable = self.fill_missing(table, at)?;
        if !is_stable {
            self.rewrite_column(table, at, None).await?;
        } else if column.not_null && table.columns[usize::from(at)].missing.is_none() {
            self.validate_not_null(table, at).await?;
        }
        Ok(())
    }

    async fn change_constraints(&self, table: &mut Relation, old: &Relation, new: &Relation) -> SqlResult<()> {
        let find = |relation: &Relation, id: u32| relation.constraints.iter().find(|known| known.id == id).cloned();
        for before in &old.constraints {
            let after = find(new, before.id);
            let is_check = matches!(before.kind, ConstraintKind::Check { .. });
            let is_own = |own: &Constraint| match is_check {
                true => own.name == before.name && own.origin.inherited > 0,
                false => own.origin.parent == Some(before.id),
            };
            let Some(at) = table.constraints.iter().position(is_own) else {
                continue;
            };
            match after {
                Some(after) => {
                    // A renamed check is renamed everywhere; other constraints of partitions have names of their own.
                    if is_check {
                        table.constraints[at].name.clone_from(&after.name);
                    }
                }
                None => {
                    let own = &mut table.constraints[at].origin;
                    own.inherited = own.inherited.saturating_sub(1);
                    if own.inherited == 0 && own.is_only_inherited {
                        table.constraints.remove(at);
                    } else {
                        own.is_only_inherited &= own.inherited > 0;
                        own.parent = None;
                    }
                }
            }
        }
        let added: Vec<&Constraint> = new
            .constraints
            .iter()
            .filter(|constraint| find(old, constraint.id).is_none())
            .collect();
        for constraint in added {
            match &constraint.kind {
                ConstraintKind::Check { expression } if !constraint.origin.no_inherit => {
                    if let Some(known) = table.constraints.iter_mut().find(|known| known.name == constraint.name) {
                        if !matches!(&known.kind, ConstraintKind::Check { expression: own } if own == expression) {
                            return Err(SqlError::new(
                                SqlState::DUPLICATE_OBJECT,
                                format!(
                                    "constraint \"{}\" for relation \"{}\" already exists",
                                    constraint.name, table.name
                                ),
                            ));
                        }
                        known.origin.inherited += 1;
                        continue;
                    }
                    table.constraints.push(constraint.inherited(self.allocate_oid().await?));
                    self.validate_constraint(table, table.constraints.len() - 1).await?;
                }
                ConstraintKind::Foreign { .. } if new.is_partitioned() => {
                    if let Some(at) = self.inherit_foreign_key(table, new, constraint).await? {
                        self.validate_constraint(table, at).await?;
                    }
                }
                // These are their indexes'.
                ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. } => {}
                ConstraintKind::Check { .. } | ConstraintKind::Foreign { .. } => {}
            }
        }
        Ok(())
    }

    async fn change_indexes(&self, table: &mut Relation, old: &Relation, new: &Arc<Relation>) -> SqlResult<()> {
        let has = |relation: &Relation, id: u32| relation.indexes.iter().any(|index| index.id == id);
        for before in old.indexes.iter().filter(|index| !has(new, index.id)) {
            self.drop_index_of(table, before.id)?;
        }
        let added: Vec<&Index> = new.indexes.iter().filter(|index| !has(old, index.id)).collect();
        for index in added {
            let first = table.constraints.len();
            if !self.inherit_index(table, new, index).await? {
                continue;
            }
            if table.constraints.len() > first {
                self.validate_added(table, first).await?;
            } else if let Some(own) = table.indexes.last().cloned() {
                self.fill_index(table, &own).await?;
            }
        }
        Ok(())
    }

    /// Drops the index of a partition that belongs to an index of its parent.
    pub(super) fn drop_index_of(&self, table: &mut Relation, parent: u32) -> SqlResult<()> {
        let Some(own) = table.indexes.iter().find(|index| index.origin.parent == Some(parent)) else {
            return Ok(());
        };
        let (id, primary) = (own.id, own.primary);
        if !primary {
            self.context.transaction.clear_index(table.id, id)?;
        }
        table.indexes.retain(|index| index.id != id);
        table.constraints.retain(|constraint| {
            !matches!(constraint.kind,
                ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } if index == id)
        });
        Ok(())
    }

    /// Drops the indexes of a table's partitions that belong to an index of it.
    pub(super) async fn drop_partition_indexes(&self, table: &Relation, index: u32) -> SqlResult<()> {
        for child in self.catalog().children_of(table.id).to_vec() {
            let before = self.relation_by_id(child)?.clone();
            let Some(own) = before.indexes.iter().find(|own| own.origin.parent == Some(index)) else {
                continue;
            };
            self.lock_table(&before, Mode::AccessExclusive).await?;
            let mut changed = Relation::clone(&before);
            self.drop_index_of(&mut changed, index)?;
            self.put_relation(&changed)?;
            Box::pin(self.drop_partition_indexes(&before, own.id)).await?;
        }
        Ok(())
    }
}

/// USING of the ALTER COLUMN TYPE of a column.
fn using_of(alter: &AlterTable, column: &str) -> Option<String> {
    alter.operations.iter().find_map(|operation| match operation {
        AlterTableOperation::AlterColumn {
            column_name,
            op: AlterColumnOperation::SetDataType { using, .. },
        } if fold(column_name) == column => using.as_ref().map(ToString::to_string),
        _ => None,
    })
}
