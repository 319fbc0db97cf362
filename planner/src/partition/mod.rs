//! Partitions: which child of a partitioned table a row belongs to, and which children a condition leaves.
//!
//! ```text
//!   CREATE TABLE m PARTITION BY RANGE (day)        m       no rows
//!                                                  ├─ m1   FROM ('2024-01-01') TO ('2024-02-01')
//!                                                  └─ md   DEFAULT: what no other takes, NULL included
//!
//!   a row ── key programs ──► values ── Bounds::find ──► m1 ──► its own partitions, if it is partitioned in turn
//!   day = $1 ── Bounds::survivors ──► {m1, md}
//! ```
//!
//! [`bounds`] compares, finds and prunes and knows nothing of tables; [`routing`] reads the catalog; [`hash`] is
//! PostgreSQL's hash of partition keys; [`text`] writes keys and bounds as PostgreSQL does; [`mapping`] turns a parent's row
//! into a child's.
//!
//! Invariants
//!  - B1 The bounds of one table's partitions do not overlap: a row belongs to one of them, or to the default partition.
//!  - B2 Pruning never leaves out a partition that [`bounds::Bounds::find`] could give for a row that meets the conditions.

pub mod bounds;
pub mod hash;
pub mod mapping;
pub mod routing;
pub mod text;

pub use bounds::{Bound, Bounds, Edge};
pub use mapping::Mapping;
pub use routing::Routing;
