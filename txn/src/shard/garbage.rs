//! Garbage: keys that apply has written more than once, remembered until the safe point has passed them.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::command::Timestamp;

/// Bytes of keys remembered at most; beyond it the whole family is scanned.
const KEYS_BYTES_MAX: usize = 8 << 20;
/// What a key costs beside its bytes.
const KEY_OVERHEAD: usize = 64;

/// Keys that probably have versions nobody will need.
#[derive(Default)]
pub(crate) struct Garbage {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// In the order they were written: timestamps nearly grow.
    keys: VecDeque<(Timestamp, Bytes)>,
    bytes: usize,
    /// Where a scan of the family goes on, if one is needed.
    scan: Option<Bytes>,
}

impl Garbage {
    /// A collection that begins with a scan: what was written before the start is not remembered.
    pub(crate) fn needing_scan() -> Garbage {
        Garbage {
            inner: Mutex::new(Inner {
                keys: VecDeque::new(),
                bytes: 0,
                scan: Some(Bytes::new()),
            }),
        }
    }

    /// Remembers that a key got a version at this timestamp.
    pub(crate) fn push(&self, key: Bytes, timestamp: Timestamp) {
        let mut inner = self.inner.lock();
        if inner.bytes >= KEYS_BYTES_MAX {
            inner.keys = VecDeque::new();
            inner.bytes = 0;
            inner.scan = Some(Bytes::new());
            return;
        }
        inner.bytes += key.len() + KEY_OVERHEAD;
        inner.keys.push_back((timestamp, key));
    }

    pub(crate) fn is_empty(&self) -> bool {
        let inner = self.inner.lock();
        inner.keys.is_empty() && inner.scan.is_none()
    }

    /// Keys whose newest remembered version is at or below the safe point: only then is what it replaced garbage.
    pub(crate) fn take_until(&self, safe_point: Timestamp) -> Vec<Bytes> {
        let mut inner = self.inner.lock();
        let mut keys = Vec::new();
        while inner
            .keys
            .front()
            .is_some_and(|(timestamp, _)| *timestamp <= safe_point)
        {
            if let Some((_, key)) = inner.keys.pop_front() {
                inner.bytes = inner.bytes.saturating_sub(key.len() + KEY_OVERHEAD);
                keys.push(key);
            }
        }
        keys
    }

    /// Where the scan goes on, if one is needed.
    pub(crate) fn scan_position(&self) -> Option<Bytes> {
        self.inner.lock().scan.clone()
    }

    /// The scan has come this far; `None` at its end.
    pub(crate) fn scanned_until(&self, next: Option<Bytes>) {
        self.inner.lock().scan = next;
    }
}

/// Most keys remembered for consolidation.
const CHAINS_MAX: usize = 1000;

/// Rows that readers found with chains at their limit.
#[derive(Default)]
pub(crate) struct LongChains {
    keys: Mutex<Vec<Bytes>>,
}

impl LongChains {
    /// Remembers a row.
    pub(crate) fn push(&self, key: &[u8]) {
        let mut keys = self.keys.lock();
        if keys.len() < CHAINS_MAX && !keys.iter().any(|known| known == key) {
            keys.push(Bytes::copy_from_slice(key));
        }
    }

    /// All rows remembered.
    pub(crate) fn take(&self) -> Vec<Bytes> {
        std::mem::take(&mut *self.keys.lock())
    }
}
