//! Checkers: whether what clients saw can have come from a database that keeps its promises. Pure: histories in, anomaly out.
//!
//! ```text
//!   clients ── append, read ──► history ──► [`lists::check`]   one order a path, nothing lost, doubled or torn, no cycle
//!           ── insert ────────► answers ──► [`writes::check`]  what was acknowledged is there once
//!           ── transfer ──────► balances ─► [`sums::check`]    the sum stays
//! ```
//!
//! Each is proved on seeded faults by its own tests.

pub mod graph;
pub mod lists;
pub mod sums;
pub mod writes;
