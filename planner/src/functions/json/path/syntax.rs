//! The tree of a jsonpath.

use std::sync::Arc;

use storage::{Jsonb, Numeric};

use super::regex::Pattern;

/// A parsed path.
#[derive(Clone, Debug)]
pub(super) struct JsonPath {
    /// `lax`, the default, forgives structural errors and unwraps arrays; `strict` does neither.
    pub(super) lax: bool,
    /// What is evaluated.
    pub(super) expr: Expr,
}

/// A value and the accessors behind it.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) head: Head,
    pub(super) steps: Vec<Step>,
}

impl Expr {
    pub(super) fn new(head: Head) -> Self {
        Self {
            head,
            steps: Vec::new(),
        }
    }
}

/// Where a path begins.
#[derive(Clone, Debug)]
pub(super) enum Head {
    /// `$`
    Root,
    /// `@`
    Current,
    /// `last`
    Last,
    /// `$name`
    Variable(Arc<str>),
    /// A string, true, false or null.
    Literal(Jsonb),
    /// A number.
    Number(Numeric),
    /// `left op right`
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    /// `-operand`, `+operand`
    Sign { negative: bool, operand: Box<Expr> },
    /// A condition whose outcome is a value.
    Condition(Box<Condition>),
}

/// Arithmetic operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Arithmetic {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// An accessor.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// `.name`
    Member(Arc<str>),
    /// `.*`
    AnyMember,
    /// `[a, b to c]`
    Elements(Vec<(Expr, Option<Expr>)>),
    /// `[*]`
    AnyElement,
    /// `.**{first to last}`; [`u32::MAX`] is `last`.
    AnyDepth(u32, u32),
    /// `?(condition)`
    Filter(Condition),
    /// `.method()`
    Method(Method),
    /// `.datetime(template)`
    DateTime(Option<Arc<str>>),
}

/// Methods without arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Abs,
    Ceiling,
    Double,
    Floor,
    KeyValue,
    Size,
    Type,
}

impl Method {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Abs => "abs",
            Self::Ceiling => "ceiling",
            Self::Double => "double",
            Self::Floor => "floor",
            Self::KeyValue => "keyvalue",
            Self::Size => "size",
            Self::Type => "type",
        }
    }
}

/// A predicate.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    IsUnknown(Box<Condition>),
    Exists(Expr),
    Compare(Comparison, Expr, Expr),
    /// The prefix is a literal or a variable.
    StartsWith(Expr, Expr),
    LikeRegex(Expr, Pattern),
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}
