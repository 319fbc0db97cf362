//! Operators: AND and OR in lists, everything else resolved over the operator table.

use sqlparser::ast as sql;
use sqlparser::ast::{BinaryOperator, UnaryOperator};

use crate::bind::Binder;
use crate::bind::candidate::{self, Candidate, NoChoice};
use crate::bind::coerce;
use crate::bound::{Expr, ExprKind};
use crate::functions::{self, Function, Operator};
use crate::parse::forms;
use crate::types::{self, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

/// An operator chosen for operand types, with the types it is called with.
pub(in crate::bind) struct OperatorChoice {
    pub function: &'static Function,
    pub args: Vec<u32>,
    pub result: u32,
}

impl Binder<'_> {
    pub(super) fn bind_binary(
        &mut self,
        whole: &sql::Expr,
        left: &sql::Expr,
        op: &BinaryOperator,
        right: &sql::Expr,
    ) -> SqlResult<Expr> {
        match op {
            BinaryOperator::And | BinaryOperator::Or => self.bind_logical(whole, op),
            BinaryOperator::Overlaps => self.bind_overlaps(left, right),
            _ => {
                let name = operator_name(op)?;
                self.bind_comparison_or_operator(left, &name, right)
            }
        }
    }

    /// A chain of AND or OR becomes one list; the left spine is walked, not recursed into.
    fn bind_logical(&mut self, whole: &sql::Expr, op: &BinaryOperator) -> SqlResult<Expr> {
        let and = *op == BinaryOperator::And;
        let mut operands = Vec::new();
        let mut rest = whole;
        while let sql::Expr::BinaryOp { left, op: same, right } = rest
            && same == op
        {
            operands.push(&**right);
            rest = left;
        }
        operands.push(rest);
        let what = if and { "AND" } else { "OR" };
        let mut bound = Vec::with_capacity(operands.len());
        for operand in operands.into_iter().rev() {
            let expr = self.bind_expr(operand)?;
            let expr = self.coerce_to_boolean(expr, what)?;
            // Parentheses around a part of the chain change nothing.
            match expr.kind {
                ExprKind::And(parts) if and => bound.extend(parts),
                ExprKind::Or(parts) if !and => bound.extend(parts),
                kind => bound.push(Expr { kind, ..expr }),
            }
        }
        let position = bound.first().and_then(|first| first.position);
        let kind = if and { ExprKind::And(bound) } else { ExprKind::Or(bound) };
        Ok(Expr {
            kind,
            ty: Type::BOOL,
            position,
        })
    }

    pub(super) fn bind_unary(&mut self, op: &UnaryOperator, operand: &sql::Expr) -> SqlResult<Expr> {
        let name = match op {
            UnaryOperator::Not => {
                let bound = self.bind_expr(operand)?;
                let bound = self.coerce_to_boolean(bound, "NOT")?;
                let position = self.find_before(bound.position, "not").or(bound.position);
                return Ok(Expr {
                    kind: ExprKind::Not(Box::new(bound)),
                    ty: Type::BOOL,
                    position,
                });
            }
            UnaryOperator::Minus => {
                // The sign belongs to the number: -2147483648 is an integer.
                if let Some((text, span)) = number_text(operand) {
                    let position = self.at(span).map(|at| self.find_before(Some(at), "-").unwrap_or(at));
                    return self.bind_number(&format!("-{text}"), position);
                }
                "-"
            }
            UnaryOperator::Plus => "+",
            UnaryOperator::BitwiseNot => "~",
            UnaryOperator::PGAbs => "@",
            UnaryOperator::PGSquareRoot => "|/",
            UnaryOperator::PGCubeRoot => "||/",
            UnaryOperator::Hash => "#",
            UnaryOperator::DoubleAt => "@@",
            other => return Err(SqlError::unsupported(format_args!("operator {other}"))),
        };
        self.bind_prefix(name, operand)
    }

    /// A prefix operator by name.
    pub(super) fn bind_prefix(&mut self, name: &str, operand: &sql::Expr) -> SqlResult<Expr> {
        let bound = self.bind_expr(operand)?;
        let start = bound.position;
        self.prefix_operator(name, bound, |binder| binder.find_before(start, name))
    }

    /// `left name right` with rows and subqueries told apart.
    fn bind_comparison_or_operator(&mut self, left: &sql::Expr, name: &str, right: &sql::Expr) -> SqlResult<Expr> {
        if let Some(expr) = self.bind_row_comparison(left, name, right)? {
            return Ok(expr);
        }
        let bound_left = self.bind_expr(left)?;
        let bound_right = self.bind_expr(right)?;
        let after = self.end(left);
        let spellings = spellings(name);
        self.binary_operator(name, bound_left, bound_right, |binder| {
            binder.find_after(after, &spellings)
        })
    }

    /// Position of the last token of an expression that sqlparser knows the place of.
    pub(in crate::bind) fn end(&self, expr: &sql::Expr) -> Option<u32> {
        use sql::Spanned;
        let span = expr.span();
        let last = sqlparser::tokenizer::Span::new(
            sqlparser::tokenizer::Location {
                line: span.end.line,
                column: span.end.column.saturating_sub(1).max(1),
            },
            span.end,
        );
        self.at(last).or_else(|| self.at(span))
    }

    /// Applies a binary operator to bound operands; `place` finds the operator for errors.
    pub(in crate::bind) fn binary_operator(
        &mut self,
        name: &str,
        left: Expr,
        right: Expr,
        place: impl FnOnce(&Self) -> Option<u32>,
    ) -> SqlResult<Expr> {
        let position = left.position;
        let choice = match self.choose_operator(name, left.ty.oid, right.ty.oid) {
            Ok(choice) => choice,
            Err(error) => return Err(error.at(place(self).or(position))),
        };
        let left = self.coerce_implicit(left, Type::new(choice.args[0]))?;
        let right = self.coerce_implicit(right, Type::new(choice.args[1]))?;
        Ok(Expr {
            kind: ExprKind::Call {
                function: choice.function,
                args: vec![left, right],
            },
            ty: Type::new(choice.result),
            position,
        })
    }

    fn prefix_operator(
        &mut self,
        name: &str,
        operand: Expr,
        place: impl FnOnce(&Self) -> Option<u32>,
    ) -> SqlResult<Expr> {
        let input = operand.ty.oid;
        let candidates: Vec<Candidate<&'static Operator>> = functions::prefix_operators(name)
            .map(|operator| Candidate {
                target: operator,
                args: vec![operator.right],
            })
            .collect();
        let exact = candidates.iter().find(|candidate| candidate.args[0] == input).cloned();
        let chosen = exact.map_or_else(|| candidate::choose(&[input], &candidates), Ok);
        let place = place(self);
        let position = place.or(operand.position);
        let candidate = chosen.map_err(|no| {
            let shown = format!("{name} {}", self.type_name(operand.ty));
            match no {
                NoChoice::Missing => {
                    SqlError::new(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {shown}")).hint(
                        "No operator matches the given name and argument type. You might need to add an explicit type cast.",
                    )
                }
                NoChoice::Ambiguous => {
                    SqlError::new(SqlState::AMBIGUOUS_FUNCTION, format!("operator is not unique: {shown}")).hint(
                        "Could not choose a best candidate operator. You might need to add explicit type casts.",
                    )
                }
            }
            .at(position)
        })?;
        let function = implementation(candidate.target)?;
        let operand = self.coerce_implicit(operand, Type::new(candidate.args[0]))?;
        Ok(Expr {
            kind: ExprKind::Call {
                function,
                args: vec![operand],
            },
            ty: Type::new(candidate.target.result),
            position,
        })
    }

    /// The operator a name means for operand types (`oper` in parse_oper.c).
    pub(in crate::bind) fn choose_operator(&self, name: &str, left: u32, right: u32) -> SqlResult<OperatorChoice> {
        let operators = functions::operators(name);
        let binary = operators.iter().copied().filter(|operator| operator.left != 0);
        // One unknown side is first taken to be of the other side's type.
        let (exact_left, exact_right) = match (left, right) {
            (oid::UNKNOWN, known) => (known, known),
            (known, oid::UNKNOWN) => (known, known),
            both => both,
        };
        let exact = (exact_left != oid::UNKNOWN)
            .then(|| {
                binary
                    .clone()
                    .find(|operator| operator.left == exact_left && operator.right == exact_right)
            })
            .flatten();
        let chosen = match exact {
            Some(operator) => Ok(Candidate {
                target: operator,
                args: vec![operator.left, operator.right],
            }),
            None => {
                let candidates: Vec<Candidate<&'static Operator>> = binary
                    .map(|operator| Candidate {
                        target: operator,
                        args: vec![operator.left, operator.right],
                    })
                    .collect();
                candidate::choose(&[left, right], &candidates)
            }
        };
        let candidate = chosen.map_err(|no| self.no_operator(name, left, right, no))?;
        let actual = [Type::new(left), Type::new(right)];
        let operator = candidate.target;
        let (args, result) = self.resolve_polymorphic(&actual, &candidate.args, operator.result)?;
        Ok(OperatorChoice {
            function: implementation(operator)?,
            args,
            result,
        })
    }

    fn no_operator(&self, name: &str, left: u32, right: u32, no: NoChoice) -> SqlError {
        let shown = format!(
            "{} {name} {}",
            self.type_name(Type::new(left)),
            self.type_name(Type::new(right))
        );
        match no {
            NoChoice::Missing => SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("operator does not exist: {shown}"),
            )
            .hint("No operator matches the given name and argument types. You might need to add explicit type casts."),
            NoChoice::Ambiguous => {
                SqlError::new(SqlState::AMBIGUOUS_FUNCTION, format!("operator is not unique: {shown}"))
                    .hint("Could not choose a best candidate operator. You might need to add explicit type casts.")
            }
        }
    }

    /// Equality of two operands of types that have it, as IS DISTINCT FROM, NULLIF and CASE need it: the function and the
    /// operands converted to its types.
    pub(in crate::bind) fn equality(
        &mut self,
        left: Expr,
        right: Expr,
        place: impl FnOnce(&Self) -> Option<u32>,
    ) -> SqlResult<(&'static Function, Expr, Expr)> {
        let position = left.position;
        let choice = match self.choose_operator("=", left.ty.oid, right.ty.oid) {
            Ok(choice) => choice,
            Err(error) => return Err(error.at(place(self).or(position))),
        };
        let left = self.coerce_implicit(left, Type::new(choice.args[0]))?;
        let right = self.coerce_implicit(right, Type::new(choice.args[1]))?;
        Ok((choice.function, left, right))
    }

    /// `left op ANY (array)`
    pub(in crate::bind) fn array_operator(
        &mut self,
        name: &str,
        all: bool,
        left: Expr,
        array: Expr,
        place: impl Fn(&Self) -> Option<u32>,
    ) -> SqlResult<Expr> {
        let position = left.position;
        let element = match array.ty.oid {
            oid::UNKNOWN => oid::UNKNOWN,
            oid::INT2VECTOR => oid::INT2,
            oid::OIDVECTOR => oid::OID,
            other => types::element_of(other).ok_or_else(|| {
                SqlError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    "op ANY/ALL (array) requires array on right side",
                )
                .at(place(self).or(position))
            })?,
        };
        let choice = match self.choose_operator(name, left.ty.oid, element) {
            Ok(choice) => choice,
            Err(error) => return Err(error.at(place(self).or(position))),
        };
        if choice.result != oid::BOOL {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                "op ANY/ALL (array) requires operator to yield boolean",
            )
            .at(place(self).or(position)));
        }
        let left = self.coerce_implicit(left, Type::new(choice.args[0]))?;
        let wanted = match types::array_of(choice.args[1]) {
            Some(wanted) => wanted,
            None if coerce::is_row(choice.args[1]) => oid::RECORD_ARRAY,
            None => {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!(
                        "could not find array type for data type {}",
                        self.type_name(Type::new(choice.args[1]))
                    ),
                )
                .at(place(self).or(position)));
            }
        };
        let array = self.coerce_implicit(array, Type::new(wanted))?;
        Ok(Expr {
            kind: ExprKind::ArrayCompare {
                operator: choice.function,
                all,
                left: Box::new(left),
                array: Box::new(array),
            },
            ty: Type::BOOL,
            position,
        })
    }
}

/// The function of an operator; 0A000 if it is only listed.
fn implementation(operator: &'static Operator) -> SqlResult<&'static Function> {
    operator.function().ok_or_else(|| {
        SqlError::unsupported(format_args!(
            "operator {} of {} and {}",
            operator.name,
            types::format_type(Type::new(operator.left)),
            types::format_type(Type::new(operator.right))
        ))
    })
}

/// Name of an operator of sqlparser's.
pub(super) fn operator_name(op: &BinaryOperator) -> SqlResult<String> {
    if let BinaryOperator::PGCustomBinaryOperator(parts) = op {
        return Ok(match parts.as_slice() {
            [name] => name.clone(),
            [schema, name] if schema == "pg_catalog" => name.clone(),
            _ => {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("operator does not exist: {}", parts.join(".")),
                ));
            }
        });
    }
    forms::binary_operator_name(op)
        .map(str::to_owned)
        .ok_or_else(|| SqlError::unsupported(format_args!("operator {op}")))
}

/// How an operator may be written.
pub(super) fn spellings(name: &str) -> Vec<&str> {
    match name {
        "<>" => vec!["<>", "!="],
        "~~" => vec!["~~", "like"],
        "!~~" => vec!["!~~", "not"],
        "~~*" => vec!["~~*", "ilike"],
        "!~~*" => vec!["!~~*", "not"],
        other => vec![other, "operator"],
    }
}

/// The digits of a number literal behind parentheses.
fn number_text(expr: &sql::Expr) -> Option<(&str, sqlparser::tokenizer::Span)> {
    match expr {
        sql::Expr::Value(sql::ValueWithSpan {
            value: sql::Value::Number(text, _),
            span,
        }) => Some((text, *span)),
        sql::Expr::Nested(inner) => number_text(inner),
        _ => None,
    }
}
