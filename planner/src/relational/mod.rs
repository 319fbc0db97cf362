//! Relational plans: from bound relations to rows.
//!
//! ```text
//!   bound::Rel ──rewrite──► Rel ──build──► Plan (compiled, shared) ──open──► Operator (one run) ──► rows
//!                                            │                                 │
//!                              layouts, programs, access paths       Runtime: source, session, parameters
//!                                                                    Frame: outer values, CTEs in scope
//! ```
//! Rows move in batches, but are computed no further than somebody asked for: what PostgreSQL, row by row, would not have
//! evaluated raises no error here either.
//!
//! Invariants
//!  - P1 A plan is immutable; everything that changes belongs to one run of it.
//!  - P2 An operator evaluates expressions only for rows it returns or rejects ([`plan::Operator::next`]).
//!  - P3 Every loop over rows looks at cancellation at least once per batch, and accounts for the memory it keeps.

pub mod access;
pub mod accumulate;
pub mod batch;
pub(crate) mod build;
pub mod columnar;
pub mod evaluator;
pub mod keyed;
pub mod operators;
pub mod plan;
pub mod read_locks;
pub mod read_paths;
pub mod rewrite;
pub mod runtime;
pub mod scope;
pub mod source;
pub mod spill;

pub use keyed::KeyedPlan;
pub use runtime::{ModifyHook, NoModify, RowBatches, Runtime};
pub use scope::{CompiledExprs, QueryPlan, QueryScope, RowEvaluator, plan_query, run};
pub use source::{RowSource, TransactionSource};

#[cfg(test)]
pub(crate) mod tests;
