//! Calls: functions that ask about sessions, or make one of them do something.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use planner::system::calls::Calls;
use planner::types::oid;
use planner::{SqlError, SqlResult, SqlState};
use storage::{Array, Datum};
use tokio::runtime::Handle;
use tokio::time::Instant;
use txn::TransactionOutcome;

use super::shared::{Shared, Stop, now};
use super::{Services, advisory};

/// When the process began to serve, microseconds since 2000.
static STARTED: LazyLock<i64> = LazyLock::new(now);

/// Remembers the start of the process.
pub fn started() {
    LazyLock::force(&STARTED);
}

/// Answers a function of one value.
///
/// # Errors
/// 42501 without the right, 0A000 for what is not known here.
pub fn call(shared: &Shared, function: &str, args: &[Datum]) -> SqlResult<Datum> {
    match function {
        "pg_cancel_backend" => signal(shared, args, Stop::Cancel),
        "pg_terminate_backend" => signal(shared, args, Stop::Terminate),
        "pg_blocking_pids" => {
            let blocking = blocking(&*services(shared)?, session(args));
            Ok(integers(blocking.into_iter().map(|id| id as i32)))
        }
        "pg_isolation_test_session_is_blocked" => {
            let blocking = blocking(&*services(shared)?, session(args));
            let among = |pid: &Datum| matches!(pid, Datum::Int4(pid) if blocking.contains(&(*pid as u32)));
            Ok(Datum::Bool(
                matches!(args.get(1), Some(Datum::Array(pids)) if pids.elements.iter().any(among)),
            ))
        }
        "pg_relation_size" | "pg_table_size" => size(shared, args, Size::OfItself),
        "pg_indexes_size" => size(shared, args, Size::OfIndexes),
        "pg_total_relation_size" => size(shared, args, Size::Total),
        // The databases of a node share its shards; a part of them is not told apart.
        "pg_database_size" | "pg_tablespace_size" => {
            Ok(Datum::Int8(services(shared)?.planner.node.total_bytes() as i64))
        }
        "current_query" => Ok(Datum::Text(shared.activity.lock().query.clone())),
        "pg_postmaster_start_time" | "pg_conf_load_time" => Ok(Datum::TimestampTz(*STARTED)),
        "pg_current_xact_id" | "pg_current_xact_id_if_assigned" | "txid_current" | "txid_current_if_assigned" => {
            Ok(Datum::Int8(shared.transaction_id.load(Ordering::Relaxed) as i64))
        }
        "pg_xact_status" | "txid_status" => transaction_status(shared, args),
        name if name.starts_with("cambium.") => super::cluster::call(shared, &*services(shared)?, name, args),
        "pg_stat_get_backend_pid" => Ok(args.first().cloned().unwrap_or(Datum::Null)),
        _ => {
            if function.contains("advisory") {
                let services = services(shared)?;
                let elsewhere = |session: u32| services.planner.node.blocking(session);
                let advisory = &services.registry.advisory;
                if let Some(answer) = advisory::call(advisory, shared, function, args, &elsewhere) {
                    return answer;
                }
            }
            let catalog = shared.catalog.lock().clone();
            let calls = Calls {
                catalog: &catalog,
                session: shared,
            };
            calls
                .call(function, args)
                .unwrap_or_else(|| Err(SqlError::unsupported(format_args!("function {function}"))))
        }
    }
}

/// Answers a function of several rows.
///
/// # Errors
/// 0A000 for what is not known here.
pub fn rows(shared: &Shared, function: &str, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    match function {
        "pg_listening_channels" => {
            let channels = services(shared)?.notifier.channels(shared.identity.id);
            Ok(channels
                .into_iter()
                .map(|channel| vec![Datum::Text(channel.into())])
                .collect())
        }
        "sequence row" => match args {
            [Datum::Oid(sequence)] => super::sequences::row(shared, *sequence).map(|row| vec![row]),
            _ => Ok(Vec::new()),
        },
        "pg_partition_ancestors" => {
            let catalog = planner::eval::SessionView::catalog(shared);
            Ok(catalog.map_or_else(Vec::new, |catalog| {
                planner::system::partition::ancestors(&catalog, args)
            }))
        }
        "pg_partition_tree" => {
            let catalog = planner::eval::SessionView::catalog(shared);
            Ok(catalog.map_or_else(Vec::new, |catalog| planner::system::partition::tree(&catalog, args)))
        }
        "pg_stat_get_backend_idset" => {
            let sessions = services(shared)?.registry.all();
            Ok(sessions
                .iter()
                .map(|session| vec![Datum::Int4(session.identity.id as i32)])
                .collect())
        }
        _ => Err(SqlError::unsupported(format_args!("function {function}"))),
    }
}

/// Sleeps on this thread, until the statement is cancelled or out of time. Other tasks move to another thread meanwhile.
///
/// # Errors
/// 57014
pub fn sleep(shared: &Shared, duration: Duration) -> SqlResult<()> {
    let cancel = shared.cancel.lock().clone();
    let deadline = *shared.deadline.lock();
    let end = Instant::now() + duration;
    let is_cut = deadline.is_some_and(|deadline| deadline < end);
    let wake = deadline.filter(|_| is_cut).unwrap_or(end);
    let is_cancelled = tokio::task::block_in_place(|| {
        Handle::current().block_on(async {
            tokio::select! {
                () = cancel.cancelled() => true,
                () = tokio::time::sleep_until(wake) => false,
            }
        })
    });
    let cancelled = |why: &str| {
        Err(SqlError::new(
            SqlState::QUERY_CANCELED,
            format!("canceling statement due to {why}"),
        ))
    };
    match (is_cancelled, is_cut) {
        (true, _) => cancelled("user request"),
        (false, true) => cancelled("statement timeout"),
        (false, false) => Ok(()),
    }
}

/// What a size function counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    OfItself,
    OfIndexes,
    Total,
}

/// Bytes of a relation or index on disk; NULL if there is none.
fn size(shared: &Shared, args: &[Datum], what: Size) -> SqlResult<Datum> {
    let node = services(shared)?.planner.node.clone();
    let catalog = shared.catalog.lock().clone();
    let Some(Datum::Oid(id)) = args.first() else {
        return Ok(Datum::Null);
    };
    let Some(relation) = catalog.relations.get(id) else {
        let is_index = catalog
            .relations
            .values()
            .any(|table| table.indexes.iter().any(|index| index.id == *id));
        return Ok(if is_index {
            Datum::Int8(node.index_bytes(*id) as i64)
        } else {
            Datum::Null
        });
    };
    let rows = if what == Size::OfIndexes {
        0
    } else {
        node.table_bytes(relation.id)
    };
    let secondary = relation.indexes.iter().filter(|index| !index.primary);
    let indexes: u64 = if what == Size::OfItself {
        0
    } else {
        secondary.map(|index| node.index_bytes(index.id)).sum()
    };
    Ok(Datum::Int8((rows + indexes) as i64))
}

fn services(shared: &Shared) -> SqlResult<Arc<Services>> {
    shared
        .services
        .upgrade()
        .ok_or_else(|| SqlError::new(SqlState::ADMIN_SHUTDOWN, "the database system is shutting down"))
}

/// Sessions that block a session, wherever it waits.
fn blocking(services: &Services, session: u32) -> Vec<u32> {
    let mut sessions = services.planner.node.blocking(session);
    sessions.extend(services.registry.advisory.blocking(session));
    sessions.sort_unstable();
    sessions.dedup();
    sessions
}

fn session(args: &[Datum]) -> u32 {
    match args.first() {
        Some(Datum::Int4(id)) => u32::try_from(*id).unwrap_or(0),
        _ => 0,
    }
}

/// Cancels or ends a session; `false` with a warning if there is none of that number.
fn signal(shared: &Shared, args: &[Datum], stop: Stop) -> SqlResult<Datum> {
    let services = services(shared)?;
    let id = session(args);
    let Some(target) = services.registry.get(id) else {
        shared.warn(
            SqlState::WARNING,
            format!("PID {id} is not a PostgreSQL backend process"),
        );
        return Ok(Datum::Bool(false));
    };
    if !shared.is_superuser() && target.identity.user != shared.identity.user {
        let what = if stop == Stop::Cancel {
            "query is being canceled"
        } else {
            "process is being terminated"
        };
        return Err(SqlError::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("must be a member of the role whose {what} or member of pg_signal_backend"),
        ));
    }
    target.stop(stop);
    if stop == Stop::Cancel {
        services.planner.node.cancel(id);
    }
    Ok(Datum::Bool(true))
}

fn integers(values: impl Iterator<Item = i32>) -> Datum {
    let elements: Vec<Datum> = values.map(Datum::Int4).collect();
    let dimensions = if elements.is_empty() {
        vec![]
    } else {
        vec![(elements.len() as i32, 1)]
    };
    Datum::Array(Arc::new(Array {
        element_type: oid::INT4,
        dimensions,
        elements,
    }))
}

/// What became of a transaction: for whoever asks by the number it had, after an answer to COMMIT was lost.
fn transaction_status(shared: &Shared, args: &[Datum]) -> SqlResult<Datum> {
    let Some(Datum::Int8(id)) = args.first() else {
        return Ok(Datum::Null);
    };
    let node = &services(shared)?.planner.node;
    let id = *id as u64;
    if id > node.newest_transaction() {
        let message = format!("transaction ID {id} is in the future");
        return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    Ok(match node.outcome(id)? {
        Some(TransactionOutcome::InProgress) => Datum::from("in progress"),
        Some(TransactionOutcome::Committed) => Datum::from("committed"),
        Some(TransactionOutcome::Aborted) => Datum::from("aborted"),
        None => Datum::Null,
    })
}
