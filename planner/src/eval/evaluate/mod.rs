//! Evaluation of programs.

mod arithmetic;
mod composite;
mod subquery;

use std::borrow::Cow;
use std::cmp::Ordering;

use smallvec::SmallVec;
use storage::Datum;

use crate::bound::Comparison;
use crate::eval::order::compare;
use crate::eval::program::{Binary, Call, Node, Program};
use crate::eval::{EvalContext, EvalState, arrays};
use crate::functions::{CallContext, CallTypes};
use crate::{SqlError, SqlResult, SqlState, Type};

use arithmetic::{int4, int8};
use composite::{array_compare, array_subscript, convert_array, json_subscript, row_compare};
use subquery::membership;

impl Program {
    /// Evaluates a program without subqueries.
    pub fn eval(&self, row: &[Datum], context: &EvalContext<'_>) -> SqlResult<Datum> {
        let mut state = EvalState::default();
        self.eval_with(row, context, &mut state)
    }

    /// Evaluates; a suspended evaluation fails and leaves the subquery to run in [`EvalState::pending`].
    pub fn eval_with(&self, row: &[Datum], context: &EvalContext<'_>, state: &mut EvalState) -> SqlResult<Datum> {
        match &self.root {
            Node::Slot(slot) => Ok(row[*slot].clone()),
            root => root.eval(
                &Env {
                    row,
                    context,
                    inner: &[],
                    placeholder: None,
                    memoize: self.has_subquery,
                },
                state,
            ),
        }
    }

    /// Evaluates a condition: whether it is true.
    pub fn is_true(&self, row: &[Datum], context: &EvalContext<'_>, state: &mut EvalState) -> SqlResult<bool> {
        let env = Env {
            row,
            context,
            inner: &[],
            placeholder: None,
            memoize: self.has_subquery,
        };
        Ok(matches!(*self.root.value(&env, state)?, Datum::Bool(true)))
    }
}

/// What the nodes of one evaluation share.
struct Env<'e> {
    row: &'e [Datum],
    context: &'e EvalContext<'e>,
    inner: &'e [Datum],
    placeholder: Option<&'e Datum>,
    memoize: bool,
}

static NULL: Datum = Datum::Null;

impl Node {
    /// The value, borrowed where it lies in the row.
    fn value<'e>(&'e self, env: &Env<'e>, state: &mut EvalState) -> SqlResult<Cow<'e, Datum>> {
        Ok(Cow::Borrowed(match self {
            Node::Literal(value) => value,
            Node::Slot(slot) => &env.row[*slot],
            Node::Inner(slot) => &env.inner[*slot],
            Node::Outer(slot) => env.context.outer.get(*slot).ok_or_else(unbound_column)?,
            Node::Parameter(index) => env
                .context
                .parameters
                .get(*index)
                .ok_or_else(|| missing_parameter(*index))?,
            Node::Placeholder => env.placeholder.unwrap_or(&NULL),
            other => return other.eval(env, state).map(Cow::Owned),
        }))
    }

    /// The truth value of a boolean node: `None` is NULL.
    fn truth(&self, env: &Env<'_>, state: &mut EvalState) -> SqlResult<Option<bool>> {
        Ok(match *self.value(env, state)? {
            Datum::Bool(value) => Some(value),
            _ => None,
        })
    }

    fn eval(&self, env: &Env<'_>, state: &mut EvalState) -> SqlResult<Datum> {
        match self {
            Node::Literal(_)
            | Node::Slot(_)
            | Node::Inner(_)
            | Node::Outer(_)
            | Node::Parameter(_)
            | Node::Placeholder => Ok(self.value(env, state)?.into_owned()),
            Node::Call(call) => call.eval(env, state),
            Node::Compare {
                comparison,
                left,
                right,
            } => {
                let left = left.value(env, state)?;
                let right = right.value(env, state)?;
                if left.is_null() || right.is_null() {
                    return Ok(Datum::Null);
                }
                Ok(Datum::Bool(comparison.holds(compare(&left, &right))))
            }
            Node::Int4 { operation, left, right } => {
                int4(*operation, &*left.value(env, state)?, &*right.value(env, state)?)
            }
            Node::Int8 { operation, left, right } => {
                int8(*operation, &*left.value(env, state)?, &*right.value(env, state)?)
            }
            Node::And(operands) => all_of(operands, env, state),
            Node::Or(operands) => any_of(operands, env, state),
            Node::Not(operand) => Ok(from_truth(operand.truth(env, state)?.map(|value| !value))),
            Node::IsNull { operand, negated } => {
                let operand = operand.value(env, state)?;
                Ok(Datum::Bool(if *negated {
                    is_not_null(&operand)
                } else {
                    is_null(&operand)
                }))
            }
            Node::IsTruth {
                operand,
                value,
                negated,
            } => Ok(Datum::Bool((operand.truth(env, state)? == *value) != *negated)),
            Node::IsDistinct {
                equal,
                left,
                right,
                negated,
            } => {
                let left = left.value(env, state)?;
                let right = right.value(env, state)?;
                let distinct = match (left.is_null(), right.is_null()) {
                    (true, true) => false,
                    (true, false) | (false, true) => true,
                    (false, false) => equal.test(&left, &right, env)? != Some(true),
                };
                Ok(Datum::Bool(distinct != *negated))
            }
            Node::Case { branches, otherwise } => {
                for (condition, result) in branches {
                    if condition.truth(env, state)? == Some(true) {
                        return result.eval(env, state);
                    }
                }
                otherwise.eval(env, state)
            }
            Node::Coalesce(args) => {
                for arg in args {
                    let value = arg.value(env, state)?;
                    if !value.is_null() {
                        return Ok(value.into_owned());
                    }
                }
                Ok(Datum::Null)
            }
            Node::NullIf { equal, left, right } => {
                let left = left.value(env, state)?;
                let right = right.value(env, state)?;
                if !left.is_null() && !right.is_null() && equal.test(&left, &right, env)? == Some(true) {
                    return Ok(Datum::Null);
                }
                Ok(left.into_owned())
            }
            Node::Extreme {
                greatest,
                blank_padded,
                args,
            } => extreme(*greatest, *blank_padded, args, env, state),
            Node::ArrayCompare {
                operator,
                all,
                left,
                array,
            } => {
                let left = left.value(env, state)?;
                let array = array.value(env, state)?;
                array_compare(operator, *all, &left, &array, env)
            }
            Node::InSet { left, members } => {
                let left = left.value(env, state)?;
                if left.is_null() {
                    return Ok(Datum::Null);
                }
                Ok(membership(members, std::slice::from_ref(&*left)))
            }
            Node::Array {
                element_type,
                elements,
                nested,
            } => {
                let elements = elements
                    .iter()
                    .map(|element| element.eval(env, state))
                    .collect::<SqlResult<Vec<_>>>()?;
                if *nested {
                    arrays::from_arrays(*element_type, elements)
                } else {
                    Ok(arrays::from_elements(*element_type, elements))
                }
            }
            Node::Row(fields) => {
                let fields = fields
                    .iter()
                    .map(|field| field.eval(env, state))
                    .collect::<SqlResult<Vec<_>>>()?;
                Ok(Datum::Record(fields.into()))
            }
            Node::RowCompare { comparison, pairs } => row_compare(*comparison, pairs, env, state),
            Node::ArraySubscript { base, subscripts } => array_subscript(base, subscripts, env, state),
            Node::JsonSubscript { base, steps } => json_subscript(base, steps, env, state),
            Node::Field { base, index } => Ok(match &*base.value(env, state)? {
                Datum::Record(fields) => fields.get(*index).cloned().unwrap_or(Datum::Null),
                _ => Datum::Null,
            }),
            Node::Subquery(subquery) => subquery.eval(env, state),
            Node::ConvertIo { base, from, to } => {
                let value = base.value(env, state)?;
                if value.is_null() {
                    return Ok(Datum::Null);
                }
                let mut text = String::new();
                crate::types::output(*from, &value, env.context.session, &mut text)?;
                crate::types::input(*to, &text, env.context.session)
            }
            Node::ConvertArray {
                base,
                element,
                element_type,
            } => convert_array(base, element, *element_type, env, state),
            Node::Coerce { base, ty, explicit } => crate::types::apply_modifier(base.eval(env, state)?, *ty, *explicit),
            Node::TrimBlanks(base) => Ok(trim_blanks(base.eval(env, state)?)),
        }
    }
}

impl Call {
    fn eval(&self, env: &Env<'_>, state: &mut EvalState) -> SqlResult<Datum> {
        if let (Some(memo), true) = (self.memo, env.memoize)
            && let Some(value) = state.memo(memo)
        {
            return Ok(value.clone());
        }
        let mut args: SmallVec<[Datum; 4]> = SmallVec::with_capacity(self.args.len());
        let mut has_null = false;
        for arg in &self.args {
            let value = arg.eval(env, state)?;
            has_null |= value.is_null();
            args.push(value);
        }
        if has_null && self.strict {
            return Ok(Datum::Null);
        }
        let types = CallTypes {
            args: &self.types,
            result: self.result,
        };
        let value = (self.body)(
            &mut CallContext {
                types,
                session: env.context.session,
            },
            &args,
        )?;
        if let (Some(memo), true) = (self.memo, env.memoize) {
            *state.memo(memo) = Some(value.clone());
        }
        Ok(value)
    }
}

impl Binary {
    fn call(&self, left: &Datum, right: &Datum, result: Type, env: &Env<'_>) -> SqlResult<Datum> {
        if self.strict && (left.is_null() || right.is_null()) {
            return Ok(Datum::Null);
        }
        let types = CallTypes {
            args: &self.types,
            result,
        };
        (self.body)(
            &mut CallContext {
                types,
                session: env.context.session,
            },
            &[left.clone(), right.clone()],
        )
    }

    fn test(&self, left: &Datum, right: &Datum, env: &Env<'_>) -> SqlResult<Option<bool>> {
        Ok(match self.call(left, right, Type::BOOL, env)? {
            Datum::Bool(value) => Some(value),
            _ => None,
        })
    }
}

impl Comparison {
    /// Whether the comparison holds between values so ordered.
    pub fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering == Ordering::Equal,
            Comparison::NotEqual => ordering != Ordering::Equal,
            Comparison::Less => ordering == Ordering::Less,
            Comparison::LessOrEqual => ordering != Ordering::Greater,
            Comparison::Greater => ordering == Ordering::Greater,
            Comparison::GreaterOrEqual => ordering != Ordering::Less,
        }
    }

    /// The comparison with its operands exchanged.
    pub fn commuted(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            Comparison::Equal | Comparison::NotEqual => self,
        }
    }
}

fn from_truth(value: Option<bool>) -> Datum {
    value.map_or(Datum::Null, Datum::Bool)
}

fn all_of(operands: &[Node], env: &Env<'_>, state: &mut EvalState) -> SqlResult<Datum> {
    let mut unknown = false;
    for operand in operands {
        match operand.truth(env, state)? {
            Some(false) => return Ok(Datum::Bool(false)),
            Some(true) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Datum::Null } else { Datum::Bool(true) })
}

fn any_of(operands: &[Node], env: &Env<'_>, state: &mut EvalState) -> SqlResult<Datum> {
    let mut unknown = false;
    for operand in operands {
        match operand.truth(env, state)? {
            Some(true) => return Ok(Datum::Bool(true)),
            Some(false) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Datum::Null } else { Datum::Bool(false) })
}

/// IS NULL: of a record, that all of its fields are NULL.
fn is_null(value: &Datum) -> bool {
    match value {
        Datum::Record(fields) => fields.iter().all(Datum::is_null),
        other => other.is_null(),
    }
}

/// IS NOT NULL: of a record, that none of its fields is NULL.
fn is_not_null(value: &Datum) -> bool {
    match value {
        Datum::Record(fields) => !fields.iter().any(Datum::is_null),
        other => !other.is_null(),
    }
}

pub(crate) fn trim_blanks(value: Datum) -> Datum {
    match value {
        Datum::Text(text) if text.ends_with(' ') => Datum::Text(text.trim_end_matches(' ').into()),
        other => other,
    }
}

fn extreme(
    greatest: bool,
    blank_padded: bool,
    args: &[Node],
    env: &Env<'_>,
    state: &mut EvalState,
) -> SqlResult<Datum> {
    let mut best = Datum::Null;
    for arg in args {
        let value = arg.eval(env, state)?;
        if value.is_null() {
            continue;
        }
        let ordering = match (best.is_null(), blank_padded) {
            (true, _) => {
                best = value;
                continue;
            }
            (false, true) => compare(&trim_blanks(value.clone()), &trim_blanks(best.clone())),
            (false, false) => compare(&value, &best),
        };
        if (ordering == Ordering::Greater) == greatest && ordering != Ordering::Equal {
            best = value;
        }
    }
    Ok(best)
}

fn unbound_column() -> SqlError {
    SqlError::new(
        SqlState::INTERNAL_ERROR,
        "expression names a column that its input does not have",
    )
}

fn missing_parameter(index: usize) -> SqlError {
    SqlError::new(
        SqlState::UNDEFINED_PARAMETER,
        format!("there is no parameter ${}", index + 1),
    )
}
