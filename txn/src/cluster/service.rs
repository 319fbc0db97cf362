//! The answering side: what other nodes ask about replicas of this node, and of groups it leads.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use consensus::{Group, GroupId, NodeId, Role, Service, TransportError};

use super::api;
use super::message::{Answer, Ask, GroupChange, ReplicaReport, Report};
use crate::TxnError;
use crate::command::{decode, encode};
use crate::node::NodeInner;
use crate::placement::ShardId;
use crate::replica::Replicas;

/// How long a leader tries to hand over.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(2);

/// Answers [`Ask`]s of other nodes.
pub(super) struct ClusterService(pub(super) Weak<NodeInner>);

#[async_trait]
impl Service for ClusterService {
    async fn answer(&self, _: NodeId, body: Bytes) -> Result<Bytes, TransportError> {
        let node = self.0.upgrade();
        let node = node.ok_or_else(|| TransportError::Unreachable("the node has stopped".into()))?;
        let failed = |error: TxnError| TransportError::Failed(error.to_string());
        let ask: Ask = decode(&body).map_err(failed)?;
        encode(&answer(&node, ask).await).map_err(failed)
    }
}

/// Answers an ask, of another node or of this one.
pub(super) async fn answer(node: &Arc<NodeInner>, ask: Ask) -> Answer {
    let result = match ask {
        Ask::Report => Ok(Answer::Report(report(node))),
        Ask::Open(group) => open(node, group).await,
        Ask::Close {
            group,
            membership_index,
        } => close(node, group, membership_index).await,
        Ask::Change {
            group,
            membership_index,
            change,
        } => change_group(node, group, membership_index, change).await,
        Ask::Register(..) | Ask::SetState(..) | Ask::Set(_) | Ask::Overview => api::answer_as_leader(node, ask).await,
    };
    result.unwrap_or_else(|error| Answer::Refused(error.to_string()))
}

/// How this node is.
pub(super) fn report(node: &NodeInner) -> Report {
    let of_replica = |replica: Arc<crate::replica::Replica>| {
        let group = &replica.group;
        let leadership = group.current_leadership();
        let serves = leadership.role == Role::Serving && group.is_lease_open();
        ReplicaReport {
            group: group.id(),
            leader: leadership.leader,
            term: leadership.term,
            applied: group.applied_index(),
            bytes: group.family().size_bytes(),
            membership: serves.then(|| group.membership()),
        }
    };
    Report {
        start: node.incarnation.start,
        version: env!("CARGO_PKG_VERSION").into(),
        replicas: node.replicas.all().into_iter().map(of_replica).collect(),
    }
}

fn shard_id(group: GroupId) -> Result<ShardId, TxnError> {
    ShardId::try_from(group.0).map_err(|_| TxnError::Limit(format!("there is no shard {group}")))
}

async fn open(node: &Arc<NodeInner>, group: GroupId) -> Result<Answer, TxnError> {
    Replicas::open(node, shard_id(group)?, consensus::Members::Unknown).await?;
    Ok(Answer::Done)
}

async fn close(node: &Arc<NodeInner>, group: GroupId, membership_index: u64) -> Result<Answer, TxnError> {
    let id = shard_id(group)?;
    let Some(replica) = node.replicas.get(id) else {
        return Ok(Answer::Done);
    };
    let known = replica.group.membership();
    // Whoever asks has seen an older membership than this node: it is a member again, or still.
    if known.index > membership_index && known.contains(node.groups.node()) {
        return Ok(Answer::Refused("a newer membership names this node".into()));
    }
    tracing::info!(
        shard = id,
        "the replica is no member of its group any more, and is removed"
    );
    Replicas::remove(node, id).await?;
    Ok(Answer::Done)
}

/// The group, if this node leads it.
fn led(node: &NodeInner, group: GroupId) -> Result<Result<Arc<Group>, Option<NodeId>>, TxnError> {
    let Some(replica) = node.replicas.get(shard_id(group)?) else {
        return Ok(Err(None));
    };
    let leadership = replica.group.current_leadership();
    let serves = leadership.role == Role::Serving;
    Ok(if serves {
        Ok(replica.group.clone())
    } else {
        Err(leadership.leader)
    })
}

async fn change_group(
    node: &NodeInner,
    id: GroupId,
    membership_index: u64,
    change: GroupChange,
) -> Result<Answer, TxnError> {
    let group = match led(node, id)? {
        Ok(group) => group,
        Err(leader) => return Ok(Answer::NotLeader(leader)),
    };
    let known = group.membership();
    if known.index != membership_index || !known.is_committed {
        // N3: planned for other members than those of now.
        return Ok(Answer::Refused(
            "the members of the group have changed meanwhile".into(),
        ));
    }
    tracing::info!(group = %id, ?change, "the reconciler changes the group");
    match change {
        GroupChange::AddLearner(learner) => group.admit_learner(learner).await?,
        GroupChange::RemoveLearners(learners) => group.remove_learners(learners).await?,
        // A node that is no voter of the meta group any more still needs the registry.
        GroupChange::ChangeVoters(voters) if id == GroupId::META => group.change_voters_keeping(voters).await?,
        GroupChange::ChangeVoters(voters) => group.change_voters(voters).await?,
        GroupChange::TransferLeader(to) => group.transfer_leader(to, TRANSFER_TIMEOUT).await?,
    }
    Ok(Answer::Done)
}
