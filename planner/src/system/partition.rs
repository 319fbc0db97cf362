//! Partitions and inheritance: pg_inherits, pg_partitioned_table, and the functions that describe them.

use storage::Datum;

use super::SystemContext;
use super::builder::{Builder, id, text, vector};
use super::schema::visible;
use crate::catalog::{Catalog, IndexSource, Strategy};
use crate::eval::SessionView;
use crate::partition::text as written;

pub(super) fn inherits(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in visible(context) {
        for (number, parent) in (1..).zip(&relation.family.parents) {
            rows.row([
                ("inhrelid", id(relation.id)),
                ("inhparent", id(*parent)),
                ("inhseqno", Datum::Int4(number)),
                ("inhdetachpending", Datum::Bool(false)),
            ]);
        }
        for index in &relation.indexes {
            if let Some(parent) = index.origin.parent {
                rows.row([
                    ("inhrelid", id(index.id)),
                    ("inhparent", id(parent)),
                    ("inhseqno", Datum::Int4(1)),
                    ("inhdetachpending", Datum::Bool(false)),
                ]);
            }
        }
    }
}

pub(super) fn partitioned_tables(rows: &mut Builder, context: &SystemContext<'_>) {
    for relation in visible(context) {
        let Some(key) = &relation.family.key else { continue };
        let default = context.catalog.children_of(relation.id).iter().find(|child| {
            let child = context.catalog.relations.get(child);
            child.is_some_and(|child| child.family.bound == Some(crate::catalog::BoundText::Default))
        });
        let strategy = match key.strategy {
            Strategy::Range => "r",
            Strategy::List => "l",
            Strategy::Hash => "h",
        };
        let attributes = key.parts.iter().map(|part| match part.source {
            IndexSource::Column(at) => at as i16 + 1,
            IndexSource::Expression(_) => 0,
        });
        let expressions: Vec<&str> = key
            .parts
            .iter()
            .filter_map(|part| match &part.source {
                IndexSource::Expression(text) => Some(text.as_str()),
                IndexSource::Column(_) => None,
            })
            .collect();
        rows.row([
            ("partrelid", id(relation.id)),
            ("partstrat", text(strategy)),
            ("partnatts", Datum::Int2(key.parts.len() as i16)),
            ("partdefid", id(default.copied().unwrap_or(0))),
            ("partattrs", vector(attributes)),
            (
                "partexprs",
                match expressions.is_empty() {
                    true => Datum::Null,
                    false => text(expressions.join(", ")),
                },
            ),
        ]);
    }
}

/// `pg_get_partkeydef(oid)`
pub(super) fn key_definition(catalog: &Catalog, session: &dyn SessionView, table: Option<u32>) -> Datum {
    let relation = table.and_then(|table| catalog.relations.get(&table));
    let key = relation.and_then(|relation| written::key(catalog, session, relation));
    key.map_or(Datum::Null, Datum::text)
}

/// `pg_get_partition_constraintdef(oid)`
pub(super) fn constraint_definition(catalog: &Catalog, session: &dyn SessionView, table: Option<u32>) -> Datum {
    let relation = table.and_then(|table| catalog.relations.get(&table));
    let constraint = relation.and_then(|relation| written::constraint(catalog, session, relation));
    constraint.map_or(Datum::Null, Datum::text)
}

/// `pg_partition_root(regclass)`
pub(super) fn root(catalog: &Catalog, table: Option<u32>) -> Datum {
    let Some(relation) = table.and_then(|table| catalog.relations.get(&table)) else {
        return Datum::Null;
    };
    if !relation.is_partition() && !relation.is_partitioned() {
        return Datum::Null;
    }
    Datum::Oid(catalog.ancestors_of(relation.id).last().copied().unwrap_or(relation.id))
}

/// `pg_partition_ancestors(regclass)`: the table itself and those above it.
pub fn ancestors(catalog: &Catalog, args: &[Datum]) -> Vec<Vec<Datum>> {
    let Some(Datum::Oid(table)) = args.first() else {
        return Vec::new();
    };
    let known = catalog.relations.get(table);
    if !known.is_some_and(|relation| relation.is_partition() || relation.is_partitioned()) {
        return Vec::new();
    }
    let all = std::iter::once(*table).chain(catalog.ancestors_of(*table));
    all.map(|table| vec![Datum::Oid(table)]).collect()
}

/// `pg_partition_tree(regclass)`: a table and the partitions below it.
pub fn tree(catalog: &Catalog, args: &[Datum]) -> Vec<Vec<Datum>> {
    let Some(Datum::Oid(root)) = args.first() else {
        return Vec::new();
    };
    let known = catalog.relations.get(root);
    if !known.is_some_and(|relation| relation.is_partition() || relation.is_partitioned()) {
        return Vec::new();
    }
    let depth = |table: u32| catalog.ancestors_of(table).len() as i32;
    let from = depth(*root);
    let row = |table: u32| {
        let relation = catalog.relations.get(&table)?;
        let parent = relation.family.parents.first().filter(|_| relation.is_partition());
        Some(vec![
            Datum::Oid(table),
            parent.map_or(Datum::Null, |parent| Datum::Oid(*parent)),
            Datum::Bool(!relation.is_partitioned()),
            Datum::Int4(depth(table) - from),
        ])
    };
    catalog.family_of(*root).into_iter().filter_map(row).collect()
}
