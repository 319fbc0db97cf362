//! Folding deltas over a row, and when a chain of deltas is replaced by a whole row.

use crate::path::apply_all;
use crate::{PathOp, Row, StorageResult};

/// Chains shorter than this are never consolidated for their number.
pub const CHAIN_DELTAS_MIN: u64 = 16;
/// Rows above this size are consolidated only by a logged `Fold` command, at a limited rate.
pub const FOLD_BY_COMMAND_BYTES: u64 = 256 * 1024;
/// One more delta is allowed per this many bytes of the row.
const BYTES_PER_DELTA: u64 = 4096;

/// Applies deltas, oldest first, to the row they follow.
///
/// # Errors
/// As [`crate::path::apply_all`].
pub fn fold<'a>(base: Row, deltas: impl IntoIterator<Item = &'a [PathOp]>) -> StorageResult<Row> {
    let mut row = base;
    apply_all(&mut row, deltas.into_iter().flatten())?;
    Ok(row)
}

/// What stands above the last whole row, the delta about to be written included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Encoded bytes of the last whole row.
    pub full_bytes: u64,
    /// Number of deltas above it.
    pub deltas: u64,
    /// Their encoded bytes.
    pub delta_bytes: u64,
}

/// What is done about a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consolidation {
    /// It is within its limits.
    Keep,
    /// Write the folded row with this command, if the leader allows it.
    Now,
    /// Over the limits, but too large to rewrite on the side: ask for a `Fold` command.
    ByCommand,
}

/// The rule of DESIGN §2: half the document's bytes, or max(16, bytes / 4 KiB) deltas. Part of the format.
pub fn consolidation(chain: Chain) -> Consolidation {
    let too_long = chain.deltas > CHAIN_DELTAS_MIN.max(chain.full_bytes / BYTES_PER_DELTA);
    // A small row is shorter than any delta: bytes count only once the chain has the length that is always allowed.
    let too_large = chain.deltas >= CHAIN_DELTAS_MIN && chain.delta_bytes > chain.full_bytes / 2;
    match (too_long || too_large, chain.full_bytes > FOLD_BY_COMMAND_BYTES) {
        (false, _) => Consolidation::Keep,
        (true, false) => Consolidation::Now,
        (true, true) => Consolidation::ByCommand,
    }
}
