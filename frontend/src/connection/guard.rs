//! Guard: runs a statement under its cancel request, its timeout, and the client's presence.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;

use futures::FutureExt;
use planner::{SqlError, SqlState};
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};

use super::client::Reader;
use super::{Stopped, Work};
use crate::session::shared::{Shared, Stop};

/// Runs work until it is done or must stop. A statement that is done at its first poll costs none of the watching.
///
/// # Errors
/// What the work raises; 57014 when cancelled or timed out; XX000 when it panics; fatal 57P01 at shutdown.
pub async fn guard<T>(
    reader: &mut Reader,
    shared: &Shared,
    deadline: Option<Instant>,
    work: impl Future<Output = Work<T>>,
) -> Work<T> {
    *shared.deadline.lock() = deadline;
    let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
    // The watchers do not count against the task's budget: work that uses it up at every poll would keep them from
    // being asked at all.
    let reason = tokio::select! {
        biased;
        result = &mut work => {
            return match result.unwrap_or_else(|panic| Err(Stopped::Error(panicked(&*panic)))) {
                // Work that looks out for a stop itself (a sleep) cannot tell which kind it was.
                Err(Stopped::Error(error)) if error.code() == SqlState::QUERY_CANCELED && shared.is_terminated() => {
                    Err(Stopped::Fatal(terminated()))
                }
                result => result,
            };
        }
        stop = unconstrained(shared.stopped()) => stopped(stop),
        () = unconstrained(timeout(deadline)) => Stopped::Error(timed_out()),
        () = unconstrained(reader.lost()) => Stopped::Lost,
    };
    // Dropping the work stops what it does itself; tasks it has started are told.
    shared.cancel.lock().cancel();
    Err(reason)
}

/// Runs work that must not be interrupted: COMMIT and ROLLBACK.
///
/// # Errors
/// What the work raises; XX000 when it panics.
pub async fn protect<T>(work: impl Future<Output = Work<T>>) -> Work<T> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(Stopped::Error(panicked(&*panic))))
}

/// The error of a request to stop.
pub fn stopped(stop: Stop) -> Stopped {
    match stop {
        Stop::Cancel => Stopped::Error(SqlError::new(
            SqlState::QUERY_CANCELED,
            "canceling statement due to user request",
        )),
        Stop::Terminate => Stopped::Fatal(terminated()),
    }
}

/// 57P01
pub fn terminated() -> SqlError {
    SqlError::new(
        SqlState::ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
    )
}

/// 57014 after statement_timeout.
pub fn timed_out() -> SqlError {
    SqlError::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout")
}

/// Resolves at the deadline, if there is one.
pub async fn timeout(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn panicked(panic: &(dyn Any + Send)) -> SqlError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown panic".into());
    tracing::error!(panic = %text, "a statement panicked");
    SqlError::new(SqlState::INTERNAL_ERROR, format!("internal error: {text}"))
        .hint("This is a bug in Cambium. The statement was rolled back; the session can go on.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> (Reader, tokio::io::DuplexStream, Shared) {
        let (near, far) = tokio::io::duplex(64);
        (
            Reader::new(Box::new(near)),
            far,
            crate::session::shared::tests::shared(),
        )
    }

    fn code<T: std::fmt::Debug>(result: Work<T>) -> &'static str {
        match result.unwrap_err() {
            Stopped::Error(error) | Stopped::Fatal(error) => error.code().0,
            Stopped::Lost => "lost",
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_the_statement() {
        let (mut reader, _far, shared) = parts();
        let work = async { if shared.is_terminated() { Ok(()) } else { panic!("boom") } };
        assert_eq!(code(guard(&mut reader, &shared, None, work).await), "XX000");
    }

    #[tokio::test]
    async fn busy_work_is_timed_out() {
        let (mut reader, _far, shared) = parts();
        let busy = async {
            loop {
                tokio::task::consume_budget().await;
            }
        };
        let deadline = Some(Instant::now() + std::time::Duration::from_millis(10));
        assert_eq!(code(guard::<()>(&mut reader, &shared, deadline, busy).await), "57014");
    }

    #[tokio::test]
    async fn a_statement_stops_when_asked_timed_out_or_left() {
        let (mut reader, far, shared) = parts();
        shared.stop(Stop::Cancel);
        assert_eq!(
            code(guard(&mut reader, &shared, None, std::future::pending::<Work<()>>()).await),
            "57014"
        );
        let deadline = Some(Instant::now());
        assert_eq!(
            code(guard(&mut reader, &shared, deadline, std::future::pending::<Work<()>>()).await),
            "57014"
        );
        drop(far);
        assert_eq!(
            code(guard(&mut reader, &shared, None, std::future::pending::<Work<()>>()).await),
            "lost"
        );
    }
}
