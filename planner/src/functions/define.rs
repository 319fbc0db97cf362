//! Constructors of the rows of the function tables.

use storage::Datum;

use super::{Accumulator, Body, CallContext, CallTypes, Function, FunctionKind, RowIterator, Volatility};
use crate::SqlResult;

/// Body of a scalar function.
pub type ScalarBody = fn(&mut CallContext<'_>, &[Datum]) -> SqlResult<Datum>;
/// Body of a set-returning function.
pub type SetBody = fn(&mut CallContext<'_>, &[Datum]) -> SqlResult<Vec<Vec<Datum>>>;
/// Body of a set-returning function that makes its rows as they are asked for.
pub type RowsBody = fn(&mut CallContext<'_>, &[Datum]) -> SqlResult<RowIterator>;
/// Maker of an aggregate's accumulators.
pub type AggregateBody = fn(&CallTypes<'_>) -> Box<dyn Accumulator>;

const fn row(oid: u32, name: &'static str, args: &'static [u32], returns: u32, body: Body) -> Function {
    Function {
        oid,
        name,
        args,
        variadic: false,
        defaults: &[],
        returns,
        columns: &[],
        kind: FunctionKind::Scalar,
        strict: true,
        volatility: Volatility::Immutable,
        body,
    }
}

/// A strict, immutable scalar function.
pub const fn scalar(oid: u32, name: &'static str, args: &'static [u32], returns: u32, body: ScalarBody) -> Function {
    row(oid, name, args, returns, Body::Scalar(body))
}

/// The check around a value that becomes one of a domain: no user can call it by name.
pub const fn domain_check(body: ScalarBody) -> Function {
    let mut function = scalar(0, "\u{1}domain check", &[], 0, body);
    function.strict = false;
    function.volatility = Volatility::Stable;
    function
}

/// A strict, immutable set-returning function.
pub const fn set(oid: u32, name: &'static str, args: &'static [u32], returns: u32, body: SetBody) -> Function {
    let mut function = row(oid, name, args, returns, Body::Set(body));
    function.kind = FunctionKind::Set;
    function
}

/// A strict, immutable set-returning function that makes its rows as they are asked for.
pub const fn rows(oid: u32, name: &'static str, args: &'static [u32], returns: u32, body: RowsBody) -> Function {
    let mut function = row(oid, name, args, returns, Body::Rows(body));
    function.kind = FunctionKind::Set;
    function
}

/// An aggregate that skips rows with a NULL argument.
pub const fn aggregate(
    oid: u32,
    name: &'static str,
    args: &'static [u32],
    returns: u32,
    body: AggregateBody,
) -> Function {
    let mut function = row(oid, name, args, returns, Body::Aggregate(body));
    function.kind = FunctionKind::Aggregate;
    function
}

/// A window function, computed by the window operator by name.
pub const fn window(oid: u32, name: &'static str, args: &'static [u32], returns: u32) -> Function {
    let mut function = row(oid, name, args, returns, Body::Window);
    function.kind = FunctionKind::Window;
    function.strict = false;
    function
}

impl Function {
    /// Depends on settings or the transaction.
    pub(super) const fn stable(mut self) -> Self {
        self.volatility = Volatility::Stable;
        self
    }

    /// May differ from call to call.
    pub(super) const fn volatile(mut self) -> Self {
        self.volatility = Volatility::Volatile;
        self
    }

    /// Sees NULL arguments.
    pub(super) const fn lenient(mut self) -> Self {
        self.strict = false;
        self
    }

    /// The last argument repeats.
    pub(super) const fn variadic(mut self) -> Self {
        self.variadic = true;
        self
    }

    /// Trailing arguments may be left out.
    pub(super) const fn defaults(mut self, defaults: &'static [&'static str]) -> Self {
        self.defaults = defaults;
        self
    }

    /// Rows have these columns.
    pub(super) const fn columns(mut self, columns: &'static [(&'static str, u32)]) -> Self {
        self.columns = columns;
        self
    }
}
