//! information_schema: the SQL standard's views.

use storage::Datum;

use super::builder::{Builder, maybe, text};
use super::schema::{role_name, schema_name, visible};
use super::{SystemContext, deparse};
use crate::catalog::{
    Column, ConstraintKind, Deferral, Identity, IndexSource, ReferentialAction, Relation, RelationKind, Sequence,
    ViewCheck,
};
use crate::types::{self, oid};

/// Fills one of these views.
pub(super) fn fill(name: &str, rows: &mut Builder, context: &SystemContext<'_>) {
    match name {
        "schemata" => schemata(rows, context),
        "tables" => tables(rows, context),
        "columns" => columns(rows, context),
        "views" => views(rows, context),
        "sequences" => sequences(rows, context),
        "table_constraints" => table_constraints(rows, context),
        "key_column_usage" => key_column_usage(rows, context),
        "constraint_column_usage" => constraint_column_usage(rows, context),
        "referential_constraints" => referential_constraints(rows, context),
        "check_constraints" => check_constraints(rows, context),
        "enabled_roles" => {
            for role in context.catalog.roles.values() {
                rows.row([("role_name", text(&role.name))]);
            }
        }
        _ => {}
    }
}

fn database(context: &SystemContext<'_>) -> Datum {
    text(context.session.current_database())
}

fn yes_no(value: bool) -> Datum {
    text(if value { "YES" } else { "NO" })
}

fn schemata(rows: &mut Builder, context: &SystemContext<'_>) {
    let id = context.catalog.session_database(context.session);
    for schema in context
        .catalog
        .schemas
        .values()
        .filter(|schema| schema.database == id || schema.database == 0)
    {
        rows.row([
            ("catalog_name", database(context)),
            ("schema_name", text(&schema.name)),
            ("schema_owner", role_name(context, schema.owner)),
        ]);
    }
}

/// Tables and views; sequences are not among them.
fn tables_of<'a>(context: &'a SystemContext<'_>) -> impl Iterator<Item = &'a Relation> {
    visible(context).filter(|relation| !matches!(relation.kind, RelationKind::Sequence | RelationKind::Composite))
}

/// Bits of `pg_relation_is_updatable`.
const INSERT: i32 = 8;
const CHANGE: i32 = 4 | 16;

fn events(context: &SystemContext<'_>, relation: &Relation) -> i32 {
    super::calls::updatable_events(context.catalog, context.session, relation)
}

fn tables(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in tables_of(context) {
        let is_view = relation.kind == RelationKind::View;
        rows.row([
            ("table_catalog", database(context)),
            ("table_schema", schema_name(context, relation.schema)),
            ("table_name", text(&relation.name)),
            ("table_type", text(if is_view { "VIEW" } else { "BASE TABLE" })),
            ("is_insertable_into", yes_no(events(context, relation) & INSERT != 0)),
            ("is_typed", text("NO")),
        ]);
    }
}

/// (maximum length in characters, in octets, numeric precision, radix, scale, datetime precision)
fn measures(column: &Column) -> [Datum; 6] {
    let number = |value: i32| Datum::Int4(value);
    let null = || Datum::Null;
    let modifier = column.ty.modifier;
    match column.ty.oid {
        oid::VARCHAR | oid::BPCHAR if modifier >= 4 => [
            number(modifier - 4),
            number((modifier - 4).saturating_mul(4)),
            null(),
            null(),
            null(),
            null(),
        ],
        oid::TEXT | oid::VARCHAR => [null(), number(1 << 30), null(), null(), null(), null()],
        oid::INT2 => [null(), null(), number(16), number(2), number(0), null()],
        oid::INT4 => [null(), null(), number(32), number(2), number(0), null()],
        oid::INT8 => [null(), null(), number(64), number(2), number(0), null()],
        oid::FLOAT4 => [null(), null(), number(24), number(2), null(), null()],
        oid::FLOAT8 => [null(), null(), number(53), number(2), null(), null()],
        oid::NUMERIC if modifier >= 4 => {
            let packed = modifier - 4;
            [
                null(),
                null(),
                number(packed >> 16 & 0xffff),
                number(10),
                number(packed & 0x7ff),
                null(),
            ]
        }
        oid::NUMERIC => [null(), null(), null(), number(10), null(), null()],
        oid::DATE => [null(), null(), null(), null(), null(), number(0)],
        oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL => [
            null(),
            null(),
            null(),
            null(),
            null(),
            number(if modifier >= 0 { modifier } else { 6 }),
        ],
        _ => [null(), null(), null(), null(), null(), null()],
    }
}

fn columns(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in tables_of(context) {
        let mut ordinal = 0;
        let updatable = super::calls::updatable_columns(context.catalog, context.session, relation);
        for (position, column) in relation.live_columns() {
            ordinal += 1;
            let data_type = match types::info(column.ty.oid) {
                Some(info) if info.is_array() => "ARRAY".to_string(),
                _ => types::format_type(crate::Type::new(column.ty.oid)),
            };
            let [length, octets, precision, radix, scale, datetime] = measures(column);
            let sequence = column
                .identity
                .and_then(|_| identity_sequence(context, relation.id, position));
            let number = |value: Option<i64>| maybe(value.map(|value| value.to_string()));
            let has_default = column.default.is_some() && !column.generated && column.identity.is_none();
            let default = || deparse::default(context.catalog, context.session, relation, column);
            rows.row([
                ("table_catalog", database(context)),
                ("table_schema", schema_name(context, relation.schema)),
                ("table_name", text(&relation.name)),
                ("column_name", text(&column.name)),
                ("ordinal_position", Datum::Int4(i32::from(position) + 1)),
                ("column_default", maybe(has_default.then(default))),
                ("is_nullable", yes_no(!column.not_null)),
                ("data_type", text(data_type)),
                ("character_maximum_length", length),
                ("character_octet_length", octets),
                ("numeric_precision", precision),
                ("numeric_precision_radix", radix),
                ("numeric_scale", scale),
                ("datetime_precision", datetime),
                ("udt_catalog", database(context)),
                ("udt_schema", text("pg_catalog")),
                ("udt_name", maybe(types::info(column.ty.oid).map(|info| info.name))),
                ("dtd_identifier", text(ordinal.to_string())),
                ("is_self_referencing", text("NO")),
                ("is_identity", yes_no(column.identity.is_some())),
                (
                    "identity_generation",
                    maybe(column.identity.map(|identity| match identity {
                        Identity::Always => "ALWAYS",
                        Identity::ByDefault => "BY DEFAULT",
                    })),
                ),
                ("identity_start", number(sequence.map(|sequence| sequence.start))),
                (
                    "identity_increment",
                    number(sequence.map(|sequence| sequence.increment)),
                ),
                ("identity_maximum", number(sequence.map(|sequence| sequence.max))),
                ("identity_minimum", number(sequence.map(|sequence| sequence.min))),
                (
                    "identity_cycle",
                    yes_no(sequence.is_some_and(|sequence| sequence.cycle)),
                ),
                ("is_generated", text(if column.generated { "ALWAYS" } else { "NEVER" })),
                (
                    "generation_expression",
                    maybe(column.default.as_ref().filter(|_| column.generated)),
                ),
                (
                    "is_updatable",
                    yes_no(updatable.get(usize::from(position)) == Some(&true)),
                ),
            ]);
        }
    }
}

/// The sequence behind an identity column.
fn identity_sequence<'a>(context: &'a SystemContext<'_>, table: u32, position: u16) -> Option<&'a Sequence> {
    let owned = Some((table, position));
    let mut sequences = visible(context).filter_map(|relation| relation.sequence.as_ref());
    sequences.find(|sequence| sequence.owned_by == owned)
}

fn views(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in visible(context).filter(|relation| relation.kind == RelationKind::View) {
        let events = events(context, relation);
        rows.row([
            ("table_catalog", database(context)),
            ("table_schema", schema_name(context, relation.schema)),
            ("table_name", text(&relation.name)),
            (
                "view_definition",
                maybe(relation.view.as_ref().map(|view| format!(" {view};"))),
            ),
            (
                "check_option",
                text(match relation.check_option {
                    None => "NONE",
                    Some(ViewCheck::Local) => "LOCAL",
                    Some(ViewCheck::Cascaded) => "CASCADED",
                }),
            ),
            ("is_updatable", yes_no(events & CHANGE == CHANGE)),
            ("is_insertable_into", yes_no(events & INSERT != 0)),
            ("is_trigger_updatable", text("NO")),
            ("is_trigger_deletable", text("NO")),
            ("is_trigger_insertable_into", text("NO")),
        ]);
    }
}

/// Sequences but for those behind identity columns.
fn sequences(rows: &mut Builder, context: &SystemContext<'_>) {
    let is_identity = |(table, position): (u32, u16)| {
        let table = context.catalog.relations.get(&table);
        table
            .and_then(|table| table.columns.get(usize::from(position)))
            .is_some_and(|column| column.identity.is_some())
    };
    for relation in visible(context) {
        let sequence = relation.sequence.as_ref();
        if let Some(sequence) = sequence.filter(|sequence| !sequence.owned_by.is_some_and(is_identity)) {
            let bits = match sequence.ty.oid {
                oid::INT2 => 16,
                oid::INT4 => 32,
                _ => 64,
            };
            rows.row([
                ("sequence_catalog", database(context)),
                ("sequence_schema", schema_name(context, relation.schema)),
                ("sequence_name", text(&relation.name)),
                ("data_type", text(types::format_type(sequence.ty))),
                ("numeric_precision", Datum::Int4(bits)),
                ("numeric_precision_radix", Datum::Int4(2)),
                ("numeric_scale", Datum::Int4(0)),
                ("start_value", text(sequence.start.to_string())),
                ("minimum_value", text(sequence.min.to_string())),
                ("maximum_value", text(sequence.max.to_string())),
                ("increment", text(sequence.increment.to_string())),
                ("cycle_option", yes_no(sequence.cycle)),
            ]);
        }
    }
}

fn table_constraints(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in visible(context) {
        for constraint in &relation.constraints {
            rows.row([
                ("constraint_catalog", database(context)),
                ("constraint_schema", schema_name(context, relation.schema)),
                ("constraint_name", text(&constraint.name)),
                ("table_catalog", database(context)),
                ("table_schema", schema_name(context, relation.schema)),
                ("table_name", text(&relation.name)),
                (
                    "constraint_type",
                    text(match constraint.kind {
                        ConstraintKind::PrimaryKey { .. } => "PRIMARY KEY",
                        ConstraintKind::Unique { .. } => "UNIQUE",
                        ConstraintKind::Check { .. } => "CHECK",
                        ConstraintKind::Foreign { .. } => "FOREIGN KEY",
                    }),
                ),
                ("is_deferrable", yes_no(constraint.deferral != Deferral::Never)),
                ("initially_deferred", yes_no(constraint.deferral == Deferral::Deferred)),
                ("enforced", text("YES")),
            ]);
        }
    }
}

/// Columns of a key or foreign key constraint.
fn constraint_columns(relation: &Relation, kind: &ConstraintKind) -> Vec<u16> {
    match kind {
        ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } => {
            let index = relation.indexes.iter().find(|candidate| candidate.id == *index);
            let keys = index.into_iter().flat_map(|index| &index.keys);
            keys.filter_map(|key| match key.source {
                IndexSource::Column(position) => Some(position),
                IndexSource::Expression(_) => None,
            })
            .collect()
        }
        ConstraintKind::Foreign { columns, .. } => columns.clone(),
        ConstraintKind::Check { .. } => Vec::new(),
    }
}

fn key_column_usage(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in visible(context) {
        for constraint in &relation.constraints {
            let is_foreign = matches!(constraint.kind, ConstraintKind::Foreign { .. });
            for (i, position) in constraint_columns(relation, &constraint.kind).into_iter().enumerate() {
                let ordinal = i as i32 + 1;
                rows.row([
                    ("constraint_catalog", database(context)),
                    ("constraint_schema", schema_name(context, relation.schema)),
                    ("constraint_name", text(&constraint.name)),
                    ("table_catalog", database(context)),
                    ("table_schema", schema_name(context, relation.schema)),
                    ("table_name", text(&relation.name)),
                    ("column_name", text(&relation.columns[position as usize].name)),
                    ("ordinal_position", Datum::Int4(ordinal)),
                    (
                        "position_in_unique_constraint",
                        if is_foreign { Datum::Int4(ordinal) } else { Datum::Null },
                    ),
                ]);
            }
        }
    }
}

fn constraint_column_usage(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in visible(context) {
        for constraint in &relation.constraints {
            let (table, columns) = match &constraint.kind {
                ConstraintKind::Foreign { table, referenced, .. } => match context.catalog.relations.get(table) {
                    Some(parent) => (parent.as_ref(), referenced.clone()),
                    None => continue,
                },
                kind => (relation, constraint_columns(relation, kind)),
            };
            for position in columns {
                rows.row([
                    ("table_catalog", database(context)),
                    ("table_schema", schema_name(context, table.schema)),
                    ("table_name", text(&table.name)),
                    ("column_name", text(&table.columns[position as usize].name)),
                    ("constraint_catalog", database(context)),
                    ("constraint_schema", schema_name(context, relation.schema)),
                    ("constraint_name", text(&constraint.name)),
                ]);
            }
        }
    }
}

fn rule(action: ReferentialAction) -> Datum {
    text(match action {
        ReferentialAction::NoAction => "NO ACTION",
        ReferentialAction::Restrict => "RESTRICT",
        ReferentialAction::Cascade => "CASCADE",
        ReferentialAction::SetNull => "SET NULL",
        ReferentialAction::SetDefault => "SET DEFAULT",
    })
}

fn referential_constraints(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in visible(context) {
        for constraint in &relation.constraints {
            let ConstraintKind::Foreign {
                table,
                referenced,
                on_delete,
                on_update,
                match_full,
                ..
            } = &constraint.kind
            else {
                continue;
            };
            let parent = context.catalog.relations.get(table);
            let unique = parent.and_then(|parent| {
                let is_key =
                    |known: &&crate::catalog::Constraint| constraint_columns(parent, &known.kind) == *referenced;
                parent
                    .constraints
                    .iter()
                    .filter(|known| !matches!(known.kind, ConstraintKind::Foreign { .. }))
                    .find(is_key)
            });
            rows.row([
                ("constraint_catalog", database(context)),
                ("constraint_schema", schema_name(context, relation.schema)),
                ("constraint_name", text(&constraint.name)),
                ("unique_constraint_catalog", database(context)),
                (
                    "unique_constraint_schema",
                    parent.map_or(Datum::Null, |parent| schema_name(context, parent.schema)),
                ),
                ("unique_constraint_name", maybe(unique.map(|unique| &unique.name))),
                ("match_option", text(if *match_full { "FULL" } else { "NONE" })),
                ("update_rule", rule(*on_update)),
                ("delete_rule", rule(*on_delete)),
            ]);
        }
    }
}

fn check_constraints(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in visible(context) {
        for constraint in &relation.constraints {
            if matches!(constraint.kind, ConstraintKind::Check { .. }) {
                let definition = deparse::constraint(context.catalog, context.session, relation, constraint, false);
                rows.row([
                    ("constraint_catalog", database(context)),
                    ("constraint_schema", schema_name(context, relation.schema)),
                    ("constraint_name", text(&constraint.name)),
                    ("check_clause", text(definition.trim_start_matches("CHECK "))),
                ]);
            }
        }
    }
}
