//! Simple queries: a text of statements, one implicit transaction around them unless they say otherwise.

use std::time::Duration;

use planner::{SqlError, SqlState};

use super::deliver::{Formats, describe, send_complete, send_rows};
use super::guard::{guard, protect};
use super::serve::Connection;
use super::{Outbox, Stopped, Work};
use crate::session::block::Block;
use crate::session::command::Command;
use crate::session::cursor::Cursor;
use crate::session::planned::Planned;
use crate::session::rows::{Answer, Complete};
use crate::session::{Body, Session, Statement};

/// Attempts at a statement that a serialization failure or a deadlock undid.
const ATTEMPT_COUNT_MAX: u32 = 10;

/// How a statement stands among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The only one of its transaction: it may be tried again.
    Alone,
    /// One of several; more follow.
    Inner,
    /// The last of several.
    Last,
}

impl Connection {
    /// Runs a text; ends with ReadyForQuery.
    pub(super) async fn query(&mut self, text: &str) -> Work<()> {
        self.shared.arrive(text);
        self.session.close_portal("");
        match self.statements(text).await {
            Ok(()) => {}
            Err(Stopped::Error(error)) => self.report(error).await,
            Err(stopped) => return Err(stopped),
        }
        self.ready();
        Ok(())
    }

    async fn statements(&mut self, text: &str) -> Work<()> {
        if let Some(planned) = self.session.find_plan(text) {
            let cached = planned.statement.clone();
            let statement = Statement {
                text: cached.parsed.text.clone(),
                offset: 0,
                body: Body::Planned(planned),
            };
            let place = if self.session.block() == Block::Idle {
                Place::Alone
            } else {
                Place::Last
            };
            return match self.statement(&statement, place).await {
                Err(Stopped::Error(error)) => Err(Stopped::Error(cached.error_in(error, text))),
                other => other,
            };
        }
        let session = &mut self.session;
        let statements = protect(async move { Ok(session.parse(text)?) }).await?;
        let count = statements.len();
        if count == 0 {
            self.outbox.output.empty_query();
            return self.end_implicit().await;
        }
        for (position, statement) in statements.iter().enumerate() {
            let place = match position + 1 {
                1 if count == 1 && self.session.block() == Block::Idle => Place::Alone,
                last if last == count => Place::Last,
                _ => Place::Inner,
            };
            if place != Place::Alone {
                self.session.begin_implicit();
            }
            self.statement(statement, place).await?;
        }
        Ok(())
    }

    async fn statement(&mut self, statement: &Statement, place: Place) -> Work<()> {
        let complete = match &statement.body {
            Body::Command(command) if matches!(**command, Command::Copy(_)) => {
                let Command::Copy(copy) = &**command else { return Ok(()) };
                let complete = self.copy(copy, statement).await?;
                self.commit_if(place != Place::Inner).await?;
                complete
            }
            _ => self.attempts(statement, place).await?,
        };
        self.send_notices();
        send_complete(&complete, &mut self.outbox);
        Ok(())
    }

    /// Runs a statement, again if it was undone by others and nobody has seen anything of it.
    async fn attempts(&mut self, statement: &Statement, place: Place) -> Work<Complete> {
        let deadline = self.deadline();
        let mark = self.outbox.output.mark();
        let mut attempt = 1;
        loop {
            let Connection {
                reader,
                outbox,
                session,
                shared,
                ..
            } = self;
            let work = Box::pin(run_settled(session, statement, place, outbox));
            let mut result = guard(reader, shared, deadline, work).await;
            if let (Ok(_), true) = (&result, place != Place::Inner)
                && let Err(stopped) = self.commit_if(true).await
            {
                result = Err(stopped);
            }
            match result {
                Err(Stopped::Error(error)) if place == Place::Alone && self.may_retry(&error, mark, attempt) => {
                    self.undo().await;
                    pause(attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Commits the implicit transaction, if this is its end. Not interrupted.
    pub(super) async fn commit_if(&mut self, is_end: bool) -> Work<()> {
        if is_end { self.end_implicit().await } else { Ok(()) }
    }

    /// Commits the implicit transaction.
    pub(super) async fn end_implicit(&mut self) -> Work<()> {
        let session = &mut self.session;
        protect(Box::pin(async { Ok(session.end_implicit().await?) })).await
    }

    /// Whether a failed statement can be run again without anyone noticing.
    pub(super) fn may_retry(&mut self, error: &SqlError, mark: crate::wire::output::Mark, attempt: u32) -> bool {
        let is_undone = matches!(
            error.code(),
            SqlState::SERIALIZATION_FAILURE | SqlState::DEADLOCK_DETECTED
        );
        is_undone
            && attempt < ATTEMPT_COUNT_MAX
            && self.session.block() == Block::Idle
            && self.outbox.output.take_back(mark)
    }

    /// Undoes an attempt.
    pub(super) async fn undo(&mut self) {
        let session = &mut self.session;
        let undone = protect(async {
            session.fail().await;
            Ok(())
        });
        if let Err(Stopped::Error(error)) = undone.await {
            tracing::error!(session = self.shared.identity.id, %error, "rollback failed");
        }
        self.shared.notices.lock().clear();
    }
}

/// Waits longer after each attempt, and never as long as another.
pub(super) async fn pause(attempt: u32) {
    let most = Duration::from_millis(1 << attempt.min(6));
    tokio::time::sleep(most.mul_f64(rand::random::<f64>())).await;
}

/// As [`run`]; what the answer rests on cannot be lost any more (DESIGN T4). An answer that waits for a commit next leaves
/// that to the commit.
async fn run_settled(
    session: &mut Session,
    statement: &Statement,
    place: Place,
    outbox: &mut Outbox,
) -> Work<Complete> {
    let result = run(session, statement, place == Place::Alone, outbox).await;
    let commits_next = place != Place::Inner && !session.block().is_explicit();
    if result.is_err() || !commits_next {
        session.settle().await?;
    }
    result
}

/// Runs one statement and sends its rows.
async fn run(session: &mut Session, statement: &Statement, is_alone: bool, outbox: &mut Outbox) -> Work<Complete> {
    let answer = match &statement.body {
        Body::Empty => return Ok(Complete::Empty),
        Body::Command(command) => session.command(command, statement).await?,
        Body::Planned(Planned { statement, parameters }) => {
            let at_once = match is_alone {
                true => session.read_at_once(&statement.prepared, parameters)?,
                false => None,
            };
            match at_once {
                Some(answer) => answer,
                None => {
                    session
                        .run(&statement.parsed, &statement.prepared, parameters.clone())
                        .await?
                }
            }
        }
        Body::Query(parsed) => {
            let prepared = session.bind(parsed, statement.offset, &[]).await?;
            if let Some(position) = prepared.parameters.len().checked_sub(1) {
                return Err(no_parameter(position).into());
            }
            session.learn(&prepared);
            session
                .run(parsed, &prepared, [].into())
                .await
                .map_err(|error| error.shift(statement.offset))?
        }
    };
    match answer {
        Answer::Done(complete) => Ok(complete),
        Answer::Rows(set) => {
            let formats = if set.is_binary { Formats::Binary } else { Formats::Text };
            describe(&set.columns, &formats, outbox);
            let mut cursor = Cursor::new(set, false);
            let shared = session.shared.clone();
            let transaction = session.transaction();
            let (count, _) = send_rows(&mut cursor, &formats, 0, outbox, (&*shared, transaction.as_deref())).await?;
            Ok(cursor.tag.complete(count))
        }
    }
}

/// 42P02: a simple query has no parameters.
fn no_parameter(position: usize) -> SqlError {
    SqlError::new(
        SqlState::UNDEFINED_PARAMETER,
        format!("there is no parameter ${}", position + 1),
    )
}
