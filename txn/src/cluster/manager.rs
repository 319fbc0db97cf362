//! The task on the meta group's leader: asks all nodes how they are, plans, and carries out.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use consensus::reconcile::{Cluster, GroupView, Limits, NodeState, NodeView, Step, plan};
use consensus::{GroupId, Membership, NodeId};
use futures::future::join_all;
use parking_lot::Mutex;

use super::message::{Answer, Ask, GroupChange, Report, SERVICE};
use super::records::{ClusterChange, MoveRecord, NodeDescription, NodeRecord, Recorded};
use super::service::{self, ClusterService};
use crate::TxnError;
use crate::command::{Body, decode, encode};
use crate::node::NodeInner;
use crate::oracle::clock_ms;
use crate::placement::META;

/// Time between two rounds.
const ROUND: Duration = Duration::from_secs(1);
/// Time between two rounds while something is going on.
const BUSY_ROUND: Duration = Duration::from_millis(100);
/// How long a node may take to say how it is.
const REPORT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a step may take before the next round is planned all the same.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// A node that has not answered for so long is down.
const DOWN_AFTER: Duration = Duration::from_secs(3);

/// What a node knows of the cluster beside the records; of use on the meta group's leader.
#[derive(Default)]
pub(crate) struct ClusterState {
    /// What this node says of itself.
    pub(super) description: Mutex<Option<NodeDescription>>,
    /// The cluster's uuid, if this node was started with one.
    pub(super) identity: Mutex<Option<[u8; 16]>>,
    /// One change of the records at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// What was heard of other nodes.
    heard: Mutex<Heard>,
    /// Something changed: do not wait for the next round.
    pub(super) wake: tokio::sync::Notify,
}

/// What was heard of nodes and groups.
#[derive(Default)]
struct Heard {
    /// The last report of each node, when it came, and whether it is of the last round.
    reports: BTreeMap<NodeId, (Report, Instant, bool)>,
    /// The last membership of each group that its leader reported.
    memberships: BTreeMap<GroupId, Membership>,
}

/// Makes this node answer, and manage the cluster whenever it leads the meta group.
pub(crate) fn start(node: &Arc<NodeInner>) {
    let node = Arc::downgrade(node);
    if let Some(node) = node.upgrade() {
        let service = ClusterService(Arc::downgrade(&node));
        node.groups.serve(SERVICE, Arc::new(service));
    }
    tokio::spawn(async move {
        let mut pause = ROUND;
        loop {
            {
                let Some(node) = Weak::upgrade(&node) else { return };
                // The node is not kept alive over the pause.
                let cluster = node.cluster.clone();
                drop(node);
                let _ = tokio::time::timeout(pause, cluster.wake.notified()).await;
            }
            let Some(node) = Weak::upgrade(&node) else { return };
            if node.is_stopping.load(std::sync::atomic::Ordering::Acquire) {
                return;
            }
            pause = match round(&node).await {
                Ok(true) => BUSY_ROUND,
                Ok(false) => ROUND,
                Err(error) => {
                    tracing::warn!(%error, "the cluster stays as it is for now");
                    ROUND
                }
            };
        }
    });
}

/// One round, if this node leads the meta group. Whether there was something to do.
async fn round(node: &Arc<NodeInner>) -> Result<bool, TxnError> {
    let Some(meta) = node.local_leader(META).filter(|meta| meta.group.is_lease_open()) else {
        // Who leads next hears for himself; what was heard here will be old.
        *node.cluster.heard.lock() = Heard::default();
        return Ok(false);
    };
    let recorded = Recorded::read(&meta.view())?;
    if recorded.nodes.len() < 2 {
        return Ok(false);
    }
    let all_answered = gather(node, &recorded).await;
    let (cluster, is_known) = node.cluster.view(node, &recorded);
    // A new leader of the meta group must not take for dead whom it has not asked for long enough.
    if !all_answered && !is_known {
        return Ok(true);
    }
    let steps = plan(&cluster);
    if steps.is_empty() {
        return Ok(!recorded.moves.is_empty());
    }
    carry_out(node, &cluster, &recorded, steps).await;
    Ok(true)
}

/// Asks all nodes how they are. Whether all of them answered.
async fn gather(node: &Arc<NodeInner>, recorded: &Recorded) -> bool {
    let asked = recorded.nodes.keys().map(|id| async move {
        let answer = tokio::time::timeout(REPORT_TIMEOUT, ask(node, *id, Ask::Report)).await;
        match answer {
            Ok(Ok(Answer::Report(report))) => (*id, Some(report)),
            Ok(Ok(_) | Err(_)) | Err(_) => (*id, None),
        }
    });
    let answers = join_all(asked).await;
    let mut heard = node.cluster.heard.lock();
    let mut all_answered = true;
    for (id, report) in answers {
        match report {
            Some(report) => {
                for replica in &report.replicas {
                    if let Some(membership) = &replica.membership {
                        heard.memberships.insert(replica.group, membership.clone());
                    }
                }
                heard.reports.insert(id, (report, Instant::now(), true));
            }
            None => {
                let state = recorded.nodes.get(&id).map(|record| record.state);
                all_answered &= state == Some(NodeState::Decommissioned);
                let unheard = || (Report::default(), Instant::now(), false);
                heard.reports.entry(id).or_insert_with(unheard).2 = false;
            }
        }
    }
    all_answered
}

impl ClusterState {
    /// The cluster as the reconciler looks at it; and whether every node was heard of, or asked for long enough.
    pub(super) fn view(&self, node: &NodeInner, recorded: &Recorded) -> (Cluster, bool) {
        let settings = recorded.settings();
        let limits = Limits {
            replicas: settings.replicas as usize,
            dead_ms: settings.dead_ms,
            moves_max: settings.moves_max as usize,
            node_moves_max: settings.node_moves_max as usize,
            ..Limits::default()
        };
        let heard = self.heard.lock();
        let mut is_known = true;
        let mut cluster = Cluster {
            limits,
            wanted: recorded.wanted.clone(),
            moves: recorded
                .moves
                .iter()
                .map(|(id, record)| (*id, record.moved.clone()))
                .collect(),
            ..Cluster::default()
        };
        for (id, record) in &recorded.nodes {
            let silent = match heard.reports.get(id) {
                Some((_, _, true)) => Duration::ZERO,
                Some((_, at, false)) => at.elapsed(),
                None => DOWN_AFTER,
            };
            let is_alive = silent < DOWN_AFTER;
            is_known &= heard
                .reports
                .get(id)
                .is_some_and(|(report, _, is_fresh)| *is_fresh || report.start > 0 || !is_alive);
            let view = NodeView {
                state: record.state,
                weight: record.description.weight,
                domain: record.description.domain.clone(),
                down_ms: (!is_alive).then_some(silent.as_millis() as u64),
            };
            cluster.nodes.insert(*id, view);
        }
        let shard_count = recorded
            .cluster
            .as_ref()
            .map_or(node.placement.shard_count(), |cluster| cluster.shard_count);
        for id in 0..=u64::from(shard_count) {
            let id = GroupId(id);
            cluster.groups.insert(id, heard.group(id, recorded));
        }
        (cluster, is_known)
    }

    /// Reports as they came last.
    pub(super) fn reports(&self) -> BTreeMap<NodeId, Report> {
        let heard = self.heard.lock();
        heard
            .reports
            .iter()
            .map(|(id, (report, ..))| (*id, report.clone()))
            .collect()
    }

    /// Notes how a node is.
    pub(super) fn hear(&self, id: NodeId, report: Report) {
        let mut heard = self.heard.lock();
        for replica in &report.replicas {
            if let Some(membership) = &replica.membership {
                heard.memberships.insert(replica.group, membership.clone());
            }
        }
        heard.reports.insert(id, (report, Instant::now(), true));
    }
}

impl Heard {
    /// A group as its leader, if that reported in the last round, and the nodes that hold it see it.
    fn group(&self, id: GroupId, recorded: &Recorded) -> GroupView {
        let mut view = GroupView::default();
        let mut newest_term = 0;
        for (node, (report, _, is_fresh)) in &self.reports {
            let Some(replica) = report.replicas.iter().find(|replica| replica.group == id) else {
                continue;
            };
            // A decommissioned node keeps its last copy of the registry: it is how it knows that it is.
            let state = recorded.nodes.get(node).map(|record| record.state);
            if id != GroupId::META || state != Some(NodeState::Decommissioned) {
                view.open.insert(*node);
            }
            if *is_fresh && replica.membership.is_some() && replica.term > newest_term {
                newest_term = replica.term;
                view.leader = Some(*node);
            }
        }
        if let Some(membership) = self.memberships.get(&id) {
            view.voters = membership.voters.clone();
            view.learners = membership.learners.clone();
            view.joint_to = membership.joint_to.clone();
            view.is_changing = !membership.is_committed;
            view.membership_index = membership.index;
            view.lags = membership.lags.clone();
        }
        view
    }
}

/// Asks a node, this one included.
pub(super) async fn ask(node: &Arc<NodeInner>, target: NodeId, ask: Ask) -> Result<Answer, TxnError> {
    if target == node.groups.node() {
        // Boxed: what is answered may ask again.
        return Ok(Box::pin(service::answer(node, ask)).await);
    }
    let answer = node.groups.transport().ask(target, SERVICE, encode(&ask)?).await;
    decode(&answer.map_err(|_| TxnError::Unavailable)?)
}

/// Writes a change of the records, and waits until it is applied.
pub(super) async fn record(node: &Arc<NodeInner>, change: ClusterChange) -> Result<(), TxnError> {
    let meta = node.local_leader(META).ok_or(TxnError::Unavailable)?;
    meta.keep_house(Body::Cluster(change))?.applied().await
}

async fn carry_out(node: &Arc<NodeInner>, cluster: &Cluster, recorded: &Recorded, steps: Vec<Step>) {
    let mut orders = Vec::new();
    for step in steps {
        tracing::info!(%step, "the reconciler");
        match order(cluster, &step) {
            Some((target, ask)) => orders.push((step, target, ask)),
            None => {
                if let Err(error) = write(node, cluster, recorded, &step).await {
                    tracing::warn!(%step, %error, "a step of the reconciler is not recorded; it is planned again");
                    return;
                }
            }
        }
    }
    let carried = orders.into_iter().map(|(step, target, order)| async move {
        let answer = tokio::time::timeout(STEP_TIMEOUT, ask(node, target, order)).await;
        match answer {
            Ok(Ok(Answer::Done)) => {}
            other => {
                tracing::info!(%step, answer = ?other, "a step of the reconciler is not done; it is planned again")
            }
        }
    });
    join_all(carried).await;
}

/// Who is told to carry out a step, and how; `None` if it is one that is only recorded.
fn order(cluster: &Cluster, step: &Step) -> Option<(NodeId, Ask)> {
    let change = |group: &GroupId, change: GroupChange| {
        let view = cluster.groups.get(group)?;
        let membership_index = view.membership_index;
        let ask = Ask::Change {
            group: *group,
            membership_index,
            change,
        };
        Some((view.leader?, ask))
    };
    match step {
        Step::Want(_) | Step::SetState(..) | Step::Begin(_) | Step::End(..) => None,
        Step::Open(group, node) => Some((*node, Ask::Open(*group))),
        Step::Close {
            group,
            node,
            membership_index,
        } => {
            let ask = Ask::Close {
                group: *group,
                membership_index: *membership_index,
            };
            Some((*node, ask))
        }
        Step::AddLearner(group, node) => change(group, GroupChange::AddLearner(*node)),
        Step::RemoveLearners(group, nodes) => change(group, GroupChange::RemoveLearners(nodes.clone())),
        Step::ChangeVoters(group, voters) => change(group, GroupChange::ChangeVoters(voters.clone())),
        Step::TransferLeader(group, node) => change(group, GroupChange::TransferLeader(*node)),
    }
}

/// Writes down a step that is only recorded.
async fn write(node: &Arc<NodeInner>, cluster: &Cluster, recorded: &Recorded, step: &Step) -> Result<(), TxnError> {
    match step {
        Step::Want(placement) => {
            let is_new =
                |(group, wanted): &(&GroupId, &consensus::ring::Wanted)| cluster.wanted.get(group) != Some(wanted);
            let new = placement.iter().filter(is_new);
            record(
                node,
                ClusterChange::Want(new.map(|(group, wanted)| (*group, wanted.clone())).collect()),
            )
            .await
        }
        Step::SetState(id, state) => {
            let _one_at_a_time = node.cluster.changing.lock().await;
            // Somebody may have given another order since the round began.
            let meta = node.local_leader(META).ok_or(TxnError::Unavailable)?;
            let now = Recorded::read(&meta.view())?;
            match (now.nodes.get(id), recorded.nodes.get(id)) {
                (Some(now), Some(then)) if now.state == then.state => {
                    let state = *state;
                    record(node, ClusterChange::Node(NodeRecord { state, ..now.clone() })).await
                }
                _ => Ok(()),
            }
        }
        Step::Begin(moved) => {
            let moved = moved.clone();
            let began_ms = clock_ms();
            record(node, ClusterChange::Begin(MoveRecord { moved, began_ms })).await
        }
        Step::End(group, _) => record(node, ClusterChange::End(*group)).await,
        Step::Open(..)
        | Step::Close { .. }
        | Step::AddLearner(..)
        | Step::RemoveLearners(..)
        | Step::ChangeVoters(..)
        | Step::TransferLeader(..) => Ok(()),
    }
}
