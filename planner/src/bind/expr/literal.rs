//! Literals, parameters and casts.

use sqlparser::ast as sql;
use sqlparser::ast::Spanned;
use storage::Datum;

use crate::bound::{Expr, ExprKind};
use crate::functions::CastContext;
use crate::types::{self, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

use crate::bind::Binder;
use crate::bind::typename;

impl Binder<'_> {
    pub(super) fn bind_value(&mut self, value: &sql::ValueWithSpan) -> SqlResult<Expr> {
        let position = self.at(value.span);
        let (datum, ty) = match &value.value {
            sql::Value::Number(text, _) => return self.bind_number(text, position),
            sql::Value::SingleQuotedString(text) => (Datum::Text(text.as_str().into()), Type::UNKNOWN),
            sql::Value::DollarQuotedString(text) => (Datum::Text(text.value.as_str().into()), Type::UNKNOWN),
            sql::Value::Boolean(value) => (Datum::Bool(*value), Type::BOOL),
            sql::Value::Null => (Datum::Null, Type::UNKNOWN),
            sql::Value::Placeholder(name) => return self.bind_parameter(name, position),
            sql::Value::SingleQuotedByteStringLiteral(_) | sql::Value::HexStringLiteral(_) => {
                return Err(SqlError::unsupported("a bit string literal").at(position));
            }
            other => return Err(SqlError::unsupported(format_args!("the literal {other}")).at(position)),
        };
        Ok(Expr {
            kind: ExprKind::Literal(datum),
            ty,
            position,
        })
    }

    /// A number is an integer, a bigint, or a numeric, whichever it fits first.
    pub(super) fn bind_number(&mut self, text: &str, position: Option<u32>) -> SqlResult<Expr> {
        let (datum, ty) = if let Ok(value) = text.parse::<i32>() {
            (Datum::Int4(value), Type::INT4)
        } else if let Ok(value) = text.parse::<i64>() {
            (Datum::Int8(value), Type::INT8)
        } else {
            let datum = types::input(Type::NUMERIC, text, self.session).map_err(|error| error.at(position))?;
            (datum, Type::NUMERIC)
        };
        Ok(Expr {
            kind: ExprKind::Literal(datum),
            ty,
            position,
        })
    }

    fn bind_parameter(&mut self, name: &str, position: Option<u32>) -> SqlResult<Expr> {
        let number = name
            .strip_prefix('$')
            .and_then(|digits| digits.parse::<usize>().ok())
            .unwrap_or(0);
        if number == 0 || number > usize::from(u16::MAX) {
            return Err(
                SqlError::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}")).at(position),
            );
        }
        let ty = self.parameter(number - 1).unwrap_or(Type::UNKNOWN);
        Ok(Expr {
            kind: ExprKind::Parameter(number - 1),
            ty,
            position,
        })
    }

    /// `date '2020-01-01'`
    pub(super) fn bind_typed_string(&mut self, typed: &sql::TypedString) -> SqlResult<Expr> {
        let ty = self.type_of(&typed.data_type)?;
        let domain = self.domain_of(&typed.data_type);
        let value = self.bind_value(&typed.value)?;
        let value = self.cast_to(value, ty, |_| None)?;
        Ok(crate::domain::checked(value, domain))
    }

    /// `interval '1' day`
    pub(super) fn bind_interval(&mut self, interval: &sql::Interval) -> SqlResult<Expr> {
        let mut fields = String::new();
        if let Some(field) = &interval.leading_field {
            fields = field.to_string();
        }
        if let Some(field) = &interval.last_field {
            fields = format!("{fields} TO {field}");
        }
        let precision = interval.fractional_seconds_precision.or(interval.leading_precision);
        let ty = typename::interval(&fields, precision.map(|p| i32::try_from(p).unwrap_or(i32::MAX)))?;
        let value = self.bind_expr(&interval.value)?;
        self.cast_to(value, ty, |_| None)
    }

    /// `x::type`, `CAST (x AS type)`
    pub(super) fn bind_cast(&mut self, operand: &sql::Expr, data_type: &sql::DataType) -> SqlResult<Expr> {
        let ty = self.type_of(data_type)?;
        let domain = self.domain_of(data_type);
        // The constructor's elements are converted one by one, so that an empty one has a type.
        if let Some(array) = as_array(operand)
            && types::element_of(ty.oid).is_some()
        {
            let bound = self.bind_array(array, Some(ty))?;
            let bound = self.apply_modifier(bound, ty, true);
            return Ok(crate::domain::checked(bound, domain));
        }
        let bound = self.bind_expr(operand)?;
        let start = self.at(operand.span());
        let cast = self.cast_to(bound, ty, |binder| {
            binder
                .find_after(start, &["::"])
                .or_else(|| binder.find_before(start, "cast"))
        })?;
        Ok(crate::domain::checked(cast, domain))
    }

    /// Casts explicitly; `place` finds what an error points at.
    pub(in crate::bind) fn cast_to(
        &mut self,
        expr: Expr,
        ty: Type,
        place: impl FnOnce(&Self) -> Option<u32>,
    ) -> SqlResult<Expr> {
        let source = expr.ty;
        if source.oid == oid::UNKNOWN && matches!(ty.oid, oid::UNKNOWN) {
            return Ok(expr);
        }
        let position = expr.position;
        match self.try_coerce(expr, ty, CastContext::Explicit)? {
            Some(expr) => Ok(expr),
            None => Err(self.cannot_cast(source, ty, place(self).or(position))),
        }
    }
}

/// The array constructor behind parentheses.
fn as_array(expr: &sql::Expr) -> Option<&sql::Array> {
    match expr {
        sql::Expr::Array(array) => Some(array),
        sql::Expr::Nested(inner) => as_array(inner),
        _ => None,
    }
}
