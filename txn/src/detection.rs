//! Detection: deadlocks that span shards. Those within one shard its lock table finds itself.
//!
//! One task per node, woken when a wait begins while others wait on another shard. It joins the shards' waits-for graphs and
//! has each table do its part. Between two rounds it rests ten times as long as the last one took, so that very many
//! waits cost at most a tenth of a core.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::locks::{AbortReason, Decision, Detector, TxnId};
use crate::node::NodeInner;

/// Rest after a round, at least.
const REST_MIN: Duration = Duration::from_millis(1);
/// Waits are looked at this often even if nothing woke the task: a cycle may close without a new wait.
const IDLE: Duration = Duration::from_millis(500);

/// Starts the node's task.
pub(crate) fn start(node: &Arc<NodeInner>) {
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

/// Looks for cycles once, and breaks them.
pub(crate) fn round(node: &NodeInner) {
    let mut detector = Detector::default();
    for shard in node.local_leaders() {
        let edges = shard.core().locks.edges();
        for wait in &edges {
            detector.set_priority(wait.waiter, priority(node, wait.waiter));
        }
        detector.add(shard.id, edges);
    }
    for decision in detector.decide() {
        match decision {
            Decision::Overtake { shard, waiter, passed } => {
                let Ok(shard) = node.shard(shard) else { continue };
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

fn priority(node: &NodeInner, txn: TxnId) -> u64 {
    node.live.get(txn.0).map_or(txn.0, |inner| inner.owner.priority)
}
