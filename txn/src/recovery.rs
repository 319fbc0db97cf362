//! Recovery: what a crash left between Prepare and Finish.
//!
//! At start no coordinator of before is alive. For each prepared record the anchor's family is asked: its decision stands,
//! or there is none, and then the anchor logs ABORT first, so that whoever asks later hears the same. Nothing is served
//! before all are finished, so nobody reads around them.

use std::sync::Arc;

use crate::TxnError;
use crate::command::{Body, Decision, DecisionRecord, Outcome, PreparedRecord, TransactionId, decode};
use crate::machine::records::{self, Record};
use crate::node::NodeInner;
use crate::placement::ShardId;

/// Finishes every prepared transaction, then forgets the decisions nobody waits for any more.
pub(crate) async fn recover(node: &Arc<NodeInner>) -> Result<(), TxnError> {
    for shard in node.shards() {
        let prepared = records::all(&shard.group.family().newest(), Record::Prepared)?;
        for (rest, record) in prepared {
            let transaction = records::transaction(&rest)?;
            let record: PreparedRecord = decode(&record)?;
            let decision = ask_anchor(node, record.anchor, transaction).await?;
            tracing::info!(
                shard = shard.id,
                transaction,
                ?decision,
                "finishing a prepared transaction"
            );
            let body = Body::Finish {
                transaction,
                decision,
                may_fold: false,
            };
            expect_applied(shard.keep_house(body)?.outcome().await?)?;
        }
    }
    for shard in node.shards() {
        let decisions = records::all(&shard.group.family().newest(), Record::Decision)?;
        let transactions = decisions
            .iter()
            .map(|(rest, _)| records::transaction(rest))
            .collect::<Result<Vec<_>, _>>()?;
        if !transactions.is_empty() {
            expect_applied(shard.keep_house(Body::Forget { transactions })?.outcome().await?)?;
        }
    }
    Ok(())
}

/// What the anchor decided; if nothing, it decides ABORT now.
async fn ask_anchor(node: &NodeInner, anchor: ShardId, transaction: TransactionId) -> Result<Decision, TxnError> {
    let shard = node.shard(anchor)?;
    let key = records::by_transaction(Record::Decision, transaction);
    if let Some(record) = records::get::<DecisionRecord>(&shard.group.family().newest(), &key)? {
        return Ok(record.decision);
    }
    match shard.decide_abort(transaction)?.outcome().await? {
        Outcome::Applied => Ok(Decision::Abort),
        Outcome::Decided(decision) => Ok(decision),
        Outcome::OutOfOrder => Err(TxnError::Unavailable),
    }
}

fn expect_applied(outcome: Outcome) -> Result<(), TxnError> {
    match outcome {
        Outcome::Applied | Outcome::Decided(_) => Ok(()),
        Outcome::OutOfOrder => Err(TxnError::Unavailable),
    }
}
