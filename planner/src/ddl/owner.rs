//! Owners of schemas, types and domains.

use sqlparser::ast::{AlterSchema, AlterSchemaOperation, ObjectName, Owner};

use super::Ddl;
use super::names::fold;
use crate::catalog::registry::Object;
use crate::catalog::{Relation, RelationKind, UserType, UserTypeKind};
use crate::statement::Tag;
use crate::{SqlError, SqlResult, SqlState};

impl Ddl<'_> {
    /// OWNER TO. A schema cannot be renamed yet: views and defaults are stored with its name in them.
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
                other => return Err(SqlError::unsupported(format!("ALTER SCHEMA {other}"))),
            }
        }
        self.put(Object::Schema(schema))?;
        Ok(Tag::Text("ALTER SCHEMA"))
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
