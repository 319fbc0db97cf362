//! GROUP BY: plain keys, GROUPING SETS, ROLLUP and CUBE, GROUPING(), and columns a primary key determines.

use std::collections::HashSet;

use sqlparser::ast as sql;

use crate::bound::{Expr, ExprKind, FunctionCall, OutputColumn, Rel};
use crate::functions;
use crate::{SqlError, SqlResult, SqlState};

use super::Binder;
use super::context::Context;
use super::same::{same, same_value};
use super::subst::Grouping;
use super::target::Target;

/// Most grouping sets, as in PostgreSQL.
const SETS_MAX: usize = 4096;

/// A set-returning call with its depth of nesting and its column.
type SetCall = (usize, FunctionCall, OutputColumn);

/// GROUP BY, bound: the expressions grouped by and the sets of them.
pub(super) struct Groups {
    pub exprs: Vec<Expr>,
    pub sets: Vec<Vec<usize>>,
}

impl Binder<'_> {
    /// Binds GROUP BY; `None` if there is none.
    pub(super) fn bind_groups(
        &mut self,
        group_by: &sql::GroupByExpr,
        targets: &mut Vec<Target>,
    ) -> SqlResult<Option<Groups>> {
        let items = match group_by {
            sql::GroupByExpr::Expressions(items, modifiers) if modifiers.is_empty() => items,
            sql::GroupByExpr::Expressions(..) => return Err(SqlError::unsupported("this form of GROUP BY")),
            sql::GroupByExpr::All(_) => {
                return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at end of input"));
            }
        };
        if items.is_empty() {
            return Ok(None);
        }
        let mut groups = Groups {
            exprs: vec![],
            sets: vec![vec![]],
        };
        for item in items {
            let sets = self.bind_group_item(item, targets, &mut groups.exprs)?;
            // Items multiply: every set of one with every set of the others.
            let mut product = Vec::with_capacity(groups.sets.len() * sets.len());
            for left in &groups.sets {
                for right in &sets {
                    let mut set = left.clone();
                    set.extend(right.iter().filter(|index| !left.contains(index)));
                    product.push(set);
                }
            }
            if product.len() > SETS_MAX {
                return Err(SqlError::new(
                    SqlState::STATEMENT_TOO_COMPLEX,
                    format!("too many grouping sets present (maximum {SETS_MAX})"),
                ));
            }
            groups.sets = product;
        }
        Ok(Some(groups))
    }

    /// The sets one item of GROUP BY stands for.
    fn bind_group_item(
        &mut self,
        item: &sql::Expr,
        targets: &mut Vec<Target>,
        exprs: &mut Vec<Expr>,
    ) -> SqlResult<Vec<Vec<usize>>> {
        match item {
            sql::Expr::GroupingSets(sets) => {
                let mut all = Vec::new();
                for set in sets {
                    match set.as_slice() {
                        [nested @ (sql::Expr::GroupingSets(_) | sql::Expr::Rollup(_) | sql::Expr::Cube(_))] => {
                            all.extend(self.bind_group_item(nested, targets, exprs)?);
                        }
                        plain => all.push(self.bind_group_list(plain, targets, exprs)?),
                    }
                }
                Ok(all)
            }
            sql::Expr::Rollup(parts) => {
                let parts = self.bind_group_parts(parts, targets, exprs)?;
                Ok((0..=parts.len()).rev().map(|length| union(&parts[..length])).collect())
            }
            sql::Expr::Cube(parts) => {
                if parts.len() > 12 {
                    return Err(
                        SqlError::new(SqlState::TOO_MANY_COLUMNS, "CUBE is limited to 12 elements")
                            .at(self.start(item)),
                    );
                }
                let parts = self.bind_group_parts(parts, targets, exprs)?;
                let masks = (0..1usize << parts.len()).rev();
                let pick = |mask: usize| -> Vec<Vec<usize>> {
                    let chosen = parts
                        .iter()
                        .enumerate()
                        .filter(|(i, _)| mask >> (parts.len() - 1 - i) & 1 == 1);
                    chosen.map(|(_, part)| part.clone()).collect()
                };
                Ok(masks.map(|mask| union(&pick(mask))).collect())
            }
            // `(a, b)` groups by a and b, `()` by nothing.
            sql::Expr::Tuple(items) => Ok(vec![self.bind_group_list(items, targets, exprs)?]),
            other => Ok(vec![vec![self.bind_group_key(other, targets, exprs)?]]),
        }
    }

    fn bind_group_parts(
        &mut self,
        parts: &[Vec<sql::Expr>],
        targets: &mut Vec<Target>,
        exprs: &mut Vec<Expr>,
    ) -> SqlResult<Vec<Vec<usize>>> {
        parts
            .iter()
            .map(|part| self.bind_group_list(part, targets, exprs))
            .collect()
    }

    fn bind_group_list(
        &mut self,
        items: &[sql::Expr],
        targets: &mut Vec<Target>,
        exprs: &mut Vec<Expr>,
    ) -> SqlResult<Vec<usize>> {
        let mut set = Vec::with_capacity(items.len());
        for item in items {
            let keys = match item {
                sql::Expr::Tuple(inner) => self.bind_group_list(inner, targets, exprs)?,
                key => vec![self.bind_group_key(key, targets, exprs)?],
            };
            set.extend(keys.into_iter().filter(|key| !set.contains(key)).collect::<Vec<_>>());
        }
        Ok(set)
    }

    fn bind_group_key(
        &mut self,
        key: &sql::Expr,
        targets: &mut Vec<Target>,
        exprs: &mut Vec<Expr>,
    ) -> SqlResult<usize> {
        let position = self.start(key);
        let index = self.find_target(targets, key, Context::GroupBy)?;
        let expr = self.unknown_to_text(targets[index].expr.clone())?;
        targets[index].expr = expr.clone();
        self.check_group_key(&expr, position)?;
        if let Some(known) = exprs.iter().position(|known| same(known, &expr)) {
            return Ok(known);
        }
        exprs.push(expr);
        Ok(exprs.len() - 1)
    }

    fn check_group_key(&mut self, expr: &Expr, position: Option<u32>) -> SqlResult<()> {
        // By position or alias one may name an entry that holds an aggregate.
        let scope = self.scope();
        let mut aggregate = false;
        let mut window = false;
        crate::bound::visit::walk_expr(expr, &mut |part| {
            if let ExprKind::Column(id) = part.kind {
                aggregate |= scope.aggregates.iter().any(|(column, _)| column.id == id);
                window |= scope.windows.iter().any(|(column, _)| column.id == id);
            }
        });
        if aggregate {
            return Err(SqlError::new(
                SqlState::GROUPING_ERROR,
                "aggregate functions are not allowed in GROUP BY",
            )
            .at(expr.position.or(position)));
        }
        if window {
            return Err(SqlError::new(
                SqlState::WINDOWING_ERROR,
                "window functions are not allowed in GROUP BY",
            )
            .at(expr.position.or(position)));
        }
        if functions::equality(expr.ty.oid).is_none() {
            return Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!(
                    "could not identify an equality operator for type {}",
                    self.type_name(expr.ty)
                ),
            )
            .at(expr.position.or(position)));
        }
        Ok(())
    }

    /// Puts the aggregation of the current level over its input, and makes what stands above it speak of its columns.
    pub(super) fn aggregate(
        &mut self,
        input: Rel,
        groups: Option<Groups>,
        targets: &mut [Target],
        having: &mut Option<Expr>,
        key_columns: Vec<HashSet<u32>>,
    ) -> SqlResult<Rel> {
        let groups = groups.unwrap_or(Groups {
            exprs: vec![],
            sets: vec![vec![]],
        });
        let input = self.sets_below(input, &groups.exprs, targets);
        let plain = groups.sets.len() == 1;
        let level = self.level();
        let mut columns = Vec::with_capacity(groups.exprs.len());
        for expr in &groups.exprs {
            let name = match expr.kind {
                ExprKind::Column(id) => self.facts(id).name.to_string(),
                _ => "?column?".to_owned(),
            };
            let column = self.new_column(&name, expr.ty);
            if let ExprKind::Column(id) = expr.kind {
                let origin = self.facts(id).origin;
                self.set_origin(column.id, origin);
            }
            columns.push(column);
        }
        let scope = self.scope();
        let aggregates = std::mem::take(&mut scope.aggregates);
        let mut windows = std::mem::take(&mut scope.windows);
        let mut sets = std::mem::take(&mut scope.sets);
        let groupings = std::mem::take(&mut scope.groupings);
        let mut produced: HashSet<u32> = aggregates.iter().map(|(column, _)| column.id.0).collect();
        produced.extend(windows.iter().map(|(column, _)| column.id.0));
        produced.extend(sets.iter().map(|(_, _, column)| column.id.0));
        produced.extend(groupings.iter().map(|(column, ..)| column.id.0));
        let keyed_columns = if plain {
            determined_by_key(&groups.exprs, key_columns)
        } else {
            HashSet::new()
        };
        let mut grouping = Grouping {
            level,
            groups: columns.into_iter().zip(groups.exprs).collect(),
            determined: vec![],
            produced,
            keyed_columns,
        };
        for target in targets.iter_mut() {
            self.substitute(&mut target.expr, &mut grouping)?;
        }
        if let Some(having) = having {
            self.substitute(having, &mut grouping)?;
        }
        for (_, call) in &mut windows {
            self.substitute_window(call, &mut grouping)?;
        }
        for (_, call, _) in &mut sets {
            for arg in &mut call.args {
                self.substitute(arg, &mut grouping)?;
            }
        }
        let groupings = self.grouping_masks(groupings, &grouping.groups)?;
        let mut sets_of_groups = groups.sets;
        let mut group_columns = grouping.groups;
        for determined in grouping.determined {
            for set in &mut sets_of_groups {
                set.push(group_columns.len());
            }
            group_columns.push(determined);
        }
        let scope = self.scope();
        scope.windows = windows;
        scope.sets = sets;
        Ok(Rel::Aggregate {
            input: Box::new(input),
            groups: group_columns,
            sets: sets_of_groups,
            aggregates,
            groupings,
        })
    }

    /// Puts the set-returning calls that are grouped by below the aggregation: their rows are what is grouped. The same call
    /// in the select list is the value grouped by.
    fn sets_below(&mut self, input: Rel, groups: &[Expr], targets: &mut [Target]) -> Rel {
        let mut wanted: HashSet<u32> = HashSet::new();
        let note = |expr: &Expr, wanted: &mut HashSet<u32>| {
            crate::bound::visit::walk_expr(expr, &mut |part| {
                if let ExprKind::Column(id) = part.kind {
                    wanted.insert(id.0);
                }
            });
        };
        groups.iter().for_each(|group| note(group, &mut wanted));
        let mut above = std::mem::take(&mut self.scope().sets);
        let mut below: Vec<SetCall> = Vec::new();
        // A call over another one's rows needs that one below it, too.
        while let Some(at) = above.iter().position(|(_, _, column)| wanted.contains(&column.id.0)) {
            let call = above.remove(at);
            call.1.args.iter().for_each(|arg| note(arg, &mut wanted));
            below.push(call);
        }
        let alike = |(_, a, _): &SetCall, (_, b, _): &SetCall| {
            std::ptr::eq(a.function, b.function)
                && a.args.len() == b.args.len()
                && a.args.iter().zip(&b.args).all(|(a, b)| same(a, b))
        };
        above.retain(|call| {
            let Some((_, _, grouped)) = below.iter().find(|other| alike(call, other)) else {
                return true;
            };
            for target in targets.iter_mut() {
                crate::bound::visit::walk_expr_mut(&mut target.expr, &mut |part| match &mut part.kind {
                    ExprKind::Column(id) if *id == call.2.id => *id = grouped.id,
                    _ => {}
                });
            }
            false
        });
        self.scope().sets = above;
        super::srf::project_sets(input, below)
    }

    fn substitute_window(&mut self, call: &mut crate::bound::WindowCall, grouping: &mut Grouping) -> SqlResult<()> {
        for arg in call
            .call
            .args
            .iter_mut()
            .chain(&mut call.call.filter)
            .chain(&mut call.partition)
        {
            self.substitute(arg, grouping)?;
        }
        for key in &mut call.order {
            self.substitute(&mut key.expr, grouping)?;
        }
        Ok(())
    }

    /// The groups each GROUPING(…) looks at.
    fn grouping_masks(
        &self,
        groupings: Vec<(OutputColumn, Vec<Expr>, Option<u32>)>,
        groups: &[(OutputColumn, Expr)],
    ) -> SqlResult<Vec<(OutputColumn, Vec<usize>)>> {
        let mut masks = Vec::with_capacity(groupings.len());
        for (column, args, position) in groupings {
            let mut mask = Vec::with_capacity(args.len());
            for arg in &args {
                let Some(index) = groups.iter().position(|(_, group)| same_value(group, arg)) else {
                    return Err(SqlError::new(
                        SqlState::GROUPING_ERROR,
                        "arguments to GROUPING must be grouping expressions of the associated query level",
                    )
                    .at(arg.position.or(position)));
                };
                mask.push(index);
            }
            masks.push((column, mask));
        }
        Ok(masks)
    }

    /// For each table in FROM with a primary key: the key's column ids, and then all of its column ids.
    pub(super) fn primary_keys_in_scope(&self) -> Vec<(HashSet<u32>, HashSet<u32>)> {
        let Some(scope) = self.scopes.last() else { return vec![] };
        let mut keys = Vec::new();
        for item in &scope.items {
            let Some(relation) = &item.relation else { continue };
            let Some(primary) = relation.primary_key() else {
                continue;
            };
            let ids: Vec<Option<u32>> = item
                .columns
                .iter()
                .map(|column| match column.expr.kind {
                    ExprKind::Column(id) => Some(id.0),
                    _ => None,
                })
                .collect();
            let live: Vec<u16> = relation.live_columns().map(|(position, _)| position).collect();
            let mut key = HashSet::new();
            for part in &primary.keys {
                let crate::catalog::IndexSource::Column(position) = part.source else {
                    continue;
                };
                if let Some(id) = live
                    .iter()
                    .position(|&p| p == position)
                    .and_then(|i| ids.get(i).copied().flatten())
                {
                    key.insert(id);
                }
            }
            if key.len() == primary.keys.len() {
                let row_key = item.row_key.map(|id| id.0);
                keys.push((key, ids.into_iter().flatten().chain(row_key).collect()));
            }
        }
        keys
    }
}

/// Columns of the tables all of whose primary key is grouped by. `key_columns` alternates keys and their tables' columns.
fn determined_by_key(groups: &[Expr], key_columns: Vec<HashSet<u32>>) -> HashSet<u32> {
    let grouped: HashSet<u32> = groups
        .iter()
        .filter_map(|group| match group.kind {
            ExprKind::Column(id) => Some(id.0),
            _ => None,
        })
        .collect();
    let mut determined = HashSet::new();
    for pair in key_columns.chunks(2) {
        if let [key, columns] = pair
            && key.is_subset(&grouped)
        {
            determined.extend(columns);
        }
    }
    determined
}

/// The union of some sets, in order.
fn union(parts: &[Vec<usize>]) -> Vec<usize> {
    let mut all = Vec::new();
    for index in parts.iter().flatten() {
        if !all.contains(index) {
            all.push(*index);
        }
    }
    all
}
