//! Splitting texts into parts and joining arrays to texts.

use storage::{Array, Datum};

use crate::functions::CallContext;
use crate::functions::call::argument;
use crate::types::{self, Type, array, oid};
use crate::{SqlError, SqlResult, SqlState};

/// `split_part`: the n-th part, counted from the end if negative.
pub fn part<'a>(text: &'a str, by: &str, index: i32) -> SqlResult<&'a str> {
    if index == 0 {
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "field position must not be zero",
        ));
    }
    if text.is_empty() {
        return Ok("");
    }
    if by.is_empty() {
        return Ok(if index == 1 || index == -1 { text } else { "" });
    }
    let position = index.unsigned_abs() as usize - 1;
    Ok(if index > 0 {
        text.split(by).nth(position)
    } else {
        text.rsplit(by).nth(position)
    }
    .unwrap_or(""))
}

/// Parts of a text: characters if the separator is NULL, the whole if it is empty. `None` for a NULL text.
fn parts<'a>(text: Option<&'a str>, by: Option<&str>) -> Option<Vec<&'a str>> {
    let text = text?;
    Some(match by {
        _ if text.is_empty() => Vec::new(),
        None => text
            .char_indices()
            .map(|(at, c)| &text[at..at + c.len_utf8()])
            .collect(),
        Some("") => vec![text],
        Some(by) => text.split(by).collect(),
    })
}

fn datum_of(part: &str, null: Option<&str>) -> Datum {
    if Some(part) == null {
        Datum::Null
    } else {
        Datum::Text(part.into())
    }
}

/// `string_to_array`
pub fn to_array(text: Option<&str>, by: Option<&str>, null: Option<&str>) -> Datum {
    match parts(text, by) {
        None => Datum::Null,
        Some(parts) => array::from_elements(oid::TEXT, parts.into_iter().map(|part| datum_of(part, null)).collect()),
    }
}

/// `string_to_table`
pub fn to_table(args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    let arg = |index: usize| argument::<Option<&str>>(args, index);
    let (text, by, null) = (arg(0)?, arg(1)?, arg(2)?);
    Ok(parts(text, by)
        .unwrap_or_default()
        .into_iter()
        .map(|part| vec![datum_of(part, null)])
        .collect())
}

/// `array_to_string`; NULL elements are left out unless a text for them is given.
pub fn from_array(context: &mut CallContext<'_>, array: &Array, by: &str, null: Option<&str>) -> SqlResult<String> {
    let mut out = String::new();
    let mut is_first = true;
    let element = Type::new(array.element_type);
    for datum in &array.elements {
        if datum.is_null() && null.is_none() {
            continue;
        }
        if !is_first {
            out.push_str(by);
        }
        is_first = false;
        if datum.is_null() {
            out.push_str(null.unwrap_or_default());
        } else {
            types::output(element, datum, context.session, &mut out)?;
        }
    }
    Ok(out)
}

/// `array_to_string` with a text for NULL elements, which may be NULL itself.
pub fn from_nullable(
    context: &mut CallContext<'_>,
    array: Option<&Array>,
    by: Option<&str>,
    null: Option<&str>,
) -> SqlResult<Option<String>> {
    match (array, by) {
        (Some(array), Some(by)) => from_array(context, array, by, null).map(Some),
        _ => Ok(None),
    }
}
