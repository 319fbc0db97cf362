//! The extended protocol: Parse, Bind, Describe, Execute, Close, Sync.
//!
//! Everything up to Sync is one implicit transaction. An Execute that Sync follows directly is a transaction of its own and
//! commits before its tag is sent, so that the server may try it again; what else is pending commits at Sync.

use std::sync::Arc;

use planner::eval::SessionView;
use planner::{SqlError, SqlResult, SqlState, Type, types};
use storage::Datum;

use super::deliver::{Formats, describe, send_complete, send_rows};
use super::guard::{guard, protect};
use super::serve::Connection;
use super::simple::pause;
use super::{Outbox, Stopped, Work};
use crate::session::block::Block;
use crate::session::command::Command;
use crate::session::cursor::{Cursor, Portal, Source, State};
use crate::session::prepared::{PreparedStatement, changed_result, same_columns};
use crate::session::rows::{Answer, Complete, RowTag};
use crate::session::{Body, Session};
use crate::wire::body::{invalid_utf8, violation};
use crate::wire::{Bind, Parse, Target};

/// One message of the protocol.
pub enum Step {
    /// Parse
    Parse(Parse),
    /// Bind
    Bind(Bind),
    /// Describe
    Describe(Target),
    /// Execute: portal and row limit.
    Execute(String, usize),
    /// Close
    Close(Target),
}

/// How far Execute came.
enum Executed {
    Complete(Complete),
    Suspended,
}

impl Connection {
    /// Handles one message; an error makes the connection skip to Sync.
    pub(super) async fn extended_step(&mut self, step: Step) -> Work<()> {
        let result = match step {
            Step::Parse(parse) => self.parse(parse).await,
            Step::Bind(bind) => self.bind(bind).await,
            Step::Describe(target) => self.describe(target).await,
            Step::Execute(portal, row_limit) => self.execute(&portal, row_limit).await,
            Step::Close(target) => {
                match target {
                    Target::Statement(name) => self.session.close_statement(&name),
                    Target::Portal(name) => self.session.close_portal(&name),
                }
                self.outbox.output.close_complete();
                Ok(())
            }
        };
        match result {
            Err(Stopped::Error(error)) => {
                self.report(error).await;
                self.skips_to_sync = true;
                Ok(())
            }
            result => result,
        }
    }

    /// Sync: the implicit transaction ends.
    pub(super) async fn sync(&mut self) -> Work<()> {
        let was_skipping = std::mem::take(&mut self.skips_to_sync);
        if !was_skipping && let Err(stopped) = self.end_implicit().await {
            match stopped {
                Stopped::Error(error) => self.report(error).await,
                stopped => return Err(stopped),
            }
        }
        self.ready();
        Ok(())
    }

    async fn parse(&mut self, parse: Parse) -> Work<()> {
        self.shared.arrive(&parse.query);
        if let Some(prepared) = self.session.prepare_known(&parse.query, &parse.types) {
            if parse.name.is_empty() {
                self.session.close_statement("");
            }
            self.session.store_statement(&parse.name, prepared)?;
            self.outbox.output.parse_complete();
            return Ok(());
        }
        let Connection {
            reader,
            outbox,
            session,
            shared,
            ..
        } = self;
        let work = Box::pin(async {
            let mut statements = session.parse(&parse.query)?;
            if statements.len() > 1 {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "cannot insert multiple commands into a prepared statement",
                )
                .into());
            }
            let statement = statements.pop().unwrap_or_else(|| crate::session::Statement {
                text: parse.query.as_str().into(),
                offset: 0,
                body: Body::Empty,
            });
            if parse.name.is_empty() {
                session.close_statement("");
            }
            let prepared = session.prepare(statement, parse.types, false).await?;
            session.store_statement(&parse.name, prepared)?;
            Ok(())
        });
        guard(reader, shared, None, work).await?;
        outbox.output.parse_complete();
        Ok(())
    }

    async fn bind(&mut self, bind: Bind) -> Work<()> {
        let statement = self.session.statement(&bind.statement)?;
        let is_end = matches!(
            &statement.statement.body,
            Body::Command(command)
                if matches!(**command, Command::Commit { .. } | Command::Rollback { .. } | Command::RollbackTo(_))
        );
        if self.session.block() == Block::Failed && !is_end && !matches!(statement.statement.body, Body::Empty) {
            return Err(crate::session::block::aborted().into());
        }
        let shared = self.shared.clone();
        let parameters = protect(async { Ok(parameters(&bind, &statement, &*shared)?) }).await?;
        // Formats are checked now, when the client expects it, and kept as it wrote them.
        let columns = self.session.columns_of(&statement);
        Formats::new(&bind.result_formats, columns.map_or(0, |columns| columns.len()))?;
        if bind.portal.is_empty() {
            self.session.close_portal("");
        }
        self.session
            .store_portal(&bind.portal, statement, parameters, bind.result_formats)?;
        self.outbox.output.bind_complete();
        Ok(())
    }

    async fn describe(&mut self, target: Target) -> Work<()> {
        match target {
            Target::Statement(name) => {
                let statement = self.session.statement(&name)?;
                self.outbox
                    .output
                    .parameter_description(statement.parameters().iter().map(|ty| ty.oid).collect());
                match self.session.columns_of(&statement) {
                    Some(columns) => describe(&columns, &Formats::Text, &mut self.outbox),
                    None => self.outbox.output.no_data(),
                }
            }
            Target::Portal(name) => {
                let portal = self.session.portal(&name)?;
                let formats = portal.formats.clone();
                let bound = match &portal.source {
                    Source::Bound(statement, _) => Some(statement.clone()),
                    Source::Declared(_) => None,
                };
                let columns = portal.columns().or_else(|| self.session.columns_of(bound.as_ref()?));
                match columns {
                    Some(columns) => {
                        let formats = Formats::new(&formats, columns.len())?;
                        describe(&columns, &formats, &mut self.outbox);
                    }
                    None => self.outbox.output.no_data(),
                }
            }
        }
        Ok(())
    }

    async fn execute(&mut self, name: &str, row_limit: usize) -> Work<()> {
        let mut portal = self.session.take_portal(name)?;
        if let Source::Bound(statement, _) = &portal.source {
            self.shared.arrive(&statement.statement.text);
        }
        let is_alone = self.session.block() == Block::Idle && self.reader.sync_is_next();
        let copy = copy_of(&portal);
        let executed = match copy {
            Some(statement) => self.execute_copy(&statement).await?,
            None => self.attempts_of_portal(&mut portal, row_limit, is_alone).await?,
        };
        self.send_notices();
        match &executed {
            Executed::Complete(complete) => {
                send_complete(complete, &mut self.outbox);
                if let State::Ready | State::Open(_) = portal.state {
                    portal.state = State::Done(complete.clone());
                }
            }
            Executed::Suspended => self.outbox.output.portal_suspended(),
        }
        let is_over = is_alone && matches!(executed, Executed::Complete(_));
        if !is_over {
            // What it began goes on until Sync.
            self.session.begin_implicit();
            self.session.put_portal(name, portal);
        }
        Ok(())
    }

    async fn execute_copy(&mut self, statement: &PreparedStatement) -> Work<Executed> {
        let Body::Command(command) = &statement.statement.body else {
            return Ok(Executed::Complete(Complete::Empty));
        };
        let Command::Copy(copy) = &**command else {
            return Ok(Executed::Complete(Complete::Empty));
        };
        self.copy(copy, &statement.statement).await.map(Executed::Complete)
    }

    async fn attempts_of_portal(&mut self, portal: &mut Portal, row_limit: usize, is_alone: bool) -> Work<Executed> {
        let deadline = self.deadline();
        let mark = self.outbox.output.mark();
        let is_fresh = matches!(portal.state, State::Ready);
        let mut attempt = 1;
        loop {
            let Connection {
                reader,
                outbox,
                session,
                shared,
                ..
            } = self;
            let work = Box::pin(run_settled(session, portal, (row_limit, is_alone), outbox));
            let mut result = guard(reader, shared, deadline, work).await;
            if is_alone
                && matches!(result, Ok(Executed::Complete(_)))
                && let Err(stopped) = self.end_implicit().await
            {
                result = Err(stopped);
            }
            match result {
                Err(Stopped::Error(error)) if is_alone && is_fresh && self.may_retry(&error, mark, attempt) => {
                    self.undo().await;
                    portal.state = State::Ready;
                    pause(attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }
}

/// The statement of a portal if it is a COPY, which talks to the client itself.
fn copy_of(portal: &Portal) -> Option<Arc<PreparedStatement>> {
    let Source::Bound(statement, _) = &portal.source else {
        return None;
    };
    match &statement.statement.body {
        Body::Command(command) if matches!(**command, Command::Copy(_)) => Some(statement.clone()),
        _ => None,
    }
}

/// As [`run`]; what the answer rests on cannot be lost any more (DESIGN T4). An answer that waits for a commit next leaves
/// that to the commit.
async fn run_settled(
    session: &mut Session,
    portal: &mut Portal,
    (row_limit, is_alone): (usize, bool),
    outbox: &mut Outbox,
) -> Work<Executed> {
    let result = run(session, portal, (row_limit, is_alone), outbox).await;
    let commits_next = is_alone && matches!(result, Ok(Executed::Complete(_))) && !session.block().is_explicit();
    if !commits_next {
        session.settle().await?;
    }
    result
}

async fn run(
    session: &mut Session,
    portal: &mut Portal,
    (row_limit, is_alone): (usize, bool),
    outbox: &mut Outbox,
) -> Work<Executed> {
    if let State::Ready = portal.state
        && let Some(complete) = begin(session, portal, row_limit, is_alone).await?
    {
        return Ok(Executed::Complete(complete));
    }
    let shared = session.shared.clone();
    match &mut portal.state {
        State::Open(cursor) => {
            let formats = Formats::new(&portal.formats, cursor.columns.len())?;
            let transaction = session.transaction();
            let sent = send_rows(cursor, &formats, row_limit, outbox, (&*shared, transaction.as_deref()));
            let (count, is_at_end) = sent.await?;
            if is_at_end {
                Ok(Executed::Complete(cursor.tag.complete(count)))
            } else {
                Ok(Executed::Suspended)
            }
        }
        // Asking a finished query again gives no rows; a finished command cannot be run twice.
        State::Done(Complete::Counted("SELECT", _)) => Ok(Executed::Complete(Complete::Counted("SELECT", 0))),
        State::Done(_) | State::Ready => Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "portal cannot be run anymore",
        )
        .into()),
    }
}

/// Starts a portal. Rows make it open; anything else is complete at once.
async fn begin(
    session: &mut Session,
    portal: &mut Portal,
    row_limit: usize,
    is_alone: bool,
) -> SqlResult<Option<Complete>> {
    let Source::Bound(prepared, parameters) = &portal.source else {
        return Ok(None);
    };
    let (prepared, parameters) = (prepared.clone(), parameters.clone());
    let statement = &prepared.statement;
    let answer = match &statement.body {
        Body::Empty | Body::Planned(_) => return Ok(Some(Complete::Empty)),
        Body::Command(command) => session.command(command, statement).await?,
        Body::Query(parsed) => match session.plan(&prepared).await? {
            Some(plan) => {
                let at_once = if is_alone && row_limit == 0 {
                    session.read_at_once(&plan, &parameters)
                } else {
                    Ok(None)
                };
                let answer = match at_once {
                    Ok(None) => session.run(parsed, &plan, parameters).await,
                    Ok(Some(answer)) => Ok(answer),
                    Err(error) => Err(error),
                };
                answer.map_err(|error| error.shift(statement.offset))?
            }
            None => return Ok(Some(Complete::Empty)),
        },
    };
    match answer {
        Answer::Done(complete) => Ok(Some(complete)),
        Answer::Rows(mut set) => {
            // It may have been bound anew since the client was told.
            if let Some(told) = session.columns_of(&prepared)
                && !same_columns(Some(&set.columns), Some(&told))
            {
                return Err(changed_result());
            }
            // A statement that writes is carried out to its end, however few rows the client asks for.
            if row_limit > 0 && set.tag != RowTag::Counted("SELECT") {
                set.rows.read_ahead().await;
            }
            portal.state = State::Open(Cursor::new(set, false));
            Ok(None)
        }
    }
}

/// Parameter values as Bind gives them, in the types the statement was bound with.
fn parameters(bind: &Bind, statement: &PreparedStatement, session: &dyn SessionView) -> SqlResult<Arc<[Datum]>> {
    let count = bind.parameters.len();
    let formats = &bind.parameter_formats;
    if formats.len() > 1 && formats.len() != count {
        return Err(violation(format!(
            "bind message has {} parameter formats but {count} parameters",
            formats.len()
        )));
    }
    let types = statement.parameters();
    if count != types.len() {
        return Err(violation(format!(
            "bind message supplies {count} parameters, but prepared statement \"{}\" requires {}",
            bind.statement,
            types.len()
        )));
    }
    let value = |(position, (value, ty)): (usize, (&Option<bytes::Bytes>, &Type))| {
        let Some(bytes) = value else { return Ok(Datum::Null) };
        let format = formats
            .get(if formats.len() > 1 { position } else { 0 })
            .copied()
            .unwrap_or(0);
        match format {
            0 => {
                let text = std::str::from_utf8(bytes).map_err(|error| invalid_utf8(bytes, error.valid_up_to()))?;
                if text.contains('\0') {
                    return Err(invalid_utf8(bytes, text.find('\0').unwrap_or(0)));
                }
                types::input(*ty, text, session)
            }
            1 => types::binary_input(*ty, bytes, session),
            code => Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {code}"),
            )),
        }
        .map_err(|error| error.context(|| parameter_context(position, bytes, format)))
    };
    bind.parameters.iter().zip(types).enumerate().map(value).collect()
}

/// `unnamed portal parameter $1 = '…'`, as PostgreSQL explains a bad parameter.
fn parameter_context(position: usize, bytes: &[u8], format: i16) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if format == 0 && text.len() <= 64 => format!("unnamed portal parameter ${} = '{text}'", position + 1),
        _ => format!("unnamed portal parameter ${}", position + 1),
    }
}
