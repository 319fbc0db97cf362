//! Parser of PostgreSQL's regular expressions: advanced (the default), extended, and literal ones.

use super::Flags;
use super::ast::{Assertion, CharSet, Kind, Node, Preference};

/// Largest number in `{m,n}` (DUPMAX).
const REPEAT_MAX: u32 = 255;

/// Deepest nesting of parentheses: beyond it matching would exhaust the stack.
const DEPTH_MAX: usize = 200;

/// Why a pattern is no regular expression; PostgreSQL's words.
pub type Fault = &'static str;

/// The tree of a pattern and its number of groups.
pub fn parse(pattern: &str, mut flags: Flags) -> Result<(Node, usize, Flags), Fault> {
    let mut text = pattern;
    if !flags.literal {
        if let Some(rest) = text.strip_prefix("***=") {
            flags.literal = true;
            text = rest;
        } else if let Some(rest) = text.strip_prefix("***:") {
            flags.extended_syntax = false;
            text = rest;
        } else if text.starts_with("***") {
            return Err("invalid regular expression");
        }
    }
    if !flags.literal
        && !flags.extended_syntax
        && let Some(options) = text.strip_prefix("(?")
        && options.starts_with(|c: char| c.is_ascii_alphabetic())
    {
        let end = options.find(')').ok_or("invalid embedded option")?;
        if !options[..end].chars().all(|option| flags.set(option)) {
            return Err("invalid embedded option");
        }
        text = &options[end + 1..];
    }
    let mut parser = Parser {
        rest: text,
        flags,
        next_id: 0,
        groups: 0,
        closed: Vec::new(),
        depth: 0,
    };
    let root = if flags.literal {
        parser.literal()
    } else {
        parser.alternatives()?
    };
    if !parser.rest.is_empty() {
        return Err("parentheses () not balanced");
    }
    let groups = parser.groups;
    Ok((root, groups, parser.flags))
}

struct Parser<'a> {
    rest: &'a str,
    flags: Flags,
    next_id: usize,
    groups: usize,
    /// Groups whose closing parenthesis was read: only these can be referred to.
    closed: Vec<usize>,
    depth: usize,
}

impl Parser<'_> {
    fn node(&mut self, kind: Kind, preference: Option<Preference>) -> Node {
        let has_captures = match &kind {
            Kind::Empty | Kind::Set(_) | Kind::Assert(_) => false,
            Kind::Sequence(parts) | Kind::Branches(parts) => parts.iter().any(|part| part.has_captures),
            Kind::Repeat(inner, _, _) => inner.has_captures,
            Kind::Group(..) | Kind::Back(_) => true,
            // What is looked at leaves no captures behind.
            Kind::Look { .. } => false,
        };
        let id = self.next_id;
        self.next_id += 1;
        Node {
            id,
            kind,
            preference,
            has_captures,
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn accept(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self) -> Node {
        let chars: Vec<char> = std::mem::take(&mut self.rest).chars().collect();
        let parts = chars.into_iter().map(|c| self.single(c)).collect();
        self.sequence(parts)
    }

    fn single(&mut self, c: char) -> Node {
        self.set(CharSet::range(c, c))
    }

    fn set(&mut self, mut set: CharSet) -> Node {
        if self.flags.ignore_case {
            set.fold_case();
        }
        self.node(Kind::Set(set), None)
    }

    fn sequence(&mut self, mut parts: Vec<Node>) -> Node {
        match parts.len() {
            0 => self.node(Kind::Empty, None),
            1 => parts.remove(0),
            _ => {
                // A branch prefers what its first part with a choice prefers.
                let preference = parts.iter().find_map(|part| part.preference);
                self.node(Kind::Sequence(parts), preference)
            }
        }
    }

    fn alternatives(&mut self) -> Result<Node, Fault> {
        let mut branches = vec![self.branch()?];
        while self.accept("|") {
            branches.push(self.branch()?);
        }
        if branches.len() == 1 {
            return Ok(branches.remove(0));
        }
        Ok(self.node(Kind::Branches(branches), Some(Preference::Longer)))
    }

    fn branch(&mut self) -> Result<Node, Fault> {
        let mut parts = Vec::new();
        loop {
            self.skip_ignored()?;
            match self.peek() {
                None | Some('|') => break,
                Some(')') if self.depth > 0 => break,
                Some(')') if !self.flags.extended_syntax => return Err("parentheses () not balanced"),
                Some(_) => {}
            }
            let atom = self.atom()?;
            self.skip_ignored()?;
            parts.push(self.quantified(atom)?);
        }
        Ok(self.sequence(parts))
    }

    /// White space and comments of expanded syntax, and `(?#…)`.
    fn skip_ignored(&mut self) -> Result<(), Fault> {
        loop {
            if self.flags.expanded {
                self.rest = self.rest.trim_start();
                if self.rest.starts_with('#') {
                    self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
                    continue;
                }
            }
            if !self.flags.extended_syntax && self.rest.starts_with("(?#") {
                let end = self.rest.find(')').ok_or("parentheses () not balanced")?;
                self.rest = &self.rest[end + 1..];
                continue;
            }
            return Ok(());
        }
    }

    fn quantified(&mut self, atom: Node) -> Result<Node, Fault> {
        let (min, max) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') if self.starts_bound() => return self.bounded(atom),
            _ => return Ok(atom),
        };
        self.take();
        self.repeat(atom, min, max, false)
    }

    /// A brace is a bound only if a digit follows.
    fn starts_bound(&self) -> bool {
        self.rest[1..].starts_with(|c: char| c.is_ascii_digit())
    }

    fn bounded(&mut self, atom: Node) -> Result<Node, Fault> {
        self.take();
        let min = self.number()?;
        let is_fixed = !self.accept(",");
        let max = if is_fixed {
            Some(min)
        } else if self.peek() == Some('}') {
            None
        } else {
            Some(self.number()?)
        };
        if max.is_some_and(|max| max < min) {
            return Err("invalid repetition count(s)");
        }
        if !self.accept("}") {
            return Err(if self.rest.is_empty() {
                "braces {} not balanced"
            } else {
                "invalid repetition count(s)"
            });
        }
        self.repeat(atom, min, max, is_fixed)
    }

    fn number(&mut self) -> Result<u32, Fault> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        number
            .parse()
            .ok()
            .filter(|&number| number <= REPEAT_MAX)
            .ok_or("invalid repetition count(s)")
    }

    fn repeat(&mut self, atom: Node, min: u32, max: Option<u32>, is_fixed: bool) -> Result<Node, Fault> {
        if matches!(atom.kind, Kind::Assert(_) | Kind::Look { .. }) {
            return Err("quantifier operand invalid");
        }
        let is_lazy = !self.flags.extended_syntax && self.accept("?");
        // Another quantifier has nothing to apply to.
        self.skip_ignored()?;
        let another = matches!(self.peek(), Some('*' | '+' | '?')) || self.peek() == Some('{') && self.starts_bound();
        if another {
            return Err("quantifier operand invalid");
        }
        // `{m}` has no choice of its own; `{m,m}` says what it prefers all the same.
        let preference = if is_fixed {
            atom.preference
        } else if is_lazy {
            Some(Preference::Shorter)
        } else {
            Some(Preference::Longer)
        };
        Ok(self.node(Kind::Repeat(Box::new(atom), min, max), preference))
    }

    fn atom(&mut self) -> Result<Node, Fault> {
        let c = self.take().ok_or("invalid regular expression")?;
        match c {
            '(' => self.parenthesis(),
            '[' => self.bracket(),
            '.' => {
                let mut set = CharSet::all();
                if self.flags.newline_stops {
                    set = CharSet::range('\n', '\n').complement();
                }
                Ok(self.node(Kind::Set(set), None))
            }
            '^' => {
                let kind = if self.flags.newline_anchors {
                    Assertion::LineStart
                } else {
                    Assertion::TextStart
                };
                Ok(self.node(Kind::Assert(kind), None))
            }
            '$' => {
                let kind = if self.flags.newline_anchors {
                    Assertion::LineEnd
                } else {
                    Assertion::TextEnd
                };
                Ok(self.node(Kind::Assert(kind), None))
            }
            '*' | '+' | '?' => Err("quantifier operand invalid"),
            '{' if self.rest.starts_with(|c: char| c.is_ascii_digit()) => Err("quantifier operand invalid"),
            '\\' => self.escape(),
            c => Ok(self.single(c)),
        }
    }

    fn parenthesis(&mut self) -> Result<Node, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("regular expression is too complex");
        }
        let look = |behind, negative| Some((behind, negative));
        let (group, condition) = if self.flags.extended_syntax {
            (true, None)
        } else if self.accept("?:") {
            (false, None)
        } else if self.accept("?=") {
            (false, look(false, false))
        } else if self.accept("?!") {
            (false, look(false, true))
        } else if self.accept("?<=") {
            (false, look(true, false))
        } else if self.accept("?<!") {
            (false, look(true, true))
        } else if self.rest.starts_with('?') {
            return Err("quantifier operand invalid");
        } else {
            (true, None)
        };
        let number = if group {
            self.groups += 1;
            self.groups
        } else {
            0
        };
        let inner = self.alternatives()?;
        if !self.accept(")") {
            return Err("parentheses () not balanced");
        }
        self.depth -= 1;
        if let Some((behind, negative)) = condition {
            return Ok(self.node(
                Kind::Look {
                    behind,
                    negative,
                    node: Box::new(inner),
                },
                None,
            ));
        }
        if !group {
            return Ok(inner);
        }
        self.closed.push(number);
        let preference = inner.preference;
        Ok(self.node(Kind::Group(number, Box::new(inner)), preference))
    }

    fn escape(&mut self) -> Result<Node, Fault> {
        let c = self.take().ok_or("invalid escape \\ sequence")?;
        if self.flags.extended_syntax || !c.is_ascii_alphanumeric() {
            return Ok(self.single(c));
        }
        let assertion = match c {
            'A' => Assertion::TextStart,
            'Z' => Assertion::TextEnd,
            'm' => Assertion::WordStart,
            'M' => Assertion::WordEnd,
            'y' => Assertion::WordBoundary,
            'Y' => Assertion::NoWordBoundary,
            '1'..='9' => return self.back_reference(c),
            _ => {
                if let Some(set) = class_escape(c, self.flags.newline_stops) {
                    return Ok(self.set(set));
                }
                let c = self.character_escape(c)?;
                return Ok(self.single(c));
            }
        };
        Ok(self.node(Kind::Assert(assertion), None))
    }

    /// `\1`; two digits are one reference if there are that many groups, else a character in octal.
    fn back_reference(&mut self, first: char) -> Result<Node, Fault> {
        let extra = self.rest.bytes().take_while(u8::is_ascii_digit).count().min(2);
        let digits = format!("{first}{}", &self.rest[..extra]);
        let number: usize = digits.parse().map_err(|_| "invalid backreference number")?;
        if extra > 0 && number <= self.groups {
            self.rest = &self.rest[extra..];
        } else if extra > 0 {
            // Octal, unless the first digit cannot be.
            let octal = digits.bytes().take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            if octal >= 2 {
                self.rest = &self.rest[octal - 1..];
                let code = u32::from_str_radix(&digits[..octal], 8).map_err(|_| "invalid escape \\ sequence")?;
                let c = char::from_u32(code).ok_or("invalid escape \\ sequence")?;
                return Ok(self.single(c));
            }
        }
        let number = if extra > 0 && number <= self.groups {
            number
        } else {
            first as usize - '0' as usize
        };
        if !self.closed.contains(&number) {
            return Err("invalid backreference number");
        }
        Ok(self.node(Kind::Back(number), None))
    }

    /// The character of `\n`, `\u1234`, `\x41` and the like; `c` follows the backslash.
    fn character_escape(&mut self, c: char) -> Result<char, Fault> {
        const INVALID: Fault = "invalid escape \\ sequence";
        Ok(match c {
            'a' => '\x07',
            'b' => '\x08',
            'B' => '\\',
            'c' => {
                let control = self.take().ok_or(INVALID)?;
                char::from((control as u32 & 0x1f) as u8)
            }
            'e' => '\x1b',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'u' => self.hexadecimal(4, 4)?,
            'U' => self.hexadecimal(8, 8)?,
            'x' => self.hexadecimal(1, usize::MAX)?,
            '0'..='7' => {
                let extra = self
                    .rest
                    .bytes()
                    .take_while(|byte| (b'0'..=b'7').contains(byte))
                    .count()
                    .min(2);
                let digits = format!("{c}{}", &self.rest[..extra]);
                self.rest = &self.rest[extra..];
                u32::from_str_radix(&digits, 8)
                    .ok()
                    .and_then(char::from_u32)
                    .ok_or(INVALID)?
            }
            _ => return Err(INVALID),
        })
    }

    fn hexadecimal(&mut self, least: usize, most: usize) -> Result<char, Fault> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_hexdigit).count().min(most);
        if digits < least {
            return Err("invalid escape \\ sequence");
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        u32::from_str_radix(number, 16)
            .ok()
            .and_then(char::from_u32)
            .ok_or("invalid escape \\ sequence")
    }

    fn bracket(&mut self) -> Result<Node, Fault> {
        for (spelling, assertion) in [("[:<:]]", Assertion::WordStart), ("[:>:]]", Assertion::WordEnd)] {
            if self.accept(spelling) {
                return Ok(self.node(Kind::Assert(assertion), None));
            }
        }
        const UNBALANCED: Fault = "brackets [] not balanced";
        let is_negative = self.accept("^");
        let mut set = CharSet::default();
        let mut is_first = true;
        loop {
            let c = self.peek().ok_or(UNBALANCED)?;
            if c == ']' && !is_first {
                self.take();
                break;
            }
            is_first = false;
            let Some(first) = self.bracket_item(&mut set)? else {
                continue;
            };
            let is_range = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            if !is_range {
                set.add(first, first);
                continue;
            }
            self.take();
            if self.rest.is_empty() {
                return Err(UNBALANCED);
            }
            let last = self
                .bracket_item(&mut CharSet::default())?
                .ok_or("invalid character range")?;
            if last < first {
                return Err("invalid character range");
            }
            set.add(first, last);
        }
        if self.flags.ignore_case {
            set.fold_case();
        }
        if is_negative {
            if self.flags.newline_stops {
                set.add('\n', '\n');
            }
            set = set.complement();
        }
        set.normalise();
        Ok(self.node(Kind::Set(set), None))
    }

    /// One character of a bracket expression, or `None` for a class, which goes to the set.
    fn bracket_item(&mut self, set: &mut CharSet) -> Result<Option<char>, Fault> {
        const UNBALANCED: Fault = "brackets [] not balanced";
        if self.accept("[:") {
            let end = self.rest.find(":]").ok_or(UNBALANCED)?;
            set.extend(&named_class(&self.rest[..end]).ok_or("invalid character class")?);
            self.rest = &self.rest[end + 2..];
            return Ok(None);
        }
        for (open, close) in [("[=", "=]"), ("[.", ".]")] {
            if self.accept(open) {
                let end = self.rest.find(close).ok_or(UNBALANCED)?;
                let c = collating_element(&self.rest[..end]).ok_or("invalid collating element")?;
                self.rest = &self.rest[end + 2..];
                if open == "[=" {
                    set.add(c, c);
                    return Ok(None);
                }
                return Ok(Some(c));
            }
        }
        let c = self.take().ok_or(UNBALANCED)?;
        if c != '\\' || self.flags.extended_syntax {
            return Ok(Some(c));
        }
        let c = self.take().ok_or("invalid escape \\ sequence")?;
        if !c.is_ascii_alphanumeric() {
            return Ok(Some(c));
        }
        if let Some(class) = class_escape(c, self.flags.newline_stops) {
            set.extend(&class);
            return Ok(None);
        }
        self.character_escape(c).map(Some)
    }
}

/// `\d \s \w` and their complements, in the C locale.
fn class_escape(c: char, newline_stops: bool) -> Option<CharSet> {
    let name = match c.to_ascii_lowercase() {
        'd' => "digit",
        's' => "space",
        'w' => "word",
        _ => return None,
    };
    let mut set = named_class(name)?;
    if c.is_ascii_uppercase() {
        if newline_stops && c != 'S' {
            set.add('\n', '\n');
        }
        set = set.complement();
    }
    Some(set)
}

fn named_class(name: &str) -> Option<CharSet> {
    let ranges: &[(char, char)] = match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        "word" => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        _ => return None,
    };
    let mut set = CharSet::default();
    for &(first, last) in ranges {
        set.add(first, last);
    }
    Some(set)
}

fn collating_element(name: &str) -> Option<char> {
    let mut chars = name.chars();
    let first = chars.next()?;
    if chars.next().is_none() {
        return Some(first);
    }
    Some(match name {
        "NUL" => '\0',
        "tab" => '\t',
        "newline" => '\n',
        "space" => ' ',
        "hyphen" | "hyphen-minus" => '-',
        "period" | "full-stop" => '.',
        "slash" | "solidus" => '/',
        "backslash" | "reverse-solidus" => '\\',
        "left-square-bracket" => '[',
        "right-square-bracket" => ']',
        "circumflex" | "circumflex-accent" => '^',
        "underscore" | "low-line" => '_',
        _ => return None,
    })
}
