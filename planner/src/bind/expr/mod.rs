//! Expressions: one function per form of sqlparser's tree.

mod aggregate;
mod array;
mod call;
mod case;
mod comparison;
mod field;
mod function;
mod literal;
mod operator;
mod row;
mod special;
mod subquery;

pub(super) use call::CallName;
pub(super) use field::take_field;
pub(super) use function::FunctionChoice;
pub use function::VARIADIC_MARK;
pub(super) use row::{RowItem, ends_in_star, row_items};
pub(super) use subquery::column as expr_column;

use sqlparser::ast as sql;
use sqlparser::ast::Spanned;

use crate::bound::{Expr, ExprKind};
use crate::{SqlError, SqlResult, SqlState, Type};

use super::Binder;
use super::binder::grow;
use super::context::Context;

impl Binder<'_> {
    /// Binds an expression in a clause.
    pub(super) fn bind_in(&mut self, context: Context, expr: &sql::Expr) -> SqlResult<Expr> {
        let before = std::mem::replace(&mut self.scope().context, context);
        let result = self.bind_expr(expr);
        self.scope().context = before;
        result
    }

    /// Binds a condition: `WHERE` and the like.
    pub(super) fn bind_condition(&mut self, context: Context, expr: &sql::Expr, what: &str) -> SqlResult<Expr> {
        let bound = self.bind_in(context, expr)?;
        self.coerce_to_boolean(bound, what)
    }

    /// Binds an expression; literals may stay of unknown type.
    pub(super) fn bind_expr(&mut self, expr: &sql::Expr) -> SqlResult<Expr> {
        grow(|| self.bind_form(expr))
    }

    fn bind_form(&mut self, expr: &sql::Expr) -> SqlResult<Expr> {
        use sql::Expr as E;
        match expr {
            E::Identifier(ident) if is_default(ident) => Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "DEFAULT is not allowed in this context",
            )
            .at(self.at(ident.span))),
            E::Identifier(ident) => self.bind_name(std::slice::from_ref(ident)),
            E::CompoundIdentifier(parts) => self.bind_name(parts),
            E::Nested(inner) => self.bind_expr(inner),
            E::Value(value) => self.bind_value(value),
            E::TypedString(typed) => self.bind_typed_string(typed),
            E::Interval(interval) => self.bind_interval(interval),
            E::BinaryOp { left, op, right } => self.bind_binary(expr, left, op, right),
            E::UnaryOp { op, expr: operand } => self.bind_unary(op, operand),
            E::IsNull(operand) => self.bind_null_test(operand, false),
            E::IsNotNull(operand) => self.bind_null_test(operand, true),
            E::IsTrue(operand) => self.bind_truth_test(operand, Some(true), false),
            E::IsNotTrue(operand) => self.bind_truth_test(operand, Some(true), true),
            E::IsFalse(operand) => self.bind_truth_test(operand, Some(false), false),
            E::IsNotFalse(operand) => self.bind_truth_test(operand, Some(false), true),
            E::IsUnknown(operand) => self.bind_truth_test(operand, None, false),
            E::IsNotUnknown(operand) => self.bind_truth_test(operand, None, true),
            E::IsDistinctFrom(left, right) => self.bind_distinct(left, right, false),
            E::IsNotDistinctFrom(left, right) => self.bind_distinct(left, right, true),
            // IN ((SELECT …)) is IN (SELECT …).
            E::InList { expr, list, negated } if list.len() == 1 && as_subquery(&list[0]).is_some() => {
                match as_subquery(&list[0]) {
                    Some(query) => self.bind_in_subquery(expr, query, *negated),
                    None => self.bind_in_list(expr, list, *negated),
                }
            }
            E::InList { expr, list, negated } => self.bind_in_list(expr, list, *negated),
            E::InSubquery {
                expr,
                subquery,
                negated,
            } => self.bind_in_subquery(expr, subquery, *negated),
            E::Between {
                expr,
                negated,
                low,
                high,
            } => self.bind_between(expr, low, high, *negated),
            E::Like {
                negated,
                expr,
                pattern,
                escape_char,
                ..
            } => self.bind_like(
                if *negated { "!~~" } else { "~~" },
                expr,
                pattern,
                escape_char.as_deref(),
            ),
            E::ILike {
                negated,
                expr,
                pattern,
                escape_char,
                ..
            } => self.bind_like(
                if *negated { "!~~*" } else { "~~*" },
                expr,
                pattern,
                escape_char.as_deref(),
            ),
            E::SimilarTo {
                negated,
                expr,
                pattern,
                escape_char,
            } => self.bind_similar(expr, pattern, escape_char.as_deref(), *negated),
            E::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => self.bind_quantified(left, compare_op, right, false),
            E::AllOp {
                left,
                compare_op,
                right,
            } => self.bind_quantified(left, compare_op, right, true),
            E::Cast {
                expr: operand,
                data_type,
                ..
            } => self.bind_cast(operand, data_type),
            E::Case {
                operand,
                conditions,
                else_result,
                case_token,
                ..
            } => {
                let position = self.at(case_token.0.span);
                self.bind_case(operand.as_deref(), conditions, else_result.as_deref(), position)
            }
            E::Function(function) => self.bind_function(function),
            E::Exists { subquery, negated } => self.bind_exists(subquery, *negated),
            E::Subquery(query) => self.bind_scalar_subquery(query),
            E::Tuple(items) => self.bind_row(items, self.at(expr.span())),
            E::Array(array) => self.bind_array(array, None),
            E::CompoundFieldAccess { root, access_chain } => self.bind_access(root, access_chain),
            E::Collate {
                expr: operand,
                collation,
            } => self.bind_collate(operand, collation),
            E::AtTimeZone { timestamp, time_zone } => self.bind_at_time_zone(timestamp, time_zone),
            E::Extract {
                field, expr: operand, ..
            } => self.bind_extract(field, operand),
            E::Position {
                expr: part,
                r#in: whole,
            } => self.bind_position(part, whole),
            E::Substring {
                expr: operand,
                substring_from,
                substring_for,
                ..
            } => self.bind_substring(operand, substring_from.as_deref(), substring_for.as_deref()),
            E::Overlay {
                expr: operand,
                overlay_what,
                overlay_from,
                overlay_for,
            } => self.bind_overlay(operand, overlay_what, overlay_from, overlay_for.as_deref()),
            E::Trim {
                expr: operand,
                trim_where,
                trim_what,
                trim_characters,
            } => self.bind_trim(
                operand,
                trim_where.as_ref(),
                trim_what.as_deref(),
                trim_characters.as_deref(),
            ),
            E::Ceil { expr: operand, .. } => self.bind_plain_call("ceil", &[operand]),
            E::Floor { expr: operand, .. } => self.bind_plain_call("floor", &[operand]),
            E::IsNormalized {
                expr: operand,
                form,
                negated,
            } => self.bind_is_normalized(operand, form.as_ref(), *negated),
            E::IsJson {
                expr: operand,
                kind,
                unique_keys,
                negated,
            } => self.bind_is_json(operand, kind.as_ref(), unique_keys.as_ref(), *negated),
            E::Wildcard(token) => {
                Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"*\"").at(self.at(token.0.span)))
            }
            E::QualifiedWildcard(name, _) => {
                let parts: Vec<sql::Ident> = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
                self.bind_row_of(&parts)
            }
            E::GroupingSets(_) | E::Cube(_) | E::Rollup(_) => Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "grouping sets are allowed in GROUP BY only",
            )
            .at(self.at(expr.span()))),
            other => Err(SqlError::unsupported(format_args!("this expression ({other})")).at(self.at(other.span()))),
        }
    }

    /// `t.*` as one value.
    pub(super) fn bind_row_of(&mut self, parts: &[sql::Ident]) -> SqlResult<Expr> {
        let position = parts.first().and_then(|part| self.at(part.span));
        let (schema, name) = match parts {
            [name] => (None, name),
            [.., schema, name] => (Some(schema.value.as_str()), name),
            [] => return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"*\"")),
        };
        match self.find_relation(schema, &name.value, position)? {
            Some(found) => self.whole_row(found, position),
            None => Err(self.missing_relation(schema, &name.value, position)),
        }
    }

    fn bind_null_test(&mut self, operand: &sql::Expr, negated: bool) -> SqlResult<Expr> {
        let operand = self.bind_expr(operand)?;
        let operand = Box::new(self.unknown_to_text(operand)?);
        let position = operand.position;
        let kind = if negated {
            ExprKind::IsNotNull(operand)
        } else {
            ExprKind::IsNull(operand)
        };
        Ok(Expr {
            kind,
            ty: Type::BOOL,
            position,
        })
    }

    fn bind_truth_test(&mut self, operand: &sql::Expr, value: Option<bool>, negated: bool) -> SqlResult<Expr> {
        let operand = self.bind_expr(operand)?;
        let what = match (negated, value) {
            (false, Some(true)) => "IS TRUE",
            (true, Some(true)) => "IS NOT TRUE",
            (false, Some(false)) => "IS FALSE",
            (true, Some(false)) => "IS NOT FALSE",
            (false, None) => "IS UNKNOWN",
            (true, None) => "IS NOT UNKNOWN",
        };
        let operand = Box::new(self.coerce_to_boolean(operand, what)?);
        let position = operand.position;
        Ok(Expr {
            kind: ExprKind::IsTruth {
                operand,
                value,
                negated,
            },
            ty: Type::BOOL,
            position,
        })
    }

    /// Position of the leftmost token of an expression of sqlparser's.
    pub(super) fn start(&self, expr: &sql::Expr) -> Option<u32> {
        self.at(expr.span())
    }
}

/// The keyword DEFAULT where a value may stand.
pub(super) fn is_default(ident: &sql::Ident) -> bool {
    ident.quote_style.is_none() && ident.value == "default"
}

/// The query behind parentheses.
fn as_subquery(expr: &sql::Expr) -> Option<&sql::Query> {
    match expr {
        sql::Expr::Subquery(query) => Some(query),
        sql::Expr::Nested(inner) => as_subquery(inner),
        _ => None,
    }
}
