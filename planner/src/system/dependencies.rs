//! What belongs to what: pg_depend, pg_rewrite, pg_extension, as far as tools put objects in order by them.
//!
//! pg_dump writes a view behind what it reads, because the view's rule depends on that; and it leaves out what belongs to an
//! extension that comes with the server. That is how PostgreSQL's own additions stay out of dumps, and so does schema
//! `cambium`.

use storage::Datum;

use super::SystemContext;
use super::builder::{Builder, id, text};
use super::routines::namespace;
use super::schema::{catalog_oid, part_oid, user, visible};
use crate::catalog::{BOOTSTRAP_ROLE, CAMBIUM_SCHEMA, RelationKind};
use crate::stored;

/// OID of extension `cambium`: the server's own schema and what is in it.
const EXTENSION: u32 = 13_002;

/// Fills one of these relations; `false` if it is not one of them.
pub(super) fn fill(name: &str, rows: &mut Builder, context: &SystemContext<'_>) -> bool {
    match name {
        "pg_depend" => {
            sequences(rows, context);
            defaults(rows, context);
            views(rows, context);
            extension_members(rows, context);
        }
        "pg_rewrite" => rules(rows, context),
        "pg_extension" => extension(rows),
        _ => return false,
    }
    true
}

fn class(name: &str) -> Datum {
    id(catalog_oid(name))
}

fn sequences(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in user(context) {
        let Some((table, column)) = relation.sequence.as_ref().and_then(|sequence| sequence.owned_by) else {
            continue;
        };
        let owner = context.catalog.relations.get(&table);
        let owner = owner.and_then(|owner| owner.columns.get(usize::from(column)));
        // An identity column's sequence is part of it, a serial one's only goes with it.
        let is_identity = owner.is_some_and(|owner| owner.identity.is_some());
        rows.row([
            ("classid", class("pg_class")),
            ("objid", id(relation.id)),
            ("refclassid", class("pg_class")),
            ("refobjid", id(table)),
            ("refobjsubid", Datum::Int4(i32::from(column) + 1)),
            ("deptype", text(if is_identity { "i" } else { "a" })),
        ]);
    }
}

/// A default that draws from a sequence depends on it; of its own sequence it names the OID.
fn defaults(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in user(context) {
        for (at, column) in relation.live_columns().filter(|(_, column)| column.identity.is_none()) {
            let drawn = column.default.as_deref().and_then(|text| {
                let (_, rest) = text.split_once("nextval('")?;
                rest.split_once('\'').map(|(name, _)| name)
            });
            let Some(name) = drawn else { continue };
            let names = |sequence: &&crate::catalog::Relation| {
                let schema = context.catalog.schemas.get(&sequence.schema);
                let bare = name.replace('"', "");
                name.parse() == Ok(sequence.id)
                    || bare == sequence.name
                    || schema.is_some_and(|schema| bare == format!("{}.{}", schema.name, sequence.name))
            };
            let mut sequences = user(context).filter(|relation| relation.kind == RelationKind::Sequence);
            if let Some(sequence) = sequences.find(names) {
                rows.row([
                    ("classid", class("pg_attrdef")),
                    ("objid", id(part_oid(relation.id, at))),
                    ("refclassid", class("pg_class")),
                    ("refobjid", id(sequence.id)),
                    ("deptype", text("n")),
                ]);
            }
        }
    }
}

/// The rule of a view has the view's OID: catalogs number their rows each for itself.
fn rules(rows: &mut Builder, context: &SystemContext<'_>) {
    for view in user(context).filter(|relation| relation.kind == RelationKind::View) {
        rows.row([
            ("oid", id(view.id)),
            ("rulename", text("_RETURN")),
            ("ev_class", id(view.id)),
            ("ev_type", text("1")),
            ("ev_enabled", text("O")),
            ("is_instead", Datum::Bool(true)),
        ]);
    }
}

/// A view's rule is part of the view, and reads other relations.
fn views(rows: &mut Builder, context: &SystemContext<'_>) {
    for view in user(context) {
        let Some(query) = view.view.as_deref().filter(|_| view.kind == RelationKind::View) else {
            continue;
        };
        // A query that cannot be read any more depends on nothing; who uses the view will be told.
        let read = stored::relations_of(context.catalog, context.session, query).unwrap_or_default();
        let read = read
            .into_iter()
            .filter(|relation| *relation != view.id)
            .map(|relation| (relation, "n"));
        let mut read: Vec<(u32, &str)> = read.collect();
        read.sort_unstable();
        for (relation, kind) in [(view.id, "i")].into_iter().chain(read) {
            rows.row([
                ("classid", class("pg_rewrite")),
                ("objid", id(view.id)),
                ("refclassid", class("pg_class")),
                ("refobjid", id(relation)),
                ("deptype", text(kind)),
            ]);
        }
    }
}

fn extension(rows: &mut Builder) {
    rows.row([
        ("oid", id(EXTENSION)),
        ("extname", text("cambium")),
        ("extowner", id(BOOTSTRAP_ROLE)),
        ("extnamespace", id(CAMBIUM_SCHEMA)),
        ("extversion", text(env!("CARGO_PKG_VERSION"))),
    ]);
}

fn extension_members(rows: &mut Builder, context: &SystemContext<'_>) {
    let inside = visible(context).filter(|relation| relation.schema == CAMBIUM_SCHEMA);
    let members = inside.map(|relation| ("pg_class", relation.id));
    let functions = crate::functions::all()
        .iter()
        .filter(|function| namespace(function.name) == CAMBIUM_SCHEMA);
    let members = members.chain(functions.map(|function| ("pg_proc", function.oid)));
    for (catalog, member) in [("pg_namespace", CAMBIUM_SCHEMA)].into_iter().chain(members) {
        rows.row([
            ("classid", class(catalog)),
            ("objid", id(member)),
            ("refclassid", class("pg_extension")),
            ("refobjid", id(EXTENSION)),
            ("deptype", text("e")),
        ]);
    }
}
