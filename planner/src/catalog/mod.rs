//! Catalog: what exists. One immutable snapshot per registry version, shared by sessions.
//!
//! The registry is a set of ordinary versioned rows in system tables of the meta group (shard 0), written by ordinary
//! transactions; so `BEGIN; CREATE TABLE …; ROLLBACK` needs no mechanism of its own. A [`Catalog`] is those rows decoded
//! and indexed by name. A session inside a transaction that ran DDL sees a catalog of its own.

pub mod relation;

pub use relation::*;
