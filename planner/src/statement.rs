//! Statement: what the front end calls. One text comes in, prepared statements and row streams go out.

use std::sync::Arc;

use futures::stream::BoxStream;
use storage::Datum;
use tokio_util::sync::CancellationToken;
use txn::{Node, Transaction};

use crate::catalog::Catalog;
use crate::eval::SessionView;
use crate::{SqlResult, Type};

/// One statement of a text.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// Syntax tree.
    pub ast: Arc<sqlparser::ast::Statement>,
    /// The statement's own text, for `pg_stat_activity` and error positions.
    pub text: Arc<str>,
    /// Characters of the whole text before this statement (positions count from the whole text).
    pub offset: u32,
}

/// A column of a result.
#[derive(Clone, Debug)]
pub struct ResultColumn {
    /// Name.
    pub name: String,
    /// Type.
    pub ty: Type,
    /// Table the column comes from, or 0.
    pub table: u32,
    /// attnum in that table, or 0.
    pub attribute: i16,
}

/// A statement bound and ready to run with parameters.
#[derive(Clone)]
pub struct Prepared {
    /// Parameter types, inferred where the client left them open.
    pub parameters: Vec<Type>,
    /// Result columns; `None` if the statement returns no rows.
    pub columns: Option<Arc<[ResultColumn]>>,
    /// Catalog version it was bound against; a session binds again when the catalog moved on.
    pub catalog_version: u64,
    /// What to run.
    pub(crate) plan: Arc<crate::statement::Plan>,
}

/// What a prepared statement runs; the planner's own business.
pub(crate) enum Plan {}

/// What running a statement gives.
pub enum Execution {
    /// Rows, in batches, and the tag's verb once they end (`SELECT 3`; for `INSERT … RETURNING` see [`Tag`]).
    Rows {
        /// Columns of the rows.
        columns: Arc<[ResultColumn]>,
        /// Batches of rows.
        rows: BoxStream<'static, SqlResult<Vec<Vec<Datum>>>>,
        /// Verb of the command tag; the front end counts the rows.
        verb: Verb,
    },
    /// No rows.
    Done(Tag),
}

/// Verb of a command tag that counts rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the verbs of their names")]
pub enum Verb {
    Select,
    Insert,
    Update,
    Delete,
    Explain,
    Show,
}

/// A command tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `INSERT 0 5`, `UPDATE 3`, `DELETE 1`, `SELECT 2` (CREATE TABLE AS).
    Count(Verb, u64),
    /// `CREATE TABLE` and the like.
    Text(&'static str),
}

/// What a statement runs in. Shared by its operators.
#[derive(Clone)]
pub struct StatementContext {
    /// The session's transaction.
    pub transaction: Arc<Transaction>,
    /// Catalog as this transaction sees it.
    pub catalog: Arc<Catalog>,
    /// Session facts.
    pub session: Arc<dyn SessionView>,
    /// Parameter values.
    pub parameters: Arc<[Datum]>,
    /// Cancels the statement: by the client, `statement_timeout`, or the loss of the client.
    pub cancel: CancellationToken,
}

/// The planner of a node.
pub struct Planner {
    /// The node below.
    pub node: Arc<Node>,
}

#[allow(unused_variables, reason = "bodies arrive with the first planner slice")]
impl Planner {
    /// Opens the planner; creates the registry's first rows (database and role `cambium`, schema `public`) in a new node.
    pub async fn open(node: Arc<Node>) -> SqlResult<Arc<Planner>> {
        todo!()
    }
    /// Splits and parses a text. An empty text gives no statements. Errors carry PostgreSQL's text and position.
    pub fn parse(&self, sql: &str) -> SqlResult<Vec<Parsed>> {
        todo!()
    }
    /// The newest committed catalog of a database, as of now.
    pub async fn catalog(&self) -> SqlResult<Arc<Catalog>> {
        todo!()
    }
    /// The catalog inside a transaction that ran DDL.
    pub async fn catalog_within(&self, transaction: &Transaction) -> SqlResult<Arc<Catalog>> {
        todo!()
    }
    /// Binds a statement: SELECT, DML, DDL, EXPLAIN. Transaction control, SET/SHOW, PREPARE/EXECUTE, cursors and COPY are the
    /// session's (front end), which calls back here for the queries inside them.
    pub fn prepare(
        &self,
        catalog: &Arc<Catalog>,
        session: &dyn SessionView,
        statement: &Parsed,
        parameter_types: &[u32],
    ) -> SqlResult<Prepared> {
        todo!()
    }
    /// Runs a prepared statement. The caller has called `Transaction::begin_statement`, and after an error rolls the
    /// transaction back to the mark it set before.
    pub async fn execute(&self, context: &StatementContext, prepared: &Prepared) -> SqlResult<Execution> {
        todo!()
    }
    /// Inserts rows that COPY FROM decoded (values in the order of `columns`), with defaults and constraints as INSERT.
    pub async fn copy_in(
        &self,
        context: &StatementContext,
        table: u32,
        columns: &[u16],
        rows: Vec<Vec<Datum>>,
    ) -> SqlResult<u64> {
        todo!()
    }
}
