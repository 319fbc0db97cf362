//! Golden scripts print what is known and what is written down; random documents hold the laws of merging.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;

use goldenscript::{Argument, Command, Context, Runner};
use proptest::prelude::*;
use test_each_file::test_each_path;

use super::*;
use crate::{Jsonb, Step};

test_each_path! { in "storage/src/testscripts/shape" as golden => run }

fn run(path: &std::path::Path) {
    goldenscript::run(&mut Script::default(), path).unwrap();
}

/// A shape and the records of it, which must always be the same.
#[derive(Default)]
struct Script {
    shape: Shape,
    stored: BTreeMap<Vec<u8>, u8>,
}

impl Script {
    fn written(&mut self, before: &Shape, quiet: bool) -> String {
        let changes = self.shape.changes_from(before);
        store(&mut self.stored, &changes);
        assert_eq!(restored(&self.stored), self.shape);
        self.shape.check_invariants().unwrap();
        let mut out = String::new();
        if quiet {
            return out;
        }
        if !changes.cleared.is_empty() {
            writeln!(out, "{} ranges cleared", changes.cleared.len()).unwrap();
        }
        for (key, value) in &changes.put {
            let steps = codec::read_path(key).unwrap();
            writeln!(out, "{} {}", path_text(&steps), types_text(*value)).unwrap();
        }
        if changes.is_empty() {
            out.push_str("nothing new\n");
        }
        out
    }
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _context: &Context) -> Result<String, Box<dyn Error>> {
        let values: Vec<String> = command
            .args
            .iter()
            .map(|argument| match argument {
                Argument::Positional(value) => value.clone(),
                pair => pair.to_string(),
            })
            .collect();
        let quiet = values.last().is_some_and(|last| last == "quiet");
        let before = self.shape.clone();
        match command.name.as_str() {
            "learn" => {
                self.shape.learn(Jsonb::parse(&values[0])?.view());
                Ok(self.written(&before, quiet))
            }
            "lock" => {
                let steps: Vec<Step> = values.iter().map(|text| step(text)).collect();
                let known = if self.shape.covers_at(&steps, None) {
                    "known: "
                } else {
                    ""
                };
                self.shape.learn_at(&steps, None);
                assert!(self.shape.covers_at(&steps, None));
                Ok(format!("{known}{}", self.written(&before, false)))
            }
            "unknown" => {
                let found = self.shape.first_unknown(&[], Jsonb::parse(&values[0])?.view());
                Ok(found.map_or("all known\n".into(), |path| format!("{}\n", path_text(&path))))
            }
            "members" => {
                let (from, to): (u32, u32) = (values[1].parse()?, values[2].parse()?);
                for number in from..=to {
                    let text = format!(r#"{{"{}": {{"u{number:03}": {}}}}}"#, values[0], values[3]);
                    self.shape.learn(Jsonb::parse(&text)?.view());
                }
                Ok(self.written(&before, quiet))
            }
            "count" => Ok(format!("{} paths\n", self.shape.path_count())),
            other => Err(format!("no command {other}").into()),
        }
    }
}

/// `#3` is a position, anything else a name.
fn step(text: &str) -> Step {
    match text.strip_prefix('#') {
        Some(position) => Step::Element(position.parse().unwrap()),
        None => Step::Member(text.into()),
    }
}

fn types_text(value: u8) -> String {
    let names: Vec<&str> = Types(value & 0x3F).names().collect();
    let opaque = if value & 0x80 != 0 { " opaque" } else { "" };
    format!("[{}]{opaque}", names.join(", "))
}

fn store(stored: &mut BTreeMap<Vec<u8>, u8>, changes: &Changes) {
    for (from, to) in &changes.cleared {
        stored.retain(|key, _| !(from..to).contains(&key));
    }
    stored.extend(changes.put.iter().cloned());
}

fn restored(stored: &BTreeMap<Vec<u8>, u8>) -> Shape {
    Shape::restore(stored.iter().map(|(key, value)| (key.as_slice(), *value))).unwrap()
}

fn shape_of(documents: &[Jsonb]) -> Shape {
    let mut shape = Shape::default();
    documents.iter().for_each(|document| shape.learn(document.view()));
    shape
}

fn merged(a: &Shape, b: &Shape) -> Shape {
    let mut both = a.clone();
    both.merge(b);
    both
}

/// Documents of few names, so that they have much in common, and now and then an object with very many.
fn documents() -> impl Strategy<Value = Vec<Jsonb>> {
    let leaf = prop_oneof![
        Just("null".to_string()),
        Just("1".to_string()),
        Just("true".to_string()),
        Just("\"x\"".to_string()),
    ];
    let document = leaf.prop_recursive(5, 40, 6, |inner| {
        let member = ("[a-c]{0,2}", inner.clone()).prop_map(|(name, value)| format!("\"{name}\": {value}"));
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
            (inner.clone(), 0..400_usize, 100..300_usize).prop_map(|(value, from, count)| {
                let members: Vec<String> = (from..from + count).map(|n| format!("\"k{n}\": {value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
            inner.prop_map(|value| format!("{{\"{}\": {value}}}", "long".repeat(80))),
        ]
    });
    let document = document.prop_filter_map("too large", |text| {
        (text.len() < 200_000).then(|| Jsonb::parse(&text).ok()).flatten()
    });
    prop::collection::vec(document, 1..5)
}

fn has_opaque(shape: &Shape) -> bool {
    let mut found = false;
    shape.for_each(&mut |_, node| found |= node.is_opaque());
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn merging_is_commutative_associative_and_idempotent(a in documents(), b in documents(), c in documents()) {
        let all: Vec<Jsonb> = a.iter().chain(&b).chain(&c).cloned().collect();
        let whole = shape_of(&all);
        let (a, b, c) = (shape_of(&a), shape_of(&b), shape_of(&c));
        // A part may have no room for what the whole has as a map.
        let parts = [&whole, &a, &b, &c, &merged(&a, &b), &merged(&b, &c)];
        prop_assume!(!parts.into_iter().any(has_opaque));
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&a, &a), a.clone());
        let left = merged(&merged(&a, &b), &c);
        prop_assert_eq!(&left, &merged(&a, &merged(&b, &c)));
        prop_assert_eq!(&left, &whole);
        prop_assert_eq!(left.path_count(), whole.path_count());
        whole.check_invariants().unwrap();
    }

    #[test]
    fn what_is_learned_stays_covered_and_is_found_again(documents in documents()) {
        let mut shape = Shape::default();
        let mut stored = BTreeMap::new();
        for document in &documents {
            let before = shape.clone();
            shape.learn(document.view());
            shape.check_invariants().unwrap();
            store(&mut stored, &shape.changes_from(&before));
            prop_assert_eq!(&restored(&stored), &shape);
            prop_assert_eq!(restored(&stored).path_count(), shape.path_count());
        }
        for document in &documents {
            prop_assert!(shape.covers(document.view()));
            prop_assert_eq!(shape.first_unknown(&[], document.view()), None);
        }
        store(&mut stored, &Shape::default().changes_from(&shape));
        prop_assert!(stored.is_empty());
    }
}

/// A document of `width` members at each of `depth` levels, all names different.
fn wide(prefix: &str, width: usize, depth: usize) -> String {
    if depth == 0 {
        return "1".into();
    }
    let members = (0..width).map(|n| format!("\"{prefix}{n}\": {}", wide(&format!("{prefix}{n}_"), width, depth - 1)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

#[test]
fn a_column_has_a_bounded_number_of_paths() {
    let document = Jsonb::parse(&wide("m", 30, 3)).unwrap();
    let mut shape = Shape::default();
    shape.learn(document.view());
    assert_eq!(shape.path_count(), PATHS_MAX);
    shape.check_invariants().unwrap();
    assert!(has_opaque(&shape), "where there was no room it shows");
    assert!(shape.covers(document.view()));
    let before = shape.clone();
    shape.learn(document.view());
    assert!(shape.changes_from(&before).is_empty());
    // Another order finds other places opaque, and no document unknown.
    let other = Jsonb::parse(&wide("n", 30, 3)).unwrap();
    shape.learn(other.view());
    assert_eq!(shape.path_count(), PATHS_MAX);
    assert!(shape.covers(document.view()) && shape.covers(other.view()));
}

#[test]
fn deep_and_long_paths_end_in_an_opaque_place() {
    for text in [
        format!("{}1{}", r#"{"a":"#.repeat(500), "}".repeat(500)),
        format!("{}1{}", "[".repeat(500), "]".repeat(500)),
        {
            let level = format!(r#"{{"{}":"#, "n".repeat(200));
            format!("{}1{}", level.repeat(20), "}".repeat(20))
        },
    ] {
        let document = Jsonb::parse(&text).unwrap();
        let mut shape = Shape::default();
        shape.learn(document.view());
        shape.check_invariants().unwrap();
        assert!(shape.path_count() <= STEPS_MAX && has_opaque(&shape));
        assert!(shape.covers(document.view()));
        assert_eq!(shape.first_unknown(&[], document.view()), None);
    }
}

#[test]
fn a_damaged_record_is_an_error() {
    for key in [&[0x07][..], &[0x01, b'a'], &[0x01, 0xFF, 0x00]] {
        assert!(Shape::restore([(key, 1)]).is_err());
    }
}

/// What a large document pays: `DOCUMENT=file cargo test -p storage --lib -- --ignored --nocapture cost_of_a_large_document`.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_large_document() {
    let Ok(file) = std::env::var("DOCUMENT") else { return };
    let text = std::fs::read_to_string(file).unwrap();
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let start = std::time::Instant::now();
        work();
        println!("{what}: {:?}", start.elapsed());
    };
    let mut document = Jsonb::null();
    timed("parse", &mut || document = Jsonb::parse(&text).unwrap());
    let mut shape = Shape::default();
    timed("learn what is new", &mut || shape.learn(document.view()));
    timed("learn again", &mut || shape.learn(document.view()));
    timed("see that all is known", &mut || assert!(shape.covers(document.view())));
    println!("{} paths of {} bytes", shape.path_count(), text.len());
}
