//! TxnError: why a transaction could not go on.

use consensus::ConsensusError;
use storage::{EngineError, StorageError};

/// Why a transaction could not go on, and what its owner should do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum TxnError {
    /// Something this transaction read or wants to write changed since its snapshot, or its locks were lost. 40001: rerun.
    #[error("could not serialize access due to concurrent update")]
    Serialization {
        /// What happened, for the detail line.
        detail: String,
    },
    /// A row this transaction wants to write was deleted since its snapshot. 40001: rerun.
    #[error("could not serialize access due to concurrent delete")]
    Deleted,
    /// Chosen to break a cycle of waits. 40P01: rerun.
    #[error("deadlock detected")]
    Deadlock {
        /// The cycle, one "process … waits for …" line each, naming paths.
        detail: String,
    },
    /// NOWAIT and lock_timeout. 55P03.
    #[error("could not obtain lock on {name}")]
    LockNotAvailable {
        /// The lock's name (`orders/42/doc/a`).
        name: String,
        /// Whether lock_timeout ran out (another text than NOWAIT's).
        timeout: bool,
    },
    /// Cancelled by the client, statement_timeout or shutdown. 57014.
    #[error("canceling statement due to user request")]
    Cancelled,
    /// The lock table is at its memory cap. 53200: nothing was lost, the request was refused.
    #[error("out of memory for locks")]
    LockMemory,
    /// Below the free-space reserve: writes are refused, reads go on. 53100.
    #[error("disk is full")]
    DiskFull,
    /// A stored value fails its checksum or cannot be decoded. XX001.
    #[error("{0}")]
    Corrupted(String),
    /// The device failed. 58030.
    #[error("{0}")]
    Io(String),
    /// The snapshot is below the GC safe point. 72000.
    #[error("snapshot too old")]
    SnapshotTooOld,
    /// The table changed between planning and execution: plan again.
    #[error("relation {0} changed during execution")]
    TableVersion(u32),
    /// Whether the transaction committed could not be learned. 40003.
    #[error("outcome of the transaction is unknown")]
    OutcomeUnknown,
    /// The node is shutting down or has not started. 57P01.
    #[error("the database system is shutting down")]
    Unavailable,
    /// No leader of a shard answers. 57P03: nothing was done; later it may be.
    #[error("shard {shard} has no leader that can be reached")]
    NoLeader {
        /// The shard.
        shard: u32,
    },
    /// What was added to a number does not fit its type. 22003.
    #[error("value out of range")]
    AddOutOfRange,
    /// A bound was exceeded (too many paths, value too large). 54000.
    #[error("{0}")]
    Limit(String),
}

impl TxnError {
    /// Whether running the whole transaction again may succeed (class 40 and what the server itself repeats).
    pub fn is_retryable(&self) -> bool {
        match self {
            TxnError::Serialization { .. }
            | TxnError::Deleted
            | TxnError::Deadlock { .. }
            | TxnError::TableVersion(_) => true,
            // Whether it committed is unknown: running it again could apply it twice.
            TxnError::OutcomeUnknown => false,
            TxnError::SnapshotTooOld => true,
            TxnError::LockNotAvailable { .. }
            | TxnError::Cancelled
            | TxnError::LockMemory
            | TxnError::DiskFull
            | TxnError::Corrupted(_)
            | TxnError::Io(_)
            | TxnError::Unavailable
            | TxnError::NoLeader { .. }
            | TxnError::AddOutOfRange
            | TxnError::Limit(_) => false,
        }
    }

    /// Whether every replica would fail alike. In a state machine anything else stops the replica.
    pub fn is_deterministic(&self) -> bool {
        match self {
            TxnError::Serialization { .. }
            | TxnError::Deleted
            | TxnError::TableVersion(_)
            | TxnError::AddOutOfRange
            | TxnError::Limit(_) => true,
            TxnError::Deadlock { .. }
            | TxnError::LockNotAvailable { .. }
            | TxnError::Cancelled
            | TxnError::LockMemory
            | TxnError::DiskFull
            | TxnError::Corrupted(_)
            | TxnError::Io(_)
            | TxnError::SnapshotTooOld
            | TxnError::OutcomeUnknown
            | TxnError::NoLeader { .. }
            | TxnError::Unavailable => false,
        }
    }

    /// A serialization failure with a reason for the detail line.
    pub(crate) fn serialization(detail: impl Into<String>) -> TxnError {
        TxnError::Serialization { detail: detail.into() }
    }

    /// Locks that fell with their leader, epoch or coordinator (DESIGN L9).
    pub(crate) fn locks_lost() -> TxnError {
        TxnError::serialization("the transaction's locks were lost with the leader that granted them")
    }
}

impl From<StorageError> for TxnError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Corrupted(text) => TxnError::Corrupted(text),
            StorageError::Io(text) => TxnError::Io(text),
            StorageError::DiskFull => TxnError::DiskFull,
            StorageError::Limit(text) | StorageError::NotSupported(text) => TxnError::Limit(text),
            // Stored documents and numbers were checked when they were written.
            StorageError::Json(error) => TxnError::Corrupted(error.to_string()),
            StorageError::Numeric(error) => TxnError::Limit(error.to_string()),
        }
    }
}

impl From<EngineError> for TxnError {
    fn from(error: EngineError) -> Self {
        StorageError::from(error).into()
    }
}

impl From<ConsensusError> for TxnError {
    fn from(error: ConsensusError) -> Self {
        match error {
            ConsensusError::DiskFull => TxnError::DiskFull,
            ConsensusError::Engine(error) => error.into(),
            ConsensusError::OutcomeUnknown => TxnError::OutcomeUnknown,
            ConsensusError::NotLeader { .. }
            | ConsensusError::NoQuorum
            | ConsensusError::Overloaded
            | ConsensusError::Stopped
            | ConsensusError::NoSuchGroup(_) => TxnError::Unavailable,
            ConsensusError::Membership(text) | ConsensusError::Configuration(text) => TxnError::Io(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_committed_is_never_retried() {
        assert!(!TxnError::OutcomeUnknown.is_retryable());
        assert!(TxnError::locks_lost().is_retryable());
    }

    #[test]
    fn a_failing_device_does_not_fail_alike_on_every_replica() {
        assert!(!TxnError::Io("sda".into()).is_deterministic());
        assert!(TxnError::TableVersion(1).is_deterministic());
    }
}
