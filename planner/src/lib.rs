//! Planner: from SQL text to rows.
//!
//! ```text
//!   text ─ parse ─► sqlparser AST ─ bind ─► Rel and Expr (PostgreSQL-typed) ─┬─ keyed plan ───────┐
//!                                             │                              └─ DataFusion plan ──┤
//!                                             └─ lock derivation ─► lock requests ─ modify ───────┴─► txn
//! ```

// The future of a modifying statement nests from the session down to the shards' locks; the compiler's default is 128.
#![recursion_limit = "256"]

pub mod bind;
pub mod bound;
mod breath;
pub mod cached;
pub mod catalog;
mod check;
pub mod ddl;
mod domain;
pub mod error;
pub mod eval;
mod explain;
pub mod functions;
pub mod modify;
pub mod parse;
pub mod partition;
pub mod relational;
pub mod scram;
pub mod sequence;
pub mod statement;
pub mod stored;
pub mod system;
pub mod types;

pub use check::Checked;
pub use error::{Severity, SqlError, SqlResult, SqlState};
pub use types::Type;
