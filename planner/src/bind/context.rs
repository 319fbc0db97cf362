//! Context: which clause an expression stands in, and what is not allowed there.

/// The clause an expression stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Context {
    /// The select list.
    #[default]
    SelectTarget,
    Where,
    Having,
    Filter,
    JoinOn,
    FromFunction,
    FromSubselect,
    GroupBy,
    OrderBy,
    DistinctOn,
    Limit,
    Offset,
    Returning,
    Values,
    UpdateSource,
    MergeWhen,
    WindowPartition,
    WindowOrder,
    WindowFrame,
    CheckConstraint,
    ColumnDefault,
    IndexExpression,
    IndexPredicate,
    GeneratedColumn,
    Other,
}

impl Context {
    /// How PostgreSQL names it in `aggregate functions are not allowed in …`.
    pub(super) fn clause(self) -> &'static str {
        match self {
            Context::SelectTarget => "SELECT",
            Context::Where => "WHERE",
            Context::Having => "HAVING",
            Context::Filter => "FILTER",
            Context::JoinOn => "JOIN conditions",
            Context::FromFunction => "functions in FROM",
            Context::FromSubselect => "FROM clause of their own query level",
            Context::GroupBy => "GROUP BY",
            Context::OrderBy => "ORDER BY",
            Context::DistinctOn => "DISTINCT ON",
            Context::Limit => "LIMIT",
            Context::Offset => "OFFSET",
            Context::Returning => "RETURNING",
            Context::Values => "VALUES",
            Context::UpdateSource => "UPDATE",
            Context::MergeWhen => "MERGE WHEN conditions",
            Context::WindowPartition => "window definitions",
            Context::WindowOrder => "window definitions",
            Context::WindowFrame => "window definitions",
            Context::CheckConstraint => "check constraints",
            Context::ColumnDefault => "DEFAULT expressions",
            Context::IndexExpression => "index expressions",
            Context::IndexPredicate => "index predicates",
            Context::GeneratedColumn => "column generation expressions",
            Context::Other => "this clause",
        }
    }

    /// Whether aggregates of this query level may stand here.
    pub(super) fn allows_aggregates(self) -> bool {
        matches!(
            self,
            Context::SelectTarget
                | Context::Having
                | Context::OrderBy
                | Context::DistinctOn
                | Context::WindowPartition
                | Context::WindowOrder
        )
    }

    /// Whether window functions may stand here.
    pub(super) fn allows_windows(self) -> bool {
        matches!(self, Context::SelectTarget | Context::OrderBy | Context::DistinctOn)
    }

    /// Whether set-returning functions may stand here.
    pub(super) fn allows_sets(self) -> bool {
        matches!(
            self,
            Context::SelectTarget | Context::OrderBy | Context::GroupBy | Context::DistinctOn | Context::FromFunction
        )
    }

    /// Whether subqueries may stand here.
    pub(super) fn allows_subqueries(self) -> bool {
        !matches!(
            self,
            Context::CheckConstraint
                | Context::ColumnDefault
                | Context::IndexExpression
                | Context::IndexPredicate
                | Context::GeneratedColumn
        )
    }

    /// How PostgreSQL names it in `cannot use subquery in …`.
    pub(super) fn subquery_clause(self) -> &'static str {
        match self {
            Context::CheckConstraint => "check constraint",
            Context::ColumnDefault => "DEFAULT expression",
            Context::IndexExpression => "index expression",
            Context::IndexPredicate => "index predicate",
            _ => "column generation expression",
        }
    }
}
