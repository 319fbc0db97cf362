//! Records of the meta group about the cluster: nodes, settings, wanted placement, moves in progress.

use std::collections::BTreeMap;

use consensus::reconcile::{Move, NodeState};
use consensus::ring::{Placement, Wanted};
use consensus::{GroupId, NodeId};
use serde::{Deserialize, Serialize};
use storage::engine::View;

use crate::TxnError;
use crate::command::{decode, encode};
use crate::machine::records::{self, Record};

/// Where a node is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAddresses {
    /// By other nodes.
    pub node: String,
    /// By SQL clients.
    pub sql: String,
    /// By HTTP.
    pub http: String,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDescription {
    /// Chosen by the node, kept in its directory: who asks twice is the same.
    pub uuid: [u8; 16],
    /// Where it is reached.
    pub addresses: NodeAddresses,
    /// Version of its program.
    pub version: String,
    /// Nodes of one domain fail together.
    pub domain: Option<String>,
    /// Its share beside others; 100 is an ordinary one.
    pub weight: u32,
}

/// A node, by its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its number.
    pub id: NodeId,
    /// What it said of itself last.
    pub description: NodeDescription,
    /// What it was told to be.
    pub state: NodeState,
    /// When it was registered, in milliseconds since 1970.
    pub registered_ms: u64,
}

/// What can be set for the whole cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Replicas of each shard; odd.
    pub replicas: u32,
    /// What a node held that has been down for so many milliseconds is made again elsewhere.
    pub dead_ms: u64,
    /// Moves of replicas at once in the cluster.
    pub moves_max: u32,
    /// Moves of replicas at once to one node.
    pub node_moves_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            replicas: 3,
            dead_ms: 300_000,
            moves_max: 4,
            node_moves_max: 2,
        }
    }
}

/// The cluster itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterRecord {
    /// Its uuid.
    pub(crate) id: [u8; 16],
    /// Shards of user tables, numbered from 1.
    pub(crate) shard_count: u32,
    pub(crate) settings: Settings,
}

/// A move in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MoveRecord {
    pub(crate) moved: Move,
    /// When it began, in milliseconds since 1970.
    pub(crate) began_ms: u64,
}

/// A change of these records, as a command carries it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ClusterChange {
    /// The cluster is founded, or its settings change.
    Cluster(ClusterRecord),
    /// A node is registered, or described anew, or told to be something else.
    Node(NodeRecord),
    /// Where replicas of these groups should be from now on.
    Want(Vec<(GroupId, Wanted)>),
    /// A move begins.
    Begin(MoveRecord),
    /// The move of a group has ended.
    End(GroupId),
}

impl ClusterChange {
    /// Records to write (or, without a value, to remove).
    pub(crate) fn writes(&self) -> Result<Vec<(Vec<u8>, Option<bytes::Bytes>)>, TxnError> {
        let key = |record: Record, id: u64| records::by_transaction(record, id).to_vec();
        Ok(match self {
            ClusterChange::Cluster(record) => vec![(records::single(Record::Cluster).to_vec(), Some(encode(record)?))],
            ClusterChange::Node(record) => vec![(key(Record::Node, record.id), Some(encode(record)?))],
            ClusterChange::Want(wanted) => {
                let write =
                    |(group, wanted): &(GroupId, Wanted)| Ok((key(Record::Wanted, group.0), Some(encode(wanted)?)));
                wanted.iter().map(write).collect::<Result<_, TxnError>>()?
            }
            ClusterChange::Begin(record) => {
                vec![(key(Record::Move, record.moved.group.0), Some(encode(record)?))]
            }
            ClusterChange::End(group) => vec![(key(Record::Move, group.0), None)],
        })
    }
}

/// All that is recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) cluster: Option<ClusterRecord>,
    pub(crate) nodes: BTreeMap<NodeId, NodeRecord>,
    pub(crate) wanted: Placement,
    pub(crate) moves: BTreeMap<GroupId, MoveRecord>,
}

impl Recorded {
    /// What the meta group's family says.
    pub(crate) fn read(view: &View) -> Result<Recorded, TxnError> {
        let mut recorded = Recorded {
            cluster: records::get(view, &records::single(Record::Cluster))?,
            ..Recorded::default()
        };
        for (_, value) in records::all(view, Record::Node)? {
            let node: NodeRecord = decode(&value)?;
            recorded.nodes.insert(node.id, node);
        }
        for (rest, value) in records::all(view, Record::Wanted)? {
            recorded
                .wanted
                .insert(GroupId(records::transaction(&rest)?), decode(&value)?);
        }
        for (_, value) in records::all(view, Record::Move)? {
            let record: MoveRecord = decode(&value)?;
            recorded.moves.insert(record.moved.group, record);
        }
        Ok(recorded)
    }

    pub(crate) fn settings(&self) -> Settings {
        self.cluster
            .as_ref()
            .map(|cluster| cluster.settings)
            .unwrap_or_default()
    }
}
