//! What a new table has of its parents: columns, checks, indexes and foreign keys.

use std::collections::HashMap;
use std::sync::Arc;

use sqlparser::ast::{ColumnDef, CreateTable, ObjectName};
use txn::Mode;

use super::Ddl;
use super::create_table::Pending;
use super::like::Like;
use super::names::fold;
use crate::catalog::{Column, Constraint, ConstraintKind, Index, IndexSource, Origin, Relation};
use crate::parse::family;
use crate::partition::Mapping;
use crate::{SqlError, SqlResult, SqlState, types};

impl Ddl<'_> {
    /// The tables that a new one inherits from, locked.
    pub(super) async fn parents_of(&self, create: &CreateTable) -> SqlResult<Vec<Arc<Relation>>> {
        if let Some(name) = &create.partition_of {
            let parent = self.find_partitioned(name)?;
            self.lock_table(&parent, Mode::AccessExclusive).await?;
            return Ok(vec![parent]);
        }
        let mut parents: Vec<Arc<Relation>> = Vec::new();
        for name in create.inherits.iter().flatten() {
            let parent = self.inheritable(name)?;
            if parents.iter().any(|known| known.id == parent.id) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_TABLE,
                    format!("relation \"{}\" would be inherited from more than once", parent.name),
                ));
            }
            self.lock_table(&parent, Mode::AccessExclusive).await?;
            parents.push(parent);
        }
        Ok(parents)
    }

    /// A table that others may inherit from.
    pub(super) fn inheritable(&self, name: &ObjectName) -> SqlResult<Arc<Relation>> {
        let parent = self.find(name)?.clone();
        if parent.kind != crate::catalog::RelationKind::Table {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("inherited relation \"{}\" is not a table or foreign table", parent.name),
            ));
        }
        self.check_not_system(&parent)?;
        let refuse = |what: &str| {
            let message = format!("cannot inherit from {what} \"{}\"", parent.name);
            Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message))
        };
        match (parent.is_partitioned(), parent.is_partition()) {
            (true, _) => refuse("partitioned table"),
            (_, true) => refuse("partition"),
            _ => Ok(parent),
        }
    }

    /// Adds the parents' columns; those of one name become one.
    pub(super) fn inherit_columns(
        &self,
        table: &mut Relation,
        parents: &[Arc<Relation>],
        is_partition: bool,
    ) -> SqlResult<()> {
        for parent in parents {
            table.family.parents.push(parent.id);
            for (_, column) in parent.live_columns() {
                match table.columns.iter_mut().find(|known| known.name == column.name) {
                    Some(known) => {
                        self.notice(
                            SqlState::SUCCESSFUL_COMPLETION,
                            format!("merging multiple inherited definitions of column \"{}\"", column.name),
                        );
                        merge_types(known, column, "inherited column")?;
                        known.not_null |= column.not_null;
                        known.origin.inherited += 1;
                    }
                    None => table.columns.push(inherited(column, is_partition)),
                }
            }
        }
        Ok(())
    }

    /// Adds a column of the table's own, or what it says of one that it inherits.
    pub(super) async fn add_own_column(
        &self,
        table: &mut Relation,
        definition: &ColumnDef,
        parents: &[Arc<Relation>],
        pending: &mut Vec<Pending>,
    ) -> SqlResult<()> {
        let name = fold(&definition.name);
        let known = table
            .columns
            .iter()
            .position(|column| column.name == name && column.origin.is_only_inherited);
        let is_untyped = family::is_inherited(&definition.data_type);
        let Some(at) = known.filter(|_| !parents.is_empty()) else {
            if is_untyped {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column \"{name}\" does not exist"),
                ));
            }
            return self.add_column(table, definition, pending).await;
        };
        let mut definition = definition.clone();
        if is_untyped {
            definition.data_type = sqlparser::ast::DataType::Int(None);
        } else {
            self.notice(
                SqlState::SUCCESSFUL_COMPLETION,
                format!("merging column \"{name}\" with inherited definition"),
            );
        }
        // What it says is read as of a column by itself.
        let mut scratch = Relation {
            columns: table.columns[..at].to_vec(),
            ..table.clone()
        };
        let first = pending.len();
        self.add_column(&mut scratch, &definition, pending).await?;
        let Some(own) = scratch.columns.pop() else {
            return Ok(());
        };
        let column = &mut table.columns[at];
        if !is_untyped {
            merge_types(column, &own, "column")?;
        }
        column.not_null |= own.not_null;
        if own.default.is_some() {
            column.default = own.default;
            column.generated = own.generated;
        }
        column.origin.is_only_inherited = is_untyped;
        debug_assert!(first <= pending.len(), "constraints are only added");
        Ok(())
    }

    /// Adds the parents' CHECK constraints; own ones of the same name and text become one with them.
    pub(super) async fn inherit_checks(
        &self,
        table: &mut Relation,
        parents: &[Arc<Relation>],
        pending: &mut Vec<Pending>,
    ) -> SqlResult<()> {
        for parent in parents {
            for constraint in &parent.constraints {
                let ConstraintKind::Check { expression } = &constraint.kind else {
                    continue;
                };
                if constraint.origin.no_inherit {
                    continue;
                }
                let known = table.constraints.iter_mut().find(|known| known.name == constraint.name);
                if let Some(known) = known {
                    let is_same = matches!(&known.kind, ConstraintKind::Check { expression: own } if own == expression);
                    if !is_same {
                        return Err(SqlError::new(
                            SqlState::DUPLICATE_OBJECT,
                            format!(
                                "check constraint name \"{}\" appears multiple times but with different expressions",
                                constraint.name
                            ),
                        ));
                    }
                    known.origin.inherited += 1;
                    continue;
                }
                table.constraints.push(constraint.inherited(self.allocate_oid().await?));
            }
        }
        let mut merged = Vec::new();
        for (at, own) in pending.iter().enumerate() {
            let Pending::Check(check) = own else { continue };
            let Some(name) = check.name.as_ref().map(fold) else {
                continue;
            };
            let Some(known) = table.constraints.iter_mut().find(|known| known.name == name) else {
                continue;
            };
            let text = check.expr.to_string();
            if matches!(&known.kind, ConstraintKind::Check { expression } if *expression == text) {
                self.notice(
                    SqlState::SUCCESSFUL_COMPLETION,
                    format!("merging constraint \"{name}\" with inherited definition"),
                );
                known.origin.is_only_inherited = false;
                merged.push(at);
            }
        }
        for at in merged.into_iter().rev() {
            pending.remove(at);
        }
        Ok(())
    }

    /// Gives a partition the indexes of its parent that it has not.
    pub(super) async fn inherit_indexes(&self, table: &mut Relation, parent: &Arc<Relation>) -> SqlResult<()> {
        for index in &parent.indexes {
            self.inherit_index(table, parent, index).await?;
        }
        Ok(())
    }

    /// Gives a partition an index of its parent; one that it has already belongs to the parent's from here on. Says
    /// whether it is new.
    pub(super) async fn inherit_index(
        &self,
        table: &mut Relation,
        parent: &Arc<Relation>,
        index: &Index,
    ) -> SqlResult<bool> {
        let mapping = Mapping::between(parent, table);
        let constraint_of = |relation: &Relation, id: u32| {
            relation.constraints.iter().position(|constraint| {
                matches!(constraint.kind,
                    ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } if index == id)
            })
        };
        let parent_constraint = constraint_of(parent, index.id).map(|at| parent.constraints[at].id);
        let fits = |own: &Index| {
            own.origin.parent.is_none()
                && is_alike(own, index, &mapping)
                && constraint_of(table, own.id).is_some() == parent_constraint.is_some()
        };
        let found = table.indexes.iter().position(fits);
        let at = match found {
            Some(at) => at,
            None => {
                let places: HashMap<u16, u16> = (0..parent.columns.len() as u16)
                    .filter_map(|at| Some((at, mapping.place(at)?)))
                    .collect();
                let like = Like::parent(parent.clone(), places);
                self.copy_index(table, &like, index).await?;
                table.indexes.len() - 1
            }
        };
        table.indexes[at].origin.parent = Some(index.id);
        let own = table.indexes[at].id;
        if let (Some(parent_constraint), Some(at)) = (parent_constraint, constraint_of(table, own)) {
            table.constraints[at].origin = Origin {
                parent: Some(parent_constraint),
                inherited: 1,
                is_only_inherited: found.is_none(),
                no_inherit: false,
            };
        }
        Ok(found.is_none())
    }

    /// Gives a partition the foreign keys of its parent. Says where they begin among its constraints.
    pub(super) async fn inherit_foreign_keys(&self, table: &mut Relation, parent: &Relation) -> SqlResult<Vec<usize>> {
        let mut added = Vec::new();
        for constraint in &parent.constraints {
            if let Some(at) = self.inherit_foreign_key(table, parent, constraint).await? {
                added.push(at);
            }
        }
        Ok(added)
    }

    pub(super) async fn inherit_foreign_key(
        &self,
        table: &mut Relation,
        parent: &Relation,
        constraint: &Constraint,
    ) -> SqlResult<Option<usize>> {
        let mapping = Mapping::between(parent, table);
        let ConstraintKind::Foreign { columns, table: to, .. } = &constraint.kind else {
            return Ok(None);
        };
        let referenced = self.relation_by_id(*to)?.clone();
        for member in self.catalog().family_of(referenced.id) {
            let member = self.relation_by_id(member)?.clone();
            if member.id != table.id {
                self.lock_table(&member, Mode::ShareRowExclusive).await?;
            }
        }
        let mut kind = constraint.kind.clone();
        if let ConstraintKind::Foreign { columns: own, .. } = &mut kind {
            *own = columns.iter().filter_map(|at| mapping.place(*at)).collect();
        }
        let taken: Vec<String> = table.constraints.iter().map(|known| known.name.clone()).collect();
        let name = match taken.contains(&constraint.name) {
            false => constraint.name.clone(),
            true => self.choose_name(table.schema, &table.name, "", "fkey", &taken),
        };
        table.constraints.push(Constraint {
            id: self.allocate_oid().await?,
            name,
            kind,
            deferral: constraint.deferral,
            comment: None,
            origin: Origin {
                parent: Some(constraint.id),
                inherited: 1,
                is_only_inherited: true,
                no_inherit: false,
            },
        });
        Ok(Some(table.constraints.len() - 1))
    }
}

/// A parent's column as a child has it.
pub(super) fn inherited(column: &Column, is_partition: bool) -> Column {
    Column {
        not_null: column.not_null,
        domain: column.domain,
        // A row that is written to a partition directly gets no number: identity is the partitioned table's.
        default: column
            .default
            .clone()
            .filter(|_| column.identity.is_none() || !is_partition && column.generated),
        generated: column.generated,
        closed: column.closed,
        origin: Origin {
            inherited: 1,
            is_only_inherited: true,
            ..Origin::default()
        },
        ..Column::new(column.name.clone(), column.ty)
    }
}

fn merge_types(known: &Column, other: &Column, what: &str) -> SqlResult<()> {
    if known.ty == other.ty {
        return Ok(());
    }
    Err(SqlError::new(
        SqlState::DATATYPE_MISMATCH,
        format!("{what} \"{}\" has a type conflict", known.name),
    )
    .detail(format!(
        "{} versus {}",
        types::format_type(known.ty),
        types::format_type(other.ty)
    )))
}

/// Whether an index of a partition is what an index of its parent would be there.
fn is_alike(own: &Index, parent: &Index, mapping: &Mapping) -> bool {
    let is_key = |(own, other): (&crate::catalog::IndexKey, &crate::catalog::IndexKey)| {
        let is_source = match (&own.source, &other.source) {
            (IndexSource::Column(own), IndexSource::Column(other)) => mapping.place(*other) == Some(*own),
            (IndexSource::Expression(own), IndexSource::Expression(other)) => own == other,
            _ => false,
        };
        is_source && (own.descending, own.nulls_first) == (other.descending, other.nulls_first)
    };
    own.unique == parent.unique
        && own.primary == parent.primary
        && own.nulls_not_distinct == parent.nulls_not_distinct
        && own.predicate == parent.predicate
        && own.keys.len() == parent.keys.len()
        && own.keys.iter().zip(&parent.keys).all(is_key)
}
