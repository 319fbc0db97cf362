//! UPDATE: the target's scan, FROM, WHERE, and the assignments.

use std::sync::Arc;

use sqlparser::ast as sql;

use super::through::Quals;
use super::{Target, modify, named_table};
use crate::bind::Binder;
use crate::bind::context::Context;
use crate::bind::scope::Item;
use crate::bound::{ColumnId, Expr, ExprKind, JoinKind, Modify, ModifyKind, Rel};
use crate::{SqlError, SqlResult, SqlState, Type};

/// The source of UPDATE or DELETE.
pub(super) struct ChangeSource {
    pub rel: Rel,
    pub row_key: ColumnId,
    pub old_columns: Vec<(u16, ColumnId)>,
    pub recheck: Option<Expr>,
}

impl Binder<'_> {
    pub(super) fn bind_update(&mut self, update: &sql::Update) -> SqlResult<Modify> {
        if update.or.is_some()
            || !update.order_by.is_empty()
            || update.limit.is_some()
            || !update.table.joins.is_empty()
        {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "syntax error in UPDATE: a clause PostgreSQL does not have",
            ));
        }
        let (name, alias) = named_table(&update.table.relation)?;
        let mut target = self.modify_target(name, alias.map(|alias| &alias.name), "UPDATE")?;
        let from: &[sql::TableWithJoins] = match &update.from {
            None => &[],
            Some(sql::UpdateTableFromKind::AfterSet(from)) => from,
            Some(sql::UpdateTableFromKind::BeforeSet(_)) => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "syntax error at or near \"FROM\"",
                ));
            }
        };
        let (scan, rel) = self.change_from(&mut target, from)?;
        let assignments = self.bind_assignments(&target, &update.assignments, &scan.1)?;
        let source = self.change_where(&target, scan.0, rel, scan.1, update.selection.as_ref())?;
        let row = self.show_new_row(&target)?;
        let mut returning = self.bind_returning(update.returning.as_ref())?;
        let (check_options, demanded) = self.check_options(&target, row.2);
        returning.extend(demanded);
        let kind = ModifyKind::Update {
            source: source.rel,
            row_key: source.row_key,
            old_columns: source.old_columns,
            assignments,
            recheck: source.recheck,
        };
        let mut modify = modify(&target, kind, row.0, row.1);
        modify.returning = returning;
        modify.check_options = check_options;
        modify.source_oid = scan.2;
        Ok(modify)
    }

    /// The target's scan joined with FROM or USING: the row key and old columns, and the relation.
    #[allow(clippy::type_complexity, reason = "a pair of what the caller stores apart")]
    pub(super) fn change_from(
        &mut self,
        target: &mut Target,
        from: &[sql::TableWithJoins],
    ) -> SqlResult<((ColumnId, Vec<(u16, ColumnId)>, Option<ColumnId>), Rel)> {
        let (mut scan, mut item) = match target.layers.is_empty() {
            true => self.make_scan(&target.table, &target.alias, target.aliased),
            false => self.make_scan(&target.table, &target.table.name.as_str().into(), false),
        };
        scan.members = self.members_of(&target.table, target.is_only)?;
        let source_oid = scan.table_oid.filter(|_| scan.members.is_some());
        let row_key = scan.row_key.unwrap_or(ColumnId(0));
        let old_columns = scan
            .columns
            .iter()
            .map(|(column, position)| (*position, column.id))
            .collect();
        if !target.layers.is_empty() {
            let ids: Vec<(u16, ColumnId)> = scan.columns.iter().map(|(column, at)| (*at, column.id)).collect();
            let quals;
            (item, quals, _) = self.show_through(target, item, &ids)?;
            target.quals = quals.into_iter().map(|(_, qual)| qual).collect();
        }
        // FROM cannot refer to the target, not even with LATERAL.
        item.lateral_only = true;
        item.lateral_ok = false;
        item.is_target = true;
        self.scope().items.push(item);
        let mut rel = Rel::Scan(scan);
        if !from.is_empty() {
            let right = self.bind_from(from)?;
            rel = Rel::Join {
                kind: JoinKind::Cross,
                left: Box::new(rel),
                right: Box::new(right),
                on: None,
                lateral: false,
            };
        }
        let item = &mut self.scope().items[0];
        item.lateral_only = false;
        item.lateral_ok = true;
        Ok(((row_key, old_columns, source_oid), rel))
    }

    /// WHERE over the source.
    pub(super) fn change_where(
        &mut self,
        target: &Target,
        row_key: ColumnId,
        rel: Rel,
        old_columns: Vec<(u16, ColumnId)>,
        selection: Option<&sql::Expr>,
    ) -> SqlResult<ChangeSource> {
        // What views demand comes first, as in PostgreSQL.
        let mut parts = target.quals.clone();
        if let Some(condition) = selection {
            parts.push(self.bind_condition(Context::Where, condition, "WHERE")?);
        }
        let predicate = match parts.len() {
            0 | 1 => parts.pop(),
            _ => Some(Expr {
                kind: ExprKind::And(parts),
                ty: Type::BOOL,
                position: None,
            }),
        };
        let Some(predicate) = predicate else {
            return Ok(ChangeSource {
                rel,
                row_key,
                old_columns,
                recheck: None,
            });
        };
        let rel = Rel::Filter {
            input: Box::new(rel),
            predicate: predicate.clone(),
        };
        Ok(ChangeSource {
            rel,
            row_key,
            old_columns,
            recheck: Some(predicate),
        })
    }

    /// From here on the target's name means the row as it will be (or was, for DELETE).
    #[allow(clippy::type_complexity, reason = "three facts of one row, taken apart at once")]
    pub(super) fn show_new_row(&mut self, target: &Target) -> SqlResult<(Vec<(u16, ColumnId)>, ColumnId, Quals)> {
        let alias: Arc<str> = target.alias.clone();
        let row = self.row_item(target, &alias)?;
        let item: Item = row.item;
        let items = &mut self.scope().items;
        if let Some(first) = items.first_mut() {
            *first = item;
        } else {
            items.push(item);
        }
        Ok((row.ids, row.table_oid, row.quals))
    }
}
