//! Objects back to SQL: what `pg_get_indexdef`, `pg_get_constraintdef`, `pg_get_expr` and `\d` print.

use std::fmt::Write as _;

use super::expression;
use crate::bind::Purpose;
use crate::catalog::{
    Catalog, Column, Constraint, ConstraintKind, Deferral, Index, IndexSource, ReferentialAction, Relation,
};
use crate::eval::SessionView;

/// An identifier, quoted if it must be.
pub fn quote_ident(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !crate::parse::is_reserved(name);
    if is_plain {
        name.to_string()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// A relation's name, with its schema unless the search path finds it without.
pub fn relation_name(catalog: &Catalog, session: &dyn SessionView, relation: &Relation) -> String {
    let is_visible = catalog
        .relation(session, None, &relation.name)
        .is_some_and(|found| found.id == relation.id);
    qualified(catalog, relation, !is_visible)
}

fn qualified(catalog: &Catalog, relation: &Relation, with_schema: bool) -> String {
    match catalog.schemas.get(&relation.schema).filter(|_| with_schema) {
        Some(schema) => format!("{}.{}", quote_ident(&schema.name), quote_ident(&relation.name)),
        None => quote_ident(&relation.name),
    }
}

/// A default as PostgreSQL shows it: sequences by name (they are stored by OID, so that a rename does not break them).
pub fn default(catalog: &Catalog, session: &dyn SessionView, table: &Relation, column: &Column) -> String {
    let text = column.default.as_deref().unwrap_or_default();
    let sequence = text
        .strip_prefix("nextval('")
        .and_then(|rest| rest.strip_suffix("'::regclass)"))
        .and_then(|digits| digits.parse::<u32>().ok())
        .and_then(|id| catalog.relations.get(&id));
    match sequence {
        Some(sequence) => {
            format!(
                "nextval('{}'::regclass)",
                relation_name(catalog, session, sequence).replace('\'', "''")
            )
        }
        None if column.generated => expression::over(catalog, session, table, text, Purpose::Generated, false),
        None => expression::default(catalog, session, text, column.ty, false),
    }
}

/// `CREATE UNIQUE INDEX name ON schema.table USING btree (a, lower(b)) WHERE …`
pub fn index(
    catalog: &Catalog,
    session: &dyn SessionView,
    relation: &Relation,
    index: &Index,
    is_pretty: bool,
) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let table = if is_pretty {
        relation_name(catalog, session, relation)
    } else {
        qualified(catalog, relation, true)
    };
    let mut text = format!(
        "CREATE {unique}INDEX {} ON {table} USING btree (",
        quote_ident(&index.name)
    );
    for i in 0..index.keys.len() {
        if i > 0 {
            text.push_str(", ");
        }
        text.push_str(&index_key(catalog, session, relation, index, i, is_pretty));
        let key = &index.keys[i];
        text.push_str(match (key.descending, key.nulls_first) {
            (false, false) => "",
            (true, true) => " DESC",
            (false, true) => " NULLS FIRST",
            (true, false) => " DESC NULLS LAST",
        });
    }
    text.push(')');
    if !index.include.is_empty() {
        let _ = write!(text, " INCLUDE ({})", columns(relation, &index.include));
    }
    if index.nulls_not_distinct {
        text.push_str(" NULLS NOT DISTINCT");
    }
    if let Some(predicate) = &index.predicate {
        let predicate = expression::over(
            catalog,
            session,
            relation,
            predicate,
            Purpose::IndexPredicate,
            is_pretty,
        );
        let _ = write!(text, " WHERE {predicate}");
    }
    text
}

/// One key of an index: a column, a function call, or an expression in parentheses.
pub fn index_key(
    catalog: &Catalog,
    session: &dyn SessionView,
    relation: &Relation,
    index: &Index,
    key: usize,
    is_pretty: bool,
) -> String {
    match index.keys.get(key).map(|key| &key.source) {
        Some(IndexSource::Column(position)) => quote_ident(&relation.columns[*position as usize].name),
        Some(IndexSource::Expression(text)) => {
            let text = expression::over(catalog, session, relation, text, Purpose::Index, is_pretty);
            if is_call(&text) { text } else { parenthesized(&text) }
        }
        None => String::new(),
    }
}

/// Whether an expression is one function call, which needs no parentheses.
fn is_call(text: &str) -> bool {
    let Some(open) = text.find('(') else { return false };
    let is_name = !text[..open].is_empty() && text[..open].chars().all(|c| c.is_alphanumeric() || c == '_');
    let mut depth = 0;
    is_name
        && text.ends_with(')')
        && text[open..].char_indices().all(|(at, c)| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth > 0 || at + open + 1 == text.len()
        })
}

fn parenthesized(text: &str) -> String {
    format!("({text})")
}

fn columns(relation: &Relation, positions: &[u16]) -> String {
    let names: Vec<String> = positions
        .iter()
        .map(|at| quote_ident(&relation.columns[*at as usize].name))
        .collect();
    names.join(", ")
}

/// `PRIMARY KEY (a)`, `CHECK ((a > 0))`, `FOREIGN KEY (a) REFERENCES t(b) ON DELETE CASCADE`
pub fn constraint(
    catalog: &Catalog,
    session: &dyn SessionView,
    relation: &Relation,
    constraint: &Constraint,
    is_pretty: bool,
) -> String {
    let keys = |id: u32| {
        let index = relation.indexes.iter().find(|index| index.id == id);
        let keys = index.map(|index| {
            (0..index.keys.len())
                .map(|i| index_key(catalog, session, relation, index, i, is_pretty))
                .collect::<Vec<_>>()
        });
        let mut text = format!("({})", keys.unwrap_or_default().join(", "));
        if let Some(index) = index.filter(|index| !index.include.is_empty()) {
            let _ = write!(text, " INCLUDE ({})", columns(relation, &index.include));
        }
        (text, index.is_some_and(|index| index.nulls_not_distinct))
    };
    let text = match &constraint.kind {
        ConstraintKind::PrimaryKey { index } => format!("PRIMARY KEY {}", keys(*index).0),
        ConstraintKind::Unique { index } => {
            let (keys, nulls_not_distinct) = keys(*index);
            format!(
                "UNIQUE {}{keys}",
                if nulls_not_distinct { "NULLS NOT DISTINCT " } else { "" }
            )
        }
        ConstraintKind::Check { expression } => {
            let text = expression::over(catalog, session, relation, expression, Purpose::Check, is_pretty);
            format!("CHECK {}", parenthesized(&text))
        }
        ConstraintKind::Foreign {
            columns: own,
            table,
            referenced,
            on_delete,
            on_update,
            match_full,
        } => {
            let parent = catalog.relations.get(table);
            let mut text = format!(
                "FOREIGN KEY ({}) REFERENCES {}({})",
                columns(relation, own),
                parent.map_or_else(String::new, |parent| relation_name(catalog, session, parent)),
                parent.map_or_else(String::new, |parent| columns(parent, referenced))
            );
            if *match_full {
                text.push_str(" MATCH FULL");
            }
            for (event, action) in [("UPDATE", on_update), ("DELETE", on_delete)] {
                let word = match action {
                    ReferentialAction::NoAction => continue,
                    ReferentialAction::Restrict => "RESTRICT",
                    ReferentialAction::Cascade => "CASCADE",
                    ReferentialAction::SetNull => "SET NULL",
                    ReferentialAction::SetDefault => "SET DEFAULT",
                };
                let _ = write!(text, " ON {event} {word}");
            }
            text
        }
    };
    let deferral = match constraint.deferral {
        Deferral::Never => "",
        Deferral::Immediate => " DEFERRABLE",
        Deferral::Deferred => " DEFERRABLE INITIALLY DEFERRED",
    };
    text + deferral
}

#[cfg(test)]
mod tests {
    use super::is_call;

    #[test]
    fn only_a_single_call_goes_without_parentheses() {
        assert!(is_call("lower(name)"));
        assert!(!is_call("lower(a) || lower(b)"));
        assert!(!is_call("(a + b)"));
        assert!(!is_call("a"));
    }
}
