//! Block: the transaction block state of a session, and what each command does to it.
//!
//! ```text
//!            BEGIN                    error
//!   Idle ───────────► Open ─────────────────────► Failed
//!    ▲ ▲ several       │ COMMIT, ROLLBACK           │ COMMIT, ROLLBACK
//!    │ └─ statements ─►│Implicit                    │ ROLLBACK TO → Open
//!    └─────────────────┴────────────────────────────┘
//! ```
//! Implicit is the block PostgreSQL puts around the statements of one simple query, and around everything up to Sync.

use planner::{SqlError, SqlState};

/// State of the transaction block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Block {
    /// None; a statement is a transaction of its own.
    #[default]
    Idle,
    /// One that ends with the query text or at Sync.
    Implicit,
    /// Between BEGIN and COMMIT.
    Open,
    /// An open one in which a statement failed.
    Failed,
}

impl Block {
    /// Status byte of ReadyForQuery.
    pub fn status(self) -> u8 {
        match self {
            Block::Idle | Block::Implicit => b'I',
            Block::Open => b'T',
            Block::Failed => b'E',
        }
    }

    /// Whether BEGIN opened it.
    pub fn is_explicit(self) -> bool {
        matches!(self, Block::Open | Block::Failed)
    }
}

/// 25P02
pub fn aborted() -> SqlError {
    SqlError::new(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// 25P01 for a statement that needs a block.
pub fn needs_block(what: &str) -> SqlError {
    SqlError::new(
        SqlState::NO_ACTIVE_SQL_TRANSACTION,
        format!("{what} can only be used in transaction blocks"),
    )
}

/// 25001 for a statement that cannot be in a block.
pub fn forbids_block(what: &str) -> SqlError {
    SqlError::new(
        SqlState::ACTIVE_SQL_TRANSACTION,
        format!("{what} cannot run inside a transaction block"),
    )
}
