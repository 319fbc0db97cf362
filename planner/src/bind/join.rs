//! Joins: ON, USING and NATURAL, and what of their inputs stays visible.

use std::sync::Arc;

use sqlparser::ast as sql;
use sqlparser::ast::{JoinConstraint, JoinOperator};
use storage::Datum;

use crate::bound::{Expr, ExprKind, JoinKind, OutputColumn, Rel};
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;
use super::context::Context;
use super::from::{Source, duplicate_alias, items_clash};
use super::scope::{Item, ItemColumn};

/// Name of the column that says whether a row is there, which no user can write.
pub(super) const PRESENCE: &str = "\u{1}present";

impl Binder<'_> {
    /// A table with the joins that follow it.
    pub(super) fn bind_joined(&mut self, table: &sql::TableWithJoins) -> SqlResult<Source> {
        let mut source = self.bind_factor(&table.relation)?;
        for join in &table.joins {
            source = super::binder::grow(|| self.bind_join(source, join))?;
        }
        Ok(source)
    }

    fn bind_join(&mut self, left: Source, join: &sql::Join) -> SqlResult<Source> {
        let (kind, constraint) = match &join.join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (JoinKind::Inner, constraint),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (JoinKind::Left, constraint),
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (JoinKind::Right, constraint),
            JoinOperator::FullOuter(constraint) => (JoinKind::Full, constraint),
            JoinOperator::CrossJoin(constraint) => (JoinKind::Cross, constraint),
            _ => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "syntax error in FROM: a join PostgreSQL does not have",
                ));
            }
        };
        if kind != JoinKind::Cross && matches!(constraint, JoinConstraint::None) {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at end of input"));
        }
        // The right side sees the left one through LATERAL; the left one's items go back afterwards.
        let first_new = self.next_column_id();
        let base = self.scope().items.len();
        let lateral_ok = matches!(kind, JoinKind::Inner | JoinKind::Left | JoinKind::Cross);
        for item in &left.items {
            let mut item = item.clone();
            item.lateral_only = true;
            item.lateral_ok = lateral_ok;
            self.scope().items.push(item);
        }
        let right = self.bind_factor(&join.relation);
        self.scope().items.truncate(base);
        let (mut left, mut right) = (left, right?);
        if matches!(kind, JoinKind::Right | JoinKind::Full) {
            self.mark_presence(&mut left);
        }
        if matches!(kind, JoinKind::Left | JoinKind::Full) {
            self.mark_presence(&mut right);
        }
        for item in right.items.iter().filter(|item| item.relation_visible) {
            if left
                .items
                .iter()
                .any(|other| other.relation_visible && items_clash(other, item))
            {
                return Err(duplicate_alias(item));
            }
        }
        let lateral = self.refers_before(&right.rel, first_new);
        let (on, columns) = self.join_condition(kind, constraint, &left, &right)?;
        let (mut items, sides) = (left.items, right.items);
        let first_right = items.len();
        items.extend(sides);
        for (at, item) in items.iter_mut().enumerate() {
            item.columns_visible = false;
            item.nullable |= match kind {
                JoinKind::Left => at >= first_right,
                JoinKind::Right => at < first_right,
                JoinKind::Full => true,
                JoinKind::Inner | JoinKind::Cross | JoinKind::Semi | JoinKind::Anti => false,
            };
        }
        if let JoinConstraint::Using(names) = constraint
            && let Some(alias) = names.last().and_then(using_alias)
        {
            // The alias shows the merged columns alone, by qualified names.
            let mut merged = Item::new(Some(alias), columns[..names.len() - 1].to_vec());
            merged.columns_visible = false;
            merged.is_join = true;
            if items
                .iter()
                .any(|other| other.relation_visible && items_clash(other, &merged))
            {
                return Err(duplicate_alias(&merged));
            }
            self.add_lockable(alias, crate::bind::scope::LockTarget::Other("a join"));
            items.push(merged);
        }
        let mut whole = Item::new(None, columns);
        whole.is_join = true;
        items.push(whole);
        let rel = Rel::Join {
            kind,
            left: Box::new(left.rel),
            right: Box::new(right.rel),
            on,
            lateral,
        };
        let whole = items.len() - 1;
        Ok(Source { rel, items, whole })
    }

    /// Gives a subquery or the like that an outer join may have no row of a column that is never NULL in it. What nobody asks
    /// for is taken out again (see `prune`).
    fn mark_presence(&mut self, source: &mut Source) {
        let [item] = source.items.as_mut_slice() else { return };
        if item.row_key.is_some() || item.presence.is_some() || item.is_join || item.is_scalar_function {
            return;
        }
        let marker = self.new_column(PRESENCE, Type::BOOL);
        item.presence = Some(marker.id);
        let present = super::coerce::literal(Datum::Bool(true), Type::BOOL);
        if let Some(columns) = projected(&mut source.rel) {
            columns.push((marker, present));
            return;
        }
        let outputs = item.columns.iter().filter_map(|column| match column.expr.kind {
            ExprKind::Column(id) => Some(OutputColumn {
                id,
                name: column.name.to_string(),
                ty: column.expr.ty,
            }),
            _ => None,
        });
        let mut columns: Vec<(OutputColumn, Expr)> = outputs
            .map(|output| {
                let value = super::expr_column(&output);
                (output, value)
            })
            .collect();
        let produced = source.rel.output_columns();
        if produced
            .iter()
            .any(|id| !columns.iter().any(|(column, _)| column.id == *id))
        {
            // Something else is handed up through it: then its columns have to tell.
            item.presence = None;
            return;
        }
        columns.push((marker, present));
        let input = std::mem::replace(&mut source.rel, Rel::OneRow);
        source.rel = Rel::Project {
            input: Box::new(input),
            columns,
        };
    }

    /// The join's condition, and its columns in order: merged ones first.
    fn join_condition(
        &mut self,
        kind: JoinKind,
        constraint: &JoinConstraint,
        left: &Source,
        right: &Source,
    ) -> SqlResult<(Option<Expr>, Vec<ItemColumn>)> {
        let left_columns = &left.items[left.whole].columns;
        let right_columns = &right.items[right.whole].columns;
        let names: Vec<(Arc<str>, Option<u32>)> = match constraint {
            JoinConstraint::Using(names) => names
                .iter()
                .filter(|name| using_alias(name).is_none())
                .filter_map(|name| name.0.last().and_then(|part| part.as_ident()))
                .map(|ident| (ident.value.as_str().into(), self.at(ident.span)))
                .collect(),
            JoinConstraint::Natural => left_columns
                .iter()
                .filter(|column| right_columns.iter().any(|other| other.name == column.name))
                .map(|column| (column.name.clone(), None))
                .collect(),
            JoinConstraint::On(condition) => {
                let on = self.bind_on(condition, left, right)?;
                return Ok((Some(on), left_columns.iter().chain(right_columns).cloned().collect()));
            }
            JoinConstraint::None => {
                return Ok((None, left_columns.iter().chain(right_columns).cloned().collect()));
            }
        };
        let mut merged = Vec::with_capacity(names.len());
        let mut conditions = Vec::with_capacity(names.len());
        for (i, (name, position)) in names.iter().enumerate() {
            if names[..i].iter().any(|(other, _)| other == name) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column name \"{name}\" appears more than once in USING clause"),
                )
                .at(*position));
            }
            let from_left = self.using_column(left_columns, name, "left", *position)?;
            let from_right = self.using_column(right_columns, name, "right", *position)?;
            let equal = self.binary_operator("=", from_left.clone(), from_right.clone(), |_| *position)?;
            conditions.push(self.coerce_to_boolean(equal, "JOIN/USING")?);
            let value = self.merged_column(kind, from_left, from_right)?;
            merged.push(ItemColumn {
                name: name.clone(),
                expr: value,
            });
        }
        let is_merged = |column: &&ItemColumn| !names.iter().any(|(name, _)| *name == column.name);
        let mut columns = merged;
        columns.extend(left_columns.iter().filter(is_merged).cloned());
        columns.extend(right_columns.iter().filter(is_merged).cloned());
        let on = match conditions.len() {
            0 => None,
            1 => conditions.pop(),
            _ => Some(Expr {
                kind: ExprKind::And(conditions),
                ty: Type::BOOL,
                position: None,
            }),
        };
        Ok((on, columns))
    }

    fn using_column(&self, columns: &[ItemColumn], name: &str, side: &str, position: Option<u32>) -> SqlResult<Expr> {
        let mut found = columns.iter().filter(|column| &*column.name == name);
        let Some(column) = found.next() else {
            return Err(SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{name}\" specified in USING clause does not exist in {side} table"),
            )
            .at(position));
        };
        if found.next().is_some() {
            return Err(SqlError::new(
                SqlState::AMBIGUOUS_COLUMN,
                format!("common column name \"{name}\" appears more than once in {side} table"),
            )
            .at(position));
        }
        Ok(column.expr.clone())
    }

    /// The value of a merged column: from the side that always has one, or from whichever has.
    fn merged_column(&mut self, kind: JoinKind, left: Expr, right: Expr) -> SqlResult<Expr> {
        let ty = self.common_type(&[(left.ty, None), (right.ty, None)], "JOIN/USING")?;
        let (same_left, same_right) = (left.ty.oid == ty.oid, right.ty.oid == ty.oid);
        let left = self.coerce_common(left, ty, "JOIN/USING")?;
        let right = self.coerce_common(right, ty, "JOIN/USING")?;
        Ok(match kind {
            JoinKind::Right => right,
            JoinKind::Full => Expr {
                kind: ExprKind::Coalesce(vec![left, right]),
                ty,
                position: None,
            },
            // Prefer the side that needs no conversion.
            JoinKind::Inner if !same_left && same_right => right,
            _ => left,
        })
    }

    /// ON sees the two sides of its join, and what is outside of this FROM.
    fn bind_on(&mut self, condition: &sql::Expr, left: &Source, right: &Source) -> SqlResult<Expr> {
        let mut items: Vec<Item> = left.items.iter().chain(&right.items).cloned().collect();
        // The columns of each side are visible through its whole.
        for item in &mut items {
            item.lateral_only = false;
        }
        let scope = self.scope();
        let mut hidden = std::mem::take(&mut scope.items);
        let kept = hidden.clone();
        // Others of this FROM are kept for hints only.
        hidden.iter_mut().for_each(Item::hide);
        items.append(&mut hidden);
        scope.items = items;
        let result = self.bind_condition(Context::JoinOn, condition, "JOIN/ON");
        self.scope().items = kept;
        result
    }

    /// `(a JOIN b …) AS j`: only the alias is visible.
    pub(super) fn alias_join(&mut self, mut source: Source, alias: &sql::TableAlias) -> SqlResult<Source> {
        let mut whole = source.items.swap_remove(source.whole);
        for item in &mut source.items {
            item.hide();
        }
        whole.name = Some(alias.name.value.as_str().into());
        whole.relation_visible = true;
        whole.columns_visible = true;
        whole.is_join = true;
        whole.relation = None;
        super::from::apply_join_aliases(&mut whole, alias)?;
        self.add_lockable(&alias.name.value, crate::bind::scope::LockTarget::Other("a join"));
        source.items.push(whole);
        source.whole = source.items.len() - 1;
        Ok(source)
    }
}

/// The alias of a USING list, which the parser keeps as its last name (see `parse::forms`).
fn using_alias(name: &sql::ObjectName) -> Option<&str> {
    match name.0.as_slice() {
        [mark, alias]
            if mark
                .as_ident()
                .is_some_and(|ident| ident.value == crate::parse::forms::USING_ALIAS) =>
        {
            alias.as_ident().map(|ident| ident.value.as_str())
        }
        _ => None,
    }
}

/// The columns that a relation computes for its readers, if a constant may be added to them.
fn projected(rel: &mut Rel) -> Option<&mut Vec<(OutputColumn, Expr)>> {
    match rel {
        Rel::Project { columns, .. } => Some(columns),
        Rel::Filter { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Limit { input, .. }
        | Rel::LockRows { input, .. }
        | Rel::With { body: input, .. } => projected(input),
        _ => None,
    }
}
