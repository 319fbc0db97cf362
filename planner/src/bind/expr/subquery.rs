//! Subqueries in expressions: scalar, EXISTS, IN, ANY and ALL, ARRAY, and rows compared with them.

use sqlparser::ast as sql;
use sqlparser::ast::Spanned;

use super::operator::spellings;
use crate::bind::Binder;
use crate::bound::{ColumnId, Expr, ExprKind, OutputColumn, Query, Rel, Subquery, SubqueryKind};
use crate::types;
use crate::{SqlError, SqlResult, SqlState, Type};

impl Binder<'_> {
    /// Binds a query inside an expression.
    fn bind_inner(&mut self, query: &sql::Query) -> SqlResult<Query> {
        let context = self.scope().context;
        if !context.allows_subqueries() {
            let position = self.find_before(self.at(query.span()), "(");
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot use subquery in {}", context.subquery_clause()),
            )
            .at(position));
        }
        self.bind_subquery(query)
    }

    pub(super) fn bind_scalar_subquery(&mut self, query: &sql::Query) -> SqlResult<Expr> {
        let position = self.find_before(self.at(query.span()), "(");
        let bound = self.bind_inner(query)?;
        let [column] = bound.columns.as_slice() else {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "subquery must return only one column").at(position));
        };
        let ty = column.ty;
        Ok(subquery(SubqueryKind::Scalar, bound, ty, position))
    }

    pub(super) fn bind_exists(&mut self, query: &sql::Query, negated: bool) -> SqlResult<Expr> {
        let position = self.find_before(self.at(query.span()), "exists");
        let bound = self.bind_inner(query)?;
        let exists = subquery(SubqueryKind::Exists, bound, Type::BOOL, position);
        Ok(if negated {
            Expr {
                kind: ExprKind::Not(Box::new(exists)),
                ty: Type::BOOL,
                position,
            }
        } else {
            exists
        })
    }

    /// `ARRAY(SELECT …)`
    pub(super) fn bind_array_subquery(&mut self, query: &sql::Query, position: Option<u32>) -> SqlResult<Expr> {
        let bound = self.bind_inner(query)?;
        let [column] = bound.columns.as_slice() else {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "subquery must return only one column").at(position));
        };
        // Arrays of arrays are one array of a higher dimension.
        let ty = if types::element_of(column.ty.oid).is_some() {
            column.ty.oid
        } else {
            match types::array_of(column.ty.oid) {
                Some(array) => array,
                None if crate::bind::coerce::is_row(column.ty.oid) => types::oid::RECORD_ARRAY,
                None => {
                    return Err(SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("could not find array type for data type {}", self.type_name(column.ty)),
                    )
                    .at(position));
                }
            }
        };
        Ok(subquery(SubqueryKind::Array, bound, Type::new(ty), position))
    }

    pub(super) fn bind_in_subquery(&mut self, left: &sql::Expr, query: &sql::Query, negated: bool) -> SqlResult<Expr> {
        let after = self.end(left);
        let any = self.bind_quantified_subquery(left, "=", query, false, after)?;
        if !negated {
            return Ok(any);
        }
        let position = any.position;
        Ok(Expr {
            kind: ExprKind::Not(Box::new(any)),
            ty: Type::BOOL,
            position,
        })
    }

    /// `left op ANY (SELECT …)`
    pub(super) fn bind_quantified_subquery(
        &mut self,
        left: &sql::Expr,
        name: &str,
        query: &sql::Query,
        all: bool,
        after: Option<u32>,
    ) -> SqlResult<Expr> {
        let spellings = spellings(name);
        let mut spellings = spellings.clone();
        spellings.extend(["in", "not"]);
        // PostgreSQL binds the query first.
        let bound = self.bind_inner(query)?;
        let lefts = match super::row_items(left) {
            Some(items) => self.bind_row_items(&items)?,
            None => vec![self.bind_expr(left)?],
        };
        let position = lefts.first().and_then(|left| left.position);
        if lefts.len() != bound.columns.len() {
            let what = if lefts.len() < bound.columns.len() {
                "many"
            } else {
                "few"
            };
            let place = self.find_after(after, &spellings).or(position);
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, format!("subquery has too {what} columns")).at(place));
        }
        let rights: Vec<Expr> = bound.columns.iter().map(column).collect();
        let place = |binder: &Self| binder.find_after(after, &spellings);
        let test = if lefts.len() == 1 {
            let (mut lefts, mut rights) = (lefts, rights);
            let (Some(left), Some(right)) = (lefts.pop(), rights.pop()) else {
                return Err(self.unequal_rows(position));
            };
            self.binary_operator(name, left, right, place)?
        } else {
            self.compare_rows(lefts, name, rights, after)?
        };
        if test.ty.oid != Type::BOOL.oid {
            let place = place(self).or(position);
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "operator {name} must return type boolean, not type {}",
                    self.type_name(test.ty)
                ),
            )
            .at(place));
        }
        Ok(subquery(
            SubqueryKind::Quantified {
                all,
                test: Box::new(test),
            },
            bound,
            Type::BOOL,
            position,
        ))
    }

    /// `(a, b) op (SELECT c, d)`: the comparison moves into the query, which then gives one value.
    pub(super) fn bind_row_subquery(
        &mut self,
        lefts: Vec<Expr>,
        name: &str,
        query: &sql::Query,
        after: Option<u32>,
    ) -> SqlResult<Expr> {
        let position = lefts.first().and_then(|left| left.position);
        let bound = self.bind_inner(query)?;
        if lefts.len() != bound.columns.len() {
            let what = if lefts.len() < bound.columns.len() {
                "many"
            } else {
                "few"
            };
            let place = self.find_after(after, &[name]).or(position);
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, format!("subquery has too {what} columns")).at(place));
        }
        let rights: Vec<Expr> = bound.columns.iter().map(column).collect();
        let test = self.compare_rows(lefts, name, rights, after)?;
        let result = self.new_column("?column?", Type::BOOL);
        let rel = Rel::Project {
            input: Box::new(bound.rel),
            columns: vec![(result.clone(), test)],
        };
        let query = Query {
            rel,
            columns: vec![result],
        };
        Ok(subquery(SubqueryKind::Scalar, query, Type::BOOL, position))
    }
}

/// A reference to a column.
pub(in crate::bind) fn column(column: &OutputColumn) -> Expr {
    Expr {
        kind: ExprKind::Column(column.id),
        ty: column.ty,
        position: None,
    }
}

fn subquery(kind: SubqueryKind, query: Query, ty: Type, position: Option<u32>) -> Expr {
    let columns: Vec<ColumnId> = query.columns.iter().map(|column| column.id).collect();
    let kind = ExprKind::Subquery(Box::new(Subquery {
        kind,
        rel: query.rel,
        columns,
    }));
    Expr { kind, ty, position }
}
