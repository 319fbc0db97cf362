//! Reading: snapshots that never guess (T3), and newest states under a lock that see unapplied commits (T4).

use smallvec::SmallVec;
use std::sync::Arc;

use bytes::Bytes;
use storage::engine::View;
use storage::mvcc::{self, Asked, Changes, Chunk, Direction, RowState, Unapplied, Wanted};
use storage::path::overlaps;
use storage::version::{Consolidation, consolidation};
use storage::{Path, Row};

use super::asker::Asker;
use super::commit::table_changed;
use super::{Core, Shard};
use crate::command::{Epoch, Timestamp, TransactionId};
use crate::{IndexId, Key, TableId, TxnError};

/// No transaction has this number.
const NOBODY: TransactionId = 0;

/// The newest state of a row, with what it was made from.
struct Made {
    state: RowState,
    /// Commits in it that are not applied yet.
    unapplied: SmallVec<[Unapplied; 2]>,
    /// Proposal that emptied the table, if that is not applied yet; 0 otherwise.
    cleared_by: u64,
    /// Epoch of those proposals.
    epoch: Epoch,
    key: Vec<u8>,
    hidden_below: u64,
}

/// What is asked about the newest state of a row.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) table: TableId,
    pub(crate) key: &'a Key,
    pub(crate) wanted: Wanted<'a>,
    pub(crate) look: Look<'a>,
    /// The epoch of the locks it is read under, if it is.
    pub(crate) epoch: Option<Epoch>,
    /// Whether what is looked at changed after this is asked as well.
    pub(crate) since: Option<Timestamp>,
}

/// The newest state of a row, unapplied commits included.
#[derive(Debug)]
pub(crate) struct Newest {
    pub(crate) state: RowState,
    /// The newest unapplied commit that shows in what was looked at, 0 if there is none (T4), and its epoch.
    pub(crate) dependency: u64,
    pub(crate) epoch: Epoch,
    /// Whether a path that was looked at changed after [`Question::since`].
    pub(crate) has_conflict: bool,
}

/// What a reader under a lock looks at in a row.
#[derive(Clone, Copy)]
pub(crate) enum Look<'a> {
    /// Everything.
    Whole,
    /// Whether it is there.
    Existence,
    /// Some paths, and others that it only adds to: of those it sees what is no addition.
    Paths { read: &'a [Path], added: &'a [Path] },
}

impl Made {
    /// The newest unapplied commit that shows in what was looked at; 0 if there is none (T4).
    fn dependency(&self, look: Look<'_>) -> Result<u64, TxnError> {
        let mut newest = self.cleared_by;
        for write in &self.unapplied {
            if write.sequence > newest && is_seen(write, look)? {
                newest = write.sequence;
            }
        }
        Ok(newest)
    }
}

fn is_seen(write: &Unapplied, look: Look<'_>) -> Result<bool, TxnError> {
    let touches = |asked, paths: &[Path]| {
        Ok(match mvcc::changes_of(&write.version, asked)? {
            Changes::Nothing => false,
            Changes::Everything => true,
            Changes::Paths(changed) => overlaps(&changed, paths),
        })
    };
    match look {
        Look::Whole => Ok(true),
        Look::Existence => touches(Asked::All, &[]),
        Look::Paths { read, added } => {
            Ok(touches(Asked::All, read)? || (!added.is_empty() && touches(Asked::ButAdditions, added)?))
        }
    }
}

/// Whether any of the changes is at, above or below one of the paths (of any path, if there are none).
fn touches(changes: &Changes, paths: &[Path]) -> bool {
    match changes {
        Changes::Nothing => false,
        Changes::Everything => true,
        Changes::Paths(changed) => paths.is_empty() || overlaps(changed, paths),
    }
}

impl Shard {
    /// The newest state of the family.
    pub(crate) fn view(&self) -> View {
        self.group.family().newest()
    }

    /// Reads a row at a snapshot. `planned` is the table's version the statement was planned for.
    pub(crate) async fn read_row(
        self: &Arc<Self>,
        asker: Asker<'_>,
        (table, planned, key): (TableId, Option<u64>, &Key),
        at: Timestamp,
        wanted: Wanted<'_>,
    ) -> Result<Option<Row>, TxnError> {
        let encoded = mvcc::row_key(table, key);
        self.wait_for_writers(asker, (table, planned), at, |pending| {
            pending.blocks(&[table], &encoded, at)
        })
        .await?;
        let hidden_below = self.facts.clears.hidden_below(&[table], at);
        let state = mvcc::row_at(&self.view(), &encoded, at, hidden_below, wanted)?;
        if consolidation(state.chain) != Consolidation::Keep {
            self.facts.long_chains.push(&encoded);
        }
        self.check_snapshot(at)?;
        Ok(state.row)
    }

    /// Reads the newest state of a row without a snapshot, unless something has to be waited for (`None`). What is marked
    /// while it is read was not answered yet, so it may come before or after.
    pub(crate) fn read_at_once(
        &self,
        (table, version): (TableId, u64),
        key: &Key,
        wanted: Wanted<'_>,
    ) -> Result<Option<Option<Row>>, TxnError> {
        let encoded = mvcc::row_key(table, key);
        {
            let core = self.core();
            if !self.has_lease()
                || core.check_epoch(None).is_err()
                || core.locks.hides_table(table, NOBODY)
                || core.pending.blocks(&[table], &encoded, u64::MAX).is_some()
                || self.has_newer(&core, &[(table, version)])
            {
                return Ok(None);
            }
        }
        let hidden_below = self.facts.clears.hidden_below(&[table], u64::MAX);
        let state = mvcc::row_at(&self.view(), &encoded, u64::MAX, hidden_below, wanted)?;
        if consolidation(state.chain) != Consolidation::Keep {
            self.facts.long_chains.push(&encoded);
        }
        Ok(Some(state.row))
    }

    /// Makes sure that a scan of a range at a snapshot can begin. `planned` is the table's version the statement was planned for.
    pub(crate) async fn wait_to_scan(
        self: &Arc<Self>,
        asker: Asker<'_>,
        (table, planned): (TableId, Option<u64>),
        index: Option<IndexId>,
        (from, to): (&[u8], &[u8]),
        at: Timestamp,
    ) -> Result<(), TxnError> {
        let ids: SmallVec<[u32; 2]> = std::iter::once(table).chain(index).collect();
        self.wait_for_writers(asker, (table, planned), at, |pending| {
            pending.blocks_between(&ids, from, to, at)
        })
        .await
    }

    /// Waits until nothing that `blocker` finds is on its way. What is marked from now on draws a larger timestamp (T2).
    async fn wait_for_writers(
        self: &Arc<Self>,
        asker: Asker<'_>,
        (table, planned): (TableId, Option<u64>),
        at: Timestamp,
        blocker: impl Fn(&super::Pending) -> Option<TransactionId>,
    ) -> Result<(), TxnError> {
        // Whether the table may be hidden by ACCESS EXCLUSIVE is found out once: what comes after that is younger than `at`.
        let mut hidden = true;
        // What this leader does not know of was marked elsewhere, later, and draws a larger timestamp (C4).
        self.confirm_lease().await?;
        loop {
            let signal = {
                let mut core = self.core();
                core.check_epoch(None)?;
                if hidden && core.locks.hides_table(table, asker.id()) {
                    None
                } else {
                    let Some(transaction) = blocker(&core.pending) else {
                        self.check_plan(&core, table, planned)?;
                        break;
                    };
                    core.pending.wait_for(transaction)
                }
            };
            match signal {
                Some(signal) => tokio::select! {
                    _ = signal => {}
                    error = asker.interrupt.interrupted() => return Err(error),
                },
                // Lock-free reads wait for ACCESS EXCLUSIVE, and only for it.
                None => {
                    self.wait_for_table(asker, table).await?;
                    hidden = false;
                }
            }
        }
        self.check_snapshot(at)
    }

    /// Whether the statement was planned for the table as it is here (C8). A definition changes under ACCESS EXCLUSIVE, which
    /// statements wait for before they are planned; but one that is planned may be overtaken.
    fn check_plan(&self, core: &Core, table: TableId, planned: Option<u64>) -> Result<(), TxnError> {
        match planned {
            Some(version) if self.has_newer(core, &[(table, version)]) => Err(table_changed()),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether garbage collection has not overtaken the snapshot. Checked again after reading.
    pub(crate) fn check_snapshot(&self, at: Timestamp) -> Result<(), TxnError> {
        if at < self.safe_point() {
            Err(TxnError::SnapshotTooOld)
        } else {
            Ok(())
        }
    }

    /// Rows of part of a range at a snapshot; [`Self::wait_to_scan`] came before.
    pub(crate) fn scan_rows(
        &self,
        table: TableId,
        range: (&[u8], &[u8]),
        direction: Direction,
        (at, columns): (Timestamp, Option<&[u16]>),
        count_max: usize,
    ) -> Result<Chunk<(Key, Row)>, TxnError> {
        let hidden_below = self.facts.clears.hidden_below(&[table], at);
        let snapshot = mvcc::Snapshot {
            at,
            hidden_below,
            columns,
        };
        let chunk = mvcc::scan_rows(&self.view(), range, direction, snapshot, count_max)?;
        self.check_snapshot(at)?;
        Ok(chunk)
    }

    /// Index entries of part of a range at a snapshot; [`Self::wait_to_scan`] came before.
    pub(crate) fn scan_entries(
        &self,
        table: TableId,
        index: IndexId,
        range: (&[u8], &[u8]),
        direction: Direction,
        at: Timestamp,
        count_max: usize,
    ) -> Result<Chunk<(Key, Key)>, TxnError> {
        let hidden_below = self.facts.clears.hidden_below(&[table, index], at);
        let chunk = mvcc::scan_entries(&self.view(), range, direction, at, hidden_below, count_max)?;
        self.check_snapshot(at)?;
        Ok(chunk)
    }

    /// The newest state of a row, unapplied commits included: for reads under a lock.
    pub(crate) fn newest(&self, question: Question<'_>) -> Result<Newest, TxnError> {
        let made = self.make_newest(question)?;
        let dependency = made.dependency(question.look)?;
        let has_conflict = match question.since {
            Some(since) if made.state.newest > since => self.conflicts(&made, since, question.look)?,
            Some(_) | None => false,
        };
        Ok(Newest {
            state: made.state,
            dependency,
            epoch: made.epoch,
            has_conflict,
        })
    }

    /// Whether what was looked at changed. Of paths it only adds to, other additions do not count.
    fn conflicts(&self, made: &Made, since: Timestamp, look: Look<'_>) -> Result<bool, TxnError> {
        let (read, added): (&[Path], &[Path]) = match look {
            Look::Whole | Look::Existence => (&[], &[]),
            Look::Paths { read, added } => (read, added),
        };
        let is_changed =
            (added.is_empty() || !read.is_empty()) && touches(&self.changes_since(made, since, Asked::All)?, read);
        let changes = |asked| self.changes_since(made, since, asked);
        Ok(is_changed || (!added.is_empty() && touches(&changes(Asked::ButAdditions)?, added)))
    }

    fn make_newest(&self, question: Question<'_>) -> Result<Made, TxnError> {
        let table = question.table;
        let key = mvcc::row_key(table, question.key);
        let (unapplied, clear, epoch) = {
            let core = self.core();
            core.check_epoch(question.epoch)?;
            let clear = core.pending.unapplied_clear(&[table]);
            (core.pending.unapplied(&key), clear, core.epoch)
        };
        let applied = self.facts.clears.hidden_below(&[table], u64::MAX);
        let hidden_below = clear.map_or(applied, |(timestamp, _)| timestamp.max(applied));
        let state = mvcc::newest_row(&self.view(), &key, hidden_below, &unapplied, question.wanted)?;
        self.check_lease()?;
        let cleared_by = clear.map_or(0, |(_, sequence)| sequence);
        if consolidation(state.chain) == Consolidation::ByCommand {
            self.facts.long_chains.push(&key);
        }
        Ok(Made {
            state,
            unapplied,
            cleared_by,
            epoch,
            key,
            hidden_below,
        })
    }

    /// Whether what was just read as the newest state was that of the group (C4).
    fn check_lease(&self) -> Result<(), TxnError> {
        if self.has_lease() {
            Ok(())
        } else {
            Err(TxnError::serialization(
                "the leader of a shard could not be sure that it still leads",
            ))
        }
    }

    /// Which paths of a row changed after `since`.
    fn changes_since(&self, newest: &Made, since: Timestamp, asked: Asked) -> Result<Changes, TxnError> {
        let Made {
            key,
            hidden_below,
            unapplied,
            ..
        } = newest;
        let (view, hidden) = (self.view(), *hidden_below);
        Ok(mvcc::changes_since(&view, key, since, hidden, unapplied, asked)?)
    }

    /// Rows of an index value in the newest state, and the newest proposal that was looked at (0 if none) with its epoch.
    /// `held` is that of the locks it is read under, if it is.
    pub(crate) fn newest_entries(
        &self,
        held: Option<Epoch>,
        (table, index): (TableId, IndexId),
        value: &Key,
    ) -> Result<(Vec<Key>, (Epoch, u64)), TxnError> {
        let (from, to) = mvcc::value_range(index, value);
        let (unapplied, clear, epoch) = {
            let core = self.core();
            core.check_epoch(held)?;
            (
                core.pending.unapplied_between(&from, &to),
                core.pending.unapplied_clear(&[table, index]),
                core.epoch,
            )
        };
        let applied = self.facts.clears.hidden_below(&[table, index], u64::MAX);
        let hidden_below = clear.map_or(applied, |(timestamp, _)| timestamp.max(applied));
        let of_writes = unapplied
            .iter()
            .flat_map(|(_, writes)| writes.iter().map(|write| write.sequence));
        let dependency = of_writes.chain(clear.map(|(_, sequence)| sequence)).max().unwrap_or(0);
        let unapplied: Vec<(Bytes, Vec<Unapplied>)> = unapplied
            .into_iter()
            .map(|(entry, writes)| (entry, writes.into_vec()))
            .collect();
        let rows = mvcc::newest_entries(&self.view(), (&from, &to), hidden_below, &unapplied)?;
        self.check_lease()?;
        Ok((rows, (epoch, dependency)))
    }
}
