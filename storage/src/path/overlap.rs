//! When two paths meet.

use super::{Path, Step};

/// Whether `shorter` leads to `longer` or to a place above it.
pub(super) fn is_prefix(shorter: &[Step], longer: &[Step]) -> bool {
    shorter.len() <= longer.len() && shorter.iter().zip(longer).all(|(a, b)| a.same_name(b))
}

/// Whether any path of one set overlaps any path of another: did what was written touch what was read?
pub fn overlaps(some: &[Path], others: &[Path]) -> bool {
    some.iter().any(|path| others.iter().any(|other| path.overlaps(other)))
}
