//! Stored expressions as PostgreSQL shows them: bound again, and written out with their casts.
//!
//! `balance >= 0` over a numeric column is `(balance >= (0)::numeric)`, and `balance >= 0::numeric` for readers.

use crate::bind::Purpose;
use crate::catalog::{Catalog, Relation};
use crate::eval::SessionView;
use crate::explain::deparse::Deparser;
use crate::explain::names::Names;
use crate::types::oid;
use crate::{Type, stored};

/// An expression over a table's row. What does not bind any more is shown as it is stored.
pub fn over(
    catalog: &Catalog,
    session: &dyn SessionView,
    table: &Relation,
    text: &str,
    purpose: Purpose,
    is_pretty: bool,
) -> String {
    let Ok(bound) = stored::expression_over(catalog, session, table, text, purpose, None) else {
        return text.to_string();
    };
    let named = bound
        .columns
        .iter()
        .map(|(position, id)| (*id, table.columns[*position as usize].name.clone()));
    let names = Names::of_row(named);
    let mut deparser = Deparser::new(&names, session);
    deparser.pretty = is_pretty;
    deparser.text(&bound.expr)
}

/// A column's default; a bare string has the column's type.
pub fn default(catalog: &Catalog, session: &dyn SessionView, text: &str, column: Type, is_pretty: bool) -> String {
    let nothing = Relation::system_placeholder();
    let find = |target| stored::expression_over(catalog, session, &nothing, text, Purpose::Default, target);
    let bound = match find(None) {
        Ok(bound) if bound.expr.ty.oid == oid::UNKNOWN || is_string(text) => find(Some(Type::new(column.oid))),
        other => other,
    };
    let Ok(bound) = bound else { return text.to_string() };
    let names = Names::of_row([]);
    let mut deparser = Deparser::new(&names, session);
    deparser.pretty = is_pretty;
    let written = deparser.text(&bound.expr);
    match written.as_str() {
        "current_date()"
        | "current_timestamp()"
        | "current_time()"
        | "localtime()"
        | "localtimestamp()"
        | "current_user()"
        | "session_user()"
        | "current_catalog()"
        | "current_role()" => written.trim_end_matches("()").to_uppercase(),
        _ => written,
    }
}

/// Whether a text is one string constant without a cast.
fn is_string(text: &str) -> bool {
    let inner = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    inner.is_some_and(|inner| !inner.replace("''", "").contains('\''))
}
