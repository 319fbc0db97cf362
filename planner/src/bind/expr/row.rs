//! Rows: constructors and comparisons of rows written out.

use sqlparser::ast as sql;

use crate::bind::Binder;
use crate::bound::shape::record_type;
use crate::bound::{Comparison, Expr, ExprKind, RowPair};
use crate::functions;
use crate::parse::forms;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

/// An item of a row constructor.
#[derive(Clone, Copy)]
pub(in crate::bind) enum RowItem<'a> {
    Expr(&'a sql::Expr),
    /// `t.*`
    Star(&'a sql::ObjectName),
}

/// The items of `(a, b)` or `ROW(a, b)`; `None` for everything else.
pub(in crate::bind) fn row_items(expr: &sql::Expr) -> Option<Vec<RowItem<'_>>> {
    match expr {
        sql::Expr::Tuple(items) => Some(items.iter().map(RowItem::Expr).collect()),
        sql::Expr::Nested(inner) => row_items(inner),
        sql::Expr::Function(function) if is_row_constructor(function) => match &function.args {
            sql::FunctionArguments::List(list) => list
                .args
                .iter()
                .map(|arg| match arg {
                    sql::FunctionArg::Unnamed(sql::FunctionArgExpr::Expr(sql::Expr::QualifiedWildcard(name, _))) => {
                        Some(RowItem::Star(name))
                    }
                    sql::FunctionArg::Unnamed(sql::FunctionArgExpr::Expr(expr)) => Some(RowItem::Expr(expr)),
                    sql::FunctionArg::Unnamed(sql::FunctionArgExpr::QualifiedWildcard(name)) => {
                        Some(RowItem::Star(name))
                    }
                    _ => None,
                })
                .collect(),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a call is the constructor ROW(…).
pub(super) fn is_row_constructor(function: &sql::Function) -> bool {
    matches!(function.name.0.as_slice(), [part] if part.as_ident().is_some_and(|ident| ident.quote_style.is_none() && ident.value == "row"))
        && function.over.is_none()
        && function.filter.is_none()
}

/// Whether a chain of fields ends in the star of `(row).*`.
pub(in crate::bind) fn ends_in_star(chain: &[sql::AccessExpr]) -> bool {
    matches!(chain.last(), Some(sql::AccessExpr::Dot(sql::Expr::Identifier(ident))) if ident.value == forms::STAR)
}

impl Binder<'_> {
    /// The fields of `(row).*`, with their names.
    pub(in crate::bind) fn bind_row_star(
        &mut self,
        root: &sql::Expr,
        chain: &[sql::AccessExpr],
    ) -> SqlResult<Vec<(String, Expr)>> {
        let position = self.start(root);
        let chain = &chain[..chain.len() - 1];
        let base = if chain.is_empty() {
            self.bind_expr(root)?
        } else {
            self.bind_access(root, chain)?
        };
        let Some(fields) = self.fields_of(base.ty) else {
            let (code, message) = if crate::bind::coerce::is_row(base.ty.oid) {
                (
                    SqlState::WRONG_OBJECT_TYPE,
                    "record type has not been registered".to_owned(),
                )
            } else {
                (
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("type {} is not composite", self.type_name(base.ty)),
                )
            };
            return Err(SqlError::new(code, message).at(position));
        };
        Ok(fields
            .into_iter()
            .enumerate()
            .map(|(index, (name, ty))| (name, super::take_field(base.clone(), index, ty)))
            .collect())
    }

    /// A row constructor.
    pub(super) fn bind_row(&mut self, items: &[sql::Expr], position: Option<u32>) -> SqlResult<Expr> {
        let items: Vec<RowItem<'_>> = items.iter().map(RowItem::Expr).collect();
        let fields = self.bind_row_items(&items)?;
        self.make_row(fields, position)
    }

    /// A row of bound fields; what is unknown becomes text.
    pub(super) fn make_row(&mut self, fields: Vec<Expr>, position: Option<u32>) -> SqlResult<Expr> {
        let fields = fields
            .into_iter()
            .map(|field| self.unknown_to_text(field))
            .collect::<SqlResult<Vec<Expr>>>()?;
        let shape = fields
            .iter()
            .enumerate()
            .map(|(i, field)| (format!("f{}", i + 1), field.ty))
            .collect();
        Ok(Expr {
            kind: ExprKind::Row(fields),
            ty: record_type(shape),
            position,
        })
    }

    /// Binds the items of a row, `t.*` expanded.
    pub(in crate::bind) fn bind_row_items(&mut self, items: &[RowItem<'_>]) -> SqlResult<Vec<Expr>> {
        let mut fields = Vec::with_capacity(items.len());
        for item in items {
            match item {
                RowItem::Expr(sql::Expr::CompoundFieldAccess { root, access_chain }) if ends_in_star(access_chain) => {
                    fields.extend(
                        self.bind_row_star(root, access_chain)?
                            .into_iter()
                            .map(|(_, field)| field),
                    );
                }
                RowItem::Expr(expr) => fields.push(self.bind_expr(expr)?),
                RowItem::Star(name) => {
                    let parts: Vec<sql::Ident> = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
                    let row = self.bind_row_of(&parts)?;
                    match row.kind {
                        ExprKind::Row(columns) => fields.extend(columns),
                        kind => fields.push(Expr { kind, ..row }),
                    }
                }
            }
        }
        Ok(fields)
    }

    /// `(a, b) op (c, d)` and `(a, b) op (SELECT …)`; `None` if the left side is no row written out.
    pub(super) fn bind_row_comparison(
        &mut self,
        left: &sql::Expr,
        name: &str,
        right: &sql::Expr,
    ) -> SqlResult<Option<Expr>> {
        let Some(lefts) = row_items(left) else { return Ok(None) };
        let after = self.end(left);
        if let sql::Expr::Subquery(query) = right {
            let fields = self.bind_row_items(&lefts)?;
            return self.bind_row_subquery(fields, name, query, after).map(Some);
        }
        let Some(rights) = row_items(right) else {
            return Ok(None);
        };
        let lefts = self.bind_row_items(&lefts)?;
        let rights = self.bind_row_items(&rights)?;
        self.compare_rows(lefts, name, rights, after).map(Some)
    }

    pub(super) fn bind_row_distinct(
        &mut self,
        lefts: &[RowItem<'_>],
        rights: &[RowItem<'_>],
        negated: bool,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let lefts = self.bind_row_items(lefts)?;
        let rights = self.bind_row_items(rights)?;
        if lefts.len() != rights.len() {
            return Err(self.unequal_rows(position));
        }
        let mut parts = Vec::with_capacity(lefts.len());
        for (left, right) in lefts.into_iter().zip(rights) {
            parts.push(self.distinct(left, right, negated, position)?);
        }
        // Rows differ if any field does; they do not if none does.
        let kind = if negated {
            ExprKind::And(parts)
        } else {
            ExprKind::Or(parts)
        };
        Ok(Expr {
            kind,
            ty: Type::BOOL,
            position,
        })
    }

    /// Compares rows field by field.
    pub(super) fn compare_rows(
        &mut self,
        lefts: Vec<Expr>,
        name: &str,
        rights: Vec<Expr>,
        after: Option<u32>,
    ) -> SqlResult<Expr> {
        let position = lefts.first().and_then(|left| left.position);
        let place = |binder: &Self| binder.find_after(after, &[name, if name == "<>" { "!=" } else { name }]);
        if lefts.len() != rights.len() {
            return Err(self.unequal_rows(place(self).or(position)));
        }
        if lefts.is_empty() {
            return Err(
                SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "cannot compare rows of zero length").at(position),
            );
        }
        let comparison = match name {
            "=" => Comparison::Equal,
            "<>" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => {
                let place = place(self).or(position);
                // The operators are resolved first, so that a missing one is reported as missing.
                for (left, right) in lefts.into_iter().zip(rights) {
                    self.binary_operator(name, left, right, |_| place)?;
                }
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("could not determine interpretation of row comparison operator {name}"),
                )
                .hint("Row comparison operators must be associated with btree operator families.")
                .at(place));
            }
        };
        if matches!(comparison, Comparison::Equal | Comparison::NotEqual) || lefts.len() == 1 {
            let mut parts = Vec::with_capacity(lefts.len());
            for (left, right) in lefts.into_iter().zip(rights) {
                parts.push(self.binary_operator(name, left, right, place)?);
            }
            if parts.len() == 1
                && let Some(only) = parts.pop()
            {
                return Ok(only);
            }
            let kind = if comparison == Comparison::Equal {
                ExprKind::And(parts)
            } else {
                ExprKind::Or(parts)
            };
            return Ok(Expr {
                kind,
                ty: Type::BOOL,
                position,
            });
        }
        let mut pairs = Vec::with_capacity(lefts.len());
        for (left, right) in lefts.into_iter().zip(rights) {
            pairs.push(self.row_pair(name, left, right, place)?);
        }
        Ok(Expr {
            kind: ExprKind::RowCompare { comparison, pairs },
            ty: Type::BOOL,
            position,
        })
    }

    fn row_pair(
        &mut self,
        name: &str,
        left: Expr,
        right: Expr,
        place: impl Fn(&Self) -> Option<u32>,
    ) -> SqlResult<RowPair> {
        let choice = match self.choose_operator(name, left.ty.oid, right.ty.oid) {
            Ok(choice) => choice,
            Err(error) => return Err(error.at(place(self))),
        };
        let left = self.coerce_implicit(left, Type::new(choice.args[0]))?;
        let right = self.coerce_implicit(right, Type::new(choice.args[1]))?;
        let (l, r) = (choice.args[0], choice.args[1]);
        let (equal, less) = if l == r {
            (functions::equality(l), functions::less(l))
        } else {
            (
                self.choose_operator("=", l, r).ok().map(|c| c.function),
                self.choose_operator("<", l, r).ok().map(|c| c.function),
            )
        };
        match (equal, less) {
            (Some(equal), Some(less)) if choice.result == oid::BOOL => Ok(RowPair {
                left,
                right,
                equal,
                less,
            }),
            _ => Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("could not determine interpretation of row comparison operator {name}"),
            )
            .hint("Row comparison operators must be associated with btree operator families.")
            .at(place(self))),
        }
    }
}
