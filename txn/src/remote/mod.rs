//! Remote: shards as a transaction sees them, wherever they are led.
//!
//! ```text
//!   node of the session                                         node that leads the shard
//!   Transaction ─► ShardRef ─┬─ Local: the Shard itself
//!                            └─ Remote ─► client ── ask ──────► server ─► Shard
//!                 live ◄─ Reply, Doom ◄──────────────────────── live, steps      (2PC answers, wounds, lost locks)
//!                 live ◄─ Alive ◄────────────────────────────── watch            (whose transactions hold locks here)
//! ```
//!
//! - [`message`]: what is asked and answered. - [`client`]: finds the leader, repeats what may be repeated.
//! - [`server`]: answers. - [`orders`]: does once what may not be done twice. - [`watch`]: frees what dead coordinators hold.
//!
//! # Invariants
//!
//!  N1  What a message does it does once by (transaction, shard, order), however often and late it comes.
//!  N2  Unprepared locks of a coordinator that is gone, or that does not answer for [`watch::LOST_AFTER`], are freed; what
//!      comes of that transaction afterwards is refused (L9).
//!  N3  A leader answers for the term it leads in; another one is asked when it leads no more.
//!
//! # Why this way
//!
//! - *The leader asks the coordinator*, instead of the coordinator renewing leases: nodes that share no transaction send
//!   each other nothing, and one answer tells of a dead process, of a lost Release and of a lock taken by a late message.
//! - *Orders of a transaction*, not of a connection: a transaction waits at one place at a time, so one number a shard is
//!   all there is to remember, and a long wait of one holds up nothing of another.

pub(crate) mod client;
pub(crate) mod message;
pub(crate) mod orders;
mod sequences;
mod server;
mod shard_ref;
mod tell;
mod watch;

pub(crate) use client::RemoteShard;
pub(crate) use server::start;
pub(crate) use shard_ref::ShardRef;
pub(crate) use tell::Remote;
