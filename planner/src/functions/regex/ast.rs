//! The syntax tree of a regular expression.

/// A set of characters as sorted, disjoint ranges, or its complement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CharSet {
    ranges: Vec<(char, char)>,
}

impl CharSet {
    /// The set of one range.
    pub fn range(first: char, last: char) -> Self {
        Self {
            ranges: vec![(first, last)],
        }
    }

    /// Every character.
    pub fn all() -> Self {
        Self::range('\0', char::MAX)
    }

    /// Adds a range.
    pub fn add(&mut self, first: char, last: char) {
        self.ranges.push((first, last));
    }

    /// Adds a set.
    pub fn extend(&mut self, other: &CharSet) {
        self.ranges.extend(&other.ranges);
    }

    /// Sorts and joins the ranges.
    pub fn normalise(&mut self) {
        self.ranges.sort_unstable();
        let mut joined: Vec<(char, char)> = Vec::with_capacity(self.ranges.len());
        for &(first, last) in &self.ranges {
            match joined.last_mut() {
                Some((_, end)) if next(*end).is_none_or(|after| first <= after) => *end = (*end).max(last),
                _ => joined.push((first, last)),
            }
        }
        self.ranges = joined;
    }

    /// Everything that is not in the set.
    pub fn complement(&self) -> Self {
        let mut set = self.clone();
        set.normalise();
        let mut ranges = Vec::new();
        let mut from = Some('\0');
        for &(first, last) in &set.ranges {
            if let Some(from) = from
                && from < first
                && let Some(before) = previous(first)
            {
                ranges.push((from, before));
            }
            from = next(last);
        }
        if let Some(from) = from {
            ranges.push((from, char::MAX));
        }
        Self { ranges }
    }

    /// Adds the other case of every ASCII letter.
    pub fn fold_case(&mut self) {
        let letters: Vec<char> = ('a'..='z')
            .chain('A'..='Z')
            .filter(|letter| self.contains(*letter))
            .collect();
        for letter in letters {
            let other = if letter.is_ascii_lowercase() {
                letter.to_ascii_uppercase()
            } else {
                letter.to_ascii_lowercase()
            };
            self.add(other, other);
        }
        self.normalise();
    }

    /// Whether a character is in the set.
    pub fn contains(&self, c: char) -> bool {
        self.ranges.iter().any(|&(first, last)| (first..=last).contains(&c))
    }

    /// The ranges.
    pub fn ranges(&self) -> &[(char, char)] {
        &self.ranges
    }
}

fn next(c: char) -> Option<char> {
    match c {
        '\u{d7ff}' => Some('\u{e000}'),
        char::MAX => None,
        _ => char::from_u32(c as u32 + 1),
    }
}

fn previous(c: char) -> Option<char> {
    match c {
        '\u{e000}' => Some('\u{d7ff}'),
        '\0' => None,
        _ => char::from_u32(c as u32 - 1),
    }
}

/// A condition on a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assertion {
    /// `\A`, and `^` unless newline-sensitive.
    TextStart,
    /// `\Z`, and `$` unless newline-sensitive.
    TextEnd,
    /// `^` at the beginning of any line.
    LineStart,
    /// `$` at the end of any line.
    LineEnd,
    /// `\m`
    WordStart,
    /// `\M`
    WordEnd,
    /// `\y`
    WordBoundary,
    /// `\Y`
    NoWordBoundary,
}

/// Which match a subexpression would rather have, if it may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// Longest.
    Longer,
    /// Shortest.
    Shorter,
}

/// A node; `id` numbers the nodes of a tree, for memoising.
#[derive(Clone, Debug)]
pub struct Node {
    /// Number of the node.
    pub id: usize,
    /// What it matches.
    pub kind: Kind,
    /// What it prefers; `None` if it has no choice.
    pub preference: Option<Preference>,
    /// Whether a group or a back reference is inside: only then it matters how its match comes about.
    pub has_captures: bool,
}

/// What a node matches.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Nothing.
    Empty,
    /// One character of a set.
    Set(CharSet),
    /// One after the other.
    Sequence(Vec<Node>),
    /// One of them.
    Branches(Vec<Node>),
    /// A number of times.
    Repeat(Box<Node>, u32, Option<u32>),
    /// A capturing group.
    Group(usize, Box<Node>),
    /// What a group matched.
    Back(usize),
    /// A condition.
    Assert(Assertion),
    /// `(?=…)`, `(?!…)`, `(?<=…)`, `(?<!…)`
    Look {
        /// Before the position rather than after it.
        behind: bool,
        /// Must not match.
        negative: bool,
        /// What.
        node: Box<Node>,
    },
}
