//! Documents: what written rows show of their documents becomes known, and closed columns refuse what is not (DESIGN C7).
//!
//! Only what is written is looked at: of an assignment to one path the value at that path, however large the document is.

use storage::shape::{ShapeStep, path_text};
use storage::{Action, Datum, Jsonb, PathOp, Shape, Step};
use txn::Transaction;

use super::program::TableProgram;
use super::violation::name_table;
use super::writer::Writer;
use crate::bind::levenshtein::distance;
use crate::catalog::Relation;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState};

/// Most edits between what was written and what may have been meant.
const EDITS_MAX: usize = 3;

/// A column of type jsonb.
#[derive(Clone, Copy, Debug)]
pub struct DocumentColumn {
    /// Position (attnum - 1).
    pub(super) column: u16,
    /// Whether unknown paths are refused.
    pub(super) is_closed: bool,
}

/// The columns of type jsonb of a table.
pub(super) fn columns_of(table: &Relation) -> Vec<DocumentColumn> {
    let documents = table.live_columns().filter(|(_, column)| column.ty.oid == oid::JSONB);
    documents
        .map(|(at, column)| DocumentColumn {
            column: at,
            is_closed: column.closed,
        })
        .collect()
}

impl TableProgram {
    /// Lets the statement's locks make no paths of closed columns known.
    pub(super) fn keep_closed(&self, transaction: &Transaction) {
        for document in self.documents.iter().filter(|document| document.is_closed) {
            transaction.keep_paths_closed(self.table.id, document.column);
        }
    }
}

impl Writer<'_> {
    /// Learns the documents of a whole row.
    ///
    /// # Errors
    /// 23514 for a path that a closed column does not know.
    pub(super) fn learn_row(&self, program: &TableProgram, row: &[Datum]) -> SqlResult<()> {
        for document in &program.documents {
            if let Some(Datum::Jsonb(value)) = row.get(usize::from(document.column)) {
                self.learn(program, *document, &[], value)?;
            }
        }
        Ok(())
    }

    /// Learns what operations write into documents.
    ///
    /// # Errors
    /// As [`learn_row`](Self::learn_row).
    pub(super) fn learn_operations(&self, program: &TableProgram, operations: &[PathOp]) -> SqlResult<()> {
        if program.documents.is_empty() {
            return Ok(());
        }
        for operation in operations {
            let column = operation.path.column;
            let value = match &operation.action {
                Action::Set { value, .. } | Action::Insert(value) | Action::SetColumn(Datum::Jsonb(value)) => value,
                Action::SetColumn(_) | Action::Remove | Action::Add(_) => continue,
            };
            if let Some(document) = program.documents.iter().find(|document| document.column == column) {
                self.learn(program, *document, &operation.path.steps, value)?;
            }
        }
        Ok(())
    }

    fn learn(&self, program: &TableProgram, document: DocumentColumn, steps: &[Step], value: &Jsonb) -> SqlResult<()> {
        let (transaction, table) = (&self.context.transaction, &program.table);
        if document.is_closed {
            let shape = transaction.known_paths(table.id, document.column);
            if let Some(path) = shape.first_unknown(steps, value.view()) {
                return Err(self.unknown_path(table, document.column, &shape, &path));
            }
        }
        transaction.learn_paths(table.id, document.column, steps, value.view());
        Ok(())
    }

    /// 23514
    fn unknown_path(&self, table: &Relation, at: u16, shape: &Shape, path: &[ShapeStep]) -> SqlError {
        let column = &table.columns[usize::from(at)].name;
        let hint = match nearest(shape, path) {
            Some(known) => format!("Did you mean \"{}\"?", path_text(&known)),
            None => format!(
                "Relation cambium.json_paths lists what is known. \
                 ALTER TABLE {} ALTER COLUMN {column} SET (closed = false) lets new paths in.",
                table.name
            ),
        };
        SqlError::new(
            SqlState::CHECK_VIOLATION,
            format!(
                "new row for relation \"{}\" has an unknown path in closed column \"{column}\"",
                table.name
            ),
        )
        .detail(format!("Path \"{}\" is not known.", path_text(path)))
        .hint(hint)
        .object(|object| {
            name_table(object, table, &*self.context.session);
            object.column = Some(column.clone());
        })
    }
}

/// The known path that an unknown one was most likely meant to be: a member beside it that is spelt nearly like it, or one
/// of the same name elsewhere.
fn nearest(shape: &Shape, path: &[ShapeStep]) -> Option<Vec<ShapeStep>> {
    let (ShapeStep::Member(name), above) = path.split_last()? else {
        return None;
    };
    let parent = above.iter().try_fold(shape.root(), |node, step| node.child(step))?;
    let near = |(known, _): &(usize, &str)| *known <= EDITS_MAX && 2 * known <= name.chars().count().max(2);
    let siblings = parent.named_members().filter(|(_, node)| node.is_seen());
    let by_distance = siblings.map(|(known, _)| (distance(known, name), known)).filter(near);
    if let Some((_, known)) = by_distance.min() {
        let mut meant = above.to_vec();
        meant.push(ShapeStep::Member(known.into()));
        return Some(meant);
    }
    let mut elsewhere: Option<Vec<ShapeStep>> = None;
    shape.for_each(&mut |steps, node| {
        let is_same = matches!(steps.last(), Some(ShapeStep::Member(known)) if known == name);
        if is_same && node.is_seen() && elsewhere.as_ref().is_none_or(|found| steps.len() < found.len()) {
            elsewhere = Some(steps.to_vec());
        }
    });
    elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggestion(known: &str, written: &str) -> Option<String> {
        let mut shape = Shape::default();
        shape.learn(Jsonb::parse(known).expect("json").view());
        let path = shape.first_unknown(&[], Jsonb::parse(written).expect("json").view())?;
        nearest(&shape, &path).map(|meant| path_text(&meant))
    }

    #[test]
    fn the_nearest_known_path_is_named() {
        let known = r#"{"name": "x", "address": {"city": "y", "street": "z"}, "tags": [{"label": 1}]}"#;
        let meant = |written| suggestion(known, written);
        assert_eq!(meant(r#"{"nmae": 1}"#).as_deref(), Some("$.name"));
        assert_eq!(
            meant(r#"{"address": {"stret": 1}}"#).as_deref(),
            Some("$.address.street")
        );
        assert_eq!(meant(r#"{"tags": [{"Label": 1}]}"#).as_deref(), Some("$.tags[*].label"));
        assert_eq!(meant(r#"{"city": 1}"#).as_deref(), Some("$.address.city"), "moved");
        assert_eq!(meant(r#"{"something": 1}"#), None);
        assert_eq!(meant(r#"{"name": [1]}"#), None, "no name to be mistaken about");
        assert_eq!(meant(r#"{"name": 5}"#), None, "a known path");
    }
}
