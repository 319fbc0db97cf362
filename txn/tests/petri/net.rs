//! Net: places, transitions, and what can be computed of them: incidence matrix, place invariants, reachable markings.
//!
//! All nets here are one-safe: a place has no token or one, so a marking is a set of bits. A message is a pair of places, on
//! its way or not, so that sending waits for room and nothing is unbounded.

use std::collections::{BTreeMap, HashMap};

/// A set of marked places.
pub type Marking = u128;

/// More markings than any net here has.
const MARKINGS_MAX: usize = 1_000_000;

/// A transition: what it needs, and what is marked when it has fired.
#[derive(Clone, Debug)]
pub struct Transition {
    /// Its name.
    pub name: String,
    /// Places that lose their token or are looked at.
    pub takes: Marking,
    /// Places that have a token afterwards.
    pub puts: Marking,
}

/// A Petri net.
#[derive(Clone, Debug, Default)]
pub struct Net {
    /// Names of places.
    pub places: Vec<String>,
    /// Transitions.
    pub transitions: Vec<Transition>,
    /// What is marked at the beginning.
    pub start: Marking,
    /// Places of which exactly one is to be marked, always.
    pub sums: Vec<Marking>,
    messages: Vec<String>,
}

impl Net {
    /// Reads a net; the language is explained in `docs/verification/commit.net`.
    pub fn parse(text: &str) -> Result<Net, String> {
        let mut net = Net::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let is_one_of_each = line.contains(':') || line.starts_with("sum");
            let copies: Vec<String> = if is_one_of_each && line.contains("{i}") {
                vec![line.replace("{i}", "1"), line.replace("{i}", "2")]
            } else {
                vec![line.to_owned()]
            };
            for line in copies {
                net.line(&line).map_err(|error| format!("{error}: {line}"))?;
            }
        }
        for message in net.messages.clone() {
            net.line(&format!("lose_{message}: {message} ->"))?;
        }
        Ok(net)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some((name, arcs)) = line.split_once(':') {
            return self.transition(name, arcs);
        }
        let mut words = line.split_whitespace();
        let kind = words.next().ok_or("an empty line")?;
        let words = words.flat_map(|word| match word.contains("{i}") {
            true => vec![word.replace("{i}", "1"), word.replace("{i}", "2")],
            false => vec![word.to_owned()],
        });
        match kind {
            "place" => words.for_each(|word| self.place(&word)),
            "message" => words.for_each(|word| {
                self.place(&word);
                self.place(&format!("*{word}.none"));
                let pair = self.bits([word.as_str(), &format!("{word}.none")]).unwrap_or_default();
                self.sums.push(pair);
                self.messages.push(word);
            }),
            "sum" => {
                let words: Vec<String> = words.collect();
                let places = self.bits(words.iter().map(String::as_str))?;
                self.sums.push(places);
            }
            other => return Err(format!("no such line: {other}")),
        }
        Ok(())
    }

    fn place(&mut self, word: &str) {
        let name = word.trim_start_matches('*');
        if word.starts_with('*') {
            self.start |= 1 << self.places.len();
        }
        self.places.push(name.to_owned());
        assert!(self.places.len() <= Marking::BITS as usize, "too many places");
    }

    /// The places of these names.
    pub fn bits<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Marking, String> {
        names.into_iter().try_fold(0, |bits, name| {
            let place = self.places.iter().position(|place| place == name);
            Ok(bits | 1 << place.ok_or_else(|| format!("no place {name}"))?)
        })
    }

    fn transition(&mut self, name: &str, arcs: &str) -> Result<(), String> {
        let (from, to) = arcs.split_once("->").ok_or("a transition has an arrow")?;
        let mut takes = self.bits(from.split_whitespace())?;
        let mut puts = self.bits(to.split_whitespace())?;
        for message in &self.messages {
            let (sent, none) = (
                self.bits([message.as_str()])?,
                self.bits([format!("{message}.none").as_str()])?,
            );
            match (takes & sent != 0, puts & sent != 0) {
                (true, false) => puts |= none,
                (false, true) => takes |= none,
                _ => {}
            }
        }
        self.transitions.push(Transition {
            name: name.trim().to_owned(),
            takes,
            puts,
        });
        Ok(())
    }

    /// The net without the transitions of these names.
    pub fn without(mut self, names: &[&str]) -> Net {
        let before = self.transitions.len();
        self.transitions
            .retain(|transition| !names.contains(&transition.name.as_str()));
        assert_eq!(before - self.transitions.len(), names.len(), "all of them were there");
        self
    }

    /// The net with one more transition.
    pub fn with(mut self, line: &str) -> Net {
        self.line(line).expect("a line of the language");
        self
    }

    /// What a transition changes at each place: a column of the incidence matrix.
    pub fn effect(&self, transition: &Transition) -> Vec<i64> {
        let of = |set: Marking, place: usize| i64::from(set >> place & 1 == 1);
        (0..self.places.len())
            .map(|place| of(transition.puts, place) - of(transition.takes, place))
            .collect()
    }

    /// Whether the tokens on these places together stay as many, whatever fires: a place invariant.
    pub fn is_invariant(&self, places: Marking) -> bool {
        self.transitions.iter().all(|transition| {
            let effect = self.effect(transition);
            let on = effect.iter().enumerate().filter(|(place, _)| places >> place & 1 == 1);
            on.map(|(_, change)| change).sum::<i64>() == 0
        })
    }

    /// Rank of the incidence matrix: places − rank is how many independent place invariants there are.
    pub fn rank(&self) -> usize {
        const PRIME: i64 = 1_000_003;
        let mut rows: Vec<Vec<i64>> = self
            .transitions
            .iter()
            .map(|transition| self.effect(transition))
            .collect();
        let mut rank = 0;
        for column in 0..self.places.len() {
            let Some(pivot) = (rank..rows.len()).find(|&row| rows[row][column].rem_euclid(PRIME) != 0) else {
                continue;
            };
            rows.swap(rank, pivot);
            let inverse = power(rows[rank][column].rem_euclid(PRIME), PRIME - 2, PRIME);
            let leading = rows[rank].clone();
            for row in rows.iter_mut().skip(rank + 1) {
                let factor = row[column].rem_euclid(PRIME) * inverse % PRIME;
                for (entry, lead) in row.iter_mut().zip(&leading) {
                    *entry = (*entry - factor * lead.rem_euclid(PRIME)).rem_euclid(PRIME);
                }
            }
            rank += 1;
        }
        rank
    }

    /// What is marked after a transition; `None` if it is not enabled.
    ///
    /// # Panics
    /// If a place would get a second token.
    pub fn fire(&self, marking: Marking, transition: &Transition) -> Option<Marking> {
        if marking & transition.takes != transition.takes {
            return None;
        }
        let rest = marking & !transition.takes;
        assert_eq!(rest & transition.puts, 0, "{} puts a second token", transition.name);
        Some(rest | transition.puts)
    }

    /// All markings that can be reached, each with how it is reached first.
    ///
    /// # Panics
    /// If there are more than a test should keep in memory.
    pub fn reachable(&self) -> Reachable<'_> {
        let mut number: HashMap<Marking, u32> = HashMap::from([(self.start, 0)]);
        let mut markings = vec![self.start];
        let mut from = vec![(0, usize::MAX)];
        let mut successors: Vec<Vec<u32>> = Vec::new();
        let mut next = 0;
        while let Some(&marking) = markings.get(next) {
            let mut of_this = Vec::new();
            for (at, transition) in self.transitions.iter().enumerate() {
                let Some(then) = self.fire(marking, transition) else {
                    continue;
                };
                let known = *number.entry(then).or_insert_with(|| {
                    markings.push(then);
                    from.push((next as u32, at));
                    markings.len() as u32 - 1
                });
                of_this.push(known);
            }
            successors.push(of_this);
            next += 1;
            assert!(markings.len() < MARKINGS_MAX, "the net has outgrown this test");
        }
        Reachable {
            net: self,
            markings,
            from,
            successors,
        }
    }

    /// Names of marked places.
    pub fn names(&self, marking: Marking) -> Vec<&str> {
        let is_marked = |place: &usize| marking >> place & 1 == 1;
        let marked = (0..self.places.len()).filter(is_marked);
        marked
            .map(|place| self.places[place].as_str())
            .filter(|name| !name.ends_with(".none"))
            .collect()
    }
}

fn power(mut base: i64, mut exponent: i64, modulus: i64) -> i64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % modulus;
        }
        base = base * base % modulus;
        exponent >>= 1;
    }
    result
}

/// The reachability graph.
pub struct Reachable<'a> {
    net: &'a Net,
    /// All markings, in the order they were found.
    pub markings: Vec<Marking>,
    from: Vec<(u32, usize)>,
    successors: Vec<Vec<u32>>,
}

impl Reachable<'_> {
    /// A shortest run to a marking that fits.
    pub fn run_to(&self, fits: impl Fn(Marking) -> bool) -> Option<Vec<&str>> {
        let mut at = self.markings.iter().position(|&marking| fits(marking))?;
        let mut run = Vec::new();
        while let (before, transition) = self.from[at]
            && transition != usize::MAX
        {
            run.push(self.net.transitions[transition].name.as_str());
            at = before as usize;
        }
        run.reverse();
        Some(run)
    }

    /// Markings in which nothing can fire.
    pub fn dead(&self) -> impl Iterator<Item = Marking> {
        let dead = self
            .successors
            .iter()
            .zip(&self.markings)
            .filter(|(successors, _)| successors.is_empty());
        dead.map(|(_, &marking)| marking)
    }

    /// Number of markings from which no marking that fits can be reached any more.
    pub fn lost(&self, fits: impl Fn(Marking) -> bool) -> usize {
        let mut before: Vec<Vec<u32>> = vec![Vec::new(); self.markings.len()];
        for (at, successors) in self.successors.iter().enumerate() {
            for &then in successors {
                before[then as usize].push(at as u32);
            }
        }
        let mut leads: Vec<bool> = self.markings.iter().map(|&marking| fits(marking)).collect();
        let mut work: Vec<usize> = (0..leads.len()).filter(|&at| leads[at]).collect();
        while let Some(at) = work.pop() {
            for &earlier in &before[at] {
                if !std::mem::replace(&mut leads[earlier as usize], true) {
                    work.push(earlier as usize);
                }
            }
        }
        leads.into_iter().filter(|leads| !leads).count()
    }

    /// Transitions that can never fire.
    pub fn never_fires(&self) -> Vec<&str> {
        let mut left: BTreeMap<&str, &Transition> = self
            .net
            .transitions
            .iter()
            .map(|transition| (transition.name.as_str(), transition))
            .collect();
        for &marking in &self.markings {
            left.retain(|_, transition| self.net.fire(marking, transition).is_none());
            if left.is_empty() {
                break;
            }
        }
        left.into_keys().collect()
    }
}
