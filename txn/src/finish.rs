//! Finish: COMMIT and ROLLBACK.
//!
//! All writes on one shard: one command there. Otherwise two phases ([`crate::commit`]): the shards written to vote by
//! logging Prepare, and the *anchor*, one of them, logs the decision together with its own writes. The client has its
//! answer when the decision is applied; after a crash the participants ask the anchor ([`crate::recovery`]).

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::HashMap;
use futures::FutureExt;
use smallvec::SmallVec;
use storage::version::Chain;

use crate::buffer::Buffer;
use crate::command::{Epoch, Timestamp, TransactionId, Writes};
use crate::commit::{Answer, Attempt, Coordinator, Message, Parties, Plan, Task};
use crate::live::Heard;
use crate::node::NodeInner;
use crate::paths::Paths;
use crate::placement::{META, ShardId};
use crate::remote::{RemoteShard, ShardRef};
use crate::shard::Shard;
use crate::shard::steps::Payload;
use crate::staging::{self, Gathered, Guard, Parts};
use crate::state::{Phase, ShardUse};
use crate::transaction::Inner;
use crate::{Isolation, Key, TableId, TxnError, reading};

/// How long a coordinator waits for an answer before it reminds its anchor.
const REMIND: std::time::Duration = std::time::Duration::from_secs(2);

/// Commits; see [`crate::Transaction::commit`].
pub(crate) async fn commit(inner: &Arc<Inner>) -> Result<Timestamp, TxnError> {
    let writes = match take_writes(inner) {
        Ok(writes) => writes,
        Err(error) => {
            roll_back(inner);
            return Err(error);
        }
    };
    let gathered = match writes {
        Some((buffer, chains)) => staging::gather(inner, buffer, chains).await,
        None => Ok(Gathered::default()),
    };
    let committed = match gathered {
        Ok(gathered) => run(inner, gathered).await,
        Err(error) => Err(error),
    };
    if committed.is_ok() {
        let news = std::mem::take(&mut inner.state.lock().news);
        if !news.is_empty() {
            Paths::tell_later(&inner.node, news);
        }
    }
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
        let shards = state.all_shards();
        state.shards.clear();
        state.asked.clear();
        shards
    };
    for id in shards {
        inner.node.leader(id).release(inner.id);
    }
    inner.node.live.remove(inner.id);
}

/// Takes what is to be committed out of the transaction; from here on it can do nothing else.
fn take_writes(inner: &Inner) -> Result<Option<(Buffer, Chains)>, TxnError> {
    let mut state = inner.usable()?;
    if state.buffer.is_empty() && state.changes.is_empty() {
        state.phase = Phase::Committing;
        return Ok(None);
    }
    if inner.options.read_only {
        return Err(TxnError::Limit("a read-only transaction has writes".into()));
    }
    if inner.node.is_disk_full() {
        return Err(TxnError::DiskFull);
    }
    state.phase = Phase::Committing;
    Ok(Some((
        std::mem::take(&mut state.buffer),
        std::mem::take(&mut state.chains),
    )))
}

/// How the rows that were read under locks are kept.
type Chains = HashMap<(TableId, Key), Chain>;

async fn run(inner: &Arc<Inner>, gathered: Gathered) -> Result<Timestamp, TxnError> {
    let Gathered { mut parts, guard } = gathered;
    let shards = inner.state.lock().shards.clone();
    if parts.is_empty() {
        // What it read under locks stood until now, or the transaction is not serializable.
        if inner.options.isolation == Isolation::Serializable {
            for used in &shards {
                inner.node.leader(used.shard).confirm(inner.id, used.epoch).await?;
            }
        }
        reading::settle(inner).await?;
        return Ok(0);
    }
    if let [(id, _)] = parts.as_slice()
        && let Some(way) = one_phase(inner, *id, &shards, guard.is_some())
    {
        let (id, writes) = parts.pop().expect("there is one");
        reading::settle_queued(inner, matches!(way, ShardRef::Remote(_))).await?;
        let committed = match way {
            ShardRef::Local(shard) => commit_here(inner, &shard, writes, &shards, guard).await,
            ShardRef::Remote(shard) => {
                let epoch = epoch_of(&shards, id).ok_or_else(TxnError::locks_lost)?;
                let committed = shard.commit_one_phase(inner.id, epoch, writes).boxed().await;
                if committed.is_ok() {
                    // The leader gave its locks back by itself, and remembers that the transaction is over.
                    inner.state.lock().forget_shard(id);
                }
                committed
            }
        };
        return match committed {
            // Leadership was lost with the commit on its way: whoever leads now knows.
            Err(TxnError::OutcomeUnknown) if !inner.node.peers().is_empty() => {
                let node = inner.node.clone();
                RemoteShard { node, id }.resolve(inner.id).boxed().await
            }
            committed => committed,
        };
    }
    // A decision must not outlive what it depends on.
    let is_elsewhere = |(shard, _): &(ShardId, Writes)| !inner.node.leader(*shard).is_local();
    reading::settle_queued(inner, parts.iter().any(is_elsewhere)).await?;
    // From here on the written shards give back their locks by themselves: whoever voted keeps them until it is decided.
    for (shard, _) in &parts {
        inner.state.lock().forget_shard(*shard);
    }
    // What stands only while its locks do (what was read under S, a parent that a foreign key names) is on shards without writes.
    let confirm = true;
    // A task of its own: once the first Prepare is proposed the protocol runs to its end, whether or not the session waits.
    let coordinator = two_phases(inner.node.clone(), inner.id, (parts, guard), shards, confirm);

    match tokio::spawn(coordinator).await {
        Ok(committed) => committed,
        Err(_) => Err(TxnError::OutcomeUnknown),
    }
}

/// The shard on which everything can be committed by one command. On another node that is one that holds all of the
/// transaction's locks: whether those elsewhere stand is asked after the timestamp is drawn, and only here that takes no time.
fn one_phase(inner: &Inner, id: ShardId, shards: &[ShardUse], is_staged: bool) -> Option<ShardRef> {
    let mut others = shards.iter().filter(|used| used.shard != id);
    let shard = inner.node.leader(id);
    let is_possible = match &shard {
        ShardRef::Local(_) => others.all(|used| inner.node.local_leader(used.shard).is_some()),
        ShardRef::Remote(_) => others.next().is_none() && !is_staged && epoch_of(shards, id).is_some(),
    };
    is_possible.then_some(shard)
}

/// Commits on a shard this node leads, where everything was written.
async fn commit_here(
    inner: &Inner,
    shard: &Arc<Shard>,
    writes: Writes,
    shards: &[ShardUse],
    mut guard: Option<Guard>,
) -> Result<Timestamp, TxnError> {
    let others = || check_epochs(&inner.node, shards.iter().filter(|used| used.shard != shard.id));
    let proposed = shard.commit_one_phase(inner.id, epoch_of(shards, shard.id), writes, others)?;
    match &mut guard {
        // Its locks go when what it staged can be read.
        Some(guard) => guard.take_over(),
        None => inner.state.lock().forget_shard(shard.id),
    }
    for used in std::mem::take(&mut inner.state.lock().shards) {
        if used.shard != shard.id {
            inner.node.leader(used.shard).release(inner.id);
        }
    }
    proposed.awaited.applied().await?;
    Ok(proposed.timestamp)
}

fn epoch_of(shards: &[ShardUse], id: ShardId) -> Option<Epoch> {
    shards.iter().find(|used| used.shard == id).map(|used| used.epoch)
}

/// Whether locks on shards that this node leads stand.
fn check_epochs<'a>(node: &NodeInner, shards: impl IntoIterator<Item = &'a ShardUse>) -> Result<(), TxnError> {
    shards
        .into_iter()
        .try_for_each(|used| match node.local_leader(used.shard) {
            Some(shard) => shard.check_epoch(used.epoch),
            None => Err(TxnError::locks_lost()),
        })
}

/// Commit over several shards: does what [`Coordinator`] says, and tells it what is answered.
async fn two_phases(
    node: Arc<NodeInner>,
    id: TransactionId,
    (mut parts, mut guard): (Parts, Option<Guard>),
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
    // What was staged belongs to the attempt that staged it. Whoever hears of that knows what to do with it from here on.
    let attempt = guard.as_ref().map_or_else(|| Attempt::begin(&node, id), Guard::attempt);
    if let Some(guard) = &mut guard {
        guard.take_over();
    }
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
                Ok(Some(Heard::Reply(reply))) => tasks.extend(coordinator.on_reply(reply)),
                Ok(Some(Heard::Refused(error))) => refused = Some(error),
                Ok(None) => break Answer::Unknown,
                // Between nodes messages are lost, and leaders change.
                Err(_) if parties_are_elsewhere(&node, &shards, &written) => tasks.extend(coordinator.on_timeout()),
                // Within a node nothing is lost, only slow. The anchor is told that somebody still comes to decide.
                Err(_) => {
                    let (anchor, participants) = (written[0], written[1..].to_vec());
                    let mark = Message::Mark(attempt, Parties { anchor, participants });
                    let reminded = node.leader(anchor).deliver(mark, Payload::default());
                    if let Err(error) = reminded {
                        // A new leader has no mark: it is asked for a decision, and says that there is none.
                        tracing::debug!(anchor, %error, "an anchor is not reminded");
                    }
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
                if let Err(error) = node.leader(shard).deliver(message, payload) {
                    refused = Some(error);
                }
            }
            Task::Draw => {
                let Ok(timestamp) = node.draw().await else {
                    refused = Some(TxnError::Unavailable);
                    tasks.extend(coordinator.on_cancel());
                    continue;
                };
                for shard in &written[1..] {
                    node.leader(*shard).date(id, timestamp);
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
    drop(guard);
    match answer {
        Answer::Committed(timestamp) => Ok(timestamp),
        Answer::Aborted => Err(refused.unwrap_or_else(TxnError::locks_lost)),
        Answer::Unknown => Err(TxnError::OutcomeUnknown),
    }
}

/// Whether any shard of a commit is led by another node by now.
fn parties_are_elsewhere(node: &NodeInner, shards: &[ShardUse], written: &[ShardId]) -> bool {
    let mut all = shards.iter().map(|used| used.shard).chain(written.iter().copied());
    all.any(|shard| node.local_leader(shard).is_none())
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
fn anchor_of(node: &Arc<NodeInner>, parts: &Parts) -> usize {
    let waiters = |id| node.leader(id).waiter_count();
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
