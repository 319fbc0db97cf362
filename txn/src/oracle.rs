//! Oracle: where commit and snapshot timestamps come from (DESIGN T1).
//!
//! A timestamp is 44 bits of milliseconds since 1970 and a 20-bit counter, drawn from one atomic, so that each is above
//! every earlier one of the node. None is handed out at or above the *bound*, which the meta group keeps durable ahead
//! of the clock; a restart begins at the bound, hence above everything handed out before.
//!
//! ```text
//!   last ──► drawn so far        near the bound the clock is no longer followed, only counted,
//!   ...........................  so that a draw never has to wait for the disk: the counter has
//!   clock ─►            bound ─► room for a billion draws while the next bound is on its way
//! ```
//!
//! Invariants
//!  T1a  `last < bound`, and `bound` is durable before it is installed.
//!  T1b  A draw returns more than every draw that returned before it was called.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bits of a timestamp that count within one millisecond.
pub(crate) const COUNTER_BITS: u32 = 20;
/// How far ahead of the clock the bound is leased.
const LEASE_MS: u64 = 10_000;
/// The bound is extended when the clock comes this close to it.
const EXTEND_MS: u64 = 5_000;
/// The clock is followed up to this distance from the bound.
const FOLLOW_MS: u64 = 1_000;

/// Hands out timestamps.
pub(crate) struct Oracle {
    last: AtomicU64,
    bound: AtomicU64,
    extending: AtomicBool,
}

/// The clock in milliseconds since 1970.
pub(crate) fn clock_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as u64
}

/// The clock in timestamp units.
pub(crate) fn clock() -> u64 {
    clock_ms() << COUNTER_BITS
}

impl Oracle {
    /// An oracle that begins above `bound`, the newest durable bound. It hands out nothing before [`Self::install`].
    pub(crate) fn new(bound: u64) -> Oracle {
        Oracle {
            last: AtomicU64::new(bound),
            bound: AtomicU64::new(bound),
            extending: AtomicBool::new(false),
        }
    }

    /// Begins above a durable bound read back; nothing was handed out yet.
    pub(crate) fn begin_at(&self, bound: u64) {
        self.last.fetch_max(bound, Ordering::AcqRel);
        self.bound.fetch_max(bound, Ordering::AcqRel);
    }

    /// A timestamp above every one drawn before; `None` if the lease is used up (the meta group does not answer).
    pub(crate) fn draw(&self) -> Option<u64> {
        self.draw_at(clock())
    }

    fn draw_at(&self, clock: u64) -> Option<u64> {
        let bound = self.bound.load(Ordering::Acquire);
        let follow = bound.saturating_sub(FOLLOW_MS << COUNTER_BITS);
        let mut last = self.last.load(Ordering::Acquire);
        loop {
            let next = if clock < follow {
                (last + 1).max(clock)
            } else {
                last + 1
            };
            if next >= bound {
                return None;
            }
            match self
                .last
                .compare_exchange_weak(last, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(next),
                Err(newer) => last = newer,
            }
        }
    }

    /// The newest timestamp drawn: whatever is drawn from now on is above it.
    pub(crate) fn newest(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// The bound to make durable next, if it is time and nobody else is at it. The caller must call [`Self::install`] or
    /// [`Self::extension_failed`].
    pub(crate) fn next_bound(&self) -> Option<u64> {
        let clock = clock().max(self.newest());
        if clock + (EXTEND_MS << COUNTER_BITS) < self.bound.load(Ordering::Acquire) {
            return None;
        }
        if self.extending.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some(clock + (LEASE_MS << COUNTER_BITS))
    }

    /// Makes a durable bound the limit.
    pub(crate) fn install(&self, bound: u64) {
        self.bound.fetch_max(bound, Ordering::AcqRel);
        self.extending.store(false, Ordering::Release);
    }

    /// The bound could not be made durable; somebody may try again.
    pub(crate) fn extension_failed(&self) {
        self.extending.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_before_a_bound_is_durable() {
        let oracle = Oracle::new(7);
        assert_eq!(oracle.draw(), None);
        let bound = oracle.next_bound().expect("no bound is installed");
        assert_eq!(oracle.next_bound(), None, "one extension at a time");
        oracle.install(bound);
        assert!(
            oracle
                .draw()
                .is_some_and(|timestamp| timestamp > 7 && timestamp < bound)
        );
        assert_eq!(oracle.next_bound(), None, "the new bound is far enough ahead");
    }

    #[test]
    fn a_clock_that_goes_back_or_runs_ahead_never_repeats_a_timestamp() {
        let oracle = Oracle::new(0);
        oracle.install(100_000 << COUNTER_BITS);
        let first = oracle.draw_at(50_000 << COUNTER_BITS).unwrap();
        let second = oracle.draw_at(10 << COUNTER_BITS).unwrap();
        let third = oracle.draw_at(99_999 << COUNTER_BITS).unwrap();
        assert_eq!((second, third), (first + 1, first + 2));
        assert_eq!(oracle.draw_at(60_000 << COUNTER_BITS), Some(60_000 << COUNTER_BITS));
    }

    #[test]
    fn a_restart_begins_above_everything_handed_out() {
        let oracle = Oracle::new(0);
        oracle.install(oracle.next_bound().unwrap());
        let newest = (0..1000).filter_map(|_| oracle.draw()).max().unwrap();
        let durable = oracle.bound.load(Ordering::Acquire);
        let restarted = Oracle::new(durable);
        restarted.install(restarted.next_bound().unwrap());
        assert!(restarted.draw().unwrap() > newest);
    }
}
