//! The reg* types: OIDs that are read and printed as the names of what they point at.

use std::fmt::Write;

use super::number::{parse_oid, trim};
use super::{Type, format_type, name, oid};
use crate::eval::SessionView;
use crate::functions;
use crate::{SqlError, SqlResult, SqlState};

/// Whether a type is one of the reg* types.
pub fn is_reg(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oid::REGPROC
            | oid::REGPROCEDURE
            | oid::REGOPER
            | oid::REGOPERATOR
            | oid::REGCLASS
            | oid::REGTYPE
            | oid::REGNAMESPACE
            | oid::REGROLE
            | oid::REGCOLLATION
    )
}

/// Reads the name of an object, its number, or `-` for none.
///
/// # Errors
/// What PostgreSQL raises for a name that is not there: 42P01, 42704, 42883, 3F000.
pub fn parse(type_oid: u32, text: &str, session: &dyn SessionView) -> SqlResult<u32> {
    let body = trim(text);
    if body == "-" {
        return Ok(0);
    }
    if !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_oid(body, "oid");
    }
    match find(type_oid, body, session)? {
        Some(found) => Ok(found),
        None => Err(missing(type_oid, body)),
    }
}

/// Finds an object by name; `None` if there is none (`to_regclass` and its kin).
pub fn find(type_oid: u32, body: &str, session: &dyn SessionView) -> SqlResult<Option<u32>> {
    Ok(match type_oid {
        oid::REGTYPE => match name::parse_type(body)? {
            Some(ty) => Some(ty.oid),
            None => match body.strip_suffix("[]") {
                Some(element) => session
                    .object_oid(oid::REGTYPE, element.trim_end())
                    .and_then(super::array_of),
                None => session.object_oid(oid::REGTYPE, body),
            },
        },
        oid::REGPROC => {
            let found = functions::by_name(unqualified(body));
            if found.len() > 1 {
                return Err(SqlError::new(
                    SqlState::AMBIGUOUS_FUNCTION,
                    format!("more than one function named \"{body}\""),
                ));
            }
            let found = found.first().map(|function| function.oid);
            found.or_else(|| functions::io_function_oid(unqualified(body)))
        }
        oid::REGPROCEDURE => procedure(body)?,
        oid::REGOPER => {
            let found = functions::operators(unqualified(body));
            if found.len() > 1 {
                return Err(SqlError::new(
                    SqlState::AMBIGUOUS_FUNCTION,
                    format!("more than one operator named {body}"),
                ));
            }
            found.first().map(|operator| operator.oid)
        }
        oid::REGOPERATOR => operator(body)?,
        oid::REGCOLLATION => match unqualified(body).trim_matches('"') {
            "default" => Some(100),
            "C" => Some(950),
            "POSIX" => Some(951),
            _ => None,
        },
        _ => session.object_oid(type_oid, body),
    })
}

fn unqualified(body: &str) -> &str {
    body.strip_prefix("pg_catalog.").unwrap_or(body)
}

/// `name(type, …)`
fn procedure(body: &str) -> SqlResult<Option<u32>> {
    let Some((function_name, args)) = body.strip_suffix(')').and_then(|body| body.split_once('(')) else {
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, "expected a left parenthesis"));
    };
    let args = type_list(args)?;
    let name = unqualified(function_name.trim()).to_lowercase();
    Ok(functions::by_name(&name)
        .iter()
        .find(|function| function.args == args)
        .map(|function| function.oid))
}

/// `+(type, type)`; NONE stands for the missing operand of a prefix operator.
fn operator(body: &str) -> SqlResult<Option<u32>> {
    let Some((symbol, args)) = body.strip_suffix(')').and_then(|body| body.split_once('(')) else {
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, "expected a left parenthesis"));
    };
    let args = type_list(args)?;
    let &[left, right] = args.as_slice() else {
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, "missing argument")
            .hint("Use NONE to denote the missing argument of a unary operator."));
    };
    let found = functions::operators(unqualified(symbol.trim()));
    Ok(found
        .iter()
        .find(|operator| operator.left == left && operator.right == right)
        .map(|operator| operator.oid))
}

fn type_list(text: &str) -> SqlResult<Vec<u32>> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|part| {
            let part = part.trim();
            if part.eq_ignore_ascii_case("none") {
                return Ok(0);
            }
            name::parse_type(part)?
                .map(|ty| ty.oid)
                .ok_or_else(|| missing(oid::REGTYPE, part))
        })
        .collect()
}

fn missing(type_oid: u32, body: &str) -> SqlError {
    let (code, message) = match type_oid {
        oid::REGCLASS => (SqlState::UNDEFINED_TABLE, format!("relation \"{body}\" does not exist")),
        oid::REGTYPE => (SqlState::UNDEFINED_OBJECT, format!("type \"{body}\" does not exist")),
        oid::REGNAMESPACE => (
            SqlState::INVALID_SCHEMA_NAME,
            format!("schema \"{body}\" does not exist"),
        ),
        oid::REGROLE => (SqlState::UNDEFINED_OBJECT, format!("role \"{body}\" does not exist")),
        oid::REGCOLLATION => (
            SqlState::UNDEFINED_OBJECT,
            format!("collation \"{body}\" for encoding \"UTF8\" does not exist"),
        ),
        oid::REGOPER | oid::REGOPERATOR => (SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {body}")),
        _ => (
            SqlState::UNDEFINED_FUNCTION,
            format!("function \"{body}\" does not exist"),
        ),
    };
    SqlError::new(code, message)
}

/// Prints the name of an object, or its number if it is not there.
pub fn write(type_oid: u32, value: u32, session: &dyn SessionView, out: &mut String) {
    if value == 0 {
        out.push('-');
        return;
    }
    let found = match type_oid {
        oid::REGTYPE if super::info(value).is_some() => Some(format_type(Type::new(value))),
        oid::REGTYPE if super::user::is_array(value) => super::element_of(value)
            .and_then(|element| session.object_name(oid::REGTYPE, element))
            .map(|name| format!("{name}[]")),
        oid::REGPROC => functions::by_oid(value)
            .map(|function| function.name)
            .or_else(|| functions::io_function_name(value))
            .map(str::to_owned),
        oid::REGPROCEDURE => functions::by_oid(value).map(|function| {
            let args: Vec<String> = function.args.iter().map(|&arg| format_type(Type::new(arg))).collect();
            format!("{}({})", function.name, args.join(","))
        }),
        oid::REGOPER => functions::operator_by_oid(value).map(|operator| operator.name.to_owned()),
        oid::REGOPERATOR => functions::operator_by_oid(value).map(|operator| {
            let name_of = |arg| {
                if arg == 0 {
                    "NONE".to_owned()
                } else {
                    format_type(Type::new(arg))
                }
            };
            format!(
                "{}({},{})",
                operator.name,
                name_of(operator.left),
                name_of(operator.right)
            )
        }),
        oid::REGCOLLATION => match value {
            100 => Some("\"default\"".to_owned()),
            950 => Some("\"C\"".to_owned()),
            951 => Some("\"POSIX\"".to_owned()),
            _ => None,
        },
        _ => session.object_name(type_oid, value),
    };
    match found {
        Some(found) => out.push_str(&found),
        None => {
            let _ = write!(out, "{value}");
        }
    }
}
