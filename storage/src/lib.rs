//! Storage: what bytes mean and where they lie.
//!
//! ```text
//!   Datum ── one SQL value          Path, PathOp ── a place in a row and a change to it
//!     │ key codec (order-preserving)  │ fold
//!     ▼                               ▼
//!   key ‖ !timestamp  ─────────►  Version: Full(row) | Delta(path operations) | Tombstone
//!                  └── RocksDB: one column family per shard, one for the Raft log ──┘
//! ```
//!
//! Everything but `engine` is a pure core. `FORMAT.md` beside this crate is the one place that defines bytes.

pub mod datum;
pub mod engine;
pub mod error;
pub mod jsonb;
pub mod key;
pub mod mvcc;
pub mod numeric;
pub mod path;
pub mod shape;
pub mod version;

pub use datum::{Array, Datum, Interval, Row};
pub use engine::{Engine, EngineError, EngineOptions};
pub use error::{StorageError, StorageResult};
pub use jsonb::{JsonBuilder, JsonError, JsonKind, JsonRef, JsonValue, Jsonb};
pub use numeric::{Numeric, NumericError, NumericResult};
pub use path::{Action, Path, PathOp, Step};
pub use shape::Shape;
