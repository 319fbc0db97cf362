//! Fields: `(row).field`, `a[1].b`, and functions written as fields.

use sqlparser::ast as sql;
use sqlparser::ast::{AccessExpr, Spanned};

use crate::bind::Binder;
use crate::bind::coerce::is_row;
use crate::bind::name::Found;
use crate::bound::{Expr, ExprKind, shape};
use crate::{SqlError, SqlResult, SqlState, Type};

impl Binder<'_> {
    /// A chain of subscripts and fields behind an expression.
    pub(in crate::bind) fn bind_access(&mut self, root: &sql::Expr, chain: &[AccessExpr]) -> SqlResult<Expr> {
        let mut rest = chain;
        let mut base = match root {
            // `t.a[1]` arrives as the field a of t: leading names are one name.
            sql::Expr::Identifier(first) => {
                let mut parts = vec![first.clone()];
                while let [AccessExpr::Dot(sql::Expr::Identifier(next)), tail @ ..] = rest {
                    parts.push(next.clone());
                    rest = tail;
                }
                self.bind_access_name(&parts, &mut rest)?
            }
            sql::Expr::CompoundIdentifier(parts) => self.bind_name(parts)?,
            other => self.bind_expr(other)?,
        };
        while let Some((first, tail)) = rest.split_first() {
            match first {
                AccessExpr::Dot(sql::Expr::Identifier(field)) => {
                    base = self.field(base, &field.value, self.at(field.span))?;
                    rest = tail;
                }
                AccessExpr::Dot(other) => {
                    return Err(
                        SqlError::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{other}\""))
                            .at(self.at(other.span())),
                    );
                }
                AccessExpr::Subscript(_) => {
                    let count = rest
                        .iter()
                        .take_while(|access| matches!(access, AccessExpr::Subscript(_)))
                        .count();
                    let subscripts: Vec<&sql::Subscript> = rest[..count]
                        .iter()
                        .filter_map(|access| match access {
                            AccessExpr::Subscript(subscript) => Some(subscript),
                            AccessExpr::Dot(_) => None,
                        })
                        .collect();
                    base = self.bind_subscripts(base, &subscripts)?;
                    rest = &rest[count..];
                }
            }
        }
        Ok(base)
    }

    /// The name at the start of a chain; a qualified function call may follow it.
    fn bind_access_name(&mut self, parts: &[sql::Ident], rest: &mut &[AccessExpr]) -> SqlResult<Expr> {
        if let [AccessExpr::Dot(sql::Expr::Function(function)), tail @ ..] = *rest {
            let mut qualified = function.clone();
            let mut name: Vec<sql::ObjectNamePart> =
                parts.iter().cloned().map(sql::ObjectNamePart::Identifier).collect();
            name.append(&mut qualified.name.0);
            qualified.name = sql::ObjectName(name);
            *rest = tail;
            return self.bind_function(&qualified);
        }
        self.bind_name(parts)
    }

    /// A field of a composite value.
    pub(in crate::bind) fn field(&mut self, base: Expr, name: &str, position: Option<u32>) -> SqlResult<Expr> {
        let start = base.position;
        let fields = self.fields_of(base.ty);
        if let Some(fields) = &fields
            && let Some(index) = fields.iter().position(|(field, _)| field == name)
        {
            let ty = fields[index].1;
            return Ok(take_field(base, index, ty));
        }
        // `x.f` also means `f(x)`.
        if is_row(base.ty.oid)
            && let Some(call) = self.try_call(name, vec![base.clone()], position)?
        {
            return Ok(call);
        }
        let position = start.or(position);
        if !is_row(base.ty.oid) {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!(
                    "column notation .{name} applied to type {}, which is not a composite type",
                    self.type_name(base.ty)
                ),
            )
            .at(position));
        }
        match fields {
            Some(_) if base.ty.oid != Type::RECORD.oid => Err(SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{name}\" not found in data type {}", self.type_name(base.ty)),
            )
            .at(position)),
            _ => Err(SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("could not identify column \"{name}\" in record data type"),
            )
            .at(position)),
        }
    }

    /// Names and types of the fields of a composite type.
    pub(in crate::bind) fn fields_of(&self, ty: Type) -> Option<Vec<(String, Type)>> {
        if let Some(shape) = shape::fields(ty) {
            return Some(shape.to_vec());
        }
        if !is_row(ty.oid) {
            return None;
        }
        let relation = self.catalog.relations.get(&ty.oid)?;
        Some(
            relation
                .live_columns()
                .map(|(_, column)| (column.name.clone(), column.ty))
                .collect(),
        )
    }

    /// `t.f` as the call `f(t)`.
    pub(in crate::bind) fn bind_row_function(
        &mut self,
        found: Found,
        name: &str,
        position: Option<u32>,
    ) -> SqlResult<Option<Expr>> {
        if crate::functions::by_name(name).is_empty() {
            return Ok(None);
        }
        let row = self.whole_row(found, position)?;
        self.try_call(name, vec![row], position)
    }
}

/// Field `index` of a row; of a row written out it is the item itself.
pub(in crate::bind) fn take_field(base: Expr, index: usize, ty: Type) -> Expr {
    let position = base.position;
    match base.kind {
        ExprKind::Row(mut items) if index < items.len() && items[index].ty == ty => {
            let mut item = items.swap_remove(index);
            item.position = position;
            item
        }
        kind => {
            let base = Box::new(Expr { kind, ..base });
            Expr {
                kind: ExprKind::Field { base, index },
                ty,
                position,
            }
        }
    }
}
