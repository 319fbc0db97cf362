//! Evaluation of subqueries: EXISTS, scalars, IN, ANY and ALL.

use smallvec::SmallVec;
use storage::Datum;

use super::Env;
use crate::eval::order::KeyValues;
use crate::eval::program::{Node, SubqueryNode, SubqueryUse};
use crate::eval::subquery::{Members, SubqueryCall, SubqueryRows};
use crate::eval::{EvalState, arrays};
use crate::{SqlError, SqlResult, SqlState};

impl SubqueryNode {
    pub(super) fn eval(&self, env: &Env<'_>, state: &mut EvalState) -> SqlResult<Datum> {
        let outer = self
            .outer
            .iter()
            .map(|node| node.eval(env, state))
            .collect::<SqlResult<Vec<_>>>()?;
        let Some(rows) = state.cache(self.index).get(&outer) else {
            let rows_wanted = match self.kind {
                SubqueryUse::Exists => Some(1),
                SubqueryUse::Scalar | SubqueryUse::Row { .. } => Some(2),
                SubqueryUse::Array { .. } | SubqueryUse::Quantified { .. } | SubqueryUse::Member { .. } => None,
            };
            return Err(state.suspend(SubqueryCall {
                index: self.index,
                outer,
                rows_wanted,
            }));
        };
        match &self.kind {
            SubqueryUse::Exists => Ok(Datum::Bool(!rows.rows.is_empty())),
            SubqueryUse::Scalar => Ok(single_row(rows)?
                .and_then(|row| row.first().cloned())
                .unwrap_or(Datum::Null)),
            SubqueryUse::Row { width } => Ok(match single_row(rows)? {
                Some(row) => Datum::Record(row.as_slice().into()),
                None => Datum::Record(vec![Datum::Null; *width].into()),
            }),
            SubqueryUse::Array { element_type } => {
                let elements: Vec<Datum> = rows
                    .rows
                    .iter()
                    .map(|row| row.first().cloned().unwrap_or(Datum::Null))
                    .collect();
                match elements.iter().any(|element| matches!(element, Datum::Array(_))) {
                    true => arrays::from_arrays(*element_type, elements),
                    false => Ok(arrays::from_elements(*element_type, elements)),
                }
            }
            SubqueryUse::Quantified { all, test } => {
                let rows = rows.rows.clone();
                quantified(*all, test, &rows, env, state)
            }
            SubqueryUse::Member { left, test } => {
                let members = rows
                    .members
                    .get_or_insert_with(|| Members::of(&rows.rows).into())
                    .clone();
                let rows = rows.rows.clone();
                if rows.is_empty() {
                    return Ok(Datum::Bool(false));
                }
                let left = left
                    .iter()
                    .map(|node| node.eval(env, state))
                    .collect::<SqlResult<SmallVec<[Datum; 2]>>>()?;
                if left.iter().any(Datum::is_null) || (members.has_null && left.len() > 1) {
                    return quantified(false, test, &rows, env, state);
                }
                Ok(membership(&members, &left))
            }
        }
    }
}

fn single_row(rows: &SubqueryRows) -> SqlResult<Option<&Vec<Datum>>> {
    if rows.rows.len() > 1 {
        return Err(SqlError::new(
            SqlState::CARDINALITY_VIOLATION,
            "more than one row returned by a subquery used as an expression",
        ));
    }
    Ok(rows.rows.first())
}

/// `left IN members` for a left side without NULL.
pub(super) fn membership(members: &Members, left: &[Datum]) -> Datum {
    if members.set.contains(&KeyValues::of(left)) {
        Datum::Bool(true)
    } else if members.has_null {
        Datum::Null
    } else {
        Datum::Bool(false)
    }
}

fn quantified(all: bool, test: &Node, rows: &[Vec<Datum>], env: &Env<'_>, state: &mut EvalState) -> SqlResult<Datum> {
    let mut unknown = false;
    for row in rows {
        let inner = Env {
            row: env.row,
            context: env.context,
            inner: row,
            placeholder: env.placeholder,
            memoize: env.memoize,
        };
        match test.truth(&inner, state)? {
            Some(value) if value != all => return Ok(Datum::Bool(value)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Datum::Null } else { Datum::Bool(all) })
}
