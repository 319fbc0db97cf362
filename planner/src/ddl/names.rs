//! Names in DDL: splitting, folding, finding, and choosing names PostgreSQL's way.

use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName, Spanned};
use sqlparser::tokenizer::Span;

use super::Ddl;
use crate::catalog::{Relation, RelationKind, Schema};
use crate::{SqlError, SqlResult, SqlState};

/// Longest identifier in bytes (PostgreSQL's NAMEDATALEN - 1).
pub(super) const NAME_BYTES_MAX: usize = 63;

/// An identifier as it is stored: folded to lower case unless quoted, cut at 63 bytes.
pub(crate) fn fold(ident: &Ident) -> String {
    let mut name = if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_lowercase()
    };
    truncate_name(&mut name, NAME_BYTES_MAX);
    name
}

fn truncate_name(name: &mut String, bytes_max: usize) {
    if name.len() > bytes_max {
        let mut end = bytes_max;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
    }
}

/// Parts of a qualified name, folded.
pub(crate) fn parts(name: &ObjectName) -> SqlResult<Vec<String>> {
    name.0
        .iter()
        .map(|part| {
            part.as_ident()
                .map(fold)
                .ok_or_else(|| SqlError::new(SqlState::INVALID_NAME, "improper qualified name"))
        })
        .collect()
}

impl Ddl<'_> {
    /// Splits a relation's name into schema and name; a database part must be this database.
    pub(super) fn split(&self, name: &ObjectName) -> SqlResult<(Option<String>, String)> {
        let mut parts = parts(name)?;
        let relation = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        match parts.pop() {
            Some(database) if database != self.context.session.current_database() => Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cross-database references are not implemented: \"{name}\""),
            )),
            _ => Ok((schema, relation)),
        }
    }

    /// Where a new object of this name goes.
    pub(super) fn target(&self, name: &ObjectName) -> SqlResult<(&Schema, String)> {
        let (schema, relation) = self.split(name)?;
        let catalog = self.catalog();
        let session = &*self.context.session;
        let found = match &schema {
            Some(schema) => catalog.schema_of(session, schema).ok_or_else(|| {
                SqlError::new(
                    SqlState::INVALID_SCHEMA_NAME,
                    format!("schema \"{schema}\" does not exist"),
                )
                .at(position(name))
            })?,
            None => catalog
                .creation_schema(session)
                .and_then(|id| catalog.schemas.get(&id))
                .ok_or_else(|| {
                    SqlError::new(
                        SqlState::INVALID_SCHEMA_NAME,
                        "no schema has been selected to create in",
                    )
                    .at(position(name))
                })?,
        };
        if found.database == 0 {
            return Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied to create \"{}.{relation}\"", found.name),
            )
            .detail("System catalog modifications are currently disallowed."));
        }
        Ok((found, relation))
    }

    /// Whether a relation or index of this name exists in the schema.
    pub(super) fn is_taken(&self, schema: u32, name: &str) -> bool {
        let key = (schema, name.to_string());
        self.catalog().names.contains_key(&key) || self.catalog().index_names.contains_key(&key)
    }

    /// 42P07 unless the name is free; with IF NOT EXISTS says so and returns false.
    pub(super) fn check_free(&self, schema: u32, name: &str, if_not_exists: bool) -> SqlResult<bool> {
        if !self.is_taken(schema, name) {
            return Ok(true);
        }
        if if_not_exists {
            self.notice(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{name}\" already exists, skipping"),
            );
            return Ok(false);
        }
        Err(SqlError::new(
            SqlState::DUPLICATE_TABLE,
            format!("relation \"{name}\" already exists"),
        ))
    }

    /// A relation by name, or 42P01.
    pub(super) fn find(&self, name: &ObjectName) -> SqlResult<&Arc<Relation>> {
        let (schema, relation) = self.split(name)?;
        self.catalog()
            .relation(&*self.context.session, schema.as_deref(), &relation)
            .ok_or_else(|| {
                let shown = schema.map_or(relation.clone(), |schema| format!("{schema}.{relation}"));
                SqlError::new(
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{shown}\" does not exist"),
                )
                .at(position(name))
            })
    }

    /// A table by name, or 42P01 / 42809.
    pub(super) fn find_table(&self, name: &ObjectName) -> SqlResult<&Arc<Relation>> {
        let relation = self.find(name)?;
        if relation.kind != RelationKind::Table {
            self.check_not_system(relation)?;
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a table", relation.name),
            ));
        }
        Ok(relation)
    }

    /// PostgreSQL's ChooseRelationName: `name1_name2_label`, cut to fit, with a number if it is taken.
    pub(super) fn choose_name(&self, schema: u32, first: &str, second: &str, label: &str, taken: &[String]) -> String {
        for pass in 0u32.. {
            let label = if pass == 0 {
                label.to_string()
            } else {
                format!("{label}{pass}")
            };
            let name = make_object_name(first, second, &label);
            if !self.is_taken(schema, &name) && !taken.contains(&name) {
                return name;
            }
        }
        unreachable!("a name is free before the numbers run out")
    }
}

/// PostgreSQL's makeObjectName: shortens the longer of the two names until the whole fits 63 bytes.
pub(super) fn make_object_name(first: &str, second: &str, label: &str) -> String {
    let overhead = label.len() + 1 + if second.is_empty() { 0 } else { 1 };
    let available = NAME_BYTES_MAX.saturating_sub(overhead);
    let (mut first_bytes, mut second_bytes) = (first.len(), second.len());
    while first_bytes + second_bytes > available {
        if first_bytes > second_bytes {
            first_bytes -= 1
        } else {
            second_bytes -= 1
        }
    }
    let (mut first, mut second) = (first.to_string(), second.to_string());
    truncate_name(&mut first, first_bytes);
    truncate_name(&mut second, second_bytes);
    if second.is_empty() {
        format!("{first}_{label}")
    } else {
        format!("{first}_{second}_{label}")
    }
}

/// Column of the first character, for errors. Texts of several lines give no position here.
pub(crate) fn position(node: &impl Spanned) -> Option<u32> {
    span_position(node.span())
}

/// As [`position`], of an identifier.
pub(crate) fn ident_position(ident: &Ident) -> Option<u32> {
    span_position(ident.span)
}

fn span_position(span: Span) -> Option<u32> {
    let start = span.start;
    (start.line == 1).then(|| u32::try_from(start.column).ok()).flatten()
}
