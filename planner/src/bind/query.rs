//! Queries: WITH, the body, and what follows it; VALUES; parentheses.

use sqlparser::ast as sql;
use sqlparser::ast::Spanned;

use crate::bound::{OutputColumn, Query, Rel};
use crate::{SqlError, SqlResult, SqlState};

use super::Binder;
use super::context::Context;
use super::lock::read_locks;
use super::scope::{Item, ItemColumn};
use super::select::{Limits, Tail, sorted};
use super::target::Target;

impl Binder<'_> {
    /// Binds a query as a subquery: unknown literals of its select list become text.
    pub(super) fn bind_subquery(&mut self, query: &sql::Query) -> SqlResult<Query> {
        self.bind_query_with(query, false)
    }

    /// Binds a query; `keep_unknown` leaves literals of its select list for the caller to type.
    pub(super) fn bind_query_with(&mut self, query: &sql::Query, keep_unknown: bool) -> SqlResult<Query> {
        super::binder::grow(|| {
            self.bind_query_parts(
                query,
                Tail {
                    keep_unknown,
                    ..Tail::default()
                },
            )
        })
    }

    fn bind_query_parts(&mut self, query: &sql::Query, outer: Tail<'_>) -> SqlResult<Query> {
        let keep_unknown = outer.keep_unknown;
        let tail = self.read_tail(query)?;
        let tail = self.merge_tails(tail, outer, query)?;
        let Some(with) = &query.with else {
            return self.bind_body(&query.body, &Tail { keep_unknown, ..tail });
        };
        // WITH is a level of its own: its items see each other, and no FROM.
        let mark = self.ctes.len();
        let result = self.bind_with(with).and_then(|ctes| {
            let body = self.bind_body(&query.body, &Tail { keep_unknown, ..tail })?;
            Ok((ctes, body))
        });
        self.ctes.truncate(mark);
        let (mut ctes, body) = result?;
        for cte in &mut ctes {
            cte.reference_count = self.cte_references.get(&cte.id.0).copied().unwrap_or(0);
        }
        Ok(Query {
            rel: Rel::With {
                ctes,
                body: Box::new(body.rel),
            },
            columns: body.columns,
        })
    }

    /// ORDER BY, LIMIT and locks of a query.
    fn read_tail<'q>(&self, query: &'q sql::Query) -> SqlResult<Tail<'q>> {
        let mut tail = Tail::default();
        if let Some(order_by) = &query.order_by {
            match &order_by.kind {
                sql::OrderByKind::Expressions(keys) => tail.order_by = keys,
                sql::OrderByKind::All(_) => {
                    return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"ALL\""));
                }
            }
        }
        match &query.limit_clause {
            None => {}
            Some(sql::LimitClause::LimitOffset { limit, offset, .. }) => {
                tail.limit = limit.as_ref();
                tail.offset = offset.as_ref().map(|offset| &offset.value);
            }
            Some(sql::LimitClause::OffsetCommaLimit { limit, .. }) => {
                return Err(
                    SqlError::new(SqlState::SYNTAX_ERROR, "LIMIT #,# syntax is not supported")
                        .hint("Use separate LIMIT and OFFSET clauses.")
                        .at(self.start(limit)),
                );
            }
        }
        if let Some(fetch) = &query.fetch {
            if tail.limit.is_some() {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "multiple LIMIT clauses not allowed",
                ));
            }
            if fetch.percent {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "syntax error at or near \"PERCENT\"",
                ));
            }
            tail.limit = Some(fetch.quantity.as_ref().unwrap_or(&ONE));
            tail.with_ties = fetch.with_ties;
        }
        tail.locks = read_locks(self, &query.locks)?;
        Ok(tail)
    }

    /// `(SELECT … LIMIT 5) ORDER BY a`: the outer clauses join the inner query's, if it has none of the kind.
    fn merge_tails<'q>(&self, inner: Tail<'q>, outer: Tail<'q>, query: &sql::Query) -> SqlResult<Tail<'q>> {
        let twice = |clause: &str| {
            SqlError::new(SqlState::SYNTAX_ERROR, format!("multiple {clause} clauses not allowed"))
                .at(self.at(query.span()))
        };
        if !inner.order_by.is_empty() && !outer.order_by.is_empty() {
            return Err(twice("ORDER BY"));
        }
        if inner.limit.is_some() && outer.limit.is_some() {
            return Err(twice("LIMIT"));
        }
        if inner.offset.is_some() && outer.offset.is_some() {
            return Err(twice("OFFSET"));
        }
        let mut locks = inner.locks;
        locks.extend(outer.locks);
        Ok(Tail {
            order_by: if inner.order_by.is_empty() {
                outer.order_by
            } else {
                inner.order_by
            },
            limit: inner.limit.or(outer.limit),
            offset: inner.offset.or(outer.offset),
            with_ties: inner.with_ties || outer.with_ties,
            locks,
            keep_unknown: outer.keep_unknown,
        })
    }

    fn bind_body(&mut self, body: &sql::SetExpr, tail: &Tail<'_>) -> SqlResult<Query> {
        match body {
            sql::SetExpr::Select(select) => self.bind_select(select, tail),
            sql::SetExpr::Query(query) => super::binder::grow(|| self.bind_query_parts(query, tail.clone())),
            sql::SetExpr::SetOperation { .. } => self.bind_set_operation(body, tail),
            sql::SetExpr::Values(values) => self.bind_values(values, tail),
            sql::SetExpr::Insert(statement)
            | sql::SetExpr::Update(statement)
            | sql::SetExpr::Delete(statement)
            | sql::SetExpr::Merge(statement) => self.bind_modify_query(statement),
            sql::SetExpr::Table(table) => self.bind_table_command(table, tail),
        }
    }

    /// `TABLE t`
    fn bind_table_command(&mut self, table: &sql::Table, tail: &Tail<'_>) -> SqlResult<Query> {
        let mut parts = Vec::new();
        parts.extend(table.schema_name.as_deref().map(sql::Ident::new));
        parts.extend(table.table_name.as_deref().map(sql::Ident::new));
        self.with_scope(|binder| {
            let rel = binder.bind_named_relation(&sql::ObjectName::from(parts), None)?;
            let mut targets = Vec::new();
            for item in binder.scope().items.clone() {
                for column in item.columns {
                    targets.push(Target {
                        name: column.name.to_string(),
                        expr: column.expr,
                        hidden: false,
                    });
                }
            }
            binder.finish_simple(rel, targets, tail)
        })
    }

    /// Projection, ORDER BY and LIMIT over a relation whose columns are the targets.
    pub(super) fn finish_simple(&mut self, rel: Rel, mut targets: Vec<Target>, tail: &Tail<'_>) -> SqlResult<Query> {
        let order = self.bind_order(&mut targets, tail.order_by)?;
        let (limit, offset) = self.bind_limits(tail)?;
        let mut columns = Vec::with_capacity(targets.len());
        let mut outputs = Vec::new();
        let mut ids: Vec<OutputColumn> = Vec::new();
        for target in targets {
            let column = self.new_column(&target.name, target.expr.ty);
            if let crate::bound::ExprKind::Column(id) = target.expr.kind {
                let origin = self.facts(id).origin;
                self.set_origin(column.id, origin);
            }
            if !target.hidden {
                outputs.push(column.clone());
            }
            ids.push(column.clone());
            columns.push((column, target.expr));
        }
        let rel = Rel::Project {
            input: Box::new(rel),
            columns,
        };
        let keys = order
            .into_iter()
            .map(|(index, key)| crate::bound::SortKey {
                expr: super::expr_column(&ids[index]),
                ..key
            })
            .collect();
        let limits = Limits {
            limit,
            offset,
            with_ties: tail.with_ties,
        };
        Ok(Query {
            rel: limits.over(sorted(rel, keys)),
            columns: outputs,
        })
    }

    /// VALUES as a query.
    fn bind_values(&mut self, values: &sql::Values, tail: &Tail<'_>) -> SqlResult<Query> {
        self.with_scope(|binder| {
            let (rel, columns) = binder.bind_value_rows(values)?;
            let plain = tail.order_by.is_empty() && tail.limit.is_none() && tail.offset.is_none();
            if !tail.locks.is_empty() {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("{} cannot be applied to VALUES", tail.locks[0].clause()),
                ));
            }
            if plain {
                return Ok(Query { rel, columns });
            }
            let item_columns = columns
                .iter()
                .map(|column| ItemColumn {
                    name: column.name.as_str().into(),
                    expr: super::expr_column(column),
                })
                .collect();
            binder.scope().items.push(Item::new(Some("*VALUES*"), item_columns));
            let targets = columns
                .iter()
                .map(|column| Target {
                    name: column.name.clone(),
                    expr: super::expr_column(column),
                    hidden: false,
                })
                .collect();
            binder.finish_simple(rel, targets, tail)
        })
    }

    /// One value of a VALUES row; `t.*` gives several.
    pub(super) fn bind_value_cell(&mut self, expr: &sql::Expr, row: &mut Vec<crate::bound::Expr>) -> SqlResult<()> {
        if let sql::Expr::QualifiedWildcard(name, _) = expr {
            let before = std::mem::replace(&mut self.scope().context, Context::Values);
            let fields = self.bind_row_items(&[super::expr::RowItem::Star(name)]);
            self.scope().context = before;
            row.extend(fields?);
            return Ok(());
        }
        row.push(self.bind_in(Context::Values, expr)?);
        Ok(())
    }

    /// The rows of VALUES, their columns brought to common types.
    pub(super) fn bind_value_rows(&mut self, values: &sql::Values) -> SqlResult<(Rel, Vec<OutputColumn>)> {
        let mut rows = Vec::with_capacity(values.rows.len());
        let width = values.rows.first().map_or(0, |row| row.content.len());
        for row in &values.rows {
            let row = &row.content;
            if row.len() != width {
                let position = row.first().and_then(|expr| self.start(expr));
                return Err(
                    SqlError::new(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length").at(position),
                );
            }
            let mut bound = Vec::with_capacity(width);
            for expr in row {
                self.bind_value_cell(expr, &mut bound)?;
            }
            rows.push(bound);
        }
        // A star makes rows longer than they are written.
        let width = rows.first().map_or(0, Vec::len);
        if rows.iter().any(|row| row.len() != width) {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "VALUES lists must all be the same length",
            ));
        }
        let mut columns = Vec::with_capacity(width);
        for index in 0..width {
            let inputs: Vec<_> = rows.iter().map(|row| (row[index].ty, row[index].position)).collect();
            let ty = self.common_type(&inputs, "VALUES")?;
            for row in &mut rows {
                let taken = std::mem::replace(&mut row[index], super::coerce::literal(storage::Datum::Null, ty));
                row[index] = self.coerce_common(taken, ty, "VALUES")?;
            }
            columns.push(self.new_column(&format!("column{}", index + 1), ty));
        }
        Ok((
            Rel::Values {
                rows,
                columns: columns.clone(),
            },
            columns,
        ))
    }
}

/// `FETCH FIRST ROW ONLY` fetches one.
static ONE: std::sync::LazyLock<sql::Expr> =
    std::sync::LazyLock::new(|| sql::Expr::value(sql::Value::Number("1".into(), false)));
