//! Placement: which shard a row, an index entry or a lock name belongs to.
//!
//! `hash(table, primary key)` gives a token, and each shard owns one range of tokens. Registry tables (ids below
//! [`FIRST_USER_TABLE`]) are on the meta group, shard 0. Entries of unique indexes are placed by `hash(index, value)`, because
//! uniqueness must be decided in one place; entries of other indexes lie beside their rows.

use smallvec::SmallVec;
use xxhash_rust::xxh3::Xxh3;

use crate::{IndexId, LockName, TableId};

/// A Raft group: 0 is the meta group, the rest hold user tables.
pub(crate) type ShardId = u32;
/// Tables below are the schema registry's, on the meta group.
pub const FIRST_USER_TABLE: TableId = 16384;
/// The meta group.
pub(crate) const META: ShardId = 0;

/// The shards a name belongs to, in order.
pub(crate) type Shards = SmallVec<[ShardId; 1]>;

/// The map from keys to shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    shard_count: u32,
}

impl Placement {
    /// A map over shards `1..=shard_count`.
    pub(crate) fn new(shard_count: u32) -> Placement {
        assert!(shard_count > 0, "a node has at least one shard for user tables");
        Placement { shard_count }
    }

    /// Shards of user tables.
    pub(crate) fn shard_count(&self) -> u32 {
        self.shard_count
    }

    /// Shard of a row.
    pub(crate) fn row(&self, table: TableId, key: &[u8]) -> ShardId {
        if table < FIRST_USER_TABLE {
            META
        } else {
            self.token_shard(table, key)
        }
    }

    /// Shard of an index entry.
    pub(crate) fn entry(&self, table: TableId, index: IndexId, global: bool, value: &[u8], row: &[u8]) -> ShardId {
        match (table < FIRST_USER_TABLE, global) {
            (true, _) => META,
            (false, true) => self.token_shard(index, value),
            (false, false) => self.token_shard(table, row),
        }
    }

    /// All shards that hold rows or entries of a table.
    pub(crate) fn table(&self, table: TableId) -> Shards {
        if table < FIRST_USER_TABLE {
            SmallVec::from_slice(&[META])
        } else {
            (1..=self.shard_count).collect()
        }
    }

    /// Shards of a lock name.
    pub(crate) fn lock(&self, name: &LockName) -> Shards {
        let one = |shard| SmallVec::from_slice(&[shard]);
        match name {
            LockName::Row { table, key, .. } => one(self.row(*table, key)),
            LockName::IndexValue {
                table,
                index,
                global: true,
                value,
                ..
            } => one(self.entry(*table, *index, true, value, &[])),
            LockName::IndexValue {
                table, row: Some(row), ..
            }
            | LockName::RowSet { table, row: Some(row) } => one(self.row(*table, row)),
            LockName::Table(table)
            | LockName::IndexValue { table, .. }
            | LockName::IndexInterval { table, .. }
            | LockName::PathClass { table, .. }
            | LockName::RowSet { table, .. } => self.table(*table),
        }
    }

    fn token_shard(&self, id: u32, key: &[u8]) -> ShardId {
        let mut hash = Xxh3::new();
        hash.update(&id.to_be_bytes());
        hash.update(key);
        let token = hash.digest();
        1 + ((u128::from(token) * u128::from(self.shard_count)) >> 64) as ShardId
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_spread_over_all_shards() {
        let placement = Placement::new(8);
        let mut rows = [0; 9];
        for key in 0..8000u32 {
            rows[placement.row(20000, &key.to_be_bytes()) as usize] += 1;
        }
        assert_eq!(rows[0], 0);
        assert!(rows[1..].iter().all(|count| (850..1150).contains(count)), "{rows:?}");
    }

    #[test]
    fn an_entry_of_a_local_index_lies_beside_its_row() {
        let placement = Placement::new(8);
        for key in 0..100u32 {
            let key = key.to_be_bytes();
            assert_eq!(
                placement.row(20000, &key),
                placement.entry(20000, 20001, false, b"value", &key)
            );
        }
        assert_eq!(
            placement.entry(20000, 20001, true, b"value", b"1"),
            placement.entry(20000, 20001, true, b"value", b"2")
        );
    }

    #[test]
    fn the_registry_is_on_the_meta_group() {
        let placement = Placement::new(8);
        assert_eq!(placement.row(1259, b"key"), META);
        assert_eq!(placement.lock(&LockName::Table(1259)).as_slice(), [META]);
        assert_eq!(placement.lock(&LockName::Table(20000)).len(), 8);
    }
}
