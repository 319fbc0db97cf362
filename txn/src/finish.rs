//! Finish: COMMIT and ROLLBACK.
//!
//! All writes on one shard: one command there. Otherwise two phases ([`crate::commit`]): the shards written to vote by
//! logging Prepare, and the *anchor*, one of them, logs the decision together with its own writes. The client has its
//! answer when the decision is applied; after a crash the participants ask the anchor ([`crate::recovery`]).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ahash::HashMap;
use bytes::Bytes;
use smallvec::SmallVec;
use storage::mvcc;
use storage::version::{Chain, Consolidation, consolidation};

use crate::buffer::{Clear, FinalRow, FinalWrites};
use crate::command::{Epoch, Timestamp, TransactionId, Write, Writes};
use crate::commit::{Answer, Attempt, Coordinator, Message, Parties, Plan, Task};
use crate::locks::TxnId;
use crate::node::NodeInner;
use crate::oracle::clock_ms;
use crate::placement::{META, ShardId};
use crate::shard::steps::Payload;
use crate::state::{Phase, ShardUse};
use crate::transaction::Inner;
use crate::{Isolation, Key, TableId, TxnError, reading};

/// How long a coordinator waits for an answer before it reminds its anchor.
const REMIND: std::time::Duration = std::time::Duration::from_secs(2);
/// Largest encoded version; a larger row is refused before anything is proposed.
const VERSION_BYTES_MAX: usize = 1 << 30;

/// Commits; see [`crate::Transaction::commit`].
pub(crate) async fn commit(inner: &Arc<Inner>) -> Result<Timestamp, TxnError> {
    let parts = match prepare_to_commit(inner) {
        Ok(parts) => parts,
        Err(error) => {
            roll_back(inner);
            return Err(error);
        }
    };
    let committed = run(inner, parts).await;
    end(inner);
    committed
}

/// Rolls back; see [`crate::Transaction::rollback`].
pub(crate) fn roll_back(inner: &Inner) {
    {
        let mut state = inner.state.lock();
        if state.phase != Phase::Active {
            return;
        }
        state.phase = Phase::Ended;
    }
    end(inner);
}

/// Gives back what the transaction holds. Idempotent.
fn end(inner: &Inner) {
    let shards = {
        let mut state = inner.state.lock();
        state.phase = Phase::Ended;
        state.buffer = Default::default();
        state.chains = Default::default();
        std::mem::take(&mut state.shards)
    };
    for used in shards {
        if let Ok(shard) = inner.node.shard(used.shard) {
            shard.release(inner.id);
        }
    }
    inner.node.live.remove(inner.id);
}

/// What each shard is to write, in shard order.
type Parts = Vec<(ShardId, Writes)>;

fn prepare_to_commit(inner: &Inner) -> Result<Parts, TxnError> {
    let mut state = inner.usable()?;
    if state.buffer.is_empty() {
        state.phase = Phase::Committing;
        return Ok(Vec::new());
    }
    if inner.options.read_only {
        return Err(TxnError::Limit("a read-only transaction has writes".into()));
    }
    if inner.node.is_disk_full() {
        return Err(TxnError::DiskFull);
    }
    let writes = state.buffer.finish()?;
    let parts = encode(&inner.node, &state.chains, writes)?;
    state.phase = Phase::Committing;
    Ok(parts)
}

/// Encodes the writes of a transaction by shard.
fn encode(node: &NodeInner, chains: &HashMap<(TableId, Key), Chain>, writes: FinalWrites) -> Result<Parts, TxnError> {
    let mut parts: BTreeMap<ShardId, Writes> = BTreeMap::new();
    for clear in &writes.clears {
        let (table, id) = match *clear {
            Clear::Table(table) => (table, table),
            Clear::Index(table, index) => (table, index),
        };
        for shard in node.placement.table(table) {
            let clears = &mut parts.entry(shard).or_default().clears;
            if !clears.contains(&id) {
                clears.push(id);
            }
        }
    }
    for row in writes.rows {
        let shard = node.placement.row(row.table, &row.key);
        let FinalRow {
            table,
            key,
            version,
            is_delta,
        } = row;
        if version.len() > VERSION_BYTES_MAX {
            return Err(TxnError::Limit(format!(
                "a row of {} bytes is larger than a row may be",
                version.len()
            )));
        }
        let chain = chains.get(&(table, key.clone())).filter(|_| is_delta);
        let fold = chain.is_some_and(|chain| consolidation(longer(*chain, version.len())) == Consolidation::Now);
        let write = Write {
            key: mvcc::row_key(table, &key).into(),
            version,
            fold,
        };
        parts.entry(shard).or_default().versions.push(write);
    }
    for entry in writes.entries {
        let shard = node
            .placement
            .entry(entry.table, entry.index, entry.global, &entry.value, &entry.row);
        let key = Bytes::from(mvcc::entry_key(entry.index, &entry.value, &entry.row));
        let version = Bytes::from_static(mvcc::encode_entry(entry.present));
        parts.entry(shard).or_default().versions.push(Write {
            key,
            version,
            fold: false,
        });
    }
    Ok(parts.into_iter().collect())
}

/// A chain with one more delta.
fn longer(chain: Chain, delta_size: usize) -> Chain {
    Chain {
        deltas: chain.deltas + 1,
        delta_bytes: chain.delta_bytes + delta_size as u64,
        ..chain
    }
}

async fn run(inner: &Arc<Inner>, mut parts: Parts) -> Result<Timestamp, TxnError> {
    let shards = inner.state.lock().shards.clone();
    if parts.is_empty() {
        // What it read under locks stood until now, or the transaction is not serializable.
        if inner.options.isolation == Isolation::Serializable {
            check_epochs(&inner.node, &shards)?;
        }
        reading::settle(inner).await?;
        return Ok(0);
    }
    if parts.len() == 1 {
        let (id, writes) = parts.pop().expect("there is one");
        reading::settle_queued(inner).await?;
        let shard = inner.node.shard(id)?;
        let others = || check_epochs(&inner.node, shards.iter().filter(|used| used.shard != id));
        let proposed = shard.commit_one_phase(inner.id, epoch_of(&shards, id), writes, others)?;
        inner.state.lock().shards.retain(|used| used.shard != id);
        for used in std::mem::take(&mut inner.state.lock().shards) {
            inner.node.shard(used.shard)?.release(inner.id);
        }
        proposed.awaited.applied().await?;
        return Ok(proposed.timestamp);
    }
    // A decision must not outlive what it depends on.
    reading::settle_queued(inner).await?;
    // From here on the written shards give back their locks by themselves: whoever voted keeps them until it is decided.
    let is_written = |used: &mut ShardUse| parts.iter().any(|(shard, _)| *shard == used.shard);
    inner.state.lock().shards.retain(|used| !is_written(used));
    let confirm = inner.options.isolation == Isolation::Serializable;
    // A task of its own: once the first Prepare is proposed the protocol runs to its end, whether or not the session waits.
    let coordinator = two_phases(inner.node.clone(), inner.id, parts, shards, confirm);

    match tokio::spawn(coordinator).await {
        Ok(committed) => committed,
        Err(_) => Err(TxnError::OutcomeUnknown),
    }
}

fn epoch_of(shards: &[ShardUse], id: ShardId) -> Option<Epoch> {
    shards.iter().find(|used| used.shard == id).map(|used| used.epoch)
}

fn check_epochs<'a>(node: &NodeInner, shards: impl IntoIterator<Item = &'a ShardUse>) -> Result<(), TxnError> {
    shards
        .into_iter()
        .try_for_each(|used| node.shard(used.shard)?.check_epoch(used.epoch))
}

/// Commit over several shards: does what [`Coordinator`] says, and tells it what is answered.
async fn two_phases(
    node: Arc<NodeInner>,
    id: TransactionId,
    mut parts: Parts,
    shards: SmallVec<[ShardUse; 2]>,
    confirm: bool,
) -> Result<Timestamp, TxnError> {
    let anchor = anchor_of(&node, &parts);
    parts.swap(0, anchor);
    let written: Vec<ShardId> = parts.iter().map(|(shard, _)| *shard).collect();
    let readers = shards
        .iter()
        .map(|used| used.shard)
        .filter(|shard| !written.contains(shard))
        .collect();
    let attempt = Attempt {
        txn: TxnId(id),
        coordinator: node.incarnation,
        started_ms: clock_ms(),
    };
    let mut replies = node.live.coordinate(attempt);
    let (mut coordinator, tasks) = Coordinator::begin(
        attempt,
        Plan {
            written: written.clone(),
            readers,
            confirm,
        },
    );
    let mut tasks = VecDeque::from(tasks);
    let mut refused = None;
    let answer = loop {
        let Some(task) = tasks.pop_front() else {
            match tokio::time::timeout(REMIND, replies.recv()).await {
                Ok(Some(reply)) => tasks.extend(coordinator.on_reply(reply)),
                Ok(None) => break Answer::Unknown,
                // Within a node nothing is lost, only slow. The anchor is told that somebody still comes to decide.
                Err(_) => {
                    let (anchor, participants) = (written[0], written[1..].to_vec());
                    let mark = Message::Mark(attempt, Parties { anchor, participants });
                    node.shard(anchor)?.deliver(mark, Payload::default())?;
                }
            }
            continue;
        };
        match task {
            Task::Send(shard, message) => {
                crash_at(&node, &message).await;
                let carries = matches!(message, Message::Prepare(..) | Message::Mark(..) | Message::Decide(..));
                let writes = parts
                    .iter()
                    .find(|(part, _)| *part == shard && carries)
                    .map(|(_, writes)| writes.clone());
                let payload = Payload {
                    writes: writes.unwrap_or_default(),
                    epoch: epoch_of(&shards, shard),
                };
                if let Err(error) = node.shard(shard)?.deliver(message, payload) {
                    refused = Some(error);
                }
            }
            Task::Draw => {
                let Ok(timestamp) = node.draw() else {
                    refused = Some(TxnError::Unavailable);
                    tasks.extend(coordinator.on_cancel());
                    continue;
                };
                for shard in &written[1..] {
                    node.shard(*shard)?.date(id, timestamp);
                }
                tasks.extend(coordinator.on_drawn(timestamp));
            }
            Task::CommitOnePhase(shard, _) => {
                // Not asked for with more than one part; it would have been committed before it came here.
                tracing::error!(shard, "a commit over several shards became one of a single shard");
                break Answer::Aborted;
            }
            Task::Answer(answer) => break answer,
        }
    };
    node.live.coordinated(attempt.txn);
    match answer {
        Answer::Committed(timestamp) => Ok(timestamp),
        Answer::Aborted => Err(refused.unwrap_or_else(TxnError::locks_lost)),
        Answer::Unknown => Err(TxnError::OutcomeUnknown),
    }
}

/// Where tests let a coordinator die.
async fn crash_at(node: &NodeInner, message: &Message) {
    match message {
        Message::Decide(..) => node.crash_point("prepared").await,
        Message::Finish(..) => node.crash_point("decided").await,
        _ => {}
    }
}

/// The part whose shard decides. The meta group if it takes part, so that a registry change is applied, and its version
/// announced, when the client hears of the commit. Otherwise where most wait: there the locks pass on when the decision is
/// proposed, elsewhere when it is known. Otherwise the largest: its writes travel with the decision and are logged once.
fn anchor_of(node: &NodeInner, parts: &Parts) -> usize {
    let waiters = |id| node.shard(id).map_or(0, |shard| shard.waiter_count());
    let is_better = |index: &usize| {
        let (id, writes) = &parts[*index];
        (*id == META, waiters(*id), size(writes))
    };
    (0..parts.len())
        .max_by_key(is_better)
        .expect("there are at least two parts")
}

fn size(writes: &Writes) -> usize {
    writes
        .versions
        .iter()
        .map(|write| write.key.len() + write.version.len())
        .sum()
}
