//! Through views: INSERT, UPDATE and DELETE of a view become those of the table behind it, when they are bound, so that locks,
//! rows and constraints are the table's.
//!
//! ```text
//!   UPDATE v SET x = 1 WHERE y = 2      v (x, y) = SELECT a, a + b FROM t WHERE c
//!     ─► UPDATE t SET a = 1 WHERE c AND a + b = 2
//! ```
//!
//! Invariants
//!  - V1 The views between are kept from the named one to the one over the table; each is bound over the row below it, once for the
//!    rows that are looked for and once for the new row.
//!  - V2 A column can be written if it is, through all views, one column of the table.
//!  - V3 What CHECK OPTION demands is looked at when the row is written, the views next to the table first.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast as sql;

use super::Target;
use crate::bind::Binder;
use crate::bind::context::Context;
use crate::bind::position::Source;
use crate::bind::scope::{Item, ItemColumn};
use crate::bound::{ColumnId, Expr, ExprKind, OutputColumn};
use crate::catalog::{Relation, RelationKind, ViewCheck};
use crate::functions::{self, FunctionKind};
use crate::{SqlError, SqlResult, SqlState, Type};

/// A view between the named relation and the table.
pub(in crate::bind) struct Layer {
    view: Arc<Relation>,
    select: sql::Select,
    alias: Option<sql::TableAlias>,
    /// What it selects from.
    from: Arc<Relation>,
}

/// A column of the target as its name shows it.
pub(in crate::bind) struct Shown {
    pub name: String,
    pub ty: Type,
    /// The table's column it is, if it can be written.
    pub base: Option<u16>,
}

/// What a view demands of the rows below it.
pub(super) type Quals = Vec<(Arc<Relation>, Expr)>;

/// Position of a column that cannot be written.
pub(super) const NOT_A_COLUMN: u16 = u16::MAX;

const SINGLE: &str = "Views that do not select from a single table or view are not automatically updatable.";
const NO_COLUMNS: &str = "Views that have no updatable columns are not automatically updatable.";

/// Why a view cannot be written through.
struct Refusal {
    view: Arc<Relation>,
    reason: &'static str,
}

impl Binder<'_> {
    /// The target that a view stands for.
    ///
    /// # Errors
    /// 55000 for a view that cannot be written through.
    pub(super) fn view_target(&mut self, view: &Arc<Relation>, verb: &'static str) -> SqlResult<Target> {
        let refused = |refusal: Refusal| not_updatable(&refusal.view, verb, refusal.reason);
        let (layers, table, is_only) = self.layers_of(view)?.map_err(refused)?;
        let mut target = Target {
            alias: view.name.as_str().into(),
            aliased: false,
            is_only,
            shown: Vec::new(),
            named: view.clone(),
            layers,
            quals: Vec::new(),
            verb,
            defaults_from: None,
            table,
        };
        let (item, ids) = self.base_item(&target.table.clone(), &target.alias.clone());
        let (item, _, defaults) = self.show_through(&target, item, &ids)?;
        target.shown = item
            .columns
            .iter()
            .map(|column| Shown {
                name: column.name.to_string(),
                ty: column.expr.ty,
                base: base_of(&column.expr, &ids),
            })
            .collect();
        if verb != "DELETE" && target.shown.iter().all(|column| column.base.is_none()) {
            return Err(not_updatable(view, verb, NO_COLUMNS));
        }
        if !defaults.is_empty() {
            // What a view's columns default to takes the place of the table's defaults.
            let mut table = Relation::clone(&target.table);
            for (position, text) in defaults {
                table.columns[usize::from(position)].default = Some(text);
            }
            target.defaults_from = Some(Arc::new(table));
        }
        Ok(target)
    }

    /// Whether a view can be written through: not at all (why), or which of its columns can be written.
    pub(crate) fn updatability(&mut self, view: &Arc<Relation>) -> SqlResult<Result<Vec<bool>, &'static str>> {
        let (layers, table, is_only) = match self.layers_of(view)? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal.reason)),
        };
        let target = Target {
            alias: view.name.as_str().into(),
            aliased: false,
            is_only,
            shown: Vec::new(),
            named: view.clone(),
            layers,
            quals: Vec::new(),
            verb: "UPDATE",
            defaults_from: None,
            table,
        };
        let table = target.table.clone();
        let (item, ids) = self.base_item(&table, &target.alias.clone());
        let (item, ..) = self.show_through(&target, item, &ids)?;
        let columns = item.columns.iter().map(|column| base_of(&column.expr, &ids).is_some());
        Ok(Ok(columns.collect()))
    }

    /// The views from a view to the table behind it, and whether only that table is meant.
    #[allow(clippy::type_complexity, reason = "a triple that its two callers take apart")]
    fn layers_of(&self, view: &Arc<Relation>) -> SqlResult<Result<(Vec<Layer>, Arc<Relation>, bool), Refusal>> {
        let mut layers: Vec<Layer> = Vec::new();
        let mut at = view.clone();
        loop {
            let refuse = |reason| {
                let view = at.clone();
                Ok(Err(Refusal { view, reason }))
            };
            if layers.iter().any(|layer| layer.view.id == at.id) {
                return Err(SqlError::new(
                    SqlState::INVALID_OBJECT_DEFINITION,
                    format!("infinite recursion detected in rules for relation \"{}\"", at.name),
                ));
            }
            let parsed = crate::parse::parse(at.view.as_deref().unwrap_or_default())?;
            let Some(sql::Statement::Query(query)) = parsed.first().map(|statement| &*statement.ast) else {
                return refuse(SINGLE);
            };
            let select = match simple_select(query) {
                Ok(select) => select,
                Err(reason) => return refuse(reason),
            };
            let [sql::TableWithJoins { relation, joins }] = select.from.as_slice() else {
                return refuse(SINGLE);
            };
            let sql::TableFactor::Table {
                name,
                alias,
                args: None,
                sample: None,
                ..
            } = relation
            else {
                return refuse(SINGLE);
            };
            if !joins.is_empty() {
                return refuse(SINGLE);
            }
            let (is_only, name) = crate::parse::forms::only(name);
            let parts: Vec<&sql::Ident> = name.iter().filter_map(|part| part.as_ident()).collect();
            let from = self.relation_named(&parts, None)?;
            layers.push(Layer {
                view: at.clone(),
                select: select.clone(),
                alias: alias.clone(),
                from: from.clone(),
            });
            match from.kind {
                RelationKind::Table => return Ok(Ok((layers, from, is_only))),
                RelationKind::View => at = from,
                RelationKind::System | RelationKind::Sequence | RelationKind::Composite => return refuse(SINGLE),
            }
        }
    }

    /// A row of a table under fresh ids.
    pub(super) fn base_item(&mut self, table: &Arc<Relation>, name: &Arc<str>) -> (Item, Vec<(u16, ColumnId)>) {
        let (mut ids, mut columns) = (Vec::new(), Vec::new());
        for (position, column) in table.live_columns() {
            let origin = (table.id, position as i16 + 1);
            let output = self.new_column_of(Some(name), &column.name, column.ty, origin);
            ids.push((position, output.id));
            columns.push(ItemColumn {
                name: column.name.as_str().into(),
                expr: crate::bind::expr_column(&output),
            });
        }
        let mut item = Item::new(Some(name), columns);
        item.relation = Some(table.clone());
        item.row_type = Type::new(table.id);
        (item, ids)
    }

    /// The row of the table as the target's name shows it, what the views demand of it (from the inside out), and the defaults
    /// of their columns by the table's positions.
    #[allow(clippy::type_complexity, reason = "three results of one walk, taken apart at once")]
    pub(super) fn show_through(
        &mut self,
        target: &Target,
        base: Item,
        ids: &[(u16, ColumnId)],
    ) -> SqlResult<(Item, Quals, Vec<(u16, String)>)> {
        let (mut item, mut quals, mut defaults) = (base, Quals::new(), Vec::new());
        let row_key = item.row_key;
        for layer in target.layers.iter().rev() {
            let name = layer
                .alias
                .as_ref()
                .map_or(layer.from.name.as_str(), |alias| alias.name.value.as_str());
            item.name = Some(name.into());
            item.schema = None;
            if layer.alias.is_none() {
                item.schema = self.schema_name(layer.from.schema);
            }
            (item.relation_visible, item.columns_visible, item.lateral_only) = (true, true, false);
            crate::bind::from::apply_column_aliases(&mut item, layer.alias.as_ref(), self)?;
            if let Some(condition) = &layer.select.selection {
                let qual = self.within(layer, item.clone(), |binder| {
                    binder.bind_condition(Context::Where, condition, "WHERE")
                })?;
                quals.push((layer.view.clone(), qual));
            }
            let shown = self.within(layer, item, |binder| {
                let targets = binder.bind_targets(&layer.select.projection, Context::SelectTarget)?;
                let exprs = targets.into_iter().map(|target| binder.unknown_to_text(target.expr));
                exprs.collect::<SqlResult<Vec<Expr>>>()
            })?;
            let mut columns = Vec::with_capacity(shown.len());
            for ((_, column), expr) in layer.view.live_columns().zip(shown) {
                if let (Some(text), Some(position)) = (&column.default, base_of(&expr, ids)) {
                    defaults.retain(|(known, _)| *known != position);
                    defaults.push((position, text.clone()));
                }
                columns.push(ItemColumn {
                    name: column.name.as_str().into(),
                    expr,
                });
            }
            item = Item::new(Some(&layer.view.name), columns);
            item.relation = Some(layer.view.clone());
            item.row_type = Type::new(layer.view.id);
        }
        item.row_key = row_key;
        item.name = Some(target.alias.clone());
        item.schema = None;
        if !target.aliased {
            item.schema = self.schema_name(target.named.schema);
        }
        Ok((item, quals, defaults))
    }

    fn schema_name(&self, schema: u32) -> Option<String> {
        self.catalog.schemas.get(&schema).map(|schema| schema.name.clone())
    }

    /// Binds a part of a view's query over the row it selects from, which is all that it sees.
    fn within<T>(&mut self, layer: &Layer, from: Item, bind: impl FnOnce(&mut Self) -> SqlResult<T>) -> SqlResult<T> {
        let text = layer.view.view.as_deref().unwrap_or_default();
        let items = std::mem::replace(&mut self.scope().items, vec![from]);
        let source = std::mem::replace(&mut self.source, Source::stored(text));
        let floor = std::mem::replace(&mut self.scope_floor, self.scopes.len() - 1);
        let ctes = std::mem::take(&mut self.ctes);
        let schema = self.home_schema.replace(layer.view.schema);
        let result = bind(self);
        self.home_schema = schema;
        self.ctes = ctes;
        self.scope_floor = floor;
        self.source = source;
        self.scope().items = items;
        result
    }

    /// What CHECK OPTION of the views demands of a new row, in the order it is looked at, as columns behind those of RETURNING.
    pub(super) fn check_options(&mut self, target: &Target, quals: Quals) -> (Vec<String>, Vec<(OutputColumn, Expr)>) {
        let mut is_cascaded = false;
        let mut checked = Vec::new();
        for layer in &target.layers {
            if is_cascaded || layer.view.check_option.is_some() {
                checked.push(layer.view.id);
            }
            is_cascaded |= layer.view.check_option == Some(ViewCheck::Cascaded);
        }
        let demanded = quals.into_iter().filter(|(view, _)| checked.contains(&view.id));
        demanded
            .map(|(view, qual)| {
                let column = self.new_column("\u{1}check option", Type::BOOL);
                (view.name.clone(), (column, qual))
            })
            .unzip()
    }

    /// Refuses to insert into columns of a view that are none of the table, or into one twice.
    pub(super) fn check_places(&self, target: &Target, positions: &[(u16, &str)]) -> SqlResult<()> {
        if target.layers.is_empty() {
            return Ok(());
        }
        for (at, (position, name)) in positions.iter().enumerate() {
            if *position == NOT_A_COLUMN {
                return Err(not_a_column(target, name));
            }
            if positions[..at].iter().any(|(known, _)| known == position) {
                let column = &target.table.columns[usize::from(*position)].name;
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("multiple assignments to same column \"{column}\""),
                ));
            }
        }
        Ok(())
    }
}

/// 0A000 for writing to a column of a view that is none of the table.
pub(super) fn not_a_column(target: &Target, name: &str) -> SqlError {
    let verb = if target.verb == "INSERT" {
        "insert into"
    } else {
        "update"
    };
    SqlError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("cannot {verb} column \"{name}\" of view \"{}\"", target.named.name),
    )
    .detail("View columns that are not columns of their base relation are not updatable.")
}

/// 55000 as PostgreSQL words it for each statement.
fn not_updatable(view: &Relation, verb: &str, reason: &str) -> SqlError {
    let (does, doing) = match verb {
        "INSERT" => ("insert into", "inserting into"),
        "UPDATE" => ("update", "updating"),
        _ => ("delete from", "deleting from"),
    };
    SqlError::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("cannot {does} view \"{}\"", view.name),
    )
    .detail(reason)
    .hint(format!(
        "To enable {doing} the view, provide an INSTEAD OF {verb} trigger or an unconditional ON {verb} DO INSTEAD rule."
    ))
}

/// The column of the table that an expression is.
fn base_of(expr: &Expr, ids: &[(u16, ColumnId)]) -> Option<u16> {
    match expr.kind {
        ExprKind::Column(id) => ids
            .iter()
            .find(|(_, known)| *known == id)
            .map(|(position, _)| *position),
        _ => None,
    }
}

/// The SELECT of a view that can be written through, or why it cannot; in the order PostgreSQL looks.
fn simple_select(query: &sql::Query) -> Result<&sql::Select, &'static str> {
    let select = match &*query.body {
        sql::SetExpr::Select(select) => select,
        sql::SetExpr::Query(inner) if query.with.is_none() && query.limit_clause.is_none() => {
            return simple_select(inner);
        }
        sql::SetExpr::SetOperation { .. } => {
            return Err("Views containing UNION, INTERSECT, or EXCEPT are not automatically updatable.");
        }
        _ => return Err(SINGLE),
    };
    if matches!(&select.distinct, Some(distinct) if !matches!(distinct, sql::Distinct::All)) {
        return Err("Views containing DISTINCT are not automatically updatable.");
    }
    let is_grouped = match &select.group_by {
        sql::GroupByExpr::All(_) => true,
        sql::GroupByExpr::Expressions(keys, modifiers) => !keys.is_empty() || !modifiers.is_empty(),
    };
    if is_grouped {
        return Err("Views containing GROUP BY are not automatically updatable.");
    }
    if select.having.is_some() {
        return Err("Views containing HAVING are not automatically updatable.");
    }
    if query.with.is_some() {
        return Err("Views containing WITH are not automatically updatable.");
    }
    if query.limit_clause.is_some() || query.fetch.is_some() {
        return Err("Views containing LIMIT or OFFSET are not automatically updatable.");
    }
    let mut calls = Calls::default();
    for item in &select.projection {
        let _ = sql::Visit::visit(item, &mut calls);
    }
    if calls.aggregates {
        return Err("Views that return aggregate functions are not automatically updatable.");
    }
    if calls.windows {
        return Err("Views that return window functions are not automatically updatable.");
    }
    if calls.sets {
        return Err("Views that return set-returning functions are not automatically updatable.");
    }
    Ok(select)
}

/// Kinds of functions that a select list calls, outside of its subqueries.
#[derive(Default)]
struct Calls {
    depth: usize,
    aggregates: bool,
    windows: bool,
    sets: bool,
}

impl sql::Visitor for Calls {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &sql::Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &sql::Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &sql::Expr) -> ControlFlow<()> {
        let sql::Expr::Function(function) = expr else {
            return ControlFlow::Continue(());
        };
        if self.depth == 0 {
            let name = function.name.0.last().and_then(|part| part.as_ident());
            let kinds = name.map(|name| functions::by_name(&name.value)).unwrap_or_default();
            let is = |kind| kinds.iter().any(|candidate| candidate.kind == kind);
            self.windows |= function.over.is_some();
            self.aggregates |= function.over.is_none() && is(FunctionKind::Aggregate);
            self.sets |= is(FunctionKind::Set);
        }
        ControlFlow::Continue(())
    }
}
