//! Session: what one client's statements mean, between the wire and the planner.
//!
//! ```text
//!   text ─ lexer ─► pieces ─┬─ command  ─► BEGIN, SET, PREPARE, DECLARE, LISTEN …   answered here
//!                           └─ Parsed ──► Planner::prepare ─► execute ─► rows
//!                                              ▲ catalog      ▲ transaction of the block
//! ```
//!
//! A session knows nothing of sockets: it takes statements and gives [`rows::Answer`]s. The connection encodes them, watches
//! for cancel requests and lost clients, and decides when an implicit block ends.
//!
//! Invariants
//!  S1  A transaction is open exactly while a statement runs or a block other than Idle has touched data.
//!  S2  Rows still being read are read to their end before the next statement takes a new snapshot (READ COMMITTED moves it).
//!  S3  After an error nothing of the failed statement stays: the block falls back to its last savepoint, or is gone.

pub mod advisory;
pub mod block;
pub mod calls;
mod cluster;
pub mod command;
pub mod cursor;
pub mod lexer;
pub mod notify;
pub mod planned;
pub mod prepared;
pub mod registry;
pub mod rows;
pub mod sequences;
pub mod settings;
pub mod shared;
mod temporary;
pub mod transaction;
pub mod variables;
pub mod view;

use std::collections::HashMap;
use std::sync::Arc;

use planner::cached::Unknown;
use planner::statement::{Parsed, Planner};
use planner::{SqlError, SqlResult, SqlState};
use tokio::sync::mpsc;
use txn::Transaction;

use block::Block;
use command::{Command, Discard};
use cursor::Portal;
use notify::{Notification, Notifier, Pending};
use planned::Planned;
use prepared::{Arguments, PreparedStatement};
use registry::Registry;
use rows::{Answer, Complete};
use shared::Shared;
use transaction::Savepoint;

/// What all sessions of a node share.
pub struct Services {
    /// The planner.
    pub planner: Arc<Planner>,
    /// The sessions.
    pub registry: Arc<Registry>,
    /// Channels.
    pub notifier: Arc<Notifier>,
}

/// One statement of a text.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its own text.
    pub text: Arc<str>,
    /// Characters of the whole text before it.
    pub offset: u32,
    /// What it is.
    pub body: Body,
}

/// What a statement is.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing (extended protocol only).
    Empty,
    /// A session command.
    Command(Arc<Command>),
    /// A statement for the planner.
    Query(Parsed),
    /// A statement that was bound before (simple protocol only).
    Planned(Planned),
}

/// One client's session.
pub struct Session {
    /// What others may touch.
    pub shared: Arc<Shared>,
    services: Arc<Services>,
    block: Block,
    transaction: Option<Arc<Transaction>>,
    /// Whether a query ran in this transaction; its isolation can no longer change.
    has_queried: bool,
    /// Whether the transaction changed the catalog, so that it sees one of its own.
    has_catalog_changes: bool,
    /// Whether the session may have temporary objects: it ran DDL.
    may_have_temporary: bool,
    savepoints: Vec<Savepoint>,
    statements: HashMap<String, Arc<PreparedStatement>>,
    portals: HashMap<String, Portal>,
    queue: mpsc::Sender<Notification>,
    /// A simple query that has no plan yet, once it was looked for.
    unlearned: Option<(String, Unknown)>,
}

impl Session {
    /// A session that has just begun.
    pub fn new(shared: Arc<Shared>, services: Arc<Services>, queue: mpsc::Sender<Notification>) -> Self {
        Self {
            shared,
            services,
            block: Block::Idle,
            transaction: None,
            has_queried: false,
            has_catalog_changes: false,
            may_have_temporary: false,
            savepoints: Vec::new(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            queue,
            unlearned: None,
        }
    }

    /// State of the transaction block.
    pub fn block(&self) -> Block {
        self.block
    }

    /// Whether statements have begun something that is not committed or rolled back yet.
    pub fn is_in_transaction(&self) -> bool {
        self.transaction.is_some() || self.block != Block::Idle
    }

    /// What the node's sessions share.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Splits and parses a text. Errors point into the whole text.
    ///
    /// # Errors
    /// 42601 and what else the parser raises.
    pub fn parse(&self, text: &str) -> SqlResult<Vec<Statement>> {
        let mut statements = Vec::new();
        let (mut byte, mut offset) = (0, 0);
        for piece in lexer::split(text) {
            offset += text[byte..piece.start].chars().count() as u32;
            byte = piece.start;
            statements.push(self.parse_one(&text[piece], offset)?);
        }
        Ok(statements)
    }

    pub(crate) fn parse_one(&self, text: &str, offset: u32) -> SqlResult<Statement> {
        let body = match command::parse(text).map_err(|error| error.shift(offset))? {
            Some(command) => Body::Command(Arc::new(command)),
            None => match self
                .services
                .planner
                .parse(text)
                .map_err(|error| error.shift(offset))?
                .into_iter()
                .next()
            {
                Some(parsed) => Body::Query(parsed),
                None => Body::Empty,
            },
        };
        Ok(Statement {
            text: text.into(),
            offset,
            body,
        })
    }

    /// Parses a piece of a statement as a statement of its own (the query of DECLARE, the body of PREPARE).
    pub(crate) fn parse_piece(&self, statement: &Statement, piece: &command::Piece) -> SqlResult<Statement> {
        let before = statement.text[..piece.start].chars().count() as u32;
        self.parse_one(&statement.text[piece.clone()], statement.offset + before)
    }

    /// Runs a command that needs no more than the session. COPY is the connection's.
    ///
    /// # Errors
    /// What PostgreSQL raises; the caller then calls [`fail`](Self::fail).
    pub async fn command(&mut self, command: &Command, statement: &Statement) -> SqlResult<Answer> {
        self.check_not_failed(command)?;
        let done = |tag| Ok(Answer::Done(Complete::Fixed(tag)));
        match command {
            Command::Begin { modes, tag } => self.begin_block(modes, tag).await,
            Command::Commit { chain } => self.commit_block(*chain).await,
            Command::Rollback { chain } => self.rollback_block(*chain).await,
            Command::Savepoint(name) => self.savepoint(name),
            Command::Release(name) => self.release(name),
            Command::RollbackTo(name) => self.rollback_to(name).await,
            Command::SetTransaction(modes) => self.set_transaction(modes),
            Command::SetCharacteristics(modes) => self.set_characteristics(modes),
            Command::TwoPhase(what) => Err(SqlError::unsupported(what)
                .hint("Cambium commits across shards by itself; there is no client-side two-phase commit.")),
            Command::Set { name, value, scope } => self.set(name, value, *scope),
            Command::SetRole(role, scope) => self.set_role(role.as_deref(), *scope).await,
            Command::SetAuthorization(role, scope) => self.set_authorization(role.as_deref(), *scope).await,
            Command::SetConstraints { names, is_deferred } => {
                self.set_constraints(names.as_deref(), *is_deferred).await
            }
            Command::Show(name) => self.show(name.as_deref()),
            Command::Reset(name) => self.reset(name.as_deref()),
            Command::Discard(what) => self.discard(*what).await,
            Command::Prepare {
                name,
                types,
                statement: piece,
            } => {
                let inner = self.parse_piece(statement, piece)?;
                self.prepare_by_name(name, types, inner).await
            }
            Command::Execute { name, arguments } => {
                let arguments = arguments.as_ref().map(|piece| Arguments {
                    text: &statement.text[piece.clone()],
                    offset: statement.offset + statement.text[..piece.start].chars().count() as u32,
                });
                self.execute_by_name(name, arguments.as_ref()).await
            }
            Command::Deallocate(name) => self.deallocate(name.as_deref()),
            Command::Declare(declare) => {
                let query = self.parse_piece(statement, &declare.query)?;
                self.declare(declare, query).await
            }
            Command::Fetch {
                cursor,
                direction,
                is_move,
            } => self.fetch(cursor, *direction, *is_move).await,
            Command::Close(name) => self.close_cursor(name.as_deref()),
            Command::Listen(channel) => self.pend(Pending::Listen(channel.clone()), "LISTEN"),
            Command::Unlisten(Some(channel)) => self.pend(Pending::Unlisten(channel.clone()), "UNLISTEN"),
            Command::Unlisten(None) => self.pend(Pending::UnlistenAll, "UNLISTEN"),
            Command::Notify { channel, payload } => {
                notify::check(channel, payload)?;
                self.pend(Pending::Notify(channel.clone(), payload.clone()), "NOTIFY")
            }
            Command::Copy(_) => Err(SqlError::unsupported("COPY in this place")),
            Command::Checkpoint => {
                let node = self.services.planner.node.clone();
                tokio::task::spawn_blocking(move || node.checkpoint())
                    .await
                    .map_err(|error| SqlError::new(SqlState::INTERNAL_ERROR, error.to_string()))??;
                done("CHECKPOINT")
            }
            Command::Maintain { tag, tables } => self.maintain(tag, tables).await,
        }
    }

    /// VACUUM, ANALYZE: checks the tables.
    async fn maintain(&mut self, tag: &'static str, tables: &[command::Named]) -> SqlResult<Answer> {
        if tag == "VACUUM" && self.block != Block::Idle {
            return Err(block::forbids_block(tag));
        }
        let catalog = self.catalog().await?;
        for table in tables {
            let name = &table.name;
            let found = catalog.relation(&*self.shared, table.schema.as_deref(), name);
            let relation = found.ok_or_else(|| {
                SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
            })?;
            if let Some(column) = table
                .columns
                .iter()
                .find(|wanted| relation.live_columns().all(|(_, c)| c.name != **wanted))
            {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column \"{column}\" of relation \"{name}\" does not exist"),
                ));
            }
        }
        Ok(Answer::Done(Complete::Fixed(tag)))
    }

    /// 25P02 unless the block is fine or the command ends it.
    ///
    /// # Errors
    /// 25P02
    pub fn check_not_failed(&self, command: &Command) -> SqlResult<()> {
        let ends = matches!(
            command,
            Command::Commit { .. } | Command::Rollback { .. } | Command::RollbackTo(_)
        );
        if self.block == Block::Failed && !ends {
            Err(block::aborted())
        } else {
            Ok(())
        }
    }

    fn pend(&mut self, pending: Pending, tag: &'static str) -> SqlResult<Answer> {
        self.shared.pending.lock().push(pending);
        Ok(Answer::Done(Complete::Fixed(tag)))
    }

    async fn discard(&mut self, what: Discard) -> SqlResult<Answer> {
        let tag = match what {
            Discard::All => {
                if self.block != Block::Idle {
                    return Err(block::forbids_block("DISCARD ALL"));
                }
                self.portals.clear();
                self.reset_role();
                self.shared.settings.lock().reset_all();
                self.statements.clear();
                self.shared.pending.lock().push(Pending::UnlistenAll);
                *self.shared.sequences.lock() = shared::Sequences::default();
                self.discard_temporary().await?;
                "DISCARD ALL"
            }
            Discard::Plans => {
                self.statements.values().for_each(|statement| statement.forget_plan());
                "DISCARD PLANS"
            }
            Discard::Sequences => {
                *self.shared.sequences.lock() = shared::Sequences::default();
                "DISCARD SEQUENCES"
            }
            Discard::Temp => {
                self.discard_temporary().await?;
                "DISCARD TEMP"
            }
        };
        Ok(Answer::Done(Complete::Fixed(tag)))
    }

    /// Ends the session: what is open is rolled back.
    pub async fn close(&mut self) {
        self.portals.clear();
        if let Some(transaction) = self.transaction.take() {
            transaction.rollback().await;
        }
        self.drop_temporary().await;
        self.services.notifier.leave(self.shared.identity.id);
    }
}

/// 26000
fn no_statement(name: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_SQL_STATEMENT_NAME,
        format!("prepared statement \"{name}\" does not exist"),
    )
}
