//! Overview: the cluster as people see it.

use std::collections::BTreeMap;

use consensus::reconcile::{self, Cluster, NodeState, Phase};
use consensus::ring::WEIGHT;
use consensus::{GroupId, NodeId};
use serde::{Deserialize, Serialize};

use super::message::Report;
use super::records::{NodeAddresses, Recorded, Settings};

/// The cluster as its meta group's leader sees it; from a node that cannot reach it, what that node knows by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Its uuid; none while a node is alone.
    pub cluster: Option<[u8; 16]>,
    /// Who answered.
    pub by: NodeId,
    /// Whether that is the leader of the meta group; otherwise only its own replicas are known.
    pub is_complete: bool,
    /// All nodes ever registered.
    pub nodes: Vec<NodeStatus>,
    /// All groups; the meta group is 0.
    pub shards: Vec<ShardStatus>,
    /// All replicas.
    pub replicas: Vec<ReplicaStatus>,
    /// Moves in progress.
    pub moves: Vec<MoveStatus>,
    /// Settings of the cluster.
    pub settings: Settings,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its number.
    pub id: NodeId,
    /// What it was told to be.
    pub state: NodeState,
    /// Whether it answers.
    pub is_alive: bool,
    /// Since when it has not, in milliseconds.
    pub down_ms: Option<u64>,
    /// Where it is reached.
    pub addresses: NodeAddresses,
    /// Version of its program.
    pub version: String,
    /// Number of its start, growing.
    pub start: u64,
    /// Its failure domain.
    pub domain: Option<String>,
    /// Its share beside others.
    pub weight: u32,
    /// Replicas it holds.
    pub replica_count: u64,
    /// Groups it leads.
    pub leader_count: u64,
    /// Bytes of its replicas, roughly.
    pub bytes: u64,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardStatus {
    /// Its number; the meta group is 0.
    pub shard: u64,
    /// Who leads and serves.
    pub leader: Option<NodeId>,
    /// Term of that leader.
    pub term: u64,
    /// Replicas that vote.
    pub voters: Vec<NodeId>,
    /// Replicas that do not.
    pub learners: Vec<NodeId>,
    /// Where replicas should be.
    pub wanted: Vec<NodeId>,
    /// Who should lead.
    pub wanted_leader: Option<NodeId>,
    /// How many voters are up and have caught up.
    pub healthy_count: u64,
    /// `ok`, `degraded` (voters are missing), or `unavailable` (nobody leads).
    pub health: String,
}

/// A replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Its group.
    pub shard: u64,
    /// Its node.
    pub node: NodeId,
    /// `leader`, `voter`, `learner`, or `left` where it is no member.
    pub role: String,
    /// Index of the entry it applied last.
    pub applied: Option<u64>,
    /// Entries it lacks, if that is known.
    pub lag: Option<u64>,
    /// Its bytes, roughly.
    pub bytes: Option<u64>,
    /// Whether it is up and has caught up.
    pub is_healthy: bool,
}

/// A move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveStatus {
    /// Its group.
    pub shard: u64,
    /// Nodes that get a replica.
    pub add: Vec<NodeId>,
    /// Nodes that lose theirs.
    pub remove: Vec<NodeId>,
    /// What is being done.
    pub phase: String,
    /// Entries still to be copied, if that is known.
    pub lag: Option<u64>,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
}

impl Overview {
    /// Puts together what is recorded and what was reported.
    pub(super) fn of(
        (by, is_complete): (NodeId, bool),
        recorded: &Recorded,
        cluster: &Cluster,
        reports: &BTreeMap<NodeId, Report>,
    ) -> Overview {
        let mut overview = Overview {
            cluster: recorded.cluster.as_ref().map(|cluster| cluster.id),
            by,
            is_complete,
            settings: recorded.settings(),
            ..Overview::default()
        };
        for (id, view) in &cluster.nodes {
            overview.nodes.push(node(*id, view, recorded, cluster, reports.get(id)));
        }
        for (id, group) in &cluster.groups {
            overview.shards.push(shard(*id, group, cluster, reports));
            overview.replicas.extend(replicas(*id, group, cluster, reports));
        }
        for record in recorded.moves.values() {
            let phase = reconcile::phase(cluster, &record.moved);
            let lag = match phase {
                Phase::CatchingUp(lag) => lag,
                Phase::Opening | Phase::Switching | Phase::Closing | Phase::Waiting => None,
            };
            overview.moves.push(MoveStatus {
                shard: record.moved.group.0,
                add: record.moved.add.iter().copied().collect(),
                remove: record.moved.remove.iter().copied().collect(),
                phase: phase.name().into(),
                lag,
                began_ms: record.began_ms,
            });
        }
        overview
    }
}

fn node(
    id: NodeId,
    view: &reconcile::NodeView,
    recorded: &Recorded,
    cluster: &Cluster,
    report: Option<&Report>,
) -> NodeStatus {
    let description = recorded.nodes.get(&id).map(|record| &record.description);
    let replicas = report.map_or(&[][..], |report| &report.replicas);
    let leads = cluster.groups.values().filter(|group| group.leader == Some(id));
    let version = report.map(|report| report.version.clone());
    NodeStatus {
        id,
        state: view.state,
        is_alive: view.down_ms.is_none(),
        down_ms: view.down_ms,
        addresses: description
            .map(|description| description.addresses.clone())
            .unwrap_or_default(),
        version: version
            .or_else(|| description.map(|description| description.version.clone()))
            .unwrap_or_default(),
        start: report.map_or(0, |report| report.start),
        domain: view.domain.clone(),
        weight: description.map_or(WEIGHT, |description| description.weight),
        replica_count: replicas.len() as u64,
        leader_count: leads.count() as u64,
        bytes: replicas.iter().map(|replica| replica.bytes).sum(),
    }
}

fn shard(
    id: GroupId,
    group: &reconcile::GroupView,
    cluster: &Cluster,
    reports: &BTreeMap<NodeId, Report>,
) -> ShardStatus {
    let wanted = cluster.wanted.get(&id).cloned().unwrap_or_default();
    let healthy = group
        .voters
        .iter()
        .filter(|node| cluster.is_healthy(group, **node))
        .count();
    let of_group = |report: &Report| {
        report
            .replicas
            .iter()
            .filter(|replica| replica.group == id)
            .map(|r| r.term)
            .max()
    };
    let health = match group.leader {
        None => "unavailable",
        Some(_) if healthy < group.voters.len() || group.voters.len() < wanted.replicas.len() => "degraded",
        Some(_) => "ok",
    };
    ShardStatus {
        shard: id.0,
        leader: group.leader,
        term: reports.values().filter_map(of_group).max().unwrap_or(0),
        voters: group.voters.iter().copied().collect(),
        learners: group.learners.iter().copied().collect(),
        wanted: wanted.replicas,
        wanted_leader: wanted.leader,
        healthy_count: healthy as u64,
        health: health.into(),
    }
}

fn replicas(
    id: GroupId,
    group: &reconcile::GroupView,
    cluster: &Cluster,
    reports: &BTreeMap<NodeId, Report>,
) -> Vec<ReplicaStatus> {
    let mut nodes: Vec<NodeId> = group
        .voters
        .iter()
        .chain(&group.learners)
        .chain(&group.open)
        .copied()
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    let status = |node: NodeId| {
        let report = reports.get(&node);
        let report = report.and_then(|report| report.replicas.iter().find(|replica| replica.group == id));
        let role = if group.leader == Some(node) {
            "leader"
        } else if group.voters.contains(&node) {
            "voter"
        } else if group.learners.contains(&node) {
            "learner"
        } else {
            "left"
        };
        ReplicaStatus {
            shard: id.0,
            node,
            role: role.into(),
            applied: report.map(|report| report.applied),
            lag: if group.leader == Some(node) {
                Some(0)
            } else {
                group.lags.get(&node).copied()
            },
            bytes: report.map(|report| report.bytes),
            is_healthy: cluster.is_healthy(group, node),
        }
    };
    nodes.into_iter().map(status).collect()
}
