//! INSERT, UPDATE, DELETE and MERGE: a source of rows, what becomes of them, and RETURNING.

mod assign;
mod conflict;
mod delete;
mod insert;
mod merge;
mod through;
mod update;

use std::sync::Arc;

use sqlparser::ast as sql;
use sqlparser::ast::Spanned;

use crate::bind::Binder;
use crate::bind::context::Context;
use crate::bind::scope::Item;
use crate::bound::{ColumnId, Expr, ExprKind, Modify, OutputColumn, Query, Rel};
use crate::catalog::{Column, Relation, RelationKind};
use crate::functions::CastContext;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

use through::{Layer, Quals, Shown};

/// The table a statement changes.
pub(super) struct Target {
    pub table: Arc<Relation>,
    /// Alias or name.
    pub alias: Arc<str>,
    /// Whether an alias was given, which hides the table's name.
    pub aliased: bool,
    /// ONLY: not its descendants.
    pub is_only: bool,
    /// Its columns as its name shows them.
    pub shown: Vec<Shown>,
    /// What is named: the table, or a view of it.
    pub named: Arc<Relation>,
    /// The views between the name and the table, the named one first.
    pub layers: Vec<Layer>,
    /// What the views demand of the rows that are looked for.
    pub quals: Vec<Expr>,
    /// INSERT, UPDATE, DELETE or MERGE.
    pub verb: &'static str,
    /// The table with the defaults of the views' columns, if they have any.
    pub defaults_from: Option<Arc<Relation>>,
}

impl Target {
    /// The table whose columns' defaults are meant.
    fn defaults(&self) -> &Arc<Relation> {
        self.defaults_from.as_ref().unwrap_or(&self.table)
    }
}

impl Binder<'_> {
    /// Binds a data-modifying statement as a query: its columns are those of RETURNING.
    pub(super) fn bind_modify_query(&mut self, statement: &sql::Statement) -> SqlResult<Query> {
        let modify = self.with_scope(|binder| match statement {
            sql::Statement::Insert(insert) => binder.bind_insert(insert),
            sql::Statement::Update(update) => binder.bind_update(update),
            sql::Statement::Delete(delete) => binder.bind_delete(delete),
            sql::Statement::Merge(merge) => binder.bind_merge(merge),
            other => Err(crate::bind::statement::unsupported(other)),
        })?;
        let columns = modify.returned().iter().map(|(column, _)| column.clone()).collect();
        Ok(Query {
            rel: Rel::Modify(Box::new(modify)),
            columns,
        })
    }

    /// The table a data-modifying statement names.
    fn modify_target(
        &mut self,
        name: &sql::ObjectName,
        alias: Option<&sql::Ident>,
        verb: &'static str,
    ) -> SqlResult<Target> {
        let (is_only, name) = crate::parse::forms::only(name);
        let parts: Vec<&sql::Ident> = name.iter().filter_map(|part| part.as_ident()).collect();
        let position = parts.first().and_then(|part| self.at(part.span));
        if let [single] = parts.as_slice()
            && self.find_cte(&single.value).is_some()
            && self.catalog.relation(self.session, None, &single.value).is_none()
        {
            return Err(SqlError::new(
                SqlState::UNDEFINED_TABLE,
                format!(
                    "relation \"{}\" cannot be the target of a modifying statement",
                    single.value
                ),
            )
            .at(position));
        }
        let table = self.relation_named(&parts, position)?;
        if verb == "MERGE" {
            merge::check_kind(&table)?;
        }
        match table.kind {
            RelationKind::Table => {}
            RelationKind::View => {
                let mut target = self.with_scope(|binder| binder.view_target(&table, verb))?;
                if let Some(alias) = alias {
                    target.alias = alias.value.as_str().into();
                    target.aliased = true;
                }
                target.is_only |= is_only;
                return Ok(target);
            }
            RelationKind::Sequence => {
                return Err(SqlError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("cannot change sequence \"{}\"", table.name),
                ));
            }
            RelationKind::Composite => {
                return Err(SqlError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("cannot open relation \"{}\"", table.name),
                )
                .detail("This operation is not supported for composite types.")
                .at(position));
            }
            RelationKind::System => {
                return Err(SqlError::new(
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    format!("permission denied: \"{}\" is a system catalog", table.name),
                ));
            }
        }
        let shown = alias.map_or(table.name.as_str(), |alias| alias.value.as_str());
        Ok(Target {
            alias: shown.into(),
            aliased: alias.is_some(),
            is_only,
            shown: table
                .live_columns()
                .map(|(position, column)| Shown {
                    name: column.name.clone(),
                    ty: column.ty,
                    base: Some(position),
                })
                .collect(),
            named: table.clone(),
            layers: Vec::new(),
            quals: Vec::new(),
            verb,
            defaults_from: None,
            table,
        })
    }

    /// An item that shows a row of the target under fresh ids: (position, id) of each live column; and what views demand of it.
    fn row_item(&mut self, target: &Target, name: &Arc<str>) -> SqlResult<RowItem> {
        let (mut item, ids) = self.base_item(&target.table, name);
        let table_oid = self.new_column_of(Some(name), "tableoid", Type::OID, (0, 0)).id;
        let mut quals = Quals::new();
        if target.layers.is_empty() {
            item.table_oid = Some(table_oid);
            if !target.aliased {
                let schema = self.catalog.schemas.get(&target.table.schema);
                item.schema = schema.map(|schema| schema.name.clone());
            }
        } else {
            (item, quals, _) = self.show_through(target, item, &ids)?;
            item.name = Some(name.clone());
        }
        Ok(RowItem {
            item,
            ids,
            table_oid,
            quals,
        })
    }

    /// RETURNING, with the target's row under its own ids beside what else is in scope.
    fn bind_returning(&mut self, items: Option<&Vec<sql::SelectItem>>) -> SqlResult<Vec<(OutputColumn, Expr)>> {
        let Some(items) = items else { return Ok(vec![]) };
        let targets = self.bind_targets(items, Context::Returning)?;
        let mut returning = Vec::with_capacity(targets.len());
        for target in targets {
            let expr = self.unknown_to_text(target.expr)?;
            let column = self.new_column(&target.name, expr.ty);
            if let ExprKind::Column(id) = expr.kind {
                let origin = self.facts(id).origin;
                self.set_origin(column.id, origin);
            }
            returning.push((column, expr));
        }
        Ok(returning)
    }

    /// Position and definition of a column of the target.
    fn target_column<'t>(&self, target: &'t Target, name: &sql::Ident) -> SqlResult<(u16, &'t Shown)> {
        let found = target.shown.iter().find(|column| column.name == name.value);
        let column = found.ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!(
                    "column \"{}\" of relation \"{}\" does not exist",
                    name.value, target.named.name
                ),
            )
            .at(self.at(name.span))
        })?;
        let position = column.base.ok_or_else(|| through::not_a_column(target, &column.name))?;
        Ok((position, column))
    }

    /// Converts a value to a column's type, as assignments do.
    fn assign(&mut self, value: Expr, column: &str, ty: Type) -> SqlResult<Expr> {
        let (source, position) = (value.ty, value.position);
        match self.try_coerce(value, ty, CastContext::Assignment)? {
            Some(value) => Ok(value),
            None => {
                let (wanted, found) = (self.type_name(ty), self.type_name(source));
                Err(SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("column \"{column}\" is of type {wanted} but expression is of type {found}"),
                )
                .hint("You will need to rewrite or cast the expression.")
                .at(position))
            }
        }
    }

    /// The value DEFAULT stands for: the column's default, the next number of its sequence, or NULL.
    fn default_value(&mut self, table: &Relation, position: u16, column: &Column) -> SqlResult<Expr> {
        if let Some(text) = column.default.as_ref().filter(|_| !column.generated) {
            let ast = crate::parse::parse_expression(text)?;
            let source = std::mem::replace(&mut self.source, crate::bind::position::Source::stored(text));
            let schema = self.home_schema.replace(table.schema);
            let bound = self.with_scope(|binder| binder.bind_in(Context::ColumnDefault, &ast));
            self.home_schema = schema;
            let value = bound.and_then(|expr| self.assign(expr, &column.name, column.ty));
            self.source = source;
            return value;
        }
        if column.identity.is_some() {
            let sequence = self.catalog.relations.values().find(|relation| {
                relation
                    .sequence
                    .as_ref()
                    .is_some_and(|sequence| sequence.owned_by == Some((table.id, position)))
            });
            if let Some(sequence) = sequence {
                let class = crate::bind::coerce::literal(storage::Datum::Oid(sequence.id), Type::REGCLASS);
                let next = self.call_function("nextval", vec![class], None)?;
                return self.assign(next, &column.name, column.ty);
            }
        }
        Ok(crate::bind::coerce::literal(storage::Datum::Null, column.ty))
    }

    /// Values of the live columns that a statement does not mention; generated ones are computed elsewhere.
    fn missing_defaults(&mut self, table: &Relation, given: &[u16]) -> SqlResult<Vec<(u16, Expr)>> {
        let mut defaults = Vec::new();
        for (position, column) in table.live_columns() {
            if given.contains(&position) || column.generated {
                continue;
            }
            defaults.push((position, self.default_value(table, position, column)?));
        }
        Ok(defaults)
    }
}

/// A row of the target, as its name shows it.
struct RowItem {
    item: Item,
    ids: Vec<(u16, ColumnId)>,
    table_oid: ColumnId,
    quals: Quals,
}

/// Whether an expression is the keyword DEFAULT.
fn is_default(expr: &sql::Expr) -> bool {
    matches!(expr, sql::Expr::Identifier(ident) if crate::bind::expr::is_default(ident))
}

/// A typed NULL of a column.
fn null_of(ty: Type) -> Expr {
    crate::bind::coerce::literal(storage::Datum::Null, ty)
}

/// The modify node, without what each statement fills in.
fn modify(
    target: &Target,
    kind: crate::bound::ModifyKind,
    row_columns: Vec<(u16, ColumnId)>,
    table_oid: ColumnId,
) -> Modify {
    let alias = match target.layers.is_empty() {
        true => target.alias.to_string(),
        false => target.table.name.clone(),
    };
    Modify {
        table: target.table.clone(),
        alias,
        kind,
        returning: vec![],
        check_options: vec![],
        row_columns,
        table_oid: Some(table_oid),
        source_oid: None,
    }
}

/// The one name of a table in UPDATE or DELETE, with its alias.
fn named_table(factor: &sql::TableFactor) -> SqlResult<(&sql::ObjectName, Option<&sql::TableAlias>)> {
    match factor {
        sql::TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } => Ok((name, alias.as_ref())),
        other => {
            let _ = other.span();
            Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("syntax error at or near \"{other}\""),
            ))
        }
    }
}

/// Whether a type is text-like, for messages of subscripts.
fn is_jsonb(ty: Type) -> bool {
    ty.oid == oid::JSONB
}
