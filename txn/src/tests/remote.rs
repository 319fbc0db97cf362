//! Shards on other nodes: three nodes of one process, a coordinator that leads the meta group and nothing else.

use std::collections::BTreeSet;

use consensus::LocalTransport;

use super::*;
use crate::node::ClusterConfig;
use crate::remote::ShardRef;

struct Cluster {
    nodes: Vec<Arc<Node>>,
    network: Arc<LocalTransport>,
    _directories: Vec<TempDir>,
}

impl Cluster {
    /// Three nodes with replicas of everything.
    async fn new() -> Cluster {
        let network = LocalTransport::new();
        let voters: BTreeSet<u64> = [1, 2, 3].into();
        let directories: Vec<TempDir> = voters.iter().map(|_| tempfile::tempdir().unwrap()).collect();
        let opened = voters.iter().zip(&directories).map(|(node, directory)| {
            let connected = network.clone();
            let cluster = ClusterConfig {
                node: *node,
                transport: network.end(*node),
                connect: Arc::new(move |groups| connected.connect(groups)),
                members: consensus::Members::Voters(voters.clone()),
            };
            Node::open(NodeConfig {
                cluster: Some(cluster),
                shard_count: 3,
                ..config(directory.path())
            })
        });
        let nodes = futures::future::join_all(opened).await;
        Cluster {
            nodes: nodes.into_iter().map(Result::unwrap).collect(),
            network,
            _directories: directories,
        }
    }

    /// The node that leads a shard, once one does.
    async fn leader(&self, shard: u32) -> &Arc<Node> {
        loop {
            if let Some(node) = self.nodes.iter().find(|node| node.leads(shard)) {
                return node;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The meta leader, after all other shards went to other nodes.
    async fn coordinator(&self) -> &Arc<Node> {
        let coordinator = self.leader(0).await;
        // Timestamps are leased when the node has drawn some.
        crate::housekeeping::extend_bound(&coordinator.inner).await.unwrap();
        let me = coordinator.groups().node();
        let other = self
            .nodes
            .iter()
            .map(|node| node.groups().node())
            .find(|node| *node != me);
        for shard in 1..=3 {
            while self.leader(shard).await.groups().node() == me {
                let group = coordinator
                    .groups()
                    .group(consensus::GroupId(u64::from(shard)))
                    .unwrap();
                let _ = group.transfer_leader(other.unwrap(), Duration::from_secs(5)).await;
            }
        }
        coordinator
    }
}

async fn put(node: &Arc<Node>, rows: &[(&str, i64)]) {
    let transaction = node.begin(TransactionOptions::default());
    transaction.begin_statement(true).await.unwrap();
    for (name, value) in rows {
        lock_row(&transaction, name, Mode::Exclusive).await.unwrap();
        transaction
            .write(TABLE, &key(name), RowWrite::Put(row(name, *value)))
            .unwrap();
    }
    transaction.commit().await.unwrap();
}

async fn value(node: &Arc<Node>, name: &str) -> Option<i64> {
    let transaction = node.begin(TransactionOptions::default());
    transaction.begin_statement(true).await.unwrap();
    value_of(transaction.get(TABLE, &key(name)).await.unwrap())
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_reads_locks_and_commits_on_shards_of_other_nodes() {
    let cluster = Cluster::new().await;
    let node = cluster.coordinator().await;
    for shard in 1..=3 {
        assert!(matches!(node.inner.leader(shard), ShardRef::Remote(_)));
    }
    put(node, &NAMES.map(|name| (name, 1))).await;
    let transaction = node.begin(TransactionOptions::default());
    for name in NAMES {
        add(&transaction, name, 10).await.unwrap();
    }
    transaction.begin_statement(true).await.unwrap();
    assert_eq!(names(&transaction, KeyRange::default(), false).await, NAMES);
    // Somebody else waits for a lock there, and gets it when this one has committed.
    let second = node.begin(TransactionOptions::default());
    let waiter = {
        let (one, two) = (NAMES[0], NAMES[1]);
        tokio::spawn(async move {
            add(&second, one, 100).await?;
            add(&second, two, 100).await?;
            second.commit().await
        })
    };
    transaction.commit().await.unwrap();
    waiter.await.unwrap().unwrap();
    assert_eq!(value(node, "a").await, Some(111));
    assert_eq!(value(node, "f").await, Some(11));
    // What is rolled back is there for others again.
    let third = node.begin(TransactionOptions::default());
    add(&third, "c", 1).await.unwrap();
    let mark = third.savepoint();
    add(&third, "d", 1).await.unwrap();
    third.rollback_to(mark).await.unwrap();
    let fourth = node.begin(TransactionOptions::default());
    add(&fourth, "d", 5).await.unwrap();
    fourth.rollback().await;
    third.rollback().await;
    assert_eq!(value(node, "d").await, Some(11));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_of_a_coordinator_that_is_gone_are_freed() {
    let cluster = Cluster::new().await;
    let node = cluster.coordinator().await;
    put(node, &NAMES.map(|name| (name, 1))).await;
    let id = {
        let transaction = node.begin(TransactionOptions::default());
        add(&transaction, "a", 1).await.unwrap();
        let id = transaction.id();
        // It ends without a word.
        transaction.inner.state.lock().shards.clear();
        transaction.inner.state.lock().asked.clear();
        id
    };
    let shard = node.inner.placement.row(TABLE, &key("a"));
    let leader = cluster.leader(shard).await;
    let holds = || {
        leader
            .inner
            .local_leader(shard)
            .is_some_and(|shard| shard.transactions().contains(&id))
    };
    for _ in 0..100 {
        if !holds() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!holds());
    let _ = &cluster.network;
}
