//! Transport: how requests of groups reach other nodes, and the one for nodes of one process.

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

#[async_trait]
impl Transport for LocalEnd {
    async fn call(&self, target: NodeId, group: GroupId, request: Request) -> Result<Response, TransportError> {
        let is_cut = |from, to| self.network.cuts.read().contains(&(from, to));
        let lost = || TransportError::Unreachable(format!("node {target} is cut off"));
        if is_cut(self.node, target) {
            return Err(lost());
        }
        let groups = self.network.nodes.read().get(&target).and_then(Weak::upgrade);
        let groups = groups.ok_or_else(|| TransportError::Unreachable(format!("node {target} is down")))?;
        let response = groups.handle(group, request).await?;
        if is_cut(target, self.node) {
            return Err(lost());
        }
        Ok(response)
    }
}
