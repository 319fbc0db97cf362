//! View, Snapshot, Cursor: reading a family, newest or as of a moment.

use std::ops::Deref;
use std::sync::Arc;

use rocksdb::{DBPinnableSlice, DBRawIteratorWithThreadMode, ReadOptions, SnapshotWithThreadMode};

use super::{Db, EngineError, Family};

/// A consistent state of all families at one moment. Holding it keeps what was overwritten since from being compacted
/// away, so it should not be held for long.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<SnapshotInner>,
}

/// Fields are dropped in order: the snapshot before its database.
struct SnapshotInner {
    raw: SnapshotWithThreadMode<'static, Db>,
    _db: Arc<Db>,
}

impl Snapshot {
    pub(crate) fn new(db: &Arc<Db>) -> Self {
        // SAFETY: the reference is to the database behind the `Arc`, which does not move and which `SnapshotInner` keeps
        // alive until after the snapshot is released.
        let database: &'static Db = unsafe { &*Arc::as_ptr(db) };
        Self {
            inner: Arc::new(SnapshotInner {
                raw: SnapshotWithThreadMode::new(database),
                _db: db.clone(),
            }),
        }
    }
}

/// A family as seen by reads: its newest state, or its state at a snapshot.
#[derive(Clone)]
pub struct View {
    family: Family,
    snapshot: Option<Snapshot>,
}

/// A value read, without copying it out of the cache.
pub struct Pinned<'a>(DBPinnableSlice<'a>);

impl Deref for Pinned<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl View {
    pub(crate) fn new(family: Family, snapshot: Option<Snapshot>) -> Self {
        Self { family, snapshot }
    }

    /// The family read.
    pub fn family(&self) -> &Family {
        &self.family
    }

    fn read_options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        if let Some(snapshot) = &self.snapshot {
            options.set_snapshot(&snapshot.inner.raw);
        }
        options
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Pinned<'_>>, EngineError> {
        thread_local! {
            /// Reading the newest state needs no options of its own, and a point read should not pay for making them.
            static PLAIN: ReadOptions = ReadOptions::default();
        }
        let db = self.family.db();
        let value = match &self.snapshot {
            None => PLAIN.with(|options| db.get_pinned_cf_opt(self.family.handle(), key, options))?,
            Some(_) => db.get_pinned_cf_opt(self.family.handle(), key, &self.read_options())?,
        };
        Ok(value.map(Pinned))
    }

    /// Walks keys from `from` up to and without `to`; `None` is unbounded. The cursor sees the state at its creation, and
    /// must be placed by one of its `seek` methods first.
    pub fn cursor(&self, from: Option<&[u8]>, to: Option<&[u8]>) -> Result<Cursor, EngineError> {
        Ok(self.open_cursor(self.read_options(), from, to))
    }

    /// A cursor for reading much once: its blocks are read ahead and do not push others out of the cache.
    pub fn bulk_cursor(&self, from: Option<&[u8]>, to: Option<&[u8]>) -> Result<Cursor, EngineError> {
        let mut options = self.read_options();
        options.fill_cache(false);
        options.set_readahead_size(1 << 20);
        Ok(self.open_cursor(options, from, to))
    }

    fn open_cursor(&self, mut options: ReadOptions, from: Option<&[u8]>, to: Option<&[u8]>) -> Cursor {
        if let Some(from) = from {
            options.set_iterate_lower_bound(from);
        }
        if let Some(to) = to {
            options.set_iterate_upper_bound(to);
        }
        // SAFETY: as in `Snapshot::new`; `Cursor` drops its iterator before the family that keeps the database alive.
        let database: &'static Db = unsafe { &*Arc::as_ptr(self.family.db()) };
        let raw = database.raw_iterator_cf_opt(self.family.handle(), options);
        Cursor {
            raw,
            _snapshot: self.snapshot.clone(),
            _family: self.family.clone(),
        }
    }
}

/// A place in an ordered range of keys. Fields are dropped in order: the iterator first.
pub struct Cursor {
    raw: DBRawIteratorWithThreadMode<'static, Db>,
    _snapshot: Option<Snapshot>,
    _family: Family,
}

impl Cursor {
    /// Moves to the first key of the range.
    pub fn seek_to_first(&mut self) {
        self.raw.seek_to_first();
    }
    /// Moves to the last key of the range.
    pub fn seek_to_last(&mut self) {
        self.raw.seek_to_last();
    }
    /// Moves to the first key at or above `key`.
    pub fn seek(&mut self, key: &[u8]) {
        self.raw.seek(key);
    }
    /// Moves to the last key at or below `key`.
    pub fn seek_back(&mut self, key: &[u8]) {
        self.raw.seek_for_prev(key);
    }
    /// Moves to the next key; must be on one.
    #[allow(clippy::should_implement_trait, reason = "an iterator would have to copy")]
    pub fn next(&mut self) {
        self.raw.next();
    }
    /// Moves to the key before; must be on one.
    pub fn prev(&mut self) {
        self.raw.prev();
    }
    /// Key and value here; `None` beyond the range or after an error, which [`status`](Self::status) tells apart.
    pub fn item(&self) -> Option<(&[u8], &[u8])> {
        self.raw.item()
    }
    /// Key here.
    pub fn key(&self) -> Option<&[u8]> {
        self.raw.key()
    }
    /// Value here.
    pub fn value(&self) -> Option<&[u8]> {
        self.raw.value()
    }
    /// Whether the cursor is on a key.
    pub fn valid(&self) -> bool {
        self.raw.valid()
    }
    /// What went wrong, if anything. To be asked whenever [`item`](Self::item) is `None`.
    pub fn status(&self) -> Result<(), EngineError> {
        Ok(self.raw.status()?)
    }
}
