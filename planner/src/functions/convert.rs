//! Conversion of values between column types outside of an expression: foreign keys compare columns of different types.

use storage::Datum;

use super::{CallContext, CallTypes, Function, cast, equality};
use crate::eval::SessionView;
use crate::functions::Body;
use crate::{SqlResult, Type, types};

/// The equality of two column types: that of the type both implicitly become.
pub fn equality_between(left: Type, right: Type) -> Option<&'static Function> {
    if left.oid == right.oid {
        return equality(left.oid);
    }
    let becomes =
        |from: Type, to: Type| cast(from.oid, to.oid).is_some_and(|cast| cast.context == super::CastContext::Implicit);
    if becomes(left, right) {
        equality(right.oid)
    } else if becomes(right, left) {
        equality(left.oid)
    } else {
        None
    }
}

/// Converts a value by the cast between two types, or through its text.
///
/// # Errors
/// What the cast raises.
pub fn convert(value: &Datum, from: Type, to: Type, session: &dyn SessionView) -> SqlResult<Datum> {
    if from.oid == to.oid || value.is_null() {
        return Ok(value.clone());
    }
    if let Some(cast) = cast(from.oid, to.oid) {
        match cast.function().map(|function| function.body) {
            Some(Body::Scalar(body)) => {
                let mut context = CallContext {
                    types: CallTypes {
                        args: &[from],
                        result: to,
                    },
                    session,
                };
                return body(&mut context, std::slice::from_ref(value));
            }
            None if cast.method == super::CastMethod::Binary => return Ok(value.clone()),
            _ => {}
        }
    }
    let mut text = String::new();
    types::output(from, value, session, &mut text)?;
    types::input(to, &text, session)
}
