//! Writes: what was acknowledged is there, once; what was refused is not; what nobody knows may be.

use std::collections::{BTreeMap, BTreeSet};

/// What a client was told about its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is done.
    Done,
    /// It is not done.
    Refused,
    /// No answer, or one that says that it is not known.
    Unknown,
}

/// What is wrong with what was found in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Acknowledged, and not there.
    Lost(u64),
    /// There more than once.
    Doubled(u64),
    /// Refused, and there.
    Risen(u64),
    /// Nobody wrote it.
    Invented(u64),
}

/// How many writes were there of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Acknowledged.
    pub done: usize,
    /// Refused.
    pub refused: usize,
    /// Unknown and there.
    pub unknown_found: usize,
    /// Unknown and not there.
    pub unknown_missing: usize,
}

/// Checks what was told, by the write's number, against what was found.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(told: &BTreeMap<u64, Told>, found: impl IntoIterator<Item = u64>) -> Result<Counts, Wrong> {
    let mut there = BTreeSet::new();
    for write in found {
        if !there.insert(write) {
            return Err(Wrong::Doubled(write));
        }
        match told.get(&write) {
            None => return Err(Wrong::Invented(write)),
            Some(Told::Refused) => return Err(Wrong::Risen(write)),
            Some(Told::Done | Told::Unknown) => {}
        }
    }
    let mut counts = Counts::default();
    for (write, told) in told {
        match (told, there.contains(write)) {
            (Told::Done, false) => return Err(Wrong::Lost(*write)),
            (Told::Done, true) => counts.done += 1,
            (Told::Refused, _) => counts.refused += 1,
            (Told::Unknown, true) => counts.unknown_found += 1,
            (Told::Unknown, false) => counts.unknown_missing += 1,
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_doubled_risen_and_invented_writes_are_found() {
        let told = BTreeMap::from([
            (1, Told::Done),
            (2, Told::Refused),
            (3, Told::Unknown),
            (4, Told::Unknown),
        ]);
        let counts = Counts {
            done: 1,
            refused: 1,
            unknown_found: 1,
            unknown_missing: 1,
        };
        assert_eq!(check(&told, [1, 3]), Ok(counts));
        assert_eq!(check(&told, [3]), Err(Wrong::Lost(1)));
        assert_eq!(check(&told, [1, 1]), Err(Wrong::Doubled(1)));
        assert_eq!(check(&told, [1, 2]), Err(Wrong::Risen(2)));
        assert_eq!(check(&told, [1, 9]), Err(Wrong::Invented(9)));
    }
}
