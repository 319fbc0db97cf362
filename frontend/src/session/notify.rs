//! Notify: LISTEN and NOTIFY between the sessions of a node, and notices a statement raises.
//!
//! Both take effect at COMMIT: a transaction collects what it wants in [`Pending`], in order; ROLLBACK forgets it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use planner::{Severity, SqlError, SqlResult, SqlState};
use tokio::sync::mpsc;

/// Longest payload, as in PostgreSQL.
const PAYLOAD_SIZE_MAX: usize = 8000;
/// Notifications a slow session may have waiting; beyond, new ones for it are dropped with a log line.
const QUEUE_MAX: usize = 65_536;

/// A notice on its way to the client.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Severity.
    pub severity: Severity,
    /// Fields.
    pub report: SqlError,
}

/// What a transaction does to channels when it commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    /// LISTEN
    Listen(String),
    /// UNLISTEN
    Unlisten(String),
    /// UNLISTEN *
    UnlistenAll,
    /// NOTIFY channel, payload
    Notify(String, String),
}

/// A notification as delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Session that sent it.
    pub sender: u32,
    /// Channel.
    pub channel: Arc<str>,
    /// Payload.
    pub payload: Arc<str>,
}

/// Sessions by (database, channel) they listen to.
#[derive(Default)]
pub struct Notifier {
    listeners: Mutex<Listeners>,
}

/// Listening sessions and their queues, by database and channel.
type Listeners = HashMap<(String, String), HashMap<u32, mpsc::Sender<Notification>>>;

impl Notifier {
    /// A queue for a session.
    pub fn queue() -> (mpsc::Sender<Notification>, mpsc::Receiver<Notification>) {
        mpsc::channel(QUEUE_MAX)
    }

    /// Carries out what a committed transaction collected.
    pub fn commit(&self, session: u32, database: &str, queue: &mpsc::Sender<Notification>, pending: Vec<Pending>) {
        let mut listeners = self.listeners.lock();
        let mut sent: Vec<(String, String)> = Vec::new();
        for action in pending {
            match action {
                Pending::Listen(channel) => {
                    listeners
                        .entry((database.to_owned(), channel))
                        .or_default()
                        .insert(session, queue.clone());
                }
                Pending::Unlisten(channel) => {
                    remove(&mut listeners, session, |key| key.0 == database && key.1 == channel)
                }
                Pending::UnlistenAll => remove(&mut listeners, session, |_| true),
                // Equal notifications of one transaction are delivered once.
                Pending::Notify(channel, payload) if sent.contains(&(channel.clone(), payload.clone())) => {}
                Pending::Notify(channel, payload) => {
                    send(&listeners, session, database, &channel, &payload);
                    sent.push((channel, payload));
                }
            }
        }
    }

    /// Channels a session listens to, for `pg_listening_channels()`.
    pub fn channels(&self, session: u32) -> Vec<String> {
        let listeners = self.listeners.lock();
        let mut channels: Vec<String> = listeners
            .iter()
            .filter(|(_, sessions)| sessions.contains_key(&session))
            .map(|((_, channel), _)| channel.clone())
            .collect();
        channels.sort();
        channels
    }

    /// Forgets a session.
    pub fn leave(&self, session: u32) {
        remove(&mut self.listeners.lock(), session, |_| true);
    }
}

fn remove(listeners: &mut Listeners, session: u32, of: impl Fn(&(String, String)) -> bool) {
    listeners.retain(|key, sessions| {
        if of(key) {
            sessions.remove(&session);
        }
        !sessions.is_empty()
    });
}

fn send(listeners: &Listeners, sender: u32, database: &str, channel: &str, payload: &str) {
    let Some(sessions) = listeners.get(&(database.to_owned(), channel.to_owned())) else {
        return;
    };
    let notification = Notification {
        sender,
        channel: channel.into(),
        payload: payload.into(),
    };
    for (session, queue) in sessions {
        if queue.try_send(notification.clone()).is_err() {
            tracing::warn!(
                session,
                channel,
                "notification dropped: the session's queue is full or closed"
            );
        }
    }
}

/// Checks what NOTIFY is given.
///
/// # Errors
/// 22023 for an empty or long channel and a long payload.
pub fn check(channel: &str, payload: &str) -> SqlResult<()> {
    let invalid = |message: &str| Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
    if channel.is_empty() {
        return invalid("channel name cannot be empty");
    }
    if channel.len() > 63 {
        return invalid("channel name too long");
    }
    if payload.len() >= PAYLOAD_SIZE_MAX {
        return invalid("payload string too long");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_reach_listeners_of_the_same_database_once() {
        let notifier = Notifier::default();
        let (ann, mut ann_queue) = Notifier::queue();
        let (bob, mut bob_queue) = Notifier::queue();
        notifier.commit(1, "shop", &ann, vec![Pending::Listen("c".into())]);
        notifier.commit(2, "other", &bob, vec![Pending::Listen("c".into())]);
        let note = Pending::Notify("c".into(), "x".into());
        notifier.commit(3, "shop", &bob, vec![note.clone(), note]);
        assert_eq!(ann_queue.try_recv().unwrap().payload.as_ref(), "x");
        assert!(ann_queue.try_recv().is_err());
        assert!(bob_queue.try_recv().is_err());
        assert_eq!(notifier.channels(1), ["c"]);
        notifier.commit(1, "shop", &ann, vec![Pending::UnlistenAll]);
        assert!(notifier.channels(1).is_empty());
    }
}
