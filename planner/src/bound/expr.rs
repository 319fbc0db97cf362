//! Bound scalar expressions: every cast explicit, every function resolved.

use std::sync::Arc;

use storage::Datum;

use crate::Type;
use crate::bound::Rel;
use crate::functions::Function;

/// A column of some relation of the statement; unique in the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnId(pub u32);

/// A typed expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it computes.
    pub kind: ExprKind,
    /// Its type.
    pub ty: Type,
    /// One-based character position of the token that errors point at.
    pub position: Option<u32>,
}

/// What an expression computes.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A constant.
    Literal(Datum),
    /// `$n`, counted from zero; also a literal lifted out for the plan cache.
    Parameter(usize),
    /// A column of an input relation or of an outer query.
    Column(ColumnId),
    /// A function, operator or cast: they are all functions of the catalog.
    Call {
        /// Resolved function, with its implementation.
        function: &'static Function,
        /// Arguments; variadic ones already gathered in an array if the function wants that.
        args: Vec<Expr>,
    },
    /// AND, three-valued, left to right.
    And(Vec<Expr>),
    /// OR, three-valued, left to right.
    Or(Vec<Expr>),
    /// NOT
    Not(Box<Expr>),
    /// IS NULL, row-wise for records.
    IsNull(Box<Expr>),
    /// IS NOT NULL, row-wise for records.
    IsNotNull(Box<Expr>),
    /// IS (NOT) TRUE / FALSE / UNKNOWN: the value tested for (`None` is UNKNOWN) and whether negated.
    IsTruth {
        /// Operand, boolean.
        operand: Box<Expr>,
        /// What is tested for.
        value: Option<bool>,
        /// IS NOT …
        negated: bool,
    },
    /// IS (NOT) DISTINCT FROM through the types' equality function.
    IsDistinct {
        /// Equality function of the common type.
        equal: &'static Function,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
        /// IS NOT DISTINCT FROM
        negated: bool,
    },
    /// CASE; a simple CASE is bound to equality conditions.
    Case {
        /// (condition, result) in order.
        branches: Vec<(Expr, Expr)>,
        /// ELSE; NULL if absent.
        otherwise: Option<Box<Expr>>,
    },
    /// COALESCE
    Coalesce(Vec<Expr>),
    /// NULLIF through the equality function.
    NullIf {
        /// Equality function.
        equal: &'static Function,
        /// First argument (the result).
        left: Box<Expr>,
        /// What it is compared with.
        right: Box<Expr>,
    },
    /// GREATEST or LEAST: NULLs are ignored.
    Extreme {
        /// GREATEST rather than LEAST.
        greatest: bool,
        /// Arguments of one type.
        args: Vec<Expr>,
    },
    /// `left op ANY (array)` or `left op ALL (array)`; IN (list) is bound to this or to OR.
    ArrayCompare {
        /// Operator, boolean.
        operator: &'static Function,
        /// ALL rather than ANY.
        all: bool,
        /// Left operand.
        left: Box<Expr>,
        /// An array.
        array: Box<Expr>,
    },
    /// ARRAY[…]; `nested` if the elements are arrays that become a higher dimension.
    Array {
        /// Elements.
        elements: Vec<Expr>,
        /// Elements are themselves arrays.
        nested: bool,
    },
    /// ROW(…)
    Row(Vec<Expr>),
    /// Row comparison `(a, b) op (c, d)`: equality, or the lexicographic order for < <= > >=.
    RowCompare {
        /// Which comparison.
        comparison: Comparison,
        /// (left, right, equality function, less-than function) of each pair.
        pairs: Vec<RowPair>,
    },
    /// Array or jsonb subscript (read): `a[1]`, `a[1:2]`, `doc['a']`.
    Subscript {
        /// Array or jsonb.
        base: Box<Expr>,
        /// Subscripts from left to right.
        subscripts: Vec<Subscript>,
    },
    /// A field of a composite value, by position.
    Field {
        /// The record.
        base: Box<Expr>,
        /// Position from zero.
        index: usize,
    },
    /// A subquery in an expression.
    Subquery(Box<Subquery>),
    /// GROUPING(…) after binding: a bit mask computed from the grouping set; the columns are group columns.
    Grouping(Vec<ColumnId>),
    /// Type conversion by text output and input, or by array element conversion, where no catalog function exists.
    ConvertIo(Box<Expr>),
    /// Element-wise conversion of an array.
    ConvertArray {
        /// The array.
        base: Box<Expr>,
        /// Conversion of one element, which is [`ExprKind::Placeholder`] inside.
        element: Box<Expr>,
    },
    /// The value under conversion inside [`ExprKind::ConvertArray`], or CoerceToDomainValue's like.
    Placeholder,
    /// Applies a type modifier: varchar(3), numeric(5, 2), timestamp(0). `explicit` casts truncate silently.
    Coerce {
        /// The value, already of the type's OID.
        base: Box<Expr>,
        /// An explicit cast.
        explicit: bool,
    },
}

/// A comparison operator of row comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the operators of their names")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// One pair of a row comparison.
#[derive(Clone, Debug)]
pub struct RowPair {
    /// Left value.
    pub left: Expr,
    /// Right value, of the same type.
    pub right: Expr,
    /// Equality.
    pub equal: &'static Function,
    /// Less-than.
    pub less: &'static Function,
}

/// A subscript.
#[derive(Clone, Debug)]
pub enum Subscript {
    /// `[i]`
    Index(Expr),
    /// `[l:u]`, bounds optional.
    Slice(Option<Expr>, Option<Expr>),
}

/// A subquery in an expression.
#[derive(Clone, Debug)]
pub struct Subquery {
    /// What the expression makes of its rows.
    pub kind: SubqueryKind,
    /// The query; outer columns are column ids it does not produce.
    pub rel: Rel,
    /// Its output columns, in order.
    pub columns: Vec<ColumnId>,
}

/// What an expression makes of a subquery's rows.
#[derive(Clone, Debug)]
pub enum SubqueryKind {
    /// EXISTS (…)
    Exists,
    /// The one value of the one row, NULL if there is none, 21000 if there are more.
    Scalar,
    /// The one row as a record (multi-column assignment, row comparison).
    Row,
    /// ARRAY(…)
    Array,
    /// `test op ANY/ALL (…)`: `test` is evaluated once per outer row, with the row's columns as ids of the subquery.
    Quantified {
        /// ALL rather than ANY (IN is `= ANY`, NOT IN is `NOT (= ANY)`).
        all: bool,
        /// Boolean expression over outer columns and the subquery's output columns, e.g. `a = c7`.
        test: Box<Expr>,
    },
}

/// An aggregate or window function call, as it stands in an Aggregate or Window relation.
#[derive(Clone, Debug)]
pub struct AggregateCall {
    /// The aggregate (or window function).
    pub function: &'static Function,
    /// Arguments; direct arguments of ordered-set aggregates come first.
    pub args: Vec<Expr>,
    /// DISTINCT
    pub distinct: bool,
    /// ORDER BY inside the call, or WITHIN GROUP.
    pub order: Vec<SortKey>,
    /// FILTER (WHERE …)
    pub filter: Option<Expr>,
    /// Result type.
    pub ty: Type,
}

/// A sort key.
#[derive(Clone, Debug)]
pub struct SortKey {
    /// Value sorted by.
    pub expr: Expr,
    /// DESC
    pub descending: bool,
    /// NULLS FIRST
    pub nulls_first: bool,
}

/// Names a shared table for [`crate::bound::Rel`] nodes.
pub type RelationRef = Arc<crate::catalog::Relation>;
