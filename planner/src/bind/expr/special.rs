//! Functions with a grammar of their own: EXTRACT, POSITION, SUBSTRING, OVERLAY, TRIM, AT TIME ZONE, COLLATE, CURRENT_DATE.

use sqlparser::ast as sql;
use storage::Datum;

use crate::bind::Binder;
use crate::bind::coerce::literal;
use crate::bound::Expr;
use crate::functions::CastContext;
use crate::types::{self, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

/// Collations that order by bytes, as everything here does.
const COLLATIONS: [&str; 5] = ["C", "POSIX", "default", "ucs_basic", "C.UTF-8"];

impl Binder<'_> {
    /// A call of a function by name with plain arguments; it stands where its first argument does.
    pub(super) fn bind_plain_call(&mut self, name: &str, args: &[&sql::Expr]) -> SqlResult<Expr> {
        let mut bound = Vec::with_capacity(args.len());
        for arg in args {
            bound.push(self.bind_expr(arg)?);
        }
        let position = bound.first().and_then(|first| first.position);
        let position = self.find_before(position, name).or(position);
        self.call_function(name, bound, position)
    }

    pub(super) fn bind_extract(&mut self, field: &sql::DateTimeField, operand: &sql::Expr) -> SqlResult<Expr> {
        let field = match field {
            sql::DateTimeField::Custom(ident) => ident.value.trim_matches('\'').to_owned(),
            other => other.to_string().to_ascii_lowercase(),
        };
        let operand = self.bind_expr(operand)?;
        let position = self.find_before(operand.position, "extract");
        let field = literal(Datum::Text(field.into()), Type::TEXT);
        self.call_function("extract", vec![field, operand], position)
    }

    /// `POSITION(part IN whole)`
    pub(super) fn bind_position(&mut self, part: &sql::Expr, whole: &sql::Expr) -> SqlResult<Expr> {
        let part = self.bind_expr(part)?;
        let whole = self.bind_expr(whole)?;
        let position = self.find_before(part.position, "position");
        self.call_function("position", vec![whole, part], position)
    }

    pub(super) fn bind_substring(
        &mut self,
        operand: &sql::Expr,
        from: Option<&sql::Expr>,
        count: Option<&sql::Expr>,
    ) -> SqlResult<Expr> {
        let operand = self.bind_expr(operand)?;
        let position = self.find_before(operand.position, "substring");
        let mut args = vec![operand];
        match (from, count) {
            (Some(from), count) => {
                args.push(self.bind_expr(from)?);
                if let Some(count) = count {
                    args.push(self.bind_expr(count)?);
                }
            }
            // FOR alone counts from the first character.
            (None, Some(count)) => {
                args.push(literal(Datum::Int4(1), Type::INT4));
                let count = self.bind_expr(count)?;
                args.push(self.cast_to(count, Type::INT4, |_| None)?);
            }
            (None, None) => {}
        }
        self.call_function("substring", args, position)
    }

    pub(super) fn bind_overlay(
        &mut self,
        operand: &sql::Expr,
        what: &sql::Expr,
        from: &sql::Expr,
        count: Option<&sql::Expr>,
    ) -> SqlResult<Expr> {
        let mut args = vec![operand, what, from];
        args.extend(count);
        self.bind_plain_call("overlay", &args)
    }

    pub(super) fn bind_trim(
        &mut self,
        operand: &sql::Expr,
        side: Option<&sql::TrimWhereField>,
        what: Option<&sql::Expr>,
        characters: Option<&[sql::Expr]>,
    ) -> SqlResult<Expr> {
        let name = match side {
            Some(sql::TrimWhereField::Leading) => "ltrim",
            Some(sql::TrimWhereField::Trailing) => "rtrim",
            Some(sql::TrimWhereField::Both) | None => "btrim",
        };
        let mut args = vec![self.bind_expr(operand)?];
        if let Some(what) = what {
            args.push(self.bind_expr(what)?);
        }
        for character in characters.unwrap_or_default() {
            args.push(self.bind_expr(character)?);
        }
        let first = args.iter().filter_map(|arg| arg.position).min();
        let position = self.find_before(first, "trim");
        self.call_function(name, args, position)
    }

    /// `timestamp AT TIME ZONE zone`
    pub(super) fn bind_at_time_zone(&mut self, timestamp: &sql::Expr, zone: &sql::Expr) -> SqlResult<Expr> {
        let after = self.end(timestamp);
        let timestamp = self.bind_expr(timestamp)?;
        let zone = self.bind_expr(zone)?;
        let start = timestamp.position;
        let mut expr = match self.call_function("timezone", vec![zone, timestamp], None) {
            Ok(expr) => expr,
            Err(error) => return Err(error.at(self.find_after(after, &["at"]).or(start))),
        };
        expr.position = start;
        Ok(expr)
    }

    /// Everything orders by bytes, so the collations that say so change nothing; others do not exist here.
    pub(super) fn bind_collate(&mut self, operand: &sql::Expr, collation: &sql::ObjectName) -> SqlResult<Expr> {
        let operand = self.bind_expr(operand)?;
        let last = collation.0.last().and_then(|part| part.as_ident());
        let name = last.map(|ident| ident.value.as_str()).unwrap_or_default();
        if !COLLATIONS.contains(&name) {
            let position = last.and_then(|ident| self.at(ident.span));
            let position = self.find_before(position, "collate").or(position);
            return Err(SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("collation \"{name}\" for encoding \"UTF8\" does not exist"),
            )
            .at(position));
        }
        let operand = self.unknown_to_text(operand)?;
        if types::category(operand.ty.oid) != b'S' && types::category(operand.ty.oid) != b'A' {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("collations are not supported by type {}", self.type_name(operand.ty)),
            )
            .at(self.find_after(operand.position, &["collate"]).or(operand.position)));
        }
        Ok(operand)
    }

    /// CURRENT_DATE and its like are now() in another type.
    pub(super) fn bind_current_time(
        &mut self,
        name: &str,
        function: &sql::Function,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let precision = match &function.args {
            sql::FunctionArguments::None => -1,
            _ => match super::call::plain_args(function)?.as_slice() {
                [
                    sql::Expr::Value(sql::ValueWithSpan {
                        value: sql::Value::Number(digits, _),
                        ..
                    }),
                ] => digits.parse().unwrap_or(types::modifier::SECONDS_PRECISION_MAX),
                _ => return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \")\"").at(position)),
            },
        };
        let precision: i32 = precision.min(types::modifier::SECONDS_PRECISION_MAX);
        let target = match name {
            "current_date" => oid::DATE,
            "current_time" => oid::TIMETZ,
            "current_timestamp" => oid::TIMESTAMPTZ,
            "localtime" => oid::TIME,
            _ => oid::TIMESTAMP,
        };
        let now = self.call_function("now", vec![], position)?;
        let target = Type::with_modifier(target, precision);
        let converted = self.coerce_type(now, target, CastContext::Explicit)?;
        Ok(self.apply_modifier(converted, target, true))
    }

    pub(super) fn bind_is_normalized(
        &mut self,
        operand: &sql::Expr,
        form: Option<&sql::NormalizationForm>,
        negated: bool,
    ) -> SqlResult<Expr> {
        let operand = self.bind_expr(operand)?;
        let position = operand.position;
        let form = form.map_or_else(|| "NFC".to_owned(), ToString::to_string);
        let call = self.call_function(
            "is_normalized",
            vec![operand, literal(Datum::Text(form.into()), Type::TEXT)],
            position,
        )?;
        Ok(negate(call, negated))
    }

    /// `x IS JSON …` is a call of `is_json(x, kind, unique)`.
    pub(super) fn bind_is_json(
        &mut self,
        operand: &sql::Expr,
        kind: Option<&sql::JsonPredicateType>,
        unique: Option<&sql::JsonKeyUniqueness>,
        negated: bool,
    ) -> SqlResult<Expr> {
        let operand = self.bind_expr(operand)?;
        let operand = self.unknown_to_text(operand)?;
        let position = operand.position;
        let kind = kind.map_or_else(|| "value".to_owned(), |kind| kind.to_string().to_ascii_lowercase());
        let unique = unique.is_some_and(|unique| unique.to_string().starts_with("WITH UNIQUE"));
        let args = vec![
            operand,
            literal(Datum::Text(kind.into()), Type::TEXT),
            literal(Datum::Bool(unique), Type::BOOL),
        ];
        let call = self.call_function("is_json", args, position)?;
        Ok(negate(call, negated))
    }

    /// `(a, b) OVERLAPS (c, d)`
    pub(super) fn bind_overlaps(&mut self, left: &sql::Expr, right: &sql::Expr) -> SqlResult<Expr> {
        let position = self.start(left);
        let (Some(lefts), Some(rights)) = (super::row_items(left), super::row_items(right)) else {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"OVERLAPS\"").at(position));
        };
        for (items, side) in [(&lefts, "left"), (&rights, "right")] {
            if items.len() != 2 {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("wrong number of parameters on {side} side of OVERLAPS expression"),
                )
                .at(position));
            }
        }
        let mut args = self.bind_row_items(&lefts)?;
        args.extend(self.bind_row_items(&rights)?);
        self.call_function("overlaps", args, position)
    }
}

fn negate(expr: Expr, negated: bool) -> Expr {
    if !negated {
        return expr;
    }
    let position = expr.position;
    Expr {
        kind: crate::bound::ExprKind::Not(Box::new(expr)),
        ty: Type::BOOL,
        position,
    }
}
