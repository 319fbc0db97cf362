//! Watch: whose transactions of other nodes hold something here, and whether those nodes still know them (L9).
//!
//! ```text
//!   this node leads shards where transactions of node 2 hold locks ── Alive [t7, t9] ──► node 2
//!                                                                  ◄── gone [t9], coming [t7] ──
//!   t9 ended, or was of an earlier start: its unprepared locks fall; what it prepared asks its anchor
//!   no answer for LOST_AFTER: all unprepared locks of node 2 fall, and its transactions are refused from then on
//! ```

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ahash::{HashMap, HashSet};
use consensus::NodeId;

use super::message::{Answer, NodeAsk};
use super::tell::coordinator_of;
use crate::command::TransactionId;
use crate::locks::TxnId;
use crate::node::NodeInner;

/// How often coordinators are asked.
const EVERY: Duration = Duration::from_secs(1);
/// After this time without an answer a coordinator counts as dead.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(5);

/// Starts the node's task.
pub(super) fn start(node: &Arc<NodeInner>) {
    let node = Arc::downgrade(node);
    tokio::spawn(async move {
        let mut silent: HashMap<NodeId, Instant> = HashMap::default();
        loop {
            tokio::time::sleep(EVERY).await;
            let Some(node) = Weak::upgrade(&node) else { return };
            if node.is_stopping.load(Ordering::Acquire) {
                return;
            }
            round(&node, &mut silent).await;
            node.remote.orders.sweep();
        }
    });
}

/// Asks the coordinators of whatever is held here, once.
pub(crate) async fn round(node: &Arc<NodeInner>, silent: &mut HashMap<NodeId, Instant>) {
    let mut of_node: HashMap<NodeId, HashSet<TransactionId>> = HashMap::default();
    for shard in node.local_leaders() {
        for id in shard.transactions() {
            if node.remote.is_elsewhere(id) {
                of_node.entry(coordinator_of(id)).or_default().insert(id);
            }
        }
    }
    silent.retain(|node, _| of_node.contains_key(node));
    let asked = of_node.into_iter().map(|(coordinator, ids)| async move {
        let asked = NodeAsk::Alive(ids.iter().copied().collect());
        (coordinator, node.ask_node(coordinator, asked).await, ids)
    });
    for (coordinator, answer, ids) in futures::future::join_all(asked).await {
        match answer {
            Ok(Answer::Alive { gone, coming, .. }) => {
                silent.remove(&coordinator);
                coming.into_iter().for_each(|id| node.remote.note_coming(TxnId(id)));
                end(node, &gone.into_iter().collect());
            }
            Ok(_) | Err(_) => {
                let since = *silent.entry(coordinator).or_insert_with(Instant::now);
                if since.elapsed() >= LOST_AFTER {
                    tracing::warn!(
                        coordinator,
                        count = ids.len(),
                        "a coordinator does not answer: its locks are freed"
                    );
                    end(node, &ids);
                }
            }
        }
    }
}

fn end(node: &Arc<NodeInner>, gone: &HashSet<TransactionId>) {
    if gone.is_empty() {
        return;
    }
    for shard in node.local_leaders() {
        shard.drop_transactions(gone);
    }
}
