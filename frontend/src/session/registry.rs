//! Registry: the sessions of this node, for cancel requests, `pg_stat_activity` and shutdown.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use planner::{SqlError, SqlResult, SqlState};
use tokio::sync::Notify;

use super::advisory::Advisory;
use super::shared::{Shared, Stop};

/// The sessions of this node.
pub struct Registry {
    sessions: RwLock<Sessions>,
    count_max: usize,
    is_empty: Notify,
    /// Advisory locks of the sessions.
    pub advisory: Advisory,
}

#[derive(Default)]
struct Sessions {
    by_id: BTreeMap<u32, Option<Arc<Shared>>>,
    last_id: u32,
    is_closed: bool,
}

impl Registry {
    /// A registry with room for a number of sessions.
    pub fn new(count_max: usize) -> Self {
        Self {
            sessions: RwLock::default(),
            count_max,
            is_empty: Notify::new(),
            advisory: Advisory::default(),
        }
    }

    /// Most sessions at a time.
    pub fn count_max(&self) -> usize {
        self.count_max
    }

    /// Takes a place and a number for a connection that is starting.
    ///
    /// # Errors
    /// 53300 when all places are taken, 57P03 during shutdown.
    pub fn reserve(&self) -> SqlResult<u32> {
        let mut sessions = self.sessions.write();
        if sessions.is_closed {
            return Err(SqlError::new(
                SqlState::CANNOT_CONNECT_NOW,
                "the database system is shutting down",
            ));
        }
        if sessions.by_id.len() >= self.count_max {
            return Err(SqlError::new(
                SqlState::TOO_MANY_CONNECTIONS,
                "sorry, too many clients already",
            ));
        }
        // Numbers look like process ids: positive, and not used again soon.
        let mut id = sessions.last_id;
        loop {
            id = if id >= i32::MAX as u32 { 1 } else { id + 1 };
            if !sessions.by_id.contains_key(&id) {
                break;
            }
        }
        sessions.last_id = id;
        sessions.by_id.insert(id, None);
        Ok(id)
    }

    /// Makes a session visible.
    pub fn enter(&self, shared: Arc<Shared>) {
        self.sessions.write().by_id.insert(shared.identity.id, Some(shared));
    }

    /// Gives the place back.
    pub fn leave(&self, id: u32) {
        self.advisory.end_session(id);
        let mut sessions = self.sessions.write();
        sessions.by_id.remove(&id);
        if sessions.by_id.is_empty() {
            self.is_empty.notify_waiters();
        }
    }

    /// A session by number.
    pub fn get(&self, id: u32) -> Option<Arc<Shared>> {
        self.sessions.read().by_id.get(&id).cloned().flatten()
    }

    /// All sessions by number.
    pub fn all(&self) -> Vec<Arc<Shared>> {
        self.sessions.read().by_id.values().flatten().cloned().collect()
    }

    /// Number of connections.
    pub fn count(&self) -> usize {
        self.sessions.read().by_id.len()
    }

    /// A cancel request: ignored unless the secret is right.
    pub fn cancel(&self, id: u32, secret: &[u8]) -> bool {
        match self.get(id) {
            Some(session) if session.identity.secret == secret => {
                session.stop(Stop::Cancel);
                true
            }
            _ => false,
        }
    }

    /// Refuses new sessions and ends all others; resolves when they are gone.
    pub async fn close(&self) {
        loop {
            let gone = self.is_empty.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            self.sessions.write().is_closed = true;
            if self.count() == 0 {
                return;
            }
            self.all().iter().for_each(|session| session.stop(Stop::Terminate));
            gone.await;
        }
    }
}
