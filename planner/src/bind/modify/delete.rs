//! DELETE: the target's scan, USING and WHERE.

use sqlparser::ast as sql;

use super::{modify, named_table};
use crate::bind::Binder;
use crate::bound::{Modify, ModifyKind};
use crate::{SqlError, SqlResult, SqlState};

impl Binder<'_> {
    pub(super) fn bind_delete(&mut self, delete: &sql::Delete) -> SqlResult<Modify> {
        let sql::FromTable::WithFromKeyword(tables) = &delete.from else {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error in DELETE"));
        };
        let [table] = tables.as_slice() else {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \",\""));
        };
        let foreign = !delete.tables.is_empty() || !delete.order_by.is_empty() || delete.limit.is_some();
        if foreign || !table.joins.is_empty() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "syntax error in DELETE: a clause PostgreSQL does not have",
            ));
        }
        let (name, alias) = named_table(&table.relation)?;
        let mut target = self.modify_target(name, alias.map(|alias| &alias.name), "DELETE")?;
        let (scan, rel) = self.change_from(&mut target, delete.using.as_deref().unwrap_or_default())?;
        let source = self.change_where(&target, scan.0, rel, scan.1, delete.selection.as_ref())?;
        let (row_columns, table_oid, _) = self.show_new_row(&target)?;
        let returning = self.bind_returning(delete.returning.as_ref())?;
        let kind = ModifyKind::Delete {
            source: source.rel,
            row_key: source.row_key,
            old_columns: source.old_columns,
            recheck: source.recheck,
        };
        let mut modify = modify(&target, kind, row_columns, table_oid);
        modify.returning = returning;
        modify.source_oid = scan.2;
        Ok(modify)
    }
}
