//! Program: a bound expression with columns turned into slots.

use storage::Datum;

use crate::SqlResult;
use crate::Type;
use crate::bound::Comparison;
use crate::functions::{CallContext, Function};

/// A compiled expression. Immutable and shared; everything that changes is in [`crate::eval::EvalState`].
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) root: Node,
    pub(crate) ty: Type,
    pub(crate) has_subquery: bool,
    pub(crate) is_volatile: bool,
}

impl Program {
    /// Type of the value.
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// Whether evaluation may suspend (E2).
    pub fn has_subquery(&self) -> bool {
        self.has_subquery
    }

    /// Whether two evaluations over equal rows may differ.
    pub fn is_volatile(&self) -> bool {
        self.is_volatile
    }

    /// The slot, if the program only reads one.
    pub fn as_slot(&self) -> Option<usize> {
        match self.root {
            Node::Slot(slot) => Some(slot),
            _ => None,
        }
    }

    /// The value, if the program is a constant.
    pub fn as_literal(&self) -> Option<&Datum> {
        match &self.root {
            Node::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// A program that reads one slot.
    pub fn slot(slot: usize, ty: Type) -> Self {
        Self {
            root: Node::Slot(slot),
            ty,
            has_subquery: false,
            is_volatile: false,
        }
    }

    /// The same value without the trailing blanks that bpchar's equality ignores.
    pub fn trimmed(mut self) -> Self {
        self.root = Node::TrimBlanks(Box::new(self.root));
        self
    }

    /// A program with a constant value.
    pub fn literal(value: Datum, ty: Type) -> Self {
        Self {
            root: Node::Literal(value),
            ty,
            has_subquery: false,
            is_volatile: false,
        }
    }
}

/// Implementation of a scalar function.
pub(crate) type ScalarBody = fn(&mut CallContext<'_>, &[Datum]) -> SqlResult<Datum>;

/// A call with everything it needs at hand.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    pub(crate) body: ScalarBody,
    pub(crate) strict: bool,
    pub(crate) args: Box<[Node]>,
    pub(crate) types: Box<[Type]>,
    pub(crate) result: Type,
    /// Where the value is kept while the row is suspended (E3).
    pub(crate) memo: Option<usize>,
}

/// A function applied to values that are not arguments of a call node: IS DISTINCT, NULLIF, ANY, row comparison.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) body: ScalarBody,
    pub(crate) strict: bool,
    pub(crate) types: [Type; 2],
}

/// Integer arithmetic that needs no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Literal(Datum),
    Parameter(usize),
    Slot(usize),
    /// A column of the plan's frame.
    Outer(usize),
    /// A column of the subquery row under test of ANY/ALL.
    Inner(usize),
    Placeholder,
    Call(Box<Call>),
    /// Comparison of integers, floats, text, dates and the like, without a call.
    Compare {
        comparison: Comparison,
        left: Box<Node>,
        right: Box<Node>,
    },
    Int4 {
        operation: Arithmetic,
        left: Box<Node>,
        right: Box<Node>,
    },
    Int8 {
        operation: Arithmetic,
        left: Box<Node>,
        right: Box<Node>,
    },
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Not(Box<Node>),
    IsNull {
        operand: Box<Node>,
        negated: bool,
    },
    IsTruth {
        operand: Box<Node>,
        value: Option<bool>,
        negated: bool,
    },
    IsDistinct {
        equal: Binary,
        left: Box<Node>,
        right: Box<Node>,
        negated: bool,
    },
    Case {
        branches: Box<[(Node, Node)]>,
        otherwise: Box<Node>,
    },
    Coalesce(Box<[Node]>),
    NullIf {
        equal: Binary,
        left: Box<Node>,
        right: Box<Node>,
    },
    Extreme {
        greatest: bool,
        blank_padded: bool,
        args: Box<[Node]>,
    },
    ArrayCompare {
        operator: Binary,
        all: bool,
        left: Box<Node>,
        array: Box<Node>,
    },
    /// `left = ANY (constant array)` with many elements.
    InSet {
        left: Box<Node>,
        members: std::sync::Arc<crate::eval::subquery::Members>,
    },
    Array {
        element_type: u32,
        elements: Box<[Node]>,
        nested: bool,
    },
    Row(Box<[Node]>),
    RowCompare {
        comparison: Comparison,
        pairs: Box<[PairNode]>,
    },
    ArraySubscript {
        base: Box<Node>,
        subscripts: Box<[SubscriptNode]>,
    },
    JsonSubscript {
        base: Box<Node>,
        steps: Box<[Node]>,
    },
    Field {
        base: Box<Node>,
        index: usize,
    },
    Subquery(Box<SubqueryNode>),
    ConvertIo {
        base: Box<Node>,
        from: Type,
        to: Type,
    },
    ConvertArray {
        base: Box<Node>,
        element: Box<Node>,
        element_type: u32,
    },
    Coerce {
        base: Box<Node>,
        ty: Type,
        explicit: bool,
    },
    /// Drops the trailing blanks that bpchar's equality and order ignore.
    TrimBlanks(Box<Node>),
}

#[derive(Clone, Debug)]
pub(crate) struct PairNode {
    pub(crate) left: Node,
    pub(crate) right: Node,
    pub(crate) equal: Binary,
    pub(crate) less: Binary,
}

#[derive(Clone, Debug)]
pub(crate) enum SubscriptNode {
    Index(Node),
    Slice(Option<Node>, Option<Node>),
}

#[derive(Clone, Debug)]
pub(crate) struct SubqueryNode {
    pub(crate) index: usize,
    pub(crate) outer: Box<[Node]>,
    pub(crate) kind: SubqueryUse,
}

#[derive(Clone, Debug)]
pub(crate) enum SubqueryUse {
    Exists,
    Scalar,
    Row {
        width: usize,
    },
    Array {
        element_type: u32,
    },
    Quantified {
        all: bool,
        test: Node,
    },
    /// `left = ANY (…)` through a set of the rows; `test` decides when NULLs are involved.
    Member {
        left: Box<[Node]>,
        test: Node,
    },
}

impl Program {
    /// The conjunction of conditions.
    pub(crate) fn all(conditions: &[Program]) -> Self {
        match conditions {
            [one] => one.clone(),
            several => Self {
                root: Node::And(several.iter().map(|condition| condition.root.clone()).collect()),
                ty: Type::BOOL,
                has_subquery: several.iter().any(Program::has_subquery),
                is_volatile: several.iter().any(Program::is_volatile),
            },
        }
    }

    /// Whether trailing blanks are dropped from the value.
    pub(crate) fn trims(&self) -> bool {
        matches!(self.root, Node::TrimBlanks(_))
    }

    /// A part of a program as a program of its own.
    pub(crate) fn of_node(root: Node) -> Self {
        Self {
            root,
            ty: Type::UNKNOWN,
            has_subquery: false,
            is_volatile: false,
        }
    }
}

impl Node {
    /// Calls `visit` with every slot that is read.
    pub(crate) fn for_each_slot(&self, visit: &mut dyn FnMut(usize)) {
        match self {
            Node::Slot(slot) => visit(*slot),
            Node::Literal(_) | Node::Parameter(_) | Node::Outer(_) | Node::Inner(_) | Node::Placeholder => {}
            Node::Call(call) => call.args.iter().for_each(|arg| arg.for_each_slot(visit)),
            Node::Compare { left, right, .. }
            | Node::Int4 { left, right, .. }
            | Node::Int8 { left, right, .. }
            | Node::IsDistinct { left, right, .. }
            | Node::NullIf { left, right, .. }
            | Node::ArrayCompare { left, array: right, .. }
            | Node::ConvertArray {
                base: left,
                element: right,
                ..
            } => {
                left.for_each_slot(visit);
                right.for_each_slot(visit);
            }
            Node::And(nodes) | Node::Or(nodes) | Node::Coalesce(nodes) | Node::Row(nodes) => {
                nodes.iter().for_each(|node| node.for_each_slot(visit));
            }
            Node::Extreme { args, .. } | Node::Array { elements: args, .. } => {
                args.iter().for_each(|node| node.for_each_slot(visit));
            }
            Node::Not(operand)
            | Node::IsNull { operand, .. }
            | Node::IsTruth { operand, .. }
            | Node::InSet { left: operand, .. }
            | Node::Field { base: operand, .. }
            | Node::ConvertIo { base: operand, .. }
            | Node::Coerce { base: operand, .. }
            | Node::TrimBlanks(operand) => operand.for_each_slot(visit),
            Node::Case { branches, otherwise } => {
                for (condition, result) in branches {
                    condition.for_each_slot(visit);
                    result.for_each_slot(visit);
                }
                otherwise.for_each_slot(visit);
            }
            Node::RowCompare { pairs, .. } => {
                for pair in pairs {
                    pair.left.for_each_slot(visit);
                    pair.right.for_each_slot(visit);
                }
            }
            Node::ArraySubscript { base, subscripts } => {
                base.for_each_slot(visit);
                for subscript in subscripts {
                    match subscript {
                        SubscriptNode::Index(index) => index.for_each_slot(visit),
                        SubscriptNode::Slice(from, to) => {
                            from.iter().chain(to).for_each(|bound| bound.for_each_slot(visit));
                        }
                    }
                }
            }
            Node::JsonSubscript { base, steps } => {
                base.for_each_slot(visit);
                steps.iter().for_each(|step| step.for_each_slot(visit));
            }
            Node::Subquery(subquery) => {
                subquery.outer.iter().for_each(|node| node.for_each_slot(visit));
                match &subquery.kind {
                    SubqueryUse::Exists | SubqueryUse::Scalar | SubqueryUse::Row { .. } | SubqueryUse::Array { .. } => {
                    }
                    SubqueryUse::Quantified { test, .. } => test.for_each_slot(visit),
                    SubqueryUse::Member { left, test } => {
                        left.iter().for_each(|node| node.for_each_slot(visit));
                        test.for_each_slot(visit);
                    }
                }
            }
        }
    }
}
