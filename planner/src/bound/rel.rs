//! Bound relations: the shape of a query before anybody decided how to run it.

use std::sync::Arc;

use crate::Type;
use crate::bound::{AggregateCall, ColumnId, Expr, RelationRef, SortKey};
use crate::functions::Function;
use crate::partition::Bounds;

/// A column a relation produces.
#[derive(Clone, Debug)]
pub struct OutputColumn {
    /// Its identity in the statement.
    pub id: ColumnId,
    /// Name, for messages and EXPLAIN; not unique.
    pub name: String,
    /// Type.
    pub ty: Type,
}

/// A relational expression.
#[derive(Clone, Debug)]
pub enum Rel {
    /// One row without columns (SELECT without FROM).
    OneRow,
    /// A stored table. Every row version is read at the statement's snapshot.
    Scan(Scan),
    /// A relation whose rows the server computes (pg_catalog and the like).
    SystemScan(Scan),
    /// VALUES, and constant rows.
    Values {
        /// Rows of expressions without input columns (outer columns allowed).
        rows: Vec<Vec<Expr>>,
        /// Columns.
        columns: Vec<OutputColumn>,
    },
    /// A set-returning or scalar function in FROM; several for ROWS FROM.
    FunctionScan {
        /// Calls, each with the columns it yields; shorter ones are padded with NULL.
        calls: Vec<(FunctionCall, Vec<OutputColumn>)>,
        /// WITH ORDINALITY
        ordinality: Option<OutputColumn>,
    },
    /// WHERE, HAVING, ON of inner joins.
    Filter {
        /// Input.
        input: Box<Rel>,
        /// Boolean.
        predicate: Expr,
    },
    /// Computed columns. Only these remain.
    Project {
        /// Input.
        input: Box<Rel>,
        /// Column and its value.
        columns: Vec<(OutputColumn, Expr)>,
    },
    /// Set-returning functions in the select list: adds their columns to the input's, in lockstep, padded with NULL.
    ProjectSet {
        /// Input; all its columns remain.
        input: Box<Rel>,
        /// Calls and the one column each yields (a record if the function has several).
        calls: Vec<(FunctionCall, OutputColumn)>,
    },
    /// A join. The right side may use columns of the left one if `lateral`.
    Join {
        /// Which.
        kind: JoinKind,
        /// Left input.
        left: Box<Rel>,
        /// Right input.
        right: Box<Rel>,
        /// Condition (`None` is true).
        on: Option<Expr>,
        /// The right side refers to the left one's columns.
        lateral: bool,
    },
    /// GROUP BY and aggregates. Produces the group columns and the aggregates' columns.
    Aggregate {
        /// Input.
        input: Box<Rel>,
        /// Group columns.
        groups: Vec<(OutputColumn, Expr)>,
        /// Grouping sets as positions in `groups`; one set of all for plain GROUP BY.
        sets: Vec<Vec<usize>>,
        /// Aggregates.
        aggregates: Vec<(OutputColumn, AggregateCall)>,
        /// GROUPING(…) masks: the column, and the positions in `groups` it looks at.
        groupings: Vec<(OutputColumn, Vec<usize>)>,
    },
    /// Window functions over one window each: adds their columns to the input's.
    Window {
        /// Input.
        input: Box<Rel>,
        /// Calls.
        calls: Vec<(OutputColumn, WindowCall)>,
    },
    /// ORDER BY
    Sort {
        /// Input.
        input: Box<Rel>,
        /// Keys.
        keys: Vec<SortKey>,
    },
    /// LIMIT / OFFSET / FETCH
    Limit {
        /// Input.
        input: Box<Rel>,
        /// Rows wanted, bigint or NULL.
        limit: Option<Expr>,
        /// Rows skipped, bigint or NULL.
        offset: Option<Expr>,
        /// WITH TIES: ties are by the keys of the Sort below.
        with_ties: bool,
    },
    /// DISTINCT, or DISTINCT ON (keys): the first row of each group in input order.
    Distinct {
        /// Input.
        input: Box<Rel>,
        /// Keys; `None` is all columns.
        on: Option<Vec<Expr>>,
    },
    /// UNION, INTERSECT, EXCEPT. Columns pair by position and have the same types already.
    SetOperation {
        /// Which.
        kind: SetKind,
        /// ALL
        all: bool,
        /// Left input and its columns in order.
        left: Box<Rel>,
        /// Left columns.
        left_columns: Vec<ColumnId>,
        /// Right input.
        right: Box<Rel>,
        /// Right columns.
        right_columns: Vec<ColumnId>,
        /// Output columns.
        columns: Vec<OutputColumn>,
    },
    /// WITH: the definitions in order, then the body.
    With {
        /// Definitions.
        ctes: Vec<Cte>,
        /// Body.
        body: Box<Rel>,
    },
    /// A reference to a CTE of an enclosing [`Rel::With`]; inside a recursive definition, the working table.
    CteRef {
        /// Which.
        cte: CteId,
        /// Columns of this reference, pairing with the definition's by position.
        columns: Vec<OutputColumn>,
    },
    /// FOR UPDATE and its kin, applied to the rows of the named scans (see [`Scan::row_key`]).
    LockRows {
        /// Input, which carries the row keys.
        input: Box<Rel>,
        /// One entry per locked scan.
        locks: Vec<RowLock>,
    },
    /// A data-modifying statement in a CTE, or the top of one; yields its RETURNING columns.
    Modify(Box<crate::bound::Modify>),
}

/// A scan of a table.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The table.
    pub table: RelationRef,
    /// Alias or name, for EXPLAIN and messages.
    pub alias: String,
    /// Columns read: id, and position (attnum - 1).
    pub columns: Vec<(OutputColumn, u16)>,
    /// Column of type bytea holding the encoded primary key, if somebody needs to find the row again (modify, row locks, ctid).
    pub row_key: Option<ColumnId>,
    /// Column of type oid holding the table's oid (`tableoid`), if used.
    pub table_oid: Option<ColumnId>,
    /// The tables whose rows are read, if not those of the table itself: its partitions, or it and its descendants.
    pub members: Option<Arc<Members>>,
}

/// The tables that a scan of a parent reads. Their columns pair with the parent's by name.
#[derive(Debug)]
pub struct Members {
    /// The tables, in scan order.
    pub tables: Vec<RelationRef>,
    /// How a partitioned table tells them apart.
    pub root: Option<PartitionNode>,
}

/// A partitioned table among the members.
#[derive(Debug)]
pub struct PartitionNode {
    /// The table.
    pub table: RelationRef,
    /// Bounds of its partitions.
    pub bounds: Bounds,
    /// The partitions, in the order of their bounds.
    pub children: Vec<PartitionChild>,
}

/// A partition among the members.
#[derive(Debug)]
pub enum PartitionChild {
    /// A table, by its place among the members.
    Table(usize),
    /// A partitioned one.
    Node(PartitionNode),
}

/// A function call in FROM or in the select list.
#[derive(Clone, Debug)]
pub struct FunctionCall {
    /// Function; set-returning or scalar.
    pub function: &'static Function,
    /// Arguments.
    pub args: Vec<Expr>,
    /// Result type of one row (record for several columns).
    pub ty: Type,
}

/// Which join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the joins of their names")]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
    Semi,
    Anti,
}

/// Which set operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the operations of their names")]
pub enum SetKind {
    Union,
    Intersect,
    Except,
}

/// A common table expression, unique in the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CteId(pub u32);

/// A definition in WITH.
#[derive(Clone, Debug)]
pub struct Cte {
    /// Identity.
    pub id: CteId,
    /// Name.
    pub name: String,
    /// Columns.
    pub columns: Vec<OutputColumn>,
    /// The query; for a recursive one, the non-recursive term.
    pub rel: Rel,
    /// The recursive term, which refers to the CTE by [`Rel::CteRef`], with its columns in order, and whether UNION ALL.
    pub recursive: Option<RecursiveTerm>,
    /// MATERIALIZED (true), NOT MATERIALIZED (false) or unsaid.
    pub materialized: Option<bool>,
    /// Number of references in the statement.
    pub reference_count: u32,
}

/// The recursive term of a CTE.
#[derive(Clone, Debug)]
pub struct RecursiveTerm {
    /// The term.
    pub rel: Rel,
    /// Its columns in order.
    pub columns: Vec<ColumnId>,
    /// UNION ALL rather than UNION.
    pub all: bool,
}

/// A row lock of SELECT … FOR ….
#[derive(Clone, Debug)]
pub struct RowLock {
    /// Table.
    pub table: RelationRef,
    /// Column with the row's key.
    pub row_key: ColumnId,
    /// Column with the oid of the table the row is in, if that may be another.
    pub table_oid: Option<ColumnId>,
    /// Strength; none for a row that is not locked, but stays as it was read while locked ones are looked at again.
    pub strength: Option<RowLockStrength>,
    /// What to do when it is held.
    pub wait: LockWait,
}

/// Strength of a row lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the clauses of their names")]
pub enum RowLockStrength {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
}

/// What to do when a lock is held by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Wait (bounded by lock_timeout).
    Wait,
    /// NOWAIT: 55P03 at once.
    NoWait,
    /// SKIP LOCKED
    SkipLocked,
}

/// A window function call.
#[derive(Clone, Debug)]
pub struct WindowCall {
    /// Function, arguments, FILTER.
    pub call: AggregateCall,
    /// PARTITION BY
    pub partition: Vec<Expr>,
    /// ORDER BY
    pub order: Vec<SortKey>,
    /// Frame.
    pub frame: Frame,
}

/// A window frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// ROWS, RANGE or GROUPS.
    pub units: FrameUnits,
    /// Start.
    pub start: FrameBound,
    /// End.
    pub end: FrameBound,
    /// EXCLUDE
    pub exclude: FrameExclusion,
}

/// Units of a window frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the units of their names")]
pub enum FrameUnits {
    Rows,
    Range,
    Groups,
}

/// A bound of a window frame.
#[derive(Clone, Debug)]
pub enum FrameBound {
    /// UNBOUNDED PRECEDING
    UnboundedPreceding,
    /// offset PRECEDING
    Preceding(Box<Expr>),
    /// CURRENT ROW
    CurrentRow,
    /// offset FOLLOWING
    Following(Box<Expr>),
    /// UNBOUNDED FOLLOWING
    UnboundedFollowing,
}

/// EXCLUDE of a window frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the options of their names")]
pub enum FrameExclusion {
    NoOthers,
    CurrentRow,
    Group,
    Ties,
}

/// A query with its output columns in order; what a SELECT binds to.
#[derive(Clone, Debug)]
pub struct Query {
    /// The relation.
    pub rel: Rel,
    /// Output columns in order (the relation may carry more, such as row keys).
    pub columns: Vec<OutputColumn>,
}

/// Types and names for a row description.
pub type RowShape = Vec<(String, Type)>;
