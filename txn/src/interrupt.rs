//! Interrupt: how a waiting transaction is told to stop waiting.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::TxnError;

/// Reasons for a transaction to stop what it is doing.
#[derive(Default)]
pub(crate) struct Interrupt {
    /// The statement was cancelled; the next one begins without it.
    cancelled: AtomicBool,
    /// The transaction cannot go on (wounded, locks lost); stays until its end.
    doom: OnceLock<TxnError>,
    wake: Notify,
}

impl Interrupt {
    /// Stops the current statement.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.wake.notify_waiters();
    }

    /// Stops the transaction; the first reason stands.
    pub(crate) fn doom(&self, error: TxnError) {
        // A second reason changes nothing for the client.
        let _ = self.doom.set(error);
        self.wake.notify_waiters();
    }

    /// Forgets a cancellation that came for an earlier statement.
    pub(crate) fn begin_statement(&self) {
        self.cancelled.store(false, Ordering::Release);
    }

    /// The reason to stop, if there is one.
    pub(crate) fn check(&self) -> Result<(), TxnError> {
        if let Some(error) = self.doom.get() {
            return Err(error.clone());
        }
        if self.cancelled.load(Ordering::Acquire) {
            Err(TxnError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Returns when there is a reason to stop.
    pub(crate) async fn interrupted(&self) -> TxnError {
        loop {
            // Registered before the flags are looked at, so that a reason given in between is not slept through.
            let woken = self.wake.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if let Err(error) = self.check() {
                return error;
            }
            woken.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cancellation_before_the_wait_is_not_slept_through() {
        let interrupt = Interrupt::default();
        interrupt.cancel();
        assert!(matches!(interrupt.interrupted().await, TxnError::Cancelled));
        interrupt.begin_statement();
        assert!(interrupt.check().is_ok());
        interrupt.doom(TxnError::locks_lost());
        interrupt.doom(TxnError::Unavailable);
        interrupt.begin_statement();
        assert!(matches!(interrupt.check(), Err(TxnError::Serialization { .. })));
    }
}
