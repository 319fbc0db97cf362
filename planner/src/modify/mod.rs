//! Modify: INSERT, UPDATE, DELETE, MERGE, COPY FROM, and what hangs on a written row.
//!
//! ```text
//!   source rows ─► lock what the statement reads and writes of the row (DESIGN L3) ─► read the newest row (L4)
//!               ─► changed? evaluate the conditions again ─► new row ─► checks, indexes, unique values
//!               ─► buffer path operations ─► at the end of the statement: foreign keys
//! ```
//!
//! [`mod@derive`] turns bound expressions into read and write paths ([`add`]: into additions), `target` locks them row by row,
//! [`program`] compiles what a table demands of its rows and [`plan`] what a statement evaluates, [`writer`] writes one row with its index entries, [`foreign_key`] checks and cascades, [`deferred`] keeps what COMMIT looks at, `route` finds the partitions of rows, [`mod@run`] and `merge` drive a statement.

pub mod add;
pub mod deferred;
pub mod derive;
mod documents;
pub mod foreign_key;
pub mod index;
mod merge;
#[cfg(test)]
mod oracle;
mod parts;
pub mod plan;
pub mod program;
mod route;
pub mod run;
mod target;
pub mod violation;
pub mod writer;

pub use deferred::{Deferred, DeferredMark};
pub use plan::ModifyPlan;
pub use program::TableProgram;
pub use run::{run, run_plan};
