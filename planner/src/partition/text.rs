//! Partition keys and bounds as PostgreSQL writes them.

use storage::Datum;

use super::bounds::{Bound, Edge};
use super::routing::{bounds_of, decode};
use crate::bind::Purpose;
use crate::catalog::{Catalog, IndexSource, PartitionKey, Relation, Strategy};
use crate::eval::SessionView;
use crate::system::deparse::quote_ident;
use crate::system::expression;
use crate::types::oid;
use crate::{Type, types};

/// The parts of a table's partition key: columns, and expressions in parentheses unless they are calls.
pub fn key_parts(catalog: &Catalog, session: &dyn SessionView, table: &Relation) -> Vec<String> {
    let parts = table.family.key.iter().flat_map(|key| &key.parts);
    parts
        .map(|part| match &part.source {
            IndexSource::Column(at) => quote_ident(&table.columns[usize::from(*at)].name),
            IndexSource::Expression(text) => {
                let written = expression::over(catalog, session, table, text, Purpose::Index, false);
                let is_call = written.ends_with(')') && written.starts_with(|c: char| c.is_ascii_alphabetic());
                match is_call || (written.starts_with('(') && written.ends_with(')')) {
                    true => written,
                    false => format!("({written})"),
                }
            }
        })
        .collect()
}

/// `RANGE (a, lower(b))`
pub fn key(catalog: &Catalog, session: &dyn SessionView, table: &Relation) -> Option<String> {
    let strategy = match table.family.key.as_ref()?.strategy {
        Strategy::Range => "RANGE",
        Strategy::List => "LIST",
        Strategy::Hash => "HASH",
    };
    Some(format!(
        "{strategy} ({})",
        key_parts(catalog, session, table).join(", ")
    ))
}

/// A constant as partition bounds have it: without its type.
fn constant(value: &Datum, ty: Type, session: &dyn SessionView) -> String {
    let mut text = String::new();
    // A value that cannot be printed was never stored.
    let _ = types::output(ty, value, session, &mut text);
    match ty.oid {
        _ if value.is_null() => "NULL".into(),
        oid::BOOL => if text == "t" { "true" } else { "false" }.into(),
        oid::INT4 if !text.starts_with('-') => text,
        oid::NUMERIC if text.starts_with(|c: char| c.is_ascii_digit()) && text.contains('.') => text,
        _ => format!("'{}'", text.replace('\'', "''")),
    }
}

fn type_of(key: &PartitionKey, at: usize) -> Type {
    key.parts.get(at).map_or(Type::TEXT, |part| part.ty)
}

fn edges(edges: &[Edge], key: &PartitionKey, session: &dyn SessionView) -> String {
    let edge = |(at, edge): (usize, &Edge)| match edge {
        Edge::Min => "MINVALUE".to_string(),
        Edge::Max => "MAXVALUE".to_string(),
        Edge::Value(value) => constant(value, type_of(key, at), session),
    };
    let edges: Vec<String> = edges.iter().enumerate().map(edge).collect();
    edges.join(", ")
}

/// `FOR VALUES FROM (1) TO (10)`, as `pg_get_expr(relpartbound, oid)` gives it.
pub fn bound(catalog: &Catalog, session: &dyn SessionView, table: &Relation) -> Option<String> {
    let parent = catalog.relations.get(table.family.parents.first()?)?;
    let key = parent.family.key.as_ref()?;
    Some(match decode(table.family.bound.as_ref()?, key).ok()? {
        Bound::Default => "DEFAULT".into(),
        Bound::Hash { modulus, remainder } => {
            format!("FOR VALUES WITH (modulus {modulus}, remainder {remainder})")
        }
        Bound::List(values) => {
            let values: Vec<String> = values
                .iter()
                .map(|value| constant(value, type_of(key, 0), session))
                .collect();
            format!("FOR VALUES IN ({})", values.join(", "))
        }
        Bound::Range { from, to } => {
            let (from, to) = (edges(&from, key, session), edges(&to, key, session));
            format!("FOR VALUES FROM ({from}) TO ({to})")
        }
    })
}

/// What holds for every row of a partition, as `pg_get_partition_constraintdef` gives it.
pub fn constraint(catalog: &Catalog, session: &dyn SessionView, table: &Relation) -> Option<String> {
    let mut terms = Vec::new();
    for (child, parent) in std::iter::once(table.id)
        .chain(catalog.ancestors_of(table.id))
        .zip(catalog.ancestors_of(table.id))
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        let (child, parent) = (catalog.relations.get(&child)?, catalog.relations.get(&parent)?);
        terms.extend(terms_of(catalog, session, child, parent)?);
    }
    match terms.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("({})", many.join(" AND "))),
    }
}

/// A constant in an expression, with its type where PostgreSQL shows it.
fn typed(value: &Datum, ty: Type, session: &dyn SessionView) -> String {
    let text = constant(value, ty, session);
    match text.starts_with('\'') || value.is_null() {
        true => format!("{text}::{}", types::format_type(Type::new(ty.oid))),
        false => text,
    }
}

fn terms_of(catalog: &Catalog, session: &dyn SessionView, child: &Relation, parent: &Relation) -> Option<Vec<String>> {
    let key = parent.family.key.as_ref()?;
    let names = key_parts(catalog, session, parent);
    Some(match decode(child.family.bound.as_ref()?, key).ok()? {
        Bound::Default => {
            let (members, bounds) = bounds_of(catalog, parent).ok()?;
            let mut others = Vec::new();
            for (member, bound) in members.iter().zip(bounds.bounds()) {
                if *member != child.id {
                    others.extend(own_terms(key, &names, bound, session));
                }
            }
            match others.is_empty() {
                true => Vec::new(),
                false if key.strategy == Strategy::List => {
                    let values = bounds.bounds().iter().flat_map(|bound| match bound {
                        Bound::List(values) => values.clone(),
                        _ => Vec::new(),
                    });
                    vec![format!(
                        "(NOT ({}))",
                        list_terms(key, &names, &values.collect::<Vec<_>>(), session).join(" AND ")
                    )]
                }
                false => vec![format!("(NOT ({}))", others.join(" OR "))],
            }
        }
        Bound::Hash { modulus, remainder } => vec![format!(
            "satisfies_hash_partition('{}'::oid, {modulus}, {remainder}, {})",
            parent.id,
            names.join(", ")
        )],
        Bound::List(values) => list_terms(key, &names, &values, session),
        bound @ Bound::Range { .. } => {
            let mut terms: Vec<String> = names.iter().map(|name| format!("({name} IS NOT NULL)")).collect();
            terms.extend(range_terms(key, &names, &bound, session));
            terms
        }
    })
}

fn own_terms(key: &PartitionKey, names: &[String], bound: &Bound, session: &dyn SessionView) -> Vec<String> {
    match bound {
        Bound::Range { .. } => {
            let mut terms: Vec<String> = names.iter().map(|name| format!("({name} IS NOT NULL)")).collect();
            terms.extend(range_terms(key, names, bound, session));
            vec![format!("({})", terms.join(" AND "))]
        }
        Bound::List(values) => list_terms(key, names, values, session),
        Bound::Hash { .. } | Bound::Default => Vec::new(),
    }
}

fn list_terms(key: &PartitionKey, names: &[String], values: &[Datum], session: &dyn SessionView) -> Vec<String> {
    let name = names.first().map_or("", String::as_str);
    let ty = type_of(key, 0);
    let named: Vec<String> = values
        .iter()
        .filter(|value| !value.is_null())
        .map(|value| typed(value, ty, session))
        .collect();
    let has_null = named.len() < values.len();
    let is_one_of = match named.as_slice() {
        [] => None,
        [one] => Some(format!("({name} = {one})")),
        many => Some(format!("({name} = ANY (ARRAY[{}]))", many.join(", "))),
    };
    match (has_null, is_one_of) {
        (true, Some(one_of)) => vec![format!("(({name} IS NULL) OR {one_of})")],
        (true, None) => vec![format!("({name} IS NULL)")],
        (false, one_of) => std::iter::once(format!("({name} IS NOT NULL)")).chain(one_of).collect(),
    }
}

/// The comparisons of a range. Leading parts that both edges share are equalities.
fn range_terms(key: &PartitionKey, names: &[String], bound: &Bound, session: &dyn SessionView) -> Vec<String> {
    let Bound::Range { from, to } = bound else {
        return Vec::new();
    };
    let mut terms = Vec::new();
    let mut at = 0;
    while let (Some(Edge::Value(low)), Some(Edge::Value(high))) = (from.get(at), to.get(at)) {
        if low.compare(high) != std::cmp::Ordering::Equal {
            break;
        }
        terms.push(format!("({} = {})", names[at], typed(low, type_of(key, at), session)));
        at += 1;
    }
    terms.extend(edge_term(key, names, from, at, (">", ">="), session));
    terms.extend(edge_term(key, names, to, at, ("<", "<"), session));
    terms
}

fn edge_term(
    key: &PartitionKey,
    names: &[String],
    edge: &[Edge],
    start: usize,
    (strict, last): (&str, &str),
    session: &dyn SessionView,
) -> Option<String> {
    let values: Vec<String> = (start..edge.len())
        .map_while(|at| match &edge[at] {
            Edge::Value(value) => Some(typed(value, type_of(key, at), session)),
            Edge::Min | Edge::Max => None,
        })
        .collect();
    // An edge that ends in MINVALUE begins at its last value; one that ends in MAXVALUE, behind it.
    let last = match edge.get(start + values.len()) {
        None => last,
        Some(Edge::Min) => {
            if strict == ">" {
                ">="
            } else {
                "<"
            }
        }
        Some(_) => {
            if strict == ">" {
                ">"
            } else {
                "<="
            }
        }
    };
    let count = values.len();
    let mut options = Vec::new();
    for depth in 0..count {
        let mut terms: Vec<String> = (0..depth)
            .map(|at| format!("({} = {})", names[start + at], values[at]))
            .collect();
        let operator = if depth + 1 == count { last } else { strict };
        terms.push(format!("({} {operator} {})", names[start + depth], values[depth]));
        options.push(match terms.as_slice() {
            [one] => one.clone(),
            many => format!("({})", many.join(" AND ")),
        });
    }
    match options.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("({})", many.join(" OR "))),
    }
}
