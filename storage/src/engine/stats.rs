//! Counters of what was written, for metrics and for tests that bound bytes per commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Durability;

/// Counters since the directory was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Bytes of batches written to the log and local metadata.
    pub log_bytes: u64,
    /// Bytes of batches written to state machines.
    pub state_bytes: u64,
    /// Batches written.
    pub batches: u64,
    /// Times the log was synced.
    pub syncs: u64,
    /// Time spent in those syncs.
    pub sync_time: Duration,
}

#[derive(Default)]
pub(crate) struct Counters {
    log_bytes: AtomicU64,
    state_bytes: AtomicU64,
    batches: AtomicU64,
    syncs: AtomicU64,
    sync_nanos: AtomicU64,
}

impl Counters {
    pub(crate) fn wrote(&self, durability: Durability, bytes: usize) {
        let counter = match durability {
            Durability::Replayed => &self.state_bytes,
            Durability::Logged | Durability::Synced => &self.log_bytes,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn synced(&self, took: Duration) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_nanos.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> EngineStats {
        EngineStats {
            log_bytes: self.log_bytes.load(Ordering::Relaxed),
            state_bytes: self.state_bytes.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            sync_time: Duration::from_nanos(self.sync_nanos.load(Ordering::Relaxed)),
        }
    }
}
