//! The functions and operators over regular expressions.

use storage::Datum;

use super::{Flags, Regex, Subject, compile, similar};
use crate::functions::CallContext;
use crate::functions::call::argument;
use crate::types::{array, oid};
use crate::{SqlError, SqlResult, SqlState};

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// `text ~ pattern`
pub fn is_match(text: &str, pattern: &str, ignore_case: bool) -> SqlResult<bool> {
    compile(
        pattern,
        Flags {
            ignore_case,
            ..Flags::default()
        },
    )?
    .is_match(text)
}

/// Flags of the letters of an argument, and whether `g` was among them.
fn flags_of(letters: &str) -> SqlResult<(Flags, bool)> {
    let mut flags = Flags::default();
    let mut is_global = false;
    for letter in letters.chars() {
        if letter == 'g' {
            is_global = true;
        } else if !flags.set(letter) {
            return Err(invalid(format!("invalid regular expression option: \"{letter}\"")));
        }
    }
    Ok((flags, is_global))
}

/// Flags of a function for which matching everywhere makes no sense.
fn single_flags(letters: &str, function: &str) -> SqlResult<Flags> {
    let (flags, is_global) = flags_of(letters)?;
    if is_global {
        let error = invalid(format!("{function}() does not support the \"global\" option"));
        return Err(if function == "regexp_match" {
            error.hint("Use the regexp_matches function instead.")
        } else {
            error
        });
    }
    Ok(flags)
}

fn letters(args: &[Datum], index: usize) -> SqlResult<&str> {
    Ok(argument::<Option<&str>>(args, index)?.unwrap_or_default())
}

type Match = Vec<Option<(usize, usize)>>;

/// Matches one after the other; an empty one is not found twice at the same place, nor right behind another match
/// where `skips_empty_at_end`.
fn matches(subject: &Subject<'_>, regex: &Regex, from: usize, limit: usize) -> SqlResult<Vec<Match>> {
    let mut found = Vec::new();
    let mut at = from;
    while found.len() < limit {
        let Some(extents) = subject.find(regex, at)? else {
            break;
        };
        let (start, end) = extents[0].unwrap_or((at, at));
        // After an empty match the search goes on one character later.
        at = if end == start { end + 1 } else { end };
        found.push(extents);
        if at > subject.len() {
            break;
        }
    }
    Ok(found)
}

/// The groups of a match as an array; the whole match if there are no groups.
fn groups(subject: &Subject<'_>, regex: &Regex, extents: &Match) -> Datum {
    let first = usize::from(regex.group_count() > 0);
    let last = regex.group_count().max(first);
    let elements = extents[first..=last]
        .iter()
        .map(|extent| extent.map_or(Datum::Null, |extent| Datum::text(subject.slice(extent))))
        .collect();
    array::from_elements(oid::TEXT, elements)
}

/// `regexp_match`
pub fn first_match(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let regex = compile(argument(args, 1)?, single_flags(letters(args, 2)?, "regexp_match")?)?;
    let subject = Subject::new(argument(args, 0)?);
    Ok(subject
        .find(&regex, 0)?
        .map_or(Datum::Null, |extents| groups(&subject, &regex, &extents)))
}

/// `regexp_matches`
pub fn all_matches(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    let (flags, is_global) = flags_of(letters(args, 2)?)?;
    let regex = compile(argument(args, 1)?, flags)?;
    let subject = Subject::new(argument(args, 0)?);
    let found = matches(&subject, &regex, 0, if is_global { usize::MAX } else { 1 })?;
    Ok(found
        .iter()
        .map(|extents| vec![groups(&subject, &regex, extents)])
        .collect())
}

/// Parts between matches. Empty matches at the ends, or right behind another match, divide nothing.
fn split(text: &str, pattern: &str, flags: Flags) -> SqlResult<Vec<String>> {
    let regex = compile(pattern, flags)?;
    let subject = Subject::new(text);
    let mut parts = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(extents) = subject.find(&regex, at)? {
        let (start, end) = extents[0].unwrap_or((at, at));
        let is_empty = start == end;
        at = if is_empty { end + 1 } else { end };
        let is_degenerate = is_empty && (start == 0 || start == subject.len() || start == from);
        if is_empty && start >= subject.len() {
            break;
        }
        if !is_degenerate {
            parts.push(subject.slice((from, start)).to_owned());
            from = end;
        }
    }
    parts.push(subject.slice((from, subject.len())).to_owned());
    Ok(parts)
}

/// `regexp_split_to_array`
pub fn split_to_array(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let flags = single_flags(letters(args, 2)?, "regexp_split_to_array")?;
    let parts = split(argument(args, 0)?, argument(args, 1)?, flags)?;
    Ok(array::from_elements(
        oid::TEXT,
        parts.into_iter().map(Datum::text).collect(),
    ))
}

/// `regexp_split_to_table`
pub fn split_to_table(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    let flags = single_flags(letters(args, 2)?, "regexp_split_to_table")?;
    let parts = split(argument(args, 0)?, argument(args, 1)?, flags)?;
    Ok(parts.into_iter().map(|part| vec![Datum::text(part)]).collect())
}

/// What to replace.
struct Replace<'a> {
    text: &'a str,
    pattern: &'a str,
    with: &'a str,
    flags: Flags,
    from: usize,
    /// Which match, from 1; 0 is all.
    which: usize,
}

impl Replace<'_> {
    fn run(&self) -> SqlResult<Datum> {
        let regex = compile(self.pattern, self.flags)?;
        let subject = Subject::new(self.text);
        let limit = if self.which == 0 { usize::MAX } else { self.which };
        let found = matches(&subject, &regex, self.from, limit)?;
        let mut out = String::with_capacity(self.text.len());
        let mut copied = 0;
        for (index, extents) in found.iter().enumerate() {
            if self.which != 0 && index + 1 != self.which {
                continue;
            }
            let (start, end) = extents[0].unwrap_or((0, 0));
            out.push_str(subject.slice((copied, start)));
            self.write(&subject, extents, &mut out);
            copied = end;
        }
        out.push_str(subject.slice((copied, subject.len())));
        Ok(Datum::text(out))
    }

    /// Writes the replacement: `\1` is a group, `\&` the match, `\\` a backslash.
    fn write(&self, subject: &Subject<'_>, extents: &Match, out: &mut String) {
        let mut chars = self.with.chars();
        while let Some(c) = chars.next() {
            if c != '\\' {
                out.push(c);
                continue;
            }
            let mut peek = chars.clone();
            let extent = match peek.next() {
                Some('&') => Some(0),
                Some(digit @ '1'..='9') => Some(digit as usize - '0' as usize),
                Some('\\') => {
                    out.push('\\');
                    chars = peek;
                    continue;
                }
                // A backslash before anything else is itself.
                _ => None,
            };
            match extent {
                Some(index) => {
                    chars = peek;
                    if let Some(extent) = extents.get(index).copied().flatten() {
                        out.push_str(subject.slice(extent));
                    }
                }
                None => out.push('\\'),
            }
        }
    }
}

/// `regexp_replace(text, pattern, with [, flags])`
pub fn replace(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let letters = letters(args, 3)?;
    if letters.starts_with(|c: char| c.is_ascii_digit()) {
        // A digit here is meant as a start position, which wants a number.
        return Err(invalid(format!(
            "invalid regular expression option: \"{}\"",
            &letters[..1]
        ))
        .hint("If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly."));
    }
    let (flags, is_global) = flags_of(letters)?;
    let which = usize::from(!is_global);
    Replace {
        text: argument(args, 0)?,
        pattern: argument(args, 1)?,
        with: argument(args, 2)?,
        flags,
        from: 0,
        which,
    }
    .run()
}

fn position(value: i32, name: &str) -> SqlResult<usize> {
    if value < 1 {
        return Err(invalid(format!("invalid value for parameter \"{name}\": {value}")));
    }
    Ok(value as usize)
}

fn not_negative(value: i32, name: &str) -> SqlResult<usize> {
    usize::try_from(value).map_err(|_| invalid(format!("invalid value for parameter \"{name}\": {value}")))
}

fn optional(args: &[Datum], index: usize, default: i32) -> SqlResult<i32> {
    Ok(argument::<Option<i32>>(args, index)?.unwrap_or(default))
}

/// `regexp_replace(text, pattern, with, start [, n [, flags]])`
pub fn replace_nth(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let from = position(optional(args, 3, 1)?, "start")? - 1;
    let (flags, is_global) = flags_of(letters(args, 5)?)?;
    let which = match args.get(4) {
        Some(_) => not_negative(optional(args, 4, 1)?, "n")?,
        None => usize::from(!is_global),
    };
    Replace {
        text: argument(args, 0)?,
        pattern: argument(args, 1)?,
        with: argument(args, 2)?,
        flags,
        from,
        which,
    }
    .run()
}

/// `regexp_count(text, pattern [, start [, flags]])`
pub fn count(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let from = position(optional(args, 2, 1)?, "start")? - 1;
    let regex = compile(argument(args, 1)?, single_flags(letters(args, 3)?, "regexp_count")?)?;
    let found = matches(&Subject::new(argument(args, 0)?), &regex, from, usize::MAX)?;
    Ok(Datum::Int4(found.len() as i32))
}

/// `regexp_like(text, pattern [, flags])`
pub fn like(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let flags = single_flags(letters(args, 2)?, "regexp_like")?;
    compile(argument(args, 1)?, flags)?
        .is_match(argument(args, 0)?)
        .map(Datum::Bool)
}

/// The extent of the n-th match, or of one of its groups.
fn nth<'a>(
    args: &'a [Datum],
    flags_at: usize,
    group_at: usize,
    function: &str,
) -> SqlResult<(Subject<'a>, Option<(usize, usize)>)> {
    let from = position(optional(args, 2, 1)?, "start")? - 1;
    let which = position(optional(args, 3, 1)?, "n")?;
    let group = not_negative(optional(args, group_at, 0)?, "subexpr")?;
    let regex = compile(argument(args, 1)?, single_flags(letters(args, flags_at)?, function)?)?;
    let subject = Subject::new(argument(args, 0)?);
    let found = matches(&subject, &regex, from, which)?;
    let extent = found
        .get(which - 1)
        .and_then(|extents| extents.get(group).copied().flatten());
    Ok((subject, extent))
}

/// `regexp_instr(text, pattern [, start [, n [, end [, flags [, group]]]]])`
pub fn instr(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let wants_end = match optional(args, 4, 0)? {
        0 => false,
        1 => true,
        other => return Err(invalid(format!("invalid value for parameter \"endoption\": {other}"))),
    };
    let (_, extent) = nth(args, 5, 6, "regexp_instr")?;
    Ok(Datum::Int4(extent.map_or(0, |(start, end)| {
        (if wants_end { end } else { start }) as i32 + 1
    })))
}

/// `regexp_substr(text, pattern [, start [, n [, flags [, group]]]])`
pub fn substr(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (subject, extent) = nth(args, 4, 5, "regexp_substr")?;
    Ok(extent.map_or(Datum::Null, |extent| Datum::text(subject.slice(extent))))
}

/// `substring(text FROM pattern)`: the first group, or the match if there is none.
pub fn substring(text: &str, pattern: &str) -> SqlResult<Option<String>> {
    let regex = compile(pattern, Flags::default())?;
    let subject = Subject::new(text);
    let extents = subject.find(&regex, 0)?;
    let index = usize::from(regex.group_count() > 0);
    Ok(extents
        .and_then(|extents| extents[index])
        .map(|extent| subject.slice(extent).to_owned()))
}

/// `substring(text SIMILAR pattern ESCAPE escape)`
pub fn substring_similar(text: &str, pattern: &str, escape: &str) -> SqlResult<Option<String>> {
    substring(text, &similar::to_regex(pattern, Some(escape))?)
}

/// `similar_to_escape`
pub fn similar_to_escape(pattern: &str, escape: Option<&str>) -> SqlResult<String> {
    similar::to_regex(pattern, escape)
}

/// The old `similar_escape`, for which a NULL escape is the default one.
pub fn similar_escape(pattern: Option<&str>, escape: Option<&str>) -> SqlResult<Option<String>> {
    pattern.map(|pattern| similar::to_regex(pattern, escape)).transpose()
}
