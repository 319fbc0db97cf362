//! Type names: how a type is printed (`format_type`) and how `'numeric(10,2)[]'::regtype` is read.

use super::modifier::{modifier_in, modifier_out};
use super::{Type, array_of, element_of, info, lookup_name, oid};
use crate::{SqlError, SqlResult, SqlState};

/// The name of a type as PostgreSQL's `format_type` prints it: `character varying(10)`, `timestamp(0) with time zone`.
/// A type that is not built in is printed by its number; callers that know the catalog name it themselves.
pub fn format_type(ty: Type) -> String {
    if let Some(element) = element_of(ty.oid) {
        return format!("{}[]", format_type(Type::with_modifier(element, ty.modifier)));
    }
    let Some(info) = info(ty.oid) else {
        return if ty.oid == 0 { "-".into() } else { "???".into() };
    };
    let modifier = modifier_out(ty.oid, ty.modifier);
    match ty.oid {
        oid::TIME => format!("time{modifier} without time zone"),
        oid::TIMETZ => format!("time{modifier} with time zone"),
        oid::TIMESTAMP => format!("timestamp{modifier} without time zone"),
        oid::TIMESTAMPTZ => format!("timestamp{modifier} with time zone"),
        _ => format!("{}{modifier}", info.sql_name),
    }
}

/// Reads the name of a built-in type, with modifier and array brackets, as `regtypein` does. `None` if no built-in type
/// has that name: it may be the name of a table.
///
/// # Errors
/// 22023 for a modifier out of range, 42601 for a text that is no type name.
pub fn parse_type(text: &str) -> SqlResult<Option<Type>> {
    let syntax = || SqlError::new(SqlState::SYNTAX_ERROR, format!("invalid type name \"{text}\""));
    let mut body = text.trim();
    let mut is_array = false;
    while let Some(stripped) = body.strip_suffix(']') {
        let open = stripped.rfind('[').ok_or_else(syntax)?;
        if !stripped[open + 1..].trim().bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(syntax());
        }
        is_array = true;
        body = stripped[..open].trim_end();
    }
    if body.len() > 6 && body.is_char_boundary(body.len() - 6) && body[body.len() - 6..].eq_ignore_ascii_case(" array")
    {
        is_array = true;
        body = body[..body.len() - 6].trim_end();
    }
    let (name, numbers) = split_modifier(body).ok_or_else(syntax)?;
    let Some((type_oid, fixed)) = resolve(&name) else {
        return Ok(None);
    };
    let modifier = match (numbers, fixed) {
        (Some(numbers), _) if type_oid == oid::INTERVAL && numbers.len() == 1 => {
            modifier_in(type_oid, &[super::datetime::interval::FULL_RANGE as i32, numbers[0]])?
        }
        (Some(numbers), _) => modifier_in(type_oid, &numbers)?,
        (None, Some(modifier)) => modifier,
        (None, None) => -1,
    };
    if !is_array {
        return Ok(Some(Type::with_modifier(type_oid, modifier)));
    }
    Ok(array_of(type_oid).map(|array| Type::with_modifier(array, modifier)))
}

/// Splits `timestamp(3) with time zone` into its words and the numbers in parentheses.
fn split_modifier(body: &str) -> Option<(String, Option<Vec<i32>>)> {
    let Some(open) = body.find('(') else {
        return Some((normalise(body)?, None));
    };
    let close = open + body[open..].find(')')?;
    let numbers = body[open + 1..close]
        .split(',')
        .map(|number| number.trim().parse().ok())
        .collect::<Option<Vec<i32>>>()?;
    let words = format!("{} {}", &body[..open], &body[close + 1..]);
    Some((normalise(&words)?, Some(numbers)))
}

/// Folds case outside quotes, drops a `pg_catalog.` prefix, and leaves one blank between words.
fn normalise(words: &str) -> Option<String> {
    let words = words.trim();
    let words = words.strip_prefix("pg_catalog.").unwrap_or(words);
    if let Some(quoted) = words.strip_prefix('"') {
        // A quoted name is taken as it is written; "char" is another type than char.
        let name = quoted.strip_suffix('"')?;
        return Some(if name == "char" {
            "\"char\"".into()
        } else {
            name.to_owned()
        });
    }
    Some(words.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The type of normalised words, and the modifier they imply (`char` is `char(1)`).
fn resolve(name: &str) -> Option<(u32, Option<i32>)> {
    let found = match name {
        "\"char\"" => oid::CHAR,
        "char" | "character" | "national character" | "national char" | "nchar" => return Some((oid::BPCHAR, Some(5))),
        "character varying" | "char varying" | "national character varying" => oid::VARCHAR,
        "double precision" => oid::FLOAT8,
        "timestamp without time zone" => oid::TIMESTAMP,
        "timestamp with time zone" => oid::TIMESTAMPTZ,
        "time without time zone" => oid::TIME,
        "time with time zone" => oid::TIMETZ,
        _ => lookup_name(name)?,
    };
    Some((found, None))
}
