//! Reading one row or one index value: at the snapshot, or newest under a lock.

use smallvec::SmallVec;
use storage::mvcc::{Asked, Changes, Wanted};
use storage::path::{Parts, overlaps};
use storage::{Path, Row};

use crate::buffer::Overlay;
use crate::shard::Shard;
use crate::shard::read::{Look, NewestRow};
use crate::state::ShardUse;
use crate::transaction::Inner;
use crate::{IndexId, Isolation, Key, LockedRow, TableId, TxnError, locking};

/// Reads a row at the statement's snapshot, own writes on top.
pub(crate) async fn get(
    inner: &Inner,
    table: TableId,
    key: &Key,
    parts: Option<&Parts>,
) -> Result<Option<Row>, TxnError> {
    let (snapshot, overlay) = {
        let mut state = inner.usable()?;
        let overlay = state.buffer.row(state.command, table, key)?;
        if overlay.as_ref().is_some_and(|overlay| overlay.hides_base) {
            return overlay.map_or(Ok(None), |overlay| overlay.over(None));
        }
        (inner.snapshot(&mut state)?, overlay)
    };
    // Nothing below waits while the row lies in memory: other tasks of this thread must have their turn.
    tokio::task::consume_budget().await;
    let shard = inner.node.shard(inner.node.placement.row(table, key))?;
    let own = overlay.map(Overlay::into_operations);
    let wanted = Wanted {
        parts,
        own: own.as_deref().unwrap_or_default(),
    };
    let row = shard.read_row(inner, (table, key), snapshot, wanted).await?;
    if row.is_some() || own.is_none() {
        return Ok(row);
    }
    // A row younger than the snapshot was changed (ON CONFLICT DO UPDATE does that): what was changed is its newest state.
    let newest = shard.read_newest(table, key, wanted)?;
    note(inner, shard, &newest, Look::Whole)?;
    Ok(newest.state.row)
}

/// Notes what an answer rests on that looked at a row (DESIGN T4).
fn note(inner: &Inner, shard: &Shard, newest: &NewestRow, look: Look<'_>) -> Result<(), TxnError> {
    let dependency = newest.dependency(look)?;
    if dependency > 0 {
        shard.note_dependency(&mut *inner.usable()?, newest.epoch, dependency);
    }
    Ok(())
}

/// Reads the newest state of a row under its lock (DESIGN L4). Of `added` paths only what is no addition counts as a change.
pub(crate) fn read_locked(
    inner: &Inner,
    table: TableId,
    key: &Key,
    (paths, added): (&[Path], &[Path]),
    parts: Option<&Parts>,
) -> Result<LockedRow, TxnError> {
    let (snapshot, overlay) = {
        let mut state = inner.usable()?;
        let snapshot = match inner.options.isolation {
            // Without a snapshot nothing was read that could have changed.
            Isolation::ReadCommitted => state.snapshot,
            Isolation::RepeatableRead | Isolation::Serializable => Some(inner.snapshot(&mut state)?),
        };
        (snapshot, state.buffer.row(state.command, table, key)?)
    };
    if overlay.as_ref().is_some_and(|overlay| overlay.hides_base) {
        let row = overlay.map_or(Ok(None), |overlay| overlay.over(None))?;
        return Ok(LockedRow {
            row,
            ..LockedRow::default()
        });
    }
    let shard = inner.node.shard(inner.node.placement.row(table, key))?;
    locking::check(inner, shard)?;
    let own = overlay.map(Overlay::into_operations).unwrap_or_default();
    let newest = shard.read_newest(table, key, Wanted { parts, own: &own })?;
    let look = match (paths, added) {
        ([], []) => Look::Whole,
        (read, added) => Look::Paths { read, added },
    };
    // Before anything else: that something changed is an answer as well.
    note(inner, shard, &newest, look)?;
    let changed = snapshot.is_some_and(|snapshot| newest.state.newest > snapshot);
    if changed && inner.options.isolation != Isolation::ReadCommitted {
        let since = |asked| shard.changes_since(&newest, snapshot.unwrap_or_default(), asked);
        let is_changed = (added.is_empty() || !paths.is_empty()) && touches(&since(Asked::All)?, paths);
        if is_changed || (!added.is_empty() && touches(&since(Asked::ButAdditions)?, added)) {
            if newest.state.row.is_none() && newest.state.moved_to.is_none() {
                return Err(TxnError::Deleted);
            }
            return Err(TxnError::serialization(
                "a path this statement reads or writes changed since its snapshot",
            ));
        }
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
pub(crate) fn read_newest(
    inner: &Inner,
    table: TableId,
    key: &Key,
    look: Look<'_>,
    parts: Option<&Parts>,
) -> Result<Option<Row>, TxnError> {
    let (row, seen) = look_newest(inner, table, key, look, parts)?;
    saw(inner, seen)?;
    Ok(row)
}

/// What an answer rests on that is not noted yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen(Option<(crate::placement::ShardId, crate::command::Epoch, u64)>);

/// Notes what an answer rests on.
pub(crate) fn saw(inner: &Inner, Seen(seen): Seen) -> Result<(), TxnError> {
    if let Some((shard, epoch, sequence)) = seen {
        let shard = inner.node.shard(shard)?;
        shard.note_dependency(&mut *inner.usable()?, epoch, sequence);
    }
    Ok(())
}

/// As [`read_newest`], but leaves it to the caller to note what the answer rests on.
pub(crate) fn look_newest(
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
    let shard = inner.node.shard(inner.node.placement.row(table, key))?;
    let own = overlay.map(Overlay::into_operations).unwrap_or_default();
    let newest = shard.read_newest(table, key, Wanted { parts, own: &own })?;
    let dependency = newest.dependency(look)?;
    let seen = Seen((dependency > 0).then_some((shard.id, newest.epoch, dependency)));
    Ok((newest.state.row, seen))
}

/// Whether any of the changes is at, above or below one of the paths (of any path, if there are none).
fn touches(changes: &Changes, paths: &[Path]) -> bool {
    match changes {
        Changes::Nothing => false,
        Changes::Everything => true,
        Changes::Paths(changed) => paths.is_empty() || overlaps(changed, paths),
    }
}

/// Rows that an index value leads to in the newest state, under the value's lock.
pub(crate) fn read_index_locked(
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
            let shard = inner.node.shard(id)?;
            locking::check(inner, shard)?;
            let (found, (epoch, dependency)) = shard.newest_entries(table, index, value)?;
            rows.extend(found);
            shard.note_dependency(&mut *inner.usable()?, epoch, dependency);
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
/// may commit then; an answer that is not that of a logged command still has to [`settle`].
pub(crate) async fn settle_queued(inner: &Inner) -> Result<(), TxnError> {
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
        inner
            .node
            .shard(used.shard)?
            .wait_queued(used.epoch, used.dependency)
            .await?;
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
        inner.node.shard(shard)?.wait_applied(epoch, sequence).await?;
        // Only now: who gives up waiting (a cancelled statement) waits at the next answer.
        let mut state = inner.state.lock();
        if let Some(used) = state.shard_use(shard)
            && used.dependency == sequence
        {
            used.dependency = 0;
        }
    }
}
