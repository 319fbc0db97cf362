//! Functions, operators, casts and aggregates: one table that binding resolves over, pg_proc and pg_operator show, and
//! both engines call.
//!
//! ```text
//!   family (integer, text, …)  static FUNCTIONS: &[Function]      define   constructors of the rows
//!   operator                   symbol, operand types → function   call     Rust functions over values as bodies
//!   cast                       source, target → function          value    Datum ↔ Rust types
//!                    └── registry: by_name, by_oid, operators, cast, equality, less ──► binder, catalogs
//! ```
//! OIDs are PostgreSQL's, so that a client that looks a function up in `pg_proc` finds what it expects. A body never sees
//! the wrong type: the binder put the casts in. If it does, that is a bug and raises XX000, not a panic.

use std::fmt;

mod aggregate;
pub mod array;
mod boolean;
mod call;
pub mod cast;
mod compare;
mod convert;
mod datetime;
mod define;
mod enumeration;
mod float;
mod formatting;
mod integer;
pub mod json;
mod numeric;
pub mod operator;
mod regex;
mod registry;
mod series;
mod system;
#[cfg(test)]
mod tests;
mod text;
pub mod value;
mod wire;

pub use cast::{Cast, CastContext, CastMethod};
pub use convert::{convert, equality_between};
pub(crate) use define::domain_check;
pub use operator::Operator;
pub use registry::{
    all, all_casts, all_operators, by_name, by_oid, cast, equality, io_function_name, io_function_oid, less,
    operator_by_oid, operators, prefix_operators,
};
pub use text::format::quote_identifier;

use storage::Datum;

use crate::{SqlResult, Type};

/// What kind of function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "kinds of their names")]
pub enum FunctionKind {
    Scalar,
    Aggregate,
    Window,
    /// Set-returning.
    Set,
}

/// Volatility, as in PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "classes of their names")]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

/// A built-in function. `&'static`: the table is built once.
pub struct Function {
    /// `pg_proc.oid` (PostgreSQL's where it has the function, from 9000 where it is ours).
    pub oid: u32,
    /// SQL name.
    pub name: &'static str,
    /// Argument types; polymorphic pseudo-types allowed.
    pub args: &'static [u32],
    /// Whether the last argument repeats (VARIADIC "any", or an array gathered by the binder).
    pub variadic: bool,
    /// Number of trailing arguments that may be left out, and their literal defaults.
    pub defaults: &'static [&'static str],
    /// Result type (of one row, for set-returning functions).
    pub returns: u32,
    /// Columns of a set-returning function with several: (name, type).
    pub columns: &'static [(&'static str, u32)],
    /// Kind.
    pub kind: FunctionKind,
    /// NULL in, NULL out: the implementation never sees NULL.
    pub strict: bool,
    /// Volatility.
    pub volatility: Volatility,
    /// Implementation.
    pub body: Body,
}

/// Implementation of a function.
#[derive(Clone, Copy)]
pub enum Body {
    /// A scalar function of its arguments.
    Scalar(fn(&mut CallContext<'_>, &[Datum]) -> SqlResult<Datum>),
    /// A set-returning function: rows of one or more columns.
    Set(fn(&mut CallContext<'_>, &[Datum]) -> SqlResult<Vec<Vec<Datum>>>),
    /// A set-returning function that makes its rows as they are asked for: LIMIT ends it, and no set need fit in memory.
    Rows(fn(&mut CallContext<'_>, &[Datum]) -> SqlResult<RowIterator>),
    /// An aggregate: makes a fresh accumulator.
    Aggregate(fn(&CallTypes<'_>) -> Box<dyn Accumulator>),
    /// A window function, computed by the window operator by name.
    Window,
}

/// Rows of a set-returning function, one at a time.
pub type RowIterator = Box<dyn Iterator<Item = SqlResult<Vec<Datum>>> + Send>;

/// Types at a call site, for polymorphic implementations.
#[derive(Clone, Copy, Debug)]
pub struct CallTypes<'a> {
    /// Argument types.
    pub args: &'a [Type],
    /// Result type.
    pub result: Type,
}

/// What an implementation may look at beyond its arguments.
pub struct CallContext<'a> {
    /// Types at the call site.
    pub types: CallTypes<'a>,
    /// Session facts: time zone, date style, current user, transaction time, random source, sequences.
    pub session: &'a dyn crate::eval::SessionView,
}

/// State of one aggregate over one group.
pub trait Accumulator: Send {
    /// Adds one row's arguments (the executor already applied FILTER, DISTINCT, ORDER BY; strict NULLs are skipped by it).
    fn add(&mut self, args: &[Datum]) -> SqlResult<()>;
    /// As [`Accumulator::add`], for aggregates whose result depends on the session (json_agg of a timestamptz). Executors
    /// call this one.
    fn add_with(&mut self, _session: &dyn crate::eval::SessionView, args: &[Datum]) -> SqlResult<()> {
        self.add(args)
    }
    /// The result; may be called repeatedly (window frames that only grow).
    fn finish(&self) -> SqlResult<Datum>;
    /// Tells the (descending, NULLs first) of each key of WITHIN GROUP, before the first row.
    fn set_order(&mut self, order: &[(bool, bool)]) {
        let _ = order;
    }
    /// Bytes held, for memory accounting.
    fn size(&self) -> usize {
        64
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.oid)
    }
}

/// Every family's table.
static FAMILIES: &[&[Function]] = &[
    aggregate::FUNCTIONS,
    array::FUNCTIONS,
    boolean::FUNCTIONS,
    compare::FUNCTIONS,
    datetime::FUNCTIONS,
    enumeration::FUNCTIONS,
    float::FUNCTIONS,
    formatting::FUNCTIONS,
    integer::FUNCTIONS,
    numeric::FUNCTIONS,
    regex::FUNCTIONS,
    series::FUNCTIONS,
    system::FUNCTIONS,
    text::FUNCTIONS,
    wire::FUNCTIONS,
    json::access::FUNCTIONS,
    json::aggregate::FUNCTIONS,
    json::change::FUNCTIONS,
    json::construct::FUNCTIONS,
    json::convert::FUNCTIONS,
    json::expand::FUNCTIONS,
    json::path::FUNCTIONS,
    json::populate::FUNCTIONS,
];
