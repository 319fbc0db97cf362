//! Operators: symbol and operand types to the function that computes them, as in `pg_operator`.

mod arithmetic;
mod comparison;
mod other;

use super::{Function, by_oid};

/// An operator.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    /// `pg_operator.oid`
    pub oid: u32,
    /// Symbol.
    pub name: &'static str,
    /// Left operand type; 0 for a prefix operator.
    pub left: u32,
    /// Right operand type.
    pub right: u32,
    /// Result type.
    pub result: u32,
    /// OID of the function (`oprcode`).
    pub function: u32,
    /// OID of the operator that gives the same with operands swapped, or 0.
    pub commutator: u32,
    /// OID of the operator that gives the opposite, or 0.
    pub negator: u32,
}

impl Operator {
    /// The function; `None` if the operator is only listed.
    pub fn function(&self) -> Option<&'static Function> {
        by_oid(self.function)
    }
}

#[allow(clippy::too_many_arguments, reason = "one row of the tables, in pg_operator's order")]
const fn op(
    oid: u32,
    name: &'static str,
    left: u32,
    right: u32,
    result: u32,
    function: u32,
    commutator: u32,
    negator: u32,
) -> Operator {
    Operator {
        oid,
        name,
        left,
        right,
        result,
        function,
        commutator,
        negator,
    }
}

/// Every table.
pub static TABLES: &[&[Operator]] = &[arithmetic::OPERATORS, comparison::OPERATORS, other::OPERATORS];
