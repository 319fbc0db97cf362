//! ConsensusError: why a proposal, a read or an administrative request was not done.

use storage::EngineError;

use crate::types::NodeId;

/// Why a proposal, a read or an administrative request was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConsensusError {
    /// Another node leads, or none does; nothing was proposed. Ask there, or again.
    #[error("not the leader of this group")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// The entry was written here but leadership was lost before it was known to be committed: it may yet be applied.
    #[error("the outcome of a proposal is unknown")]
    OutcomeUnknown,
    /// A quorum did not confirm leadership in time. Nothing was read; ask again.
    #[error("a quorum of the group cannot be reached")]
    NoQuorum,
    /// Too many proposals are queued; nothing was proposed. Ask again later.
    #[error("too many proposals are waiting")]
    Overloaded,
    /// Less than the reserve is free on the device; nothing was proposed.
    #[error("disk is full")]
    DiskFull,
    /// The group was shut down or stopped after a failure. Open it again.
    #[error("the group has stopped")]
    Stopped,
    /// The membership change asked for is not possible now, or not at all.
    #[error("cannot change membership: {0}")]
    Membership(String),
    /// No such group is open on this node.
    #[error("no such group: {0}")]
    NoSuchGroup(u64),
    /// The group, or the node, is configured in a way that cannot work.
    #[error("{0}")]
    Configuration(String),
    /// Storage failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl ConsensusError {
    /// Whether nothing was done and trying again can succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            ConsensusError::NotLeader { .. }
            | ConsensusError::NoQuorum
            | ConsensusError::Overloaded
            | ConsensusError::DiskFull => true,
            ConsensusError::Engine(error) => error.is_retryable(),
            ConsensusError::OutcomeUnknown
            | ConsensusError::Stopped
            | ConsensusError::Membership(_)
            | ConsensusError::NoSuchGroup(_)
            | ConsensusError::Configuration(_) => false,
        }
    }

    /// Whether every replica would fail alike. None of these: they are about this node, now.
    pub fn is_deterministic(&self) -> bool {
        false
    }
}

/// openraft takes storage errors as [`std::io::Error`]; what we need of it comes back through the fatal handler.
pub(crate) fn to_io(error: EngineError) -> std::io::Error {
    let kind = match error {
        EngineError::NoSpace(_) => std::io::ErrorKind::StorageFull,
        EngineError::Corrupted(_) => std::io::ErrorKind::InvalidData,
        EngineError::InUse { .. }
        | EngineError::NewerFormat { .. }
        | EngineError::NotADataDirectory { .. }
        | EngineError::Io(_) => std::io::ErrorKind::Other,
    };
    std::io::Error::new(kind, error)
}
