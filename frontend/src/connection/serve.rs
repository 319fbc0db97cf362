//! Serve: one connection from accept to close — the loop that waits for messages and hands them on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use planner::{Severity, SqlError, SqlState};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::client::{Outbox, Reader};
use super::startup::{self, Client};
use super::{Stopped, Work, guard};
use crate::server::Server;
use crate::session::Session;
use crate::session::block::Block;
use crate::session::notify::{Notification, Notifier};
use crate::session::settings::{SETTINGS, Values};
use crate::session::shared::{Doing, Shared};
use crate::wire::body::violation;
use crate::wire::message::{self, Message};

/// Longest time a client may take to authenticate, as PostgreSQL's authentication_timeout.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);

/// A client's connection once it has a session.
pub struct Connection {
    /// What the client says.
    pub reader: Reader,
    /// What it is told.
    pub outbox: Outbox,
    /// Its session.
    pub session: Session,
    /// Its session's shared part.
    pub shared: Arc<Shared>,
    queue: mpsc::Receiver<Notification>,
    /// After an error in the extended protocol messages are skipped until Sync.
    pub(super) skips_to_sync: bool,
    /// Settings the client was last told.
    reported: Arc<Values>,
}

/// Serves a client until it leaves.
pub async fn serve<S>(stream: S, addresses: (SocketAddr, SocketAddr), server: Arc<Server>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let starting = tokio::time::timeout(STARTUP_TIMEOUT, start(stream, addresses, &server)).await;
    let Ok(Some((mut connection, _place))) = starting else {
        return;
    };
    if let Err(Stopped::Fatal(error)) = connection.run().await {
        connection.outbox.output.report(&error, Severity::Fatal);
    }
    connection.session.close().await;
    connection.outbox.shutdown().await;
}

async fn start<S>(
    stream: S,
    addresses: (SocketAddr, SocketAddr),
    server: &Arc<Server>,
) -> Option<(Connection, startup::Place)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut client, parameters) = match startup::negotiate(stream, addresses, server).await {
        Ok(Some(applicant)) => applicant,
        Ok(None) => return None,
        Err((client, stopped)) => return refuse(client, stopped).await,
    };
    match startup::open(&mut client, parameters, server).await {
        Ok((shared, place)) => {
            let (sender, queue) = Notifier::queue();
            let session = Session::new(shared.clone(), server.services.clone(), sender);
            let reported = shared.settings.lock().current().clone();
            let Client { reader, outbox, .. } = client;
            let connection = Connection {
                reader,
                outbox,
                session,
                shared,
                queue,
                skips_to_sync: false,
                reported,
            };
            Some((connection, place))
        }
        Err(stopped) => refuse(Some(client), stopped).await,
    }
}

async fn refuse<T>(client: Option<Client>, stopped: Stopped) -> Option<T> {
    if let (Some(mut client), Stopped::Fatal(error) | Stopped::Error(error)) = (client, stopped) {
        tracing::debug!(client = %client.address, %error, "connection refused");
        client.outbox.output.report(&error, Severity::Fatal);
        client.outbox.shutdown().await;
    }
    None
}

impl Connection {
    async fn run(&mut self) -> Work<()> {
        self.ready();
        loop {
            let frame = match self.reader.ready_frame()? {
                Some(frame) => frame,
                None => {
                    self.outbox.flush().await?;
                    self.wait().await?
                }
            };
            let tag = frame.tag;
            match Message::decode(frame) {
                Ok(Message::Terminate) => return Ok(()),
                Ok(message) => self.handle(message).await?,
                Err(error) => self.malformed(tag, error).await?,
            }
            self.outbox.relieve().await?;
        }
    }

    /// Waits for the client, and meanwhile passes on what others tell it.
    async fn wait(&mut self) -> Work<crate::wire::Frame> {
        let deadline = self.idle_deadline();
        loop {
            tokio::select! {
                biased;
                frame = self.reader.frame() => return frame,
                Some(notification) = self.queue.recv(), if self.session.block() == Block::Idle => {
                    self.notify(&notification);
                    self.outbox.flush().await?;
                }
                () = self.shared.terminated() => return Err(Stopped::Fatal(guard::terminated())),
                () = guard::timeout(deadline.map(|(deadline, _)| deadline)) => {
                    return Err(Stopped::Fatal(idle_error(deadline.is_some_and(|(_, in_transaction)| in_transaction))));
                }
            }
        }
    }

    /// When the client has been idle for too long, and whether it is so inside a transaction.
    fn idle_deadline(&self) -> Option<(Instant, bool)> {
        let timeouts = self.shared.settings.lock().current().timeouts;
        let in_transaction = self.session.block() != Block::Idle;
        let timeout = if in_transaction {
            timeouts.idle_in_transaction
        } else {
            timeouts.idle_session
        };
        timeout.map(|timeout| (Instant::now() + timeout, in_transaction))
    }

    async fn handle(&mut self, message: Message) -> Work<()> {
        if self.skips_to_sync && !matches!(message, Message::Sync) {
            return Ok(());
        }
        match message {
            Message::Query(text) => self.query(&text).await,
            Message::Parse(parse) => self.extended_step(super::extended::Step::Parse(parse)).await,
            Message::Bind(bind) => self.extended_step(super::extended::Step::Bind(bind)).await,
            Message::Describe(target) => self.extended_step(super::extended::Step::Describe(target)).await,
            Message::Close(target) => self.extended_step(super::extended::Step::Close(target)).await,
            Message::Execute { portal, row_limit } => {
                self.extended_step(super::extended::Step::Execute(portal, row_limit))
                    .await
            }
            Message::Flush => Ok(self.outbox.flush().await?),
            Message::Sync => self.sync().await,
            // A COPY that failed leaves its data behind; it is not wanted any more.
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => Ok(()),
            Message::Password(_) => Err(Stopped::Fatal(violation("invalid frontend message type 112"))),
            Message::FunctionCall => {
                let error = SqlError::unsupported("the fast-path function call");
                self.report(error).await;
                self.ready();
                Ok(())
            }
            Message::Terminate => Ok(()),
        }
    }

    /// A message whose body is not what its tag says: an error like any other.
    async fn malformed(&mut self, tag: u8, error: SqlError) -> Work<()> {
        if self.skips_to_sync && tag != b'S' {
            return Ok(());
        }
        self.report(error).await;
        if message::is_extended(tag) {
            self.skips_to_sync = true;
        } else {
            self.ready();
        }
        Ok(())
    }

    /// Tells the client of an error, after undoing its statement.
    pub(super) async fn report(&mut self, error: SqlError) {
        let error = self.settle_error(error).await;
        let undone = guard::protect(async {
            self.session.fail().await;
            Ok(())
        });
        if let Err(Stopped::Error(failure) | Stopped::Fatal(failure)) = undone.await {
            tracing::error!(session = self.shared.identity.id, error = %failure, "rollback failed");
        }
        self.send_notices();
        let fields = error.fields();
        tracing::debug!(session = self.shared.identity.id, code = fields.code.0, message = %fields.message, "statement failed");
        self.outbox.output.report(&error, Severity::Error);
    }

    /// An error that nobody waited for yet rests on what the transaction was shown, as a row does (DESIGN T4); that a statement
    /// was stopped rests on nothing.
    async fn settle_error(&mut self, error: SqlError) -> SqlError {
        if error.code() == SqlState::QUERY_CANCELED {
            return error;
        }
        match self.settle(None).await {
            Ok(()) | Err(Stopped::Lost) => error,
            Err(Stopped::Error(other) | Stopped::Fatal(other)) => other,
        }
    }

    /// Waits until nothing the open transaction was shown can be lost (DESIGN T4), unless the statement must stop.
    pub(super) async fn settle(&mut self, deadline: Option<Instant>) -> Work<()> {
        let Connection {
            reader,
            session,
            shared,
            ..
        } = self;
        let settled = Box::pin(async { Ok(session.settle().await?) });
        guard::guard(reader, shared, deadline, settled).await
    }

    /// Sends notices raised since the last time, as far as client_min_messages asks for them.
    pub(super) fn send_notices(&mut self) {
        let notices = std::mem::take(&mut *self.shared.notices.lock());
        if notices.is_empty() {
            return;
        }
        let wanted = self
            .shared
            .show("client_min_messages")
            .map_or(Severity::Notice, |level| severity_of(&level));
        for notice in notices {
            // INFO is always sent; the others from the wanted level on.
            if notice.severity == Severity::Info || notice.severity >= wanted {
                self.outbox.output.report(&notice.report, notice.severity);
            }
        }
    }

    /// ReadyForQuery, with what goes before it: changed settings, and notifications outside a transaction.
    pub(super) fn ready(&mut self) {
        self.send_notices();
        self.report_settings();
        let block = self.session.block();
        if block == Block::Idle {
            while let Ok(notification) = self.queue.try_recv() {
                self.notify(&notification);
            }
        }
        self.outbox.output.ready(block.status());
        self.shared.rest(match block {
            Block::Idle | Block::Implicit => Doing::Idle,
            Block::Open => Doing::IdleInTransaction,
            Block::Failed => Doing::IdleInTransactionAborted,
        });
    }

    fn report_settings(&mut self) {
        let current = self.shared.settings.lock().current().clone();
        if Arc::ptr_eq(&current, &self.reported) {
            return;
        }
        for (position, setting) in SETTINGS.iter().enumerate().filter(|(_, setting)| setting.is_reported) {
            if current.get(position) != self.reported.get(position) {
                self.outbox.output.parameter_status(setting.name, current.get(position));
            }
        }
        self.reported = current;
    }

    fn notify(&mut self, notification: &Notification) {
        self.outbox
            .output
            .notification(notification.sender, &notification.channel, &notification.payload);
    }

    /// When the running statement is out of time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.shared
            .settings
            .lock()
            .current()
            .timeouts
            .statement
            .map(|timeout| Instant::now() + timeout)
    }
}

fn idle_error(in_transaction: bool) -> SqlError {
    if in_transaction {
        let message = "terminating connection due to idle-in-transaction timeout";
        SqlError::new(SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT, message)
    } else {
        SqlError::new(SqlState("57P05"), "terminating connection due to idle-session timeout")
    }
}

fn severity_of(level: &str) -> Severity {
    match level {
        "log" => Severity::Log,
        "notice" => Severity::Notice,
        "warning" => Severity::Warning,
        "error" => Severity::Error,
        level if level.starts_with("debug") => Severity::Debug,
        _ => Severity::Notice,
    }
}
