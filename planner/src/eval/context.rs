//! What a program may look at while it is evaluated, and what it keeps between suspensions.

use storage::Datum;

use crate::eval::SessionView;
use crate::eval::subquery::{SubqueryCache, SubqueryCall, SubqueryRows};

/// What a program may look at beside its row.
#[derive(Clone, Copy)]
pub struct EvalContext<'a> {
    /// The session.
    pub session: &'a dyn SessionView,
    /// Parameter values; `$1` is at 0.
    pub parameters: &'a [Datum],
    /// Values of the outer columns, in the order of the plan's [`crate::eval::OuterScope`].
    pub outer: &'a [Datum],
}

/// What evaluation keeps between suspensions and rows. One per operator, because subqueries are numbered per operator.
#[derive(Default)]
pub struct EvalState {
    pending: Option<SubqueryCall>,
    memos: Vec<Option<Datum>>,
    caches: Vec<SubqueryCache>,
}

impl EvalState {
    /// The subquery whose rows evaluation waits for, after it failed with the suspension error.
    pub fn pending(&mut self) -> Option<SubqueryCall> {
        self.pending.take()
    }

    /// Gives the rows of a subquery; evaluate the program again afterwards.
    pub fn resolve(&mut self, call: SubqueryCall, rows: SubqueryRows) {
        self.cache(call.index).insert(call.outer, rows);
    }

    /// Ends a row: volatile values are forgotten, and so are the rows of subqueries that may not be kept.
    pub fn end_row(&mut self) {
        self.memos.clear();
        for cache in &mut self.caches {
            cache.end_row();
        }
    }

    pub(crate) fn suspend(&mut self, call: SubqueryCall) -> crate::SqlError {
        self.pending = Some(call);
        crate::eval::subquery::suspension()
    }

    pub(crate) fn cache(&mut self, index: usize) -> &mut SubqueryCache {
        if self.caches.len() <= index {
            self.caches.resize_with(index + 1, SubqueryCache::default);
        }
        &mut self.caches[index]
    }

    pub(crate) fn memo(&mut self, index: usize) -> &mut Option<Datum> {
        if self.memos.len() <= index {
            self.memos.resize(index + 1, None);
        }
        &mut self.memos[index]
    }
}
