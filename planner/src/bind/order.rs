//! ORDER BY and DISTINCT: which select-list entry or expression a key means, and its ordering.

use sqlparser::ast as sql;

use crate::bound::{Expr, OutputColumn, SortKey};
use crate::functions;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState};

use super::Binder;
use super::context::Context;
use super::same::same;
use super::target::Target;

impl Binder<'_> {
    /// A sort key with PostgreSQL's defaults: ascending, NULLs last when ascending and first when descending.
    pub(super) fn sort_key(&mut self, expr: Expr, options: &sql::OrderByOptions) -> SqlResult<SortKey> {
        let expr = self.unknown_to_text(expr)?;
        let descending = match &options.sort {
            None | Some(sql::OrderBySort::Asc) => false,
            Some(sql::OrderBySort::Desc) => true,
            Some(sql::OrderBySort::Using(operator)) => {
                let name = operator
                    .0
                    .last()
                    .and_then(|part| part.as_ident())
                    .map(|ident| ident.value.as_str());
                match name {
                    Some("<") => false,
                    Some(">") => true,
                    _ => {
                        return Err(SqlError::new(
                            SqlState::WRONG_OBJECT_TYPE,
                            format!("operator {operator} is not a valid ordering operator"),
                        )
                        .hint("Ordering operators must be \"<\" or \">\" members of btree operator families.")
                        .at(expr.position));
                    }
                }
            }
        };
        if expr.ty.oid != oid::UNKNOWN && functions::less(expr.ty.oid).is_none() {
            return Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!(
                    "could not identify an ordering operator for type {}",
                    self.type_name(expr.ty)
                ),
            )
            .hint("Use an explicit ordering operator or modify the query.")
            .at(expr.position));
        }
        Ok(SortKey {
            expr,
            descending,
            nulls_first: options.nulls_first.unwrap_or(descending),
        })
    }

    /// The select-list entry a key of ORDER BY, GROUP BY or DISTINCT ON means, adding a hidden one for an expression that is
    /// not in the list (findTargetlistEntrySQL92).
    pub(super) fn find_target(
        &mut self,
        targets: &mut Vec<Target>,
        key: &sql::Expr,
        context: Context,
    ) -> SqlResult<usize> {
        let clause = match context {
            Context::GroupBy => "GROUP BY",
            Context::DistinctOn => "DISTINCT ON",
            _ => "ORDER BY",
        };
        let position = self.start(key);
        match key {
            sql::Expr::Identifier(ident) if !super::expr::is_default(ident) => {
                // GROUP BY prefers columns of FROM, the others prefer output names.
                let input = context == Context::GroupBy && self.level_has_column(&ident.value, position)?;
                if !input && let Some(index) = self.target_by_name(targets, &ident.value, clause, position)? {
                    return Ok(index);
                }
            }
            sql::Expr::Value(sql::ValueWithSpan { value, .. }) => match value {
                sql::Value::Number(text, _)
                    if text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<i32>().is_ok() =>
                {
                    let number: usize = text.parse().unwrap_or(0);
                    let visible = targets.iter().filter(|target| !target.hidden).count();
                    if number == 0 || number > visible {
                        return Err(SqlError::new(
                            SqlState::INVALID_COLUMN_REFERENCE,
                            format!("{clause} position {text} is not in select list"),
                        )
                        .at(position));
                    }
                    return Ok(number - 1);
                }
                sql::Value::Placeholder(_) => {}
                _ => {
                    return Err(
                        SqlError::new(SqlState::SYNTAX_ERROR, format!("non-integer constant in {clause}")).at(position),
                    );
                }
            },
            _ => {}
        }
        let expr = self.bind_in(context, key)?;
        Ok(self.target_of(targets, expr))
    }

    /// The entry with this expression, added hidden if there is none.
    pub(super) fn target_of(&mut self, targets: &mut Vec<Target>, expr: Expr) -> usize {
        if let Some(index) = targets.iter().position(|target| same(&target.expr, &expr)) {
            return index;
        }
        targets.push(Target {
            name: "?column?".into(),
            expr,
            hidden: true,
        });
        targets.len() - 1
    }

    fn target_by_name(
        &self,
        targets: &[Target],
        name: &str,
        clause: &str,
        position: Option<u32>,
    ) -> SqlResult<Option<usize>> {
        let mut found: Option<usize> = None;
        for (i, target) in targets
            .iter()
            .enumerate()
            .filter(|(_, target)| !target.hidden && target.name == name)
        {
            match found {
                Some(first) if !same(&targets[first].expr, &target.expr) => {
                    return Err(
                        SqlError::new(SqlState::AMBIGUOUS_COLUMN, format!("{clause} \"{name}\" is ambiguous"))
                            .at(position),
                    );
                }
                Some(_) => {}
                None => found = Some(i),
            }
        }
        Ok(found)
    }

    /// Whether a FROM item of this query level has a column of the name.
    fn level_has_column(&mut self, name: &str, position: Option<u32>) -> SqlResult<bool> {
        let floor = std::mem::replace(&mut self.scope_floor, self.scopes.len() - 1);
        let found = self.find_column(name, position);
        self.scope_floor = floor;
        Ok(found?.is_some())
    }

    /// ORDER BY over the columns of a set operation: names and positions only.
    pub(super) fn set_order(&mut self, columns: &[OutputColumn], keys: &[sql::OrderByExpr]) -> SqlResult<Vec<SortKey>> {
        let mut targets: Vec<Target> = columns
            .iter()
            .map(|column| Target {
                name: column.name.clone(),
                expr: super::expr_column(column),
                hidden: false,
            })
            .collect();
        let count = targets.len();
        let mut sorted = Vec::with_capacity(keys.len());
        for key in keys {
            let position = self.start(&key.expr);
            let index = match &key.expr {
                sql::Expr::Identifier(_) | sql::Expr::Value(_) => {
                    self.find_target(&mut targets, &key.expr, Context::OrderBy)?
                }
                other => {
                    self.bind_in(Context::OrderBy, other)?;
                    count
                }
            };
            if index >= count {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                )
                .detail("Only result column names can be used, not expressions or functions.")
                .hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
                .at(position));
            }
            let mut expr = targets[index].expr.clone();
            expr.position = position;
            sorted.push(self.sort_key(expr, &key.options)?);
        }
        Ok(sorted)
    }
}
