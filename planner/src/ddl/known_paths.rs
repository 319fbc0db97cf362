//! Known paths in DDL: closing and opening a column, and what becomes of paths when documents go (DESIGN C7).

use storage::{Datum, Jsonb, Shape};
use txn::Transaction;

use super::Ddl;
use crate::catalog::Relation;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState};

impl Ddl<'_> {
    /// SET (closed = …). A column that is closed knows the paths of the rows it has, whatever was missed before.
    pub(super) async fn alter_closed(&self, table: &mut Relation, at: u16, closed: bool) -> SqlResult<()> {
        let column = &table.columns[usize::from(at)];
        if column.ty.oid != oid::JSONB {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!(
                    "column \"{}\" of relation \"{}\" is not of type jsonb",
                    column.name, table.name
                ),
            )
            .hint("Paths are known of columns of type jsonb only."));
        }
        if closed && !column.closed {
            let mut shape = Shape::default();
            self.for_each_row(table, |_, row| {
                if let Some(Datum::Jsonb(document)) = row.get(usize::from(at))
                    && !shape.covers(document.view())
                {
                    shape.learn(document.view());
                }
                Ok(())
            })
            .await?;
            self.context.transaction.register_paths(table.id, at, shape).await?;
        }
        table.columns[usize::from(at)].closed = closed;
        Ok(())
    }

    /// Learns a value that DDL gives rows of a column.
    pub(super) fn learn_value(&self, table: u32, at: u16, value: &Datum) {
        if let Datum::Jsonb(document) = value {
            self.context.transaction.learn_paths(table, at, &[], document.view());
        }
    }

    /// Learns the value that rows have which were written before a column was added.
    pub(super) fn learn_missing(&self, table: &Relation, at: u16) {
        let column = &table.columns[usize::from(at)];
        if let (oid::JSONB, Some(text)) = (column.ty.oid, &column.missing)
            && let Ok(document) = Jsonb::parse(text)
        {
            self.learn_value(table.id, at, &Datum::Jsonb(document));
        }
    }
}

/// Forgets what the documents of a table looked like that is emptied. A closed column keeps what it knows: that is its
/// definition.
pub(super) fn forget_documents(transaction: &Transaction, table: &Relation) {
    for (at, column) in table.live_columns() {
        if column.ty.oid == oid::JSONB && !column.closed {
            transaction.forget_paths(table.id, Some(at));
        }
    }
}

/// Forgets a column that is dropped or gets another type.
pub(super) fn forget_column(transaction: &Transaction, table: &Relation, at: u16) {
    if table.columns[usize::from(at)].ty.oid == oid::JSONB {
        transaction.forget_paths(table.id, Some(at));
    }
}
