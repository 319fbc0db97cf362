//! Command: what a shard leader proposes and every replica applies.
//!
//! ```text
//!   Command { epoch (term, generation), sequence, body }
//!       OnePhase   writes at a timestamp; every lock of the transaction is on this shard
//!       Prepare    writes without a timestamp yet, and the locks that protect them
//!       Decide     the anchor's record: COMMIT at a timestamp (with the anchor's own writes) or ABORT
//!       Finish     what the anchor decided, told to a participant
//!       Forget     all participants have finished: the record is garbage after the horizon
//!       Fold, Collect, Sequence, Bound: housekeeping
//! ```
//!
//! Writes are encoded by the leader (`storage/FORMAT.md`), so that apply copies bytes and decodes nothing. Applying is a
//! pure function of the column family and the command (DESIGN C1).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::TxnError;
use crate::placement::ShardId;

/// Number of a transaction, unique on its node across restarts, growing with its start.
pub(crate) type TransactionId = u64;
/// A point in the order of commits and snapshots (see [`crate::oracle`]).
pub(crate) type Timestamp = u64;

pub(crate) use crate::locks::Epoch;

/// One entry of a shard's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Command {
    pub(crate) epoch: Epoch,
    /// Position in the epoch, from 1. Apply refuses a gap: what was built on a lost proposal is lost with it (DESIGN T4).
    pub(crate) sequence: u64,
    pub(crate) body: Body,
}

/// What a command does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Body {
    OnePhase {
        transaction: TransactionId,
        timestamp: Timestamp,
        writes: Writes,
    },
    Prepare {
        transaction: TransactionId,
        record: PreparedRecord,
    },
    Decide {
        transaction: TransactionId,
        decision: Decision,
        /// Shards to be told, the anchor not among them.
        participants: Vec<ShardId>,
        /// The anchor's own writes.
        writes: Writes,
        /// Earlier transactions all of whose participants have finished.
        forget: Vec<TransactionId>,
    },
    Finish {
        transaction: TransactionId,
        decision: Decision,
        /// Whether the consolidations asked for may be made: nobody else has a write to the rows on its way.
        may_fold: bool,
    },
    Forget {
        transactions: Vec<TransactionId>,
    },
    Fold {
        keys: Vec<Bytes>,
    },
    Collect {
        safe_point: Timestamp,
        /// Rows and entries with versions that no read needs any more.
        keys: Vec<Bytes>,
        /// Clears that hide nothing any more: (id, newest of them).
        clears: Vec<(u32, Timestamp)>,
    },
    Sequence {
        sequence: u32,
        state: Bytes,
    },
    Bound {
        timestamp: Timestamp,
    },
}

impl Body {
    /// Whether the command finishes what was promised, or makes room: then it may use the free-space reserve.
    pub(crate) fn is_promised(&self) -> bool {
        match self {
            Body::Decide {
                decision: Decision::Abort,
                ..
            }
            | Body::Finish { .. }
            | Body::Forget { .. }
            | Body::Collect { .. }
            | Body::Bound { .. } => true,
            Body::OnePhase { .. }
            | Body::Prepare { .. }
            | Body::Decide {
                decision: Decision::Commit(_),
                ..
            }
            | Body::Fold { .. }
            | Body::Sequence { .. } => false,
        }
    }
}

/// What was decided about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Decision {
    Commit(Timestamp),
    Abort,
}

/// What a participant keeps between its vote and the decision.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PreparedRecord {
    pub(crate) anchor: ShardId,
    pub(crate) writes: Writes,
    /// Locks held here, encoded by the lock table; a new leader rebuilds them.
    pub(crate) locks: Bytes,
}

/// What the anchor keeps until every participant has finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DecisionRecord {
    pub(crate) decision: Decision,
    pub(crate) participants: Vec<ShardId>,
}

/// The writes of a transaction on one shard.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Writes {
    pub(crate) versions: Vec<Write>,
    /// Tables and indexes (their ids in keys) emptied before `versions` are written.
    pub(crate) clears: Vec<u32>,
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
        self.versions.is_empty() && self.clears.is_empty()
    }
}

/// What apply made of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// Done.
    Applied,
    /// The epoch is over or an earlier command was lost: nothing was done.
    OutOfOrder,
    /// A decision stands already: this one.
    Decided(Decision),
}

impl Command {
    pub(crate) fn encode(&self) -> Result<Bytes, TxnError> {
        encode(self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Command, TxnError> {
        decode(bytes)
    }
}

/// Encodes a record or command.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Bytes, TxnError> {
    match postcard::to_stdvec(value) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(TxnError::Limit(format!("a command cannot be encoded: {error}"))),
    }
}

/// Decodes what [`encode`] wrote.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, TxnError> {
    postcard::from_bytes(bytes).map_err(|error| TxnError::Corrupted(format!("a command or record is damaged: {error}")))
}
