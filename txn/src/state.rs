//! State: what a coordinator remembers about its transaction.

use std::sync::Arc;

use ahash::HashMap;
use smallvec::SmallVec;
use storage::version::Chain;

use crate::buffer::{Buffer, CommandNumber};
use crate::command::{Epoch, TableVersions, Timestamp};
use crate::paths::News;
use crate::placement::ShardId;
use crate::{Key, SavepointMark, TableId, TxnError};

/// Where a transaction is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Active,
    Committing,
    Ended,
}

/// A shard this transaction holds locks on, or has seen unapplied commits of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardUse {
    pub(crate) shard: ShardId,
    /// Epoch its locks belong to (DESIGN L9).
    pub(crate) epoch: Epoch,
    /// Newest proposal it has seen the effects of; answers wait until that is applied (DESIGN T4). 0 if none.
    pub(crate) dependency: u64,
}

/// A point to roll back to.
struct Savepoint {
    id: u64,
    journal: u64,
    changes: TableVersions,
    news: Vec<News>,
}

/// What a coordinator remembers about its transaction.
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) command: CommandNumber,
    pub(crate) buffer: Buffer,
    pub(crate) snapshot: Option<Timestamp>,
    /// Locks were granted since the snapshot was drawn; SERIALIZABLE draws another one before it reads.
    pub(crate) snapshot_is_stale: bool,
    /// How often locks were granted: a snapshot that was asked for before does not show what they protect.
    pub(crate) grant_count: u64,
    /// Streams that still read at an older snapshot.
    pub(crate) open_scans: u32,
    pub(crate) shards: SmallVec<[ShardUse; 2]>,
    /// Shards on other nodes that were asked for locks; those whose answers were lost are in no other list.
    pub(crate) asked: SmallVec<[ShardId; 1]>,
    /// How the rows read under locks are kept, for the decision to consolidate them at commit.
    pub(crate) chains: HashMap<(TableId, Key), Chain>,
    /// Versions of the tables written to, as the planner knew them, and of those changed (DESIGN C8).
    pub(crate) expects: TableVersions,
    pub(crate) changes: TableVersions,
    /// What becomes known about documents at commit (DESIGN C7).
    pub(crate) news: Vec<News>,
    /// Versions of the tables that the running statement was planned for.
    pub(crate) planned: Arc<[(TableId, u64)]>,
    savepoints: Vec<Savepoint>,
    /// Grows with every savepoint and lock request; the lock table's marks are these numbers.
    pub(crate) clock: u64,
    /// Locks a rehearsed statement asked for; `None` outside of rehearsals.
    pub(crate) rehearsal: Option<Vec<crate::RehearsedLock>>,
}

impl State {
    pub(crate) fn new() -> State {
        State {
            phase: Phase::Active,
            command: 1,
            buffer: Buffer::default(),
            snapshot: None,
            snapshot_is_stale: false,
            grant_count: 0,
            open_scans: 0,
            shards: SmallVec::new(),
            asked: SmallVec::new(),
            chains: HashMap::default(),
            expects: TableVersions::new(),
            changes: TableVersions::new(),
            news: Vec::new(),
            planned: [].into(),
            savepoints: Vec::new(),
            clock: 0,
            rehearsal: None,
        }
    }

    /// The version of a table that the running statement was planned for.
    pub(crate) fn planned_for(&self, table: TableId) -> Option<u64> {
        let planned = self.planned.iter().find(|(planned, _)| *planned == table);
        planned.map(|(_, version)| *version)
    }

    /// Locks were granted: in SERIALIZABLE what is read from now on is read anew.
    pub(crate) fn note_grant(&mut self) {
        self.snapshot_is_stale = true;
        self.grant_count += 1;
    }

    /// Notes that the transaction has seen the effects of a shard's proposal (0: of none). If it holds locks of an older epoch
    /// it keeps that one: they are lost, and whoever waits for the dependency is told so.
    pub(crate) fn note_dependency(&mut self, shard: ShardId, epoch: Epoch, sequence: u64) {
        if sequence == 0 {
            return;
        }
        match self.shard_use(shard) {
            Some(used) => used.dependency = used.dependency.max(sequence),
            None => self.shards.push(ShardUse {
                shard,
                epoch,
                dependency: sequence,
            }),
        }
    }

    /// A shard gives back the transaction's locks by itself.
    pub(crate) fn forget_shard(&mut self, shard: ShardId) {
        self.shards.retain(|used| used.shard != shard);
        self.asked.retain(|asked| *asked != shard);
    }

    /// All shards where it may hold locks.
    pub(crate) fn all_shards(&self) -> SmallVec<[ShardId; 2]> {
        let mut shards: SmallVec<[ShardId; 2]> = self.shards.iter().map(|used| used.shard).collect();
        let unanswered = |id: &&ShardId| !self.shards.iter().any(|used| used.shard == **id);
        shards.extend(self.asked.iter().filter(unanswered).copied());
        shards
    }

    pub(crate) fn shard_use(&mut self, shard: ShardId) -> Option<&mut ShardUse> {
        self.shards.iter_mut().find(|used| used.shard == shard)
    }
}

impl State {
    /// Marks a point.
    pub(crate) fn savepoint(&mut self) -> SavepointMark {
        self.clock += 1;
        let id = self.clock;
        self.savepoints.push(Savepoint {
            id,
            journal: self.buffer.mark(),
            changes: self.changes.clone(),
            news: self.news.clone(),
        });
        SavepointMark(id)
    }

    /// Forgets a mark and those behind it; what was done since stays.
    pub(crate) fn forget(&mut self, mark: SavepointMark) {
        let place = self.savepoints.partition_point(|savepoint| savepoint.id < mark.0);
        self.savepoints.truncate(place);
    }

    /// Undoes the writes since a mark; the caller restores the locks.
    pub(crate) fn roll_back_to(&mut self, mark: SavepointMark) -> Result<(), TxnError> {
        let place = self.savepoints.partition_point(|savepoint| savepoint.id < mark.0);
        if let Some(savepoint) = self.savepoints.get(place) {
            self.buffer.roll_back_to(savepoint.journal)?;
            self.changes.clone_from(&savepoint.changes);
            self.news.clone_from(&savepoint.news);
            self.savepoints.truncate(place + 1);
        }
        Ok(())
    }
}

/// Notes a table's version; of several the newest counts.
pub(crate) fn note_version(versions: &mut TableVersions, table: TableId, version: u64) {
    match versions.iter_mut().find(|(noted, _)| *noted == table) {
        Some((_, noted)) => *noted = version.max(*noted),
        None => versions.push((table, version)),
    }
}
