//! ON CONFLICT: which unique indexes arbitrate, and what DO UPDATE sets.

use sqlparser::ast as sql;
use sqlparser::ast::{ObjectNamePart, OnConflictAction};

use super::Target;
use crate::bind::Binder;
use crate::bind::context::Context;
use crate::bind::same::same;
use crate::bind::scope::{Item, ItemColumn};
use crate::bound::{ColumnId, ConflictUpdate, Expr, ExprKind, OnConflict};
use crate::catalog::{ConstraintKind, Index, IndexSource};
use crate::parse::forms;
use crate::{SqlError, SqlResult, SqlState};

impl Binder<'_> {
    /// Binds ON CONFLICT; the scope's items are replaced.
    pub(super) fn bind_conflict(&mut self, target: &Target, conflict: &sql::OnConflict) -> SqlResult<OnConflict> {
        let row = self.row_item(target, &target.alias.clone())?;
        let (existing_item, existing) = (row.item, row.ids);
        let excluded_name = "excluded".into();
        let row = self.row_item(target, &excluded_name)?;
        let (mut excluded_item, excluded) = (row.item, row.ids);
        excluded_item.schema = None;
        let mut hidden = excluded_item.clone();
        hidden.hide();
        self.scope().items = vec![existing_item.clone(), hidden];
        let arbiters = match &conflict.conflict_target {
            None => vec![],
            Some(sql::ConflictTarget::OnConstraint(name)) => self.arbiters_named(target, &existing, name)?,
            Some(sql::ConflictTarget::Columns(columns)) => {
                let exprs = columns
                    .iter()
                    .map(|column| sql::Expr::Identifier(column.clone()))
                    .collect::<Vec<_>>();
                let keys: Vec<&sql::Expr> = exprs.iter().collect();
                self.infer_arbiters(target, &existing, &keys, None, None)?
            }
        };
        let update = match &conflict.action {
            OnConflictAction::DoNothing => None,
            OnConflictAction::DoUpdate(update) => {
                if conflict.conflict_target.is_none() {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                    )
                    .hint("For example, ON CONFLICT (column_name).")
                    .at(self.find_sequence(&["on", "conflict"])));
                }
                self.scope().items = vec![existing_item, excluded_item];
                let assignments = self.bind_assignments(target, &update.assignments, &existing)?;
                let predicate = match &update.selection {
                    None => None,
                    Some(condition) => Some(self.bind_condition(Context::Where, condition, "WHERE")?),
                };
                Some(ConflictUpdate {
                    existing,
                    excluded,
                    assignments,
                    predicate,
                })
            }
        };
        Ok(OnConflict { arbiters, update })
    }

    /// A constraint by name, or the keys and predicate that the parser keeps in a name (see `parse::forms`).
    fn arbiters_named(
        &mut self,
        target: &Target,
        existing: &[(u16, ColumnId)],
        name: &sql::ObjectName,
    ) -> SqlResult<Vec<u32>> {
        if let Some(ObjectNamePart::Identifier(ident)) = name.0.first() {
            // A view has none.
            let found = target
                .named
                .constraints
                .iter()
                .find(|constraint| constraint.name == ident.value);
            let index = found.and_then(|constraint| match &constraint.kind {
                ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } => Some(*index),
                ConstraintKind::Check { .. } | ConstraintKind::Foreign { .. } => None,
            });
            return match (found, index) {
                (_, Some(index)) => Ok(vec![index]),
                (Some(_), None) => Err(SqlError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    "constraint in ON CONFLICT clause has no associated index",
                )),
                (None, None) => Err(SqlError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!(
                        "constraint \"{}\" for table \"{}\" does not exist",
                        ident.value, target.named.name
                    ),
                )),
            };
        }
        let mut keys: Vec<&sql::Expr> = Vec::new();
        let mut predicate = None;
        let mut place = None;
        for part in &name.0 {
            let ObjectNamePart::Function(function) = part else {
                continue;
            };
            let args = function.args.iter().filter_map(|arg| match arg {
                sql::FunctionArg::Unnamed(sql::FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            });
            match function.name.value.as_str() {
                forms::CONFLICT => {
                    place = self.at(function.name.span);
                    keys.extend(args);
                }
                forms::WHERE => predicate = args.into_iter().next(),
                _ => {}
            }
        }
        self.infer_arbiters(target, existing, &keys, predicate, place)
    }

    /// The unique indexes over exactly these keys.
    fn infer_arbiters(
        &mut self,
        target: &Target,
        existing: &[(u16, ColumnId)],
        keys: &[&sql::Expr],
        predicate: Option<&sql::Expr>,
        place: Option<u32>,
    ) -> SqlResult<Vec<u32>> {
        let mut bound: Vec<Expr> = Vec::with_capacity(keys.len());
        for key in keys {
            let expr = match key {
                // A column that is missing is missing in the table.
                sql::Expr::Identifier(name) => {
                    self.target_column_of(target, name, place)?;
                    self.bind_in(Context::IndexExpression, key)?
                }
                _ => self.bind_in(Context::IndexExpression, key)?,
            };
            if !bound.iter().any(|known| same(known, &expr)) {
                bound.push(expr);
            }
        }
        let predicate = match predicate {
            None => None,
            Some(predicate) => Some(self.bind_condition(Context::IndexPredicate, predicate, "WHERE")?),
        };
        let mut arbiters = Vec::new();
        let candidates = target
            .table
            .indexes
            .iter()
            .filter(|index| index.unique || index.primary);
        for index in candidates.cloned().collect::<Vec<Index>>() {
            if self.index_has_keys(target, existing, &index, &bound)?
                && self.predicate_fits(target, existing, &index, predicate.as_ref())?
            {
                arbiters.push(index.id);
            }
        }
        if arbiters.is_empty() {
            return Err(SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "there is no unique or exclusion constraint matching the ON CONFLICT specification",
            ));
        }
        Ok(arbiters)
    }

    fn target_column_of(&mut self, target: &Target, name: &sql::Ident, place: Option<u32>) -> SqlResult<()> {
        if target.shown.iter().any(|column| column.name == name.value) {
            return Ok(());
        }
        let position = place.or_else(|| self.at(name.span));
        Err(self.missing_column(None, &name.value, position))
    }

    fn index_has_keys(
        &mut self,
        target: &Target,
        existing: &[(u16, ColumnId)],
        index: &Index,
        keys: &[Expr],
    ) -> SqlResult<bool> {
        let mut index_keys: Vec<Expr> = Vec::with_capacity(index.keys.len());
        for key in &index.keys {
            let expr = match &key.source {
                IndexSource::Column(position) => {
                    let Some(column) = target.table.columns.get(usize::from(*position)) else {
                        return Ok(false);
                    };
                    match existing.iter().find(|(known, _)| known == position) {
                        Some((_, id)) => Expr {
                            kind: ExprKind::Column(*id),
                            ty: column.ty,
                            position: None,
                        },
                        None => return Ok(false),
                    }
                }
                IndexSource::Expression(text) => self.bind_stored(target, existing, text)?,
            };
            if !index_keys.iter().any(|known| same(known, &expr)) {
                index_keys.push(expr);
            }
        }
        Ok(index_keys.len() == keys.len() && keys.iter().all(|key| index_keys.iter().any(|other| same(key, other))))
    }

    /// A partial index arbitrates only if the clause's predicate is its own, or has it among its conjuncts.
    fn predicate_fits(
        &mut self,
        target: &Target,
        existing: &[(u16, ColumnId)],
        index: &Index,
        predicate: Option<&Expr>,
    ) -> SqlResult<bool> {
        let Some(text) = &index.predicate else { return Ok(true) };
        let Some(predicate) = predicate else { return Ok(false) };
        let own = self.bind_stored(target, existing, text)?;
        let own = conjuncts(&own);
        let given = conjuncts(predicate);
        Ok(own.iter().all(|part| given.iter().any(|other| same(part, other))))
    }

    /// A stored expression over the table's existing row.
    fn bind_stored(&mut self, target: &Target, existing: &[(u16, ColumnId)], text: &str) -> SqlResult<Expr> {
        let ast = crate::parse::parse_expression(text)?;
        let columns = existing.iter().map(|(position, id)| {
            let column = &target.table.columns[usize::from(*position)];
            ItemColumn {
                name: column.name.as_str().into(),
                expr: Expr {
                    kind: ExprKind::Column(*id),
                    ty: column.ty,
                    position: None,
                },
            }
        });
        let item = Item::new(Some(&target.table.name), columns.collect());
        let items = std::mem::replace(&mut self.scope().items, vec![item]);
        let source = std::mem::replace(&mut self.source, crate::bind::position::Source::stored(text));
        let bound = self.bind_in(Context::IndexExpression, &ast);
        self.source = source;
        self.scope().items = items;
        bound
    }
}

fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::And(parts) => parts.iter().collect(),
        _ => vec![expr],
    }
}
