//! Text of a jsonpath, exactly as PostgreSQL prints it.

use std::fmt::{self, Write};

use storage::jsonb::write_escaped;

use super::syntax::{Arithmetic, Condition, Expr, Head, JsonPath, Step};

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.lax {
            f.write_str("strict ")?;
        }
        write_expr(f, &self.expr, true)
    }
}

/// How tightly an operator binds: an operand that binds no tighter gets parentheses.
fn priority(expr: &Expr) -> u8 {
    match &expr.head {
        Head::Condition(condition) => condition_priority(condition),
        Head::Arithmetic(operator, ..) => arithmetic_priority(*operator),
        Head::Sign { .. } => 5,
        Head::Root | Head::Current | Head::Last | Head::Variable(_) | Head::Literal(_) | Head::Number(_) => 6,
    }
}

fn arithmetic_priority(operator: Arithmetic) -> u8 {
    match operator {
        Arithmetic::Add | Arithmetic::Subtract => 3,
        Arithmetic::Multiply | Arithmetic::Divide | Arithmetic::Remainder => 4,
    }
}

fn condition_priority(condition: &Condition) -> u8 {
    match condition {
        Condition::Or(..) => 0,
        Condition::And(..) => 1,
        Condition::Compare(..) | Condition::StartsWith(..) => 2,
        Condition::Not(_) | Condition::IsUnknown(_) | Condition::Exists(_) | Condition::LikeRegex(..) => 6,
    }
}

fn write_expr(out: &mut impl Write, expr: &Expr, parentheses: bool) -> fmt::Result {
    let own = priority(expr);
    let operand = |out: &mut _, operand: &Expr| write_expr(out, operand, priority(operand) <= own);
    match &expr.head {
        Head::Root => out.write_char('$')?,
        Head::Current => out.write_char('@')?,
        Head::Last => out.write_str("last")?,
        Head::Variable(name) => {
            out.write_char('$')?;
            write_escaped(out, name)?;
        }
        Head::Literal(value) => write!(out, "{value}")?,
        Head::Number(number) if expr.steps.is_empty() => write!(out, "{number}")?,
        Head::Number(number) => write!(out, "({number})")?,
        Head::Arithmetic(operator, left, right) => {
            open(out, parentheses)?;
            operand(out, left)?;
            write!(out, " {} ", operator.symbol())?;
            operand(out, right)?;
            close(out, parentheses)?;
        }
        Head::Sign {
            negative,
            operand: inner,
        } => {
            open(out, parentheses)?;
            out.write_char(if *negative { '-' } else { '+' })?;
            operand(out, inner)?;
            close(out, parentheses)?;
        }
        Head::Condition(condition) => write_condition(out, condition, parentheses)?,
    }
    expr.steps.iter().try_for_each(|step| write_step(out, step))
}

fn open(out: &mut impl Write, parentheses: bool) -> fmt::Result {
    if parentheses { out.write_char('(') } else { Ok(()) }
}

fn close(out: &mut impl Write, parentheses: bool) -> fmt::Result {
    if parentheses { out.write_char(')') } else { Ok(()) }
}

fn write_step(out: &mut impl Write, step: &Step) -> fmt::Result {
    match step {
        Step::Member(name) => {
            out.write_char('.')?;
            write_escaped(out, name)
        }
        Step::AnyMember => out.write_str(".*"),
        Step::AnyElement => out.write_str("[*]"),
        Step::Elements(elements) => {
            for (index, (from, to)) in elements.iter().enumerate() {
                out.write_char(if index == 0 { '[' } else { ',' })?;
                write_expr(out, from, false)?;
                if let Some(to) = to {
                    out.write_str(" to ")?;
                    write_expr(out, to, false)?;
                }
            }
            out.write_char(']')
        }
        Step::AnyDepth(0, u32::MAX) => out.write_str(".**"),
        Step::AnyDepth(u32::MAX, u32::MAX) => out.write_str(".**{last}"),
        Step::AnyDepth(first, last) if first == last => write!(out, ".**{{{first}}}"),
        Step::AnyDepth(u32::MAX, last) => write!(out, ".**{{last to {last}}}"),
        Step::AnyDepth(first, u32::MAX) => write!(out, ".**{{{first} to last}}"),
        Step::AnyDepth(first, last) => write!(out, ".**{{{first} to {last}}}"),
        Step::Filter(condition) => {
            out.write_str("?(")?;
            write_condition(out, condition, false)?;
            out.write_char(')')
        }
        Step::Method(method) => write!(out, ".{}()", method.name()),
        Step::DateTime(None) => out.write_str(".datetime()"),
        Step::DateTime(Some(template)) => {
            out.write_str(".datetime(")?;
            write_escaped(out, template)?;
            out.write_char(')')
        }
    }
}

fn write_condition(out: &mut impl Write, condition: &Condition, parentheses: bool) -> fmt::Result {
    let own = condition_priority(condition);
    match condition {
        Condition::And(left, right) | Condition::Or(left, right) => {
            // A long chain is nested on its left: go down it in a loop, and write on the way back.
            let mut chain = vec![(&**right, parentheses)];
            let mut leftmost = &**left;
            while let (Condition::And(left, right), Condition::And(..))
            | (Condition::Or(left, right), Condition::Or(..)) = (leftmost, condition)
            {
                chain.push((&**right, true));
                leftmost = &**left;
            }
            let symbol = if matches!(condition, Condition::And(..)) {
                " && "
            } else {
                " || "
            };
            chain.iter().try_for_each(|(_, parentheses)| open(out, *parentheses))?;
            write_condition(out, leftmost, condition_priority(leftmost) <= own)?;
            for (right, parentheses) in chain.iter().rev() {
                out.write_str(symbol)?;
                write_condition(out, right, condition_priority(right) <= own)?;
                close(out, *parentheses)?;
            }
            Ok(())
        }
        Condition::Not(inner) => {
            out.write_str("!(")?;
            write_condition(out, inner, false)?;
            out.write_char(')')
        }
        Condition::IsUnknown(inner) => {
            out.write_char('(')?;
            write_condition(out, inner, false)?;
            out.write_str(") is unknown")
        }
        Condition::Exists(inner) => {
            out.write_str("exists (")?;
            write_expr(out, inner, false)?;
            out.write_char(')')
        }
        Condition::Compare(comparison, left, right) => {
            open(out, parentheses)?;
            write_expr(out, left, priority(left) <= own)?;
            write!(out, " {} ", comparison.symbol())?;
            write_expr(out, right, priority(right) <= own)?;
            close(out, parentheses)
        }
        Condition::StartsWith(whole, prefix) => {
            open(out, parentheses)?;
            write_expr(out, whole, priority(whole) <= own)?;
            out.write_str(" starts with ")?;
            write_expr(out, prefix, false)?;
            close(out, parentheses)
        }
        Condition::LikeRegex(whole, pattern) => {
            open(out, parentheses)?;
            write_expr(out, whole, priority(whole) <= own)?;
            out.write_str(" like_regex ")?;
            write_escaped(out, pattern.text())?;
            if !pattern.flags().is_empty() {
                write!(out, " flag \"{}\"", pattern.flags())?;
            }
            close(out, parentheses)
        }
    }
}
