//! Planner: from SQL text to rows.
//!
//! ```text
//!   text ─ parse ─► sqlparser AST ─ bind ─► Rel and Expr (PostgreSQL-typed) ─┬─ keyed plan ───────┐
//!                                             │                              └─ DataFusion plan ──┤
//!                                             └─ lock derivation ─► lock requests ─ modify ───────┴─► txn
//! ```

pub mod bound;
pub mod catalog;
pub mod error;
pub mod eval;
pub mod functions;
pub mod parse;
pub mod relational;
pub mod statement;
pub mod system;
pub mod types;

pub use error::{Severity, SqlError, SqlResult, SqlState};
pub use types::Type;
