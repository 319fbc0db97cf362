//! INSERT: target columns, rows from VALUES, a query or defaults.

use sqlparser::ast as sql;

use super::assign::Place;
use super::through::NOT_A_COLUMN;
use super::{Target, is_default, modify, null_of};
use crate::bind::Binder;
use crate::bind::context::Context;
use crate::bound::{Expr, ExprKind, Modify, ModifyKind, OutputColumn, Query, Rel};
use crate::catalog::Identity;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

/// OVERRIDING.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Overriding {
    Nothing,
    System,
    User,
}

impl Binder<'_> {
    pub(super) fn bind_insert(&mut self, insert: &sql::Insert) -> SqlResult<Modify> {
        let sql::TableObject::TableName(name) = &insert.table else {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error in INSERT"));
        };
        if !insert.into || insert.or.is_some() || !insert.assignments.is_empty() || insert.partitioned.is_some() {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error in INSERT"));
        }
        let alias = insert.table_alias.as_ref().map(|alias| &alias.alias);
        let target = self.modify_target(name, alias, "INSERT")?;
        // The parser keeps OVERRIDING as clauses PostgreSQL does not have (see `parse::rewrite`).
        let overriding = match (insert.overwrite, insert.has_table_keyword) {
            (true, _) => Overriding::System,
            (_, true) => Overriding::User,
            _ => Overriding::Nothing,
        };
        let mut columns = self.insert_columns(&target, &insert.columns)?;
        let explicit = !insert.columns.is_empty();
        let query = match &insert.source {
            None => {
                columns.clear();
                Query {
                    rel: Rel::OneRow,
                    columns: vec![],
                }
            }
            Some(query) => match plain_values(query) {
                Some(values) => self.insert_values(&target, values, &mut columns, explicit, overriding)?,
                None => self.insert_query(&target, query, &mut columns, explicit, overriding)?,
            },
        };
        let targets: Vec<u16> = columns.iter().map(|column| column.position).collect();
        let defaults = self.missing_defaults(target.defaults(), &targets)?;
        let row = self.row_item(&target, &target.alias.clone())?;
        let on_conflict = match &insert.on {
            None => None,
            Some(sql::OnInsert::OnConflict(conflict)) => Some(self.bind_conflict(&target, conflict)?),
            Some(_) => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "syntax error at or near \"DUPLICATE\"",
                ));
            }
        };
        // What ON CONFLICT saw is out of sight, but known to messages.
        let mut hidden = std::mem::take(&mut self.scope().items);
        hidden.iter_mut().for_each(crate::bind::scope::Item::hide);
        hidden.retain(|other| other.name.as_deref() == Some("excluded"));
        hidden.insert(0, row.item);
        self.scope().items = hidden;
        let mut returning = self.bind_returning(insert.returning.as_ref())?;
        let (check_options, demanded) = self.check_options(&target, row.quals);
        returning.extend(demanded);
        let kind = ModifyKind::Insert {
            source: query,
            targets,
            defaults,
            on_conflict,
        };
        let mut modify = modify(&target, kind, row.ids, row.table_oid);
        modify.returning = returning;
        modify.check_options = check_options;
        Ok(modify)
    }

    /// The places a source's columns go to: those listed, or all columns.
    pub(super) fn insert_columns<'a>(
        &mut self,
        target: &Target,
        names: &'a [sql::ObjectName],
    ) -> SqlResult<Vec<Place<'a>>> {
        if names.is_empty() {
            let place = |column: &super::Shown| Place {
                position: column.base.unwrap_or(NOT_A_COLUMN),
                name: column.name.clone(),
                ty: column.ty,
                steps: vec![],
                at: None,
            };
            return Ok(target.shown.iter().map(place).collect());
        }
        let mut places: Vec<Place<'a>> = Vec::with_capacity(names.len());
        for name in names {
            let place = self.read_place(target, name)?;
            let clash = |known: &Place<'_>| {
                known.position == place.position && (known.steps.is_empty() || place.steps.is_empty())
            };
            if places.iter().any(clash) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{}\" specified more than once", place.name),
                )
                .at(place.at));
            }
            places.push(place);
        }
        Ok(places)
    }

    /// Converts one row's values to what their places take, and puts the parts of one column together.
    fn place_values(&mut self, places: &[Place<'_>], values: Vec<Expr>) -> SqlResult<Vec<Expr>> {
        let mut placed: Vec<(u16, Expr)> = Vec::with_capacity(values.len());
        for (place, value) in places.iter().zip(values) {
            if place.steps.is_empty() {
                placed.push((place.position, self.assign(value, &place.name, place.ty)?));
                continue;
            }
            match placed.iter_mut().position(|(position, _)| *position == place.position) {
                Some(index) => {
                    let base = std::mem::replace(&mut placed[index].1, null_of(place.ty));
                    placed[index].1 = self.assign_part(base, place, value)?;
                }
                None => placed.push((place.position, self.assign_part(null_of(place.ty), place, value)?)),
            }
        }
        Ok(placed.into_iter().map(|(_, value)| value).collect())
    }

    /// Rows written out; each value is converted to its column's type by itself.
    pub(super) fn insert_values(
        &mut self,
        target: &Target,
        values: &sql::Values,
        columns: &mut Vec<Place<'_>>,
        explicit: bool,
        overriding: Overriding,
    ) -> SqlResult<Query> {
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let mut rows = Vec::with_capacity(values.rows.len());
        let mut given = vec![false; width];
        for row in &values.rows {
            let row = &row.content;
            if row.len() != width {
                let position = row.first().and_then(|expr| self.start(expr));
                return Err(
                    SqlError::new(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length").at(position),
                );
            }
            let beyond = row.get(columns.len()).and_then(|expr| self.start(expr));
            self.check_width(width, columns, explicit, beyond)?;
            self.check_places(target, &named_places(&columns[..width]))?;
            let mut bound = Vec::with_capacity(width);
            for (index, (expr, column)) in row.iter().zip(columns.iter()).enumerate() {
                if is_default(expr) && !column.steps.is_empty() {
                    return Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "cannot set an array element to DEFAULT",
                    )
                    .at(column.at));
                }
                if is_default(expr) {
                    let Some(definition) = target.table.columns.get(usize::from(column.position)) else {
                        continue;
                    };
                    let defaults = target.defaults();
                    let definition = defaults.columns.get(usize::from(column.position)).unwrap_or(definition);
                    bound.push(self.default_value(defaults, column.position, definition)?);
                    continue;
                }
                given[index] = true;
                bound.push(self.bind_in(Context::Values, expr)?);
            }
            rows.push(self.place_values(columns, bound)?);
        }
        columns.truncate(width);
        unite_parts(columns);
        let dropped = self.check_generated(target, columns, |index| given[index], overriding)?;
        let outputs: Vec<OutputColumn> = columns
            .iter()
            .map(|column| self.new_column(&column.name, column.ty))
            .collect();
        let mut query = Query {
            rel: Rel::Values {
                rows,
                columns: outputs.clone(),
            },
            columns: outputs,
        };
        drop_columns(&mut query, columns, &dropped);
        Ok(query)
    }

    /// Rows of a query.
    fn insert_query(
        &mut self,
        target: &Target,
        query: &sql::Query,
        columns: &mut Vec<Place<'_>>,
        explicit: bool,
        overriding: Overriding,
    ) -> SqlResult<Query> {
        let mut bound = self.bind_query_with(query, true)?;
        self.check_width(bound.columns.len(), columns, explicit, None)?;
        columns.truncate(bound.columns.len());
        self.check_places(target, &named_places(columns))?;
        for (output, column) in bound.columns.iter_mut().zip(columns.iter()) {
            if output.ty.oid == oid::UNKNOWN {
                let ty = if column.steps.is_empty() { column.ty } else { Type::TEXT };
                self.retype_unknown(&mut bound.rel, output.id, ty)?;
                output.ty = Type::new(ty.oid);
            }
        }
        let values = bound.columns.iter().map(crate::bind::expr_column).collect();
        let values = self.place_values(columns, values)?;
        unite_parts(columns);
        let mut projected = Vec::with_capacity(columns.len());
        for (value, column) in values.into_iter().zip(columns.iter()) {
            projected.push((self.new_column(&column.name, column.ty), value));
        }
        let dropped = self.check_generated(target, columns, |_| true, overriding)?;
        let unchanged = projected
            .iter()
            .all(|(_, value)| matches!(value.kind, ExprKind::Column(_)));
        let mut query = if unchanged {
            bound
        } else {
            let outputs = projected.iter().map(|(column, _)| column.clone()).collect();
            Query {
                rel: Rel::Project {
                    input: Box::new(bound.rel),
                    columns: projected,
                },
                columns: outputs,
            }
        };
        drop_columns(&mut query, columns, &dropped);
        Ok(query)
    }

    fn check_width(&self, width: usize, columns: &[Place<'_>], explicit: bool, place: Option<u32>) -> SqlResult<()> {
        if width > columns.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "INSERT has more expressions than target columns",
            )
            .at(place));
        }
        if explicit && width < columns.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "INSERT has more target columns than expressions",
            )
            .at(columns[width].at));
        }
        Ok(())
    }

    /// 428C9 for values of columns that compute theirs; gives the columns whose values are ignored.
    fn check_generated(
        &self,
        target: &Target,
        columns: &[Place<'_>],
        given: impl Fn(usize) -> bool,
        overriding: Overriding,
    ) -> SqlResult<Vec<usize>> {
        let mut dropped = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            let Some(definition) = target.table.columns.get(usize::from(column.position)) else {
                continue;
            };
            let refuse = |detail: &str| {
                SqlError::new(
                    SqlState::GENERATED_ALWAYS,
                    format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name),
                )
                .detail(format!("Column \"{}\" is {detail}.", column.name))
            };
            if definition.generated {
                if given(index) {
                    return Err(refuse("a generated column"));
                }
                dropped.push(index);
                continue;
            }
            match (definition.identity, overriding) {
                (Some(_), Overriding::User) => dropped.push(index),
                (Some(Identity::Always), Overriding::Nothing) if given(index) => {
                    return Err(refuse("an identity column defined as GENERATED ALWAYS")
                        .hint("Use OVERRIDING SYSTEM VALUE to override."));
                }
                _ => {}
            }
        }
        Ok(dropped)
    }
}

/// Where values go as a whole, by position and name.
fn named_places<'p>(columns: &'p [Place<'_>]) -> Vec<(u16, &'p str)> {
    let whole = columns.iter().filter(|column| column.steps.is_empty());
    whole.map(|column| (column.position, column.name.as_str())).collect()
}

/// Parts of one column become one entry for it.
fn unite_parts(columns: &mut Vec<Place<'_>>) {
    let mut seen = Vec::new();
    columns.retain(|column| {
        let first = !seen.contains(&column.position);
        seen.push(column.position);
        first
    });
}

/// Takes columns out of a source.
fn drop_columns(query: &mut Query, columns: &mut Vec<Place<'_>>, dropped: &[usize]) {
    if dropped.is_empty() {
        return;
    }
    let keep = |index: usize| !dropped.contains(&index);
    let mut index = 0;
    columns.retain(|_| {
        index += 1;
        keep(index - 1)
    });
    let mut index = 0;
    query.columns.retain(|_| {
        index += 1;
        keep(index - 1)
    });
    // Rows written out lose the values too: what is ignored is not evaluated.
    if let Rel::Values { rows, columns } = &mut query.rel {
        for row in rows {
            let mut index = 0;
            row.retain(|_| {
                index += 1;
                keep(index - 1)
            });
        }
        columns.clone_from(&query.columns);
    }
}

/// VALUES with nothing around it.
fn plain_values(query: &sql::Query) -> Option<&sql::Values> {
    let plain =
        query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    match &*query.body {
        sql::SetExpr::Values(values) if plain => Some(values),
        _ => None,
    }
}
