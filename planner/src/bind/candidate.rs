//! Candidates: which function or operator of a name a call means (func_select_candidate, in parse_func.c).

use crate::functions::CastContext;
use crate::types::{self, oid};

use super::coerce::{can_coerce, can_coerce_all};

/// A function or operator that could be meant, with the argument types it would be called with.
#[derive(Clone)]
pub(super) struct Candidate<T> {
    pub target: T,
    pub args: Vec<u32>,
}

/// Why no candidate was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoChoice {
    /// None fits.
    Missing,
    /// Several fit equally.
    Ambiguous,
}

/// Chooses the candidate whose arguments the inputs fit best without being exactly of its types.
pub(super) fn choose<T: Clone>(inputs: &[u32], candidates: &[Candidate<T>]) -> Result<Candidate<T>, NoChoice> {
    let fitting: Vec<&Candidate<T>> = candidates
        .iter()
        .filter(|candidate| can_coerce_all(inputs, &candidate.args))
        .collect();
    match fitting.as_slice() {
        [] => Err(NoChoice::Missing),
        [one] => Ok((*one).clone()),
        _ => select(inputs, fitting).cloned().ok_or(NoChoice::Ambiguous),
    }
}

/// Keeps the candidates with the most matches by `matches`.
fn best<'a, T>(
    inputs: &[u32],
    candidates: Vec<&'a Candidate<T>>,
    matches: impl Fn(u32, u32) -> bool,
) -> Vec<&'a Candidate<T>> {
    let count = |candidate: &Candidate<T>| {
        let pairs = inputs.iter().zip(&candidate.args);
        pairs
            .filter(|&(&input, &arg)| input != oid::UNKNOWN && matches(input, arg))
            .count()
    };
    let most = candidates.iter().map(|candidate| count(candidate)).max().unwrap_or(0);
    candidates
        .into_iter()
        .filter(|candidate| count(candidate) == most)
        .collect()
}

fn select<'a, T>(inputs: &[u32], candidates: Vec<&'a Candidate<T>>) -> Option<&'a Candidate<T>> {
    let candidates = best(inputs, candidates, |input, arg| input == arg);
    if let [one] = candidates.as_slice() {
        return Some(one);
    }
    let preferred = |input: u32, arg: u32| {
        input == arg || (types::category(arg) == types::category(input) && types::is_preferred(arg))
    };
    let candidates = best(inputs, candidates, preferred);
    if let [one] = candidates.as_slice() {
        return Some(one);
    }
    let unknowns = inputs.iter().filter(|&&input| input == oid::UNKNOWN).count();
    if unknowns == 0 {
        return None;
    }
    let candidates = by_unknown_categories(inputs, candidates);
    if let [one] = candidates.as_slice() {
        return Some(one);
    }
    by_single_known_type(inputs, unknowns, candidates)
}

/// Decides by the type category that the candidates accept where the input is unknown: string if any does, otherwise the one
/// they all have; and within it by the preferred type.
fn by_unknown_categories<'a, T>(inputs: &[u32], candidates: Vec<&'a Candidate<T>>) -> Vec<&'a Candidate<T>> {
    let mut slots: Vec<Option<(u8, bool)>> = vec![None; inputs.len()];
    for (i, _) in inputs.iter().enumerate().filter(|&(_, &input)| input == oid::UNKNOWN) {
        let mut slot: Option<(u8, bool)> = None;
        let mut conflict = false;
        for candidate in &candidates {
            let (category, preferred) = (
                types::category(candidate.args[i]),
                types::is_preferred(candidate.args[i]),
            );
            match &mut slot {
                None => slot = Some((category, preferred)),
                Some((known, has_preferred)) if *known == category => *has_preferred |= preferred,
                Some(_) if category == b'S' => slot = Some((category, preferred)),
                Some(_) => conflict = true,
            }
        }
        if conflict && slot.is_none_or(|(category, _)| category != b'S') {
            return candidates;
        }
        slots[i] = slot;
    }
    let keep = |candidate: &&Candidate<T>| {
        slots.iter().zip(&candidate.args).all(|(slot, &arg)| match slot {
            None => true,
            Some((category, has_preferred)) => {
                types::category(arg) == *category && (!has_preferred || types::is_preferred(arg))
            }
        })
    };
    let kept: Vec<&Candidate<T>> = candidates.iter().copied().filter(keep).collect();
    if kept.is_empty() { candidates } else { kept }
}

/// If all known inputs have one type, tries it for the unknown ones.
fn by_single_known_type<'a, T>(
    inputs: &[u32],
    unknowns: usize,
    candidates: Vec<&'a Candidate<T>>,
) -> Option<&'a Candidate<T>> {
    if unknowns >= inputs.len() {
        return None;
    }
    let mut known = inputs.iter().copied().filter(|&input| input != oid::UNKNOWN);
    let first = known.next()?;
    if known.any(|other| other != first) {
        return None;
    }
    let mut fitting = candidates.into_iter().filter(|candidate| {
        candidate
            .args
            .iter()
            .all(|&arg| can_coerce(first, arg, CastContext::Implicit))
            && can_coerce_all(&vec![first; inputs.len()], &candidate.args)
    });
    let one = fitting.next()?;
    fitting.next().is_none().then_some(one)
}
