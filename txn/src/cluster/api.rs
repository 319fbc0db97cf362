//! What others ask for: registering nodes, draining and decommissioning them, settings, and how the cluster is.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use consensus::NodeId;
use consensus::reconcile::NodeState;
use serde::{Deserialize, Serialize};

use super::manager::{ask, record};
use super::message::{Answer, Ask};
use super::overview::Overview;
use super::records::{ClusterChange, ClusterRecord, NodeAddresses, NodeDescription, NodeRecord, Recorded, Settings};
use super::service;
use crate::node::NodeInner;
use crate::oracle::clock_ms;
use crate::placement::META;
use crate::{Node, Transaction, TxnError};

/// How long the leader of the meta group is looked for.
const LEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait before asking again who leads.
const RETRY: Duration = Duration::from_millis(100);
/// Numbers of transactions have so much room for that of their node.
const NODE_ID_MAX: NodeId = (1 << crate::node::NODE_BITS) - 1;
/// Replicas of a shard at most.
const REPLICAS_MAX: u32 = 7;

/// What a node that registered is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Its number.
    pub node: NodeId,
    /// The cluster's uuid.
    pub cluster: [u8; 16],
    /// Shards of user tables.
    pub shard_count: u32,
    /// All nodes that are not decommissioned, and where other nodes reach them.
    pub nodes: Vec<(NodeId, String)>,
}

/// What a node can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeOrder {
    /// Lead nothing any more, and keep your replicas.
    Drain,
    /// Take part again.
    Activate,
    /// Give everything away and leave for ever.
    Decommission,
}

/// Asks the leader of the meta group, wherever it is.
async fn ask_meta(node: &Arc<NodeInner>, what: Ask) -> Result<Answer, TxnError> {
    let deadline = Instant::now() + LEADER_TIMEOUT;
    loop {
        let is_here = node.local_leader(META).is_some();
        let leader = if is_here {
            Some(node.groups.node())
        } else {
            node.leader_hint(META)
        };
        if let Some(leader) = leader {
            let rest = deadline.saturating_duration_since(Instant::now()).max(RETRY);
            match tokio::time::timeout(rest, ask(node, leader, what.clone())).await {
                Ok(Ok(Answer::NotLeader(_)) | Err(_)) | Err(_) => {}
                Ok(Ok(answer)) => return Ok(answer),
            }
        }
        if Instant::now() >= deadline {
            return Err(TxnError::Unavailable);
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Answers what only the leader of the meta group can.
pub(super) async fn answer_as_leader(node: &Arc<NodeInner>, what: Ask) -> Result<Answer, TxnError> {
    if node.local_leader(META).is_none_or(|meta| !meta.group.is_lease_open()) {
        return Ok(Answer::NotLeader(node.leader_hint(META)));
    }
    match what {
        Ask::Register(description, wanted) => register(node, description, wanted).await.map(Answer::Registered),
        Ask::SetState(id, state) => set_state(node, id, state).await,
        Ask::Set(settings) => set(node, settings).await,
        Ask::Overview => Ok(Answer::Overview(overview_here(node, true)?)),
        Ask::Report | Ask::Open(_) | Ask::Close { .. } | Ask::Change { .. } => {
            Ok(Answer::Refused("this is not for the leader of the meta group".into()))
        }
    }
}

fn recorded(node: &NodeInner) -> Result<Recorded, TxnError> {
    match node.replicas.get(META) {
        Some(meta) => Recorded::read(&meta.group.family().newest()),
        None => Ok(Recorded::default()),
    }
}

/// A number nobody else has.
fn random_id() -> [u8; 16] {
    let random = |salt: u64| RandomState::new().hash_one((salt, clock_ms()));
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random(1).to_be_bytes());
    id[8..].copy_from_slice(&random(2).to_be_bytes());
    // As a random uuid is marked (RFC 9562).
    id[6] = (id[6] & 0x0f) | 0x40;
    id[8] = (id[8] & 0x3f) | 0x80;
    id
}

/// What a node is that has said nothing of itself.
fn undescribed() -> NodeDescription {
    NodeDescription {
        uuid: random_id(),
        addresses: NodeAddresses::default(),
        version: env!("CARGO_PKG_VERSION").into(),
        domain: None,
        weight: consensus::ring::WEIGHT,
    }
}

/// Registers a node (N1). The first one that does founds the cluster.
async fn register(
    node: &Arc<NodeInner>,
    description: NodeDescription,
    wanted: Option<NodeId>,
) -> Result<Registered, TxnError> {
    let _one_at_a_time = node.cluster.changing.lock().await;
    let mut known = recorded(node)?;
    if known.cluster.is_none() {
        let record_of_cluster = ClusterRecord {
            id: (*node.cluster.identity.lock()).unwrap_or_else(random_id),
            shard_count: node.placement.shard_count(),
            settings: Settings::default(),
        };
        record(node, ClusterChange::Cluster(record_of_cluster)).await?;
    }
    let own = node.cluster.description.lock().clone();
    if known.nodes.is_empty() && own.as_ref().is_none_or(|own| own.uuid != description.uuid) {
        // The node that was alone until now comes first.
        put_node(
            node,
            node.groups.node(),
            own.unwrap_or_else(undescribed),
            NodeState::Active,
        )
        .await?;
        known = recorded(node)?;
    }
    let same = known
        .nodes
        .values()
        .find(|record| record.description.uuid == description.uuid);
    let id = match same {
        Some(same) if same.state == NodeState::Decommissioned => {
            return Err(TxnError::Limit(format!(
                "node {} was decommissioned: it can join again with an empty data directory",
                same.id
            )));
        }
        Some(same) => {
            if same.description != description {
                put_node(node, same.id, description, same.state).await?;
            }
            same.id
        }
        None if known.nodes.is_empty() => {
            put_node(node, node.groups.node(), description, NodeState::Active).await?;
            node.groups.node()
        }
        None => {
            let next = known.nodes.keys().max().copied().unwrap_or(0).max(node.groups.node()) + 1;
            let id = wanted.unwrap_or(next);
            if id == 0 || id > NODE_ID_MAX || known.nodes.contains_key(&id) {
                let text = format!("node number {id} cannot be given: it was given before, or there are no more");
                return Err(TxnError::Limit(text));
            }
            put_node(node, id, description, NodeState::Joining).await?;
            id
        }
    };
    node.cluster.wake.notify_one();
    let known = recorded(node)?;
    let Some(cluster) = known.cluster else {
        return Err(TxnError::Unavailable);
    };
    let nodes = known
        .nodes
        .values()
        .filter(|record| record.state != NodeState::Decommissioned);
    Ok(Registered {
        node: id,
        cluster: cluster.id,
        shard_count: cluster.shard_count,
        nodes: nodes
            .map(|record| (record.id, record.description.addresses.node.clone()))
            .collect(),
    })
}

async fn put_node(
    node: &Arc<NodeInner>,
    id: NodeId,
    description: NodeDescription,
    state: NodeState,
) -> Result<(), TxnError> {
    let known = recorded(node)?;
    let registered_ms = known
        .nodes
        .get(&id)
        .map_or_else(clock_ms, |record| record.registered_ms);
    let new = NodeRecord {
        id,
        description,
        state,
        registered_ms,
    };
    record(node, ClusterChange::Node(new)).await
}

async fn set_state(node: &Arc<NodeInner>, id: NodeId, state: NodeState) -> Result<Answer, TxnError> {
    let _one_at_a_time = node.cluster.changing.lock().await;
    let known = recorded(node)?;
    let Some(before) = known.nodes.get(&id) else {
        return Ok(Answer::Refused(format!("there is no node {id}")));
    };
    let has_others = known
        .nodes
        .values()
        .any(|other| other.id != id && other.state == NodeState::Active);
    match (before.state, state) {
        (NodeState::Decommissioned, _) => {
            return Ok(Answer::Refused(format!("node {id} is decommissioned for ever")));
        }
        (NodeState::Joining, NodeState::Active | NodeState::Draining) => {
            return Ok(Answer::Refused(format!("node {id} has not joined yet")));
        }
        (_, NodeState::Draining | NodeState::Leaving) if !has_others => {
            return Ok(Answer::Refused(format!("node {id} is the only active node")));
        }
        _ => {}
    }
    if before.state != state {
        record(
            node,
            ClusterChange::Node(NodeRecord {
                state,
                ..before.clone()
            }),
        )
        .await?;
        node.cluster.wake.notify_one();
    }
    Ok(Answer::Done)
}

async fn set(node: &Arc<NodeInner>, settings: Settings) -> Result<Answer, TxnError> {
    let is_odd = settings.replicas % 2 == 1 && settings.replicas <= REPLICAS_MAX;
    if !is_odd || settings.moves_max == 0 || settings.node_moves_max == 0 {
        let text = format!("replicas are an odd number up to {REPLICAS_MAX}, and at least one move is allowed");
        return Ok(Answer::Refused(text));
    }
    let _one_at_a_time = node.cluster.changing.lock().await;
    let Some(cluster) = recorded(node)?.cluster else {
        return Ok(Answer::Refused("the node is alone: there is no cluster yet".into()));
    };
    record(node, ClusterChange::Cluster(ClusterRecord { settings, ..cluster })).await?;
    node.cluster.wake.notify_one();
    Ok(Answer::Done)
}

/// The cluster as this node can tell.
fn overview_here(node: &Arc<NodeInner>, is_complete: bool) -> Result<Overview, TxnError> {
    let mut known = recorded(node)?;
    let own = node.groups.node();
    if known.nodes.is_empty() {
        let description = node.cluster.description.lock().clone().unwrap_or_else(undescribed);
        let alone = NodeRecord {
            id: own,
            description,
            state: NodeState::Active,
            registered_ms: 0,
        };
        known.nodes.insert(own, alone);
    }
    node.cluster.hear(own, service::report(node));
    let (cluster, _) = node.cluster.view(node, &known);
    let overview = Overview::of((own, is_complete), &known, &cluster, &node.cluster.reports());
    Ok(overview)
}

fn done(answer: Answer) -> Result<(), TxnError> {
    match answer {
        Answer::Done => Ok(()),
        Answer::Refused(text) => Err(TxnError::Limit(text)),
        Answer::NotLeader(_) | Answer::Report(_) | Answer::Registered(_) | Answer::Overview(_) => {
            Err(TxnError::Unavailable)
        }
    }
}

impl NodeInner {
    async fn overview(self: &Arc<Self>) -> Result<Overview, TxnError> {
        match ask_meta(self, Ask::Overview).await {
            Ok(Answer::Overview(overview)) => Ok(overview),
            // Nobody leads, or not here: this node's own view is better than none.
            Ok(_) | Err(_) => overview_here(self, false),
        }
    }

    async fn order(self: &Arc<Self>, id: NodeId, order: NodeOrder) -> Result<(), TxnError> {
        let state = match order {
            NodeOrder::Drain => NodeState::Draining,
            NodeOrder::Activate => NodeState::Active,
            NodeOrder::Decommission => NodeState::Leaving,
        };
        done(ask_meta(self, Ask::SetState(id, state)).await?)
    }
}

impl Node {
    /// Registers a node with the cluster, which is founded by the first that does. Can be asked of any node, and as often as
    /// one likes: the same uuid gets the same number, and what it says of itself is renewed. A new node gets the number it
    /// wants, or the next one.
    ///
    /// # Errors
    /// [`TxnError::Unavailable`] if nobody leads the meta group; [`TxnError::Limit`] if the node was decommissioned, or the
    /// number it wants was given to another one.
    pub async fn register_node(
        &self,
        description: NodeDescription,
        wanted: Option<NodeId>,
    ) -> Result<Registered, TxnError> {
        match ask_meta(&self.inner, Ask::Register(description, wanted)).await? {
            Answer::Registered(registered) => Ok(registered),
            other => Err(done(other).err().unwrap_or(TxnError::Unavailable)),
        }
    }

    /// Says what this node is, and which uuid the cluster has if this node founds it, before it or another one registers.
    pub fn describe(&self, description: NodeDescription, cluster: Option<[u8; 16]>) {
        *self.inner.cluster.description.lock() = Some(description);
        *self.inner.cluster.identity.lock() = cluster;
    }

    /// Tells a node what to be.
    ///
    /// # Errors
    /// [`TxnError::Unavailable`] if nobody leads the meta group; [`TxnError::Limit`] with the reason if it is refused.
    pub async fn order_node(&self, id: NodeId, order: NodeOrder) -> Result<(), TxnError> {
        self.inner.order(id, order).await
    }

    /// Changes settings of the cluster.
    ///
    /// # Errors
    /// As [`order_node`](Self::order_node).
    pub async fn set_cluster(&self, settings: Settings) -> Result<(), TxnError> {
        done(ask_meta(&self.inner, Ask::Set(settings)).await?)
    }

    /// How the cluster is.
    ///
    /// # Errors
    /// This node's replica of the meta group cannot be read.
    pub async fn cluster_overview(&self) -> Result<Overview, TxnError> {
        self.inner.overview().await
    }

    /// How the cluster is as far as this node knows without asking: complete on the leader of the meta group, only its own
    /// replicas elsewhere.
    ///
    /// # Errors
    /// This node's replica of the meta group cannot be read.
    pub fn own_overview(&self) -> Result<Overview, TxnError> {
        let leads = self
            .inner
            .local_leader(META)
            .is_some_and(|meta| meta.group.is_lease_open());
        overview_here(&self.inner, leads)
    }

    /// The cluster's uuid, as this node's replica of the meta group has it; none while a node is alone.
    ///
    /// # Errors
    /// That replica cannot be read.
    pub fn cluster_id(&self) -> Result<Option<[u8; 16]>, TxnError> {
        Ok(recorded(&self.inner)?.cluster.map(|cluster| cluster.id))
    }

    /// The nodes this node's replica of the meta group knows of.
    ///
    /// # Errors
    /// That replica cannot be read.
    pub fn nodes(&self) -> Result<Vec<NodeRecord>, TxnError> {
        Ok(recorded(&self.inner)?.nodes.into_values().collect())
    }

    /// This node's number.
    pub fn id(&self) -> NodeId {
        self.inner.groups.node()
    }

    /// Whether a linearizable read can be served now: the meta group's leader is reached, and this node was not
    /// decommissioned.
    pub async fn is_ready(&self) -> bool {
        let own = recorded(&self.inner)
            .ok()
            .and_then(|mut known| known.nodes.remove(&self.id()));
        if own.is_some_and(|own| own.state == NodeState::Decommissioned) {
            return false;
        }
        self.inner.draw().await.is_ok()
    }
}

impl Transaction {
    /// How the cluster is.
    ///
    /// # Errors
    /// As [`Node::cluster_overview`].
    pub async fn cluster_overview(&self) -> Result<Overview, TxnError> {
        self.inner.node.overview().await
    }

    /// Tells a node what to be, at once and whatever becomes of this transaction.
    ///
    /// # Errors
    /// As [`Node::order_node`].
    pub async fn order_node(&self, id: NodeId, order: NodeOrder) -> Result<(), TxnError> {
        self.inner.node.order(id, order).await
    }
}
