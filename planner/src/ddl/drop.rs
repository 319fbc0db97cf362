//! DROP: objects, what hangs on them, and who objects (2BP01) unless CASCADE.

use std::collections::HashSet;
use std::sync::Arc;

use sqlparser::ast::{ObjectName, ObjectType};
use txn::Mode;

use super::Ddl;
use super::dependents::{Dependent, Lost};
use super::known_paths::forget_column;
use super::names::parts;
use crate::catalog::registry::Object;
use crate::catalog::{ConstraintKind, Relation, RelationKind, Schema};
use crate::modify::deferred::check_unused;
use crate::statement::Tag;
use crate::system::deparse;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState};

impl Ddl<'_> {
    pub(super) async fn drop(
        &self,
        kind: ObjectType,
        if_exists: bool,
        names: &[ObjectName],
        cascade: bool,
    ) -> SqlResult<Tag> {
        match kind {
            ObjectType::Table => {
                self.drop_relations(names, RelationKind::Table, "table", if_exists, cascade)
                    .await?
            }
            ObjectType::View => {
                self.drop_relations(names, RelationKind::View, "view", if_exists, cascade)
                    .await?
            }
            ObjectType::Sequence => {
                self.drop_relations(names, RelationKind::Sequence, "sequence", if_exists, cascade)
                    .await?;
            }
            ObjectType::Index => self.drop_indexes(names, if_exists).await?,
            ObjectType::Schema => self.drop_schemas(names, if_exists, cascade).await?,
            ObjectType::Database => self.drop_databases(names, if_exists).await?,
            ObjectType::Role | ObjectType::User => self.drop_roles(names, if_exists)?,
            ObjectType::Type => self.drop_types(names, "type", if_exists, cascade).await?,
            other => return Err(SqlError::unsupported(format!("DROP {other}"))),
        }
        Ok(Tag::Text(match kind {
            ObjectType::Table => "DROP TABLE",
            ObjectType::View => "DROP VIEW",
            ObjectType::Sequence => "DROP SEQUENCE",
            ObjectType::Index => "DROP INDEX",
            ObjectType::Schema => "DROP SCHEMA",
            ObjectType::Database => "DROP DATABASE",
            ObjectType::Type => "DROP TYPE",
            _ => "DROP ROLE",
        }))
    }

    async fn drop_relations(
        &self,
        names: &[ObjectName],
        kind: RelationKind,
        word: &str,
        if_exists: bool,
        cascade: bool,
    ) -> SqlResult<()> {
        let mut doomed: Vec<Arc<Relation>> = Vec::new();
        for name in names {
            let (schema, relation) = self.split(name)?;
            if let Some(schema) = &schema
                && self.catalog().schema_of(&*self.context.session, schema).is_none()
            {
                let message = format!("schema \"{schema}\" does not exist");
                if !if_exists {
                    return Err(SqlError::new(SqlState::INVALID_SCHEMA_NAME, message));
                }
                self.notice(SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
                continue;
            }
            match self
                .catalog()
                .relation(&*self.context.session, schema.as_deref(), &relation)
            {
                Some(found) if found.kind == RelationKind::System => self.check_not_system(found)?,
                Some(found) if found.kind != kind => {
                    let is = match found.kind {
                        RelationKind::Table => "TABLE",
                        RelationKind::View => "VIEW",
                        RelationKind::Composite => "TYPE",
                        _ => "SEQUENCE",
                    };
                    return Err(
                        SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{relation}\" is not a {word}"))
                            .hint(format!("Use DROP {is} to remove a {}.", is.to_lowercase())),
                    );
                }
                Some(found) => doomed.push(found.clone()),
                None if if_exists => {
                    self.notice(
                        SqlState::SUCCESSFUL_COMPLETION,
                        format!("{word} \"{relation}\" does not exist, skipping"),
                    );
                }
                None => {
                    return Err(SqlError::new(
                        SqlState::UNDEFINED_TABLE,
                        format!("{word} \"{relation}\" does not exist"),
                    ));
                }
            }
        }
        let mut seen: HashSet<(u32, u16)> = doomed.iter().map(|relation| (relation.id, 0)).collect();
        let mut lost = Vec::new();
        for relation in &doomed {
            self.find_lost(relation, &mut seen, &mut lost)?;
        }
        let what = match doomed.as_slice() {
            [one] => Some(self.describe_relation(one)),
            _ => None,
        };
        self.report_lost(&mut lost, &seen, what.as_deref(), cascade)?;
        self.remove_lost(doomed, lost).await
    }

    pub(super) async fn remove_relation(&self, relation: &Arc<Relation>) -> SqlResult<()> {
        if relation.kind == RelationKind::Table {
            self.lock_table(relation, Mode::AccessExclusive).await?;
            check_unused(&*self.context.session, relation, "DROP TABLE")?;
            self.context.transaction.clear_table(relation.id)?;
            for (at, _) in relation.live_columns() {
                forget_column(&self.context.transaction, relation, at);
            }
            for index in relation.indexes.iter().filter(|index| !index.primary) {
                self.context.transaction.clear_index(relation.id, index.id)?;
            }
            for sequence in self.owned_sequences(relation.id, None) {
                self.remove(Object::Relation(Box::new(Relation::clone(&sequence))))?;
            }
        }
        self.remove(Object::Relation(Box::new(Relation::clone(relation))))
    }

    /// Sequences owned by a table, or by one of its columns.
    pub(super) fn owned_sequences(&self, table: u32, column: Option<u16>) -> Vec<Arc<Relation>> {
        let owns = |relation: &&Arc<Relation>| {
            relation
                .sequence
                .as_ref()
                .and_then(|sequence| sequence.owned_by)
                .is_some_and(|(owner, position)| owner == table && column.is_none_or(|column| column == position))
        };
        self.catalog().relations.values().filter(owns).cloned().collect()
    }

    async fn drop_indexes(&self, names: &[ObjectName], if_exists: bool) -> SqlResult<()> {
        for name in names {
            let (schema, index_name) = self.split(name)?;
            let Some((table, index)) = self
                .catalog()
                .index(&*self.context.session, schema.as_deref(), &index_name)
            else {
                let message = format!("index \"{index_name}\" does not exist");
                if if_exists {
                    self.notice(SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
                    continue;
                }
                return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
            };
            let owner = table.constraints.iter().find(|constraint| match constraint.kind {
                ConstraintKind::PrimaryKey { index: owned } | ConstraintKind::Unique { index: owned } => {
                    owned == index.id
                }
                ConstraintKind::Check { .. } | ConstraintKind::Foreign { .. } => false,
            });
            if let Some(constraint) = owner {
                let (constraint, table) = (&constraint.name, &table.name);
                return Err(SqlError::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!(
                        "cannot drop index {index_name} because constraint {constraint} on table {table} requires it"
                    ),
                )
                .hint(format!(
                    "You can drop constraint {constraint} on table {table} instead."
                )));
            }
            if let Some(parent) = index.origin.parent {
                let named = self
                    .catalog()
                    .relations
                    .values()
                    .flat_map(|relation| &relation.indexes)
                    .find(|index| index.id == parent)
                    .map_or("", |index| index.name.as_str());
                return Err(SqlError::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!("cannot drop index {index_name} because index {named} requires it"),
                )
                .hint(format!("You can drop index {named} instead.")));
            }
            self.lock_table(table, Mode::AccessExclusive).await?;
            self.drop_partition_indexes(table, index.id).await?;
            self.context.transaction.clear_index(table.id, index.id)?;
            let id = index.id;
            let mut changed = Relation::clone(table);
            changed.indexes.retain(|index| index.id != id);
            self.put_relation(&changed)?;
        }
        Ok(())
    }

    async fn drop_schemas(&self, names: &[ObjectName], if_exists: bool, cascade: bool) -> SqlResult<()> {
        let database = self.catalog().session_database(&*self.context.session);
        let mut schemas: Vec<&Schema> = Vec::new();
        for name in names {
            let name = parts(name)?.pop().unwrap_or_default();
            let Some(schema) = self.catalog().schema(database, &name) else {
                let message = format!("schema \"{name}\" does not exist");
                if if_exists {
                    self.notice(SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
                    continue;
                }
                return Err(SqlError::new(SqlState::INVALID_SCHEMA_NAME, message));
            };
            if schema.database == 0 {
                return Err(SqlError::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!("cannot drop schema {name} because it is required by the database system"),
                ));
            }
            if !schemas.iter().any(|known| known.id == schema.id) {
                schemas.push(schema);
            }
        }
        let (mut seen, mut lost) = (HashSet::new(), Vec::new());
        for schema in &schemas {
            let relations = self.catalog().relations.values();
            let inside = relations.filter(|relation| relation.schema == schema.id);
            let mut content: Vec<Dependent> = inside.map(|relation| Dependent::Content(relation.clone())).collect();
            let types = self.catalog().types.values().filter(|user| user.schema == schema.id);
            content.extend(types.map(|user| {
                let name = self.context.session.object_name(oid::REGTYPE, user.id);
                Dependent::Type(user.id, name.unwrap_or_else(|| user.name.clone()))
            }));
            content.sort_by_key(|dependent| std::cmp::Reverse(dependent.age()));
            for what in content {
                if !seen.insert(what.age()) {
                    continue;
                }
                if let Some(relation) = what.relation() {
                    self.find_lost(relation, &mut seen, &mut lost)?;
                }
                let on = format!("schema {}", deparse::quote_ident(&schema.name));
                lost.push(Lost { what, on });
            }
        }
        let what = match schemas.as_slice() {
            [one] => Some(format!("schema {}", deparse::quote_ident(&one.name))),
            _ => None,
        };
        self.report_lost(&mut lost, &seen, what.as_deref(), cascade)?;
        self.remove_lost(Vec::new(), lost).await?;
        for schema in schemas {
            self.remove(Object::Schema(schema.clone()))?;
        }
        Ok(())
    }

    async fn drop_databases(&self, names: &[ObjectName], if_exists: bool) -> SqlResult<()> {
        for name in names {
            let name = parts(name)?.pop().unwrap_or_default();
            let Some(database) = self.catalog().database(&name) else {
                let message = format!("database \"{name}\" does not exist");
                if if_exists {
                    self.notice(SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
                    continue;
                }
                return Err(SqlError::new(SqlState::INVALID_CATALOG_NAME, message));
            };
            if name == self.context.session.current_database() {
                return Err(SqlError::new(
                    SqlState::OBJECT_IN_USE,
                    "cannot drop the currently open database",
                ));
            }
            for schema in self
                .catalog()
                .schemas
                .values()
                .filter(|schema| schema.database == database.id)
            {
                for relation in self
                    .catalog()
                    .relations
                    .values()
                    .filter(|relation| relation.schema == schema.id)
                {
                    self.remove_relation(relation).await?;
                }
                for user in self.catalog().types.values().filter(|user| user.schema == schema.id) {
                    self.remove(Object::Type(crate::catalog::UserType::clone(user)))?;
                }
                self.remove(Object::Schema(schema.clone()))?;
            }
            self.remove(Object::Database(database.clone()))?;
        }
        Ok(())
    }

    fn drop_roles(&self, names: &[ObjectName], if_exists: bool) -> SqlResult<()> {
        for name in names {
            let name = parts(name)?.pop().unwrap_or_default();
            let Some(role) = self.catalog().role(&name) else {
                let message = format!("role \"{name}\" does not exist");
                if if_exists {
                    self.notice(SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
                    continue;
                }
                return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
            };
            if name == self.context.session.current_user() {
                return Err(SqlError::new(SqlState::OBJECT_IN_USE, "current user cannot be dropped"));
            }
            let owns = self
                .catalog()
                .relations
                .values()
                .find(|relation| relation.owner == role.id);
            if let Some(relation) = owns {
                return Err(SqlError::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!("role \"{name}\" cannot be dropped because some objects depend on it"),
                )
                .detail(format!("owner of {} {}", kind_word(relation.kind), relation.name)));
            }
            self.remove(Object::Role(role.clone()))?;
        }
        Ok(())
    }
}

pub(super) fn kind_word(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table | RelationKind::System => "table",
        RelationKind::View => "view",
        RelationKind::Sequence => "sequence",
        RelationKind::Composite => "type",
    }
}
