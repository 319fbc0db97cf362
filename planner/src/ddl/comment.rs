//! COMMENT ON.

use sqlparser::ast::{CommentObject, ObjectName, ObjectNamePart};

use super::Ddl;
use super::names::parts;
use crate::catalog::registry::Object;
use crate::catalog::{Relation, RelationKind};
use crate::parse::alter;
use crate::statement::Tag;
use crate::{SqlError, SqlResult, SqlState};

impl Ddl<'_> {
    pub(super) async fn comment(
        &self,
        kind: CommentObject,
        name: &ObjectName,
        comment: Option<String>,
    ) -> SqlResult<Tag> {
        // COMMENT … IS '' removes the comment, as IS NULL does.
        let comment = comment.filter(|text| !text.is_empty());
        match kind {
            CommentObject::Table if alter::constraint_of(name).is_some() => self.comment_constraint(name, comment)?,
            CommentObject::Table => self.comment_relation(name, RelationKind::Table, "table", comment)?,
            CommentObject::View => self.comment_relation(name, RelationKind::View, "view", comment)?,
            CommentObject::Sequence => self.comment_relation(name, RelationKind::Sequence, "sequence", comment)?,
            CommentObject::Column => self.comment_column(name, comment)?,
            CommentObject::Index => self.comment_index(name, comment)?,
            CommentObject::Schema => {
                let name = parts(name)?.pop().unwrap_or_default();
                let database = self.catalog().session_database(&*self.context.session);
                let mut schema = self.catalog().schema(database, &name).cloned().ok_or_else(|| {
                    SqlError::new(
                        SqlState::INVALID_SCHEMA_NAME,
                        format!("schema \"{name}\" does not exist"),
                    )
                })?;
                schema.comment = comment;
                self.put(Object::Schema(schema))?;
            }
            CommentObject::Database => {
                let name = parts(name)?.pop().unwrap_or_default();
                let mut database = self.catalog().database(&name).cloned().ok_or_else(|| {
                    SqlError::new(
                        SqlState::INVALID_CATALOG_NAME,
                        format!("database \"{name}\" does not exist"),
                    )
                })?;
                database.comment = comment;
                self.put(Object::Database(database))?;
            }
            other => return Err(SqlError::unsupported(format!("COMMENT ON {other}"))),
        }
        Ok(Tag::Text("COMMENT"))
    }

    fn comment_relation(
        &self,
        name: &ObjectName,
        kind: RelationKind,
        word: &str,
        comment: Option<String>,
    ) -> SqlResult<()> {
        let mut relation = Relation::clone(self.find(name)?);
        if relation.kind != kind {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a {word}", relation.name),
            ));
        }
        relation.comment = comment;
        self.put_remark(&relation)
    }

    fn comment_column(&self, name: &ObjectName, comment: Option<String>) -> SqlResult<()> {
        let column = parts(name)?.pop().unwrap_or_default();
        let table: Vec<ObjectNamePart> = name.0[..name.0.len() - 1].to_vec();
        if table.is_empty() {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "column name must be qualified"));
        }
        let mut relation = Relation::clone(self.find(&ObjectName(table))?);
        let table_name = relation.name.clone();
        let found = relation
            .columns
            .iter_mut()
            .find(|candidate| !candidate.dropped && candidate.name == column);
        let found = found.ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{column}\" of relation \"{table_name}\" does not exist"),
            )
        })?;
        found.comment = comment;
        self.put_remark(&relation)
    }

    fn comment_constraint(&self, name: &ObjectName, comment: Option<String>) -> SqlResult<()> {
        let Some((constraint, table)) = alter::constraint_of(name) else {
            return Ok(());
        };
        let constraint = super::fold(&constraint);
        let mut relation = Relation::clone(self.find(&table)?);
        let table_name = relation.name.clone();
        let found = relation.constraints.iter_mut().find(|known| known.name == constraint);
        let found = found.ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("constraint \"{constraint}\" for table \"{table_name}\" does not exist"),
            )
        })?;
        found.comment = comment;
        self.put_remark(&relation)
    }

    fn comment_index(&self, name: &ObjectName, comment: Option<String>) -> SqlResult<()> {
        let (schema, index_name) = self.split(name)?;
        let (table, index) = self
            .catalog()
            .index(&*self.context.session, schema.as_deref(), &index_name)
            .ok_or_else(|| {
                SqlError::new(
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{index_name}\" does not exist"),
                )
            })?;
        let id = index.id;
        let mut relation = Relation::clone(table);
        for index in relation.indexes.iter_mut().filter(|index| index.id == id) {
            index.comment.clone_from(&comment);
        }
        self.put_remark(&relation)
    }
}
