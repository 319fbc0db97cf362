//! Stored expressions and queries: SQL text kept in the registry (defaults, checks, index keys, views), bound when needed.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{self, Ident, ObjectName, Visit, VisitMut, Visitor, VisitorMut};

use crate::bind::{Binder, OverRelation, Purpose};
use crate::bound::visit::{for_each_input, for_each_own_expr};
use crate::bound::{Expr, ExprKind, Rel};
use crate::catalog::{Catalog, Column, Relation};
use crate::eval::SessionView;
use crate::{SqlError, SqlResult, SqlState, Type, parse};

/// Binds an expression over a table's row, converted to `target` if there is one.
///
/// # Errors
/// What binding reports.
pub fn expression_over(
    catalog: &Catalog,
    session: &dyn SessionView,
    table: &Relation,
    text: &str,
    purpose: Purpose,
    target: Option<Type>,
) -> SqlResult<OverRelation> {
    Binder::new(catalog, session, &[]).bind_expression_over(&Arc::new(table.clone()), text, purpose, target)
}

/// Binds a column's default.
///
/// # Errors
/// What binding reports; 42804 if the value cannot be assigned to the column.
pub fn default(catalog: &Catalog, session: &dyn SessionView, text: &str, column: &Column) -> SqlResult<Expr> {
    let nothing = Relation::system_placeholder();
    let bound =
        expression_over(catalog, session, &nothing, text, Purpose::Default, Some(column.ty)).map_err(|error| {
            if error.code() == SqlState::DATATYPE_MISMATCH {
                error
                    .with_message(|message| message.replacen("column is", &format!("column \"{}\" is", column.name), 1))
            } else {
                error
            }
        })?;
    Ok(bound.expr)
}

/// The type a column definition names.
///
/// # Errors
/// 42704 for an unknown type, 0A000 for one that columns cannot have.
pub fn column_type(catalog: &Catalog, session: &dyn SessionView, data_type: &ast::DataType) -> SqlResult<Type> {
    Binder::new(catalog, session, &[]).type_of(data_type)
}

/// Accepts the collations that order by bytes.
///
/// # Errors
/// 42704 for an unknown collation.
pub fn check_collation(collation: &ast::ObjectName) -> SqlResult<()> {
    let name = collation
        .0
        .last()
        .and_then(|part| part.as_ident())
        .map(|ident| ident.value.clone())
        .unwrap_or_default();
    match name.as_str() {
        "C" | "POSIX" | "default" | "ucs_basic" => Ok(()),
        _ => Err(SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("collation \"{name}\" for encoding \"UTF8\" does not exist"),
        )),
    }
}

/// The relations a stored query names. Its names are qualified, so binding finds the ones it was made with.
///
/// # Errors
/// What parsing reports.
pub fn relations_of(catalog: &Catalog, session: &dyn SessionView, text: &str) -> SqlResult<HashSet<u32>> {
    struct Names<'a> {
        catalog: &'a Catalog,
        session: &'a dyn SessionView,
        found: HashSet<u32>,
    }
    impl Visitor for Names<'_> {
        type Break = ();
        fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
            let parts: Vec<String> = name
                .0
                .iter()
                .filter_map(|part| part.as_ident())
                .map(crate::ddl::fold)
                .collect();
            let (schema, name) = match parts.as_slice() {
                [.., schema, name] => (Some(schema.as_str()), name.as_str()),
                [name] => (None, name.as_str()),
                [] => return ControlFlow::Continue(()),
            };
            self.found.extend(
                self.catalog
                    .relation(self.session, schema, name)
                    .map(|relation| relation.id),
            );
            ControlFlow::Continue(())
        }
    }
    let mut names = Names {
        catalog,
        session,
        found: HashSet::new(),
    };
    for statement in parse::parse(text)? {
        let _ = statement.ast.visit(&mut names);
    }
    Ok(names.found)
}

/// Whether a stored query reads a column of a table.
///
/// # Errors
/// What binding reports.
pub fn uses_column(
    catalog: &Catalog,
    session: &dyn SessionView,
    text: &str,
    table: u32,
    column: u16,
) -> SqlResult<bool> {
    if !relations_of(catalog, session, text)?.contains(&table) {
        return Ok(false);
    }
    for statement in parse::parse(text)? {
        let bound = Binder::new(catalog, session, &[]).bind_statement(&statement)?;
        if scans_column(&bound.query.rel, table, column) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn scans_column(rel: &Rel, table: u32, column: u16) -> bool {
    if let Rel::Scan(scan) = rel
        && scan.table.id == table
        && scan.columns.iter().any(|(_, position)| *position == column)
    {
        return true;
    }
    let mut found = false;
    for_each_input(rel, &mut |input| found |= scans_column(input, table, column));
    for_each_own_expr(rel, &mut |expr| {
        crate::bound::visit::for_each_expr(expr, &mut |part| {
            if let ExprKind::Subquery(subquery) = &part.kind {
                found |= scans_column(&subquery.rel, table, column);
            }
        });
    });
    found
}

/// A stored expression with a column renamed.
///
/// # Errors
/// What parsing reports.
pub fn rename_column(text: &str, old: &str, new: &str) -> SqlResult<String> {
    struct Rename<'a>(&'a str, &'a str);
    impl VisitorMut for Rename<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
            let ident = match expr {
                ast::Expr::Identifier(ident) => Some(ident),
                ast::Expr::CompoundIdentifier(parts) => parts.last_mut(),
                _ => None,
            };
            if let Some(ident) = ident
                && crate::ddl::fold(ident) == self.0
            {
                *ident = Ident::with_quote('"', self.1);
            }
            ControlFlow::Continue(())
        }
    }
    let mut expr = parse::parse_expression(text)?;
    let _ = VisitMut::visit(&mut expr, &mut Rename(old, new));
    Ok(expr.to_string())
}

/// A stored query with a schema renamed, where it names relations.
///
/// # Errors
/// What parsing reports.
pub fn rename_schema(text: &str, old: &str, new: &str) -> SqlResult<String> {
    struct Rename<'a>(&'a str, &'a str);
    impl Rename<'_> {
        fn replace(&self, ident: Option<&mut Ident>) {
            if let Some(ident) = ident
                && crate::ddl::fold(ident) == self.0
            {
                *ident = Ident::with_quote('"', self.1);
            }
        }
    }
    impl VisitorMut for Rename<'_> {
        type Break = ();
        fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
            let schema = name.0.iter_mut().rev().nth(1);
            self.replace(schema.and_then(|part| match part {
                ast::ObjectNamePart::Identifier(ident) => Some(ident),
                ast::ObjectNamePart::Function(_) => None,
            }));
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
            // schema.table.column
            if let ast::Expr::CompoundIdentifier(parts) = expr
                && parts.len() == 3
            {
                self.replace(parts.first_mut());
            }
            ControlFlow::Continue(())
        }
    }
    let mut parsed = parse::parse(text)?;
    let Some(statement) = parsed.pop() else {
        return Ok(text.to_owned());
    };
    let mut ast = ast::Statement::clone(&statement.ast);
    let _ = VisitMut::visit(&mut ast, &mut Rename(old, new));
    Ok(ast.to_string())
}

/// Whether a text has a schema's name before a dot.
///
/// # Errors
/// What reading its tokens reports.
pub fn names_schema(text: &str, schema: &str) -> SqlResult<bool> {
    parse::qualifies(text, schema)
}
