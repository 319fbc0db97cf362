//! The network of the nodes: requests of all groups and services over one connection in each direction.
//!
//! ```text
//!   node 1                                                              node 2
//!   Group ── append ──┐                                          ┌──► Groups::handle ──► openraft
//!   Group ── vote ────┤ Peer ─► Link ═ frames, one gRPC stream ═► Desk ─► Service::answer
//!   Service ── ask ───┘           ◄═══════ answers, any order ════
//!                                      (and the same from 2 to 1, over a connection of its own)
//! ```
//!
//! A node dials the nodes it has something to ask; the other side only answers on that connection. Requests become frames
//! (`frame`) in lanes (`outbox`); a gRPC message holds as many frames as wait when the connection can take one, so that
//! an idle connection adds no delay and a busy one little work per request.
//!
//! # Invariants
//!
//! - **N1** Requests of a lane begin to be worked on in the order in which they were asked: appends of a group are a lane.
//! - **N2** Each lane is at most one piece (64 KiB) ahead of any other: a heartbeat does not wait for a snapshot.
//! - **N3** A request is answered once or fails once; a request given up is cancelled at the other side; the end of a
//!   connection ends all requests on it, at both sides.
//! - **N4** Bytes not yet answered are bounded at the asker, bytes of answers at the answerer, each connection by itself.
//! - **N5** Nothing but the two hellos is exchanged before both have checked cluster, node, protocol, certificate and clock
//!   ([`hello`]). A process that is no member may ask to join and nothing else.
//!
//! # Why this way
//!
//! One gRPC call per Raft request costs a HEADERS frame, a task and a trailer each and promises no order among calls. A TCP
//! protocol of our own would need flow control, pings and TLS integration, which HTTP/2 has. See
//! `docs/decisions/2026-11-21-frames-over-one-stream.md`.

mod budget;
mod desk;
pub mod directory;
pub mod frame;
mod grpc;
pub mod hello;
mod link;
mod outbox;
mod peer;
pub mod security;
mod sending;
mod stream;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::groups::Groups;
use crate::transport::{Request, Response, ServiceId, Transport, TransportError};
use crate::types::{GroupId, NodeId};
use desk::Desk;
use frame::To;
use hello::Hello;
use link::{Lane, Link, LinkError};
use peer::Peer;

pub use directory::Directory;
pub use hello::{ClusterId, Refusal};
pub use peer::PeerState;
pub use security::{Certificates, Security, SecurityError};

/// The service a process asks that wants to become a node.
pub const JOIN: ServiceId = ServiceId(1);

/// Connections that may be in the middle of a TLS handshake.
const HANDSHAKES_MAX: usize = 64;

/// A clock: milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The system's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    })
}

/// How a node takes part in the network.
#[derive(Clone)]
pub struct RpcOptions {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its number.
    pub node: NodeId,
    /// Where the others reach it: `HOST:PORT`. Empty: where the directory says.
    pub advertise: String,
    /// Protection of connections.
    pub security: Security,
    /// Where the others are.
    pub directory: Arc<Directory>,
    /// The time, for the comparison of clocks.
    pub clock: Clock,
}

/// What all connections of a node share.
pub(crate) struct Context {
    member: Option<(ClusterId, NodeId)>,
    boot: u64,
    advertise: String,
    security: Security,
    directory: Arc<Directory>,
    clock: Clock,
    blocked: RwLock<HashSet<NodeId>>,
    blocks: watch::Sender<u64>,
}

impl Context {
    fn new(member: Option<(ClusterId, NodeId)>, advertise: &str, security: Security, clock: Clock) -> Context {
        Context {
            member,
            boot: rand::random(),
            advertise: advertise.to_owned(),
            security,
            directory: Directory::new(),
            clock,
            blocked: RwLock::default(),
            blocks: watch::Sender::new(0),
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            member: self.member,
            boot: self.boot,
            address: self.advertise.clone(),
            clock_ms: (self.clock)(),
        }
    }

    fn is_authentic(&self, caller: &stream::Caller, node: Option<NodeId>) -> bool {
        match (&self.security, &caller.certificate) {
            (Security::Loopback | Security::Insecure, _) => true,
            (Security::Certificates(certificates), Some(shown)) => certificates.is_for(shown, node),
            (Security::Certificates(_), None) => false,
        }
    }

    fn is_blocked(&self, node: NodeId) -> bool {
        self.blocked.read().contains(&node)
    }

    /// Waits until a node is shut out.
    async fn until_blocked(&self, node: Option<NodeId>) {
        let mut blocks = self.blocks.subscribe();
        loop {
            if node.is_some_and(|node| self.is_blocked(node)) {
                return;
            }
            if blocks.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until a node has another address than this.
    async fn has_moved(&self, node: NodeId, address: &str) {
        let mut changes = self.directory.subscribe();
        while self.directory.get(node).as_deref() == Some(address) {
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The connection to a node, for people.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// Who.
    pub node: NodeId,
    /// Where.
    pub address: String,
    /// From here to there.
    pub state: PeerState,
    /// Whether it is connected to this node.
    pub is_calling: bool,
}

/// What the other nodes said to a node that starts.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    /// Know this node.
    pub accepted: Vec<NodeId>,
    /// Refuse it, or are refused.
    pub refused: Vec<(NodeId, Refusal)>,
    /// Did not answer.
    pub silent: Vec<NodeId>,
}

/// A node's end of the network.
pub struct Rpc {
    context: Arc<Context>,
    desk: Arc<Desk>,
    peers: Mutex<HashMap<NodeId, Arc<Peer>>>,
    listening: Vec<JoinHandle<()>>,
}

impl Rpc {
    /// Listens for other nodes. Requests are answered once [`connect`](Self::connect) was called.
    ///
    /// # Errors
    /// Plain text is not allowed on this address.
    pub fn start(listener: TcpListener, options: RpcOptions) -> Result<Arc<Rpc>, SecurityError> {
        let file = |error: std::io::Error| SecurityError::File("the port for other nodes".into(), error.to_string());
        options.security.check(listener.local_addr().map_err(file)?)?;
        let member = Some((options.cluster, options.node));
        let mut context = Context::new(member, &options.advertise, options.security, options.clock);
        context.directory = options.directory;
        if !context.advertise.is_empty() {
            context.directory.set(options.node, &context.advertise);
        }
        let context = Arc::new(context);
        let desk = Desk::new(context.clone());
        let (sender, receiver) = mpsc::channel(HANDSHAKES_MAX);
        let accept: grpc::Accept = {
            let desk = desk.clone();
            Arc::new(move |caller, incoming| desk.accept(caller, incoming))
        };
        let connections = futures::stream::unfold(receiver, |mut receiver| async move {
            let stream = receiver.recv().await?;
            Some((stream, receiver))
        });
        let listening = vec![
            tokio::spawn(listen(listener, context.security.clone(), sender)),
            tokio::spawn(grpc::serve(connections, accept)),
        ];
        Ok(Arc::new(Rpc {
            context,
            desk,
            peers: Mutex::default(),
            listening,
        }))
    }

    /// Answers requests with these groups from now on.
    pub fn connect(&self, groups: &Arc<Groups>) {
        self.desk.open(groups);
    }

    /// Where the nodes are; may be changed.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.context.directory
    }

    /// The cluster this node belongs to.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.context.member.map(|(cluster, _)| cluster)
    }

    /// The cluster's name and the node number in this node's certificate, if it has one.
    pub fn security(&self) -> &Security {
        &self.context.security
    }

    fn peer(&self, node: NodeId) -> Arc<Peer> {
        let mut peers = self.peers.lock();
        let peer = peers
            .entry(node)
            .or_insert_with(|| Peer::new(node, self.context.clone()));
        peer.clone()
    }

    /// Calls all nodes of the directory, and waits until each has answered, at most so long. A node that is told by all
    /// others that it is not welcome should not serve.
    pub async fn greet(&self, timeout: Duration) -> Greeting {
        let deadline = Instant::now() + timeout;
        let nodes = self.context.directory.all().into_keys();
        let others = nodes.filter(|node| self.context.member.is_none_or(|(_, own)| own != *node));
        let calls = others.map(|node| async move { (node, self.call_until(node, deadline).await) });
        let mut greeting = Greeting::default();
        for (node, state) in futures::future::join_all(calls).await {
            match state {
                PeerState::Connected => greeting.accepted.push(node),
                PeerState::Refused(refusal) => greeting.refused.push((node, refusal)),
                PeerState::Idle | PeerState::Connecting | PeerState::Lost(_) => greeting.silent.push(node),
            }
        }
        greeting
    }

    /// Calls a node until it answers, or a deadline. A duplicate may be the process before this one, whose connection has
    /// not ended yet: it is asked again.
    async fn call_until(&self, node: NodeId, deadline: Instant) -> PeerState {
        let peer = self.peer(node);
        let mut state = peer.state();
        loop {
            // In a pause after a failure, this fails, and is tried again below.
            let _ = peer.link();
            let now = state.borrow_and_update().clone();
            match now {
                PeerState::Connected => return now,
                PeerState::Refused(Refusal::Duplicate { .. }) | PeerState::Lost(_) => {}
                PeerState::Refused(_) => return now,
                PeerState::Idle | PeerState::Connecting => {}
            }
            if Instant::now() >= deadline {
                return now;
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), state.changed()).await;
        }
    }

    /// Connections to all nodes of the directory.
    pub fn status(&self) -> Vec<PeerStatus> {
        let callers = self.desk.callers();
        let peers = self.peers.lock();
        let addresses: BTreeMap<NodeId, String> = self.context.directory.all();
        let status = |(node, address)| PeerStatus {
            node,
            address,
            state: peers
                .get(&node)
                .map_or(PeerState::Idle, |peer| peer.state().borrow().clone()),
            is_calling: callers.contains(&node),
        };
        addresses.into_iter().map(status).collect()
    }

    /// Shuts a node out, because it was removed from the cluster: connections in both directions end, and no others are
    /// made.
    pub fn block(&self, node: NodeId) {
        self.context.blocked.write().insert(node);
        self.context.blocks.send_modify(|count| *count += 1);
        if let Some(peer) = self.peers.lock().get(&node) {
            peer.disconnect("the node is shut out");
        }
    }

    /// Undoes [`block`](Self::block).
    pub fn unblock(&self, node: NodeId) {
        self.context.blocked.write().remove(&node);
        self.context.blocks.send_modify(|count| *count += 1);
    }

    /// Ends all connections, and listens no more.
    pub fn shutdown(&self) {
        for task in &self.listening {
            task.abort();
        }
        self.desk.close();
        for peer in self.peers.lock().values() {
            peer.close();
        }
    }
}

impl Drop for Rpc {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Takes connections; handshakes go on side by side.
async fn listen(listener: TcpListener, security: Security, sender: mpsc::Sender<stream::Stream>) {
    let handshakes = Arc::new(tokio::sync::Semaphore::new(HANDSHAKES_MAX));
    loop {
        let Ok(permit) = handshakes.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, address)) => {
                let (security, sender) = (security.clone(), sender.clone());
                tokio::spawn(async move {
                    let accepted = stream::Stream::accept(stream, &security).await;
                    drop(permit);
                    match accepted {
                        // Fails if the node is shutting down.
                        Ok(stream) => drop(sender.send(stream).await),
                        Err(error) => tracing::warn!(%address, %error, "a connection to the node port is refused"),
                    }
                });
            }
            Err(error) => {
                // Usually too many open files: others may close some meanwhile.
                tracing::warn!(%error, "cannot accept a connection of a node");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[async_trait]
impl Transport for Rpc {
    async fn call(&self, target: NodeId, group: GroupId, request: Request) -> Result<Response, TransportError> {
        let lane = match &request {
            Request::Append(append) if !append.entries.is_empty() => Lane::Appends(group),
            Request::Append(_) | Request::Vote(_) | Request::PreVote(_) | Request::TransferLeader(_) => {
                Lane::Urgent(group)
            }
            Request::Snapshot(_) => Lane::Snapshot(group),
        };
        let malformed = |error: postcard::Error| TransportError::Failed(format!("malformed: {error}"));
        let body = Bytes::from(postcard::to_allocvec(&request).map_err(malformed)?);
        drop(request);
        let answer = self.peer(target).request(lane, To::Group(group), body).await?;
        postcard::from_bytes(&answer).map_err(malformed)
    }

    async fn ask(&self, target: NodeId, service: ServiceId, body: Bytes) -> Result<Bytes, TransportError> {
        if let Some((_, own)) = self.context.member
            && own == target
        {
            return self.desk.groups()?.answer(own, service, body).await;
        }
        self.peer(target).request(Lane::Alone, To::Service(service), body).await
    }
}

/// Asks any node of a cluster to let this process join; the answer is that of the service [`JOIN`].
///
/// # Errors
/// Nobody answers there, or one refuses the other.
pub async fn ask_to_join(
    address: &str,
    security: &Security,
    clock: Clock,
    body: Bytes,
    timeout: Duration,
) -> Result<Bytes, TransportError> {
    let context = Context::new(None, "", security.clone(), clock);
    let link = Link::new(address.to_owned());
    let ended = || TransportError::Unreachable("the connection is lost".into());
    let asked = link.submit(Lane::Alone, To::Service(JOIN), body).ok_or_else(ended)?;
    let answered = tokio::time::timeout(timeout, asked.answer());
    tokio::select! {
        answer = answered => answer.unwrap_or_else(|_| Err(TransportError::Unreachable("no answer in time".into()))),
        error = Box::pin(link.run(&context, None, || {})) => match error {
            LinkError::Lost(text) => Err(TransportError::Unreachable(text)),
            LinkError::Refused(refusal) => Err(TransportError::Failed(refusal.to_string())),
        },
    }
}
