//! The law of reading in parts: what is wanted of a chain is what folding all of it gives.

use bytes::Bytes;
use proptest::prelude::*;

use super::chain::Chain;
use crate::jsonb::JsonRef;
use crate::path::tests::{operation, row, steps};
use crate::path::{Parts, apply_all};
use crate::version::Version;
use crate::{Action, Datum, Jsonb, Path, PathOp, Row, Step};

fn chain(base: &Row, deltas: &[Vec<PathOp>]) -> Chain {
    let mut chain = Chain::default();
    for (at, delta) in deltas.iter().enumerate().rev() {
        let version = Bytes::from(Version::encode_delta(delta));
        assert!(!chain.push(at as u64 + 2, version).unwrap());
    }
    assert!(chain.push(1, Bytes::from(Version::encode_full(base))).unwrap());
    chain
}

fn same(one: Option<JsonRef<'_>>, other: Option<JsonRef<'_>>) -> bool {
    let text = |value: Option<JsonRef<'_>>| value.map(|value| value.to_string());
    text(one) == text(other)
}

/// R1 and R2 for one path.
fn holds(whole: &Row, parts: &Row, path: &Path, moves: bool) -> bool {
    let document = |row: &Row| match row.get(usize::from(path.column)) {
        Some(Datum::Jsonb(document)) => Some(document.clone()),
        _ => None,
    };
    let (whole, parts) = match (document(whole), document(parts)) {
        (Some(whole), Some(parts)) => (whole, parts),
        (whole, parts) => return whole.is_some() == parts.is_some(),
    };
    let (mut whole, mut parts) = (whole.view(), parts.view());
    for (depth, step) in path.steps.iter().enumerate() {
        if whole.kind() != parts.kind() {
            return false;
        }
        if whole.is_array() {
            let is_inside = step.element().is_some_and(|at| (at as usize) < whole.len());
            if !is_inside || (moves && depth + 1 == path.steps.len()) {
                return same(Some(whole), Some(parts));
            }
        }
        match (whole.step(&step.to_string()), parts.step(&step.to_string())) {
            (Some(below), Some(other)) => (whole, parts) = (below, other),
            (below, other) => return below.is_none() && other.is_none(),
        }
    }
    same(Some(whole), Some(parts))
}

#[test]
fn a_change_inside_of_an_array_that_is_wanted_whole_counts() {
    let path = |steps: &[&str]| Path::new(0, steps.iter().map(|step| Step::from_text(step)));
    let json = |text: &str| Jsonb::parse(text).unwrap();
    let base = vec![Datum::Jsonb(json("[{}]"))];
    let chain = chain(&base, &[vec![PathOp::set(path(&["0", "a"]), json("7"))]]);
    let mut parts = Parts::new();
    // No place in an array, and a place in it beside what changes.
    parts.add(&path(&["name"]));
    parts.add(&path(&["0", "b"]));
    let row = chain.fold_parts(&parts, &[]).unwrap().unwrap();
    assert_eq!(format!("{row:?}"), r#"[Jsonb([{"a": 7}])]"#);
}

#[test]
fn a_change_inside_of_an_array_that_becomes_too_short_for_its_part_counts() {
    let path = |steps: &[&str]| Path::new(0, steps.iter().map(|step| Step::from_text(step)));
    let base = vec![Datum::Jsonb(Jsonb::parse(r#"[0, {"b": 0}]"#).unwrap())];
    let remove = |steps: &[&str]| PathOp {
        path: path(steps),
        action: Action::Remove,
    };
    let (inside, first) = (remove(&["1", "b"]), remove(&["0"]));
    let chain = chain(&base, &[vec![inside, first]]);
    let mut parts = Parts::new();
    parts.add(&path(&["1", "c"]));
    let row = chain.fold_parts(&parts, &[]).unwrap().unwrap();
    assert_eq!(format!("{row:?}"), "[Jsonb([{}])]");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]

    #[test]
    fn parts_are_those_of_the_whole(
        base in row(),
        deltas in prop::collection::vec(prop::collection::vec(operation(), 1..3), 0..5),
        own in prop::collection::vec(operation(), 0..3),
        reads in prop::collection::vec(steps(), 0..3),
        moving in prop::collection::vec(steps(), 0..2),
    ) {
        let mut parts = Parts::new();
        reads.iter().for_each(|path| parts.add(path));
        moving.iter().for_each(|path| parts.add_moving(path));
        let chain = chain(&base, &deltas);
        // A sum that leaves its type is refused before it is written.
        let Ok(Some(mut whole)) = chain.fold() else { return Ok(()) };
        if apply_all(&mut whole, &own).is_err() {
            return Ok(());
        }
        let taken = chain.fold_parts(&parts, &own).unwrap().unwrap();
        prop_assert_eq!(whole.len(), taken.len());
        for (whole, taken) in whole.iter().zip(&taken) {
            match whole {
                Datum::Jsonb(_) => prop_assert!(matches!(taken, Datum::Jsonb(_))),
                other => prop_assert_eq!(format!("{other:?}"), format!("{taken:?}")),
            }
        }
        for path in &reads {
            prop_assert!(holds(&whole, &taken, path, false), "{:?}: {:?} / {:?}", path, whole, taken);
        }
        for path in &moving {
            prop_assert!(holds(&whole, &taken, path, true), "moving {:?}: {:?} / {:?}", path, whole, taken);
        }
    }
}
