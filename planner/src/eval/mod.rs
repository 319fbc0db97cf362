//! Evaluation of bound expressions, one row at a time; the keyed path, the row operators and the columnar engine all
//! call it, so that one expression has one meaning.
//!
//! ```text
//!   bound::Expr ──compile(layout)──► Program ──eval(row, context)──► Datum or error
//!     ColumnId       Layout: id → slot of the row; an id that is not in it becomes an outer slot
//!     Subquery       SubqueryHost: plans it once, answers with the outer columns it needs
//! ```
//!
//! Invariants
//!  - E1 Nothing is evaluated that PostgreSQL would not have evaluated: CASE, COALESCE, AND and OR stop where theirs stop.
//!  - E2 Evaluation is synchronous. A subquery whose value is not yet known *suspends* it: [`EvalState::pending`] names the
//!    subquery and the outer values, the caller runs it, stores the rows, and evaluates the program again. So subqueries
//!    run lazily, once per different outer values, and an error inside one that CASE skips never surfaces.
//!  - E3 A volatile function is called once per evaluation of a row, however often the row was suspended: its value is kept
//!    in [`EvalState`] until the row is done.
//!
//! Runtime errors carry no position, as PostgreSQL's do not: only parsing and binding point into the text.

pub mod arrays;
pub mod compile;
pub mod context;
pub mod evaluate;
pub mod layout;
pub mod order;
pub mod program;
pub mod session;
pub mod subquery;

pub use compile::{Compiler, SubqueryHost, SubqueryPlan};
pub use context::{EvalContext, EvalState};
pub use layout::{Layout, OuterScope};
pub use program::Program;
pub use session::SessionView;
pub use subquery::{SubqueryCall, SubqueryRows};
