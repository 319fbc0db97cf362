//! DROP: objects, what hangs on them, and who objects (2BP01) unless CASCADE.

use std::sync::Arc;

use sqlparser::ast::{ObjectName, ObjectType};
use txn::Mode;

use super::Ddl;
use super::known_paths::forget_column;
use super::names::parts;
use crate::catalog::registry::Object;
use crate::catalog::{ConstraintKind, Relation, RelationKind};
use crate::statement::Tag;
use crate::{Severity, SqlError, SqlResult, SqlState, stored};

/// Something that goes away because another thing does.
#[derive(Clone)]
enum Dependent {
    View(Arc<Relation>),
    /// A table that inherits.
    Child(Arc<Relation>),
    ForeignKey(Arc<Relation>, String),
    Default(Arc<Relation>, u16),
}

impl Dependent {
    fn describe(&self) -> String {
        match self {
            Dependent::View(view) => format!("view {}", view.name),
            Dependent::Child(table) => format!("table {}", table.name),
            Dependent::ForeignKey(table, name) => format!("constraint {name} on table {}", table.name),
            Dependent::Default(table, column) => {
                format!(
                    "default value for column {} of table {}",
                    table.columns[*column as usize].name, table.name
                )
            }
        }
    }
}

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
        self.remove_relations(doomed, cascade, None).await
    }

    /// Removes relations and, with CASCADE, what depends on them. `owner` names what is dropped, if it is not the
    /// relations themselves (a schema).
    async fn remove_relations(
        &self,
        mut doomed: Vec<Arc<Relation>>,
        cascade: bool,
        owner: Option<&str>,
    ) -> SqlResult<()> {
        let mut lost: Vec<Dependent> = Vec::new();
        let mut next = 0;
        while let Some(relation) = doomed.get(next).cloned() {
            next += 1;
            // Partitions go with their parent without a word.
            if relation.is_partitioned() {
                for child in self.catalog().children_of(relation.id) {
                    if !doomed.iter().any(|known| known.id == *child) {
                        doomed.push(self.relation_by_id(*child)?.clone());
                    }
                }
            }
            for dependent in self.dependents(&relation, &doomed)? {
                if !cascade {
                    let (kind, name) = (kind_word(relation.kind), &relation.name);
                    let what = owner.map_or_else(|| format!("{kind} {name}"), str::to_string);
                    return Err(SqlError::new(
                        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                        format!("cannot drop {what} because other objects depend on it"),
                    )
                    .detail(format!("{} depends on {kind} {name}", dependent.describe()))
                    .hint("Use DROP ... CASCADE to drop the dependent objects too."));
                }
                if let Dependent::View(gone) | Dependent::Child(gone) = &dependent {
                    doomed.push(gone.clone());
                }
                lost.push(dependent);
            }
        }
        self.report_cascade(&lost);
        for dependent in lost {
            match dependent {
                Dependent::View(_) | Dependent::Child(_) => {}
                Dependent::ForeignKey(table, name) => {
                    let lost = table.constraints.iter().find(|constraint| constraint.name == name);
                    let lost = lost.map(|constraint| constraint.id);
                    for member in self.catalog().family_of(table.id) {
                        let mut changed = Relation::clone(self.relation_by_id(member)?);
                        let before = changed.constraints.len();
                        changed.constraints.retain(|constraint| {
                            Some(constraint.id) != lost && constraint.origin.parent.is_none_or(|id| Some(id) != lost)
                        });
                        if changed.constraints.len() < before && !doomed.iter().any(|known| known.id == member) {
                            self.put_relation(&changed)?;
                        }
                    }
                }
                Dependent::Default(table, column) => {
                    let mut changed = Relation::clone(&table);
                    changed.columns[column as usize].default = None;
                    self.put_relation(&changed)?;
                }
            }
        }
        for relation in &doomed {
            self.remove_relation(relation).await?;
        }
        // A parent that stays has a child less.
        let mut told: Vec<u32> = Vec::new();
        for parent in doomed.iter().flat_map(|relation| &relation.family.parents) {
            if !told.contains(parent) && !doomed.iter().any(|known| known.id == *parent) {
                told.push(*parent);
                let parent = self.relation_by_id(*parent)?.clone();
                self.lock_table(&parent, Mode::AccessExclusive).await?;
                self.put_relation(&parent)?;
            }
        }
        Ok(())
    }

    fn report_cascade(&self, lost: &[Dependent]) {
        let message = match lost {
            [] => return,
            [one] => format!("drop cascades to {}", one.describe()),
            many => format!("drop cascades to {} other objects", many.len()),
        };
        let mut notice = SqlError::new(SqlState::SUCCESSFUL_COMPLETION, message);
        if lost.len() > 1 {
            let lines: Vec<String> = lost
                .iter()
                .map(|one| format!("drop cascades to {}", one.describe()))
                .collect();
            notice = notice.detail(lines.join("\n"));
        }
        self.context.session.notice(Severity::Notice, notice);
    }

    async fn remove_relation(&self, relation: &Arc<Relation>) -> SqlResult<()> {
        if relation.kind == RelationKind::Table {
            self.lock_table(relation, Mode::AccessExclusive).await?;
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

    fn dependents(&self, relation: &Arc<Relation>, doomed: &[Arc<Relation>]) -> SqlResult<Vec<Dependent>> {
        let is_doomed = |id: u32| doomed.iter().any(|other| other.id == id);
        let mut found = Vec::new();
        let database = |relation: &Relation| {
            self.catalog()
                .schemas
                .get(&relation.schema)
                .map(|schema| schema.database)
        };
        let own = database(relation);
        for other in self.catalog().relations.values().filter(|other| !is_doomed(other.id)) {
            // Nothing reaches into another database.
            if other.kind != RelationKind::System && database(other) != own {
                continue;
            }
            match other.kind {
                RelationKind::View if self.view_uses(other, relation)? => found.push(Dependent::View(other.clone())),
                RelationKind::Table => {
                    if other.family.parents.contains(&relation.id) && !other.is_partition() {
                        found.push(Dependent::Child(other.clone()));
                        continue;
                    }
                    for constraint in &other.constraints {
                        // What a partition has of its parent's foreign key goes with it.
                        let is_own = constraint.origin.parent.is_none();
                        if matches!(constraint.kind, ConstraintKind::Foreign { table, .. } if table == relation.id && is_own)
                        {
                            found.push(Dependent::ForeignKey(other.clone(), constraint.name.clone()));
                        }
                    }
                    if relation.kind == RelationKind::Sequence {
                        let call = format!("nextval('{}'::regclass)", relation.id);
                        for (position, column) in other.live_columns() {
                            if column.default.as_deref() == Some(&call) {
                                found.push(Dependent::Default(other.clone(), position));
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Whether a view's query names a relation. A view's text is qualified, so parsing it is enough.
    fn view_uses(&self, view: &Relation, relation: &Relation) -> SqlResult<bool> {
        let Some(text) = &view.view else { return Ok(false) };
        // Most views do not even hold the word.
        if !relation.name.contains('"') && !text.contains(&relation.name) {
            return Ok(false);
        }
        Ok(stored::relations_of(self.catalog(), &*self.context.session, text)?.contains(&relation.id))
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
            let inside: Vec<Arc<Relation>> = self
                .catalog()
                .relations
                .values()
                .filter(|relation| relation.schema == schema.id)
                .cloned()
                .collect();
            if let (Some(first), false) = (inside.first(), cascade) {
                return Err(SqlError::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!("cannot drop schema {name} because other objects depend on it"),
                )
                .detail(format!(
                    "{} {name}.{} depends on schema {name}",
                    kind_word(first.kind),
                    first.name
                ))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
            }
            self.remove_relations(inside, cascade, Some(&format!("schema {name}")))
                .await?;
            for user in self.catalog().types.values().filter(|user| user.schema == schema.id) {
                self.remove(Object::Type(crate::catalog::UserType::clone(user)))?;
            }
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

fn kind_word(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table | RelationKind::System => "table",
        RelationKind::View => "view",
        RelationKind::Sequence => "sequence",
        RelationKind::Composite => "type",
    }
}
