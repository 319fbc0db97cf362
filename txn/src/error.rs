//! TxnError: why a transaction could not go on.

/// Why a transaction could not go on, and what its owner should do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TxnError {
    /// Something this transaction read or wants to write changed since its snapshot, or its locks were lost. 40001: rerun.
    #[error("could not serialize access due to concurrent update")]
    Serialization {
        /// What happened, for the detail line.
        detail: String,
    },
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
    /// A bound was exceeded (too many paths, value too large). 54000.
    #[error("{0}")]
    Limit(String),
}
