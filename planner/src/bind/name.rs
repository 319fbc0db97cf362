//! Names: from column references to columns, with PostgreSQL's messages for those that are missing or ambiguous.

use std::sync::Arc;

use sqlparser::ast::Ident;

use crate::bound::{Expr, ExprKind};
use crate::types::{self, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;
use super::levenshtein::distance;
use super::scope::Item;

/// Largest distance of a name that is offered instead.
const FUZZY_DISTANCE_MAX: usize = 3;

/// Columns every table has without listing them.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "ctid", "xmin", "cmin", "xmax", "cmax"];

/// What a qualified name's table part was found to be.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub level: usize,
    pub item: usize,
}

impl Binder<'_> {
    /// Binds `a`, `a.b`, `a.b.c` or `a.b.c.d`.
    pub(super) fn bind_name(&mut self, parts: &[Ident]) -> SqlResult<Expr> {
        let position = parts.first().and_then(|part| self.at(part.span));
        match parts {
            [column] => self.bind_unqualified(&column.value, position),
            [table, column] => self.bind_qualified(None, &table.value, &column.value, position),
            [schema, table, column] => self.bind_qualified(Some(&schema.value), &table.value, &column.value, position),
            [database, schema, table, column] => {
                self.check_database(&database.value, position)?;
                self.bind_qualified(Some(&schema.value), &table.value, &column.value, position)
            }
            _ => {
                let name: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
                Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("improper qualified name (too many dotted names): {}", name.join(".")),
                )
                .at(position))
            }
        }
    }

    /// 0A000 for a name in another database.
    pub(super) fn check_database(&self, database: &str, position: Option<u32>) -> SqlResult<()> {
        if database == self.session.current_database() {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cross-database references are not implemented: {database}"),
        )
        .at(position))
    }

    fn bind_unqualified(&mut self, name: &str, position: Option<u32>) -> SqlResult<Expr> {
        if let Some(expr) = self.find_column(name, position)? {
            return Ok(expr);
        }
        // A table's name alone is its whole row.
        if let Some(found) = self.find_relation(None, name, position)? {
            return self.whole_row(found, position);
        }
        Err(self.missing_column(None, name, position))
    }

    /// The column an unqualified name means, from the innermost level outwards.
    pub(super) fn find_column(&mut self, name: &str, position: Option<u32>) -> SqlResult<Option<Expr>> {
        for level in (self.scope_floor..self.scopes.len()).rev() {
            let mut found: Option<(usize, usize)> = None;
            for (i, item) in self.scopes[level].items.iter().enumerate() {
                if !item.columns_visible || (item.lateral_only && !self.scopes[level].lateral_active) {
                    continue;
                }
                for (j, column) in item.columns.iter().enumerate() {
                    if &*column.name != name {
                        continue;
                    }
                    if found.is_some() {
                        return Err(ambiguous_column(name, position));
                    }
                    self.check_lateral(item, position)?;
                    found = Some((i, j));
                }
            }
            if let Some((i, j)) = found {
                return Ok(Some(self.column_of(level, i, j, position)));
            }
            if SYSTEM_COLUMNS.contains(&name)
                && let Some(expr) = self.unqualified_system_column(level, name, position)?
            {
                return Ok(Some(expr));
            }
        }
        Ok(None)
    }

    fn unqualified_system_column(
        &mut self,
        level: usize,
        name: &str,
        position: Option<u32>,
    ) -> SqlResult<Option<Expr>> {
        let tables: Vec<usize> = self.scopes[level]
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.relation.is_some() && item.columns_visible)
            .map(|(i, _)| i)
            .collect();
        match tables.as_slice() {
            [] => Ok(None),
            [item] => self.system_column(Found { level, item: *item }, name, position),
            _ => Err(ambiguous_column(name, position)),
        }
    }

    fn column_of(&self, level: usize, item: usize, column: usize, position: Option<u32>) -> Expr {
        let mut expr = self.scopes[level].items[item].columns[column].expr.clone();
        expr.position = position;
        expr
    }

    fn check_lateral(&self, item: &Item, position: Option<u32>) -> SqlResult<()> {
        if !item.lateral_only || item.lateral_ok {
            return Ok(());
        }
        let name = item.name.as_deref().unwrap_or("unnamed_join");
        let error = SqlError::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!("invalid reference to FROM-clause entry for table \"{name}\""),
        )
        .at(position);
        Err(if item.is_target {
            error.hint(format!(
                "There is an entry for table \"{name}\", but it cannot be referenced from this part of the query."
            ))
        } else {
            error.detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference.")
        })
    }

    /// The FROM item a table name means, from the innermost level outwards.
    pub(super) fn find_relation(
        &self,
        schema: Option<&str>,
        name: &str,
        position: Option<u32>,
    ) -> SqlResult<Option<Found>> {
        for level in (self.scope_floor..self.scopes.len()).rev() {
            let scope = &self.scopes[level];
            let mut found = None;
            for (i, item) in scope.items.iter().enumerate() {
                let named = match schema {
                    None => item.name.as_deref() == Some(name),
                    Some(_) => {
                        item.schema.as_deref() == schema && item.relation.as_ref().is_some_and(|r| r.name == name)
                    }
                };
                if !named || !item.relation_visible || (item.lateral_only && !scope.lateral_active) {
                    continue;
                }
                if found.is_some() {
                    return Err(SqlError::new(
                        SqlState::AMBIGUOUS_ALIAS,
                        format!("table reference \"{name}\" is ambiguous"),
                    )
                    .at(position));
                }
                self.check_lateral(item, position)?;
                found = Some(Found { level, item: i });
            }
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn bind_qualified(
        &mut self,
        schema: Option<&str>,
        table: &str,
        column: &str,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let Some(found) = self.find_relation(schema, table, position)? else {
            // `a.b` may be field b of a composite column a only with parentheses, so the table is missing.
            return Err(self.missing_relation(schema, table, position));
        };
        if let Some(expr) = self.column_in(found, column, position)? {
            return Ok(expr);
        }
        // `t.f` also means `f(t)`.
        if let Some(expr) = self.bind_row_function(found, column, position)? {
            return Ok(expr);
        }
        Err(self.missing_column(Some(table), column, position))
    }

    /// A column of a FROM item, system columns included.
    pub(super) fn column_in(&mut self, found: Found, column: &str, position: Option<u32>) -> SqlResult<Option<Expr>> {
        let item = &self.scopes[found.level].items[found.item];
        let mut matches = item.columns.iter().enumerate().filter(|(_, c)| &*c.name == column);
        if let Some((index, _)) = matches.next() {
            if matches.next().is_some() {
                return Err(ambiguous_column(column, position));
            }
            return Ok(Some(self.column_of(found.level, found.item, index, position)));
        }
        if SYSTEM_COLUMNS.contains(&column) {
            return self.system_column(found, column, position);
        }
        Ok(None)
    }

    fn system_column(&mut self, found: Found, name: &str, position: Option<u32>) -> SqlResult<Option<Expr>> {
        let item = &self.scopes[found.level].items[found.item];
        if item.relation.is_none() {
            return Ok(None);
        }
        match name {
            "tableoid" => Ok(item.table_oid.map(|id| Expr {
                kind: ExprKind::Column(id),
                ty: Type::OID,
                position,
            })),
            _ => Err(SqlError::unsupported(format_args!("system column \"{name}\"")).at(position)),
        }
    }

    /// A whole-row reference. A scalar function's row is its value.
    pub(super) fn whole_row(&mut self, found: Found, position: Option<u32>) -> SqlResult<Expr> {
        let item = &self.scopes[found.level].items[found.item];
        if item.is_scalar_function
            && let [column] = item.columns.as_slice()
        {
            let mut expr = column.expr.clone();
            expr.position = position;
            return Ok(expr);
        }
        let fields = item.columns.iter().map(|column| column.expr.clone()).collect();
        let ty = if item.row_type.oid == oid::RECORD {
            let shape = item
                .columns
                .iter()
                .map(|column| (column.name.to_string(), column.expr.ty))
                .collect();
            crate::bound::shape::record_type(shape)
        } else {
            item.row_type
        };
        let missing = item.nullable.then(|| is_missing(item)).flatten();
        let row = Expr {
            kind: ExprKind::Row(fields),
            ty,
            position,
        };
        let Some(missing) = missing else { return Ok(row) };
        // Where an outer join found no row there is no row of NULLs either, but NULL.
        let nothing = super::coerce::literal(storage::Datum::Null, ty);
        Ok(Expr {
            kind: ExprKind::Case {
                branches: vec![(missing, nothing)],
                otherwise: Some(Box::new(row)),
            },
            ty,
            position,
        })
    }

    /// 42703, with what the user may have meant.
    pub(super) fn missing_column(&self, table: Option<&str>, column: &str, position: Option<u32>) -> SqlError {
        let message = match table {
            Some(table) => format!("column {table}.{column} does not exist"),
            None => format!("column \"{column}\" does not exist"),
        };
        let error = SqlError::new(SqlState::UNDEFINED_COLUMN, message).at(position);
        match self.closest_columns(table, column) {
            Closest::Nothing => error,
            Closest::Hidden(table) => error.hint(format!(
                "There is a column named \"{column}\" in table \"{table}\", but it cannot be referenced from this part of the query."
            )),
            Closest::One(table, found) => {
                error.hint(format!("Perhaps you meant to reference the column \"{table}.{found}\"."))
            }
            Closest::Two(a, b) => error.hint(format!(
                "Perhaps you meant to reference the column \"{}.{}\" or the column \"{}.{}\".",
                a.0, a.1, b.0, b.1
            )),
        }
    }

    /// PostgreSQL's search for the columns most like a name (searchRangeTableForCol).
    fn closest_columns(&self, table: Option<&str>, column: &str) -> Closest {
        let mut best = FUZZY_DISTANCE_MAX + 1;
        let mut first: Option<(Arc<str>, Arc<str>)> = None;
        let mut second: Option<(Arc<str>, Arc<str>)> = None;
        for scope in self.scopes[self.scope_floor..].iter().rev() {
            for item in scope.items.iter().filter(|item| !item.is_join) {
                let Some(alias) = &item.name else { continue };
                let penalty = table.map_or(0, |table| distance(table, alias).min(FUZZY_DISTANCE_MAX + 1));
                for candidate in &item.columns {
                    if &*candidate.name == column && penalty == 0 {
                        return Closest::Hidden(alias.clone());
                    }
                    if penalty > best || candidate.name.starts_with('\u{1}') {
                        continue;
                    }
                    let edits = distance(&candidate.name, column);
                    if edits > column.len() / 2 {
                        continue;
                    }
                    let edits = edits + penalty;
                    let found = (alias.clone(), candidate.name.clone());
                    if edits < best {
                        best = edits;
                        first = Some(found);
                        second = None;
                    } else if edits == best {
                        if second.is_some() {
                            first = None;
                            second = None;
                            best = best.saturating_sub(1);
                        } else if first.is_some() {
                            second = Some(found);
                        } else if best <= FUZZY_DISTANCE_MAX {
                            first = Some(found);
                        }
                    }
                }
            }
        }
        match (first, second) {
            (None, _) => Closest::Nothing,
            (Some((table, column)), None) => Closest::One(table, column),
            (Some(a), Some(b)) => Closest::Two(a, b),
        }
    }

    /// 42P01 for a qualified name whose table is not in FROM.
    pub(super) fn missing_relation(&self, schema: Option<&str>, name: &str, position: Option<u32>) -> SqlError {
        let hidden = self.scopes[self.scope_floor..].iter().rev().find_map(|scope| {
            scope.items.iter().find_map(|item| {
                let by_alias = item.name.as_deref() == Some(name);
                let by_table = item.relation.as_ref().is_some_and(|relation| relation.name == name);
                (by_alias || by_table).then(|| (item.name.clone(), by_alias))
            })
        });
        match hidden {
            Some((alias, by_alias)) if schema.is_none() => {
                let error = SqlError::new(
                    SqlState::UNDEFINED_TABLE,
                    format!("invalid reference to FROM-clause entry for table \"{name}\""),
                )
                .at(position);
                let alias = alias.unwrap_or_default();
                if by_alias {
                    error.hint(format!(
                        "There is an entry for table \"{alias}\", but it cannot be referenced from this part of the query."
                    ))
                } else {
                    error.hint(format!("Perhaps you meant to reference the table alias \"{alias}\"."))
                }
            }
            _ => SqlError::new(
                SqlState::UNDEFINED_TABLE,
                format!("missing FROM-clause entry for table \"{name}\""),
            )
            .at(position),
        }
    }

    /// The name of a type for messages: a table's row type by the table's name.
    pub(super) fn type_name(&self, ty: Type) -> String {
        let element = types::element_of(ty.oid);
        let base = element.unwrap_or(ty.oid);
        if types::info(base).is_none()
            && let Some(relation) = self.catalog.relations.get(&base)
        {
            let name = super::alias::quoted(&relation.name);
            return if element.is_some() { format!("{name}[]") } else { name };
        }
        if let Some(user) = self.catalog.types.get(&base) {
            let name = super::alias::quoted(&user.name);
            return if element.is_some() { format!("{name}[]") } else { name };
        }
        types::format_type(Type::new(ty.oid))
    }
}

enum Closest {
    Nothing,
    Hidden(Arc<str>),
    One(Arc<str>, Arc<str>),
    Two((Arc<str>, Arc<str>), (Arc<str>, Arc<str>)),
}

fn ambiguous_column(name: &str, position: Option<u32>) -> SqlError {
    SqlError::new(
        SqlState::AMBIGUOUS_COLUMN,
        format!("column reference \"{name}\" is ambiguous"),
    )
    .at(position)
}

/// Whether an outer join found no row for an item. Of a join under an alias only its columns tell.
fn is_missing(item: &Item) -> Option<Expr> {
    let is_null = |of: Expr| Expr {
        kind: ExprKind::IsNull(Box::new(of)),
        ty: Type::BOOL,
        position: None,
    };
    let column = |id, ty| Expr {
        kind: ExprKind::Column(id),
        ty,
        position: None,
    };
    if let Some(row_key) = item.row_key {
        return Some(is_null(column(row_key, Type::BYTEA)));
    }
    if let Some(presence) = item.presence {
        return Some(is_null(column(presence, Type::BOOL)));
    }
    let tests: Vec<Expr> = item.columns.iter().map(|column| is_null(column.expr.clone())).collect();
    (!tests.is_empty()).then_some(Expr {
        kind: ExprKind::And(tests),
        ty: Type::BOOL,
        position: None,
    })
}
