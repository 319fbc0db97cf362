//! Detection: deadlocks that span shards. Those within one shard its lock table finds itself.
//!
//! One task per node, woken when a wait begins while others wait on another shard. It joins the shards' waits-for graphs and
//! has each table do its part. Between two rounds it rests ten times as long as the last one took, so that very many
//! waits cost at most a tenth of a core.
//!
//! *Across nodes.* Who has waited on a shard of this node for `deadlock_timeout` makes it ask all nodes for their graphs,
//! twice, one after the other.
//!
//! ```text
//!   first answers: t1 waits for t2 (node 1), t2 waits for t1 (node 2)  ──all in──►  second answers: the same waits
//! ```
//! A wait that is in both, with the same ticket, stood all the time between: a cycle of such waits was there at one moment,
//! and ends only by being broken. So no transaction is aborted for a cycle that never was, as with probes along the edges,
//! and one round finds all cycles. Every node may ask; all choose the same victim, and a wait is ended only while it stands.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ahash::HashSet;
use consensus::NodeId;

use crate::locks::{AbortReason, Decision, Detector, Ticket, TxnId, Wait};
use crate::node::NodeInner;
use crate::placement::ShardId;
use crate::remote::message::{Answer, NodeAsk, ShardAsk};

/// Rest after a round, at least.
const REST_MIN: Duration = Duration::from_millis(1);
/// Waits are looked at this often even if nothing woke the task: a cycle may close without a new wait.
const IDLE: Duration = Duration::from_millis(500);

/// A wait: shard, priority of the waiter (smaller is older), and what stands in its way.
pub(crate) type Edge = (ShardId, u64, Wait);

/// Starts the node's tasks.
pub(crate) fn start(node: &Arc<NodeInner>) {
    tokio::spawn(across_nodes(Arc::downgrade(node), node.config.deadlock_timeout));
    let live = node.live.clone();
    let node = Arc::downgrade(node);
    tokio::spawn(async move {
        loop {
            // A cycle may also close when a lock is granted; then nobody calls.
            let _ = tokio::time::timeout(IDLE, live.detect.notified()).await;
            let Some(node) = Weak::upgrade(&node) else { return };
            if live.waiting_shards.load(Ordering::Acquire) < 2 {
                continue;
            }
            let started = Instant::now();
            round(&node);
            drop(node);
            tokio::time::sleep((started.elapsed() * 10).max(REST_MIN)).await;
        }
    });
}

/// Looks for cycles within the node once, and breaks them.
pub(crate) fn round(node: &NodeInner) {
    for decision in decide(edges_here(node)) {
        match decision {
            Decision::Overtake { shard, waiter, passed } => {
                let Some(shard) = node.local_leader(shard) else {
                    continue;
                };
                let mut core = shard.core();
                let (_, wakeups) = shard.with_table(&mut core, |table, values| table.overtake(waiter, passed, values));
                drop(core);
                wakeups.wake(&node.live);
            }
            Decision::Abort { txn, cycle } => {
                for shard in node.local_leaders() {
                    let mut core = shard.core();
                    let reason = AbortReason::Deadlock(cycle.clone());
                    let (_, wakeups) =
                        shard.with_table(&mut core, |table, values| table.abort_waiting(txn, reason, values));
                    drop(core);
                    wakeups.wake(&node.live);
                }
            }
        }
    }
}

/// The waits on the shards this node leads.
pub(crate) fn edges_here(node: &NodeInner) -> Vec<Edge> {
    let mut edges = Vec::new();
    for shard in node.local_leaders() {
        let waits = shard.core().locks.edges();
        edges.extend(
            waits
                .into_iter()
                .map(|wait| (shard.id, priority(node, wait.waiter), wait)),
        );
    }
    edges
}

fn decide(edges: Vec<Edge>) -> Vec<Decision> {
    let mut detector = Detector::default();
    for (shard, priority, wait) in edges {
        detector.set_priority(wait.waiter, priority);
        detector.add(shard, [wait]);
    }
    detector.decide()
}

/// The transaction's own priority where it runs; elsewhere its number, which grows with its start.
fn priority(node: &NodeInner, txn: TxnId) -> u64 {
    node.live.get(txn.0).map_or(txn.0, |inner| inner.owner.priority)
}

/// Looks for cycles that other nodes are part of, when somebody has waited here for long.
async fn across_nodes(node: Weak<NodeInner>, timeout: Duration) {
    let mut waited: HashSet<(ShardId, Ticket)> = HashSet::default();
    loop {
        tokio::time::sleep(timeout).await;
        let Some(node) = Weak::upgrade(&node) else { return };
        if node.is_stopping.load(Ordering::Acquire) {
            return;
        }
        if node.live.waiting_shards.load(Ordering::Acquire) == 0 {
            waited.clear();
            continue;
        }
        let waits: HashSet<_> = edges_here(&node)
            .iter()
            .map(|(shard, _, wait)| (*shard, wait.ticket))
            .collect();
        let is_long = waits.intersection(&waited).next().is_some();
        waited = waits;
        let peers = node.peers();
        if is_long && !peers.is_empty() {
            round_across(&node, &peers).await;
        }
    }
}

/// Looks for cycles over all nodes once, and breaks them.
pub(crate) async fn round_across(node: &Arc<NodeInner>, peers: &[NodeId]) {
    let first = edges_everywhere(node, peers).await;
    let stood = |wait: &Wait| (wait.waiter, wait.ticket, wait.blocker);
    let before: HashSet<_> = first.iter().map(|(shard, _, wait)| (*shard, stood(wait))).collect();
    let mut edges = edges_everywhere(node, peers).await;
    edges.retain(|(shard, _, wait)| before.contains(&(*shard, stood(wait))));
    let tickets: Vec<(ShardId, TxnId, Ticket)> = edges
        .iter()
        .map(|(shard, _, wait)| (*shard, wait.waiter, wait.ticket))
        .collect();
    for decision in decide(edges) {
        match decision {
            Decision::Overtake { shard, waiter, passed } => {
                tell(node, shard, ShardAsk::Overtake { waiter, passed }).await;
            }
            Decision::Abort { txn, cycle } => {
                let mut of_victim: Vec<_> = tickets.iter().filter(|(_, waiter, _)| *waiter == txn).collect();
                of_victim.dedup();
                for (shard, _, ticket) in of_victim {
                    let ask = ShardAsk::EndWait {
                        transaction: txn.0,
                        ticket: *ticket,
                        cycle: cycle.clone(),
                    };
                    tell(node, *shard, ask).await;
                }
            }
        }
    }
}

async fn tell(node: &Arc<NodeInner>, shard: ShardId, ask: ShardAsk) {
    // What is lost is found again in the next round.
    if let Err(error) = node.ask_shard(shard, ask).await {
        tracing::debug!(shard, %error, "a deadlock waits to be broken");
    }
}

async fn edges_everywhere(node: &Arc<NodeInner>, peers: &[NodeId]) -> Vec<Edge> {
    let asked = peers.iter().map(|peer| node.ask_node(*peer, NodeAsk::Edges));
    let mut edges = edges_here(node);
    for answer in futures::future::join_all(asked).await {
        if let Ok(Answer::Edges(found)) = answer {
            edges.extend(found);
        }
    }
    edges
}
