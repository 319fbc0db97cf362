//! Bound tree: a statement after names and types are resolved, before anybody decided how to run it.
//!
//! Every column that any relation of a statement produces has a [`ColumnId`] of its own, unique in the statement. An
//! expression names columns by id only. A column id that occurs in a subquery and is produced outside of it is a
//! correlation (an *outer column*): nothing else marks it.
//!
//! ```text
//!   SELECT a, sum(b) FROM t GROUP BY a       Project [c3 := c1, c5 := c4]
//!                                            └─ Aggregate groups [c3…]   aggregates [c4 := sum(c2)]
//!                                               └─ Scan t  [c1 := a, c2 := b]
//! ```

pub mod columns;
pub mod expr;
pub mod modify;
pub mod rel;
pub mod shape;
pub mod tables;
pub mod visit;

pub use expr::*;
pub use modify::*;
pub use rel::*;
