//! DDL: statements that change the registry.
//!
//! A statement takes PostgreSQL's table lock on every shard, computes the new objects, and buffers them as registry rows
//! of its transaction (and the entries of a new index as ordinary writes). COMMIT makes all of it visible at once, or none.
//!
//! ```text
//!   CREATE TABLE …  ─►  Ddl { catalog, changes }  ─►  registry::put per object  ─►  the transaction's buffer
//! ```

mod alter_table;
mod comment;
mod create_index;
mod create_table;
mod create_type;
mod database;
mod default;
mod dependents;
mod drop;
mod inherit;
mod known_paths;
mod like;
mod lock_table;
mod names;
mod owner;
mod partition;
mod partition_bound;
mod propagate;
mod role;
mod sequence;
mod temporary;
mod truncate;
mod validate;
mod view;

use std::sync::Arc;

use sqlparser::ast::{DropBehavior, Statement};
use txn::{LockName, LockRequest, Mode};

use crate::bind::{Binder, OverRelation, Purpose};
use crate::bound::Query;
use crate::catalog::registry::{self, Object};
use crate::catalog::{Catalog, Relation, RelationKind};
use crate::parse::{family, statements};
use crate::statement::{Parsed, Planner, StatementContext, Tag};
use crate::{Severity, SqlError, SqlResult, SqlState, Type, stored};

pub(crate) use create_index::expression_label;
pub(crate) use names::fold;

/// Whether a statement is DDL (and not a session command, a query or DML).
pub fn is_ddl(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateTable(_)
            | Statement::CreateIndex(_)
            | Statement::CreateView(_)
            | Statement::CreateSequence { .. }
            | Statement::CreateSchema { .. }
            | Statement::CreateDatabase { .. }
            | Statement::CreateRole(_)
            | Statement::CreateType { .. }
            | Statement::CreateDomain(_)
            | Statement::AlterType(_)
            | Statement::DropDomain(_)
            | Statement::AlterTable(_)
            | Statement::AlterIndex { .. }
            | Statement::AlterView { .. }
            | Statement::AlterRole { .. }
            | Statement::AlterSchema(_)
            | Statement::Drop { .. }
            | Statement::Truncate(_)
            | Statement::Lock(_)
            | Statement::Comment { .. }
    )
}

/// One running DDL statement.
pub(crate) struct Ddl<'a> {
    planner: &'a Planner,
    context: &'a StatementContext,
    statement: &'a Parsed,
}

impl<'a> Ddl<'a> {
    pub(crate) fn new(planner: &'a Planner, context: &'a StatementContext, statement: &'a Parsed) -> Self {
        Self {
            planner,
            context,
            statement,
        }
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// PostgreSQL's, with position where it gives one; 0A000 for what is not supported.
    pub(crate) async fn run(&self) -> SqlResult<Tag> {
        match &*self.statement.ast {
            Statement::CreateTable(create) if create.query.is_some() => self.create_table_as(create).await,
            Statement::CreateTable(create) => match family::change_of(&create.name) {
                Some((change, name)) => self.change_family(change, &name, create).await,
                None => self.create_table(create).await,
            },
            Statement::CreateIndex(create) => self.create_index(create).await,
            Statement::CreateView(create) => self.create_view(create).await,
            Statement::CreateSequence {
                temporary,
                if_not_exists,
                name,
                data_type,
                sequence_options,
                owned_by,
            } => {
                if let Some(name) = statements::altered_sequence(name) {
                    return self
                        .alter_sequence(
                            *if_not_exists,
                            &name,
                            data_type.as_ref(),
                            sequence_options,
                            owned_by.as_ref(),
                        )
                        .await;
                }
                self.create_sequence(
                    *temporary,
                    *if_not_exists,
                    name,
                    data_type.as_ref(),
                    sequence_options,
                    owned_by.as_ref(),
                )
                .await
            }
            Statement::CreateSchema {
                schema_name,
                if_not_exists,
                ..
            } => self.create_schema(schema_name, *if_not_exists).await,
            Statement::CreateDatabase {
                db_name, if_not_exists, ..
            } => self.create_database(db_name, *if_not_exists).await,
            Statement::CreateRole(create) => self.create_role(create).await,
            Statement::CreateType { name, representation } => self.create_type(name, representation.as_ref()).await,
            Statement::CreateDomain(create) => self.create_domain(create).await,
            Statement::AlterType(alter) => self.alter_user_type(alter),
            Statement::AlterSchema(alter) => self.alter_schema(alter),
            Statement::DropDomain(drop) => {
                let cascade = drop.drop_behavior == Some(DropBehavior::Cascade);
                self.drop_types(std::slice::from_ref(&drop.name), "domain", drop.if_exists, cascade)
                    .await?;
                Ok(Tag::Text("DROP DOMAIN"))
            }
            Statement::AlterTable(alter) => self.alter_table(alter).await,
            Statement::AlterIndex { name, operation } => self.alter_index(name, operation).await,
            Statement::AlterRole { name, operation } => self.alter_role(name, operation).await,
            Statement::Drop {
                object_type,
                if_exists,
                names,
                cascade,
                ..
            } => self.drop(*object_type, *if_exists, names, *cascade).await,
            Statement::Truncate(truncate) => self.truncate(truncate).await,
            Statement::Lock(lock) => self.lock_tables(lock).await,
            Statement::Comment {
                object_type,
                object_name,
                comment,
                ..
            } => self.comment(*object_type, object_name, comment.clone()).await,
            statement => Err(SqlError::unsupported(verb(statement))),
        }
    }

    fn catalog(&self) -> &Catalog {
        &self.context.catalog
    }

    /// Binds a query of the statement.
    fn bind_query(&self, query: &sqlparser::ast::Query) -> SqlResult<Query> {
        let mut binder = Binder::new(self.catalog(), &*self.context.session, &[]);
        Ok(binder
            .bind_query(query, &self.statement.text, self.statement.offset)?
            .query)
    }

    /// Binds a stored expression over a table.
    fn expression_over(&self, table: &Relation, text: &str, purpose: Purpose) -> SqlResult<OverRelation> {
        stored::expression_over(self.catalog(), &*self.context.session, table, text, purpose, None)
    }

    fn column_type(&self, data_type: &sqlparser::ast::DataType) -> SqlResult<Type> {
        stored::column_type(self.catalog(), &*self.context.session, data_type)
    }

    fn put(&self, object: Object) -> SqlResult<()> {
        registry::put(&self.context.transaction, &object)
    }

    /// Changes what nobody's plan depends on: the table keeps its version on the shards, and writers go on.
    fn put_remark(&self, relation: &Relation) -> SqlResult<()> {
        self.put(Object::Relation(Box::new(relation.clone())))
    }

    fn put_relation(&self, relation: &Relation) -> SqlResult<()> {
        let mut relation = relation.clone();
        // A table that is not in the catalog yet is new: nobody can have planned for an older version of it.
        let is_known = self.catalog().relations.contains_key(&relation.id);
        relation.version += 1;
        if is_known && relation.kind == RelationKind::Table {
            self.context.transaction.change_table(relation.id, relation.version)?;
        }
        self.put(Object::Relation(Box::new(relation)))
    }

    fn remove(&self, object: Object) -> SqlResult<()> {
        registry::remove(&self.context.transaction, &object)
    }

    fn notice(&self, code: SqlState, message: String) {
        self.context
            .session
            .notice(Severity::Notice, SqlError::new(code, message));
    }

    /// OID of the role that owns what is created.
    fn owner(&self) -> u32 {
        let user = self.context.session.current_user();
        self.catalog()
            .role(&user)
            .map_or(crate::catalog::BOOTSTRAP_ROLE, |role| role.id)
    }

    async fn allocate_oid(&self) -> SqlResult<u32> {
        self.planner.allocate_oid().await
    }

    /// Takes a table lock on every shard.
    async fn lock_table(&self, relation: &Relation, mode: Mode) -> SqlResult<()> {
        let request = LockRequest {
            name: LockName::Table(relation.id),
            mode,
            add: None,
        };
        self.context
            .transaction
            .lock(vec![request], self.context.lock_wait())
            .await?;
        Ok(())
    }

    /// Refuses to change what the server itself provides.
    fn check_not_system(&self, relation: &Relation) -> SqlResult<()> {
        if relation.id < crate::catalog::FIRST_USER_OID {
            return Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: \"{}\" is a system catalog", relation.name),
            ));
        }
        Ok(())
    }

    fn relation_by_id(&self, id: u32) -> SqlResult<&Arc<Relation>> {
        self.catalog().relations.get(&id).ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation with OID {id} does not exist"),
            )
        })
    }
}

/// First words of a statement, for messages.
fn verb(statement: &Statement) -> String {
    let text = statement.to_string();
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    words.join(" ").to_uppercase()
}
