//! Csv: one record of COPY's CSV format as fields.

use planner::SqlResult;

use super::{CopyOptions, Field, bad_format};
use crate::wire::body::invalid_utf8;

/// Which columns have FORCE_NOT_NULL and FORCE_NULL.
#[derive(Clone, Debug, Default)]
pub struct Forced {
    /// The null string is a value even unquoted.
    pub not_null: Vec<bool>,
    /// The null string is NULL even quoted.
    pub null: Vec<bool>,
}

/// Splits a record at the delimiter and takes off quotes.
///
/// # Errors
/// 22P04 for a quote that is not closed, 22021 for bytes that are not UTF-8.
pub fn split(line: &[u8], options: &CopyOptions, forced: &Forced) -> SqlResult<Vec<Field>> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let mut value = Vec::new();
        let mut was_quoted = false;
        let is_last = field(line, &mut at, options, &mut value, &mut was_quoted)?;
        fields.push(finish(value, was_quoted, fields.len(), options, forced)?);
        if is_last {
            return Ok(fields);
        }
    }
}

/// Reads one field; `true` if the line ends with it.
fn field(
    line: &[u8],
    at: &mut usize,
    options: &CopyOptions,
    value: &mut Vec<u8>,
    was_quoted: &mut bool,
) -> SqlResult<bool> {
    let mut in_quote = false;
    loop {
        let Some(&byte) = line.get(*at) else {
            return if in_quote {
                Err(bad_format("unterminated CSV quoted field"))
            } else {
                Ok(true)
            };
        };
        *at += 1;
        if !in_quote {
            if byte == options.delimiter {
                return Ok(false);
            }
            if byte == options.quote {
                (in_quote, *was_quoted) = (true, true);
            } else {
                value.push(byte);
            }
            continue;
        }
        let escaped = line
            .get(*at)
            .copied()
            .filter(|next| *next == options.escape || *next == options.quote);
        match escaped {
            Some(next) if byte == options.escape => {
                value.push(next);
                *at += 1;
            }
            _ if byte == options.quote => in_quote = false,
            _ => value.push(byte),
        }
    }
}

fn finish(value: Vec<u8>, was_quoted: bool, column: usize, options: &CopyOptions, forced: &Forced) -> SqlResult<Field> {
    let flag = |flags: &[bool]| flags.get(column).copied().unwrap_or(false);
    let is_null_text = value == options.null.as_bytes();
    if is_null_text
        && (if was_quoted {
            flag(&forced.null)
        } else {
            !flag(&forced.not_null)
        })
    {
        return Ok(Field::Null);
    }
    String::from_utf8(value).map(Field::Text).map_err(|error| {
        let valid_up_to = error.utf8_error().valid_up_to();
        invalid_utf8(error.as_bytes(), valid_up_to)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::command::{Command, parse};

    fn fields(statement: &str, line: &str, forced: &Forced) -> Vec<Field> {
        let Some(Command::Copy(copy)) = parse(statement).unwrap() else {
            panic!()
        };
        let options = CopyOptions::new(&copy.options, copy.is_from).unwrap();
        split(line.as_bytes(), &options, forced).unwrap()
    }

    fn text(value: &str) -> Field {
        Field::Text(value.into())
    }

    #[test]
    fn quotes_and_nulls() {
        let none = Forced::default();
        let csv = "copy t from stdin csv";
        assert_eq!(
            fields(csv, "a,\"b,\"\"c\"\"\",,\"\"", &none),
            [text("a"), text("b,\"c\""), Field::Null, text("")]
        );
        assert_eq!(fields(csv, "x\"y\"z, ", &none), [text("xyz"), text(" ")]);
        assert_eq!(
            fields("copy t from stdin csv escape '\\'", "\"a\\\"b\\\\c\\d\"", &none),
            [text("a\"b\\c\\d")]
        );
    }

    #[test]
    fn forced_columns_turn_the_null_string_around() {
        let forced = Forced {
            not_null: vec![true, false],
            null: vec![false, true],
        };
        assert_eq!(
            fields("copy t from stdin csv", ",\"\"", &forced),
            [text(""), Field::Null]
        );
    }
}
