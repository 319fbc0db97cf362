//! CASE, COALESCE, NULLIF, GREATEST and LEAST.

use sqlparser::ast as sql;
use storage::Datum;

use crate::bind::Binder;
use crate::bind::coerce::literal;
use crate::bound::{Expr, ExprKind};
use crate::types::oid;
use crate::{SqlResult, Type};

impl Binder<'_> {
    pub(super) fn bind_case(
        &mut self,
        operand: Option<&sql::Expr>,
        conditions: &[sql::CaseWhen],
        otherwise: Option<&sql::Expr>,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let before = self.scope().no_sets.replace("CASE");
        let result = self.bind_case_parts(operand, conditions, otherwise, position);
        self.scope().no_sets = before;
        result
    }

    fn bind_case_parts(
        &mut self,
        operand: Option<&sql::Expr>,
        whens: &[sql::CaseWhen],
        otherwise: Option<&sql::Expr>,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let mut conditions = Vec::with_capacity(whens.len());
        let mut results = Vec::with_capacity(whens.len() + 1);
        for when in whens {
            let condition = match operand {
                None => {
                    let condition = self.bind_expr(&when.condition)?;
                    self.coerce_to_boolean(condition, "CASE/WHEN")?
                }
                Some(operand) => {
                    let value = self.bind_expr(operand)?;
                    let value = self.unknown_to_text(value)?;
                    let condition = self.bind_expr(&when.condition)?;
                    let start = condition.position;
                    let equal =
                        self.binary_operator("=", value, condition, |binder| binder.find_before(start, "when"))?;
                    self.coerce_to_boolean(equal, "CASE/WHEN")?
                }
            };
            conditions.push(condition);
            results.push(self.bind_expr(&when.result)?);
        }
        // PostgreSQL looks at ELSE first when it chooses the type.
        let otherwise = match otherwise {
            Some(otherwise) => self.bind_expr(otherwise)?,
            None => literal(Datum::Null, Type::UNKNOWN),
        };
        let mut all = vec![otherwise];
        all.extend(results);
        let (mut all, mut ty) = self.unify(all, "CASE")?;
        let mut results = all.split_off(1);
        if ty.oid == oid::RECORD {
            ty = results.first().map_or(ty, |first| first.ty);
        }
        let otherwise = all.pop().map(Box::new);
        let branches = conditions.into_iter().zip(results.drain(..)).collect();
        Ok(Expr {
            kind: ExprKind::Case { branches, otherwise },
            ty,
            position,
        })
    }

    /// COALESCE, GREATEST and LEAST.
    pub(super) fn bind_list_form(&mut self, name: &str, args: &[&sql::Expr], position: Option<u32>) -> SqlResult<Expr> {
        let what = match name {
            "coalesce" => "COALESCE",
            "greatest" => "GREATEST",
            _ => "LEAST",
        };
        let before = (name == "coalesce").then(|| self.scope().no_sets.replace("COALESCE"));
        let bound = args
            .iter()
            .map(|arg| self.bind_expr(arg))
            .collect::<SqlResult<Vec<Expr>>>();
        if let Some(before) = before {
            self.scope().no_sets = before;
        }
        let (args, ty) = self.unify(bound?, what)?;
        let kind = if name == "coalesce" {
            ExprKind::Coalesce(args)
        } else {
            // The order must exist.
            if crate::functions::less(ty.oid).is_none() {
                return Err(crate::SqlError::new(
                    crate::SqlState::UNDEFINED_FUNCTION,
                    format!(
                        "could not identify a comparison function for type {}",
                        self.type_name(ty)
                    ),
                )
                .at(position));
            }
            ExprKind::Extreme {
                greatest: name == "greatest",
                args,
            }
        };
        Ok(Expr { kind, ty, position })
    }

    pub(super) fn bind_null_if(
        &mut self,
        left: &sql::Expr,
        right: &sql::Expr,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let left = self.bind_expr(left)?;
        let right = self.bind_expr(right)?;
        let (equal, left, right) = self.equality(left, right, |_| position)?;
        let ty = left.ty;
        Ok(Expr {
            kind: ExprKind::NullIf {
                equal,
                left: Box::new(left),
                right: Box::new(right),
            },
            ty,
            position,
        })
    }
}
