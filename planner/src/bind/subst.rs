//! Substitution: after GROUP BY, what stands above the aggregation may only speak of groups and aggregates.
//!
//! Every part of an expression that is written like a group expression becomes that group's column. A column of the input
//! that is left over is an error, unless the grouped table's primary key determines it.

use crate::bound::{Expr, ExprKind, OutputColumn, Rel, visit};
use crate::{SqlError, SqlResult, SqlState};

use super::Binder;
use super::same::{same, same_value};

/// What the aggregation of one query level knows.
pub(super) struct Grouping {
    /// Level of the query.
    pub level: usize,
    /// Group columns and the expressions they stand for.
    pub groups: Vec<(OutputColumn, Expr)>,
    /// Columns added because a primary key among the groups determines them.
    pub determined: Vec<(OutputColumn, Expr)>,
    /// Columns the aggregation produces besides: aggregates, windows, sets.
    pub produced: std::collections::HashSet<u32>,
    /// Scans whose primary key is grouped: every column of theirs may be used.
    pub keyed_columns: std::collections::HashSet<u32>,
}

impl Binder<'_> {
    /// Replaces group expressions in one that stands above the aggregation.
    pub(super) fn substitute(&mut self, expr: &mut Expr, grouping: &mut Grouping) -> SqlResult<()> {
        self.substitute_at(expr, grouping, false)
    }

    fn substitute_at(&mut self, expr: &mut Expr, grouping: &mut Grouping, inside: bool) -> SqlResult<()> {
        if let Some((column, _)) = grouping.groups.iter().find(|(_, group)| same_value(group, expr)) {
            expr.kind = ExprKind::Column(column.id);
            return Ok(());
        }
        match &mut expr.kind {
            ExprKind::Column(id) => {
                let id = *id;
                if self.facts(id).level != grouping.level || grouping.produced.contains(&id.0) {
                    return Ok(());
                }
                if grouping
                    .groups
                    .iter()
                    .chain(&grouping.determined)
                    .any(|(column, _)| column.id == id)
                {
                    return Ok(());
                }
                if grouping.keyed_columns.contains(&id.0) {
                    let column = self.determined_column(expr, grouping);
                    expr.kind = ExprKind::Column(column);
                    return Ok(());
                }
                Err(self.ungrouped(expr, inside))
            }
            ExprKind::Subquery(subquery) => {
                self.substitute_rel(&mut subquery.rel, grouping)?;
                let mut result = Ok(());
                visit::for_each_child_mut(expr, &mut |child| {
                    if result.is_ok() {
                        result = self.substitute_at(child, grouping, true);
                    }
                });
                result
            }
            _ => {
                let mut result = Ok(());
                visit::for_each_child_mut(expr, &mut |child| {
                    if result.is_ok() {
                        result = self.substitute_at(child, grouping, inside);
                    }
                });
                result
            }
        }
    }

    /// Outer references of a subquery are substituted too.
    fn substitute_rel(&mut self, rel: &mut Rel, grouping: &mut Grouping) -> SqlResult<()> {
        let mut result = Ok(());
        visit::for_each_own_expr_mut(rel, &mut |expr| {
            if result.is_ok() {
                result = self.substitute_at(expr, grouping, true);
            }
        });
        visit::for_each_input_mut(rel, &mut |input| {
            if result.is_ok() {
                result = self.substitute_rel(input, grouping);
            }
        });
        result
    }

    /// A column that the primary key determines joins the groups.
    fn determined_column(&mut self, expr: &Expr, grouping: &mut Grouping) -> crate::bound::ColumnId {
        if let Some((column, _)) = grouping.determined.iter().find(|(_, known)| same(known, expr)) {
            return column.id;
        }
        let name = match expr.kind {
            ExprKind::Column(id) => self.facts(id).name.clone(),
            _ => "?column?".into(),
        };
        let column = self.new_column_at(grouping.level, &name, expr.ty);
        let id = column.id;
        grouping.determined.push((column, expr.clone()));
        id
    }

    fn ungrouped(&self, expr: &Expr, inside: bool) -> SqlError {
        let ExprKind::Column(id) = expr.kind else {
            return SqlError::new(
                SqlState::GROUPING_ERROR,
                "expression must appear in the GROUP BY clause",
            );
        };
        let facts = self.facts(id);
        let shown = match &facts.table {
            Some(table) => format!("{table}.{}", facts.name),
            None => facts.name.to_string(),
        };
        let message = if inside {
            format!("subquery uses ungrouped column \"{shown}\" from outer query")
        } else {
            format!("column \"{shown}\" must appear in the GROUP BY clause or be used in an aggregate function")
        };
        SqlError::new(SqlState::GROUPING_ERROR, message).at(expr.position)
    }
}
