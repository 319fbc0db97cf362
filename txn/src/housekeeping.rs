//! Housekeeping: the timestamp bound, garbage collection, consolidation of large documents, and checks at rest.
//!
//! One task per node, which ends when the node is dropped. Each tick it extends the timestamp lease; every few it computes
//! the safe point (below the oldest snapshot in use, and `retention` back) and proposes what can go to each shard. The
//! leader looks for garbage and the command names the keys, so that apply costs in proportion to what is removed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use storage::mvcc;

use crate::TxnError;
use crate::command::{Body, Timestamp};
use crate::machine::records::{self, Record};
use crate::machine::staged;
use crate::node::NodeInner;
use crate::oracle::{COUNTER_BITS, clock, clock_ms};
use crate::placement::META;
use crate::shard::Shard;

/// How often the timestamp lease is looked at.
const TICK: Duration = Duration::from_millis(500);
/// Ticks between two rounds of garbage collection.
const COLLECT_TICKS: u32 = 8;
/// How long records of decisions are kept. On one node no message is late, so this need not be DESIGN's ten minutes.
const HORIZON: Duration = Duration::from_secs(60);
/// Keys one command collects at most, so that apply is not held up for long.
const COLLECT_KEYS_MAX: usize = 1000;
/// Keys one round of a full scan looks at.
const SCAN_KEYS_MAX: usize = 20_000;

/// Starts the node's task.
pub(crate) fn start(node: &Arc<NodeInner>) {
    let node = Arc::downgrade(node);
    tokio::spawn(async move {
        let mut newest = 0;
        let mut ticks = 0;
        loop {
            tokio::time::sleep(TICK).await;
            let Some(node) = Weak::upgrade(&node) else { return };
            if node.is_stopping.load(Ordering::Acquire) {
                return;
            }
            // An idle node leaves the disk alone: without draws there is nothing to lease ahead for.
            let drawn = node.oracle.newest();
            let is_drawing = std::mem::replace(&mut newest, drawn) != drawn;
            if is_drawing
                && node.local_leader(META).is_some()
                && let Err(error) = extend_bound(&node).await
            {
                tracing::warn!(%error, "the timestamp bound could not be extended");
            }
            node.local_leaders().iter().for_each(|shard| shard.tick());
            for shard in &node.local_leaders() {
                if let Err(error) = fold_long(&node, shard).await {
                    tracing::warn!(shard = shard.id, %error, "long chains stay long");
                }
            }
            ticks += 1;
            if ticks % COLLECT_TICKS == 0 {
                for shard in &node.local_leaders() {
                    if let Err(error) = shard.move_horizon(horizon_ms(&node)) {
                        tracing::warn!(shard = shard.id, %error, "the horizon of commits stays where it is");
                    }
                    if let Err(error) = tidy(&node, shard).await {
                        tracing::warn!(shard = shard.id, %error, "housekeeping failed");
                    }
                }
            }
        }
    });
}

/// Makes a later bound of timestamps durable, if it is time.
pub(crate) async fn extend_bound(node: &NodeInner) -> Result<(), TxnError> {
    let Some(bound) = node.oracle.next_bound() else {
        return Ok(());
    };
    let proposed = node
        .shard(META)
        .and_then(|meta| meta.keep_house(Body::Bound { timestamp: bound }));
    let applied = match proposed {
        Ok(receiver) => receiver.applied().await,
        Err(error) => Err(error),
    };
    match applied {
        Ok(()) => {
            node.oracle.install(bound);
            Ok(())
        }
        Err(error) => {
            node.oracle.extension_failed();
            Err(error)
        }
    }
}

/// Attempts to commit that began before this time have ended: a commit that still runs holds it back.
fn horizon_ms(node: &NodeInner) -> u64 {
    let long_ago = clock_ms().saturating_sub(HORIZON.as_millis() as u64);
    node.live
        .oldest_attempt_ms()
        .map_or(long_ago, |oldest| oldest.min(long_ago))
}

/// What nobody may read below from now on.
pub(crate) fn safe_point(node: &NodeInner) -> Timestamp {
    let retention = (node.config.retention.as_millis() as u64) << COUNTER_BITS;
    // Taken before the snapshots are looked at: one that is registered later was drawn later.
    let newest = node.oracle.newest();
    let oldest = node
        .live
        .all()
        .iter()
        .map(|inner| inner.oldest_snapshot.load(Ordering::SeqCst))
        .filter(|at| *at > 0)
        .min();
    clock()
        .saturating_sub(retention)
        .min(newest)
        .min(oldest.unwrap_or(u64::MAX))
}

/// Consolidates what readers found long. Once a tick at most for each row: that is the limit of the rate, and a busy row of a
/// megabyte is read through some hundred deltas at worst, not thousands.
async fn fold_long(node: &NodeInner, shard: &Arc<Shard>) -> Result<(), TxnError> {
    if node.is_disk_full() {
        return Ok(());
    }
    for key in shard.facts.long_chains.take() {
        shard.fold(key).await?;
    }
    Ok(())
}

/// Consolidates what readers found long, and collects garbage below the safe point.
pub(crate) async fn tidy(node: &NodeInner, shard: &Arc<Shard>) -> Result<(), TxnError> {
    if node.is_disk_full() && shard.facts.garbage.is_empty() {
        return Ok(());
    }
    fold_long(node, shard).await?;
    let safe_point = safe_point(node);
    if safe_point <= shard.safe_point() {
        return Ok(());
    }
    let mut keys = shard.facts.garbage.take_until(safe_point);
    if let Some(from) = shard.facts.garbage.scan_position() {
        let (found, next) = find_garbage(shard, &from, safe_point)?;
        keys.extend(found);
        shard.facts.garbage.scanned_until(next);
    }
    keys.sort_unstable();
    keys.dedup();
    collect(shard, safe_point, keys).await
}

async fn collect(shard: &Arc<Shard>, safe_point: Timestamp, keys: Vec<Bytes>) -> Result<(), TxnError> {
    let mut garbage = Vec::new();
    for key in keys {
        let hidden_below = mvcc::id_of(&key).map_or(0, |id| shard.facts.clears.hidden_below(&[id], safe_point));
        if !mvcc::collect_key(&shard.view(), &key, safe_point, hidden_below)?.is_empty() {
            garbage.push(key);
        }
    }
    let clears = finished_clears(shard, safe_point)?;
    if garbage.is_empty() && clears.is_empty() {
        return Ok(());
    }
    let mut clears = Some(clears);
    let mut chunks: Vec<Vec<Bytes>> = garbage.chunks(COLLECT_KEYS_MAX).map(<[Bytes]>::to_vec).collect();
    if chunks.is_empty() {
        chunks.push(Vec::new());
    }
    for keys in chunks {
        // Clears go with the first command: what they hid is found by what is listed in later ones all the same.
        let clears = clears.take().unwrap_or_default();
        let receiver = shard.keep_house(Body::Collect {
            safe_point,
            keys,
            clears,
        })?;
        receiver.applied().await?;
    }
    Ok(())
}

/// Clears at or below the safe point that hide nothing any more. Those that do have their keys queued as garbage.
fn finished_clears(shard: &Shard, safe_point: Timestamp) -> Result<Vec<(u32, Timestamp)>, TxnError> {
    let mut finished = Vec::new();
    for (id, timestamp) in shard.facts.clears.until(safe_point) {
        let (rows, rows_end) = mvcc::row_range(id, None, None);
        let (entries, entries_end) = mvcc::entry_range(id, None, None);
        let mut hidden = mvcc::keys_below(&shard.view(), (&rows, &rows_end), timestamp, COLLECT_KEYS_MAX)?;
        hidden.extend(mvcc::keys_below(
            &shard.view(),
            (&entries, &entries_end),
            timestamp,
            COLLECT_KEYS_MAX,
        )?);
        if hidden.is_empty() {
            finished.push((id, timestamp));
        }
        for key in hidden {
            shard.facts.garbage.push(key, timestamp);
        }
    }
    Ok(finished)
}

/// Part of a scan of the whole family for garbage that nobody remembers (it was made before the start, or there was too much
/// of it): keys with more than one version, and where to go on.
fn find_garbage(shard: &Shard, from: &[u8], safe_point: Timestamp) -> Result<(Vec<Bytes>, Option<Bytes>), TxnError> {
    Ok(mvcc::keys_with_garbage(&shard.view(), from, safe_point, SCAN_KEYS_MAX)?)
}

/// Checks every invariant that can be checked at rest.
pub(crate) async fn check_invariants(node: &NodeInner) -> Result<(), String> {
    for shard in &node.local_leaders() {
        shard.settle().await;
        let view = shard.view();
        {
            let core = shard.core();
            core.pending.check_invariants()?;
            core.locks.check_invariants()?;
            if core.pending.is_empty() {
                let prepared = records::all(&view, Record::Prepared).map_err(|error| error.to_string())?;
                if !prepared.is_empty() {
                    return Err(format!(
                        "shard {}: {} prepared records without a mark",
                        shard.id,
                        prepared.len()
                    ));
                }
            }
        }
        if node.live.oldest_attempt_ms().is_none() {
            let left = staged::all(&shard.group.family()).map_err(|error| error.to_string())?;
            if !left.is_empty() {
                return Err(format!("shard {}: staged writes of nobody: {left:?}", shard.id));
            }
        }
        mvcc::check_family(&view, shard.safe_point()).map_err(|error| format!("shard {}: {error}", shard.id))?;
    }
    node.paths.check(node).await?;
    Ok(())
}
