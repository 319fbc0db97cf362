//! The columnar engine: large aggregations, sorts and joins run on DataFusion.
//!
//! ```text
//!   Plan (rows)                       ExecutionPlan (Arrow)
//!   Aggregate ─┐                      AggregateExec     keys as Arrow values or key bytes; our accumulators
//!    HashJoin  │ adaptive: once the   HashJoinExec      key arrays, residual conditions as a join filter
//!     Scan a   │ scans gave more  ──► ScanExec a        arrays straight from the shards, which are read in parallel
//!     Scan b  ─┘ rows than a batch    RowsExec b         where that cannot be: batches of rows turned into arrays
//! ```
//! The row operators define what a query means; this engine computes the same for inputs that are worth it. Nobody guesses
//! sizes: [`adaptive`] reads the first rows of every scan and only then decides, and what was read is used by whichever
//! engine runs. Values stand in arrays as [`form`] says; expressions are the same programs ([`vector`]).
//!
//! DataFusion's optimizer is not used: conditions, join order and projections were settled on the bound tree, and nothing
//! may move a condition that can raise. Its memory pool bounds sorts, joins and aggregations; sorts spill to disk.

pub mod adaptive;
pub mod aggregate;
mod decimal;
pub mod expression;
pub mod form;
pub mod lower;
pub mod rows;
pub mod scan;
pub mod vector;
