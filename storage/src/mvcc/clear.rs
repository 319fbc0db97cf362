//! Clears: tables and indexes that were emptied at some timestamp, without touching their rows.
//!
//! TRUNCATE writes one record, whatever the table's size. A version older than a clear is hidden from reads at or above
//! the clear's timestamp, visible to older ones, and removed once the safe point has passed the clear.

use std::collections::HashMap;

use parking_lot::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Emptied tables and indexes of a shard, kept in memory beside their records in the family.
#[derive(Default)]
pub struct Clears {
    any: AtomicBool,
    by_id: RwLock<HashMap<u32, Vec<u64>>>,
}

impl Clears {
    /// Notes that everything under `id` written before `timestamp` is hidden from it on.
    pub fn add(&self, id: u32, timestamp: u64) {
        let mut by_id = self.by_id.write();
        let clears = by_id.entry(id).or_default();
        if let Err(place) = clears.binary_search(&timestamp) {
            clears.insert(place, timestamp);
        }
        self.any.store(true, Ordering::Release);
    }

    /// Forgets the clears of `id` up to and with `timestamp`: nothing they hid is left.
    pub fn forget(&self, id: u32, timestamp: u64) {
        let mut by_id = self.by_id.write();
        if let Some(clears) = by_id.get_mut(&id) {
            clears.retain(|clear| *clear > timestamp);
            if clears.is_empty() {
                by_id.remove(&id);
            }
        }
        self.any.store(!by_id.is_empty(), Ordering::Release);
    }

    /// Versions of these tables and indexes with a lower timestamp are hidden from a read at `at`.
    pub fn hidden_below(&self, ids: &[u32], at: u64) -> u64 {
        if !self.any.load(Ordering::Acquire) {
            return 0;
        }
        let by_id = self.by_id.read();
        let newest = |id| {
            by_id
                .get(id)
                .and_then(|clears| clears.iter().rev().find(|clear| **clear <= at))
        };
        ids.iter().filter_map(newest).copied().max().unwrap_or(0)
    }

    /// All clears at or below a safe point: (id, newest of them).
    pub fn until(&self, safe_point: u64) -> Vec<(u32, u64)> {
        let by_id = self.by_id.read();
        let newest = |(id, clears): (&u32, &Vec<u64>)| {
            clears
                .iter()
                .rev()
                .find(|clear| **clear <= safe_point)
                .map(|clear| (*id, *clear))
        };
        by_id.iter().filter_map(newest).collect()
    }

    /// All clears: (id, timestamp).
    pub fn all(&self) -> Vec<(u32, u64)> {
        let by_id = self.by_id.read();
        by_id
            .iter()
            .flat_map(|(id, clears)| clears.iter().map(|clear| (*id, *clear)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_hides_older_versions_from_later_reads_only() {
        let clears = Clears::default();
        assert_eq!(clears.hidden_below(&[7], u64::MAX), 0);
        clears.add(7, 50);
        clears.add(7, 90);
        assert_eq!(clears.hidden_below(&[7], 49), 0);
        assert_eq!(clears.hidden_below(&[7, 8], 50), 50);
        assert_eq!(clears.hidden_below(&[8, 7], 100), 90);
        assert_eq!(clears.hidden_below(&[8], 100), 0);
        clears.forget(7, 50);
        assert_eq!(clears.hidden_below(&[7], 60), 0);
        assert_eq!(clears.until(100), vec![(7, 90)]);
        clears.forget(7, 90);
        assert_eq!(clears.hidden_below(&[7], 100), 0);
    }
}
