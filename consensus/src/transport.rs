//! Transport: how requests reach other nodes, and the one for nodes of one process.
//!
//! Raft's requests go by group ([`Transport::call`]); those of the layers above by service ([`Transport::ask`]): such a layer
//! implements [`Service`], and [`Groups::serve`] makes it answer. Bodies of services are bytes here; their owner encodes them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use parking_lot::RwLock;

use crate::groups::Groups;
use crate::types::{GroupId, NodeId, SnapshotMeta, TypeConfig, Vote};

/// A request from one replica of a group to another.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum Request {
    /// Append entries, or a heartbeat.
    Append(AppendEntriesRequest<TypeConfig>),
    /// Vote for the sender.
    Vote(VoteRequest<TypeConfig>),
    /// Would you vote for the sender? Changes nothing (C4).
    PreVote(VoteRequest<TypeConfig>),
    /// Take over leadership (C4).
    TransferLeader(TransferLeaderRequest<TypeConfig>),
    /// A piece of a snapshot.
    Snapshot(SnapshotPiece),
}

/// A snapshot on its way, one piece a request, in order (C5).
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum SnapshotPiece {
    /// The next file begins. The first file of a transfer discards what an earlier transfer left.
    File {
        /// Chosen by the sender; pieces of another transfer are refused.
        transfer: u64,
        /// Which file, from 0.
        file: u32,
    },
    /// Bytes of the file that was begun.
    Bytes {
        /// The transfer.
        transfer: u64,
        /// To be appended.
        bytes: Bytes,
    },
    /// All files were sent: install them.
    Install {
        /// The transfer.
        transfer: u64,
        /// Files sent.
        file_count: u32,
        /// Vote of the leader that sends.
        vote: Vote,
        /// What the snapshot contains.
        meta: SnapshotMeta,
    },
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum Response {
    /// To [`Request::Append`].
    Append(AppendEntriesResponse<TypeConfig>),
    /// To [`Request::Vote`] and [`Request::PreVote`].
    Vote(VoteResponse<TypeConfig>),
    /// To [`Request::TransferLeader`].
    TransferLeader(TransferLeaderResponse<TypeConfig>),
    /// To a piece of a snapshot that is not the last.
    SnapshotPiece,
    /// To [`SnapshotPiece::Install`].
    Snapshot(SnapshotResponse<TypeConfig>),
}

/// Why a request was not answered.
#[derive(Clone, Debug, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum TransportError {
    /// The node cannot be reached, or does not have the group yet: wait before trying again.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The request or its answer was lost on the way, or refused: try again at once.
    #[error("{0}")]
    Failed(String),
}

/// Carries requests to other nodes.
///
/// Requests for one group made to one node one after the other must arrive in that order, and be answered without waiting
/// for each other (C6). A request may be lost, and may be delivered although its answer is lost. The caller gives a call up
/// by dropping it.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// No answer came; the request may have been carried out.
    async fn call(&self, target: NodeId, group: GroupId, request: Request) -> Result<Response, TransportError>;

    /// Asks a service of a node, this one included, and waits for its answer. Requests may overtake each other. Dropping the
    /// future cancels the work at the other side, when and if it learns of it.
    ///
    /// # Errors
    /// No answer came; the request may have been carried out, so it must be idempotent or name its attempt.
    async fn ask(&self, target: NodeId, service: ServiceId, body: Bytes) -> Result<Bytes, TransportError>;
}

/// Which service of a node is asked. Numbers are part of the protocol between nodes: they are never given to something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ServiceId(pub u16);

impl std::fmt::Display for ServiceId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// The answering side of [`Transport::ask`]; registered with [`Groups::serve`].
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Answers one request. Called for many at the same time; dropped when the asker has given up or its node is gone.
    ///
    /// # Errors
    /// [`TransportError::Unreachable`] makes the asker wait before it tries again, [`TransportError::Failed`] does not.
    /// What the asker should tell apart belongs into the answer.
    async fn answer(&self, from: NodeId, body: Bytes) -> Result<Bytes, TransportError>;
}

/// A transport between nodes of one process. Nodes and directions can be cut off, for tests.
#[derive(Default)]
pub struct LocalTransport {
    nodes: RwLock<HashMap<NodeId, Weak<Groups>>>,
    /// Pairs (from, to) that lose everything.
    cuts: RwLock<HashSet<(NodeId, NodeId)>>,
}

/// One node's end of a [`LocalTransport`].
struct LocalEnd {
    node: NodeId,
    network: Arc<LocalTransport>,
}

impl LocalTransport {
    /// Without nodes.
    pub fn new() -> Arc<LocalTransport> {
        Arc::default()
    }

    /// A node's end, to be given to its [`Groups`].
    pub fn end(self: &Arc<Self>, node: NodeId) -> Arc<dyn Transport> {
        Arc::new(LocalEnd {
            node,
            network: self.clone(),
        })
    }

    /// Connects a node; it is disconnected when its [`Groups`] is dropped.
    pub fn connect(&self, groups: &Arc<Groups>) {
        self.nodes.write().insert(groups.node(), Arc::downgrade(groups));
    }

    /// Cuts a node off from all others, both ways.
    pub fn isolate(&self, node: NodeId) {
        let others: Vec<NodeId> = self
            .nodes
            .read()
            .keys()
            .copied()
            .filter(|other| *other != node)
            .collect();
        let mut cuts = self.cuts.write();
        for other in others {
            cuts.insert((node, other));
            cuts.insert((other, node));
        }
    }

    /// Undoes all cuts.
    pub fn heal(&self) {
        self.cuts.write().clear();
    }
}

impl LocalEnd {
    /// Runs the receiving side, unless the way there or back is cut.
    async fn carry<T, F>(&self, target: NodeId, receive: impl FnOnce(Arc<Groups>) -> F) -> Result<T, TransportError>
    where
        F: Future<Output = Result<T, TransportError>>,
    {
        let is_cut = |from, to| self.network.cuts.read().contains(&(from, to));
        let lost = || TransportError::Unreachable(format!("node {target} is cut off"));
        if is_cut(self.node, target) {
            return Err(lost());
        }
        let groups = self.network.nodes.read().get(&target).and_then(Weak::upgrade);
        let groups = groups.ok_or_else(|| TransportError::Unreachable(format!("node {target} is down")))?;
        let received = receive(groups).await;
        if is_cut(target, self.node) {
            return Err(lost());
        }
        received
    }
}

#[async_trait]
impl Transport for LocalEnd {
    async fn call(&self, target: NodeId, group: GroupId, request: Request) -> Result<Response, TransportError> {
        let receive = |groups: Arc<Groups>| async move { groups.handle(group, request).await };
        self.carry(target, receive).await
    }

    async fn ask(&self, target: NodeId, service: ServiceId, body: Bytes) -> Result<Bytes, TransportError> {
        let from = self.node;
        let receive = |groups: Arc<Groups>| async move { groups.answer(from, service, body).await };
        self.carry(target, receive).await
    }
}
