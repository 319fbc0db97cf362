//! Matcher: how a match comes about, with PostgreSQL's preferences.
//!
//! As in Spencer's package there are two steps. `ends` says where a subexpression that begins at a position may end,
//! without regard to captures; `dissect` then takes a match of known extent apart, each part taking the longest or
//! shortest share it prefers, left before right, and this sets the captures. Both are bounded by memoising `ends` per node
//! and position, so no pattern takes exponential time unless it has back references.

use std::collections::HashMap;
use std::rc::Rc;

use super::ast::{Assertion, Kind, Node, Preference};

/// Extent of a group: half-open character positions.
pub type Extent = Option<(usize, usize)>;

/// Steps a match may take before it is given up, so that back references cannot run for ever.
const STEPS_MAX: u64 = 50_000_000;

/// Matching one pattern against one text.
pub struct Matcher<'a> {
    text: &'a [char],
    groups: Vec<Option<&'a Node>>,
    memo: HashMap<(usize, usize), Rc<[usize]>, ahash::RandomState>,
    captures: Vec<Extent>,
    steps: u64,
}

impl<'a> Matcher<'a> {
    /// A matcher for a text. The root is needed to find the groups that back references stand for.
    pub fn new(root: &'a Node, group_count: usize, text: &'a [char]) -> Self {
        let mut groups = vec![None; group_count + 1];
        collect_groups(root, &mut groups);
        Self {
            text,
            groups,
            memo: HashMap::default(),
            captures: vec![None; group_count + 1],
            steps: 0,
        }
    }

    /// Forgets what was learnt about earlier positions.
    pub fn forget(&mut self) {
        self.memo.clear();
    }

    /// The match that begins at a position, as the extents of the whole and of each group. `Err` if it took too long.
    pub fn match_at(&mut self, root: &'a Node, start: usize) -> Result<Option<Vec<Extent>>, ()> {
        let ends = self.ends(root, start)?;
        let shortest = root.preference == Some(Preference::Shorter);
        for index in 0..ends.len() {
            let end = if shortest {
                ends[index]
            } else {
                ends[ends.len() - 1 - index]
            };
            self.captures.fill(None);
            if !root.has_captures || self.dissect(root, start, end)? {
                let mut extents = self.captures.clone();
                extents[0] = Some((start, end));
                return Ok(Some(extents));
            }
        }
        Ok(None)
    }

    fn step(&mut self, cost: usize) -> Result<(), ()> {
        self.steps += 1 + cost as u64;
        if self.steps > STEPS_MAX { Err(()) } else { Ok(()) }
    }

    /// Positions at which a node that begins at `start` may end, ascending.
    fn ends(&mut self, node: &'a Node, start: usize) -> Result<Rc<[usize]>, ()> {
        if let Some(found) = self.memo.get(&(node.id, start)) {
            return Ok(found.clone());
        }
        let mut found: Vec<usize> = match &node.kind {
            Kind::Empty => vec![start],
            Kind::Set(set) => match self.text.get(start) {
                Some(&c) if set.contains(c) => vec![start + 1],
                _ => Vec::new(),
            },
            Kind::Sequence(parts) => {
                let mut at = vec![start];
                for part in parts {
                    at = self.after(part, &at)?;
                    if at.is_empty() {
                        break;
                    }
                }
                at
            }
            Kind::Branches(branches) => {
                let mut at = Vec::new();
                for branch in branches {
                    at.extend(self.ends(branch, start)?.iter());
                }
                at
            }
            Kind::Repeat(inner, min, max) => self.repeated(inner, *min, *max, start)?,
            Kind::Group(_, inner) => self.ends(inner, start)?.to_vec(),
            // Any text the group could match; dissecting compares with the one it did.
            Kind::Back(number) => match self.groups.get(*number).copied().flatten() {
                Some(group) => self.ends(group, start)?.to_vec(),
                None => Vec::new(),
            },
            Kind::Assert(assertion) => {
                if self.holds(*assertion, start) {
                    vec![start]
                } else {
                    Vec::new()
                }
            }
            Kind::Look { behind, negative, node } => {
                let is_found = if *behind {
                    let mut is_found = false;
                    for from in 0..=start {
                        if self.ends(node, from)?.binary_search(&start).is_ok() {
                            is_found = true;
                            break;
                        }
                    }
                    is_found
                } else {
                    !self.ends(node, start)?.is_empty()
                };
                if is_found == *negative { Vec::new() } else { vec![start] }
            }
        };
        found.sort_unstable();
        found.dedup();
        self.step(found.len())?;
        let found: Rc<[usize]> = found.into();
        self.memo.insert((node.id, start), found.clone());
        Ok(found)
    }

    /// Ends of a node that begins at any of some positions.
    fn after(&mut self, node: &'a Node, starts: &[usize]) -> Result<Vec<usize>, ()> {
        if let [start] = starts {
            return Ok(self.ends(node, *start)?.to_vec());
        }
        let mut found = Vec::new();
        for &start in starts {
            if let Kind::Set(set) = &node.kind {
                // One character: not worth remembering.
                if self.text.get(start).is_some_and(|&c| set.contains(c)) {
                    found.push(start + 1);
                }
            } else {
                found.extend(self.ends(node, start)?.iter());
            }
        }
        self.step(starts.len())?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn repeated(&mut self, inner: &'a Node, min: u32, max: Option<u32>, start: usize) -> Result<Vec<usize>, ()> {
        if let Kind::Set(set) = &inner.kind {
            let most = max.map_or(usize::MAX, |max| max as usize);
            let run = self.text[start..]
                .iter()
                .take(most)
                .take_while(|&&c| set.contains(c))
                .count();
            self.step(run)?;
            return Ok((start + min as usize..start + run + 1).collect());
        }
        let mut at = vec![start];
        for _ in 0..min {
            at = self.after(inner, &at)?;
            if at.is_empty() {
                return Ok(at);
            }
        }
        let mut all: std::collections::BTreeSet<usize> = at.iter().copied().collect();
        let mut count = min;
        while max.is_none_or(|max| count < max) {
            let next: Vec<usize> = self
                .after(inner, &at)?
                .into_iter()
                .filter(|end| all.insert(*end))
                .collect();
            if next.is_empty() {
                break;
            }
            at = next;
            count += 1;
        }
        Ok(all.into_iter().collect())
    }

    fn is_match(&mut self, node: &'a Node, start: usize, end: usize) -> Result<bool, ()> {
        Ok(self.ends(node, start)?.binary_search(&end).is_ok())
    }

    /// Takes a match of known extent apart and sets the captures. `false` if a back reference does not hold.
    fn dissect(&mut self, node: &'a Node, start: usize, end: usize) -> Result<bool, ()> {
        self.step(0)?;
        if !node.has_captures {
            return self.is_match(node, start, end);
        }
        match &node.kind {
            Kind::Group(number, inner) => {
                let before = self.captures[*number];
                if !self.dissect(inner, start, end)? {
                    self.captures[*number] = before;
                    return Ok(false);
                }
                self.captures[*number] = Some((start, end));
                Ok(true)
            }
            Kind::Back(number) => Ok(match self.captures.get(*number).copied().flatten() {
                Some((from, to)) => self.text[from..to] == self.text[start..end],
                None => false,
            }),
            Kind::Sequence(parts) => self.dissect_sequence(parts, start, end),
            Kind::Branches(branches) => {
                for branch in branches {
                    let before = self.captures.clone();
                    if self.is_match(branch, start, end)? && self.dissect(branch, start, end)? {
                        return Ok(true);
                    }
                    self.captures = before;
                }
                Ok(false)
            }
            Kind::Repeat(inner, min, max) => self.dissect_repeat(inner, *min, *max, start, end, 0),
            Kind::Empty | Kind::Set(_) | Kind::Assert(_) | Kind::Look { .. } => self.is_match(node, start, end),
        }
    }

    /// Ends in the order a part prefers them.
    fn preferred(&mut self, node: &'a Node, start: usize, end: usize, shortest: bool) -> Result<Vec<usize>, ()> {
        let mut ends: Vec<usize> = self
            .ends(node, start)?
            .iter()
            .copied()
            .filter(|&at| at <= end)
            .collect();
        if !shortest {
            ends.reverse();
        }
        Ok(ends)
    }

    fn dissect_sequence(&mut self, parts: &'a [Node], start: usize, end: usize) -> Result<bool, ()> {
        let [first, rest @ ..] = parts else {
            return Ok(start == end);
        };
        if rest.is_empty() {
            return Ok(self.is_match(first, start, end)? && self.dissect(first, start, end)?);
        }
        let shortest = first.preference == Some(Preference::Shorter);
        for middle in self.preferred(first, start, end, shortest)? {
            if !self.rest_matches(rest, middle, end)? {
                continue;
            }
            let before = self.captures.clone();
            if self.dissect(first, start, middle)? && self.dissect_sequence(rest, middle, end)? {
                return Ok(true);
            }
            self.captures = before;
        }
        Ok(false)
    }

    fn rest_matches(&mut self, rest: &'a [Node], start: usize, end: usize) -> Result<bool, ()> {
        let mut at = vec![start];
        for part in rest {
            at = self.after(part, &at)?;
        }
        Ok(at.binary_search(&end).is_ok())
    }

    fn dissect_repeat(
        &mut self,
        inner: &'a Node,
        min: u32,
        max: Option<u32>,
        start: usize,
        end: usize,
        count: u32,
    ) -> Result<bool, ()> {
        self.step(0)?;
        if start == end && count >= min {
            return Ok(true);
        }
        if max.is_some_and(|max| count >= max) || count as usize > self.text.len() + min as usize {
            return Ok(false);
        }
        let inner_shortest = inner.preference == Some(Preference::Shorter);
        for middle in self.preferred(inner, start, end, inner_shortest)? {
            // An empty turn is only taken to reach the least count.
            if middle == start && count >= min {
                continue;
            }
            let left = (min.saturating_sub(count + 1), max.map(|max| max - count - 1));
            if self
                .repeated(inner, left.0, left.1, middle)?
                .binary_search(&end)
                .is_err()
            {
                continue;
            }
            let before = self.captures.clone();
            if self.dissect(inner, start, middle)? && self.dissect_repeat(inner, min, max, middle, end, count + 1)? {
                return Ok(true);
            }
            self.captures = before;
        }
        Ok(false)
    }

    fn holds(&self, assertion: Assertion, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|index| self.text.get(index)).copied();
        let after = self.text.get(at).copied();
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        match assertion {
            Assertion::TextStart => before.is_none(),
            Assertion::TextEnd => after.is_none(),
            Assertion::LineStart => before.is_none_or(|c| c == '\n'),
            Assertion::LineEnd => after.is_none_or(|c| c == '\n'),
            Assertion::WordStart => !is_word(before) && is_word(after),
            Assertion::WordEnd => is_word(before) && !is_word(after),
            Assertion::WordBoundary => is_word(before) != is_word(after),
            Assertion::NoWordBoundary => is_word(before) == is_word(after),
        }
    }
}

fn collect_groups<'a>(node: &'a Node, groups: &mut [Option<&'a Node>]) {
    match &node.kind {
        Kind::Group(number, inner) => {
            groups[*number] = Some(inner);
            collect_groups(inner, groups);
        }
        Kind::Sequence(parts) | Kind::Branches(parts) => parts.iter().for_each(|part| collect_groups(part, groups)),
        Kind::Repeat(inner, _, _) | Kind::Look { node: inner, .. } => collect_groups(inner, groups),
        Kind::Empty | Kind::Set(_) | Kind::Back(_) | Kind::Assert(_) => {}
    }
}
