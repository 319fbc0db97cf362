//! Command: what a shard leader proposes and every replica applies.
//!
//! ```text
//!   Command { epoch (term, generation), sequence, bodies }
//!       OnePhase   writes at a timestamp; everything the transaction wrote is on this shard
//!       Step       of a commit over several shards: Prepare, Decide, Finish, Forget (see `crate::commit`)
//!       Stage      part of a large transaction's writes, ahead of its OnePhase, Prepare or Decide
//!       Horizon, Fold, Collect, Sequence, Bound, Unstage: housekeeping
//! ```
//!
//! Writes are encoded by the leader (`storage/FORMAT.md`), so that apply copies bytes and decodes nothing. Applying is a
//! pure function of the column family and the command (DESIGN C1).

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use storage::shape::Changes;

use crate::TxnError;
use crate::cluster::records::ClusterChange;

/// Number of a transaction, unique on its node across restarts, growing with its start.
pub(crate) type TransactionId = u64;
/// A point in the order of commits and snapshots (see [`crate::oracle`]).
pub(crate) type Timestamp = u64;

pub(crate) use crate::commit::Decision;
use crate::commit::record::{OnDecide, OnPrepare};
use crate::commit::{Attempt, Logged, Parties};
pub(crate) use crate::locks::Epoch;

/// One entry of a shard's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Command {
    pub(crate) epoch: Epoch,
    /// Position in the epoch, from 1. Apply refuses a gap: what was built on a lost proposal is lost with it (DESIGN T4).
    pub(crate) sequence: u64,
    /// What is done, in order, together or not at all. More than one if something waited for company (see
    /// [`crate::shard::outbox`]).
    pub(crate) bodies: Vec<Body>,
}

/// A [`Command`] that borrows its bodies; encoded alike.
#[derive(Serialize)]
struct CommandRef<'a> {
    epoch: Epoch,
    sequence: u64,
    bodies: &'a [&'a Body],
}

/// What a command does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Body {
    /// Writes at a timestamp: everything the transaction wrote is on this shard.
    OnePhase {
        transaction: TransactionId,
        /// When the attempt began; refused once the horizon has passed it.
        started_ms: u64,
        timestamp: Timestamp,
        writes: Writes,
    },
    /// A step of a commit over several shards.
    Step(Step),
    /// Part of the writes of a transaction that has more of them than one command may carry. Nobody sees it before the
    /// command that names it (see [`Staged`]).
    Stage {
        transaction: TransactionId,
        started_ms: u64,
        part: u32,
        versions: Vec<Write>,
    },
    /// A transaction that staged writes will not commit.
    Unstage { transaction: TransactionId },
    /// Attempts that began before are refused, and their tombstones forgotten.
    Horizon { started_ms: u64 },
    /// Consolidates rows.
    Fold { keys: Vec<Bytes> },
    /// Removes garbage.
    Collect {
        safe_point: Timestamp,
        /// Rows and entries with versions that no read needs any more.
        keys: Vec<Bytes>,
        /// Clears that hide nothing any more: (id, newest of them).
        clears: Vec<(u32, Timestamp)>,
    },
    /// Moves a sequence on.
    Sequence { sequence: u32, state: Bytes },
    /// Leases timestamps.
    Bound { timestamp: Timestamp },
    /// Changes the known paths of a column (DESIGN C7).
    Paths { table: u32, column: u16, changes: Changes },
    /// Changes the records of the cluster (DESIGN C9).
    Cluster(ClusterChange),
}

/// A step of a commit over several shards, with what it carries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) logged: Logged,
    /// Of Prepare, and of Decide with COMMIT (the anchor's own).
    pub(crate) writes: Writes,
    /// Of Prepare: the locks held here, for a new leader.
    pub(crate) locks: Bytes,
    /// Of Finish: whether the consolidations asked for may be made.
    pub(crate) may_fold: bool,
}

impl Body {
    /// The transaction a command votes for, if it does, and the shard that decides.
    pub(crate) fn vote(&self) -> Option<(crate::locks::TxnId, crate::placement::ShardId)> {
        match self {
            Body::Step(step) => match &step.logged {
                Logged::Prepare(attempt, parties) => Some((attempt.txn, parties.anchor)),
                Logged::Decide(..) | Logged::Finish(..) | Logged::Forget(_) => None,
            },
            Body::OnePhase { .. }
            | Body::Stage { .. }
            | Body::Unstage { .. }
            | Body::Fold { .. }
            | Body::Sequence { .. }
            | Body::Horizon { .. }
            | Body::Collect { .. }
            | Body::Bound { .. }
            | Body::Paths { .. }
            | Body::Cluster(_) => None,
        }
    }

    /// Whether the command finishes what was promised, or makes room: then it may use the free-space reserve.
    pub(crate) fn is_promised(&self) -> bool {
        match self {
            Body::Step(step) => !matches!(step.logged, Logged::Prepare(..)),
            Body::Horizon { .. }
            | Body::Collect { .. }
            | Body::Bound { .. }
            | Body::Unstage { .. }
            | Body::Cluster(_) => true,
            Body::OnePhase { .. }
            | Body::Stage { .. }
            | Body::Fold { .. }
            | Body::Sequence { .. }
            | Body::Paths { .. } => false,
        }
    }
}

/// What a participant keeps between its vote and the decision.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PreparedRecord {
    pub(crate) attempt: Attempt,
    pub(crate) parties: Parties,
    pub(crate) writes: Writes,
    pub(crate) locks: Bytes,
}

/// What the anchor keeps until every participant has finished and the horizon has passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DecisionRecord {
    pub(crate) attempt: Attempt,
    pub(crate) decision: Decision,
    pub(crate) parties: Parties,
}

/// The writes of a transaction on one shard.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Writes {
    pub(crate) versions: Vec<Write>,
    /// Tables and indexes (their ids in keys) emptied before `versions` are written.
    pub(crate) clears: Vec<u32>,
    /// Versions that went ahead, in parts of their own; they come before `versions`.
    pub(crate) staged: Option<Staged>,
    /// Versions of the tables that the writes were made for. Apply refuses them once a table has a newer one (DESIGN C8).
    pub(crate) expects: TableVersions,
    /// Versions that tables have from here on.
    pub(crate) changes: TableVersions,
}

/// Versions of tables, by table.
pub(crate) type TableVersions = Vec<(u32, u64)>;

/// What a transaction staged on a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Staged {
    pub(crate) transaction: TransactionId,
    /// When it began to stage; parts older than the horizon may be forgotten.
    pub(crate) started_ms: u64,
    pub(crate) parts: u32,
    /// Tables and indexes (their ids in keys) it writes to.
    pub(crate) ids: Vec<u32>,
}

/// One version written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Write {
    /// Encoded row or entry key, without timestamp.
    pub(crate) key: Bytes,
    /// Encoded version.
    pub(crate) version: Bytes,
    /// Whether apply consolidates: no other marked transaction holds a path of the row.
    pub(crate) fold: bool,
}

impl Writes {
    pub(crate) fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.clears.is_empty() && self.staged.is_none() && self.changes.is_empty()
    }
}

/// What apply made of one body of a command; told to the leader's cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing that a core wants to know.
    Done,
    Prepared(Attempt, OnPrepare),
    Decided(Attempt, Decision, Parties, OnDecide),
    Finished(Attempt),
    Horizon(u64),
}

impl Body {
    /// About the bytes of what it writes, and something for the rest.
    fn bytes(&self) -> usize {
        let versions = match self {
            Body::OnePhase { writes, .. } => &writes.versions,
            Body::Step(step) => &step.writes.versions,
            Body::Stage { versions, .. } => versions,
            Body::Unstage { .. }
            | Body::Horizon { .. }
            | Body::Fold { .. }
            | Body::Collect { .. }
            | Body::Sequence { .. }
            | Body::Bound { .. }
            | Body::Paths { .. }
            | Body::Cluster(_) => return 128,
        };
        let size = |write: &Write| write.key.len() + write.version.len() + 16;
        versions.iter().map(size).sum::<usize>() + 128
    }
}

impl Command {
    /// Encodes a command of these bodies, which may be large and are not copied before.
    pub(crate) fn encode<'a>(
        epoch: Epoch,
        sequence: u64,
        bodies: impl Iterator<Item = &'a Body>,
    ) -> Result<Bytes, TxnError> {
        let bodies: SmallVec<[&Body; 4]> = bodies.collect();
        let bytes = bodies.iter().map(|body| body.bytes()).sum();
        let command = CommandRef {
            epoch,
            sequence,
            bodies: &bodies,
        };
        encode_in(&command, Vec::with_capacity(bytes))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Command, TxnError> {
        decode(bytes)
    }
}

/// Encodes a record or command.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Bytes, TxnError> {
    encode_in(value, Vec::new())
}

fn encode_in<T: Serialize>(value: &T, room: Vec<u8>) -> Result<Bytes, TxnError> {
    match postcard::to_extend(value, room) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(TxnError::Limit(format!("a command cannot be encoded: {error}"))),
    }
}

/// Decodes what [`encode`] wrote.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, TxnError> {
    postcard::from_bytes(bytes).map_err(|error| TxnError::Corrupted(format!("a command or record is damaged: {error}")))
}
