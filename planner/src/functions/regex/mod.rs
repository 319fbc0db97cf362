//! Regular expressions: PostgreSQL's advanced ones, with POSIX's longest match, back references and lookaround.
//!
//! ```text
//!   pattern, flags ─ parse ─► tree ─ translate ─► crate regex: is there a match, where does the first begin?
//!                              └──── matcher ───► where does it end, what did each group match?
//! ```
//! Why not a crate alone: those at hand prefer the first branch that matches (`a|ab` gives `a`), PostgreSQL the longest
//! (`ab`), and mixes greedy and lazy parts by rules of its own.

mod ast;
mod functions;
mod matcher;
mod parse;
mod similar;
mod table;
mod translate;

use std::cell::RefCell;
use std::rc::Rc;

use crate::{SqlError, SqlResult, SqlState};
use ast::Node;
use matcher::{Extent, Matcher};

pub(super) use table::FUNCTIONS;

/// Options of a pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// Case does not matter.
    pub ignore_case: bool,
    /// `.` and negated brackets do not match a newline.
    pub newline_stops: bool,
    /// `^` and `$` match at lines.
    pub newline_anchors: bool,
    /// White space and comments are ignored.
    pub expanded: bool,
    /// The pattern is a literal.
    pub literal: bool,
    /// POSIX extended rather than advanced syntax.
    pub extended_syntax: bool,
}

impl Flags {
    /// Sets the flag of a letter; `false` if there is none of it.
    pub fn set(&mut self, letter: char) -> bool {
        match letter {
            'c' => self.ignore_case = false,
            'i' => self.ignore_case = true,
            'm' | 'n' => (self.newline_stops, self.newline_anchors) = (true, true),
            'p' => (self.newline_stops, self.newline_anchors) = (true, false),
            's' => (self.newline_stops, self.newline_anchors) = (false, false),
            'w' => (self.newline_stops, self.newline_anchors) = (false, true),
            'x' => self.expanded = true,
            't' => self.expanded = false,
            'q' => self.literal = true,
            'e' => self.extended_syntax = true,
            // Basic syntax is read as extended; its differences are all in what a backslash does.
            'b' => self.extended_syntax = true,
            _ => return false,
        }
        true
    }
}

/// A compiled pattern.
pub struct Regex {
    root: Node,
    group_count: usize,
    /// Finds where a match begins; absent if the pattern is beyond it.
    finder: Option<regex::Regex>,
}

/// Patterns a thread keeps compiled.
const CACHE_SIZE: usize = 32;

/// Bytes the finder of one pattern may take.
const FINDER_BYTES_MAX: usize = 16 << 20;

thread_local! {
    static CACHE: RefCell<Vec<(String, Flags, Rc<Regex>)>> = const { RefCell::new(Vec::new()) };
}

fn invalid(reason: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_REGULAR_EXPRESSION,
        format!("invalid regular expression: {reason}"),
    )
}

fn too_complex() -> SqlError {
    SqlError::new(
        SqlState::INVALID_REGULAR_EXPRESSION,
        "regular expression failed: regular expression is too complex",
    )
}

/// The compiled form of a pattern, from the thread's cache if it was used lately.
pub fn compile(pattern: &str, flags: Flags) -> SqlResult<Rc<Regex>> {
    CACHE.with_borrow_mut(|cache| {
        if let Some(at) = cache.iter().position(|(text, own, _)| text == pattern && *own == flags) {
            // Recently used patterns stand in front.
            let entry = cache.remove(at);
            let found = entry.2.clone();
            cache.insert(0, entry);
            return Ok(found);
        }
        let regex = Rc::new(Regex::new(pattern, flags)?);
        cache.insert(0, (pattern.to_owned(), flags, regex.clone()));
        cache.truncate(CACHE_SIZE);
        Ok(regex)
    })
}

impl Regex {
    fn new(pattern: &str, flags: Flags) -> SqlResult<Regex> {
        let (root, group_count, _) = parse::parse(pattern, flags).map_err(invalid)?;
        let finder = translate::translate(&root).and_then(|text| {
            regex::RegexBuilder::new(&text)
                .size_limit(FINDER_BYTES_MAX)
                .build()
                .ok()
        });
        Ok(Regex {
            root,
            group_count,
            finder,
        })
    }

    /// Number of capturing groups.
    pub fn group_count(&self) -> usize {
        self.group_count
    }

    /// Whether the pattern matches anywhere.
    pub fn is_match(&self, text: &str) -> SqlResult<bool> {
        match &self.finder {
            Some(finder) => Ok(finder.is_match(text)),
            None => Ok(Subject::new(text).find(self, 0)?.is_some()),
        }
    }
}

/// A text that is searched, with its characters.
pub struct Subject<'a> {
    text: &'a str,
    chars: Vec<char>,
    /// Byte offset of each character, and of the end; absent for ASCII, where both count alike.
    offsets: Option<Vec<usize>>,
}

impl<'a> Subject<'a> {
    /// Prepares a text.
    pub fn new(text: &'a str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let offsets = (chars.len() != text.len()).then(|| {
            text.char_indices()
                .map(|(at, _)| at)
                .chain(std::iter::once(text.len()))
                .collect()
        });
        Self { text, chars, offsets }
    }

    /// Number of characters.
    pub fn len(&self) -> usize {
        self.chars.len()
    }

    fn byte_of(&self, character: usize) -> usize {
        self.offsets.as_ref().map_or(character, |offsets| offsets[character])
    }

    fn character_of(&self, byte: usize) -> usize {
        self.offsets
            .as_ref()
            .map_or(byte, |offsets| offsets.binary_search(&byte).unwrap_or(0))
    }

    /// The text of an extent.
    pub fn slice(&self, (start, end): (usize, usize)) -> &'a str {
        &self.text[self.byte_of(start)..self.byte_of(end)]
    }

    /// The first match that begins at or after a character position: extents of the whole and of each group.
    ///
    /// # Errors
    /// 2201B if back references take too long.
    pub fn find(&self, regex: &Regex, from: usize) -> SqlResult<Option<Vec<Extent>>> {
        if from > self.chars.len() {
            return Ok(None);
        }
        let mut matcher = Matcher::new(&regex.root, regex.group_count, &self.chars);
        let mut start = from;
        while start <= self.chars.len() {
            if let Some(finder) = &regex.finder {
                let Some(found) = finder.find_at(self.text, self.byte_of(start)) else {
                    return Ok(None);
                };
                start = self.character_of(found.start());
            }
            if let Some(extents) = matcher.match_at(&regex.root, start).map_err(|()| too_complex())? {
                return Ok(Some(extents));
            }
            start += 1;
            if regex.finder.is_some() {
                matcher.forget();
            }
        }
        Ok(None)
    }
}
