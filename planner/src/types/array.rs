//! Text form of arrays: `{1,2}`, `[2:3]={a,"b c"}`, nested braces for further dimensions.

use std::sync::Arc;

use storage::{Array, Datum};

use super::number::is_space;
use crate::{SqlError, SqlResult, SqlState};

/// Most dimensions an array may have (PostgreSQL's MAXDIM).
pub const DIMENSIONS_MAX: usize = 6;

/// Most elements an array may have (PostgreSQL's MaxArraySize for pointers of 8 bytes).
pub const ELEMENTS_MAX: i64 = 134_217_727;

/// Builds a one-dimensional array with lower bound 1; no elements make the empty array.
pub fn from_elements(element_type: u32, elements: Vec<Datum>) -> Datum {
    let dimensions = if elements.is_empty() {
        Vec::new()
    } else {
        vec![(elements.len() as i32, 1)]
    };
    Datum::Array(Arc::new(Array {
        element_type,
        dimensions,
        elements,
    }))
}

fn malformed(text: &str, detail: impl Into<String>) -> SqlError {
    SqlError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("malformed array literal: \"{text}\""),
    )
    .detail(detail)
}

/// More dimensions than there may be.
pub fn too_many_dimensions(count: usize) -> SqlError {
    SqlError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("number of array dimensions ({count}) exceeds the maximum allowed ({DIMENSIONS_MAX})"),
    )
}

/// Reads an array; `element` reads one element's text.
pub fn parse(text: &str, element_type: u32, element: &mut dyn FnMut(&str) -> SqlResult<Datum>) -> SqlResult<Datum> {
    let mut parser = Parser {
        text,
        rest: text,
        element,
        elements: Vec::new(),
        lengths: Vec::new(),
    };
    parser.skip_space();
    let declared = parser.bounds()?;
    if !parser.rest.starts_with('{') {
        return Err(malformed(
            text,
            if declared.is_empty() {
                "Array value must start with \"{\" or dimension information."
            } else {
                "Array contents must start with \"{\"."
            },
        ));
    }
    parser.braces(0)?;
    parser.skip_space();
    if !parser.rest.is_empty() {
        return Err(malformed(text, "Junk after closing right brace."));
    }
    let Parser { elements, lengths, .. } = parser;
    let lengths: Vec<i32> = lengths.into_iter().flatten().map(|length| length as i32).collect();
    if elements.is_empty() {
        if !declared.is_empty() {
            return Err(malformed(
                text,
                "Specified array dimensions do not match array contents.",
            ));
        }
        return Ok(Datum::Array(Arc::new(Array {
            element_type,
            dimensions: Vec::new(),
            elements,
        })));
    }
    let dimensions: Vec<(i32, i32)> = if declared.is_empty() {
        lengths.into_iter().map(|length| (length, 1)).collect()
    } else {
        if declared.len() != lengths.len()
            || declared
                .iter()
                .zip(&lengths)
                .any(|((length, _), found)| length != found)
        {
            return Err(malformed(
                text,
                "Specified array dimensions do not match array contents.",
            ));
        }
        declared
    };
    Ok(Datum::Array(Arc::new(Array {
        element_type,
        dimensions,
        elements,
    })))
}

struct Parser<'a, 'f> {
    text: &'a str,
    rest: &'a str,
    element: &'f mut dyn FnMut(&str) -> SqlResult<Datum>,
    elements: Vec<Datum>,
    /// Length of each dimension, once one of its sub-arrays was read whole.
    lengths: Vec<Option<usize>>,
}

impl Parser<'_, '_> {
    fn fail(&self, detail: impl Into<String>) -> SqlError {
        malformed(self.text, detail)
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches(is_space);
    }

    /// `[l:u][l:u]=`; the lower bound may be left out.
    fn bounds(&mut self) -> SqlResult<Vec<(i32, i32)>> {
        let mut bounds = Vec::new();
        while let Some(rest) = self.rest.strip_prefix('[') {
            if bounds.len() == DIMENSIONS_MAX {
                return Err(too_many_dimensions(bounds.len() + 1));
            }
            self.rest = rest;
            let first = self.integer()?;
            let (lower, upper) = match self.rest.strip_prefix(':') {
                Some(rest) => {
                    self.rest = rest;
                    (first, self.integer()?)
                }
                None => (1, first),
            };
            self.rest = self
                .rest
                .strip_prefix(']')
                .ok_or_else(|| self.fail("Missing \"]\" after array dimensions."))?;
            if upper < lower {
                return Err(SqlError::new(
                    SqlState::ARRAY_SUBSCRIPT_ERROR,
                    "upper bound cannot be less than lower bound",
                ));
            }
            let length = i64::from(upper) - i64::from(lower) + 1;
            let length = i32::try_from(length)
                .ok()
                .filter(|_| upper < i32::MAX)
                .ok_or_else(too_large)?;
            bounds.push((length, lower));
        }
        if !bounds.is_empty() {
            self.skip_space();
            self.rest = self
                .rest
                .strip_prefix('=')
                .ok_or_else(|| self.fail("Missing \"=\" after array dimensions."))?;
            self.skip_space();
        }
        Ok(bounds)
    }

    fn integer(&mut self) -> SqlResult<i32> {
        let sign = usize::from(self.rest.starts_with(['-', '+']));
        let digits = self.rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(self.fail(if self.text.contains('{') && !self.rest.is_empty() {
                "\"[\" must introduce explicitly-specified array dimensions."
            } else {
                "Missing array dimension value."
            }));
        }
        let (number, rest) = self.rest.split_at(sign + digits);
        self.rest = rest;
        number.parse().map_err(|_| too_large())
    }

    /// One brace level, the opening brace being next.
    fn braces(&mut self, depth: usize) -> SqlResult<()> {
        if depth == DIMENSIONS_MAX {
            return Err(too_many_dimensions(depth + 1));
        }
        if self.lengths.len() == depth {
            if !self.elements.is_empty() {
                return Err(self.mismatch());
            }
            self.lengths.push(None);
        }
        self.rest = &self.rest[1..];
        let mut count = 0;
        self.skip_space();
        // Only the outermost braces may be empty.
        if depth == 0 && self.rest.starts_with('}') {
            self.rest = &self.rest[1..];
            self.lengths[0] = Some(0);
            return Ok(());
        }
        let holds_braces = self.rest.starts_with('{');
        loop {
            self.skip_space();
            match (holds_braces, self.rest.starts_with('{')) {
                (true, true) => self.braces(depth + 1)?,
                (true, false) => return Err(self.fail(self.unexpected("Unexpected array element."))),
                (false, true) => return Err(self.fail("Unexpected \"{\" character.")),
                (false, false) => {
                    if self.lengths.len() > depth + 1 {
                        return Err(self.mismatch());
                    }
                    self.item()?;
                }
            }
            count += 1;
            self.skip_space();
            let mut chars = self.rest.chars();
            match chars.next() {
                Some(',') => self.rest = chars.as_str(),
                Some('}') => {
                    self.rest = chars.as_str();
                    break;
                }
                _ => return Err(self.fail(self.unexpected("Unexpected array element."))),
            }
        }
        match self.lengths[depth] {
            Some(length) if length != count => Err(self.mismatch()),
            _ => {
                self.lengths[depth] = Some(count);
                Ok(())
            }
        }
    }

    /// What is wrong with the next character, `otherwise` if it is no punctuation of arrays.
    fn unexpected(&self, otherwise: &str) -> String {
        match self.rest.chars().next() {
            None => "Unexpected end of input.".to_owned(),
            Some(c @ ('{' | '}' | ',')) => format!("Unexpected \"{c}\" character."),
            Some(_) => otherwise.to_owned(),
        }
    }

    fn mismatch(&self) -> SqlError {
        self.fail("Multidimensional arrays must have sub-arrays with matching dimensions.")
    }

    /// One element up to the next comma or brace.
    fn item(&mut self) -> SqlResult<()> {
        let mut value = String::new();
        // Trailing white space belongs to the element only if it was escaped.
        let mut kept = 0;
        let (mut quoted, mut escaped) = (false, false);
        let mut chars = self.rest.chars();
        loop {
            let before = chars.as_str();
            match chars.next() {
                None => return Err(self.fail("Unexpected end of input.")),
                Some('"') if !quoted && value.is_empty() => {
                    quoted = true;
                    loop {
                        match chars.next() {
                            None => return Err(self.fail("Unexpected end of input.")),
                            Some('"') => break,
                            Some('\\') => {
                                value.push(chars.next().ok_or_else(|| self.fail("Unexpected end of input."))?)
                            }
                            Some(c) => value.push(c),
                        }
                    }
                    kept = value.len();
                }
                Some('"') => return Err(self.fail("Unexpected array element.")),
                Some('{') => return Err(self.fail("Unexpected \"{\" character.")),
                Some(',' | '}') => {
                    self.rest = before;
                    break;
                }
                Some('\\') => {
                    if quoted {
                        return Err(self.fail("Unexpected array element."));
                    }
                    escaped = true;
                    value.push(chars.next().ok_or_else(|| self.fail("Unexpected end of input."))?);
                    kept = value.len();
                }
                Some(c) => {
                    if quoted && !is_space(c) {
                        return Err(self.fail("Unexpected array element."));
                    }
                    value.push(c);
                    if !is_space(c) {
                        kept = value.len();
                    }
                }
            }
        }
        value.truncate(kept);
        if value.is_empty() && !quoted && !escaped {
            let next = if self.rest.starts_with(',') { ',' } else { '}' };
            return Err(self.fail(format!("Unexpected \"{next}\" character.")));
        }
        let datum = if !quoted && !escaped && value.eq_ignore_ascii_case("null") {
            Datum::Null
        } else {
            (self.element)(&value)?
        };
        if self.elements.len() as i64 >= ELEMENTS_MAX {
            return Err(too_large());
        }
        self.elements.push(datum);
        Ok(())
    }
}

/// 54000 for an array beyond the size limit.
pub fn too_large() -> SqlError {
    SqlError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})"),
    )
}

/// Prints an array; `element` prints one element that is not NULL.
pub fn write(
    array: &Array,
    out: &mut String,
    element: &mut dyn FnMut(&Datum, &mut String) -> SqlResult<()>,
) -> SqlResult<()> {
    if array.elements.is_empty() {
        out.push_str("{}");
        return Ok(());
    }
    if array.dimensions.iter().any(|&(_, lower)| lower != 1) {
        for &(length, lower) in &array.dimensions {
            out.push_str(&format!("[{lower}:{}]", i64::from(lower) + i64::from(length) - 1));
        }
        out.push('=');
    }
    let mut scratch = String::new();
    let mut position = 0;
    write_level(array, 0, &mut position, out, &mut |datum, out| {
        if matches!(datum, Datum::Null) {
            out.push_str("NULL");
            return Ok(());
        }
        scratch.clear();
        element(datum, &mut scratch)?;
        write_quoted(&scratch, out);
        Ok(())
    })
}

fn write_level(
    array: &Array,
    depth: usize,
    position: &mut usize,
    out: &mut String,
    element: &mut dyn FnMut(&Datum, &mut String) -> SqlResult<()>,
) -> SqlResult<()> {
    out.push('{');
    for index in 0..array.dimensions[depth].0 {
        if index > 0 {
            out.push(',');
        }
        if depth + 1 < array.dimensions.len() {
            write_level(array, depth + 1, position, out, element)?;
        } else {
            element(array.elements.get(*position).unwrap_or(&Datum::Null), out)?;
            *position += 1;
        }
    }
    out.push('}');
    Ok(())
}

/// Quotes an element's text if its plain form would be read as something else.
fn write_quoted(value: &str, out: &mut String) {
    let plain = !value.is_empty()
        && !value.eq_ignore_ascii_case("null")
        && !value.contains(|c: char| matches!(c, '"' | '\\' | '{' | '}' | ',') || is_space(c));
    if plain {
        out.push_str(value);
        return;
    }
    out.push('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// Prints `int2vector` and `oidvector`: elements with blanks between.
pub fn write_vector(array: &Array, out: &mut String) {
    for (index, element) in array.elements.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        match element {
            Datum::Int2(value) => out.push_str(&value.to_string()),
            Datum::Oid(value) => out.push_str(&value.to_string()),
            _ => {}
        }
    }
}
