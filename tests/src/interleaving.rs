//! Interleavings: statements of several sessions in a given order, against any server that speaks the protocol.
//!
//! A statement that does not answer counts as waiting once `pg_blocking_pids` names somebody for its session; then the next
//! step begins. So nothing here measures time.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a step came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Values of its rows.
    pub rows: Vec<String>,
    /// SQLSTATE, if it failed.
    pub error: Option<String>,
    /// Whether it had to wait for another session.
    pub has_waited: bool,
}

impl Step {
    /// The first value as a number; 0 if there is none.
    pub fn number(&self) -> i64 {
        self.rows.first().and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

struct Session {
    pid: i32,
    client: Option<Client>,
    running: Option<(usize, JoinHandle<(Client, Step)>)>,
    /// Whether the running statement was seen to wait.
    has_waited: bool,
    /// Steps that wait for an earlier one of the session.
    queue: VecDeque<(usize, String)>,
}

/// Runs steps (session, statement) in order; sessions are numbered from 0. A step of a session that waits is put off until
/// the session goes on. What each step came to, in the same order.
///
/// # Errors
/// If a connection breaks, or something waits for ever.
pub async fn run(clients: Vec<Client>, watcher: &Client, steps: &[(usize, String)]) -> Result<Vec<Step>> {
    let mut sessions = Vec::new();
    for client in clients {
        let pid = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        sessions.push(Session {
            pid,
            client: Some(client),
            running: None,
            has_waited: false,
            queue: VecDeque::new(),
        });
    }
    let mut done: Vec<Option<Step>> = vec![None; steps.len()];
    let run_all = async {
        for (at, (session, statement)) in steps.iter().enumerate() {
            sessions[*session].queue.push_back((at, statement.clone()));
            advance(&mut sessions, watcher, &mut done).await?;
        }
        while sessions.iter().any(|session| session.running.is_some()) {
            advance(&mut sessions, watcher, &mut done).await?;
        }
        Ok::<(), anyhow::Error>(())
    };
    tokio::time::timeout(PATIENCE, run_all).await??;
    Ok(done.into_iter().flatten().collect())
}

/// Lets every session go on until it has nothing to do or waits for another one.
async fn advance(sessions: &mut [Session], watcher: &Client, done: &mut [Option<Step>]) -> Result<()> {
    let mut has_moved = true;
    while has_moved {
        has_moved = false;
        for session in &mut *sessions {
            if session.running.is_none()
                && let Some((at, statement)) = session.queue.pop_front()
            {
                let Some(client) = session.client.take() else {
                    bail!("a session without statement has no client");
                };
                session.running = Some((at, tokio::spawn(async move { ask(client, &statement).await })));
                session.has_waited = false;
            }
            if session.running.is_some() && is_done(session, watcher).await? {
                finish(session, done).await?;
                has_moved = true;
            }
        }
    }
    Ok(())
}

async fn finish(session: &mut Session, done: &mut [Option<Step>]) -> Result<()> {
    if let Some((at, task)) = session.running.take() {
        let (client, mut step) = task.await?;
        step.has_waited = session.has_waited;
        session.client = Some(client);
        done[at] = Some(step);
    }
    Ok(())
}

/// Returns once the running statement has answered (true) or waits for another session (false).
async fn is_done(session: &mut Session, watcher: &Client) -> Result<bool> {
    loop {
        if session.running.as_ref().is_none_or(|(_, task)| task.is_finished()) {
            return Ok(true);
        }
        let waits = "SELECT cardinality(pg_blocking_pids($1)) > 0";
        if watcher.query_one(waits, &[&session.pid]).await?.get(0) {
            session.has_waited = true;
            return Ok(false);
        }
    }
}

async fn ask(client: Client, statement: &str) -> (Client, Step) {
    let mut step = Step {
        rows: Vec::new(),
        error: None,
        has_waited: false,
    };
    match client.simple_query(statement).await {
        Ok(messages) => {
            for message in messages {
                if let SimpleQueryMessage::Row(row) = message {
                    let values = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL"));
                    step.rows.push(values.collect::<Vec<_>>().join("|"));
                }
            }
        }
        Err(error) => {
            step.error = error
                .code()
                .map(|code| code.code().to_owned())
                .or(Some(error.to_string()))
        }
    }
    (client, step)
}
