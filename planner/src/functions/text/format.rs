//! Quoting, and putting values together: concat, concat_ws, format, parse_ident.

use std::collections::HashSet;
use std::sync::LazyLock;

use storage::{Array, Datum};

use super::text_of;
use crate::bind::VARIADIC_MARK;
use crate::functions::CallContext;
use crate::functions::call::argument;
use crate::types::{self, Type, array, oid};
use crate::{SqlError, SqlResult, SqlState};

/// Every keyword as `word:category`, with `-` behind those that cannot be a bare label. Categories are those of
/// `pg_get_keywords`: (U)nreserved, (C)olumn name, (T)ype or function name, (R)eserved.
const KEYWORDS: &str = include_str!("keywords.txt");

/// Every keyword: the word, its category, and whether it can be a label without AS.
pub fn keywords() -> impl Iterator<Item = (&'static str, char, bool)> {
    KEYWORDS.split_ascii_whitespace().filter_map(|entry| {
        let (word, rest) = entry.split_once(':')?;
        Some((word, rest.chars().next()?, !rest.ends_with('-')))
    })
}

/// Whether a name is a keyword that needs quotes.
pub fn is_keyword(name: &str) -> bool {
    static RESERVED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
        keywords()
            .filter(|(_, category, _)| *category != 'U')
            .map(|(word, _, _)| word)
            .collect()
    });
    RESERVED.contains(name)
}

/// `quote_ident`: quotes a name if it needs them.
pub fn quote_identifier(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if is_plain && !is_keyword(name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// `quote_literal`
pub fn quote_literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 3);
    if text.contains('\\') {
        out.push('E');
    }
    out.push('\'');
    for c in text.chars() {
        if matches!(c, '\'' | '\\') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('\'');
    out
}

/// `quote_nullable` of any type.
pub fn quote_nullable(context: &mut CallContext<'_>, datum: &Datum) -> SqlResult<String> {
    if datum.is_null() {
        Ok("NULL".to_owned())
    } else {
        Ok(quote_literal(&text_of(context, 0, datum)?))
    }
}

/// Arguments from `first` on, with their types.
fn listed<'a>(context: &CallContext<'_>, args: &'a [Datum], first: usize) -> Vec<(Type, &'a Datum)> {
    let type_of = |index: usize| context.types.args.get(first + index).copied().unwrap_or(Type::TEXT);
    args.get(first..)
        .unwrap_or_default()
        .iter()
        .enumerate()
        .map(|(index, datum)| (type_of(index), datum))
        .collect()
}

/// Elements of the array that stands for the variadic arguments (`VARIADIC array`); `None` for a NULL array.
fn gathered(args: &[Datum], first: usize) -> SqlResult<Option<Vec<(Type, &Datum)>>> {
    let array = argument::<Option<&Array>>(args, first)?;
    Ok(array.map(|array| {
        array
            .elements
            .iter()
            .map(|element| (Type::new(array.element_type), element))
            .collect()
    }))
}

fn write(context: &CallContext<'_>, ty: Type, datum: &Datum, out: &mut String) -> SqlResult<()> {
    types::output(ty, datum, context.session, out)
}

/// Whether the last argument is an array that was marked VARIADIC.
fn is_marked(context: &CallContext<'_>) -> bool {
    context.types.args.last().is_some_and(|ty| ty.modifier == VARIADIC_MARK)
}

/// `concat`
pub fn concatenate_all(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    if is_marked(context) {
        return concatenate_array(context, args);
    }
    join(context, &listed(context, args, 0), "")
}

/// `concat(VARIADIC array)`
pub fn concatenate_array(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    gathered(args, 0)?.map_or(Ok(Datum::Null), |values| join(context, &values, ""))
}

/// `concat_ws`
pub fn concatenate_with_separator(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    if is_marked(context) {
        return concatenate_array_with_separator(context, args);
    }
    match argument::<Option<&str>>(args, 0)? {
        Some(separator) => join(context, &listed(context, args, 1), separator),
        None => Ok(Datum::Null),
    }
}

/// `concat_ws(separator, VARIADIC array)`
pub fn concatenate_array_with_separator(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let separator = argument::<Option<&str>>(args, 0)?;
    match (separator, gathered(args, 1)?) {
        (Some(separator), Some(values)) => join(context, &values, separator),
        _ => Ok(Datum::Null),
    }
}

/// Joins the values that are not NULL.
fn join(context: &CallContext<'_>, values: &[(Type, &Datum)], separator: &str) -> SqlResult<Datum> {
    let mut out = String::new();
    let mut is_first = true;
    for (ty, datum) in values {
        if datum.is_null() {
            continue;
        }
        if !is_first {
            out.push_str(separator);
        }
        is_first = false;
        write(context, *ty, datum, &mut out)?;
    }
    Ok(Datum::Text(out.into()))
}

fn bad_format(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// One conversion of `format`: `%[position][flags][width]type`.
struct Conversion {
    position: Option<usize>,
    left: bool,
    width: Option<Width>,
}

enum Width {
    Fixed(i32),
    /// `*`: the next argument, or the one at a position.
    Argument(Option<usize>),
}

/// `format`
pub fn format(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    if is_marked(context) {
        return format_array(context, args);
    }
    fill(context, args, &listed(context, args, 1))
}

/// `format(pattern, VARIADIC array)`
pub fn format_array(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    fill(context, args, &gathered(args, 1)?.unwrap_or_default())
}

/// Fills the pattern, which is the first of `args`, with values.
fn fill(context: &CallContext<'_>, args: &[Datum], values: &[(Type, &Datum)]) -> SqlResult<Datum> {
    let Some(pattern) = argument::<Option<&str>>(args, 0)? else {
        return Ok(Datum::Null);
    };
    let argument = |index: usize| {
        values
            .get(index)
            .copied()
            .ok_or_else(|| bad_format("too few arguments for format()"))
    };
    let mut out = String::new();
    let mut next = 0;
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('%') {
            out.push('%');
            rest = tail;
            continue;
        }
        let conversion = parse_conversion(&mut rest)?;
        let kind = rest.chars().next().ok_or_else(unterminated)?;
        if !matches!(kind, 's' | 'I' | 'L') {
            return Err(bad_format(format!("unrecognized format() type specifier \"{kind}\""))
                .hint("For a single \"%\" use \"%%\"."));
        }
        rest = &rest[1..];
        let mut left = conversion.left;
        let width = match conversion.width {
            None => 0,
            Some(Width::Fixed(width)) => width,
            Some(Width::Argument(position)) => {
                let index = position.unwrap_or(next);
                next = index + 1;
                let (ty, datum) = argument(index)?;
                if datum.is_null() {
                    0
                } else {
                    width_of(context, ty, datum)?
                }
            }
        };
        if width < 0 {
            left = true;
        }
        let index = conversion.position.unwrap_or(next);
        next = index + 1;
        let (ty, datum) = argument(index)?;
        let text = if datum.is_null() {
            match kind {
                's' => String::new(),
                'L' => "NULL".to_owned(),
                _ => {
                    return Err(SqlError::new(
                        SqlState::NULL_VALUE_NOT_ALLOWED,
                        "null values cannot be formatted as an SQL identifier",
                    ));
                }
            }
        } else {
            let mut text = String::new();
            write(context, ty, datum, &mut text)?;
            match kind {
                's' => text,
                'I' => quote_identifier(&text),
                _ => quote_literal(&text),
            }
        };
        let missing = (width.unsigned_abs() as usize).saturating_sub(text.chars().count());
        if missing > super::TEXT_BYTES_MAX {
            return Err(super::too_large());
        }
        if !left {
            out.extend(std::iter::repeat_n(' ', missing));
        }
        out.push_str(&text);
        if left {
            out.extend(std::iter::repeat_n(' ', missing));
        }
    }
    out.push_str(rest);
    Ok(Datum::Text(out.into()))
}

fn width_of(context: &CallContext<'_>, ty: Type, datum: &Datum) -> SqlResult<i32> {
    let mut text = String::new();
    write(context, ty, datum, &mut text)?;
    types::number::parse_integer(&text, i64::from(i32::MIN), i64::from(i32::MAX), "integer").map(|width| width as i32)
}

fn unterminated() -> SqlError {
    bad_format("unterminated format() type specifier").hint("For a single \"%\" use \"%%\".")
}

fn parse_conversion(rest: &mut &str) -> SqlResult<Conversion> {
    let mut conversion = Conversion {
        position: None,
        left: false,
        width: None,
    };
    let position_of = |number: i32| {
        if number == 0 {
            return Err(bad_format(
                "format specifies argument 0, but arguments are numbered from 1",
            ));
        }
        Ok(number as usize - 1)
    };
    if rest.is_empty() {
        return Err(unterminated());
    }
    if let Some(number) = parse_number(rest)? {
        if let Some(tail) = rest.strip_prefix('$') {
            conversion.position = Some(position_of(number)?);
            *rest = tail;
        } else {
            conversion.width = Some(Width::Fixed(number));
            return Ok(conversion);
        }
    }
    while let Some(tail) = rest.strip_prefix('-') {
        conversion.left = true;
        *rest = tail;
    }
    if let Some(tail) = rest.strip_prefix('*') {
        *rest = tail;
        let position = match parse_number(rest)? {
            Some(number) => {
                *rest = rest
                    .strip_prefix('$')
                    .ok_or_else(|| bad_format("width argument position must be ended by \"$\""))?;
                Some(position_of(number)?)
            }
            None => None,
        };
        conversion.width = Some(Width::Argument(position));
    } else if let Some(number) = parse_number(rest)? {
        conversion.width = Some(Width::Fixed(number));
    }
    if rest.is_empty() {
        return Err(unterminated());
    }
    Ok(conversion)
}

fn parse_number(rest: &mut &str) -> SqlResult<Option<i32>> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Ok(None);
    }
    let (number, tail) = rest.split_at(digits);
    *rest = tail;
    let number = number
        .parse()
        .map_err(|_| SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "number is out of range"))?;
    Ok(Some(number))
}

/// `parse_ident`: the parts of a qualified name.
pub fn parse_identifier(text: &str, is_strict: bool) -> SqlResult<Datum> {
    let fail = |detail: Option<String>| {
        let error = bad_format(format!("string is not a valid identifier: \"{text}\""));
        match detail {
            Some(detail) => error.detail(detail),
            None => error,
        }
    };
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let is_part = |c: char| is_start(c) || c.is_ascii_digit() || c == '$';
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let mut is_missing = true;
        if let Some(body) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = body.chars();
            loop {
                match chars.next() {
                    None => return Err(fail(Some("String has unclosed double quotes.".into()))),
                    Some('"') if chars.as_str().starts_with('"') => {
                        chars.next();
                        name.push('"');
                    }
                    Some('"') => break,
                    Some(c) => name.push(c),
                }
            }
            if name.is_empty() {
                return Err(fail(Some("Quoted identifier must not be empty.".into())));
            }
            rest = chars.as_str();
            parts.push(name);
            is_missing = false;
        } else if rest.starts_with(is_start) {
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            parts.push(rest[..end].to_lowercase());
            rest = &rest[end..];
            is_missing = false;
        }
        if is_missing {
            return Err(
                if text.trim_start().starts_with('.') && parts.is_empty() || rest.starts_with('.') {
                    fail(Some("No valid identifier before \".\".".into()))
                } else if !parts.is_empty() {
                    fail(Some("No valid identifier after \".\".".into()))
                } else {
                    fail(None)
                },
            );
        }
        rest = rest.trim_start();
        if let Some(tail) = rest.strip_prefix('.') {
            rest = tail.trim_start();
        } else if rest.is_empty() || !is_strict {
            break;
        } else {
            return Err(fail(None));
        }
    }
    let elements = parts.into_iter().map(|part| Datum::Text(part.into())).collect();
    Ok(array::from_elements(oid::TEXT, elements))
}
