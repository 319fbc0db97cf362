//! FROM: tables, views, WITH items, subqueries and functions, each with its alias.

use std::sync::Arc;

use sqlparser::ast as sql;
use sqlparser::ast::{FunctionArg, FunctionArguments, Spanned, TableFactor};

use crate::bound::shape::record_type;
use crate::bound::{ExprKind, FunctionCall, Members, OutputColumn, Rel, Scan, visit};
use crate::catalog::{Relation, RelationKind};
use crate::functions::FunctionKind;
use crate::parse::forms;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;
use super::coerce::is_row;
use super::context::Context;
use super::expr::{CallName, FunctionChoice};
use super::scope::{Item, ItemColumn, LockTarget, Lockable, LockedScan};

/// Something bound in FROM: its relation, the items it makes visible, and which of them stands for the whole.
pub(super) struct Source {
    pub rel: Rel,
    pub items: Vec<Item>,
    /// The item whose columns are the columns of the whole.
    pub whole: usize,
}

impl Binder<'_> {
    /// Binds a FROM list into the current scope.
    pub(super) fn bind_from(&mut self, list: &[sql::TableWithJoins]) -> SqlResult<Rel> {
        let mut rel: Option<Rel> = None;
        let base = self.scope().items.len();
        for table in list {
            let first_new = self.next_column_id();
            let source = self.bind_joined(table)?;
            self.check_aliases(&source.items)?;
            let mut items = source.items;
            // Later items see these through LATERAL.
            for item in &mut items {
                item.lateral_only = true;
                item.lateral_ok = true;
            }
            self.scope().items.append(&mut items);
            rel = Some(match rel {
                None => source.rel,
                Some(left) => self.cross(left, source.rel, first_new),
            });
        }
        for item in &mut self.scope().items[base..] {
            item.lateral_only = false;
            item.lateral_ok = true;
        }
        Ok(rel.unwrap_or(Rel::OneRow))
    }

    fn cross(&self, left: Rel, right: Rel, first_new: u32) -> Rel {
        let lateral = self.refers_before(&right, first_new);
        Rel::Join {
            kind: crate::bound::JoinKind::Cross,
            left: Box::new(left),
            right: Box::new(right),
            on: None,
            lateral,
        }
    }

    /// Whether a relation uses columns of the current level that were made before an id.
    pub(super) fn refers_before(&self, rel: &Rel, first_new: u32) -> bool {
        let level = self.level();
        let mut found = false;
        visit::walk_rel(rel, &mut |expr| {
            if let ExprKind::Column(id) = expr.kind {
                found |= id.0 < first_new && self.facts(id).level == level;
            }
        });
        found
    }

    /// 42712 for an alias that is there already.
    fn check_aliases(&mut self, new: &[Item]) -> SqlResult<()> {
        let existing = &self.scope().items;
        for item in new.iter().filter(|item| item.relation_visible) {
            if existing
                .iter()
                .any(|other| other.relation_visible && items_clash(other, item))
            {
                return Err(duplicate_alias(item));
            }
        }
        Ok(())
    }

    /// Binds one table, subquery, function or join in parentheses.
    pub(super) fn bind_factor(&mut self, factor: &TableFactor) -> SqlResult<Source> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                sample,
                ..
            } => {
                if sample.is_some() {
                    return Err(SqlError::unsupported("TABLESAMPLE").at(self.at(name.span())));
                }
                let rel_items = self.scope().items.len();
                let rel = self.bind_named_relation(name, alias.as_ref())?;
                let items = self.scope().items.split_off(rel_items);
                Ok(Source { rel, items, whole: 0 })
            }
            TableFactor::Table {
                name,
                alias,
                args: Some(args),
                with_ordinality,
                ..
            } => {
                let calls = self.table_calls(name, &args.args)?;
                self.bind_table_functions(&calls, alias.as_ref(), *with_ordinality)
            }
            TableFactor::Function {
                name,
                args,
                alias,
                with_ordinality,
                ..
            } => {
                let calls = self.table_calls(name, args)?;
                self.bind_table_functions(&calls, alias.as_ref(), *with_ordinality)
            }
            TableFactor::TableFunction {
                expr: sql::Expr::Function(function),
                alias,
            } => self.bind_table_functions(std::slice::from_ref(function), alias.as_ref(), false),
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_ordinality,
                ..
            } => {
                // unnest of several arrays is one function for each, side by side.
                let calls: Vec<sql::Function> = array_exprs
                    .iter()
                    .map(|array| {
                        function_call(
                            sql::ObjectName::from(vec![sql::Ident::new("unnest")]),
                            vec![array.clone()],
                        )
                    })
                    .collect();
                self.bind_table_functions(&calls, alias.as_ref(), *with_ordinality)
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                sample,
            } => {
                if sample.is_some() {
                    return Err(SqlError::unsupported("TABLESAMPLE"));
                }
                self.bind_derived(*lateral, subquery, alias.as_ref())
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                let source = self.bind_joined(table_with_joins)?;
                match alias {
                    None => Ok(source),
                    Some(alias) => self.alias_join(source, alias),
                }
            }
            other => Err(SqlError::unsupported(format_args!("{other} in FROM")).at(self.at(other.span()))),
        }
    }

    /// The calls of a table function: several for ROWS FROM.
    fn table_calls(&self, name: &sql::ObjectName, args: &[FunctionArg]) -> SqlResult<Vec<sql::Function>> {
        if name.0.len() == 1
            && name.0[0]
                .as_ident()
                .is_some_and(|ident| ident.value == forms::ROWS_FROM)
        {
            let mut calls = Vec::new();
            for arg in args {
                match arg {
                    FunctionArg::Unnamed(sql::FunctionArgExpr::Expr(sql::Expr::Function(function))) => {
                        calls.push(function.clone());
                    }
                    other => {
                        return Err(SqlError::new(
                            SqlState::SYNTAX_ERROR,
                            format!("syntax error at or near \"{other}\""),
                        ));
                    }
                }
            }
            return Ok(calls);
        }
        let mut call = function_call(name.clone(), vec![]);
        call.args = FunctionArguments::List(sql::FunctionArgumentList {
            duplicate_treatment: None,
            args: args.to_vec(),
            clauses: vec![],
        });
        Ok(vec![call])
    }

    /// A table, view or WITH item by name; its item is added to the scope.
    pub(super) fn bind_named_relation(
        &mut self,
        name: &sql::ObjectName,
        alias: Option<&sql::TableAlias>,
    ) -> SqlResult<Rel> {
        let (is_only, name) = forms::only(name);
        let parts: Vec<&sql::Ident> = name.iter().filter_map(|part| part.as_ident()).collect();
        let position = parts.first().and_then(|part| self.at(part.span));
        if let [single] = parts.as_slice()
            && let Some(entry) = self.find_cte(&single.value)
        {
            if entry.no_rows {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("WITH query \"{}\" does not have a RETURNING clause", entry.name),
                )
                .at(position));
            }
            let shown: Arc<str> = alias
                .map_or(single.value.as_str(), |alias| alias.name.value.as_str())
                .into();
            let (rel, columns) = self.reference_cte(&entry, &shown);
            let item = self.aliased_item(&columns, alias, &shown)?;
            self.scope().items.push(item);
            self.add_lockable(&shown, LockTarget::Other("a WITH query"));
            return Ok(rel);
        }
        let relation = self.relation_named(&parts, position)?;
        self.check_database_of(&parts, position)?;
        let shown: Arc<str> = alias
            .map_or(relation.name.as_str(), |alias| alias.name.value.as_str())
            .into();
        match relation.kind {
            RelationKind::View => self.bind_view(&relation, alias, &shown),
            RelationKind::Table | RelationKind::System | RelationKind::Sequence => {
                self.bind_scan(&relation, alias, &shown, is_only)
            }
            RelationKind::Composite => Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot open relation \"{}\"", relation.name),
            )
            .detail("This operation is not supported for composite types.")
            .at(position)),
        }
    }

    fn check_database_of(&self, parts: &[&sql::Ident], position: Option<u32>) -> SqlResult<()> {
        match parts {
            [database, _, _] => self.check_database(&database.value, position),
            _ => Ok(()),
        }
    }

    /// The relation a name means.
    pub(super) fn relation_named(&self, parts: &[&sql::Ident], position: Option<u32>) -> SqlResult<Arc<Relation>> {
        let (schema, table) = match parts {
            [table] => (None, *table),
            [schema, table] | [_, schema, table] => (Some(schema.value.as_str()), *table),
            _ => {
                let shown: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("improper relation name (too many dotted names): {}", shown.join(".")),
                )
                .at(position));
            }
        };
        let home = self.home_schema.filter(|_| schema.is_none());
        if let Some(id) = home.and_then(|home| self.catalog.names.get(&(home, table.value.clone())))
            && let Some(relation) = self.catalog.relations.get(id)
        {
            return Ok(relation.clone());
        }
        if let Some(relation) = self.catalog.relation(self.session, schema, &table.value) {
            return Ok(relation.clone());
        }
        // An index shares the name space, but cannot be read.
        if self.catalog.index(self.session, schema, &table.value).is_some() {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot open relation \"{}\"", table.value),
            )
            .detail("This operation is not supported for indexes.")
            .at(position));
        }
        let shown = match schema {
            Some(schema) => format!("{schema}.{}", table.value),
            None => table.value.clone(),
        };
        Err(SqlError::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{shown}\" does not exist"),
        )
        .at(position))
    }

    fn bind_scan(
        &mut self,
        relation: &Arc<Relation>,
        alias: Option<&sql::TableAlias>,
        shown: &Arc<str>,
        is_only: bool,
    ) -> SqlResult<Rel> {
        let row_of_sequence;
        let relation = match relation.kind {
            RelationKind::Sequence => {
                row_of_sequence = Arc::new(crate::system::sequence_row(relation));
                &row_of_sequence
            }
            _ => relation,
        };
        let (mut scan, mut item) = self.make_scan(relation, shown, alias.is_some());
        scan.members = self.members_of(relation, is_only)?;
        apply_column_aliases(&mut item, alias, self)?;
        let target = match relation.kind {
            RelationKind::Table => match LockedScan::of(&scan) {
                Some(locked) => LockTarget::Table(locked),
                None => LockTarget::Other("a table"),
            },
            RelationKind::Sequence => LockTarget::Other("a sequence"),
            _ => LockTarget::Other("a system relation"),
        };
        self.add_lockable(shown, target);
        self.scope().items.push(item);
        let system = matches!(relation.kind, RelationKind::System | RelationKind::Sequence);
        Ok(if system { Rel::SystemScan(scan) } else { Rel::Scan(scan) })
    }

    /// A scan of a table with every live column, its row key and its oid; [`super::prune`] takes away what is not used.
    pub(super) fn make_scan(&mut self, relation: &Arc<Relation>, shown: &Arc<str>, aliased: bool) -> (Scan, Item) {
        let mut columns = Vec::with_capacity(relation.columns.len());
        let mut visible = Vec::with_capacity(relation.columns.len());
        for (position, column) in relation.live_columns() {
            let origin = (relation.id, position as i16 + 1);
            let output = self.new_column_of(Some(shown), &column.name, column.ty, origin);
            visible.push(ItemColumn {
                name: column.name.as_str().into(),
                expr: super::expr_column(&output),
            });
            columns.push((output, position));
        }
        let row_key = self.new_column_of(Some(shown), "row key", Type::BYTEA, (0, 0)).id;
        let table_oid = self.new_column_of(Some(shown), "tableoid", Type::OID, (0, 0)).id;
        let scan = Scan {
            table: relation.clone(),
            alias: shown.to_string(),
            columns,
            row_key: Some(row_key),
            table_oid: Some(table_oid),
            members: None,
        };
        let mut item = Item::new(Some(shown), visible);
        item.relation = Some(relation.clone());
        item.row_key = Some(row_key);
        item.table_oid = Some(table_oid);
        item.row_type = Type::new(relation.id);
        if !aliased {
            item.schema = self
                .catalog
                .schemas
                .get(&relation.schema)
                .map(|schema| schema.name.clone());
        }
        (scan, item)
    }

    /// The tables that a scan reads instead of the table it names.
    pub(super) fn members_of(&self, relation: &Arc<Relation>, is_only: bool) -> SqlResult<Option<Arc<Members>>> {
        let is_parent = !self.catalog.children_of(relation.id).is_empty();
        if relation.kind != RelationKind::Table || (!is_parent || is_only) && !relation.is_partitioned() {
            return Ok(None);
        }
        let members = match is_only {
            true => Members {
                tables: Vec::new(),
                root: None,
            },
            false => crate::partition::routing::members(self.catalog, relation)?,
        };
        Ok(Some(Arc::new(members)))
    }

    pub(super) fn add_lockable(&mut self, alias: &str, target: LockTarget) {
        self.scope().lockable.push(Lockable {
            alias: alias.to_owned(),
            target,
        });
    }

    fn bind_derived(
        &mut self,
        lateral: bool,
        subquery: &sql::Query,
        alias: Option<&sql::TableAlias>,
    ) -> SqlResult<Source> {
        let scope = self.scope();
        let before = (scope.lateral_active, scope.context);
        scope.lateral_active = lateral;
        scope.context = Context::FromSubselect;
        let outer_locks = std::mem::take(&mut scope.lockable);
        let query = self.bind_subquery(subquery);
        let scope = self.scope();
        scope.lateral_active = before.0;
        scope.context = before.1;
        scope.lockable = outer_locks;
        let query = query?;
        let Some(alias) = alias else {
            let position = self.find_before(self.at(subquery.span()), "(");
            let what = match &*subquery.body {
                sql::SetExpr::Values(_) => "VALUES in FROM must have an alias",
                _ => "subquery in FROM must have an alias",
            };
            let hint = match &*subquery.body {
                sql::SetExpr::Values(_) => "For example, FROM (VALUES ...) [AS] foo.",
                _ => "For example, FROM (SELECT ...) [AS] foo.",
            };
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, what).hint(hint).at(position));
        };
        let shown: Arc<str> = alias.name.value.as_str().into();
        let keys = super::lock::exposable_keys(&query.rel);
        let mut item = self.aliased_item(&query.columns, Some(alias), &shown)?;
        item.row_type = record_type(
            item.columns
                .iter()
                .map(|column| (column.name.to_string(), column.expr.ty))
                .collect(),
        );
        let target = match keys {
            Some(keys) => LockTarget::Subquery(keys),
            None => LockTarget::Other("a subquery"),
        };
        self.add_lockable(&shown, target);
        Ok(Source {
            rel: query.rel,
            items: vec![item],
            whole: 0,
        })
    }

    /// An item for columns under an alias with perhaps new names.
    pub(super) fn aliased_item(
        &mut self,
        columns: &[OutputColumn],
        alias: Option<&sql::TableAlias>,
        shown: &Arc<str>,
    ) -> SqlResult<Item> {
        let visible = columns
            .iter()
            .map(|column| {
                self.set_names(column.id, shown, &column.name);
                ItemColumn {
                    name: column.name.as_str().into(),
                    expr: super::expr_column(column),
                }
            })
            .collect();
        let mut item = Item::new(Some(shown), visible);
        apply_column_aliases(&mut item, alias, self)?;
        Ok(item)
    }

    /// Functions in FROM, side by side.
    fn bind_table_functions(
        &mut self,
        calls: &[sql::Function],
        alias: Option<&sql::TableAlias>,
        with_ordinality: bool,
    ) -> SqlResult<Source> {
        let unnamed = alias.is_some_and(|alias| alias.name.value == forms::NO_ALIAS);
        let alias_name = alias.filter(|_| !unnamed).map(|alias| alias.name.value.as_str());
        let definitions: Vec<&sql::TableAliasColumnDef> = alias
            .map(|alias| {
                alias
                    .columns
                    .iter()
                    .filter(|column| column.data_type.is_some())
                    .collect()
            })
            .unwrap_or_default();
        let mut bound: Vec<(FunctionCall, Vec<OutputColumn>)> = Vec::with_capacity(calls.len());
        let mut first_name: Option<String> = None;
        let mut scalar = calls.len() == 1 && !with_ordinality;
        for call in calls {
            let name = call
                .name
                .0
                .last()
                .and_then(|part| part.as_ident())
                .map(|i| i.value.clone())
                .unwrap_or_default();
            first_name.get_or_insert_with(|| name.clone());
            let (call, columns, is_scalar) =
                self.bind_table_function(call, &name, alias_name.filter(|_| calls.len() == 1), &definitions)?;
            scalar &= is_scalar;
            bound.push((call, columns));
        }
        let shown: Arc<str> = match (alias_name, first_name) {
            (Some(alias), _) => alias.into(),
            (None, Some(name)) => name.as_str().into(),
            (None, None) => "unnamed".into(),
        };
        let ordinality = with_ordinality.then(|| self.new_column_of(Some(&shown), "ordinality", Type::INT8, (0, 0)));
        let mut columns: Vec<OutputColumn> = bound.iter().flat_map(|(_, columns)| columns.clone()).collect();
        columns.extend(ordinality.clone());
        let visible = columns
            .iter()
            .map(|column| {
                self.set_names(column.id, &shown, &column.name);
                ItemColumn {
                    name: column.name.as_str().into(),
                    expr: super::expr_column(column),
                }
            })
            .collect();
        let mut item = Item::new(Some(&shown), visible);
        if definitions.is_empty() && !unnamed {
            apply_column_aliases(&mut item, alias, self)?;
        }
        item.is_scalar_function = scalar;
        self.add_lockable(&shown, LockTarget::Other("a function"));
        Ok(Source {
            rel: Rel::FunctionScan {
                calls: bound,
                ordinality,
            },
            items: vec![item],
            whole: 0,
        })
    }

    /// One function in FROM: its call, its columns, and whether it gives one plain value a row.
    fn bind_table_function(
        &mut self,
        function: &sql::Function,
        name: &str,
        alias: Option<&str>,
        definitions: &[&sql::TableAliasColumnDef],
    ) -> SqlResult<(FunctionCall, Vec<OutputColumn>, bool)> {
        let scope = self.scope();
        let before = (scope.lateral_active, scope.context);
        // Functions in FROM are lateral without saying so.
        scope.lateral_active = true;
        scope.context = Context::FromFunction;
        let result = self.bind_table_call(function);
        let scope = self.scope();
        scope.lateral_active = before.0;
        scope.context = before.1;
        let (mut call, position) = result?;
        let fields = self.fields_of(call.ty);
        if !definitions.is_empty() {
            if call.ty.oid != oid::RECORD || !call.function.columns.is_empty() {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "a column definition list is only allowed for functions returning \"record\"",
                )
                .at(position));
            }
            let mut columns = Vec::with_capacity(definitions.len());
            for definition in definitions {
                let ty = match &definition.data_type {
                    Some(data_type) => self.type_of(data_type)?,
                    None => Type::TEXT,
                };
                columns.push(self.new_column(&definition.name.value, ty));
            }
            call.ty = record_type(columns.iter().map(|column| (column.name.clone(), column.ty)).collect());
            return Ok((call, columns, false));
        }
        if let Some(fields) = fields {
            let columns = fields.iter().map(|(name, ty)| self.new_column(name, *ty)).collect();
            return Ok((call, columns, false));
        }
        if is_row(call.ty.oid) {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "a column definition list is required for functions returning \"record\"",
            )
            .at(position));
        }
        // A function of one value names its column after its output parameter, the alias, or itself.
        let own = match call.function.columns {
            [(own, _)] => Some(*own),
            _ => None,
        };
        let column = self.new_column(own.or(alias).unwrap_or(name), call.ty);
        Ok((call, vec![column], true))
    }

    fn bind_table_call(&mut self, function: &sql::Function) -> SqlResult<(FunctionCall, Option<u32>)> {
        let CallName { name, position } = self.call_name(function)?;
        if function.over.is_some() || function.filter.is_some() {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"OVER\"").at(position));
        }
        let known = crate::functions::by_name(&name);
        let only = |kind: FunctionKind| !known.is_empty() && known.iter().all(|candidate| candidate.kind == kind);
        if only(FunctionKind::Aggregate) {
            return Err(SqlError::new(
                SqlState::GROUPING_ERROR,
                "aggregate functions are not allowed in functions in FROM",
            )
            .at(position));
        }
        if only(FunctionKind::Window) {
            return Err(SqlError::new(
                SqlState::WINDOWING_ERROR,
                "window functions are not allowed in functions in FROM",
            )
            .at(position));
        }
        let sets = self.scope().sets.len();
        let call = self.bind_call_args(function)?;
        if self.scope().sets.len() > sets {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "set-returning functions must appear at top level of FROM",
            )
            .at(position));
        }
        let usable = |kind: FunctionKind| matches!(kind, FunctionKind::Scalar | FunctionKind::Set);
        match self.resolve_function(&name, call, position, |candidate| usable(candidate.kind))? {
            FunctionChoice::Function { function, args, ty } => Ok((FunctionCall { function, args, ty }, position)),
            // CURRENT_DATE and casts by name are expressions, not functions of the catalog.
            FunctionChoice::Cast(_) => Err(SqlError::unsupported("a cast in FROM").at(position)),
        }
    }
}

fn function_call(name: sql::ObjectName, args: Vec<sql::Expr>) -> sql::Function {
    sql::Function {
        name,
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(sql::FunctionArgumentList {
            duplicate_treatment: None,
            args: args
                .into_iter()
                .map(|arg| FunctionArg::Unnamed(sql::FunctionArgExpr::Expr(arg)))
                .collect(),
            clauses: vec![],
        }),
        within_group: vec![],
        filter: None,
        null_treatment: None,
        over: None,
    }
}

/// Renames an item's first columns.
pub(super) fn apply_column_aliases(
    item: &mut Item,
    alias: Option<&sql::TableAlias>,
    binder: &mut Binder<'_>,
) -> SqlResult<()> {
    let Some(alias) = alias else { return Ok(()) };
    if alias.columns.len() > item.columns.len() {
        return Err(SqlError::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!(
                "table \"{}\" has {} columns available but {} columns specified",
                alias.name.value,
                item.columns.len(),
                alias.columns.len()
            ),
        ));
    }
    for (column, alias) in item.columns.iter_mut().zip(&alias.columns) {
        column.name = alias.name.value.as_str().into();
        if let ExprKind::Column(id) = column.expr.kind
            && let Some(table) = &item.name
        {
            binder.set_names(id, table, &alias.name.value);
        }
    }
    Ok(())
}

pub(super) fn items_clash(a: &Item, b: &Item) -> bool {
    // Two tables of one name may stand together if their schemas tell them apart.
    let schemas_differ = match (&a.relation, &b.relation) {
        (Some(first), Some(second)) => a.schema.is_some() && b.schema.is_some() && first.id != second.id,
        _ => false,
    };
    a.name.is_some() && a.name == b.name && !schemas_differ
}

/// 42712
pub(super) fn duplicate_alias(item: &Item) -> SqlError {
    SqlError::new(
        SqlState::DUPLICATE_ALIAS,
        format!(
            "table name \"{}\" specified more than once",
            item.name.as_deref().unwrap_or_default()
        ),
    )
}

/// Renames a join's first columns; the columns of its inputs keep their names.
pub(super) fn apply_join_aliases(item: &mut Item, alias: &sql::TableAlias) -> SqlResult<()> {
    if alias.columns.len() > item.columns.len() {
        return Err(SqlError::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!(
                "join expression \"{}\" has {} columns available but {} columns specified",
                alias.name.value,
                item.columns.len(),
                alias.columns.len()
            ),
        ));
    }
    for (column, alias) in item.columns.iter_mut().zip(&alias.columns) {
        column.name = alias.name.value.as_str().into();
    }
    Ok(())
}
