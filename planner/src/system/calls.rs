//! Calls: the functions about objects that psql, drivers and tools ask the catalogs with (`pg_get_indexdef`,
//! `obj_description`, `has_table_privilege`, …).
//!
//! A function's overloads are told apart by how their arguments are held: a name is text, an OID is an OID. An object that
//! does not exist gives NULL where PostgreSQL gives NULL, and its error where it is named in text.

use std::sync::Arc;

use storage::Datum;

use super::schema::part_oid;
use super::{deparse, expression, partition};
use crate::bind::{Binder, Purpose};
use crate::catalog::{Catalog, Index, Relation, RelationKind, UserTypeKind};
use crate::eval::SessionView;
use crate::functions::{self, FunctionKind};
use crate::types::{self, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

/// What a call may look at.
pub struct Calls<'a> {
    /// The catalog the statement sees.
    pub catalog: &'a Catalog,
    /// The session that asks.
    pub session: &'a dyn SessionView,
}

impl Calls<'_> {
    /// Answers a call; `None` if the function is not one about objects.
    ///
    /// # Errors
    /// What PostgreSQL raises for a named object that does not exist.
    pub fn call(&self, function: &str, args: &[Datum]) -> Option<SqlResult<Datum>> {
        Some(match function {
            "pg_get_constraintdef" => Ok(self.constraint_definition(args)),
            "pg_get_expr" => Ok(self.expression(args)),
            "pg_get_indexdef" => Ok(self.index_definition(args)),
            "pg_get_viewdef" => self.view_definition(args),
            "pg_get_serial_sequence" => self.serial_sequence(args),
            "pg_get_function_arguments" | "pg_get_function_identity_arguments" => Ok(function_text(args, arguments)),
            "pg_get_function_result" => Ok(function_text(args, result)),
            "pg_get_functiondef" => Ok(function_text(args, definition)),
            "obj_description" => Ok(self.description(args)),
            "col_description" => Ok(self.column_description(args)),
            "shobj_description" => Ok(self.shared_description(args)),
            "pg_table_is_visible" => Ok(self.is_relation_visible(args)),
            "pg_type_is_visible" => Ok(exists(
                number(args, 0).and_then(types::info).is_some() || self.relation_at(args, 0).is_some(),
            )),
            "pg_function_is_visible" => {
                let function = number(args, 0).and_then(functions::by_oid);
                // Those of schema `cambium` are called by their whole name only.
                Ok(function.map_or(Datum::Null, |function| {
                    Datum::Bool(!function.name.starts_with("cambium."))
                }))
            }
            "pg_operator_is_visible" => Ok(exists(number(args, 0).and_then(functions::operator_by_oid).is_some())),
            name if name.starts_with("pg_") && name.ends_with("_is_visible") => Ok(Datum::Bool(true)),
            "pg_relation_filenode" => Ok(self
                .relation_at(args, 0)
                .map_or(Datum::Null, |relation| Datum::Oid(relation.id))),
            "pg_relation_is_updatable" => Ok(self.updatable_events(args)),
            "pg_column_is_updatable" => Ok(self.is_column_updatable(args)),
            "pg_relation_is_publishable" | "row_security_active" => Ok(Datum::Bool(false)),
            "pg_get_replica_identity_index" => Ok(self.primary_index(args)),
            "pg_index_has_property" | "pg_index_column_has_property" | "pg_indexam_has_property" => {
                Ok(index_property(args))
            }
            "pg_describe_object" => Ok(self.describe(args)),
            "pg_partition_root" => Ok(partition::root(self.catalog, number(args, 0))),
            "pg_get_partkeydef" => Ok(partition::key_definition(self.catalog, self.session, number(args, 0))),
            "pg_get_partition_constraintdef" => Ok(partition::constraint_definition(
                self.catalog,
                self.session,
                number(args, 0),
            )),
            // There are no rules, triggers, statistics objects or defaults of arguments to describe.
            "pg_get_ruledef"
            | "pg_get_triggerdef"
            | "pg_get_statisticsobjdef"
            | "pg_get_statisticsobjdef_columns"
            | "pg_get_statisticsobjdef_expressions"
            | "pg_get_function_arg_default"
            | "pg_get_function_sqlbody"
            | "acldefault"
            | "pg_tablespace_location" => Ok(Datum::Null),
            "pg_has_role" => self.has_role(args),
            name if name.starts_with("has_") && name.ends_with("_privilege") => self.has_privilege(name, args),
            _ => return None,
        })
    }

    fn relation_at(&self, args: &[Datum], position: usize) -> Option<&Arc<Relation>> {
        self.catalog.relations.get(&number(args, position)?)
    }

    fn index_at(&self, args: &[Datum]) -> Option<(&Arc<Relation>, &Index)> {
        let id = number(args, 0)?;
        self.catalog.relations.values().find_map(|relation| {
            relation
                .indexes
                .iter()
                .find(|index| index.id == id)
                .map(|index| (relation, index))
        })
    }

    fn constraint_definition(&self, args: &[Datum]) -> Datum {
        let Some(id) = number(args, 0) else { return Datum::Null };
        let is_pretty = flag(args, 1);
        let found = self.catalog.relations.values().find_map(|relation| {
            relation
                .constraints
                .iter()
                .find(|constraint| constraint.id == id)
                .map(|constraint| (relation, constraint))
        });
        found.map_or_else(
            || self.domain_constraint(id),
            |(relation, constraint)| {
                Datum::text(deparse::constraint(
                    self.catalog,
                    self.session,
                    relation,
                    constraint,
                    is_pretty,
                ))
            },
        )
    }

    fn domain_constraint(&self, id: u32) -> Datum {
        let domains = self.catalog.types.values().filter_map(|user| match &user.kind {
            UserTypeKind::Domain(domain) => Some((user.id, domain)),
            UserTypeKind::Enum { .. } => None,
        });
        let mut checks = domains.flat_map(|(user, domain)| {
            let checks = domain.checks.iter().zip(0..);
            checks.map(move |(check, position)| (part_oid(user, position), check))
        });
        let found = checks.find(|(oid, _)| *oid == id);
        found.map_or(Datum::Null, |(_, check)| {
            Datum::text(format!("CHECK (({}))", without_parentheses(&check.expression)))
        })
    }

    /// `pg_get_expr(text, table [, pretty])`: catalogs hold expressions as text, which is written again for readers.
    fn expression(&self, args: &[Datum]) -> Datum {
        let Some(expression) = text(args, 0) else {
            return Datum::Null;
        };
        let table = self
            .relation_at(args, 1)
            .filter(|_| flag(args, 2) && !expression.starts_with("nextval("));
        Datum::text(match table {
            Some(table) => expression::over(self.catalog, self.session, table, &expression, Purpose::Using, true),
            None => expression.to_string(),
        })
    }

    fn index_definition(&self, args: &[Datum]) -> Datum {
        let Some((relation, index)) = self.index_at(args) else {
            return Datum::Null;
        };
        match args.get(1) {
            Some(Datum::Int4(column)) if *column > 0 => {
                let column = *column as usize - 1;
                match index.include.get(column.wrapping_sub(index.keys.len())) {
                    Some(included) => Datum::text(deparse::quote_ident(&relation.columns[*included as usize].name)),
                    None => Datum::text(deparse::index_key(
                        self.catalog,
                        self.session,
                        relation,
                        index,
                        column,
                        flag(args, 2),
                    )),
                }
            }
            _ => Datum::text(deparse::index(
                self.catalog,
                self.session,
                relation,
                index,
                flag(args, 2),
            )),
        }
    }

    fn view_definition(&self, args: &[Datum]) -> SqlResult<Datum> {
        let relation = self.named_relation(args, 0)?;
        let text = relation.and_then(|relation| relation.view.as_ref());
        Ok(text.map_or(Datum::Null, |text| {
            Datum::text(format!(" {};", text.trim().trim_end_matches(';')))
        }))
    }

    fn serial_sequence(&self, args: &[Datum]) -> SqlResult<Datum> {
        let Some(table) = self.named_relation(args, 0)? else {
            return Ok(Datum::Null);
        };
        let column = text(args, 1).unwrap_or_default();
        let position = table
            .live_columns()
            .find(|(_, candidate)| *candidate.name == *column)
            .map(|(position, _)| position);
        let position = position.ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{column}\" of relation \"{}\" does not exist", table.name),
            )
        })?;
        let owned = |relation: &&Arc<Relation>| {
            relation
                .sequence
                .as_ref()
                .is_some_and(|sequence| sequence.owned_by == Some((table.id, position)))
        };
        let sequence = self.catalog.relations.values().find(owned);
        Ok(sequence.map_or(Datum::Null, |sequence| {
            let schema = self
                .catalog
                .schemas
                .get(&sequence.schema)
                .map_or_else(String::new, |schema| schema.name.clone());
            Datum::text(format!(
                "{}.{}",
                deparse::quote_ident(&schema),
                deparse::quote_ident(&sequence.name)
            ))
        }))
    }

    fn description(&self, args: &[Datum]) -> Datum {
        let Some(id) = number(args, 0) else { return Datum::Null };
        let class = text(args, 1);
        let in_class = |name: &str| class.as_deref().is_none_or(|class| class == name);
        let of_schema = || self.catalog.schemas.get(&id).and_then(|schema| schema.comment.as_ref());
        let of_relation = || {
            let relation = self
                .catalog
                .relations
                .get(&id)
                .and_then(|relation| relation.comment.as_ref());
            relation.or_else(|| self.index_at(args).and_then(|(_, index)| index.comment.as_ref()))
        };
        let of_constraint = || {
            let mut constraints = self
                .catalog
                .relations
                .values()
                .flat_map(|relation| &relation.constraints);
            constraints
                .find(|constraint| constraint.id == id)
                .and_then(|constraint| constraint.comment.as_ref())
        };
        let found = None
            .or_else(|| of_relation().filter(|_| in_class("pg_class")))
            .or_else(|| of_schema().filter(|_| in_class("pg_namespace")))
            .or_else(|| of_constraint().filter(|_| in_class("pg_constraint")));
        found.map_or(Datum::Null, |comment| Datum::text(comment.as_str()))
    }

    fn column_description(&self, args: &[Datum]) -> Datum {
        let column = match args.get(1) {
            Some(Datum::Int4(column)) => usize::try_from(*column - 1).ok(),
            _ => None,
        };
        let column = self
            .relation_at(args, 0)
            .and_then(|relation| relation.columns.get(column?));
        column
            .and_then(|column| column.comment.as_deref())
            .map_or(Datum::Null, Datum::text)
    }

    fn shared_description(&self, args: &[Datum]) -> Datum {
        let is_database = text(args, 1).as_deref() == Some("pg_database");
        let database = number(args, 0)
            .filter(|_| is_database)
            .and_then(|id| self.catalog.databases.get(&id));
        database
            .and_then(|database| database.comment.as_deref())
            .map_or(Datum::Null, Datum::text)
    }

    fn is_relation_visible(&self, args: &[Datum]) -> Datum {
        let Some(id) = number(args, 0) else { return Datum::Null };
        if let Some(relation) = self.catalog.relations.get(&id) {
            let found = self.catalog.relation(self.session, None, &relation.name);
            return Datum::Bool(found.is_some_and(|found| found.id == id));
        }
        match self.index_at(args) {
            Some((_, index)) => {
                let found = self.catalog.index(self.session, None, &index.name);
                Datum::Bool(found.is_some_and(|(_, found)| found.id == id))
            }
            None => Datum::Null,
        }
    }

    /// Bits as PostgreSQL counts them: 4 update, 8 insert, 16 delete.
    fn updatable_events(&self, args: &[Datum]) -> Datum {
        let relation = self.relation_at(args, 0);
        Datum::Int4(relation.map_or(0, |relation| updatable_events(self.catalog, self.session, relation)))
    }

    fn is_column_updatable(&self, args: &[Datum]) -> Datum {
        let number = match args.get(1) {
            Some(Datum::Int2(number)) => usize::try_from(*number).unwrap_or(0),
            _ => 0,
        };
        let columns = self
            .relation_at(args, 0)
            .map(|relation| updatable_columns(self.catalog, self.session, relation));
        let at = number.checked_sub(1);
        Datum::Bool(columns.is_some_and(|columns| at.and_then(|at| columns.get(at)) == Some(&true)))
    }

    fn primary_index(&self, args: &[Datum]) -> Datum {
        let index = self.relation_at(args, 0).and_then(|relation| relation.primary_key());
        index.map_or(Datum::Null, |index| Datum::Oid(index.id))
    }

    fn describe(&self, args: &[Datum]) -> Datum {
        let name = |relation: &Relation| deparse::relation_name(self.catalog, self.session, relation);
        match self.relation_at(args, 1) {
            Some(relation) if relation.kind == RelationKind::View => Datum::text(format!("view {}", name(relation))),
            Some(relation) if relation.kind == RelationKind::Sequence => {
                Datum::text(format!("sequence {}", name(relation)))
            }
            Some(relation) => Datum::text(format!("table {}", name(relation))),
            None => Datum::Null,
        }
    }

    /// A relation named in text (42P01 if there is none) or by OID.
    fn named_relation(&self, args: &[Datum], position: usize) -> SqlResult<Option<&Arc<Relation>>> {
        let Some(name) = text(args, position) else {
            return Ok(self.relation_at(args, position));
        };
        let found = self
            .session
            .object_oid(oid::REGCLASS, &name)
            .and_then(|id| self.catalog.relations.get(&id));
        found
            .map(Some)
            .ok_or_else(|| SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist")))
    }

    /// `pg_has_role([user,] role, privilege)`
    fn has_role(&self, args: &[Datum]) -> SqlResult<Datum> {
        let (user, role) = match args {
            [user, role, _] => (self.role_at(user)?, self.role_at(role)?),
            [role, _] => (
                self.catalog.role(&self.session.current_user()).map(|role| role.id),
                self.role_at(role)?,
            ),
            _ => return Ok(Datum::Null),
        };
        let (Some(user), Some(role)) = (user, role) else {
            return Ok(Datum::Null);
        };
        let has = self
            .catalog
            .roles
            .get(&user)
            .is_some_and(|own| own.superuser || own.id == role || own.member_of.contains(&role));
        Ok(Datum::Bool(has))
    }

    fn role_at(&self, datum: &Datum) -> SqlResult<Option<u32>> {
        match datum {
            Datum::Text(name) => match self.catalog.role(name) {
                Some(role) => Ok(Some(role.id)),
                None => Err(SqlError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("role \"{name}\" does not exist"),
                )),
            },
            Datum::Oid(id) => Ok(self.catalog.roles.get(id).map(|role| role.id)),
            _ => Ok(None),
        }
    }

    /// Privileges are not kept per object: whoever can connect may use what exists, so the answer is whether it does.
    fn has_privilege(&self, function: &str, args: &[Datum]) -> SqlResult<Datum> {
        let has_column = matches!(function, "has_column_privilege");
        let object_count = if has_column { 2 } else { 1 };
        let first = args.len().saturating_sub(object_count + 1);
        if first > 0 {
            self.role_at(&args[0])?;
        }
        let kind = function.trim_start_matches("has_").trim_end_matches("_privilege");
        match kind {
            "table" | "sequence" | "column" | "any_column" => Ok(self
                .named_relation(args, first)?
                .map_or(Datum::Null, |_| Datum::Bool(true))),
            "schema" => self.named_or_null(args, first, oid::REGNAMESPACE, SqlState::INVALID_SCHEMA_NAME, "schema"),
            "database" => match text(args, first) {
                Some(name) if self.catalog.database(&name).is_none() => Err(SqlError::new(
                    SqlState::INVALID_CATALOG_NAME,
                    format!("database \"{name}\" does not exist"),
                )),
                _ => Ok(Datum::Bool(true)),
            },
            _ => Ok(Datum::Bool(true)),
        }
    }

    fn named_or_null(
        &self,
        args: &[Datum],
        position: usize,
        kind: u32,
        code: SqlState,
        word: &str,
    ) -> SqlResult<Datum> {
        match text(args, position) {
            Some(name) if self.session.object_oid(kind, &deparse::quote_ident(&name)).is_none() => {
                Err(SqlError::new(code, format!("{word} \"{name}\" does not exist")))
            }
            Some(_) => Ok(Datum::Bool(true)),
            None => {
                let is_known = number(args, position).is_some_and(|id| self.catalog.schemas.contains_key(&id));
                Ok(if is_known { Datum::Bool(true) } else { Datum::Null })
            }
        }
    }
}

fn number(args: &[Datum], position: usize) -> Option<u32> {
    match args.get(position)? {
        Datum::Oid(id) => Some(*id),
        Datum::Int4(id) => u32::try_from(*id).ok(),
        _ => None,
    }
}

fn text(args: &[Datum], position: usize) -> Option<Arc<str>> {
    match args.get(position)? {
        Datum::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn flag(args: &[Datum], position: usize) -> bool {
    matches!(args.get(position), Some(Datum::Bool(true)))
}

/// True for what exists, NULL for what does not.
fn exists(exists: bool) -> Datum {
    if exists { Datum::Bool(true) } else { Datum::Null }
}

/// Which columns of a relation can be written, by attnum - 1.
pub(super) fn updatable_columns(catalog: &Catalog, session: &dyn SessionView, relation: &Relation) -> Vec<bool> {
    match relation.kind {
        RelationKind::Table => vec![true; relation.columns.len()],
        RelationKind::View => {
            let view = catalog.relations.get(&relation.id);
            match view.map(|view| Binder::new(catalog, session, &[]).updatability(view)) {
                Some(Ok(Ok(columns))) => columns,
                Some(Ok(Err(_)) | Err(_)) | None => Vec::new(),
            }
        }
        RelationKind::Sequence | RelationKind::Composite | RelationKind::System => Vec::new(),
    }
}

/// What can be done to the rows of a relation: bits as PostgreSQL counts them.
pub(super) fn updatable_events(catalog: &Catalog, session: &dyn SessionView, relation: &Relation) -> i32 {
    const UPDATE: i32 = 4;
    const INSERT: i32 = 8;
    const DELETE: i32 = 16;
    let columns = updatable_columns(catalog, session, relation);
    match (columns.is_empty(), columns.contains(&true)) {
        (true, _) if relation.kind != RelationKind::Table => 0,
        (false, false) => DELETE,
        _ => UPDATE | INSERT | DELETE,
    }
}

/// What every index here can do. Unknown properties are NULL.
fn index_property(args: &[Datum]) -> Datum {
    match text(args, args.len().saturating_sub(1)).as_deref() {
        Some(
            "index_scan" | "bitmap_scan" | "backward_scan" | "can_order" | "can_unique" | "can_multi_col"
            | "can_include",
        ) => Datum::Bool(true),
        Some("asc" | "orderable" | "returnable" | "search_array" | "search_nulls" | "nulls_last") => Datum::Bool(true),
        Some("clusterable" | "desc" | "nulls_first" | "distance_orderable" | "can_exclude") => Datum::Bool(false),
        _ => Datum::Null,
    }
}

fn function_text(args: &[Datum], describe: fn(&functions::Function) -> String) -> Datum {
    let function = number(args, 0).and_then(functions::by_oid);
    function.map_or(Datum::Null, |function| Datum::text(describe(function)))
}

fn arguments(function: &functions::Function) -> String {
    let last = function.args.len().saturating_sub(1);
    let one = |(position, ty): (usize, &u32)| {
        let name = types::format_type(Type::new(*ty));
        if function.variadic && position == last {
            format!("VARIADIC {name}")
        } else {
            name
        }
    };
    function.args.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
}

fn result(function: &functions::Function) -> String {
    let name = types::format_type(Type::new(function.returns));
    if function.kind == FunctionKind::Set {
        format!("SETOF {name}")
    } else {
        name
    }
}

fn definition(function: &functions::Function) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION pg_catalog.{}({})\n RETURNS {}\n LANGUAGE internal\nAS $function${}$function$\n",
        deparse::quote_ident(function.name),
        arguments(function),
        result(function),
        function.name
    )
}
/// An expression's text without parentheses around all of it.
fn without_parentheses(mut text: &str) -> &str {
    while let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        let (mut depth, mut is_quoted) = (0_i32, false);
        let closes_early = inner.chars().any(|c| {
            match c {
                '\'' => is_quoted = !is_quoted,
                '(' if !is_quoted => depth += 1,
                ')' if !is_quoted => depth -= 1,
                _ => {}
            }
            depth < 0
        });
        if closes_early {
            break;
        }
        text = inner;
    }
    text
}
