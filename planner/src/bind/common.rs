//! Common types: the one type that the branches of CASE, the arms of UNION, the items of IN and the like come to.

use crate::bound::Expr;
use crate::functions::CastContext;
use crate::types::{self, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;
use super::coerce::can_coerce;

impl Binder<'_> {
    /// The common type of some types; `what` is the construct (`CASE`, `UNION`), positions are the expressions'.
    pub(super) fn common_type(&self, inputs: &[(Type, Option<u32>)], what: &str) -> SqlResult<Type> {
        match self.find_common_type(inputs) {
            Ok(ty) => Ok(ty),
            Err((first, second, position)) => {
                let (first, second) = (self.type_name(first), self.type_name(second));
                Err(SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("{what} types {first} and {second} cannot be matched"),
                )
                .at(position))
            }
        }
    }

    /// As [`Self::common_type`]; the types that do not match if there is none.
    pub(super) fn find_common_type(&self, inputs: &[(Type, Option<u32>)]) -> Result<Type, (Type, Type, Option<u32>)> {
        let mut known = inputs.iter().filter(|(ty, _)| ty.oid != oid::UNKNOWN);
        let Some(&(mut best, _)) = known.next() else {
            return Ok(Type::TEXT);
        };
        for &(ty, position) in known {
            if ty.oid == best.oid {
                if ty.modifier != best.modifier {
                    best.modifier = -1;
                }
                continue;
            }
            if types::category(ty.oid) != types::category(best.oid) {
                return Err((Type::new(best.oid), Type::new(ty.oid), position));
            }
            if !types::is_preferred(best.oid)
                && can_coerce(best.oid, ty.oid, CastContext::Implicit)
                && !can_coerce(ty.oid, best.oid, CastContext::Implicit)
            {
                best = Type::new(ty.oid);
            } else {
                best.modifier = -1;
            }
        }
        if inputs.iter().any(|(ty, _)| ty.oid != best.oid) && best.oid != oid::RECORD {
            best.modifier = -1;
        }
        Ok(best)
    }

    /// Converts expressions to their common type.
    pub(super) fn unify(&mut self, exprs: Vec<Expr>, what: &str) -> SqlResult<(Vec<Expr>, Type)> {
        let inputs: Vec<(Type, Option<u32>)> = exprs.iter().map(|expr| (expr.ty, expr.position)).collect();
        let ty = self.common_type(&inputs, what)?;
        let exprs = exprs
            .into_iter()
            .map(|expr| self.coerce_common(expr, ty, what))
            .collect::<SqlResult<_>>()?;
        Ok((exprs, ty))
    }

    /// Converts an expression to a common type.
    pub(super) fn coerce_common(&mut self, expr: Expr, ty: Type, what: &str) -> SqlResult<Expr> {
        let (source, position) = (expr.ty, expr.position);
        if can_coerce(source.oid, ty.oid, CastContext::Implicit) {
            return self.coerce_type(expr, Type::new(ty.oid), CastContext::Implicit);
        }
        let (source, target) = (self.type_name(source), self.type_name(ty));
        Err(SqlError::new(
            SqlState::CANNOT_COERCE,
            format!("{what} could not convert type {source} to {target}"),
        )
        .at(position))
    }
}
