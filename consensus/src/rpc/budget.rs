//! Budget: how many bytes of one kind may be under way on one connection (N4). Who wants more waits, first come first served.
//!
//! Small and large things have budgets of their own: a heartbeat or a question by key never waits until a snapshot or a
//! batch of rows has arrived.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::transport::TransportError;

/// What is counted; anything smaller counts as much, so that the number of things is bounded too.
const PERMIT_BYTES: usize = 1 << 10;

/// Bytes that may be under way.
#[derive(Clone)]
pub(crate) struct Budget {
    permits: Arc<Semaphore>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Budget {
        let permits = Arc::new(Semaphore::new(bytes / PERMIT_BYTES));
        Budget { permits, bytes }
    }

    /// Waits until so many bytes more are allowed. What is larger than all that is allowed goes alone.
    ///
    /// # Errors
    /// The budget was closed.
    pub(crate) async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, TransportError> {
        let permits = bytes.clamp(PERMIT_BYTES, self.bytes) / PERMIT_BYTES;
        let closed = |_| TransportError::Unreachable("the node is shutting down".into());
        self.permits
            .clone()
            .acquire_many_owned(permits as u32)
            .await
            .map_err(closed)
    }

    /// Refuses everybody.
    pub(crate) fn close(&self) {
        self.permits.close();
    }
}
