//! A directory made by one node becomes a cluster: nodes join, drain, leave and die, and the replicas follow.

use std::sync::Arc;
use std::time::Duration;

use consensus::reconcile::NodeState;
use consensus::{LocalTransport, Members, NodeId};
use tempfile::TempDir;

use super::config;
use crate::cluster::{NodeAddresses, NodeDescription, NodeOrder, Overview, Settings};
use crate::node::ClusterConfig;
use crate::{Node, NodeConfig, TxnError};

/// Longest time a step of a test may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nodes of one process.
struct Cluster {
    network: Arc<LocalTransport>,
    nodes: Vec<(Arc<Node>, TempDir)>,
}

fn description(uuid: u8) -> NodeDescription {
    NodeDescription {
        uuid: [uuid; 16],
        addresses: NodeAddresses {
            node: format!("node-{uuid}:7070"),
            ..NodeAddresses::default()
        },
        version: "test".into(),
        domain: None,
        weight: 100,
    }
}

impl Cluster {
    /// A directory made by a node that is alone.
    async fn alone() -> Cluster {
        let mut cluster = Cluster {
            network: LocalTransport::new(),
            nodes: Vec::new(),
        };
        cluster.start(1, Members::Alone).await;
        cluster
    }

    async fn start(&mut self, id: NodeId, members: Members) {
        let directory = tempfile::tempdir().unwrap();
        let network = self.network.clone();
        let cluster = ClusterConfig {
            node: id,
            transport: network.end(id),
            connect: Arc::new(move |groups| network.connect(groups)),
            members,
        };
        let config = NodeConfig {
            cluster: Some(cluster),
            ..config(directory.path())
        };
        let node = Node::open(config).await.unwrap();
        node.describe(description(id as u8), None);
        self.nodes.push((node, directory));
    }

    fn first(&self) -> &Arc<Node> {
        &self.nodes[0].0
    }

    /// Another node joins, asking the first one.
    async fn join(&mut self) -> NodeId {
        let uuid = self.nodes.len() as u8 + 1;
        let registered = self.first().register_node(description(uuid), None).await.unwrap();
        self.start(registered.node, Members::Unknown).await;
        registered.node
    }

    /// Waits until the cluster, asked of a node, is as it should be.
    async fn wait(&self, asked: usize, what: &str, is_so: impl Fn(&Overview) -> bool) -> Overview {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let overview = self.nodes[asked].0.cluster_overview().await.unwrap();
            if overview.is_complete && is_so(&overview) {
                return overview;
            }
            assert!(std::time::Instant::now() < deadline, "{what}: {overview:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn shutdown(self) {
        for (node, _) in &self.nodes {
            node.shutdown().await;
        }
    }
}

fn state(overview: &Overview, id: NodeId) -> NodeState {
    overview.nodes.iter().find(|node| node.id == id).unwrap().state
}

/// Every shard has its replicas on these nodes, all healthy, and nothing moves.
fn is_on(overview: &Overview, nodes: &[NodeId]) -> bool {
    let shards = overview.shards.iter().filter(|shard| shard.shard > 0);
    let are_there = shards.clone().all(|shard| {
        let is_placed = shard.voters.len() == 3 && shard.voters.iter().all(|node| nodes.contains(node));
        is_placed && shard.health == "ok" && shard.leader == shard.wanted_leader
    });
    are_there && overview.moves.is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_directory_of_one_node_grows_to_three_and_shrinks_by_exchange() {
    let mut cluster = Cluster::alone().await;
    let alone = cluster.first().cluster_overview().await.unwrap();
    assert_eq!((alone.nodes.len(), alone.shards.len(), alone.cluster), (1, 5, None));
    assert!(alone.shards.iter().all(|shard| shard.health == "ok"));
    assert!(
        cluster.first().order_node(1, NodeOrder::Drain).await.is_err(),
        "nobody else could lead"
    );
    assert_eq!(cluster.join().await, 2);
    assert_eq!(cluster.join().await, 3);
    let grown = cluster
        .wait(2, "three replicas of everything", |overview| {
            is_on(overview, &[1, 2, 3])
        })
        .await;
    assert!(
        grown
            .nodes
            .iter()
            .all(|node| node.state == NodeState::Active && node.is_alive)
    );
    assert_eq!(grown.cluster, cluster.first().cluster_id().unwrap());
    assert_eq!(grown.shards[0].voters, [1, 2, 3], "the meta group too");
    let leaders: Vec<u64> = grown.nodes.iter().map(|node| node.leader_count).collect();
    assert!(leaders.iter().all(|count| (1..=3).contains(count)), "{leaders:?}");
    // Who asks again is the same.
    assert_eq!(
        cluster.first().register_node(description(3), None).await.unwrap().node,
        3
    );

    cluster.nodes[1].0.order_node(3, NodeOrder::Drain).await.unwrap();
    let drained = |overview: &Overview| {
        overview
            .shards
            .iter()
            .all(|shard| shard.leader.is_some_and(|node| node != 3))
    };
    cluster.wait(0, "node 3 leads nothing", drained).await;

    assert_eq!(cluster.join().await, 4);
    cluster.first().order_node(3, NodeOrder::Decommission).await.unwrap();
    let left = |overview: &Overview| is_on(overview, &[1, 2, 4]) && state(overview, 3) == NodeState::Decommissioned;
    cluster.wait(0, "node 3 is replaced by node 4", left).await;
    let refused = cluster.first().register_node(description(3), None).await;
    assert!(matches!(refused, Err(TxnError::Limit(_))), "{refused:?}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_dead_node_held_is_made_again_elsewhere() {
    let mut cluster = Cluster::alone().await;
    for id in 2..=4 {
        assert_eq!(cluster.join().await, id);
    }
    let placed = |overview: &Overview| is_on(overview, &[1, 2, 3, 4]) && overview.nodes.len() == 4;
    cluster.wait(0, "four nodes", placed).await;
    let settings = Settings {
        dead_ms: 4000,
        ..Settings::default()
    };
    cluster.first().set_cluster(settings).await.unwrap();
    // It need not be the leader of the meta group that dies, but it may be.
    cluster.network.isolate(3);
    let replaced = |overview: &Overview| is_on(overview, &[1, 2, 4]);
    let overview = cluster.wait(0, "without node 3", replaced).await;
    assert!(overview.nodes.iter().any(|node| node.id == 3 && !node.is_alive));
    cluster.network.heal();
    let back = |overview: &Overview| {
        let third = overview.nodes.iter().find(|node| node.id == 3);
        is_on(overview, &[1, 2, 3, 4]) && third.is_some_and(|third| third.is_alive && third.replica_count > 1)
    };
    cluster.wait(0, "node 3 takes its share again", back).await;
    cluster.shutdown().await;
}
