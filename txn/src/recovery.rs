//! Recovery: what a crash left between Prepare and Finish.
//!
//! A leader knows again, from its family, what was prepared and what it decided ([`crate::replica`]); marks and locks of the
//! undecided stand again. At start no coordinator of before is alive, so every anchor is asked at once: its decision
//! stands, or it logs ABORT now, and whoever asks later hears the same. Nothing is served before all have finished. What was
//! staged and never prepared goes then too.

use std::sync::Arc;
use std::time::Duration;

use crate::TxnError;
use crate::locks::Incarnation;
use crate::machine::staged;
use crate::node::NodeInner;

/// A question or answer that was refused (a full queue) is repeated after this time.
const REPEAT: Duration = Duration::from_millis(200);

/// Finishes every transaction that was prepared by coordinators of earlier starts.
pub(crate) async fn recover(node: &Arc<NodeInner>, dead: Incarnation) -> Result<(), TxnError> {
    for shard in &node.local_leaders() {
        shard.ask_for_orphans(dead);
    }
    for shard in &node.local_leaders() {
        loop {
            let signal = {
                let mut core = shard.core();
                let Some(id) = core.pending.any() else { break };
                tracing::info!(
                    shard = shard.id,
                    transaction = id,
                    "waiting for a prepared transaction's decision"
                );
                core.pending.wait_for(id)
            };
            let Some(signal) = signal else { continue };
            if tokio::time::timeout(REPEAT, signal).await.is_err() {
                node.local_leaders().iter().for_each(|shard| shard.tick());
            }
        }
    }
    for shard in &node.local_leaders() {
        // Whoever staged them is dead, and what voted has finished.
        for (transaction, _) in staged::all(&shard.group.family())? {
            tracing::info!(
                shard = shard.id,
                transaction,
                "staged writes of a dead coordinator are forgotten"
            );
            shard.unstage(transaction);
        }
        shard.settle().await;
    }
    Ok(())
}
