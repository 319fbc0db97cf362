//! Bind: from sqlparser's tree to the bound tree, by PostgreSQL's rules.
//!
//! ```text
//!   Statement ── query ──► from ─ where ─ group ─ having ─ window ─ select list ─ distinct ─ order ─ limit
//!       │                    │        └──── expr: names → scope, operators and functions → resolve, types → coerce
//!       └─ modify ──► insert, update, delete: a source query, assignments, RETURNING
//! ```
//! What binding decides: which column a name means, which function a call means, the type of every expression, every cast.
//! What it leaves alone: how to run it. WHERE stays one filter above the joins; subqueries stay subqueries.
//!
//! Invariants
//!  B1  Every [`ColumnId`](crate::bound::ColumnId) is produced by one relation of the tree, except that a Project may hand a
//!      row key through under its own id.
//!  B2  No expression of the result has type `unknown`: literals were read as what their context wants, at the latest as text.
//!  B3  Arguments of a call have the function's argument types, casts included; polymorphic ones are resolved.
//!  B4  Names, functions and types are resolved in the order PostgreSQL resolves them, so that the first error is the same.
//!
//! Forms without a node of their own: simple CASE repeats its operand in every condition (as PostgreSQL's plan would
//! evaluate it once, a volatile operand differs); BETWEEN is two comparisons; IN lists are `= ANY` where all items have one
//! type, else OR; NATURAL and USING are an ON and merged columns.
//!
//! Positions: a bound expression carries the position of its leftmost token; where PostgreSQL points at an operator or a
//! cast, the place is looked up in the text when the error is made (see `position`), because sqlparser does not keep it.

mod alias;
mod binder;
mod candidate;
mod coerce;
mod common;
mod context;
mod cte;
mod expr;
mod from;
mod group;
mod join;
pub(crate) mod levenshtein;
mod lock;
mod modify;
mod name;
mod order;
mod polymorphic;
mod position;
mod prune;
mod query;
pub(crate) mod same;
mod scope;
mod select;
mod setop;
mod srf;
mod statement;
mod subst;
mod target;
mod typename;
mod view;
mod window;

use expr::expr_column;

pub use binder::Binder;
pub use expr::VARIADIC_MARK;
pub use statement::{BoundStatement, OverRelation, Purpose, StatementKind};
