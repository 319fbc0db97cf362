//! Owners of schemas, types and domains; names of schemas.

use sqlparser::ast::{AlterSchema, AlterSchemaOperation, ObjectName, Owner};

use super::Ddl;
use super::names::fold;
use crate::catalog::registry::Object;
use crate::catalog::{ConstraintKind, IndexSource, Relation, RelationKind, Schema, UserType, UserTypeKind};
use crate::statement::Tag;
use crate::{SqlError, SqlResult, SqlState, stored};

impl Ddl<'_> {
    /// OWNER TO, RENAME TO
    pub(super) fn alter_schema(&self, alter: &AlterSchema) -> SqlResult<Tag> {
        let name = alter
            .name
            .0
            .last()
            .and_then(|part| part.as_ident())
            .map(fold)
            .unwrap_or_default();
        let database = self.catalog().session_database(&*self.context.session);
        let found = self.catalog().schema(database, &name).cloned();
        let mut schema = found.ok_or_else(|| {
            SqlError::new(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{name}\" does not exist"),
            )
        })?;
        if schema.database == 0 {
            return Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied for schema {name}"),
            ));
        }
        for operation in &alter.operations {
            match operation {
                AlterSchemaOperation::OwnerTo { owner } => {
                    schema.owner = match owner {
                        Owner::Ident(role) => self.role_id(&fold(role))?,
                        _ => self.owner(),
                    };
                }
                AlterSchemaOperation::Rename { name: new } => {
                    let new = new
                        .0
                        .last()
                        .and_then(|part| part.as_ident())
                        .map(fold)
                        .unwrap_or_default();
                    if self.catalog().schema(database, &new).is_some() {
                        return Err(SqlError::new(
                            SqlState::DUPLICATE_SCHEMA,
                            format!("schema \"{new}\" already exists"),
                        ));
                    }
                    if new.starts_with("pg_") {
                        return Err(SqlError::new(
                            SqlState::RESERVED_NAME,
                            format!("unacceptable schema name \"{new}\""),
                        )
                        .detail("The prefix \"pg_\" is reserved for system schemas."));
                    }
                    self.rename_schema(&schema, &new)?;
                    schema.name = new;
                }
                other => return Err(SqlError::unsupported(format!("ALTER SCHEMA {other}"))),
            }
        }
        self.put(Object::Schema(schema))?;
        Ok(Tag::Text("ALTER SCHEMA"))
    }

    /// Writes a schema's new name into the views that name its relations. What else is stored with the name refuses it.
    fn rename_schema(&self, schema: &Schema, new: &str) -> SqlResult<()> {
        let (catalog, old) = (self.catalog(), schema.name.as_str());
        let refuse = |what: String| {
            Err(SqlError::unsupported(format!(
                "renaming schema \"{old}\", which {what} names,"
            )))
        };
        let is_near = |relation: &Relation| {
            let own = catalog.schemas.get(&relation.schema);
            own.is_some_and(|own| own.database == schema.database)
        };
        for relation in catalog.relations.values().filter(|relation| is_near(relation)) {
            let defaults = relation.columns.iter().filter_map(|column| column.default.as_deref());
            let checks = relation
                .constraints
                .iter()
                .filter_map(|constraint| match &constraint.kind {
                    ConstraintKind::Check { expression } => Some(expression.as_str()),
                    ConstraintKind::PrimaryKey { .. }
                    | ConstraintKind::Unique { .. }
                    | ConstraintKind::Foreign { .. } => None,
                });
            let keys = relation.indexes.iter().flat_map(|index| {
                let sources = index.keys.iter().filter_map(|key| match &key.source {
                    IndexSource::Expression(text) => Some(text.as_str()),
                    IndexSource::Column(_) => None,
                });
                sources.chain(index.predicate.as_deref())
            });
            let mut changed = Relation::clone(relation);
            if let Some(text) = &relation.view {
                let renamed = stored::rename_schema(text, old, new)?;
                if stored::names_schema(&renamed, old)? {
                    return refuse(format!("view \"{}\"", relation.name));
                }
                changed.view = Some(renamed);
            }
            for text in defaults.chain(checks).chain(keys) {
                if stored::names_schema(text, old)? {
                    return refuse(format!("an expression of \"{}\"", relation.name));
                }
            }
            // What is inside has another name from now on, which plans of statements were found by.
            if relation.schema == schema.id || changed.view != relation.view {
                self.put_relation(&changed)?;
            }
        }
        for user in catalog.types.values() {
            if let UserTypeKind::Domain(domain) = &user.kind {
                for check in &domain.checks {
                    if stored::names_schema(&check.expression, old)? {
                        return refuse(format!("domain \"{}\"", user.name));
                    }
                }
            }
        }
        Ok(())
    }

    /// ALTER TYPE, ALTER DOMAIN … OWNER TO
    pub(super) fn alter_type_owner(&self, name: &ObjectName, role: &str) -> SqlResult<Tag> {
        let owner = self.role_id(role)?;
        let (schema, name) = self.split(name)?;
        let session = &*self.context.session;
        if let Some(found) = self.catalog().user_type(session, schema.as_deref(), &name) {
            let tag = match found.kind {
                UserTypeKind::Domain(_) => "ALTER DOMAIN",
                UserTypeKind::Enum { .. } => "ALTER TYPE",
            };
            self.put(Object::Type(UserType {
                owner,
                ..UserType::clone(found)
            }))?;
            return Ok(Tag::Text(tag));
        }
        let relation = self.catalog().relation(session, schema.as_deref(), &name);
        match relation.filter(|relation| relation.kind == RelationKind::Composite) {
            Some(found) => {
                self.put_relation(&Relation {
                    owner,
                    ..Relation::clone(found)
                })?;
                Ok(Tag::Text("ALTER TYPE"))
            }
            None => Err(SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("type \"{name}\" does not exist"),
            )),
        }
    }
}
