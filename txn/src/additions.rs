//! Additions: reading a number that this transaction has only added to (DESIGN L5).
//!
//! Under A a transaction does not know what it adds to. Before it looks, the lock becomes X and the sum is written down as a
//! value: from then on the number is what it is, whatever snapshot the rest of the row is read at. Without that two
//! transactions could both add one and both read the same sum.

use storage::path::overlaps;
use storage::{Action, Datum, Path, PathOp, Row, Step};

use crate::{Key, LockName, LockRequest, LockWait, Mode, RowWrite, TableId, Transaction, TxnError};

impl Transaction {
    /// Whether this transaction has added to numbers of the table; it may have read them since.
    pub fn has_additions(&self, table: TableId) -> bool {
        self.inner.state.lock().buffer.has_additions(table)
    }

    /// Before these paths of a table's rows are read (of these rows; `None`: of any): additions to them become values.
    ///
    /// # Errors
    /// What waiting for X reports; [`TxnError::AddOutOfRange`] if the sum leaves its type.
    pub async fn settle_additions(
        &self,
        table: TableId,
        keys: Option<&[Key]>,
        paths: &[Path],
        wait: LockWait,
    ) -> Result<(), TxnError> {
        let mut open = self.inner.state.lock().buffer.additions(table)?;
        open.retain(|(key, path)| {
            keys.is_none_or(|keys| keys.contains(key)) && overlaps(std::slice::from_ref(path), paths)
        });
        if open.is_empty() {
            return Ok(());
        }
        let request = |(key, path): &(Key, Path)| {
            LockRequest::new(LockName::path(table, key.clone(), path.clone()), Mode::Exclusive)
        };
        self.lock(open.iter().map(request).collect(), wait).await?;
        for (key, path) in open {
            // The statement that reads must see it: it is written as of the command before.
            let locked = self.read_locked(table, &key, std::slice::from_ref(&path)).await?;
            let Some(row) = locked.row else { continue };
            if let Some(operation) = value_at(&row, path) {
                let mut state = self.inner.usable()?;
                let before = state.command.saturating_sub(1);
                state
                    .buffer
                    .write_row(before, table, &key, RowWrite::Change(vec![operation]));
            }
        }
        Ok(())
    }
}

/// An operation that sets a path to what it holds.
fn value_at(row: &Row, path: Path) -> Option<PathOp> {
    let value = row.get(usize::from(path.column))?;
    let action = match value {
        Datum::Jsonb(document) if !path.steps.is_empty() => {
            let steps: Vec<String> = path.steps.iter().map(Step::to_string).collect();
            Action::Set {
                value: document.path(&steps)?,
                create_parents: false,
            }
        }
        value => Action::SetColumn(value.clone()),
    };
    Some(PathOp { path, action })
}
