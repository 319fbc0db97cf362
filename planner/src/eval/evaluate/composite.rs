//! Evaluation over values with parts: arrays, rows, subscripts.

use smallvec::SmallVec;
use storage::Datum;

use super::{Env, from_truth};
use crate::bound::Comparison;
use crate::eval::order::integer;
use crate::eval::program::{Binary, Node, PairNode, SubscriptNode};
use crate::eval::{EvalState, arrays};
use crate::{SqlError, SqlResult, SqlState};

pub(super) fn array_compare(
    operator: &Binary,
    all: bool,
    left: &Datum,
    array: &Datum,
    env: &Env<'_>,
) -> SqlResult<Datum> {
    let Datum::Array(array) = array else {
        return Ok(Datum::Null);
    };
    if array.elements.is_empty() {
        return Ok(Datum::Bool(all));
    }
    if left.is_null() && operator.strict {
        return Ok(Datum::Null);
    }
    let mut unknown = false;
    for element in &array.elements {
        match operator.test(left, element, env)? {
            Some(value) if value != all => return Ok(Datum::Bool(value)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Datum::Null } else { Datum::Bool(all) })
}

pub(super) fn row_compare(
    comparison: Comparison,
    pairs: &[PairNode],
    env: &Env<'_>,
    state: &mut EvalState,
) -> SqlResult<Datum> {
    if matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
        let mut unknown = false;
        for pair in pairs {
            let (left, right) = (pair.left.value(env, state)?, pair.right.value(env, state)?);
            match pair.equal.test(&left, &right, env)? {
                Some(true) => {}
                Some(false) => return Ok(Datum::Bool(comparison == Comparison::NotEqual)),
                None => unknown = true,
            }
        }
        return Ok(if unknown {
            Datum::Null
        } else {
            Datum::Bool(comparison == Comparison::Equal)
        });
    }
    for pair in pairs {
        let (left, right) = (pair.left.value(env, state)?, pair.right.value(env, state)?);
        match pair.equal.test(&left, &right, env)? {
            Some(true) => {}
            Some(false) => {
                let less = pair.less.test(&left, &right, env)?;
                let wants_less = matches!(comparison, Comparison::Less | Comparison::LessOrEqual);
                return Ok(from_truth(less.map(|less| less == wants_less)));
            }
            None => return Ok(Datum::Null),
        }
    }
    Ok(Datum::Bool(matches!(
        comparison,
        Comparison::LessOrEqual | Comparison::GreaterOrEqual
    )))
}

/// A byte of a `name`, which is an array of those, counted from zero: pg_dump tells types of arrays by the first.
fn character(name: &str, index: i64) -> Datum {
    let index = usize::try_from(index)
        .ok()
        .filter(|index| name.is_char_boundary(*index));
    let found = index.and_then(|index| name.get(index..)?.chars().next());
    found.map_or(Datum::Null, |found| Datum::text(found.encode_utf8(&mut [0; 4])))
}

pub(super) fn array_subscript(
    base: &Node,
    subscripts: &[SubscriptNode],
    env: &Env<'_>,
    state: &mut EvalState,
) -> SqlResult<Datum> {
    let base = base.value(env, state)?;
    let array = match (&*base, subscripts) {
        (Datum::Array(array), _) => array,
        (Datum::Text(name), [SubscriptNode::Index(index)]) => {
            let index = integer(&*index.value(env, state)?);
            return Ok(index.map_or(Datum::Null, |index| character(name, index)));
        }
        _ => return Ok(Datum::Null),
    };
    if subscripts
        .iter()
        .all(|subscript| matches!(subscript, SubscriptNode::Index(_)))
    {
        let mut positions: SmallVec<[i32; 2]> = SmallVec::new();
        for subscript in subscripts {
            let SubscriptNode::Index(index) = subscript else {
                continue;
            };
            match integer(&*index.value(env, state)?) {
                Some(index) => positions.push(clamp(index)),
                None => return Ok(Datum::Null),
            }
        }
        return Ok(arrays::element(array, &positions));
    }
    // One slice makes all of them slices: a plain `[i]` then means `[1:i]`.
    let mut bounds = Vec::with_capacity(subscripts.len());
    for subscript in subscripts {
        let (from, to) = match subscript {
            SubscriptNode::Index(to) => (Some(Some(1)), slice_bound(Some(to), env, state)?),
            SubscriptNode::Slice(from, to) => (
                slice_bound(from.as_ref(), env, state)?,
                slice_bound(to.as_ref(), env, state)?,
            ),
        };
        let (Some(from), Some(to)) = (from, to) else {
            return Ok(Datum::Null);
        };
        bounds.push((from, to));
    }
    Ok(arrays::slice(array, &bounds))
}

/// A bound of a slice: `None` if it is NULL, `Some(None)` if it is left out.
fn slice_bound(node: Option<&Node>, env: &Env<'_>, state: &mut EvalState) -> SqlResult<Option<arrays::SliceBound>> {
    let Some(node) = node else { return Ok(Some(None)) };
    Ok(integer(&*node.value(env, state)?).map(|value| Some(clamp(value))))
}

fn clamp(value: i64) -> i32 {
    value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

pub(super) fn json_subscript(base: &Node, steps: &[Node], env: &Env<'_>, state: &mut EvalState) -> SqlResult<Datum> {
    let base = base.value(env, state)?;
    let Datum::Jsonb(document) = &*base else {
        return Ok(Datum::Null);
    };
    let mut path: SmallVec<[std::sync::Arc<str>; 4]> = SmallVec::with_capacity(steps.len());
    for step in steps {
        path.push(match step.eval(env, state)? {
            Datum::Null => return Ok(Datum::Null),
            Datum::Text(text) => text,
            other => match integer(&other) {
                Some(index) => index.to_string().into(),
                None => {
                    return Err(SqlError::new(
                        SqlState::DATATYPE_MISMATCH,
                        "subscript type is not supported",
                    ));
                }
            },
        });
    }
    Ok(document.path(&path).map_or(Datum::Null, Datum::Jsonb))
}

pub(super) fn convert_array(
    base: &Node,
    element: &Node,
    element_type: u32,
    env: &Env<'_>,
    state: &mut EvalState,
) -> SqlResult<Datum> {
    let base = base.value(env, state)?;
    let Datum::Array(array) = &*base else {
        return Ok(Datum::Null);
    };
    let mut elements = Vec::with_capacity(array.elements.len());
    for item in &array.elements {
        let env = Env {
            row: env.row,
            context: env.context,
            inner: env.inner,
            placeholder: Some(item),
            memoize: false,
        };
        elements.push(element.eval(&env, state)?);
    }
    let dimensions = array.dimensions.clone();
    Ok(Datum::Array(
        storage::Array {
            element_type,
            dimensions,
            elements,
        }
        .into(),
    ))
}
