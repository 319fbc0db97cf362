//! Three replicas of a group in one process, over the transport in memory and over sockets: elections, hand-over, catching
//! up, leases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::raft::VoteRequest;
use openraft::vote::RaftVote;
use storage::{Engine, EngineError, EngineOptions};
use tempfile::TempDir;

use super::network::Network;
use super::{Counting, PATIENCE, options, serving, set, value, wait_for};
use crate::types::{TypeConfig, Vote};
use crate::{ConsensusError, Group, GroupId, Groups, GroupsOptions, Members, NodeId, Request, Response, Role};

const GROUP: GroupId = GroupId(3);

pub(super) struct Node {
    pub(super) groups: Arc<Groups>,
    pub(super) group: Arc<Group>,
    pub(super) machine: Arc<Counting>,
}

pub(super) struct Cluster {
    network: Network,
    directories: BTreeMap<NodeId, TempDir>,
    pub(super) nodes: BTreeMap<NodeId, Node>,
}

impl Cluster {
    pub(super) async fn start(network: Network, ids: impl IntoIterator<Item = NodeId>) -> Cluster {
        let ids: BTreeSet<NodeId> = ids.into_iter().collect();
        let directories = ids.iter().map(|id| (*id, tempfile::tempdir().unwrap())).collect();
        let mut cluster = Cluster {
            network,
            directories,
            nodes: BTreeMap::new(),
        };
        for id in &ids {
            cluster.open(*id, Members::Voters(ids.clone())).await;
        }
        cluster
    }

    pub(super) async fn open(&mut self, id: NodeId, members: Members) {
        self.open_with(options(id), members).await;
    }

    async fn open_with(&mut self, options: GroupsOptions, members: Members) {
        let id = options.node;
        let directory = self
            .directories
            .entry(id)
            .or_insert_with(|| tempfile::tempdir().unwrap());
        let groups = Groups::open(reopen(directory.path()).await, self.network.end(id).await, options).unwrap();
        self.network.connect(&groups);
        let machine = Arc::new(Counting::default());
        let group = groups.open_group(GROUP, machine.clone(), members).await.unwrap();
        self.nodes.insert(id, Node { groups, group, machine });
    }

    pub(super) async fn close(&mut self, id: NodeId) {
        let node = self.nodes.remove(&id).unwrap();
        node.groups.shutdown(false).await.unwrap();
        self.network.disconnect(id);
    }

    pub(super) fn group(&self, id: NodeId) -> &Arc<Group> {
        &self.nodes[&id].group
    }

    /// Waits until one of these nodes serves.
    pub(super) async fn leader_among(&self, ids: &[NodeId]) -> NodeId {
        let waits = ids.iter().map(|id| {
            Box::pin(async move {
                serving(self.group(*id)).await;
                *id
            })
        });
        futures::future::select_all(waits).await.0
    }

    /// Waits until a node has applied as much as another has now.
    pub(super) async fn caught_up(&self, id: NodeId, with: NodeId) {
        let index = self.group(with).applied_index();
        let applied = |metrics: &openraft::RaftMetrics<TypeConfig>| {
            metrics.last_applied.is_some_and(|applied| applied.index >= index)
        };
        self.group(id)
            .raft
            .wait(Some(PATIENCE))
            .metrics(applied, "caught up")
            .await
            .unwrap();
    }
}

/// The tests, over both transports.
macro_rules! over_both {
    ($($name:ident),+ $(,)?) => {
        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                Box::pin(super::$name(super::Network::in_memory())).await;
            })+
        }
        mod over_sockets {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                Box::pin(super::$name(super::Network::over_sockets())).await;
            })+
        }
    };
}

over_both! {
    all_replicas_apply_the_same,
    a_follower_refuses_and_names_the_leader,
    an_isolated_leader_is_replaced_and_its_unanswered_proposal_is_not_answered_yes,
    a_follower_that_missed_what_was_purged_catches_up_by_a_snapshot,
    c4_leadership_is_handed_over_on_request_and_the_old_leader_reads_no_more,
    c4_a_restarted_voter_refuses_votes_for_one_lease,
    replicas_are_added_and_removed,
}

async fn all_replicas_apply_the_same(network: Network) {
    let cluster = Cluster::start(network, 1..=3).await;
    let leader = cluster.leader_among(&[1, 2, 3]).await;
    let proposals: Vec<_> = (0..200)
        .map(|number| cluster.group(leader).propose(set(number, number)))
        .collect();
    for proposal in proposals {
        proposal.await.unwrap();
    }
    let seen = cluster.nodes[&leader].machine.seen.lock().clone();
    for id in 1..=3 {
        cluster.caught_up(id, leader).await;
        assert_eq!(value(cluster.group(id), "199").as_deref(), Some("199"));
        assert_eq!(*cluster.nodes[&id].machine.seen.lock(), seen);
    }
}

async fn a_follower_refuses_and_names_the_leader(network: Network) {
    let cluster = Cluster::start(network, 1..=3).await;
    let leader = cluster.leader_among(&[1, 2, 3]).await;
    let follower = (1..=3).find(|id| *id != leader).unwrap();
    wait_for(cluster.group(follower), |now| now.leader == Some(leader)).await;
    let refused = cluster.group(follower).propose(set("k", 1)).await;
    assert!(
        matches!(refused, Err(ConsensusError::NotLeader { leader: Some(hint) }) if hint == leader),
        "{refused:?}"
    );
    assert!(!cluster.group(follower).is_lease_open());
    assert!(matches!(
        cluster.group(follower).ensure_linearizable().await,
        Err(ConsensusError::NotLeader { .. })
    ));
    cluster.group(leader).ensure_linearizable().await.unwrap();
}

async fn an_isolated_leader_is_replaced_and_its_unanswered_proposal_is_not_answered_yes(network: Network) {
    let cluster = Cluster::start(network, 1..=3).await;
    let old = cluster.leader_among(&[1, 2, 3]).await;
    cluster.group(old).propose(set("k", "before")).await.unwrap();
    assert!(wait_for_lease(cluster.group(old)).await);
    cluster.network.isolate(old);
    let lost = cluster.group(old).propose(set("k", "lost"));
    let others: Vec<NodeId> = (1..=3).filter(|id| *id != old).collect();
    let new = cluster.leader_among(&others).await;
    // C4: two leases never overlap.
    assert!(
        !cluster.group(old).is_lease_open(),
        "the old leader would read what the new one overwrites"
    );
    assert!(cluster.group(new).current_leadership().term > cluster.group(old).current_leadership().term);
    cluster.group(new).propose(set("k", "after")).await.unwrap();
    cluster.network.heal();
    let lost = tokio::time::timeout(PATIENCE, lost)
        .await
        .expect("answered once the truth is known");
    assert!(matches!(lost, Err(ConsensusError::OutcomeUnknown)), "{lost:?}");
    wait_for(cluster.group(old), |now| now.leader == Some(new)).await;
    cluster.caught_up(old, new).await;
    assert_eq!(value(cluster.group(old), "k").as_deref(), Some("after"));
}

async fn a_follower_that_missed_what_was_purged_catches_up_by_a_snapshot(network: Network) {
    let mut cluster = Cluster::start(network, 1..=3).await;
    let leader = cluster.leader_among(&[1, 2, 3]).await;
    let behind = (1..=3).find(|id| *id != leader).unwrap();
    cluster.group(leader).propose(set("early", "bird")).await.unwrap();
    cluster.close(behind).await;
    for number in 0..300 {
        cluster.group(leader).propose(set(number, number)).await.unwrap();
    }
    cluster.group(leader).snapshot(PATIENCE).await.unwrap();
    let purged = |metrics: &openraft::RaftMetrics<TypeConfig>| metrics.purged.is_some_and(|purged| purged.index > 100);
    cluster
        .group(leader)
        .raft
        .wait(Some(PATIENCE))
        .metrics(purged, "purged")
        .await
        .unwrap();
    // What is applied after the snapshot comes by the log.
    cluster.group(leader).propose(set("late", "worm")).await.unwrap();
    cluster.open(behind, Members::Unknown).await;
    cluster.caught_up(behind, leader).await;
    for (key, expected) in [("early", "bird"), ("0", "0"), ("299", "299"), ("late", "worm")] {
        assert_eq!(value(cluster.group(behind), key).as_deref(), Some(expected));
    }
    assert!(
        cluster.nodes[&behind].machine.seen.lock().len() < 250,
        "the snapshot replaced most of the log"
    );
    assert!(
        cluster.group(behind).family().shard().unwrap().1 > 1,
        "installed into a new family"
    );
    // And it survives a restart: the switch was durable.
    cluster.close(behind).await;
    cluster.open(behind, Members::Unknown).await;
    cluster.caught_up(behind, leader).await;
    assert_eq!(value(cluster.group(behind), "299").as_deref(), Some("299"));
}

async fn c4_leadership_is_handed_over_on_request_and_the_old_leader_reads_no_more(network: Network) {
    let cluster = Cluster::start(network, 1..=3).await;
    let old = cluster.leader_among(&[1, 2, 3]).await;
    cluster.group(old).propose(set("k", 1)).await.unwrap();
    let new = (1..=3).find(|id| *id != old).unwrap();
    cluster.group(old).transfer_leader(new, PATIENCE).await.unwrap();
    assert!(!cluster.group(old).is_lease_open());
    serving(cluster.group(new)).await;
    cluster.group(new).propose(set("k", 2)).await.unwrap();
    assert!(matches!(
        cluster.group(old).propose(set("k", 3)).await,
        Err(ConsensusError::NotLeader { .. })
    ));
    // Asked of a node that does not lead.
    let refused = cluster.group(old).transfer_leader(new, PATIENCE).await;
    assert!(matches!(refused, Err(ConsensusError::NotLeader { .. })));
}

async fn c4_a_restarted_voter_refuses_votes_for_one_lease(network: Network) {
    let mut cluster = Cluster::start(network, 1..=3).await;
    let leader = cluster.leader_among(&[1, 2, 3]).await;
    let restarted = (1..=3).find(|id| *id != leader).unwrap();
    cluster.close(restarted).await;
    let lease = Duration::from_secs(5);
    // It hears nothing, so that only its own promise can make it refuse.
    cluster.network.isolate(restarted);
    let slow = GroupsOptions {
        election_min: lease / 2,
        election_max: lease,
        ..options(restarted)
    };
    let before = Instant::now();
    cluster.open_with(slow, Members::Unknown).await;
    let candidate = openraft::impls::leader_id_std::LeaderId {
        term: 1000,
        voted_for: 9,
    };
    let last = cluster.group(restarted).log.ends().1;
    let ask = |request: fn(VoteRequest<TypeConfig>) -> Request| {
        let groups = cluster.nodes[&restarted].groups.clone();
        let vote = VoteRequest::<TypeConfig>::new(Vote::from_leader_id(candidate, false), last);
        async move {
            match groups.handle(GROUP, request(vote)).await.unwrap() {
                Response::Vote(response) => response.vote_granted,
                other => panic!("{other:?}"),
            }
        }
    };
    assert!(!ask(Request::PreVote).await);
    assert!(!ask(Request::Vote).await);
    assert!(
        before.elapsed() < lease,
        "the machine was too slow for this test to say anything"
    );
    tokio::time::sleep_until((before + lease + Duration::from_millis(200)).into()).await;
    assert!(ask(Request::Vote).await, "afterwards it votes");
}

async fn replicas_are_added_and_removed(network: Network) {
    let mut cluster = Cluster::start(network, [1]).await;
    serving(cluster.group(1)).await;
    cluster.group(1).propose(set("k", "v")).await.unwrap();
    for id in [2, 3] {
        cluster.open(id, Members::Unknown).await;
        cluster.group(1).add_learner(id).await.unwrap();
    }
    cluster.group(1).change_voters([1, 2, 3].into()).await.unwrap();
    assert_eq!(cluster.group(1).voters(), [1, 2, 3].into());
    cluster.caught_up(3, 1).await;
    assert_eq!(value(cluster.group(3), "k").as_deref(), Some("v"));
    assert!(wait_for_lease(cluster.group(1)).await);
    // The gate is no longer always open: without the others it closes.
    cluster.network.isolate(1);
    let closed = tokio::time::timeout(PATIENCE, async {
        while cluster.group(1).is_lease_open() {
            tokio::task::yield_now().await;
        }
    });
    closed.await.unwrap();
    cluster.network.heal();
    let leader = cluster.leader_among(&[1, 2, 3]).await;
    let rest: BTreeSet<NodeId> = [1, 2, 3].into_iter().filter(|id| *id != leader % 3 + 1).collect();
    cluster.group(leader).change_voters(rest.clone()).await.unwrap();
    assert_eq!(cluster.group(leader).voters(), rest);
    assert_eq!(cluster.group(leader).current_leadership().role, Role::Serving);
    // The one that was removed is forgotten, and may come back as if it had never been there.
    let removed = leader % 3 + 1;
    cluster.nodes[&removed].groups.remove_group(GROUP).await.unwrap();
    cluster.close(removed).await;
    cluster.open(removed, Members::Unknown).await;
    assert_eq!(cluster.group(removed).log.ends(), (None, None));
    assert_eq!(value(cluster.group(removed), "k"), None);
    cluster.group(leader).add_learner(removed).await.unwrap();
    cluster.caught_up(removed, leader).await;
    assert_eq!(value(cluster.group(removed), "k").as_deref(), Some("v"));
}

/// Opens a directory as soon as requests that others had in flight to the node have let go of it.
async fn reopen(path: &std::path::Path) -> Arc<Engine> {
    let opened = async {
        loop {
            match Engine::open(path, EngineOptions::default()) {
                Err(EngineError::InUse { .. }) => tokio::task::yield_now().await,
                result => break result.unwrap(),
            }
        }
    };
    tokio::time::timeout(PATIENCE, opened).await.unwrap()
}

async fn wait_for_lease(group: &Group) -> bool {
    let open = async {
        while !group.is_lease_open() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, open).await.is_ok()
}
