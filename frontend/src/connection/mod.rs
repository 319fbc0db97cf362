//! Connection: one client's socket, from its first byte to its last.
//!
//! ```text
//!   accept ─ startup ─ authenticate ─┐
//!                                    ▼
//!        ┌──────────── wait for a message ◄──────────────┐
//!        │ Query         │ Parse Bind Execute …          │ ReadyForQuery (a new status, changed settings)
//!        ▼ simple.rs     ▼ extended.rs                   │
//!      Session ── answers ──► deliver.rs ──► Outbox ─────┘
//! ```
//! While a statement runs, [`guard`] watches for its cancel request, its timeout, and a client that is gone.
//!
//! Invariants
//!  K1  A statement's error ends the statement; only a broken stream or FATAL ends the connection.
//!  K2  COMMIT is never interrupted: once it is decided to commit, the answer is waited for.
//!  K3  The server writes before it waits: nothing a client needs stays in the buffer while the server reads.

pub mod authenticate;
pub mod client;
pub mod copy_in;
pub mod copy_out;
pub mod deliver;
pub mod extended;
pub mod guard;
pub mod serve;
pub mod simple;
pub mod startup;

use planner::SqlError;

pub use client::{Outbox, Reader};
pub use serve::serve;

/// Why a piece of work stopped.
#[derive(Debug)]
pub enum Stopped {
    /// The statement failed; the connection lives.
    Error(SqlError),
    /// The client is told why, and the connection ends.
    Fatal(SqlError),
    /// The client is gone.
    Lost,
}

impl From<SqlError> for Stopped {
    fn from(error: SqlError) -> Self {
        Stopped::Error(error)
    }
}

impl From<std::io::Error> for Stopped {
    fn from(_: std::io::Error) -> Self {
        Stopped::Lost
    }
}

/// Result of work for a client.
pub type Work<T> = Result<T, Stopped>;
