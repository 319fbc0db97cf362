//! ATTACH and DETACH PARTITION, INHERIT and NO INHERIT.

use std::sync::Arc;

use sqlparser::ast::{CreateTable, ObjectName};
use txn::Mode;

use super::Ddl;
use crate::catalog::{BoundText, ConstraintKind, Origin, Relation};
use crate::eval::EvalContext;
use crate::modify::violation::name_table;
use crate::parse::family::Change;
use crate::partition::routing::decode;
use crate::partition::{Bounds, Mapping, Routing};
use crate::statement::Tag;
use crate::{SqlError, SqlResult, SqlState};

impl Ddl<'_> {
    pub(super) async fn change_family(
        &self,
        change: Change,
        name: &ObjectName,
        create: &CreateTable,
    ) -> SqlResult<Tag> {
        match change {
            Change::Attach => self.attach_partition(name, create).await?,
            Change::Detach => self.detach_partition(name, create).await?,
            Change::Inherit => self.inherit(name, create).await?,
            Change::NoInherit => self.disinherit(name, create).await?,
        }
        Ok(Tag::Text("ALTER TABLE"))
    }

    async fn attach_partition(&self, name: &ObjectName, create: &CreateTable) -> SqlResult<()> {
        let Some(parent) = &create.partition_of else {
            return Ok(());
        };
        let found = self.find_table_of_alter(parent)?;
        if !found.is_partitioned() {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!(
                    "ALTER action ATTACH PARTITION cannot be performed on relation \"{}\"",
                    found.name
                ),
            )
            .detail("This operation is not supported for tables."));
        }
        let parent = found;
        self.lock_table(&parent, Mode::AccessExclusive).await?;
        let found = self.find_table(name)?.clone();
        if found.is_partition() {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is already a partition", found.name),
            ));
        }
        if !found.family.parents.is_empty() {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                "cannot attach inheritance child as partition",
            ));
        }
        if !found.is_partitioned() && !self.catalog().children_of(found.id).is_empty() {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                "cannot attach inheritance parent as partition",
            ));
        }
        if self.catalog().family_of(found.id).contains(&parent.id) {
            return Err(
                SqlError::new(SqlState::DUPLICATE_TABLE, "circular inheritance not allowed")
                    .detail(format!("\"{}\" is already a child of \"{}\".", parent.name, found.name)),
            );
        }
        for member in self.catalog().family_of(found.id) {
            self.lock_table(&self.relation_by_id(member)?.clone(), Mode::AccessExclusive)
                .await?;
        }
        let mut table = Relation::clone(&found);
        if let Some((_, extra)) = table
            .live_columns()
            .find(|(_, column)| !parent.live_columns().any(|(_, known)| known.name == column.name))
        {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "table \"{}\" contains column \"{}\" not found in parent \"{}\"",
                    table.name, extra.name, parent.name
                ),
            )
            .detail("The new partition may contain only the columns present in parent."));
        }
        self.adopt_columns(&mut table, &parent)?;
        let Some(values) = &create.for_values else {
            return Ok(());
        };
        let bound = self.read_bound(&parent, &table.name, values)?;
        self.check_bound(&parent, &table, &bound).await?;
        self.check_rows_of_partition(&parent, &table, &bound).await?;
        table.family.parents = vec![parent.id];
        table.family.bound = Some(bound);
        self.adopt_keys(&mut table, &parent).await?;
        self.put_relation(&table)?;
        self.put_relation(&parent)
    }

    /// Gives a new partition what its parent's indexes and foreign keys demand, and checks its rows.
    async fn adopt_keys(&self, table: &mut Relation, parent: &Arc<Relation>) -> SqlResult<()> {
        for index in &parent.indexes {
            let first = table.constraints.len();
            if !self.inherit_index(table, parent, index).await? {
                continue;
            }
            if table.constraints.len() > first {
                self.validate_added(table, first).await?;
            } else if let Some(own) = table.indexes.last().cloned() {
                self.fill_index(table, &own).await?;
            }
        }
        for at in self.inherit_foreign_keys(table, parent).await? {
            self.validate_constraint(table, at).await?;
        }
        Ok(())
    }

    /// Every row of a table must be one that its new parent would send to it.
    async fn check_rows_of_partition(
        &self,
        parent: &Arc<Relation>,
        table: &Relation,
        bound: &BoundText,
    ) -> SqlResult<()> {
        let Some(key) = &parent.family.key else { return Ok(()) };
        let Some(routing) = Routing::new(self.catalog(), &*self.context.session, parent)? else {
            return Ok(());
        };
        let is_default = *bound == BoundText::Default;
        let own = Bounds::new(
            vec![decode(bound, key)?],
            key.parts.iter().map(|part| part.ty).collect(),
        );
        let context = EvalContext {
            session: &*self.context.session,
            parameters: &[],
            outer: &[],
        };
        let leaves = crate::partition::routing::members(self.catalog(), &Arc::new(table.clone()))?.tables;
        for leaf in leaves {
            let mapping = Mapping::between(parent, &leaf);
            self.for_each_row(&leaf, |_, row| {
                let key = routing.key(&mapping.to_parent(&row), &context)?;
                // What another partition takes is nothing for the default one.
                let fits = match is_default {
                    true => routing.bounds.find(&key).is_none(),
                    false => own.find(&key).is_some(),
                };
                if fits {
                    return Ok(());
                }
                Err(SqlError::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "partition constraint of relation \"{}\" is violated by some row",
                        leaf.name
                    ),
                )
                .object(|object| name_table(object, &leaf, &*self.context.session)))
            })
            .await?;
        }
        Ok(())
    }

    /// A child must have its parent's columns and checks already.
    fn adopt_columns(&self, table: &mut Relation, parent: &Relation) -> SqlResult<()> {
        let mismatch = |message: String| SqlError::new(SqlState::DATATYPE_MISMATCH, message);
        for (_, wanted) in parent.live_columns() {
            let name = table.name.clone();
            let found = table
                .columns
                .iter_mut()
                .find(|column| !column.dropped && column.name == wanted.name)
                .ok_or_else(|| mismatch(format!("child table is missing column \"{}\"", wanted.name)))?;
            if found.ty != wanted.ty {
                return Err(mismatch(format!(
                    "child table \"{name}\" has different type for column \"{}\"",
                    wanted.name
                )));
            }
            if wanted.not_null && !found.not_null {
                return Err(mismatch(format!(
                    "column \"{}\" in child table must be marked NOT NULL",
                    wanted.name
                )));
            }
            if wanted.generated && !found.generated {
                return Err(mismatch(format!(
                    "column \"{}\" in child table must be a generated column",
                    wanted.name
                )));
            }
            found.origin.inherited += 1;
        }
        for wanted in &parent.constraints {
            let ConstraintKind::Check { expression } = &wanted.kind else {
                continue;
            };
            if wanted.origin.no_inherit {
                continue;
            }
            let name = table.name.clone();
            let found = table
                .constraints
                .iter_mut()
                .find(|known| known.name == wanted.name && matches!(known.kind, ConstraintKind::Check { .. }))
                .ok_or_else(|| mismatch(format!("child table is missing constraint \"{}\"", wanted.name)))?;
            if !matches!(&found.kind, ConstraintKind::Check { expression: own } if own == expression) {
                return Err(mismatch(format!(
                    "child table \"{name}\" has different definition for check constraint \"{}\"",
                    wanted.name
                )));
            }
            found.origin.inherited += 1;
        }
        Ok(())
    }

    async fn detach_partition(&self, name: &ObjectName, create: &CreateTable) -> SqlResult<()> {
        let Some(parent) = &create.partition_of else {
            return Ok(());
        };
        let parent = self.find_table_of_alter(parent)?;
        if !parent.is_partitioned() {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!(
                    "ALTER action DETACH PARTITION cannot be performed on relation \"{}\"",
                    parent.name
                ),
            )
            .detail("This operation is not supported for tables."));
        }
        let found = self.find(name)?.clone();
        if found.family.parents.first() != Some(&parent.id) {
            return Err(SqlError::new(
                SqlState::UNDEFINED_TABLE,
                format!(
                    "relation \"{}\" is not a partition of relation \"{}\"",
                    found.name, parent.name
                ),
            ));
        }
        self.lock_table(&parent, Mode::AccessExclusive).await?;
        self.lock_table(&found, Mode::AccessExclusive).await?;
        let mut table = Relation::clone(&found);
        table.family.parents.clear();
        table.family.bound = None;
        release(&mut table);
        for index in &mut table.indexes {
            index.origin = Origin::default();
        }
        for constraint in &mut table.constraints {
            constraint.origin.parent = None;
        }
        self.put_relation(&table)?;
        self.put_relation(&parent)
    }

    async fn inherit(&self, name: &ObjectName, create: &CreateTable) -> SqlResult<()> {
        let found = self.find_table_of_alter(name)?;
        let Some(parent) = create.inherits.iter().flatten().next() else {
            return Ok(());
        };
        let parent = self.inheritable(parent)?;
        if found.is_partition() || found.is_partitioned() {
            let what = if found.is_partition() {
                "a partition"
            } else {
                "partitioned table"
            };
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot change inheritance of {what}"),
            ));
        }
        if found.family.parents.contains(&parent.id) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{}\" would be inherited from more than once", parent.name),
            ));
        }
        if self.catalog().family_of(found.id).contains(&parent.id) {
            return Err(
                SqlError::new(SqlState::DUPLICATE_TABLE, "circular inheritance not allowed")
                    .detail(format!("\"{}\" is already a child of \"{}\".", parent.name, found.name)),
            );
        }
        self.lock_table(&parent, Mode::AccessExclusive).await?;
        self.lock_table(&found, Mode::AccessExclusive).await?;
        let mut table = Relation::clone(&found);
        self.adopt_columns(&mut table, &parent)?;
        table.family.parents.push(parent.id);
        self.put_relation(&table)?;
        self.put_relation(&parent)
    }

    async fn disinherit(&self, name: &ObjectName, create: &CreateTable) -> SqlResult<()> {
        let found = self.find_table_of_alter(name)?;
        let Some(parent) = create.inherits.iter().flatten().next() else {
            return Ok(());
        };
        let parent = self.find(parent)?.clone();
        if found.is_partition() {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                "cannot change inheritance of a partition",
            ));
        }
        if !found.family.parents.contains(&parent.id) {
            return Err(SqlError::new(
                SqlState::UNDEFINED_TABLE,
                format!(
                    "relation \"{}\" is not a parent of relation \"{}\"",
                    parent.name, found.name
                ),
            ));
        }
        self.lock_table(&parent, Mode::AccessExclusive).await?;
        self.lock_table(&found, Mode::AccessExclusive).await?;
        let mut table = Relation::clone(&found);
        table.family.parents.retain(|id| *id != parent.id);
        let has = |name: &str| parent.live_columns().any(|(_, column)| column.name == name);
        for column in table.columns.iter_mut().filter(|column| has(&column.name)) {
            column.origin.inherited = column.origin.inherited.saturating_sub(1);
            column.origin.is_only_inherited &= column.origin.inherited > 0;
        }
        for constraint in &mut table.constraints {
            constraint.origin.inherited = constraint.origin.inherited.saturating_sub(1);
            constraint.origin.is_only_inherited &= constraint.origin.inherited > 0;
        }
        self.put_relation(&table)?;
        self.put_relation(&parent)
    }

    fn find_table_of_alter(&self, name: &ObjectName) -> SqlResult<Arc<Relation>> {
        let found = self.find_table(name)?.clone();
        self.check_not_system(&found)?;
        Ok(found)
    }
}

/// What a table had of its parents is its own from here on.
fn release(table: &mut Relation) {
    for column in &mut table.columns {
        column.origin = Origin::default();
    }
    for constraint in &mut table.constraints {
        constraint.origin.inherited = 0;
        constraint.origin.is_only_inherited = false;
    }
}
