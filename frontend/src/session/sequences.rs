//! Sequences: nextval, currval, lastval and setval of a session.
//!
//! A function call is synchronous, and most calls of nextval find a reserved value at once. When a new block must be
//! reserved (through the log of the meta group), the thread waits and other tasks move on without it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use futures::FutureExt;
use planner::catalog::Relation;
use planner::{SqlError, SqlResult, SqlState};
use storage::Datum;
use tokio::runtime::Handle;

use super::shared::Shared;

/// nextval
pub fn next_value(shared: &Shared, sequence: u32) -> SqlResult<i64> {
    let relation = relation(shared, sequence)?;
    writable(shared, &relation, "nextval")?;
    let parameters = relation
        .sequence
        .as_ref()
        .ok_or_else(|| not_a_sequence(&relation.name))?;
    let services = shared.services.upgrade().ok_or_else(gone)?;
    let value = wait(services.planner.sequences.next(sequence, &relation.name, parameters))?;
    remember(shared, sequence, value);
    Ok(value)
}

/// currval
pub fn current_value(shared: &Shared, sequence: u32) -> SqlResult<i64> {
    if let Some(value) = shared.sequences.lock().values.get(&sequence) {
        return Ok(*value);
    }
    let name = &relation(shared, sequence)?.name;
    Err(SqlError::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("currval of sequence \"{name}\" is not yet defined in this session"),
    ))
}

/// The row of `SELECT * FROM sequence`: last_value, log_cnt, is_called.
pub fn row(shared: &Shared, sequence: u32) -> SqlResult<Vec<Datum>> {
    let relation = relation(shared, sequence)?;
    let parameters = relation
        .sequence
        .as_ref()
        .ok_or_else(|| not_a_sequence(&relation.name))?;
    let services = shared.services.upgrade().ok_or_else(gone)?;
    let ((last, is_called), reserved) = wait(services.planner.sequences.row(sequence, parameters))?;
    Ok(vec![Datum::Int8(last), Datum::Int8(reserved), Datum::Bool(is_called)])
}

/// lastval
pub fn last_value(shared: &Shared) -> SqlResult<i64> {
    let catalog = shared.catalog.lock().clone();
    let sequences = shared.sequences.lock();
    // A sequence that was dropped has no last value.
    let last = sequences.last.filter(|last| catalog.relations.contains_key(last));
    let value = last.and_then(|last| sequences.values.get(&last));
    value.copied().ok_or_else(|| {
        SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "lastval is not yet defined in this session",
        )
    })
}

/// setval
pub fn set_value(shared: &Shared, sequence: u32, value: i64, is_called: bool) -> SqlResult<i64> {
    let relation = relation(shared, sequence)?;
    writable(shared, &relation, "setval")?;
    let parameters = relation
        .sequence
        .as_ref()
        .ok_or_else(|| not_a_sequence(&relation.name))?;
    let services = shared.services.upgrade().ok_or_else(gone)?;
    wait(services.planner.sequences.set(sequence, parameters, value, is_called)).map_err(|error| {
        error
            .with_message(|message| message.replace("for sequence (", &format!("for sequence \"{}\" (", relation.name)))
    })?;
    // setval with is_called defines currval, but not which sequence lastval means.
    if is_called {
        shared.sequences.lock().values.insert(sequence, value);
    }
    Ok(value)
}

fn remember(shared: &Shared, sequence: u32, value: i64) {
    let mut sequences = shared.sequences.lock();
    sequences.values.insert(sequence, value);
    sequences.last = Some(sequence);
}

fn relation(shared: &Shared, sequence: u32) -> SqlResult<Arc<Relation>> {
    let catalog = shared.catalog.lock().clone();
    catalog.relations.get(&sequence).cloned().ok_or_else(|| {
        SqlError::new(
            SqlState::UNDEFINED_TABLE,
            format!("could not open relation with OID {sequence}"),
        )
    })
}

/// 25006 in a read-only transaction, unless the sequence is a temporary one.
fn writable(shared: &Shared, sequence: &Relation, function: &str) -> SqlResult<()> {
    let catalog = shared.catalog.lock().clone();
    let schema = catalog.schemas.get(&sequence.schema);
    if schema.is_some_and(planner::catalog::Schema::is_temporary) {
        return Ok(());
    }
    if shared.show("transaction_read_only").as_deref() != Some("on") {
        return Ok(());
    }
    Err(SqlError::new(
        SqlState::READ_ONLY_SQL_TRANSACTION,
        format!("cannot execute {function}() in a read-only transaction"),
    ))
}

fn not_a_sequence(name: &str) -> SqlError {
    SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a sequence"))
}

fn gone() -> SqlError {
    SqlError::new(SqlState::ADMIN_SHUTDOWN, "the database system is shutting down")
}

/// Waits for work on this thread, without giving it away if the work is done at once.
fn wait<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    match work.as_mut().now_or_never() {
        Some(result) => result,
        None => tokio::task::block_in_place(|| Handle::current().block_on(work)),
    }
}
