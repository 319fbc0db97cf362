//! Temporary objects: ordinary ones, in a schema of their session.
//!
//! The first temporary object makes the schema `pg_temp_N`, N being the session's number. Names find it first, unless
//! `search_path` says where `pg_temp` stands. Temporary tables cost what other tables cost; what is different is who sees
//! them, and that they end with their session: its close drops them, or, after a crash, the server's next start.

use std::sync::Arc;

use sqlparser::ast::ObjectName;
use txn::{LockName, LockRequest, LockWait, Mode, Transaction};

use super::Ddl;
use super::known_paths::forget_documents;
use super::names::position;
use crate::catalog::registry::{self, Object};
use crate::catalog::{Catalog, OnCommit, Relation, RelationKind, Schema, TEMPORARY_PREFIX};
use crate::eval::SessionView;
use crate::statement::{Planner, StatementContext};
use crate::{SqlError, SqlResult, SqlState};

impl Catalog {
    /// Whether a session has temporary tables that COMMIT empties or drops.
    pub fn has_on_commit(&self, session: &dyn SessionView) -> bool {
        self.temporary_schema(session).is_some_and(|schema| {
            self.relations
                .values()
                .any(|relation| relation.schema == schema.id && relation.on_commit != OnCommit::PreserveRows)
        })
    }

    fn inside(&self, schema: u32) -> impl Iterator<Item = &Arc<Relation>> {
        self.relations
            .values()
            .filter(move |relation| relation.schema == schema)
    }
}

impl Ddl<'_> {
    /// Where a new object of this name goes: as [`Ddl::target`] says, or into the session's temporary schema, which is made
    /// if this is its first object.
    pub(super) async fn target_of(&self, name: &ObjectName, temporary: bool) -> SqlResult<(Schema, String)> {
        let session = &*self.context.session;
        let (written, relation) = self.split(name)?;
        let own = self.catalog().temporary_schema(session);
        let is_temporary = match written.as_deref() {
            Some("pg_temp") => true,
            Some(schema) if own.is_some_and(|own| own.name == schema) => true,
            Some(_) if temporary => {
                return Err(SqlError::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    "cannot create temporary relation in non-temporary schema",
                )
                .at(position(name)));
            }
            Some(schema)
                if schema.starts_with(TEMPORARY_PREFIX) && self.catalog().schema_of(session, schema).is_some() =>
            {
                return Err(SqlError::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    "cannot create relations in temporary schemas of other sessions",
                )
                .at(position(name)));
            }
            Some(_) => false,
            None => temporary || self.catalog().creates_temporary(session),
        };
        if !is_temporary {
            let (schema, relation) = self.target(name)?;
            return Ok((schema.clone(), relation));
        }
        if let Some(own) = own {
            return Ok((own.clone(), relation));
        }
        let schema = Schema {
            id: self.allocate_oid().await?,
            database: self.catalog().session_database(session),
            name: format!("{TEMPORARY_PREFIX}{}", session.backend_pid()),
            owner: crate::catalog::BOOTSTRAP_ROLE,
            comment: None,
        };
        self.put(Object::Schema(schema.clone()))?;
        Ok((schema, relation))
    }

    /// 42P16 for a foreign key between a temporary and a permanent table.
    pub(super) fn check_persistence(&self, table: &Relation, parent: &Relation) -> SqlResult<()> {
        let is_temporary = |relation: &Relation| match self.catalog().schemas.get(&relation.schema) {
            Some(schema) => schema.is_temporary(),
            // Not in the catalog yet: the schema this very statement made.
            None => true,
        };
        let message = match (is_temporary(table), is_temporary(parent)) {
            (false, true) => "constraints on permanent tables may reference only permanent tables",
            (true, false) => "constraints on temporary tables may reference only temporary tables",
            _ => return Ok(()),
        };
        Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message))
    }
}

impl Planner {
    /// What COMMIT does to a session's temporary tables. Says whether it changed the catalog.
    ///
    /// # Errors
    /// What the locks and the writes report.
    pub async fn on_commit_temporary(&self, context: &StatementContext) -> SqlResult<bool> {
        let Some(schema) = context.catalog.temporary_schema(&*context.session) else {
            return Ok(false);
        };
        let mut dropped = false;
        for relation in context.catalog.inside(schema.id) {
            match relation.on_commit {
                OnCommit::PreserveRows => {}
                OnCommit::DeleteRows => clear(&context.transaction, relation).await?,
                OnCommit::Drop => {
                    clear(&context.transaction, relation).await?;
                    for dependent in with_owned(&context.catalog, relation) {
                        registry::remove(&context.transaction, &Object::Relation(Box::new(dependent)))?;
                    }
                    dropped = true;
                }
            }
        }
        Ok(dropped)
    }

    /// Removes a session's temporary objects inside its transaction (DISCARD TEMP).
    ///
    /// # Errors
    /// What the locks and the writes report.
    pub async fn discard_temporary(&self, context: &StatementContext) -> SqlResult<()> {
        match context.catalog.temporary_schema(&*context.session) {
            Some(schema) => discard(&context.transaction, &context.catalog, schema).await,
            None => Ok(()),
        }
    }

    /// Removes the temporary objects of one session that has ended, or of all sessions there ever were.
    ///
    /// # Errors
    /// What the locks, the writes and the commit report.
    pub async fn drop_temporary(&self, transaction: Transaction, session: Option<i32>) -> SqlResult<()> {
        let catalog = self.catalog().await?;
        let schemas: Vec<&Schema> = match session {
            Some(session) => catalog
                .temporary
                .get(&session)
                .and_then(|id| catalog.schemas.get(id))
                .into_iter()
                .collect(),
            None => catalog
                .schemas
                .values()
                .filter(|schema| schema.is_temporary())
                .collect(),
        };
        if schemas.is_empty() {
            transaction.rollback().await;
            return Ok(());
        }
        transaction.begin_statement(true).await?;
        for schema in schemas {
            discard(&transaction, &catalog, schema).await?;
            registry::remove(&transaction, &Object::Schema(schema.clone()))?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

async fn discard(transaction: &Transaction, catalog: &Catalog, schema: &Schema) -> SqlResult<()> {
    for relation in catalog.inside(schema.id) {
        clear(transaction, relation).await?;
        registry::remove(transaction, &Object::Relation(Box::new(Relation::clone(relation))))?;
    }
    Ok(())
}

/// A table and its sequences.
fn with_owned(catalog: &Catalog, table: &Arc<Relation>) -> Vec<Relation> {
    let owned = catalog.inside(table.schema).filter(|relation| {
        let sequence = relation.sequence.as_ref();
        sequence
            .and_then(|sequence| sequence.owned_by)
            .is_some_and(|(owner, _)| owner == table.id)
    });
    owned.chain([table]).map(|relation| Relation::clone(relation)).collect()
}

async fn clear(transaction: &Transaction, relation: &Relation) -> SqlResult<()> {
    if relation.kind != RelationKind::Table {
        return Ok(());
    }
    let request = LockRequest {
        name: LockName::Table(relation.id),
        mode: Mode::AccessExclusive,
        add: None,
    };
    transaction.lock(vec![request], LockWait::Wait(None)).await?;
    transaction.clear_table(relation.id)?;
    forget_documents(transaction, relation);
    for index in relation.indexes.iter().filter(|index| !index.primary) {
        transaction.clear_index(relation.id, index.id)?;
    }
    Ok(())
}
