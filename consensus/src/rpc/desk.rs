//! Desk: where other nodes' connections are taken and their requests answered.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::budget::Budget;
use super::frame::{Arrived, Arriving, BODY_BYTES_MAX, Frame, FrameError, Head, Outcome, PIECE_BYTES, To};
use super::grpc::{self, Incoming};
use super::hello::{HELLO_TIMEOUT, Hello, Refusal};
use super::link::FAREWELL;
use super::outbox::Outgoing;
use super::sending::Sending;
use super::stream::Caller;
use super::{Context, JOIN};
use crate::groups::Groups;
use crate::transport::TransportError;
use crate::types::NodeId;

/// Bytes of small and of large answers on one connection that wait to be sent, at most; further ones wait.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Requests of one connection that are received or worked on, at most. The asker's bound on bytes keeps it below.
const REQUESTS_MAX: usize = 1 << 17;

/// A process that calls.
struct Known {
    boot: u64,
    address: String,
    connections: usize,
}

/// The answering side of a node.
pub(crate) struct Desk {
    context: Arc<Context>,
    groups: OnceLock<Weak<Groups>>,
    callers: Mutex<HashMap<NodeId, Known>>,
    is_closed: watch::Sender<bool>,
}

/// Counts a connection of a process until it ends.
struct Visit {
    desk: Arc<Desk>,
    /// `None` for a process that wants to join.
    node: Option<NodeId>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let Some(node) = self.node else { return };
        let mut callers = self.desk.callers.lock();
        if let Some(known) = callers.get_mut(&node) {
            known.connections -= 1;
            if known.connections == 0 {
                callers.remove(&node);
            }
        }
    }
}

impl Desk {
    pub(crate) fn new(context: Arc<Context>) -> Arc<Desk> {
        Arc::new(Desk {
            context,
            groups: OnceLock::new(),
            callers: Mutex::default(),
            is_closed: watch::Sender::new(false),
        })
    }

    /// Requests are answered by these from now on.
    pub(crate) fn open(&self, groups: &Arc<Groups>) {
        // A node has one set of groups for its whole life.
        let _ = self.groups.set(Arc::downgrade(groups));
    }

    pub(crate) fn groups(&self) -> Result<Arc<Groups>, TransportError> {
        let starting = || TransportError::Unreachable("the node is starting, or stopping".into());
        self.groups.get().and_then(Weak::upgrade).ok_or_else(starting)
    }

    /// Ends all connections.
    pub(crate) fn close(&self) {
        self.is_closed.send_replace(true);
    }

    /// Nodes that are connected to this one.
    pub(crate) fn callers(&self) -> Vec<NodeId> {
        self.callers.lock().keys().copied().collect()
    }

    /// Takes a connection.
    pub(crate) fn accept(self: &Arc<Self>, caller: Caller, incoming: Incoming) -> grpc::Outgoing {
        let sending = Sending::new();
        let messages = sending.messages();
        tokio::spawn(self.clone().serve(caller, incoming, sending));
        messages
    }

    async fn serve(self: Arc<Self>, caller: Caller, mut incoming: Incoming, sending: Arc<Sending<u64>>) {
        let mut is_closed = self.is_closed.subscribe();
        let served = async {
            let message = tokio::time::timeout(HELLO_TIMEOUT, incoming.message()).await;
            let Ok(Ok(Some(mut message))) = message else { return };
            match self.clone().greet(&caller, &mut message) {
                Err(refusal) => {
                    tracing::error!(address = ?caller.address, error = %refusal, "a connection is refused");
                    sending.say(Frame::Refusal(refusal.encode().into()));
                    sending.end();
                    // Until it has read that.
                    let drained = async { while let Ok(Some(_)) = incoming.message().await {} };
                    let _ = tokio::time::timeout(FAREWELL, drained).await;
                }
                Ok(visit) => {
                    sending.say(Frame::Hello(self.context.hello().encode().into()));
                    sending.open();
                    let node = visit.node;
                    let blocked = self.context.until_blocked(node);
                    let answering = Answering::new(visit, sending.clone());
                    tokio::select! {
                        ended = answering.run(message, &mut incoming) => {
                            if let Err(error) = ended {
                                tracing::warn!(node, address = ?caller.address, %error, "a connection ends");
                            }
                        }
                        () = blocked => {}
                    }
                }
            }
        };
        tokio::select! {
            () = Box::pin(served) => {}
            // Fails if there is nobody to close it any more.
            _ = is_closed.wait_for(|is_closed| *is_closed) => {}
        }
        sending.end();
    }

    /// Who calls, if it may.
    fn greet(self: Arc<Self>, caller: &Caller, message: &mut Bytes) -> Result<Visit, Refusal> {
        let Ok(Some(Frame::Hello(bytes))) = Frame::decode(message) else {
            return Err(Refusal::Stranger);
        };
        let (ours, theirs) = (self.context.hello(), Hello::decode(&bytes)?);
        ours.check_cluster(&theirs)?;
        let node = theirs.member.map(|(_, node)| node);
        if !self.context.is_authentic(caller, node) {
            return Err(Refusal::Certificate {
                node: node.unwrap_or_default(),
            });
        }
        let now_ms = (self.context.clock)();
        let early_ms = now_ms.saturating_sub(HELLO_TIMEOUT.as_millis() as u64);
        theirs.check_clock(early_ms, now_ms)?;
        let Some(node) = node else {
            return Ok(Visit { desk: self, node: None });
        };
        if ours.member.is_some_and(|(_, ours)| ours == node) {
            let address = ours.address;
            return Err(Refusal::Duplicate { node, address });
        }
        if self.context.is_blocked(node) {
            return Err(Refusal::NotMember);
        }
        {
            let mut callers = self.callers.lock();
            let known = callers.entry(node).or_insert_with(|| Known {
                boot: theirs.boot,
                address: theirs.address.clone(),
                connections: 0,
            });
            if known.boot != theirs.boot {
                let address = known.address.clone();
                return Err(Refusal::Duplicate { node, address });
            }
            known.connections += 1;
        }
        if !theirs.address.is_empty() {
            self.context.directory.set(node, &theirs.address);
        }
        let node = Some(node);
        Ok(Visit { desk: self, node })
    }
}

/// A connection's requests.
struct Answering {
    visit: Visit,
    sending: Arc<Sending<u64>>,
    running: Arc<Mutex<HashMap<u64, AbortHandle>>>,
    small: Budget,
    large: Budget,
}

impl Drop for Answering {
    fn drop(&mut self) {
        // Nobody is there to hear the answers.
        for (_, task) in self.running.lock().drain() {
            task.abort();
        }
    }
}

impl Answering {
    fn new(visit: Visit, sending: Arc<Sending<u64>>) -> Answering {
        Answering {
            visit,
            sending,
            running: Arc::default(),
            small: Budget::new(ANSWER_BYTES_MAX),
            large: Budget::new(ANSWER_BYTES_MAX),
        }
    }

    async fn run(self, mut message: Bytes, incoming: &mut Incoming) -> Result<(), FrameError> {
        let mut arriving: HashMap<u64, Arriving> = HashMap::new();
        loop {
            while let Some(frame) = Frame::decode(&mut message)? {
                let (id, arrived) = match frame {
                    Frame::Begin { id, head, size, piece } => {
                        if arriving.len() + self.running.lock().len() > REQUESTS_MAX {
                            return Err(FrameError::TOO_MANY);
                        }
                        (id, Arriving::begin(head, size, piece)?)
                    }
                    Frame::Piece { id, piece } => match arriving.remove(&id) {
                        Some(part) => (id, part.add(piece)?),
                        None => continue,
                    },
                    Frame::Cancel { id } => {
                        arriving.remove(&id);
                        if let Some(task) = self.running.lock().remove(&id) {
                            task.abort();
                        }
                        continue;
                    }
                    Frame::Refusal(bytes) => {
                        let node = self.visit.node;
                        tracing::error!(node, error = %Refusal::decode(&bytes), "another node refuses this one");
                        return Ok(());
                    }
                    Frame::Hello(_) => return Err(FrameError::UNEXPECTED),
                };
                match arrived {
                    Arrived::Part(part) => {
                        arriving.insert(id, part);
                    }
                    Arrived::Whole(Head::Request(to), body) => self.begin(id, to, body),
                    Arrived::Whole(Head::Answer(_), _) => return Err(FrameError::UNEXPECTED),
                }
            }
            match incoming.message().await {
                Ok(Some(next)) => message = next,
                // Closed, or lost: the other side will say what it has to say over another connection.
                Ok(None) | Err(_) => return Ok(()),
            }
        }
    }

    /// Begins to work on a request.
    fn begin(&self, id: u64, to: To, body: Bytes) {
        let mut work = self.work(to, body);
        if matches!(to, To::Group(_)) {
            // Polled once here: it takes its place in its group's queue before the next request does (C6). Unconstrained:
            // tokio's budget would make it look as if it waited.
            if let Some(result) = tokio::task::unconstrained(&mut work).now_or_never() {
                answer(&self.sending, id, result, None);
                return;
            }
        }
        let (sending, running) = (self.sending.clone(), self.running.clone());
        let (small, large) = (self.small.clone(), self.large.clone());
        // Locked until the task is in the map, which it leaves by itself.
        let mut tasks = self.running.lock();
        let task = tokio::spawn(async move {
            let result = work.await;
            let size = result.as_ref().map_or(0, Bytes::len);
            let budget = if size <= PIECE_BYTES { small } else { large };
            // Never closed: there is always a permit in the end.
            let permit = budget.take(size).await.ok();
            running.lock().remove(&id);
            answer(&sending, id, result, permit);
        });
        tasks.insert(id, task.abort_handle());
    }

    fn work(&self, to: To, body: Bytes) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let groups = match self.visit.desk.groups() {
            Ok(groups) => groups,
            Err(error) => return futures::future::ready(Err(error)).boxed(),
        };
        match (to, self.visit.node) {
            (To::Group(group), Some(_)) => async move {
                let malformed = |error: postcard::Error| TransportError::Failed(format!("malformed: {error}"));
                let request = postcard::from_bytes(&body).map_err(malformed)?;
                drop(body);
                let response = groups.handle(group, request).await?;
                Ok(postcard::to_allocvec(&response).map_err(malformed)?.into())
            }
            .boxed(),
            (To::Service(service), Some(node)) => async move { groups.answer(node, service, body).await }.boxed(),
            (To::Service(JOIN), None) => async move { groups.answer(0, JOIN, body).await }.boxed(),
            (To::Group(_) | To::Service(_), None) => {
                let text = "the process is no member of the cluster: it may only ask to join";
                futures::future::ready(Err(TransportError::Failed(text.into()))).boxed()
            }
        }
    }
}

fn answer(
    sending: &Arc<Sending<u64>>,
    id: u64,
    result: Result<Bytes, TransportError>,
    permit: Option<tokio::sync::OwnedSemaphorePermit>,
) {
    let result = match result {
        Ok(body) if body.len() > BODY_BYTES_MAX => Err(TransportError::Failed(format!(
            "an answer of {} bytes is too large",
            body.len()
        ))),
        result => result,
    };
    let (outcome, body) = Outcome::of(result);
    let outgoing = Outgoing {
        id,
        head: Head::Answer(outcome),
        body,
        permit,
    };
    sending.push(id, outgoing);
}
