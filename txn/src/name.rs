//! Lock names and modes, as the planner derives them and the lock table keeps them.

use bytes::Bytes;
use storage::{Numeric, Path};

/// `pg_class.oid` of a table.
pub type TableId = u32;
/// `pg_class.oid` of an index.
pub type IndexId = u32;
/// An encoded primary key or index value (see `storage::key`).
pub type Key = Bytes;

/// A lock mode. `A` (add) meets itself; `S`, `X`, `A` cover their subtree. Table nodes use PostgreSQL's eight modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs, reason = "the textbook modes")]
pub enum Mode {
    IntentionShared,
    IntentionExclusive,
    Shared,
    SharedIntentionExclusive,
    Exclusive,
    Add,
    /// A table node only: PostgreSQL's eight table modes.
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    TableShare,
    ShareRowExclusive,
    TableExclusive,
    AccessExclusive,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Mode::IntentionShared => "IS",
            Mode::IntentionExclusive => "IX",
            Mode::Shared => "S",
            Mode::SharedIntentionExclusive => "SIX",
            Mode::Exclusive => "X",
            Mode::Add => "A",
            Mode::AccessShare => "AccessShareLock",
            Mode::RowShare => "RowShareLock",
            Mode::RowExclusive => "RowExclusiveLock",
            Mode::ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Mode::TableShare => "ShareLock",
            Mode::ShareRowExclusive => "ShareRowExclusiveLock",
            Mode::TableExclusive => "ExclusiveLock",
            Mode::AccessExclusive => "AccessExclusiveLock",
        })
    }
}

/// Which part of a row a lock names (DESIGN §3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum RowPart {
    /// The whole row.
    Row,
    /// `#key`: row identity, what a foreign key needs.
    Identity,
    /// `#data`: everything but identity.
    Data,
    /// A column or a path inside one.
    Path(Path),
}

/// Name of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum LockName {
    /// A table, on every shard.
    Table(TableId),
    /// A row or a part of it.
    Row {
        /// Table.
        table: TableId,
        /// Encoded primary key.
        key: Key,
        /// Part.
        part: RowPart,
    },
    /// One value of an index, of any row. A unique index is locked on the shard of the value; another index on the shard of
    /// the row if `row` is given, on every shard otherwise.
    IndexValue {
        /// Table.
        table: TableId,
        /// Index.
        index: IndexId,
        /// Whether the index is unique, hence global.
        global: bool,
        /// Encoded value (without the row's key).
        value: Key,
        /// Key of the row, if only this entry is meant.
        row: Option<Key>,
    },
    /// An interval of encoded index values, half-open; `None` is unbounded. Keeps phantoms out in SERIALIZABLE.
    IndexInterval {
        /// Table.
        table: TableId,
        /// Index.
        index: IndexId,
        /// Whether the index is unique, hence global.
        global: bool,
        /// First value.
        from: Key,
        /// First value beyond.
        to: Option<Key>,
    },
    /// A path of every row of a table (`table/*/doc/a`), on every shard.
    PathClass {
        /// Table.
        table: TableId,
        /// Path.
        path: Path,
    },
    /// The set of rows of a table: S by scans, IX by inserts and deletes. On every shard; writers mark their row's shard.
    RowSet {
        /// Table.
        table: TableId,
        /// The row inserted or deleted, if only its shard is meant.
        row: Option<Key>,
    },
}

/// One lock wanted.
#[derive(Clone, Debug)]
pub struct LockRequest {
    /// Name.
    pub name: LockName,
    /// Mode.
    pub mode: Mode,
    /// For [`Mode::Add`]: the increment and the bounds of the type it must stay in.
    pub add: Option<AddIncrement>,
}

impl LockName {
    /// A whole row.
    pub fn row(table: TableId, key: Key) -> LockName {
        LockName::Row {
            table,
            key,
            part: RowPart::Row,
        }
    }

    /// `#key` of a row.
    pub fn identity(table: TableId, key: Key) -> LockName {
        LockName::Row {
            table,
            key,
            part: RowPart::Identity,
        }
    }

    /// `#data` of a row.
    pub fn data(table: TableId, key: Key) -> LockName {
        LockName::Row {
            table,
            key,
            part: RowPart::Data,
        }
    }

    /// A column or a path inside one.
    pub fn path(table: TableId, key: Key, path: Path) -> LockName {
        LockName::Row {
            table,
            key,
            part: RowPart::Path(path),
        }
    }

    /// The table the lock is in.
    pub fn table(&self) -> TableId {
        match self {
            LockName::Table(table)
            | LockName::Row { table, .. }
            | LockName::IndexValue { table, .. }
            | LockName::IndexInterval { table, .. }
            | LockName::PathClass { table, .. }
            | LockName::RowSet { table, .. } => *table,
        }
    }
}

impl LockRequest {
    /// A request without an increment.
    pub fn new(name: LockName, mode: Mode) -> LockRequest {
        LockRequest { name, mode, add: None }
    }
}

/// What an `A` lock adds, so that the leader can tell whether any subset of held increments overflows (DESIGN L5).
#[derive(Clone, Debug)]
pub struct AddIncrement {
    /// The increment.
    pub by: Numeric,
    /// Least value of the type, if bounded.
    pub min: Option<Numeric>,
    /// Greatest value of the type, if bounded.
    pub max: Option<Numeric>,
}
