//! UNION, INTERSECT and EXCEPT: arms brought to common column types, node by node.

use sqlparser::ast as sql;
use sqlparser::ast::{SetOperator, SetQuantifier};

use crate::bound::{ColumnId, Expr, ExprKind, OutputColumn, Query, Rel, SetKind};
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;
use super::binder::grow;
use super::scope::{Item, ItemColumn};
use super::select::{Limits, Tail, sorted};

impl Binder<'_> {
    /// Binds a tree of set operations with what follows it.
    pub(super) fn bind_set_operation(&mut self, body: &sql::SetExpr, tail: &Tail<'_>) -> SqlResult<Query> {
        self.with_scope(|binder| {
            if let Some(lock) = tail.locks.first() {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("{} is not allowed with UNION/INTERSECT/EXCEPT", lock.clause()),
                ));
            }
            let query = binder.bind_set_tree(body)?;
            let columns = query.columns;
            let items = columns
                .iter()
                .map(|column| ItemColumn {
                    name: column.name.as_str().into(),
                    expr: super::expr_column(column),
                })
                .collect();
            let mut item = Item::new(None, items);
            item.relation_visible = false;
            binder.scope().items.push(item);
            let keys = binder.set_order(&columns, tail.order_by)?;
            let (limit, offset) = binder.bind_limits(tail)?;
            let rel = sorted(query.rel, keys);
            Ok(Query {
                rel: Limits {
                    limit,
                    offset,
                    with_ties: tail.with_ties,
                }
                .over(rel),
                columns,
            })
        })
    }

    fn bind_set_tree(&mut self, body: &sql::SetExpr) -> SqlResult<Query> {
        grow(|| match body {
            sql::SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => self.bind_set_node(left, *op, *set_quantifier, right),
            sql::SetExpr::Query(query) => self.bind_query_with(query, true),
            sql::SetExpr::Select(select) => self.bind_select(
                select,
                &Tail {
                    keep_unknown: true,
                    ..Tail::default()
                },
            ),
            other => {
                let query = sql::Query {
                    with: None,
                    body: Box::new(other.clone()),
                    order_by: None,
                    limit_clause: None,
                    fetch: None,
                    locks: vec![],
                    for_clause: None,
                    settings: None,
                    format_clause: None,
                    pipe_operators: vec![],
                };
                self.bind_query_with(&query, true)
            }
        })
    }

    fn bind_set_node(
        &mut self,
        left: &sql::SetExpr,
        op: SetOperator,
        quantifier: SetQuantifier,
        right: &sql::SetExpr,
    ) -> SqlResult<Query> {
        let (kind, name) = match op {
            SetOperator::Union => (SetKind::Union, "UNION"),
            SetOperator::Intersect => (SetKind::Intersect, "INTERSECT"),
            SetOperator::Except => (SetKind::Except, "EXCEPT"),
            SetOperator::Minus => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "syntax error at or near \"MINUS\"",
                ));
            }
        };
        let all = match quantifier {
            SetQuantifier::All => true,
            SetQuantifier::Distinct | SetQuantifier::None => false,
            _ => return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"BY\"")),
        };
        let mut bound_left = self.bind_set_tree(left)?;
        let mut bound_right = self.bind_set_tree(right)?;
        if bound_left.columns.len() != bound_right.columns.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("each {name} query must have the same number of columns"),
            )
            .at(self.first_target(right)));
        }
        let mut columns = Vec::with_capacity(bound_left.columns.len());
        let mut types = Vec::with_capacity(bound_left.columns.len());
        for index in 0..bound_left.columns.len() {
            let inputs = [
                (bound_left.columns[index].ty, self.target_position(left, index)),
                (bound_right.columns[index].ty, self.target_position(right, index)),
            ];
            let ty = self.common_type(&inputs, name)?;
            if !all || kind != SetKind::Union {
                self.require_equality(ty, inputs[0].1)?;
            }
            types.push(ty);
        }
        self.retype(&mut bound_left, &types, name)?;
        self.retype(&mut bound_right, &types, name)?;
        for (column, ty) in bound_left.columns.iter().zip(&types) {
            let output = self.new_column(&column.name, *ty);
            columns.push(output);
        }
        let ids = |query: &Query| -> Vec<ColumnId> { query.columns.iter().map(|column| column.id).collect() };
        let rel = Rel::SetOperation {
            kind,
            all,
            left_columns: ids(&bound_left),
            left: Box::new(bound_left.rel),
            right_columns: ids(&bound_right),
            right: Box::new(bound_right.rel),
            columns: columns.clone(),
        };
        Ok(Query { rel, columns })
    }

    /// Brings a query's columns to types: literals where they stand, the rest by a projection over it.
    pub(super) fn retype(&mut self, query: &mut Query, types: &[Type], what: &str) -> SqlResult<()> {
        for (column, ty) in query.columns.iter_mut().zip(types) {
            if column.ty.oid == oid::UNKNOWN {
                self.retype_unknown(&mut query.rel, column.id, *ty)?;
                column.ty = Type::new(ty.oid);
            }
        }
        if query
            .columns
            .iter()
            .zip(types)
            .all(|(column, ty)| column.ty.oid == ty.oid)
        {
            return Ok(());
        }
        let mut columns = Vec::with_capacity(types.len());
        for (column, ty) in query.columns.iter().zip(types) {
            let value = self.coerce_common(super::expr_column(column), *ty, what)?;
            columns.push((self.new_column(&column.name, *ty), value));
        }
        let outputs: Vec<OutputColumn> = columns.iter().map(|(column, _)| column.clone()).collect();
        let input = std::mem::replace(&mut query.rel, Rel::OneRow);
        query.rel = Rel::Project {
            input: Box::new(input),
            columns,
        };
        query.columns = outputs;
        Ok(())
    }

    /// Types a literal in the projection that makes a column.
    pub(super) fn retype_unknown(&mut self, rel: &mut Rel, id: ColumnId, ty: Type) -> SqlResult<()> {
        match rel {
            Rel::Project { columns, .. } => {
                for (column, expr) in columns.iter_mut().filter(|(column, _)| column.id == id) {
                    let null = super::coerce::literal(storage::Datum::Null, ty);
                    let taken: Expr = std::mem::replace(expr, null);
                    *expr = match taken.kind {
                        ExprKind::Column(_) => taken,
                        _ => self.coerce_type(taken, ty, crate::functions::CastContext::Implicit)?,
                    };
                    column.ty = Type::new(ty.oid);
                }
                Ok(())
            }
            Rel::Filter { input, .. }
            | Rel::Sort { input, .. }
            | Rel::Limit { input, .. }
            | Rel::Distinct { input, .. }
            | Rel::LockRows { input, .. } => self.retype_unknown(input, id, ty),
            Rel::With { body, .. } => self.retype_unknown(body, id, ty),
            _ => Ok(()),
        }
    }

    /// Position of an arm's output column, for messages.
    fn target_position(&self, body: &sql::SetExpr, index: usize) -> Option<u32> {
        match body {
            sql::SetExpr::Select(select) => match select.projection.get(index)? {
                sql::SelectItem::UnnamedExpr(expr) | sql::SelectItem::ExprWithAlias { expr, .. } => self.start(expr),
                _ => None,
            },
            sql::SetExpr::Query(query) => self.target_position(&query.body, index),
            sql::SetExpr::SetOperation { left, .. } => self.target_position(left, index),
            sql::SetExpr::Values(values) => self.start(values.rows.first()?.content.get(index)?),
            _ => None,
        }
    }

    fn first_target(&self, body: &sql::SetExpr) -> Option<u32> {
        match body {
            sql::SetExpr::Select(select) => match select.projection.first()? {
                sql::SelectItem::Wildcard(options) => self.at(options.wildcard_token.0.span),
                sql::SelectItem::QualifiedWildcard(sql::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    self.at(name.0.first()?.as_ident()?.span)
                }
                _ => self.target_position(body, 0),
            },
            sql::SetExpr::Query(query) => self.first_target(&query.body),
            _ => self.target_position(body, 0),
        }
    }
}
