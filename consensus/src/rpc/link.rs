//! Link: one connection to a node, from dialling to its end, and the requests on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Context;
use super::frame::{Arrived, Arriving, Frame, FrameError, Head, To};
use super::grpc::{self, Incoming, error_chain};
use super::hello::{HELLO_TIMEOUT, Hello, Refusal};
use super::outbox::Outgoing;
use super::sending::Sending;
use super::stream::Stream;
use crate::transport::TransportError;
use crate::types::{GroupId, NodeId};

/// How long the other side has to read a refusal before the connection ends.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// What must keep its order, and what need not wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Entries of a group, in the order of the calls (C6).
    Appends(GroupId),
    /// Heartbeats and votes of a group: they may overtake its entries.
    Urgent(GroupId),
    /// A snapshot of a group.
    Snapshot(GroupId),
    /// A question to a service, by itself.
    Alone,
}

/// Why a link ended.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("{0}")]
    Lost(String),
    #[error("refused: {0}")]
    Refused(Refusal),
}

type Answer = Result<Bytes, TransportError>;

/// A connection to a node; requests may be put on it before it is made.
pub(crate) struct Link {
    pub(crate) address: String,
    sending: Arc<Sending<(Lane, u64)>>,
    /// `None` once it has ended.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>,
    next: AtomicU64,
}

/// Gives a request up when it is dropped before its answer.
pub(crate) struct Asked {
    link: Arc<Link>,
    id: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Asked {
    /// Waits for the answer.
    pub(crate) async fn answer(mut self) -> Answer {
        let lost = || TransportError::Unreachable("the connection is lost".into());
        (&mut self.answer).await.unwrap_or_else(|_| Err(lost()))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let is_waiting = self
            .link
            .waiting
            .lock()
            .as_mut()
            .is_some_and(|waiting| waiting.remove(&self.id).is_some());
        if is_waiting {
            self.link.sending.cancel(self.id);
        }
    }
}

impl Link {
    pub(crate) fn new(address: String) -> Arc<Link> {
        Arc::new(Link {
            address,
            sending: Sending::new(),
            waiting: Mutex::new(Some(HashMap::new())),
            next: AtomicU64::new(1),
        })
    }

    /// Puts a request on it; `None` if it has ended.
    pub(crate) fn submit(self: &Arc<Self>, lane: Lane, to: To, body: Bytes) -> Option<Asked> {
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        waiting.as_mut()?.insert(id, sender);
        // Under the lock: whoever asks first is sent first.
        let key = match lane {
            Lane::Alone => (lane, id),
            Lane::Appends(_) | Lane::Urgent(_) | Lane::Snapshot(_) => (lane, 0),
        };
        let outgoing = Outgoing {
            id,
            head: Head::Request(to),
            body,
            permit: None,
        };
        self.sending.push(key, outgoing);
        drop(waiting);
        let link = self.clone();
        Some(Asked { link, id, answer })
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.waiting.lock().is_none()
    }

    /// Ends it: who waits is told why.
    pub(crate) fn end(&self, error: &str) {
        self.sending.end();
        let waiting = self.waiting.lock().take().unwrap_or_default();
        for sender in waiting.into_values() {
            // Who has gone meanwhile need not know.
            let _ = sender.send(Err(TransportError::Unreachable(error.to_owned())));
        }
    }

    /// Connects, and receives until the connection is lost. `on_open` is called when both sides know each other.
    ///
    /// # Errors
    /// Always: why it ended.
    pub(crate) async fn run(
        self: &Arc<Self>,
        context: &Context,
        target: Option<NodeId>,
        on_open: impl FnOnce(),
    ) -> LinkError {
        match self.try_run(context, target, on_open).await {
            Err(error) => error,
            Ok(()) => LinkError::Lost("the other node has closed the connection".into()),
        }
    }

    async fn try_run(
        self: &Arc<Self>,
        context: &Context,
        target: Option<NodeId>,
        on_open: impl FnOnce(),
    ) -> Result<(), LinkError> {
        let lost = |error: &dyn std::error::Error| LinkError::Lost(error_chain(error));
        let stream = Stream::dial(&self.address, &context.security, target)
            .await
            .map_err(|error| lost(&error))?;
        let before_ms = (context.clock)();
        self.sending.say(Frame::Hello(context.hello().encode().into()));
        let opened = async {
            let mut incoming = grpc::open(stream, self.sending.messages()).await.map_err(status)?;
            let message = incoming.message().await.map_err(status)?;
            let message = message.ok_or_else(|| LinkError::Lost("the other node has hung up".into()))?;
            Ok((incoming, message))
        };
        let (mut incoming, mut message) = tokio::time::timeout(HELLO_TIMEOUT, opened)
            .await
            .map_err(|_| LinkError::Lost("no hello in time".into()))??;
        match Frame::decode(&mut message) {
            Ok(Some(Frame::Hello(bytes))) => {
                if let Err(refusal) = self.check(context, &bytes, target, before_ms) {
                    self.sending.say(Frame::Refusal(refusal.encode().into()));
                    self.sending.end();
                    let drained = async { while let Ok(Some(_)) = incoming.message().await {} };
                    let _ = tokio::time::timeout(FAREWELL, drained).await;
                    return Err(LinkError::Refused(refusal));
                }
            }
            Ok(Some(Frame::Refusal(bytes))) => return Err(LinkError::Refused(Refusal::decode(&bytes))),
            Ok(_) | Err(_) => return Err(LinkError::Refused(Refusal::Stranger)),
        }
        on_open();
        self.sending.open();
        self.receive(message, incoming).await
    }

    fn check(&self, context: &Context, bytes: &[u8], target: Option<NodeId>, before_ms: u64) -> Result<(), Refusal> {
        let theirs = Hello::decode(bytes)?;
        context.hello().check_cluster(&theirs)?;
        let (_, found) = theirs.member.ok_or(Refusal::NotMember)?;
        match target {
            Some(expected) if expected != found => return Err(Refusal::OtherNode { expected, found }),
            Some(_) | None => {}
        }
        theirs.check_clock(before_ms, (context.clock)())
    }

    async fn receive(&self, mut message: Bytes, mut incoming: Incoming) -> Result<(), LinkError> {
        let malformed = |error: FrameError| LinkError::Lost(error.to_string());
        let mut arriving: HashMap<u64, Arriving> = HashMap::new();
        loop {
            while let Some(frame) = Frame::decode(&mut message).map_err(malformed)? {
                let (id, arrived) = match frame {
                    Frame::Begin { id, head, size, piece } => {
                        if !self.is_waited_for(id) {
                            continue;
                        }
                        (id, Arriving::begin(head, size, piece).map_err(malformed)?)
                    }
                    Frame::Piece { id, piece } => match arriving.remove(&id) {
                        // Its asker has gone.
                        None => continue,
                        Some(_) if !self.is_waited_for(id) => continue,
                        Some(part) => (id, part.add(piece).map_err(malformed)?),
                    },
                    Frame::Refusal(bytes) => return Err(LinkError::Refused(Refusal::decode(&bytes))),
                    Frame::Hello(_) | Frame::Cancel { .. } => {
                        return Err(LinkError::Lost("frames that are no answers".into()));
                    }
                };
                match arrived {
                    Arrived::Part(part) => {
                        arriving.insert(id, part);
                    }
                    Arrived::Whole(Head::Answer(outcome), body) => self.answered(id, outcome.into_result(body)),
                    Arrived::Whole(Head::Request(_), _) => {
                        return Err(LinkError::Lost("a request where answers come".into()));
                    }
                }
            }
            match incoming.message().await.map_err(status)? {
                Some(next) => message = next,
                None => return Ok(()),
            }
        }
    }

    fn is_waited_for(&self, id: u64) -> bool {
        self.waiting
            .lock()
            .as_ref()
            .is_some_and(|waiting| waiting.contains_key(&id))
    }

    fn answered(&self, id: u64, answer: Answer) {
        let sender = self.waiting.lock().as_mut().and_then(|waiting| waiting.remove(&id));
        if let Some(sender) = sender {
            // Who has gone meanwhile need not know.
            let _ = sender.send(answer);
        }
    }
}

fn status(status: tonic::Status) -> LinkError {
    LinkError::Lost(error_chain(&status))
}
