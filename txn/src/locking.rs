//! Locking: one request per shard, in order of shards, with everything taken back if one fails.
//!
//! A weak table mode (ACCESS SHARE, ROW SHARE, ROW EXCLUSIVE) conflicts with strong ones only, and those are taken on every
//! shard; so a weak one is taken on one shard, where the statement locks rows if it does. That keeps a statement on one
//! row on one shard.

use std::time::{Duration, Instant};

use futures::FutureExt;
use smallvec::SmallVec;

use crate::command::Epoch;
use crate::placement::ShardId;
use crate::remote::{RemoteShard, ShardRef};
use crate::shard::Shard;
use crate::shard::lock::Batch;
use crate::state::{Phase, ShardUse};
use crate::transaction::Inner;
use crate::{Key, LockName, LockRequest, LockWait, Mode, SavepointMark, TableId, TxnError, paths, rehearsal};

/// The requests of one shard.
type Group = (ShardId, Vec<LockRequest>);

/// How long a lock request that failed waits for other nodes to take back its parts.
const ROLL_BACK_TIMEOUT: Duration = Duration::from_secs(1);

/// Takes locks; see [`crate::Transaction::lock`].
pub(crate) async fn lock(inner: &Inner, requests: Vec<LockRequest>, wait: LockWait) -> Result<bool, TxnError> {
    paths::register_before_lock(inner, &requests).await?;
    let _one_at_a_time = inner.locking.lock().await;
    let groups = by_shard(inner, requests);
    if rehearsal::note(inner, &groups) {
        return Ok(true);
    }
    let step = {
        let mut state = inner.usable()?;
        state.clock += 1;
        state.clock
    };
    let deadline = match wait {
        LockWait::Wait(Some(timeout)) => Instant::now().checked_add(timeout),
        LockWait::Wait(None) | LockWait::NoWait | LockWait::Skip => None,
    };
    let has_written = |table: TableId, key: &Key| inner.state.lock().buffer.has_row(table, key);
    let mut asked: SmallVec<[ShardId; 2]> = SmallVec::new();
    for (id, requests) in groups {
        asked.push(id);
        let batch = Batch {
            requests: &requests,
            step,
            wait,
            deadline,
            has_written: &has_written,
        };
        let granted = match inner.node.leader(id) {
            ShardRef::Local(shard) => lock_here(inner, &shard, batch).await,
            ShardRef::Remote(shard) => lock_elsewhere(inner, &shard, batch).boxed().await,
        };
        if !matches!(granted, Ok(true)) {
            for id in asked {
                let shard = inner.node.leader(id);
                // A leader that does not answer keeps them longer; nobody waits for that here.
                let rolled_back = shard.roll_back_locks(inner.id, step, step - 1);
                let _ = tokio::time::timeout(ROLL_BACK_TIMEOUT, rolled_back).await;
            }
            return granted;
        }
    }
    inner.usable()?.note_grant();
    Ok(true)
}

/// Takes a batch of locks of a shard this node leads.
async fn lock_here(inner: &Inner, shard: &Shard, batch: Batch<'_>) -> Result<bool, TxnError> {
    let epoch = use_shard(inner, shard)?;
    let (granted, seen) = shard.lock(inner.asker(), epoch, batch).await;
    inner.state.lock().note_dependency(shard.id, epoch, seen);
    granted
}

/// Takes a batch of locks of a shard another node leads.
async fn lock_elsewhere(inner: &Inner, shard: &RemoteShard, batch: Batch<'_>) -> Result<bool, TxnError> {
    let id = shard.id;
    let epoch = {
        let mut state = inner.usable()?;
        let epoch = state.shard_use(id).map(|used| used.epoch);
        // Whatever becomes of the answer, the locks are given back in the end.
        if epoch.is_none() && !state.asked.contains(&id) {
            state.asked.push(id);
        }
        epoch
    };
    let (granted_in, granted, seen) = shard.lock(inner.asker(), epoch, batch).await?;
    let mut state = inner.usable()?;
    if epoch.is_none() && granted == Ok(true) {
        match state.shard_use(id) {
            // What it has seen there was of an earlier leadership.
            Some(used) if used.epoch != granted_in => return Err(TxnError::locks_lost()),
            Some(_) => {}
            None => state.shards.push(ShardUse {
                shard: id,
                epoch: granted_in,
                dependency: 0,
            }),
        }
    }
    state.note_dependency(id, granted_in, seen);
    granted
}

/// Notes that locks are held on a shard, of its current epoch; those of an older one are lost (DESIGN L9).
fn use_shard(inner: &Inner, shard: &Shard) -> Result<Epoch, TxnError> {
    let id = shard.id;
    let epoch = shard.core().epoch;
    let mut state = inner.usable()?;
    match state.shard_use(id) {
        Some(used) if used.epoch != epoch => {
            drop(state);
            inner.interrupt.doom(TxnError::locks_lost());
            Err(TxnError::locks_lost())
        }
        Some(_) => Ok(epoch),
        None => {
            state.shards.push(ShardUse {
                shard: id,
                epoch,
                dependency: 0,
            });
            Ok(epoch)
        }
    }
}

/// Sorts requests by shard.
fn by_shard(inner: &Inner, requests: Vec<LockRequest>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::with_capacity(1);
    let mut weak: SmallVec<[LockRequest; 1]> = SmallVec::new();
    let mut home = None;
    for request in requests {
        if matches!(request.name, LockName::Table(_)) {
            if is_weak(request.mode) {
                weak.push(request);
                continue;
            }
            home = home.or(Some(home_shard(inner, request.name.table())));
        }
        let shards = inner.node.placement.lock(&request.name);
        if let [shard] = shards.as_slice() {
            push(&mut groups, *shard, request);
        } else {
            for shard in shards {
                push(&mut groups, shard, request.clone());
            }
        }
    }
    for request in weak {
        let shard = weak_shard(inner, &groups, request.name.table());
        push(&mut groups, shard, request);
    }
    groups.sort_unstable_by_key(|(shard, _)| (Some(*shard) != home, *shard));
    groups
}

fn push(groups: &mut Vec<Group>, shard: ShardId, request: LockRequest) {
    match groups.iter_mut().find(|(id, _)| *id == shard) {
        Some((_, requests)) => requests.push(request),
        None => groups.push((shard, vec![request])),
    }
}

fn is_weak(mode: Mode) -> bool {
    matches!(
        mode,
        Mode::AccessShare | Mode::RowShare | Mode::RowExclusive | Mode::IntentionShared | Mode::IntentionExclusive
    )
}

/// Where the modes of a table meet first: LOCK TABLE waits there, and holds nothing on other shards meanwhile that would make
/// a deadlock of what is only an order of arrival.
fn home_shard(inner: &Inner, table: TableId) -> ShardId {
    let shards = inner.node.placement.table(table);
    shards[table as usize % shards.len()]
}

/// The shard a weak table mode is taken on: one where this request locks something of the table anyway, otherwise its home.
fn weak_shard(inner: &Inner, groups: &[Group], table: TableId) -> ShardId {
    let of_table = |(_, requests): &&Group| requests.iter().any(|request| request.name.table() == table);
    if let Some((shard, _)) = groups.iter().find(of_table) {
        return *shard;
    }
    home_shard(inner, table)
}

/// Undoes writes and restores the locks of a mark (DESIGN L7).
pub(crate) async fn roll_back_to(inner: &Inner, mark: SavepointMark) -> Result<(), TxnError> {
    let (shards, order) = {
        let mut state = inner.state.lock();
        if state.phase != Phase::Active {
            return Err(TxnError::serialization("the transaction has ended"));
        }
        state.roll_back_to(mark)?;
        state.clock += 1;
        (state.all_shards(), state.clock)
    };
    for id in shards {
        let shard = inner.node.leader(id);
        shard.roll_back_locks(inner.id, order, mark.0).await;
    }
    Ok(())
}
