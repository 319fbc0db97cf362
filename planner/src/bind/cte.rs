//! WITH: common table expressions, recursive and data-modifying ones.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast as sql;

use crate::bound::{Cte, CteId, OutputColumn, Query, RecursiveTerm, Rel};
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;

/// A WITH item in reach.
#[derive(Clone)]
pub(super) struct CteEntry {
    pub name: String,
    pub id: CteId,
    pub columns: Vec<(String, Type, (u32, i16))>,
    /// Not bound yet: a forward reference without RECURSIVE.
    pub pending: bool,
    /// A data-modifying statement without RETURNING has no rows to read.
    pub no_rows: bool,
}

impl Binder<'_> {
    /// Binds the items of a WITH clause; they stay in reach until the caller takes them away.
    pub(super) fn bind_with(&mut self, with: &sql::With) -> SqlResult<Vec<Cte>> {
        let mut names = HashSet::new();
        for item in &with.cte_tables {
            let name = &item.alias.name;
            if !names.insert(name.value.as_str()) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_ALIAS,
                    format!("WITH query name \"{}\" specified more than once", name.value),
                )
                .at(self.at(name.span)));
            }
        }
        let order = if with.recursive {
            self.recursive_order(&with.cte_tables)?
        } else {
            (0..with.cte_tables.len()).collect()
        };
        let mut bound: Vec<Option<Cte>> = with.cte_tables.iter().map(|_| None).collect();
        for index in order {
            let item = &with.cte_tables[index];
            bound[index] = Some(self.bind_cte(item, with.recursive)?);
        }
        Ok(bound.into_iter().flatten().collect())
    }

    /// The order in which recursive items can be bound: each after those it refers to.
    fn recursive_order(&self, items: &[sql::Cte]) -> SqlResult<Vec<usize>> {
        let uses: Vec<HashSet<usize>> = items
            .iter()
            .map(|item| {
                let named = relations_in(&item.query);
                (0..items.len())
                    .filter(|&i| named.contains(&items[i].alias.name.value))
                    .collect()
            })
            .collect();
        let mut order: Vec<usize> = Vec::with_capacity(items.len());
        while order.len() < items.len() {
            let ready = (0..items.len())
                .find(|i| !order.contains(i) && uses[*i].iter().all(|used| used == i || order.contains(used)));
            let Some(ready) = ready else {
                let first = (0..items.len()).find(|i| !order.contains(i)).unwrap_or(0);
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "mutual recursion between WITH items is not implemented",
                )
                .at(self.at(items[first].alias.name.span)));
            };
            order.push(ready);
        }
        Ok(order)
    }

    fn bind_cte(&mut self, item: &sql::Cte, recursive: bool) -> SqlResult<Cte> {
        let name = item.alias.name.value.clone();
        let id = self.new_cte();
        let self_referring = recursive && relations_in(&item.query).contains(&name);
        let modifying = matches!(
            *item.query.body,
            sql::SetExpr::Insert(_) | sql::SetExpr::Update(_) | sql::SetExpr::Delete(_)
        );
        if matches!(*item.query.body, sql::SetExpr::Merge(_)) {
            return Err(
                SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "MERGE not supported in WITH query")
                    .at(self.at(item.alias.name.span)),
            );
        }
        if modifying && !self.scopes.is_empty() {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "WITH clause containing a data-modifying statement must be at the top level",
            )
            .at(self.at(item.alias.name.span)));
        }
        let (query, recursive) = if self_referring {
            self.bind_recursive(item, id)?
        } else {
            (self.bind_subquery(&item.query)?, None)
        };
        let columns = self.cte_columns(item, &query)?;
        if recursive.is_none() {
            self.enter_cte(&name, id, &columns, modifying && columns.is_empty());
        }
        Ok(Cte {
            id,
            name,
            columns,
            rel: query.rel,
            recursive,
            materialized: item
                .materialized
                .as_ref()
                .map(|m| matches!(m, sql::CteAsMaterialized::Materialized)),
            reference_count: 0,
        })
    }

    fn enter_cte(&mut self, name: &str, id: CteId, columns: &[OutputColumn], no_rows: bool) {
        let columns = columns
            .iter()
            .map(|column| (column.name.clone(), column.ty, self.facts(column.id).origin))
            .collect();
        self.ctes.push(CteEntry {
            name: name.to_owned(),
            id,
            columns,
            pending: false,
            no_rows,
        });
    }

    /// The columns of an item under its alias list's names.
    fn cte_columns(&self, item: &sql::Cte, query: &Query) -> SqlResult<Vec<OutputColumn>> {
        let aliases = &item.alias.columns;
        if aliases.len() > query.columns.len() {
            return Err(SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!(
                    "WITH query \"{}\" has {} columns available but {} columns specified",
                    item.alias.name.value,
                    query.columns.len(),
                    aliases.len()
                ),
            )
            .at(self.at(item.alias.name.span)));
        }
        let mut columns = query.columns.clone();
        for (column, alias) in columns.iter_mut().zip(aliases) {
            column.name.clone_from(&alias.name.value);
        }
        Ok(columns)
    }

    /// A recursive item: the non-recursive term gives the columns, the recursive one refers to them.
    fn bind_recursive(&mut self, item: &sql::Cte, id: CteId) -> SqlResult<(Query, Option<RecursiveTerm>)> {
        let name = &item.alias.name;
        let not_union = || {
            SqlError::new(
                SqlState::INVALID_RECURSION,
                format!(
                    "recursive query \"{}\" does not have the form non-recursive-term UNION [ALL] recursive-term",
                    name.value
                ),
            )
            .at(self.at(name.span))
        };
        let tail_present = item.query.order_by.is_some() || item.query.limit_clause.is_some();
        let (left, all, right) = match &*item.query.body {
            sql::SetExpr::SetOperation {
                left,
                op: sql::SetOperator::Union,
                set_quantifier,
                right,
            } => (left, matches!(set_quantifier, sql::SetQuantifier::All), right),
            _ => return Err(not_union()),
        };
        let recursion = |message: String| SqlError::new(SqlState::INVALID_RECURSION, message);
        if body_relations(left).contains(&name.value) {
            return Err(recursion(format!(
                "recursive reference to query \"{}\" must not appear within its non-recursive term",
                name.value
            ))
            .at(self.at(name.span)));
        }
        if tail_present {
            let clause = if item.query.order_by.is_some() {
                "ORDER BY"
            } else {
                "LIMIT"
            };
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("{clause} in a recursive query is not implemented"),
            ));
        }
        // WITH inside the item is in reach of both terms.
        let mark = self.ctes.len();
        let inner = match &item.query.with {
            Some(with) => self.bind_with(with)?,
            None => vec![],
        };
        let result = self.bind_terms(item, id, left, all, right);
        self.ctes.truncate(mark);
        let (mut query, term) = result?;
        if !inner.is_empty() {
            let body = std::mem::replace(&mut query.rel, Rel::OneRow);
            query.rel = Rel::With {
                ctes: inner,
                body: Box::new(body),
            };
        }
        let columns = self.cte_columns(item, &query)?;
        self.enter_cte(&name.value, id, &columns, false);
        Ok((query, Some(term)))
    }

    fn bind_terms(
        &mut self,
        item: &sql::Cte,
        id: CteId,
        left: &sql::SetExpr,
        all: bool,
        right: &sql::SetExpr,
    ) -> SqlResult<(Query, RecursiveTerm)> {
        let left = self.bind_subquery(&as_query(left))?;
        let columns = self.cte_columns(item, &left)?;
        self.enter_cte(&item.alias.name.value, id, &columns, false);
        let mut right_query = self.bind_query_with(&as_query(right), true)?;
        if right_query.columns.len() != left.columns.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "each UNION query must have the same number of columns",
            ));
        }
        let mut types = Vec::with_capacity(left.columns.len());
        for (index, (column, other)) in left.columns.iter().zip(&right_query.columns).enumerate() {
            let overall = self.common_type(&[(column.ty, None), (other.ty, None)], "UNION")?;
            if overall.oid != column.ty.oid && other.ty.oid != oid::UNKNOWN {
                return Err(SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "recursive query \"{}\" column {} has type {} in non-recursive term but type {} overall",
                        item.alias.name.value,
                        index + 1,
                        self.type_name(column.ty),
                        self.type_name(overall)
                    ),
                )
                .hint("Cast the output of the non-recursive term to the correct type."));
            }
            types.push(Type::new(column.ty.oid));
        }
        self.retype(&mut right_query, &types, "UNION")?;
        if !all {
            for column in &left.columns {
                self.require_equality(column.ty, None)?;
            }
        }
        let term = RecursiveTerm {
            columns: right_query.columns.iter().map(|column| column.id).collect(),
            rel: right_query.rel,
            all,
        };
        Ok((left, term))
    }

    /// The WITH item a name means.
    pub(super) fn find_cte(&self, name: &str) -> Option<CteEntry> {
        self.ctes
            .iter()
            .rev()
            .find(|entry| entry.name == name && !entry.pending)
            .cloned()
    }

    /// A reference to a WITH item: fresh columns of it.
    pub(super) fn reference_cte(&mut self, entry: &CteEntry, alias: &std::sync::Arc<str>) -> (Rel, Vec<OutputColumn>) {
        *self.cte_references.entry(entry.id.0).or_default() += 1;
        let columns: Vec<OutputColumn> = entry
            .columns
            .iter()
            .map(|(name, ty, origin)| self.new_column_of(Some(alias), name, *ty, *origin))
            .collect();
        (
            Rel::CteRef {
                cte: entry.id,
                columns: columns.clone(),
            },
            columns,
        )
    }
}

/// A body as a query without anything around it.
fn as_query(body: &sql::SetExpr) -> sql::Query {
    if let sql::SetExpr::Query(query) = body {
        return (**query).clone();
    }
    sql::Query {
        with: None,
        body: Box::new(body.clone()),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: vec![],
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: vec![],
    }
}

/// Unqualified table names in a query.
fn relations_in(query: &sql::Query) -> HashSet<String> {
    let mut names = HashSet::new();
    let _ = sql::visit_relations(query, |name| {
        if let [part] = name.0.as_slice()
            && let Some(ident) = part.as_ident()
        {
            names.insert(ident.value.clone());
        }
        ControlFlow::<()>::Continue(())
    });
    names
}

fn body_relations(body: &sql::SetExpr) -> HashSet<String> {
    relations_in(&as_query(body))
}
