//! Arrays: constructors, and subscripts of arrays and jsonb.

use sqlparser::ast as sql;
use sqlparser::ast::Spanned;

use crate::bind::Binder;
use crate::bind::coerce::{can_coerce, is_row};
use crate::bound::{Expr, ExprKind, Subscript};
use crate::functions::CastContext;
use crate::types::{self, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

impl Binder<'_> {
    /// `ARRAY[…]`; `target` is the array type of a cast around it.
    pub(super) fn bind_array(&mut self, array: &sql::Array, target: Option<Type>) -> SqlResult<Expr> {
        self.bind_array_at(array, target, None)
    }

    fn array_position(&self, array: &sql::Array, parent: Option<u32>) -> Option<u32> {
        let first = self.at(array.span());
        match first {
            Some(_) if array.named => self.find_before(first, "array").or(first),
            Some(_) => self.find_before(first, "[").or(first),
            // An empty one has no token of its own that is known.
            None => parent.or_else(|| self.find_sequence(&["array", "[", "]"])),
        }
    }

    fn bind_array_at(&mut self, array: &sql::Array, target: Option<Type>, parent: Option<u32>) -> SqlResult<Expr> {
        let position = self.array_position(array, parent);
        let mut elements = Vec::with_capacity(array.elem.len());
        let mut nested = false;
        for element in &array.elem {
            let bound = match element {
                sql::Expr::Array(inner) => {
                    nested = true;
                    self.bind_array_at(inner, target, position)?
                }
                other => self.bind_expr(other)?,
            };
            nested |= types::element_of(bound.ty.oid).is_some();
            elements.push(bound);
        }
        if let Some(target) = target {
            return self.array_of_type(elements, nested, target, position);
        }
        if elements.is_empty() {
            return Err(
                SqlError::new(SqlState::INDETERMINATE_DATATYPE, "cannot determine type of empty array")
                    .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
                    .at(position),
            );
        }
        let (elements, ty) = self.unify(elements, "ARRAY")?;
        let array_type = if nested {
            ty.oid
        } else {
            match types::array_of(ty.oid) {
                Some(array) => array,
                None if is_row(ty.oid) => oid::RECORD_ARRAY,
                None => {
                    return Err(SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("could not find array type for data type {}", self.type_name(ty)),
                    )
                    .at(position));
                }
            }
        };
        Ok(Expr {
            kind: ExprKind::Array { elements, nested },
            ty: Type::new(array_type),
            position,
        })
    }

    /// The elements of a constructor under a cast are cast one by one.
    fn array_of_type(
        &mut self,
        elements: Vec<Expr>,
        nested: bool,
        target: Type,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let element_type = if nested {
            target
        } else {
            Type::with_modifier(types::element_of(target.oid).unwrap_or(oid::TEXT), target.modifier)
        };
        let elements = elements
            .into_iter()
            .map(|element| self.cast_to(element, element_type, |_| None))
            .collect::<SqlResult<Vec<Expr>>>()?;
        Ok(Expr {
            kind: ExprKind::Array { elements, nested },
            ty: target,
            position,
        })
    }

    /// Subscripts of an array or of jsonb.
    pub(in crate::bind) fn bind_subscripts(&mut self, base: Expr, subscripts: &[&sql::Subscript]) -> SqlResult<Expr> {
        let position = base.position;
        if base.ty.oid == oid::JSONB {
            let mut bound = Vec::with_capacity(subscripts.len());
            for subscript in subscripts {
                let sql::Subscript::Index { index } = subscript else {
                    return Err(
                        SqlError::new(SqlState::DATATYPE_MISMATCH, "jsonb subscript does not support slices")
                            .at(self.at(subscript.span())),
                    );
                };
                let index = self.bind_expr(index)?;
                bound.push(Subscript::Index(self.jsonb_subscript(index)?));
            }
            return Ok(Expr {
                kind: ExprKind::Subscript {
                    base: Box::new(base),
                    subscripts: bound,
                },
                ty: Type::JSONB,
                position,
            });
        }
        let Some(element) = element_type(base.ty.oid) else {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot subscript type {} because it does not support subscripting",
                    self.type_name(base.ty)
                ),
            )
            .at(position));
        };
        if subscripts.len() > 6 {
            return Err(SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "number of array dimensions ({}) exceeds the maximum allowed (6)",
                    subscripts.len()
                ),
            ));
        }
        let mut bound = Vec::with_capacity(subscripts.len());
        let mut slice = false;
        for subscript in subscripts {
            bound.push(match subscript {
                sql::Subscript::Index { index } => Subscript::Index(self.bind_index(index)?),
                sql::Subscript::Slice {
                    lower_bound,
                    upper_bound,
                    ..
                } => {
                    slice = true;
                    let lower = lower_bound.as_ref().map(|bound| self.bind_index(bound)).transpose()?;
                    let upper = upper_bound.as_ref().map(|bound| self.bind_index(bound)).transpose()?;
                    Subscript::Slice(lower, upper)
                }
            });
        }
        let ty = if slice {
            base.ty
        } else {
            Type::with_modifier(element, base.ty.modifier)
        };
        Ok(Expr {
            kind: ExprKind::Subscript {
                base: Box::new(base),
                subscripts: bound,
            },
            ty,
            position,
        })
    }

    /// A subscript of jsonb is an integer or a text.
    pub(in crate::bind) fn jsonb_subscript(&mut self, index: Expr) -> SqlResult<Expr> {
        let (source, position) = (index.ty, index.position);
        if source.oid == oid::UNKNOWN {
            return self.unknown_to_text(index);
        }
        let to_int = can_coerce(source.oid, oid::INT4, CastContext::Implicit);
        let to_text = can_coerce(source.oid, oid::TEXT, CastContext::Implicit);
        match (to_int, to_text) {
            (true, false) => self.coerce_implicit(index, Type::INT4),
            (false, true) => self.coerce_implicit(index, Type::TEXT),
            (true, true) => Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("subscript type {} is not supported", self.type_name(source)),
            )
            .hint("jsonb subscript must be coercible to only one type, integer or text.")
            .at(position)),
            (false, false) => Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("subscript type {} is not supported", self.type_name(source)),
            )
            .hint("jsonb subscript must be coercible to either integer or text.")
            .at(position)),
        }
    }

    /// An array's subscript: an integer, by assignment.
    pub(in crate::bind) fn bind_index(&mut self, index: &sql::Expr) -> SqlResult<Expr> {
        let index = self.bind_expr(index)?;
        let position = index.position;
        match self.try_coerce(index, Type::INT4, CastContext::Assignment)? {
            Some(index) => Ok(index),
            None => {
                Err(SqlError::new(SqlState::DATATYPE_MISMATCH, "array subscript must have type integer").at(position))
            }
        }
    }
}

/// The element type subscripts give.
pub(in crate::bind) fn element_type(type_oid: u32) -> Option<u32> {
    match type_oid {
        oid::INT2VECTOR => Some(oid::INT2),
        oid::OIDVECTOR => Some(oid::OID),
        oid::NAME => Some(oid::CHAR),
        other => types::element_of(other),
    }
}
