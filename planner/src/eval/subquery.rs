//! Rows of subqueries in expressions: the cache by outer values, and what an expression makes of the rows.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use storage::Datum;

use crate::eval::order::KeyValues;
use crate::{SqlError, SqlState};

/// Most results one subquery keeps; beyond it the cache starts anew. Bounds memory, not correctness.
const CACHED_RESULTS_MAX: usize = 16_384;

/// A run of a subquery that evaluation waits for.
#[derive(Clone, Debug)]
pub struct SubqueryCall {
    /// Position among the operator's subqueries.
    pub index: usize,
    /// Values of the subquery's outer columns, in the order of its scope.
    pub outer: Vec<Datum>,
    /// How many rows are enough to know the value: EXISTS needs one, a scalar two (the second is an error).
    pub rows_wanted: Option<usize>,
}

/// What a run of a subquery gave.
#[derive(Clone, Debug)]
pub struct SubqueryRows {
    /// Rows, of the subquery's output columns.
    pub rows: Arc<Vec<Vec<Datum>>>,
    /// Whether they depend on nothing but the outer values, and so may be kept beyond the row.
    pub keep: bool,
    pub(crate) members: Option<Arc<Members>>,
}

impl SubqueryRows {
    /// Rows of a run.
    pub fn new(rows: Vec<Vec<Datum>>, keep: bool) -> Self {
        Self {
            rows: Arc::new(rows),
            keep,
            members: None,
        }
    }
}

/// The rows of `x IN (SELECT …)` as a set.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// Rows without NULL.
    pub(crate) set: AHashSet<KeyValues>,
    /// Whether some row had a NULL.
    pub(crate) has_null: bool,
}

impl Members {
    pub(crate) fn of(rows: &[Vec<Datum>]) -> Self {
        let mut members = Self::default();
        for row in rows {
            if row.iter().any(Datum::is_null) {
                members.has_null = true;
            } else {
                members.set.insert(KeyValues::of(row));
            }
        }
        members
    }
}

/// Results of one subquery by outer values.
#[derive(Default)]
pub(crate) struct SubqueryCache {
    results: AHashMap<KeyValues, SubqueryRows>,
    volatile: bool,
}

impl SubqueryCache {
    pub(crate) fn get(&mut self, outer: &[Datum]) -> Option<&mut SubqueryRows> {
        if self.results.is_empty() {
            return None;
        }
        self.results.get_mut(&KeyValues::exact(outer))
    }

    pub(crate) fn insert(&mut self, outer: Vec<Datum>, rows: SubqueryRows) {
        if self.results.len() >= CACHED_RESULTS_MAX {
            self.results.clear();
        }
        self.volatile |= !rows.keep;
        self.results.insert(KeyValues::exact(&outer), rows);
    }

    pub(crate) fn end_row(&mut self) {
        if self.volatile {
            self.results.clear();
        }
    }
}

/// The error by which evaluation tells its caller that a subquery must run first (E2). It never reaches a client.
pub(crate) fn suspension() -> SqlError {
    SqlError::new(SqlState::INTERNAL_ERROR, "subquery evaluated outside of an operator")
}
