//! Calls: lets a table row name a plain Rust function, `|_, args| binary(add::<i32>, args)`.
//!
//! The `_with` forms hand the call's context on, for functions that read the session or the types at the call site.

use storage::Datum;

use super::CallContext;
use super::value::{Argument, Return};
use crate::{SqlError, SqlResult, SqlState};

/// XX000: a function was called with another number of arguments than it has.
fn arity(found: usize) -> SqlError {
    SqlError::new(
        SqlState::INTERNAL_ERROR,
        format!("function called with {found} arguments"),
    )
}

/// Calls a function without arguments.
pub fn nullary<R: Return>(function: impl FnOnce() -> R, _args: &[Datum]) -> SqlResult<Datum> {
    function().put()
}

/// Calls a function of one argument.
pub fn unary<'a, A: Argument<'a>, R: Return>(function: impl FnOnce(A) -> R, args: &'a [Datum]) -> SqlResult<Datum> {
    match args {
        [a] => function(A::read(a)?).put(),
        _ => Err(arity(args.len())),
    }
}

/// Calls a function of two arguments.
pub fn binary<'a, A: Argument<'a>, B: Argument<'a>, R: Return>(
    function: impl FnOnce(A, B) -> R,
    args: &'a [Datum],
) -> SqlResult<Datum> {
    match args {
        [a, b] => function(A::read(a)?, B::read(b)?).put(),
        _ => Err(arity(args.len())),
    }
}

/// Calls a function of three arguments.
pub fn ternary<'a, A: Argument<'a>, B: Argument<'a>, C: Argument<'a>, R: Return>(
    function: impl FnOnce(A, B, C) -> R,
    args: &'a [Datum],
) -> SqlResult<Datum> {
    match args {
        [a, b, c] => function(A::read(a)?, B::read(b)?, C::read(c)?).put(),
        _ => Err(arity(args.len())),
    }
}

/// Calls a function of four arguments.
pub fn quaternary<'a, A: Argument<'a>, B: Argument<'a>, C: Argument<'a>, D: Argument<'a>, R: Return>(
    function: impl FnOnce(A, B, C, D) -> R,
    args: &'a [Datum],
) -> SqlResult<Datum> {
    match args {
        [a, b, c, d] => function(A::read(a)?, B::read(b)?, C::read(c)?, D::read(d)?).put(),
        _ => Err(arity(args.len())),
    }
}

/// Calls a function of the context alone.
pub fn nullary_with<R: Return>(
    function: impl FnOnce(&mut CallContext<'_>) -> R,
    context: &mut CallContext<'_>,
    _args: &[Datum],
) -> SqlResult<Datum> {
    function(context).put()
}

/// Calls a function of the context and one argument.
pub fn unary_with<'a, A: Argument<'a>, R: Return>(
    function: impl FnOnce(&mut CallContext<'_>, A) -> R,
    context: &mut CallContext<'_>,
    args: &'a [Datum],
) -> SqlResult<Datum> {
    match args {
        [a] => function(context, A::read(a)?).put(),
        _ => Err(arity(args.len())),
    }
}

/// Calls a function of the context and two arguments.
pub fn binary_with<'a, A: Argument<'a>, B: Argument<'a>, R: Return>(
    function: impl FnOnce(&mut CallContext<'_>, A, B) -> R,
    context: &mut CallContext<'_>,
    args: &'a [Datum],
) -> SqlResult<Datum> {
    match args {
        [a, b] => function(context, A::read(a)?, B::read(b)?).put(),
        _ => Err(arity(args.len())),
    }
}

/// Calls a function of the context and three arguments.
pub fn ternary_with<'a, A: Argument<'a>, B: Argument<'a>, C: Argument<'a>, R: Return>(
    function: impl FnOnce(&mut CallContext<'_>, A, B, C) -> R,
    context: &mut CallContext<'_>,
    args: &'a [Datum],
) -> SqlResult<Datum> {
    match args {
        [a, b, c] => function(context, A::read(a)?, B::read(b)?, C::read(c)?).put(),
        _ => Err(arity(args.len())),
    }
}

/// One argument, for bodies that take varying numbers of them; one that is not there reads as NULL.
pub fn argument<'a, T: Argument<'a>>(args: &'a [Datum], index: usize) -> SqlResult<T> {
    T::read(args.get(index).unwrap_or(&Datum::Null))
}
