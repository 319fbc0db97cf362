//! Reading one row or one index value: at the snapshot, or newest under a lock.

use smallvec::SmallVec;
use storage::mvcc::Wanted;
use storage::path::Parts;
use storage::{Path, Row};

use crate::buffer::Overlay;
use crate::placement::ShardId;
use crate::shard::read::{Look, Newest, Question};
use crate::state::ShardUse;
use crate::transaction::Inner;
use crate::{IndexId, Isolation, Key, LockedRow, TableId, TxnError};

/// Reads a row at the statement's snapshot, own writes on top.
pub(crate) async fn get(
    inner: &Inner,
    table: TableId,
    key: &Key,
    parts: Option<&Parts>,
) -> Result<Option<Row>, TxnError> {
    let (snapshot, overlay, planned) = {
        let mut state = inner.usable()?;
        let overlay = state.buffer.row(state.command, table, key)?;
        if overlay.as_ref().is_some_and(|overlay| overlay.hides_base) {
            return overlay.map_or(Ok(None), |overlay| overlay.over(None));
        }
        let snapshot = inner.snapshot_at_once(&mut state)?;
        (snapshot, overlay, state.planned_for(table))
    };
    let snapshot = match snapshot {
        Some(snapshot) => snapshot,
        None => inner.snapshot().await?,
    };
    // Nothing below waits while the row lies in memory: other tasks of this thread must have their turn.
    tokio::task::consume_budget().await;
    let id = inner.node.placement.row(table, key);
    let shard = inner.node.leader(id);
    let own = overlay.map(Overlay::into_operations);
    let wanted = Wanted {
        parts,
        own: own.as_deref().unwrap_or_default(),
    };
    let row = shard
        .read_row(inner.asker(), (table, planned, key), snapshot, wanted)
        .await?;
    if row.is_some() || own.is_none() {
        return Ok(row);
    }
    // A row younger than the snapshot was changed (ON CONFLICT DO UPDATE does that): what was changed is its newest state.
    let question = Question {
        table,
        key,
        wanted,
        look: Look::Whole,
        epoch: None,
        since: None,
    };
    let newest = shard.newest(inner.asker(), question).await?;
    note(inner, id, &newest)?;
    Ok(newest.state.row)
}

/// Notes what an answer rests on that looked at a row (DESIGN T4).
fn note(inner: &Inner, shard: ShardId, newest: &Newest) -> Result<(), TxnError> {
    if newest.dependency > 0 {
        inner.usable()?.note_dependency(shard, newest.epoch, newest.dependency);
    }
    Ok(())
}

/// Reads the newest state of a row under its lock (DESIGN L4). Of `added` paths only what is no addition counts as a change.
pub(crate) async fn read_locked(
    inner: &Inner,
    table: TableId,
    key: &Key,
    (paths, added): (&[Path], &[Path]),
    parts: Option<&Parts>,
) -> Result<LockedRow, TxnError> {
    let is_read_committed = inner.options.isolation == Isolation::ReadCommitted;
    let id = inner.node.placement.row(table, key);
    let (mut snapshot, overlay, epoch) = {
        let mut state = inner.usable()?;
        let snapshot = match is_read_committed {
            // Without a snapshot nothing was read that could have changed.
            true => state.snapshot,
            false => inner.snapshot_at_once(&mut state)?,
        };
        let overlay = state.buffer.row(state.command, table, key)?;
        (snapshot, overlay, state.shard_use(id).map(|used| used.epoch))
    };
    if snapshot.is_none() && !is_read_committed {
        snapshot = Some(inner.snapshot().await?);
    }
    if overlay.as_ref().is_some_and(|overlay| overlay.hides_base) {
        let row = overlay.map_or(Ok(None), |overlay| overlay.over(None))?;
        return Ok(LockedRow {
            row,
            ..LockedRow::default()
        });
    }
    let shard = inner.node.leader(id);
    let own = overlay.map(Overlay::into_operations).unwrap_or_default();
    let look = match (paths, added) {
        ([], []) => Look::Whole,
        (read, added) => Look::Paths { read, added },
    };
    let question = Question {
        table,
        key,
        wanted: Wanted { parts, own: &own },
        look,
        epoch,
        since: snapshot.filter(|_| !is_read_committed),
    };
    let newest = shard.newest(inner.asker(), question).await?;
    // Before anything else: that something changed is an answer as well.
    note(inner, id, &newest)?;
    let changed = snapshot.is_some_and(|snapshot| newest.state.newest > snapshot);
    if newest.has_conflict {
        if newest.state.row.is_none() && newest.state.moved_to.is_none() {
            return Err(TxnError::Deleted);
        }
        return Err(TxnError::serialization(
            "a path this statement reads or writes changed since its snapshot",
        ));
    }
    let chain = newest.state.chain;
    inner.usable()?.chains.insert((table, key.clone()), chain);
    let moved = newest.state.moved_to.filter(|_| changed);
    Ok(LockedRow {
        row: newest.state.row,
        changed,
        moved: moved.map(|key| (key, newest.state.newest)),
        put_at: newest.state.put_at,
    })
}

/// Reads the newest state of a row, whatever the snapshot, for constraint checks. Whoever only asks whether the row is
/// there does not depend on changes to it.
pub(crate) async fn read_newest(
    inner: &Inner,
    table: TableId,
    key: &Key,
    look: Look<'_>,
    parts: Option<&Parts>,
) -> Result<Option<Row>, TxnError> {
    let (row, seen) = look_newest(inner, table, key, look, parts).await?;
    saw(inner, seen)?;
    Ok(row)
}

/// What an answer rests on that is not noted yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen(Option<(ShardId, crate::command::Epoch, u64)>);

/// Notes what an answer rests on.
pub(crate) fn saw(inner: &Inner, Seen(seen): Seen) -> Result<(), TxnError> {
    if let Some((shard, epoch, sequence)) = seen {
        inner.usable()?.note_dependency(shard, epoch, sequence);
    }
    Ok(())
}

/// As [`read_newest`], but leaves it to the caller to note what the answer rests on.
pub(crate) async fn look_newest(
    inner: &Inner,
    table: TableId,
    key: &Key,
    look: Look<'_>,
    parts: Option<&Parts>,
) -> Result<(Option<Row>, Seen), TxnError> {
    let overlay = {
        let state = inner.usable()?;
        state.buffer.row(state.command, table, key)?
    };
    if overlay.as_ref().is_some_and(|overlay| overlay.hides_base) {
        let row = overlay.map_or(Ok(None), |overlay| overlay.over(None))?;
        return Ok((row, Seen::default()));
    }
    let id = inner.node.placement.row(table, key);
    let own = overlay.map(Overlay::into_operations).unwrap_or_default();
    let question = Question {
        table,
        key,
        wanted: Wanted { parts, own: &own },
        look,
        epoch: None,
        since: None,
    };
    let newest = inner.node.leader(id).newest(inner.asker(), question).await?;
    let seen = Seen((newest.dependency > 0).then_some((id, newest.epoch, newest.dependency)));
    Ok((newest.state.row, seen))
}

/// Rows that an index value leads to in the newest state, under the value's lock.
pub(crate) async fn read_index_locked(
    inner: &Inner,
    table: TableId,
    index: IndexId,
    global: bool,
    value: &Key,
) -> Result<Vec<Key>, TxnError> {
    let (own, hides_entries) = {
        let state = inner.usable()?;
        let own = state.buffer.entries_of(state.command, index, value)?;
        (own, state.buffer.hides_entries(state.command, table, index))
    };
    let mut rows = Vec::new();
    if !hides_entries {
        let shards = match global {
            true => smallvec::smallvec![inner.node.placement.entry(table, index, true, value, &[])],
            false => inner.node.placement.table(table),
        };
        for id in shards {
            let shard = inner.node.leader(id);
            let held = inner.usable()?.shard_use(id).map(|used| used.epoch);
            let (found, (epoch, dependency)) = shard.newest_entries(inner.asker(), held, (table, index), value).await?;
            rows.extend(found);
            inner.usable()?.note_dependency(id, epoch, dependency);
        }
    }
    for (row, present) in own {
        rows.retain(|found| found != &row);
        if present {
            rows.push(row);
        }
    }
    rows.sort_unstable();
    Ok(rows)
}

/// Waits until every proposal this transaction has seen the effects of cannot be lost without what it logs from now on. It
/// may commit then; an answer that is not that of a logged command still has to [`settle`]. If another node logs the commit
/// (`commits_elsewhere`), only what is applied cannot be lost without it.
pub(crate) async fn settle_queued(inner: &Inner, commits_elsewhere: bool) -> Result<(), TxnError> {
    if commits_elsewhere {
        return settle(inner).await;
    }
    let seen: SmallVec<[ShardUse; 2]> = {
        let state = inner.state.lock();
        state
            .shards
            .iter()
            .filter(|used| used.dependency > 0)
            .cloned()
            .collect()
    };
    for used in seen {
        let shard = inner.node.leader(used.shard);
        shard.wait_queued(used.epoch, used.dependency).await?;
    }
    Ok(())
}

/// Waits until every proposal this transaction has seen the effects of is applied (DESIGN T4).
pub(crate) async fn settle(inner: &Inner) -> Result<(), TxnError> {
    loop {
        let dependency = {
            let state = inner.state.lock();
            let seen = state.shards.iter().find(|used| used.dependency > 0);
            seen.map(|used| (used.shard, used.epoch, used.dependency))
        };
        let Some((shard, epoch, sequence)) = dependency else {
            return Ok(());
        };
        inner.node.leader(shard).wait_applied(epoch, sequence).await?;
        // Only now: who gives up waiting (a cancelled statement) waits at the next answer.
        let mut state = inner.state.lock();
        if let Some(used) = state.shard_use(shard)
            && used.dependency == sequence
        {
            used.dependency = 0;
        }
    }
}
