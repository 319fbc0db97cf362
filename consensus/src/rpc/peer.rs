//! Peer: another node as this one calls it; the connection is made when it is needed, and made again when it is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::Context;
use super::budget::Budget;
use super::frame::{BODY_BYTES_MAX, PIECE_BYTES, To};
use super::hello::Refusal;
use super::link::{Lane, Link, LinkError};
use crate::transport::TransportError;
use crate::types::NodeId;

/// Bytes of requests to one node that are not answered, at most, of each kind. More have to wait; see [`Budget`].
const BYTES_IN_FLIGHT_MAX: usize = 64 << 20;

/// Time between attempts to connect, at first and at last.
const BACK_OFF_MIN: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// The state of the connection to a node.
#[derive(Clone, Debug, Default)]
pub enum PeerState {
    /// Nothing was asked yet.
    #[default]
    Idle,
    /// On the way.
    Connecting,
    /// Up.
    Connected,
    /// Lost, or never made; it is tried again.
    Lost(String),
    /// One of the two refuses the other; it is tried again.
    Refused(Refusal),
}

/// Another node.
pub(crate) struct Peer {
    node: NodeId,
    context: Arc<Context>,
    appends: Budget,
    questions: Budget,
    large: Budget,
    connecting: Mutex<Connecting>,
    state: watch::Sender<PeerState>,
}

#[derive(Default)]
struct Connecting {
    link: Option<Arc<Link>>,
    task: Option<AbortHandle>,
    failures: u32,
    /// Not tried before then, for this reason.
    pause: Option<(Instant, String)>,
}

impl Peer {
    pub(crate) fn new(node: NodeId, context: Arc<Context>) -> Arc<Peer> {
        Arc::new(Peer {
            node,
            context,
            appends: Budget::new(BYTES_IN_FLIGHT_MAX),
            questions: Budget::new(BYTES_IN_FLIGHT_MAX),
            large: Budget::new(BYTES_IN_FLIGHT_MAX),
            connecting: Mutex::default(),
            state: watch::Sender::default(),
        })
    }

    pub(crate) fn state(&self) -> watch::Receiver<PeerState> {
        self.state.subscribe()
    }

    /// Sends a request and waits for the answer. Requests of one lane are sent in the order in which this is polled first.
    pub(crate) async fn request(self: &Arc<Self>, lane: Lane, to: To, body: Bytes) -> Result<Bytes, TransportError> {
        if body.len() > BODY_BYTES_MAX {
            let text = format!("a request of {} bytes is too large", body.len());
            return Err(TransportError::Failed(text));
        }
        let budget = match lane {
            Lane::Appends(_) => Some(&self.appends),
            // Few and small: openraft waits for one before it sends another.
            Lane::Urgent(_) => None,
            Lane::Alone if body.len() <= PIECE_BYTES => Some(&self.questions),
            Lane::Alone | Lane::Snapshot(_) => Some(&self.large),
        };
        let _permit = match budget {
            Some(budget) => Some(budget.take(body.len()).await?),
            None => None,
        };
        let ended = || TransportError::Unreachable(format!("the connection to node {} is lost", self.node));
        let asked = self.link()?.submit(lane, to, body).ok_or_else(ended)?;
        asked.answer().await
    }

    /// The connection, begun if there is none.
    pub(crate) fn link(self: &Arc<Self>) -> Result<Arc<Link>, TransportError> {
        let mut connecting = self.connecting.lock();
        if let Some(link) = connecting.link.as_ref().filter(|link| !link.is_ended()) {
            return Ok(link.clone());
        }
        if self.context.is_blocked(self.node) {
            return Err(TransportError::Unreachable(format!("node {} is shut out", self.node)));
        }
        if let Some((until, error)) = &connecting.pause
            && Instant::now() < *until
        {
            return Err(TransportError::Unreachable(error.clone()));
        }
        let address = self.context.directory.get(self.node);
        let unknown = || TransportError::Unreachable(format!("the address of node {} is not known", self.node));
        let link = Link::new(address.ok_or_else(unknown)?);
        connecting.link = Some(link.clone());
        self.state.send_replace(PeerState::Connecting);
        let task = tokio::spawn(Self::run(self.clone(), link.clone()));
        connecting.task = Some(task.abort_handle());
        Ok(link)
    }

    /// A connection's life.
    async fn run(peer: Arc<Peer>, link: Arc<Link>) {
        let on_open = || {
            peer.connecting.lock().failures = 0;
            peer.state.send_replace(PeerState::Connected);
            tracing::debug!(node = peer.node, address = link.address, "connected");
        };
        let running = link.run(&peer.context, Some(peer.node), on_open);
        let moved = peer.context.has_moved(peer.node, &link.address);
        let error = tokio::select! {
            error = Box::pin(running) => error,
            () = moved => LinkError::Lost("the node has another address now".into()),
        };
        peer.ended(&link, &error);
    }

    fn ended(&self, link: &Link, error: &LinkError) {
        let text = format!("node {} at {}: {error}", self.node, link.address);
        let mut connecting = self.connecting.lock();
        let is_current = connecting
            .link
            .as_ref()
            .is_some_and(|current| std::ptr::eq(&**current, link));
        if is_current {
            let pause = (BACK_OFF_MIN * 2u32.pow(connecting.failures.min(8))).min(BACK_OFF_MAX);
            // Not all nodes at the same moment.
            let pause = pause.mul_f64(rand::random_range(0.75..1.25));
            connecting.failures += 1;
            connecting.pause = Some((Instant::now() + pause, text.clone()));
            connecting.link = None;
            connecting.task = None;
            match error {
                LinkError::Lost(_) => {
                    tracing::debug!(node = self.node, error = text, "not connected");
                    self.state.send_replace(PeerState::Lost(text.clone()));
                }
                LinkError::Refused(refusal) => {
                    tracing::error!(node = self.node, error = text, "not connected");
                    self.state.send_replace(PeerState::Refused(refusal.clone()));
                }
            }
        }
        drop(connecting);
        link.end(&text);
    }

    /// Ends the connection; the next request makes another.
    pub(crate) fn disconnect(&self, reason: &str) {
        let mut connecting = self.connecting.lock();
        let (link, task) = (connecting.link.take(), connecting.task.take());
        connecting.pause = None;
        connecting.failures = 0;
        drop(connecting);
        if let Some(task) = task {
            task.abort();
        }
        if let Some(link) = link {
            self.state.send_replace(PeerState::Lost(reason.to_owned()));
            link.end(reason);
        }
    }

    /// Lets nobody ask any more.
    pub(crate) fn close(&self) {
        for budget in [&self.appends, &self.questions, &self.large] {
            budget.close();
        }
        self.disconnect("the node is shutting down");
    }
}
