//! Breath: how long work over many rows lets its task's watchers (cancel, timeout, the client's presence) have a look.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::{SqlError, SqlResult, SqlState};

/// Longest time a statement computes without letting others of its task look at it.
const BREATH: Duration = Duration::from_millis(10);
/// Rows worked on between two looks at the clock.
const ROWS_PER_LOOK: u32 = 64;

/// Keeps the time of a loop over rows.
pub(crate) struct Breath {
    cancel: CancellationToken,
    last: Instant,
    rows: u32,
}

impl Breath {
    /// Begins now.
    pub(crate) fn new(cancel: &CancellationToken) -> Breath {
        Breath {
            cancel: cancel.clone(),
            last: Instant::now(),
            rows: 0,
        }
    }

    /// Called after each row.
    ///
    /// # Errors
    /// 57014 if the statement was cancelled.
    pub(crate) async fn after_row(&mut self) -> SqlResult<()> {
        self.rows += 1;
        if self.rows < ROWS_PER_LOOK {
            return Ok(());
        }
        self.rows = 0;
        if self.last.elapsed() >= BREATH {
            tokio::task::yield_now().await;
            self.last = Instant::now();
        }
        if self.cancel.is_cancelled() {
            return Err(SqlError::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to user request",
            ));
        }
        Ok(())
    }
}
