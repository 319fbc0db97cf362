//! CREATE DATABASE and CREATE SCHEMA.

use sqlparser::ast::{ObjectName, SchemaName};

use super::Ddl;
use super::names::{fold, parts};
use crate::catalog::registry::Object;
use crate::catalog::{Database, Schema};
use crate::statement::Tag;
use crate::{SqlError, SqlResult, SqlState};

impl Ddl<'_> {
    pub(super) async fn create_database(&self, name: &ObjectName, if_not_exists: bool) -> SqlResult<Tag> {
        const TAG: Tag = Tag::Text("CREATE DATABASE");
        let name = parts(name)?.pop().unwrap_or_default();
        if self.catalog().database(&name).is_some() {
            let message = format!("database \"{name}\" already exists");
            if if_not_exists {
                self.notice(SqlState::DUPLICATE_DATABASE, format!("{message}, skipping"));
                return Ok(TAG);
            }
            return Err(SqlError::new(SqlState::DUPLICATE_DATABASE, message));
        }
        let id = self.allocate_oid().await?;
        let owner = self.owner();
        self.put(Object::Database(Database {
            id,
            name,
            owner,
            comment: None,
        }))?;
        let public = Schema {
            id: self.allocate_oid().await?,
            database: id,
            name: "public".into(),
            owner,
            comment: Some("standard public schema".into()),
        };
        self.put(Object::Schema(public))?;
        Ok(TAG)
    }

    pub(super) async fn create_schema(&self, name: &SchemaName, if_not_exists: bool) -> SqlResult<Tag> {
        const TAG: Tag = Tag::Text("CREATE SCHEMA");
        let (name, owner) = match name {
            SchemaName::Simple(name) => (parts(name)?.pop().unwrap_or_default(), self.owner()),
            SchemaName::UnnamedAuthorization(role) => (fold(role), self.role_id(&fold(role))?),
            SchemaName::NamedAuthorization(name, role) => {
                (parts(name)?.pop().unwrap_or_default(), self.role_id(&fold(role))?)
            }
        };
        if name.starts_with("pg_") {
            return Err(
                SqlError::new(SqlState::RESERVED_NAME, format!("unacceptable schema name \"{name}\""))
                    .detail("The prefix \"pg_\" is reserved for system schemas."),
            );
        }
        let database = self.catalog().session_database(&*self.context.session);
        if self.catalog().schema(database, &name).is_some() {
            let message = format!("schema \"{name}\" already exists");
            if if_not_exists {
                self.notice(SqlState::DUPLICATE_SCHEMA, format!("{message}, skipping"));
                return Ok(TAG);
            }
            return Err(SqlError::new(SqlState::DUPLICATE_SCHEMA, message));
        }
        let id = self.allocate_oid().await?;
        self.put(Object::Schema(Schema {
            id,
            database,
            name,
            owner,
            comment: None,
        }))?;
        Ok(TAG)
    }
}
