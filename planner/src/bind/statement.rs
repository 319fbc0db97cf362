//! Statements: what the rest of the planner calls.

use std::sync::Arc;

use sqlparser::ast as sql;

use crate::bound::{ColumnId, Expr, Query, Rel};
use crate::catalog::Relation;
use crate::functions::CastContext;
use crate::statement::Parsed;
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;
use super::context::Context;
use super::position::Source;
use super::prune::prune;

/// What a bound statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the statements of their names")]
pub enum StatementKind {
    Select,
    Insert,
    Update,
    Delete,
    Merge,
}

/// A statement bound.
#[derive(Clone, Debug)]
pub struct BoundStatement {
    /// The relation, a [`Rel::Modify`] for data-modifying statements (inside a [`Rel::With`] if it has one), and its columns:
    /// those of RETURNING.
    pub query: Query,
    /// What it does.
    pub kind: StatementKind,
    /// Whether the client gets rows: SELECT, or RETURNING.
    pub returns_rows: bool,
    /// For each column of the query, the table and attnum it comes from, or zeros.
    pub origins: Vec<(u32, i16)>,
    /// Types of the parameters.
    pub parameters: Vec<Type>,
}

/// What an expression over a table's row is for: it decides what may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// DEFAULT: no columns.
    Default,
    /// CHECK
    Check,
    /// An index key.
    Index,
    /// WHERE of a partial index.
    IndexPredicate,
    /// GENERATED ALWAYS AS
    Generated,
    /// ALTER COLUMN … TYPE … USING
    Using,
}

/// An expression over a table's row.
#[derive(Clone, Debug)]
pub struct OverRelation {
    /// The expression.
    pub expr: Expr,
    /// Ids under which it sees the row's live columns: (position, id). All of them, used or not.
    pub columns: Vec<(u16, ColumnId)>,
}

impl Binder<'_> {
    /// Binds SELECT, VALUES, TABLE, INSERT, UPDATE, DELETE or MERGE, with or without WITH.
    ///
    /// # Errors
    /// PostgreSQL's, with positions in the client's text; 0A000 for other statements.
    pub fn bind_statement(&mut self, statement: &Parsed) -> SqlResult<BoundStatement> {
        self.bind_ast(&statement.ast, &statement.text, statement.offset)
    }

    /// Binds a statement that stands inside another one (EXPLAIN, CREATE TABLE AS, DECLARE): `text` and `offset` are the outer
    /// statement's.
    pub fn bind_ast(&mut self, ast: &sql::Statement, text: &Arc<str>, offset: u32) -> SqlResult<BoundStatement> {
        self.source = Source::statement(text.clone(), offset);
        match ast {
            sql::Statement::Query(query) => self.bind_top(query),
            other => {
                let kind = kind_of(other)?;
                let mut query = self.bind_modify_query(other)?;
                self.done(&mut query, kind)
            }
        }
    }

    /// Binds a query that stands inside a statement.
    pub fn bind_query(&mut self, query: &sql::Query, text: &Arc<str>, offset: u32) -> SqlResult<BoundStatement> {
        self.source = Source::statement(text.clone(), offset);
        self.bind_top(query)
    }

    fn bind_top(&mut self, query: &sql::Query) -> SqlResult<BoundStatement> {
        let kind = match &*query.body {
            sql::SetExpr::Insert(_) => StatementKind::Insert,
            sql::SetExpr::Update(_) => StatementKind::Update,
            sql::SetExpr::Delete(_) => StatementKind::Delete,
            sql::SetExpr::Merge(_) => StatementKind::Merge,
            _ => StatementKind::Select,
        };
        if kind == StatementKind::Merge && query.with.as_ref().is_some_and(|with| with.recursive) {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "WITH RECURSIVE is not supported for MERGE statement",
            ));
        }
        let mut bound = self.bind_subquery(query)?;
        self.done(&mut bound, kind)
    }

    fn done(&mut self, query: &mut Query, kind: StatementKind) -> SqlResult<BoundStatement> {
        prune(query);
        let origins = query
            .columns
            .iter()
            .map(|column| self.facts(column.id).origin)
            .collect();
        let returns_rows = kind == StatementKind::Select || !query.columns.is_empty();
        let query = Query {
            rel: std::mem::replace(&mut query.rel, Rel::OneRow),
            columns: std::mem::take(&mut query.columns),
        };
        Ok(BoundStatement {
            query,
            kind,
            returns_rows,
            origins,
            parameters: self.parameter_types()?,
        })
    }

    /// Binds a stored expression over a table's row: a default, a check, an index key. It is converted to `target` if there
    /// is one, as in an assignment.
    ///
    /// # Errors
    /// Those of binding; they carry no position, for the text is not the client's.
    pub fn bind_expression_over(
        &mut self,
        relation: &Arc<Relation>,
        text: &str,
        purpose: Purpose,
        target: Option<Type>,
    ) -> SqlResult<OverRelation> {
        let ast = crate::parse::parse_expression(text)?;
        self.source = Source::stored(text);
        self.bind_over(relation, &ast, purpose, target)
    }

    /// As [`Self::bind_expression_over`] for an expression of the client's statement, whose `text` and `offset` are given.
    pub fn bind_ast_over(
        &mut self,
        relation: &Arc<Relation>,
        ast: &sql::Expr,
        text: &Arc<str>,
        offset: u32,
        purpose: Purpose,
        target: Option<Type>,
    ) -> SqlResult<OverRelation> {
        self.source = Source::statement(text.clone(), offset);
        self.bind_over(relation, ast, purpose, target)
    }

    fn bind_over(
        &mut self,
        relation: &Arc<Relation>,
        ast: &sql::Expr,
        purpose: Purpose,
        target: Option<Type>,
    ) -> SqlResult<OverRelation> {
        let relation = relation.clone();
        self.with_scope(|binder| {
            let shown: Arc<str> = relation.name.as_str().into();
            let (scan, mut item) = binder.make_scan(&relation, &shown, false);
            item.table_oid = None;
            let columns: Vec<(u16, ColumnId)> = scan
                .columns
                .iter()
                .map(|(column, position)| (*position, column.id))
                .collect();
            let context = match purpose {
                Purpose::Default => Context::ColumnDefault,
                Purpose::Check => Context::CheckConstraint,
                Purpose::Index => Context::IndexExpression,
                Purpose::IndexPredicate => Context::IndexPredicate,
                Purpose::Generated => Context::GeneratedColumn,
                Purpose::Using => Context::Other,
            };
            binder.scope().items.push(item);
            let expr = binder.bind_in(context, ast)?;
            let expr = match purpose {
                Purpose::Check => binder.coerce_to_boolean(expr, "CHECK")?,
                Purpose::IndexPredicate => binder.coerce_to_boolean(expr, "WHERE")?,
                _ => match target {
                    Some(target) => binder.coerce_stored(expr, target, purpose)?,
                    None => binder.unknown_to_text(expr)?,
                },
            };
            if purpose == Purpose::Default {
                binder.reject_columns(&expr)?;
            }
            Ok(OverRelation { expr, columns })
        })
    }

    fn coerce_stored(&mut self, expr: Expr, target: Type, purpose: Purpose) -> SqlResult<Expr> {
        let (source, position) = (expr.ty, expr.position);
        if let Some(expr) = self.try_coerce(expr, target, CastContext::Assignment)? {
            return Ok(expr);
        }
        let (source, wanted) = (self.type_name(source), self.type_name(target));
        let what = if purpose == Purpose::Generated {
            "generation"
        } else {
            "default"
        };
        Err(SqlError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("column is of type {wanted} but {what} expression is of type {source}"),
        )
        .hint("You will need to rewrite or cast the expression.")
        .at(position))
    }

    /// 0A000 for columns in a default.
    fn reject_columns(&self, expr: &Expr) -> SqlResult<()> {
        let mut found = None;
        crate::bound::visit::walk_expr(expr, &mut |part| {
            if matches!(part.kind, crate::bound::ExprKind::Column(_)) {
                found = found.or(Some(part.position));
            }
        });
        match found {
            None => Ok(()),
            Some(position) => Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot use column reference in DEFAULT expression",
            )
            .at(position)),
        }
    }

    /// Binds an expression that sees no columns: a parameter of EXECUTE, an option.
    ///
    /// # Errors
    /// Those of binding.
    pub fn bind_constant(
        &mut self,
        ast: &sql::Expr,
        text: &Arc<str>,
        offset: u32,
        target: Option<Type>,
    ) -> SqlResult<Expr> {
        self.source = Source::statement(text.clone(), offset);
        self.with_scope(|binder| {
            let expr = binder.bind_in(Context::Other, ast)?;
            match target {
                None => binder.unknown_to_text(expr),
                Some(target) => {
                    let (source, position) = (expr.ty, expr.position);
                    match binder.try_coerce(expr, target, CastContext::Assignment)? {
                        Some(expr) => Ok(expr),
                        None => Err(binder.cannot_cast(source, target, position)),
                    }
                }
            }
        })
    }
}

fn kind_of(ast: &sql::Statement) -> SqlResult<StatementKind> {
    match ast {
        sql::Statement::Insert(_) => Ok(StatementKind::Insert),
        sql::Statement::Update(_) => Ok(StatementKind::Update),
        sql::Statement::Delete(_) => Ok(StatementKind::Delete),
        sql::Statement::Merge(_) => Ok(StatementKind::Merge),
        _ => Err(unsupported(ast)),
    }
}

/// 0A000 that names the statement by the keywords it begins with: `CREATE FUNCTION is not supported`.
pub(super) fn unsupported(ast: &sql::Statement) -> SqlError {
    let text = ast.to_string();
    let keywords: Vec<&str> = text
        .split_whitespace()
        .take_while(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()))
        .take(4)
        .collect();
    SqlError::unsupported(keywords.join(" "))
}
