//! A model of transactions over two shards of three replicas, explored exhaustively (stateright).
//!
//! ```text
//!   sessions ── locks, one by one ── COMMIT: Coordinator         the product's cores: LockTable, Detector, Coordinator,
//!       │                                │                       Participant, Anchor, Known (what a replica makes of a
//!       ▼                                ▼                       command), Position (which command may follow which)
//!   network: every message in any order, late, again, or never
//!       ▼
//!   shard 1, shard 2: leader's cores ── log ── three replicas    crash of a node, change of a leader, a lost proposal
//! ```
//!
//! `docs/verification.md` says what is modelled, what is not, and what was explored. Each rule of `rules` is switched off
//! by a test, and the checker must find what the rule keeps out.

mod explored;
mod locks;
mod machine;
mod properties;
mod rows;
mod rules;
mod scenario;
mod shard;
mod state;
