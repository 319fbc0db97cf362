//! Schemas, relations, columns, indexes and constraints: pg_namespace, pg_class, pg_attribute, pg_index, pg_constraint, ….

use storage::Datum;

use super::builder::{Builder, id, maybe, text, vector};
use super::{SystemContext, deparse, partition};
use crate::catalog::{
    Column, ConstraintKind, Deferral, Identity, Index, IndexSource, ReferentialAction, Relation, RelationKind, Schema,
    UserTypeKind, ViewCheck,
};
use crate::{ddl, parse, types};

/// OID of the access method `heap`; psql shows tables by it.
const HEAP: u32 = 2;
/// OID of the access method `btree`.
const BTREE: u32 = 403;

/// Fills one of these relations; `false` if it is not one of them.
pub(super) fn fill(name: &str, rows: &mut Builder, context: &SystemContext<'_>) -> bool {
    match name {
        "pg_namespace" => namespaces(rows, context),
        "pg_class" => classes(rows, context),
        "pg_attribute" => attributes(rows, context),
        "pg_attrdef" => defaults(rows, context),
        "pg_index" => indexes(rows, context),
        "pg_constraint" => constraints(rows, context),
        "pg_sequence" => sequences(rows, context),
        "pg_description" => descriptions(rows, context),
        "pg_tables" => tables(rows, context),
        "pg_views" => views(rows, context),
        "pg_indexes" => index_definitions(rows, context),
        "pg_sequences" => sequence_parameters(rows, context),
        "pg_stat_user_tables" => user_tables(rows, context),
        "pg_inherits" => partition::inherits(rows, context),
        "pg_partitioned_table" => partition::partitioned_tables(rows, context),
        _ => return false,
    }
    true
}

/// The relations of the session's database and the system ones.
pub(super) fn visible<'a>(context: &'a SystemContext<'_>) -> impl Iterator<Item = &'a Relation> {
    let database = context.catalog.session_database(context.session);
    context
        .catalog
        .relations
        .values()
        .map(AsRef::as_ref)
        .filter(move |relation| {
            context
                .catalog
                .schemas
                .get(&relation.schema)
                .is_some_and(|schema| schema.database == database || schema.database == 0)
        })
}

pub(super) fn user<'a>(context: &'a SystemContext<'_>) -> impl Iterator<Item = &'a Relation> {
    visible(context).filter(|relation| relation.kind != RelationKind::System)
}

pub(super) fn schema_name(context: &SystemContext<'_>, schema: u32) -> Datum {
    maybe(context.catalog.schemas.get(&schema).map(|schema| &schema.name))
}

pub(super) fn role_name(context: &SystemContext<'_>, role: u32) -> Datum {
    maybe(context.catalog.roles.get(&role).map(|role| &role.name))
}

fn namespaces(rows: &mut Builder, context: &SystemContext<'_>) {
    let database = context.catalog.session_database(context.session);
    for schema in context
        .catalog
        .schemas
        .values()
        .filter(|schema| schema.database == database || schema.database == 0)
    {
        rows.row([
            ("oid", id(schema.id)),
            ("nspname", text(&schema.name)),
            ("nspowner", id(schema.owner)),
        ]);
    }
}

fn relation_kind(relation: &Relation) -> &'static str {
    match relation.kind {
        RelationKind::Table if relation.is_partitioned() => "p",
        RelationKind::Table => "r",
        RelationKind::View => "v",
        RelationKind::Sequence => "S",
        RelationKind::Composite => "c",
        // PostgreSQL's catalogs are tables; information_schema and pg_tables and the like are views.
        RelationKind::System if relation.name.starts_with("pg_") && relation.id < 10_000 => "r",
        RelationKind::System => "v",
    }
}

fn persistence(context: &SystemContext<'_>, relation: &Relation) -> &'static str {
    let schema = context.catalog.schemas.get(&relation.schema);
    if schema.is_some_and(Schema::is_temporary) {
        "t"
    } else {
        "p"
    }
}

/// Options of a view, as `pg_class.reloptions` has them.
fn options(relation: &Relation) -> Datum {
    let option = match relation.check_option {
        None => return Datum::Null,
        Some(ViewCheck::Local) => "check_option=local",
        Some(ViewCheck::Cascaded) => "check_option=cascaded",
    };
    Datum::array(crate::types::oid::TEXT, vec![text(option)])
}

fn classes(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in visible(context) {
        let is_parent = context.catalog.referencing.contains_key(&relation.id);
        let has_foreign = relation
            .constraints
            .iter()
            .any(|one| matches!(one.kind, ConstraintKind::Foreign { .. }));
        let checks = relation
            .constraints
            .iter()
            .filter(|one| matches!(one.kind, ConstraintKind::Check { .. }))
            .count();
        let kind = relation_kind(relation);
        rows.row([
            ("oid", id(relation.id)),
            ("relname", text(&relation.name)),
            ("relnamespace", id(relation.schema)),
            ("relowner", id(relation.owner)),
            ("relam", id(if kind == "r" { HEAP } else { 0 })),
            ("relfilenode", id(relation.id)),
            ("reltuples", Datum::Float4(-1.0)),
            ("relhasindex", Datum::Bool(!relation.indexes.is_empty())),
            ("relpersistence", text(persistence(context, relation))),
            ("relkind", text(kind)),
            ("relnatts", Datum::Int2(relation.columns.len() as i16)),
            ("relchecks", Datum::Int2(checks as i16)),
            ("relhasrules", Datum::Bool(relation.kind == RelationKind::View)),
            ("relhastriggers", Datum::Bool(is_parent || has_foreign)),
            ("relispopulated", Datum::Bool(true)),
            ("relreplident", text("d")),
            ("relispartition", Datum::Bool(relation.is_partition())),
            ("reloptions", options(relation)),
            (
                "relhassubclass",
                Datum::Bool(!context.catalog.children_of(relation.id).is_empty()),
            ),
            (
                "relpartbound",
                maybe(crate::partition::text::bound(
                    context.catalog,
                    context.session,
                    relation,
                )),
            ),
        ]);
        for index in &relation.indexes {
            rows.row([
                ("oid", id(index.id)),
                ("relname", text(&index.name)),
                ("relnamespace", id(relation.schema)),
                ("relowner", id(relation.owner)),
                ("relam", id(BTREE)),
                ("relfilenode", id(index.id)),
                ("relpersistence", text(persistence(context, relation))),
                ("relkind", text(if relation.is_partitioned() { "I" } else { "i" })),
                ("relispartition", Datum::Bool(index.origin.parent.is_some())),
                ("relnatts", Datum::Int2((index.keys.len() + index.include.len()) as i16)),
                ("relispopulated", Datum::Bool(true)),
                ("relreplident", text("n")),
            ]);
        }
    }
}

fn attribute(rows: &mut Builder, relation: u32, number: i16, column: &Column) {
    let info = types::info(column.ty.oid);
    rows.row([
        ("attrelid", id(relation)),
        ("attname", text(&column.name)),
        (
            "atttypid",
            id(if column.dropped {
                0
            } else {
                column.domain.unwrap_or(column.ty.oid)
            }),
        ),
        ("attstattarget", Datum::Int4(-1)),
        ("attlen", Datum::Int2(info.map_or(-1, |info| info.length))),
        ("attnum", Datum::Int2(number)),
        (
            "attndims",
            Datum::Int4(i32::from(types::element_of(column.ty.oid).is_some())),
        ),
        ("attcacheoff", Datum::Int4(-1)),
        (
            "atttypmod",
            Datum::Int4(if column.domain.is_some() {
                -1
            } else {
                column.ty.modifier
            }),
        ),
        (
            "attalign",
            text(info.map_or("i".to_string(), |info| char::from(info.align).to_string())),
        ),
        (
            "attstorage",
            text(info.map_or("p".to_string(), |info| char::from(info.storage).to_string())),
        ),
        ("attnotnull", Datum::Bool(column.not_null)),
        (
            "atthasdef",
            Datum::Bool(column.default.is_some() && column.identity.is_none()),
        ),
        ("atthasmissing", Datum::Bool(column.missing.is_some())),
        (
            "attidentity",
            text(match column.identity {
                Some(Identity::Always) => "a",
                Some(Identity::ByDefault) => "d",
                None => "",
            }),
        ),
        ("attgenerated", text(if column.generated { "s" } else { "" })),
        ("attisdropped", Datum::Bool(column.dropped)),
        ("attislocal", Datum::Bool(!column.origin.is_only_inherited)),
        ("attinhcount", Datum::Int4(i32::from(column.origin.inherited))),
        ("attcollation", id(info.map_or(0, |info| info.collation))),
    ]);
}

fn attributes(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in visible(context) {
        for (i, column) in relation.columns.iter().enumerate() {
            attribute(rows, relation.id, i as i16 + 1, column);
        }
        for index in &relation.indexes {
            for (i, (name, key)) in key_names(relation, index).into_iter().zip(&index.keys).enumerate() {
                attribute(rows, index.id, i as i16 + 1, &Column::new(name, key.ty));
            }
            for (i, position) in index.include.iter().enumerate() {
                let column = &relation.columns[*position as usize];
                let number = (index.keys.len() + i) as i16 + 1;
                attribute(rows, index.id, number, &Column::new(column.name.clone(), column.ty));
            }
        }
    }
}

/// Names of an index's keys, made different from each other as PostgreSQL does: `expr`, `expr1`, ….
fn key_names(relation: &Relation, index: &Index) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for key in &index.keys {
        let base = match &key.source {
            IndexSource::Column(position) => relation.columns[*position as usize].name.clone(),
            IndexSource::Expression(text) => parse::parse_expression(text)
                .map_or_else(|_| "expr".to_string(), |expression| ddl::expression_label(&expression)),
        };
        let mut name = base.clone();
        let mut number = 0;
        while names.contains(&name) {
            number += 1;
            name = format!("{base}{number}");
        }
        names.push(name);
    }
    names
}

/// OID of what has none of its own: the default of a column, the condition of a domain.
pub(super) fn part_oid(owner: u32, position: u16) -> u32 {
    owner.wrapping_add((u32::from(position) + 1) << 20)
}

fn defaults(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in user(context) {
        for (position, column) in relation.live_columns().filter(|(_, column)| column.identity.is_none()) {
            if column.default.is_some() {
                rows.row([
                    ("oid", id(part_oid(relation.id, position))),
                    ("adrelid", id(relation.id)),
                    ("adnum", Datum::Int2(position as i16 + 1)),
                    (
                        "adbin",
                        text(deparse::default(context.catalog, context.session, relation, column)),
                    ),
                ]);
            }
        }
    }
}

fn domain_constraints(rows: &mut Builder, context: &SystemContext<'_>) {
    for user in context.catalog.types.values() {
        let UserTypeKind::Domain(domain) = &user.kind else {
            continue;
        };
        for (check, position) in domain.checks.iter().zip(0..) {
            rows.row([
                ("oid", id(part_oid(user.id, position))),
                ("conname", text(&check.name)),
                ("connamespace", id(user.schema)),
                ("contype", text("c")),
                ("convalidated", Datum::Bool(true)),
                ("contypid", id(user.id)),
                ("confupdtype", text(" ")),
                ("confdeltype", text(" ")),
                ("confmatchtype", text(" ")),
                ("conislocal", Datum::Bool(true)),
            ]);
        }
    }
}

fn index_attributes(index: &Index) -> impl Iterator<Item = i16> {
    let keys = index.keys.iter().map(|key| match key.source {
        IndexSource::Column(position) => position as i16 + 1,
        IndexSource::Expression(_) => 0,
    });
    keys.chain(index.include.iter().map(|position| *position as i16 + 1))
}

fn indexes(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in visible(context) {
        for index in &relation.indexes {
            let expressions: Vec<&str> = index
                .keys
                .iter()
                .filter_map(|key| match &key.source {
                    IndexSource::Expression(text) => Some(text.as_str()),
                    IndexSource::Column(_) => None,
                })
                .collect();
            let options = index
                .keys
                .iter()
                .map(|key| i16::from(key.descending) + 2 * i16::from(key.nulls_first));
            rows.row([
                ("indexrelid", id(index.id)),
                ("indrelid", id(relation.id)),
                ("indnatts", Datum::Int2((index.keys.len() + index.include.len()) as i16)),
                ("indnkeyatts", Datum::Int2(index.keys.len() as i16)),
                ("indisunique", Datum::Bool(index.unique)),
                ("indnullsnotdistinct", Datum::Bool(index.nulls_not_distinct)),
                ("indisprimary", Datum::Bool(relation.is_primary(index))),
                ("indimmediate", Datum::Bool(!index.deferrable)),
                ("indisvalid", Datum::Bool(true)),
                ("indisready", Datum::Bool(true)),
                ("indislive", Datum::Bool(true)),
                ("indkey", vector(index_attributes(index))),
                ("indoption", vector(options)),
                (
                    "indexprs",
                    if expressions.is_empty() {
                        Datum::Null
                    } else {
                        text(expressions.join(", "))
                    },
                ),
                ("indpred", maybe(index.predicate.as_ref())),
            ]);
        }
    }
}

fn action(action: ReferentialAction) -> Datum {
    text(match action {
        ReferentialAction::NoAction => "a",
        ReferentialAction::Restrict => "r",
        ReferentialAction::Cascade => "c",
        ReferentialAction::SetNull => "n",
        ReferentialAction::SetDefault => "d",
    })
}

/// The unique index of a parent that its foreign keys are looked up in.
fn supporting_index(parent: &Relation, referenced: &[u16]) -> u32 {
    let is_over = |index: &&Index| {
        index.unique
            && index.keys.len() == referenced.len()
            && referenced.iter().all(|column| index.uses_column(*column))
    };
    parent.indexes.iter().find(is_over).map_or(0, |index| index.id)
}

fn constraints(rows: &mut Builder, context: &SystemContext<'_>) {
    domain_constraints(rows, context);
    for relation in user(context) {
        for constraint in &relation.constraints {
            let index_of = |index: u32| relation.indexes.iter().find(|candidate| candidate.id == index);
            let (kind, index, columns) = match &constraint.kind {
                ConstraintKind::PrimaryKey { index } => (
                    "p",
                    *index,
                    index_of(*index).map(|index| index_attributes(index).collect()),
                ),
                ConstraintKind::Unique { index } => (
                    "u",
                    *index,
                    index_of(*index).map(|index| index_attributes(index).collect()),
                ),
                ConstraintKind::Check { .. } => ("c", 0, None),
                ConstraintKind::Foreign {
                    columns,
                    table,
                    referenced,
                    ..
                } => (
                    "f",
                    context
                        .catalog
                        .relations
                        .get(table)
                        .map_or(0, |parent| supporting_index(parent, referenced)),
                    Some(
                        columns
                            .iter()
                            .map(|position| *position as i16 + 1)
                            .collect::<Vec<i16>>(),
                    ),
                ),
            };
            let (parent, referenced, on_delete, on_update, match_full) = match &constraint.kind {
                ConstraintKind::Foreign {
                    table,
                    referenced,
                    on_delete,
                    on_update,
                    match_full,
                    ..
                } => (
                    *table,
                    vector(referenced.iter().map(|position| *position as i16 + 1)),
                    action(*on_delete),
                    action(*on_update),
                    text(if *match_full { "f" } else { "s" }),
                ),
                _ => (0, Datum::Null, text(" "), text(" "), text(" ")),
            };
            rows.row([
                ("oid", id(constraint.id)),
                ("conname", text(&constraint.name)),
                ("connamespace", id(relation.schema)),
                ("contype", text(kind)),
                ("condeferrable", Datum::Bool(constraint.deferral != Deferral::Never)),
                ("condeferred", Datum::Bool(constraint.deferral == Deferral::Deferred)),
                ("convalidated", Datum::Bool(true)),
                ("conrelid", id(relation.id)),
                ("conindid", id(index)),
                ("confrelid", id(parent)),
                ("confupdtype", on_update),
                ("confdeltype", on_delete),
                ("confmatchtype", match_full),
                ("conislocal", Datum::Bool(!constraint.origin.is_only_inherited)),
                ("coninhcount", Datum::Int4(i32::from(constraint.origin.inherited))),
                ("conparentid", id(constraint.origin.parent.unwrap_or(0))),
                (
                    "connoinherit",
                    Datum::Bool(constraint.origin.no_inherit || (kind != "c" && !relation.is_partitioned())),
                ),
                ("conkey", columns.map_or(Datum::Null, vector)),
                ("confkey", referenced),
            ]);
        }
    }
}

fn sequences(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in user(context) {
        if let Some(sequence) = &relation.sequence {
            rows.row([
                ("seqrelid", id(relation.id)),
                ("seqtypid", id(sequence.ty.oid)),
                ("seqstart", Datum::Int8(sequence.start)),
                ("seqincrement", Datum::Int8(sequence.increment)),
                ("seqmax", Datum::Int8(sequence.max)),
                ("seqmin", Datum::Int8(sequence.min)),
                ("seqcache", Datum::Int8(sequence.cache)),
                ("seqcycle", Datum::Bool(sequence.cycle)),
            ]);
        }
    }
}

/// Comments: (object, catalog it is in, column number, text).
pub(crate) fn comments<'a>(context: &'a SystemContext<'_>) -> Vec<(u32, &'static str, i32, &'a str)> {
    let mut comments = Vec::new();
    for schema in context.catalog.schemas.values() {
        comments.extend(
            schema
                .comment
                .as_deref()
                .map(|comment| (schema.id, "pg_namespace", 0, comment)),
        );
    }
    for relation in visible(context) {
        comments.extend(
            relation
                .comment
                .as_deref()
                .map(|comment| (relation.id, "pg_class", 0, comment)),
        );
        for (position, column) in relation.live_columns() {
            let number = i32::from(position) + 1;
            comments.extend(
                column
                    .comment
                    .as_deref()
                    .map(|comment| (relation.id, "pg_class", number, comment)),
            );
        }
        for index in &relation.indexes {
            comments.extend(
                index
                    .comment
                    .as_deref()
                    .map(|comment| (index.id, "pg_class", 0, comment)),
            );
        }
        for constraint in &relation.constraints {
            comments.extend(
                constraint
                    .comment
                    .as_deref()
                    .map(|comment| (constraint.id, "pg_constraint", 0, comment)),
            );
        }
    }
    comments
}

/// OID of a system catalog by name.
pub(crate) fn catalog_oid(name: &str) -> u32 {
    super::relations()
        .iter()
        .find(|relation| relation.name == name)
        .map_or(0, |relation| relation.id)
}

fn descriptions(rows: &mut Builder, context: &SystemContext<'_>) {
    for (object, class, number, comment) in comments(context) {
        rows.row([
            ("objoid", id(object)),
            ("classoid", id(catalog_oid(class))),
            ("objsubid", Datum::Int4(number)),
            ("description", text(comment)),
        ]);
    }
}

fn tables(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in visible(context).filter(|relation| relation_kind(relation) == "r") {
        rows.row([
            ("schemaname", schema_name(context, relation.schema)),
            ("tablename", text(&relation.name)),
            ("tableowner", role_name(context, relation.owner)),
            ("hasindexes", Datum::Bool(!relation.indexes.is_empty())),
        ]);
    }
}

fn views(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in user(context).filter(|relation| relation.kind == RelationKind::View) {
        rows.row([
            ("schemaname", schema_name(context, relation.schema)),
            ("viewname", text(&relation.name)),
            ("viewowner", role_name(context, relation.owner)),
            (
                "definition",
                maybe(relation.view.as_ref().map(|view| format!(" {view};"))),
            ),
        ]);
    }
}

fn index_definitions(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in user(context) {
        for index in &relation.indexes {
            rows.row([
                ("schemaname", schema_name(context, relation.schema)),
                ("tablename", text(&relation.name)),
                ("indexname", text(&index.name)),
                (
                    "indexdef",
                    text(deparse::index(context.catalog, context.session, relation, index, false)),
                ),
            ]);
        }
    }
}

fn sequence_parameters(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in user(context) {
        if let Some(sequence) = &relation.sequence {
            rows.row([
                ("schemaname", schema_name(context, relation.schema)),
                ("sequencename", text(&relation.name)),
                ("sequenceowner", role_name(context, relation.owner)),
                ("data_type", id(sequence.ty.oid)),
                ("start_value", Datum::Int8(sequence.start)),
                ("min_value", Datum::Int8(sequence.min)),
                ("max_value", Datum::Int8(sequence.max)),
                ("increment_by", Datum::Int8(sequence.increment)),
                ("cycle", Datum::Bool(sequence.cycle)),
                ("cache_size", Datum::Int8(sequence.cache)),
            ]);
        }
    }
}

fn user_tables(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in user(context).filter(|relation| relation.kind == RelationKind::Table) {
        rows.row([
            ("relid", id(relation.id)),
            ("schemaname", schema_name(context, relation.schema)),
            ("relname", text(&relation.name)),
        ]);
    }
}
