//! SELECT: the clauses of one query level, in the order PostgreSQL binds them.

use sqlparser::ast as sql;

use crate::bound::{Expr, ExprKind, OutputColumn, Query, Rel, SortKey};
use crate::functions;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;
use super::context::Context;
use super::lock::Lock;
use super::srf::project_sets;
use super::target::Target;

/// What stands behind the body of a query: ORDER BY, LIMIT, row locks.
#[derive(Clone, Default)]
pub(super) struct Tail<'a> {
    pub order_by: &'a [sql::OrderByExpr],
    pub limit: Option<&'a sql::Expr>,
    pub offset: Option<&'a sql::Expr>,
    pub with_ties: bool,
    pub locks: Vec<Lock>,
    /// Unknown literals of the select list become text; set operations and INSERT decide later.
    pub keep_unknown: bool,
}

/// DISTINCT as bound.
enum Distinct {
    No,
    All,
    On(Vec<usize>),
}

impl Binder<'_> {
    /// Binds one SELECT with what follows it, in a scope of its own.
    pub(super) fn bind_select(&mut self, select: &sql::Select, tail: &Tail<'_>) -> SqlResult<Query> {
        self.with_scope(|binder| binder.bind_select_clauses(select, tail))
    }

    fn bind_select_clauses(&mut self, select: &sql::Select, tail: &Tail<'_>) -> SqlResult<Query> {
        self.reject_foreign_clauses(select)?;
        self.read_windows(&select.named_window)?;
        let mut rel = self.bind_from(&select.from)?;
        let mut targets = self.bind_targets(&select.projection, Context::SelectTarget)?;
        if let Some(condition) = &select.selection {
            let predicate = self.bind_condition(Context::Where, condition, "WHERE")?;
            rel = Rel::Filter {
                input: Box::new(rel),
                predicate,
            };
        }
        let mut having = match &select.having {
            Some(condition) => Some(self.bind_condition(Context::Having, condition, "HAVING")?),
            None => None,
        };
        let order = self.bind_order(&mut targets, tail.order_by)?;
        let groups = self.bind_groups(&select.group_by, &mut targets)?;
        let distinct = self.bind_distinct_clause(select.distinct.as_ref(), &mut targets, &order)?;
        let (limit, offset) = self.bind_limits(tail)?;
        if !tail.keep_unknown {
            for target in &mut targets {
                let expr = std::mem::replace(
                    &mut target.expr,
                    super::coerce::literal(storage::Datum::Null, Type::TEXT),
                );
                target.expr = self.unknown_to_text(expr)?;
            }
        }
        let grouped = groups.is_some() || having.is_some() || !self.scope().aggregates.is_empty();
        let windowed = !self.scope().windows.is_empty();
        if !tail.locks.is_empty() {
            self.check_lockable(select, grouped, windowed, &tail.locks)?;
        }
        if grouped || !self.scope().groupings.is_empty() {
            let keys = self
                .primary_keys_in_scope()
                .into_iter()
                .flat_map(|(key, all)| [key, all])
                .collect();
            rel = self.aggregate(rel, groups, &mut targets, &mut having, keys)?;
            if let Some(predicate) = having {
                rel = Rel::Filter {
                    input: Box::new(rel),
                    predicate,
                };
            }
        }
        let windows = std::mem::take(&mut self.scope().windows);
        if !windows.is_empty() {
            rel = Rel::Window {
                input: Box::new(rel),
                calls: windows,
            };
        }
        let sets = std::mem::take(&mut self.scope().sets);
        rel = project_sets(rel, sets);
        let locks = self.bind_locks(&tail.locks)?;
        for lock in &locks {
            super::lock::expose_key(&mut rel, lock.row_key, Type::BYTEA);
            if let Some(table_oid) = lock.table_oid {
                super::lock::expose_key(&mut rel, table_oid, Type::OID);
            }
        }
        self.finish(
            rel,
            targets,
            order,
            distinct,
            Limits {
                limit,
                offset,
                with_ties: tail.with_ties,
            },
            locks,
        )
    }

    /// Clauses of other dialects that sqlparser reads.
    fn reject_foreign_clauses(&self, select: &sql::Select) -> SqlResult<()> {
        let foreign = select.top.is_some()
            || !select.lateral_views.is_empty()
            || select.prewhere.is_some()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || select.qualify.is_some()
            || select.value_table_mode.is_some();
        if foreign {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "syntax error in SELECT: a clause PostgreSQL does not have",
            ));
        }
        if let Some(into) = &select.into {
            let place = into.targets.first().and_then(|target| self.start(target));
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "SELECT ... INTO is not allowed here").at(place));
        }
        Ok(())
    }

    /// ORDER BY: positions of the keys' entries, with their directions.
    pub(super) fn bind_order(
        &mut self,
        targets: &mut Vec<Target>,
        keys: &[sql::OrderByExpr],
    ) -> SqlResult<Vec<(usize, SortKey)>> {
        let mut order: Vec<(usize, SortKey)> = Vec::with_capacity(keys.len());
        for key in keys {
            let index = self.find_target(targets, &key.expr, Context::OrderBy)?;
            let mut expr = self.unknown_to_text(targets[index].expr.clone())?;
            targets[index].expr = expr.clone();
            expr.position = self.start(&key.expr).or(expr.position);
            let key = self.sort_key(expr, &key.options)?;
            // A repeated key changes nothing.
            if order.iter().all(|(known, _)| *known != index) {
                order.push((index, key));
            }
        }
        Ok(order)
    }

    fn bind_distinct_clause(
        &mut self,
        distinct: Option<&sql::Distinct>,
        targets: &mut Vec<Target>,
        order: &[(usize, SortKey)],
    ) -> SqlResult<Distinct> {
        match distinct {
            None | Some(sql::Distinct::All) => Ok(Distinct::No),
            Some(sql::Distinct::Distinct) => {
                for (index, key) in order {
                    if targets[*index].hidden {
                        return Err(SqlError::new(
                            SqlState::INVALID_COLUMN_REFERENCE,
                            "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                        )
                        .at(key.expr.position));
                    }
                }
                for target in targets.iter_mut() {
                    let expr = std::mem::replace(
                        &mut target.expr,
                        super::coerce::literal(storage::Datum::Null, Type::TEXT),
                    );
                    target.expr = self.unknown_to_text(expr)?;
                    self.require_equality(target.expr.ty, target.expr.position)?;
                }
                Ok(Distinct::All)
            }
            Some(sql::Distinct::On(keys)) => {
                let mut on = Vec::with_capacity(keys.len());
                let mut places: Vec<Option<u32>> = Vec::with_capacity(keys.len());
                for key in keys {
                    let index = self.find_target(targets, key, Context::DistinctOn)?;
                    targets[index].expr = self.unknown_to_text(targets[index].expr.clone())?;
                    self.require_equality(targets[index].expr.ty, self.start(key))?;
                    if !on.contains(&index) {
                        on.push(index);
                        places.push(self.start(key));
                    }
                }
                // The keys must be those ORDER BY begins with, in any order.
                let mismatch = |position| {
                    SqlError::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                    )
                    .at(position)
                };
                let mut skipped = false;
                for (index, _) in order {
                    match on.iter().position(|known| known == index) {
                        None => skipped = true,
                        Some(place) if skipped => return Err(mismatch(places[place])),
                        Some(_) => {}
                    }
                }
                let matched = order.iter().take_while(|(index, _)| on.contains(index)).count();
                if skipped && matched < on.len() {
                    let unmatched = on
                        .iter()
                        .position(|index| order.iter().all(|(known, _)| known != index));
                    return Err(mismatch(unmatched.and_then(|place| places[place])));
                }
                Ok(Distinct::On(on))
            }
        }
    }

    /// 42883 for a type without equality.
    pub(super) fn require_equality(&self, ty: Type, position: Option<u32>) -> SqlResult<()> {
        if ty.oid == oid::UNKNOWN || functions::equality(ty.oid).is_some() {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::UNDEFINED_FUNCTION,
            format!(
                "could not identify an equality operator for type {}",
                self.type_name(ty)
            ),
        )
        .at(position))
    }

    /// LIMIT and OFFSET.
    pub(super) fn bind_limits(&mut self, tail: &Tail<'_>) -> SqlResult<(Option<Expr>, Option<Expr>)> {
        if tail.with_ties && tail.order_by.is_empty() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "WITH TIES cannot be specified without ORDER BY clause",
            ));
        }
        if tail.with_ties && tail.locks.iter().any(super::lock::Lock::skips) {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "SKIP LOCKED and WITH TIES options cannot be used together",
            ));
        }
        // PostgreSQL binds OFFSET first.
        let offset = tail
            .offset
            .map(|expr| self.bind_limit(Context::Offset, expr, "OFFSET"))
            .transpose()?;
        let limit = tail
            .limit
            .map(|expr| self.bind_limit(Context::Limit, expr, "LIMIT"))
            .transpose()?;
        if tail.with_ties
            && let Some(limit) = &limit
            && matches!(limit.kind, ExprKind::Literal(storage::Datum::Null))
        {
            return Err(SqlError::new(
                SqlState::INVALID_ROW_COUNT_IN_LIMIT,
                "row count cannot be null in FETCH FIRST ... WITH TIES clause",
            ));
        }
        Ok((limit, offset))
    }

    fn bind_limit(&mut self, context: Context, expr: &sql::Expr, name: &str) -> SqlResult<Expr> {
        let bound = self.bind_in(context, expr)?;
        let bound = self.coerce_to_named(bound, Type::INT8, name)?;
        let level = self.level();
        let mut variable = None;
        crate::bound::visit::walk_expr(&bound, &mut |part| {
            if let ExprKind::Column(id) = part.kind
                && self.facts(id).level == level
            {
                variable = variable.or(part.position);
            }
        });
        if let Some(position) = variable {
            return Err(SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("argument of {name} must not contain variables"),
            )
            .at(Some(position)));
        }
        Ok(bound)
    }

    /// Projection, DISTINCT, ORDER BY, row locks, LIMIT over what the clauses below made.
    fn finish(
        &mut self,
        input: Rel,
        targets: Vec<Target>,
        order: Vec<(usize, SortKey)>,
        distinct: Distinct,
        limits: Limits,
        locks: Vec<crate::bound::RowLock>,
    ) -> SqlResult<Query> {
        // Entries made for GROUP BY only are gone once the groups are made.
        let needed = |index: usize| {
            order.iter().any(|(key, _)| *key == index) || matches!(&distinct, Distinct::On(on) if on.contains(&index))
        };
        let mut columns = Vec::with_capacity(targets.len());
        let mut outputs: Vec<OutputColumn> = Vec::new();
        let mut ids: Vec<OutputColumn> = Vec::with_capacity(targets.len());
        for (index, target) in targets.into_iter().enumerate() {
            let column = self.new_column(&target.name, target.expr.ty);
            if target.hidden && !needed(index) {
                ids.push(column);
                continue;
            }
            if let ExprKind::Column(id) = target.expr.kind {
                let origin = self.facts(id).origin;
                self.set_origin(column.id, origin);
            }
            if !target.hidden {
                outputs.push(column.clone());
            }
            ids.push(column.clone());
            columns.push((column, target.expr));
        }
        for lock in &locks {
            let hidden = [(lock.row_key, Type::BYTEA)].into_iter();
            for (id, ty) in hidden.chain(lock.table_oid.map(|id| (id, Type::OID))) {
                if columns.iter().any(|(column, _)| column.id == id) {
                    continue;
                }
                let name = format!("row key of {}", lock.table.name);
                let column = OutputColumn { id, name, ty };
                let value = super::expr_column(&column);
                columns.push((column, value));
            }
        }
        let mut rel = Rel::Project {
            input: Box::new(input),
            columns,
        };
        let keys: Vec<SortKey> = order
            .into_iter()
            .map(|(index, key)| SortKey {
                expr: super::expr_column(&ids[index]),
                ..key
            })
            .collect();
        match distinct {
            Distinct::No => rel = sorted(rel, keys),
            Distinct::All => {
                rel = Rel::Distinct {
                    input: Box::new(rel),
                    on: None,
                };
                rel = sorted(rel, keys);
            }
            // The first row of each group is the first in this order.
            Distinct::On(on) => {
                rel = sorted(rel, keys);
                let on = on.into_iter().map(|index| super::expr_column(&ids[index])).collect();
                rel = Rel::Distinct {
                    input: Box::new(rel),
                    on: Some(on),
                };
            }
        }
        if !locks.is_empty() {
            rel = Rel::LockRows {
                input: Box::new(rel),
                locks,
            };
        }
        Ok(Query {
            rel: limits.over(rel),
            columns: outputs,
        })
    }
}

/// LIMIT and OFFSET, bound.
pub(super) struct Limits {
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
    pub with_ties: bool,
}

impl Limits {
    /// Puts the limits over a relation.
    pub(super) fn over(self, rel: Rel) -> Rel {
        if self.limit.is_none() && self.offset.is_none() {
            return rel;
        }
        Rel::Limit {
            input: Box::new(rel),
            limit: self.limit,
            offset: self.offset,
            with_ties: self.with_ties,
        }
    }
}

/// Puts a sort over a relation if there are keys.
pub(super) fn sorted(rel: Rel, keys: Vec<SortKey>) -> Rel {
    if keys.is_empty() {
        rel
    } else {
        Rel::Sort {
            input: Box::new(rel),
            keys,
        }
    }
}
