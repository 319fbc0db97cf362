//! The oracle of lock derivation (DESIGN L3): what is derived from a statement's text is compared with what evaluating it does.
//!
//! ```text
//!   document, SET doc = f(doc), WHERE c(doc)  ─► derived: reads, writes
//!     1  f changes nothing outside of the writes, and the path operations made of them give just what f gives
//!     2  change the document anywhere that overlaps neither: c, the writes and their new values stay what they were
//! ```
//!     3  read only what was derived of the document: c, the writes and their operations are those of the whole
//! If (1) fails, a writer changes what it has not locked; if (2) fails, it has read what others may change meanwhile.

use proptest::prelude::*;
use serde_json::{Map, Value};
use storage::path::Parts;
use storage::{Datum, Jsonb, Path, PathOp, Row, Step};

use super::derive::{self, PathWrite, Target};
use super::parts::add_write;
use super::program::{compile, row_layout};
use super::writer::operations;
use crate::bind::{OverRelation, Purpose};
use crate::catalog::{Catalog, Relation};
use crate::eval::{EvalContext, Program};
use crate::relational::tests::memory::{TestSession, relation};
use crate::{SqlResult, Type, stored};

const DOC: u16 = 2;
const NAMES: [&str; 5] = ["a", "b", "c", "0", "1"];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0i64..4).prop_map(Value::from),
        prop::sample::select(vec!["x", "y", "1"]).prop_map(Value::from),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
    ]
}

fn document() -> impl Strategy<Value = Value> {
    let member = || prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned);
    scalar().prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            3 => prop::collection::btree_map(member(), inner.clone(), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

/// A path as PostgreSQL writes it, negative positions among its steps.
fn steps() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "0", "1", "-1"]), 1..4)
}

fn braces(steps: &[&str]) -> String {
    format!("'{{{}}}'", steps.join(","))
}

/// An expression that reads a place of the document.
fn reading() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => steps().prop_map(|steps| {
            steps.iter().fold("doc".to_owned(), |base, step| format!("({base})->'{step}'"))
        }),
        2 => steps().prop_map(|steps| format!("doc #> {}", braces(&steps))),
        1 => (0i64..2, steps()).prop_map(|(at, steps)| format!("((doc)->{at}) #> {}", braces(&steps))),
        1 => Just("doc".to_owned()),
    ]
}

/// A new value: a constant, or something read.
fn new_value() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => document().prop_map(|value| format!("'{value}'::jsonb")),
        1 => reading().prop_map(|read| format!("coalesce({read}, '7'::jsonb)")),
        1 => Just("to_jsonb(n + 1)".to_owned()),
        1 => reading().prop_map(|read| format!("to_jsonb(coalesce(jsonb_typeof({read}), 'none'))")),
    ]
}

/// One path function around a base.
fn change(base: String) -> BoxedStrategy<String> {
    let of = move || base.clone();
    let (b1, b2, b3, b4, b5, b6, b7) = (of(), of(), of(), of(), of(), of(), of());
    prop_oneof![
        4 => (steps(), new_value(), any::<bool>())
            .prop_map(move |(path, new, create)| format!("jsonb_set({b1}, {}, {new}, {create})", braces(&path))),
        3 => (steps(), new_value())
            .prop_map(move |(path, new)| format!("jsonb_subscript_set({b2}, {}, {new})", braces(&path))),
        1 => (steps(), new_value(), any::<bool>())
            .prop_map(move |(path, new, after)| format!("jsonb_insert({b3}, {}, {new}, {after})", braces(&path))),
        1 => steps().prop_map(move |path| format!("({b4} #- {}::text[])", braces(&path))),
        1 => prop::sample::select(NAMES.to_vec()).prop_map(move |key| format!("({b5} - '{key}'::text)")),
        1 => document().prop_map(move |with| format!("({b6} || '{with}'::jsonb)")),
        1 => (0i64..2).prop_map(move |at| format!("({b7} - {at})")),
    ]
    .boxed()
}

fn assignment() -> impl Strategy<Value = String> {
    change("doc".to_owned()).prop_flat_map(|one| prop_oneof![Just(one.clone()), change(one)])
}

fn condition() -> impl Strategy<Value = String> {
    (reading(), 0..4).prop_map(|(read, kind)| match kind {
        0 => format!("{read} IS NULL"),
        1 => format!("coalesce({read}, '0') @> '1'"),
        2 => format!("coalesce(jsonb_typeof({read}) = 'object', false)"),
        _ => format!("coalesce({read}, '{{}}') ? 'a'"),
    })
}

/// A place, and what is put there; `None` takes it away.
fn mutation() -> impl Strategy<Value = (Vec<&'static str>, Option<Value>)> {
    let places = prop::sample::select(vec!["a", "b", "c", "0", "1", "z"]);
    (prop::collection::vec(places, 1..4), prop::option::of(document()))
}

/// A statement bound and compiled over the table.
struct Bound {
    bound: OverRelation,
    program: Program,
}

fn table() -> Relation {
    relation(100, "t", &[("id", Type::INT4), ("n", Type::INT4), ("doc", Type::JSONB)])
}

fn bind(text: &str, target: Type) -> SqlResult<Bound> {
    let table = table();
    let catalog = Catalog::default();
    let bound = stored::expression_over(&catalog, &TestSession, &table, text, Purpose::Using, Some(target))?;
    let program = compile(&bound.expr, &row_layout(&table, &bound.columns))?;
    Ok(Bound { bound, program })
}

impl Bound {
    fn eval(&self, document: &Value) -> Result<Datum, &'static str> {
        let context = EvalContext {
            session: &TestSession,
            parameters: &[],
            outer: &[],
        };
        self.program
            .eval(&row(document), &context)
            .map_err(|error| error.code().0)
    }
}

impl Bound {
    fn eval_row(&self, row: &Row) -> Result<Datum, &'static str> {
        let context = EvalContext {
            session: &TestSession,
            parameters: &[],
            outer: &[],
        };
        self.program.eval(row, &context).map_err(|error| error.code().0)
    }
}

fn row(document: &Value) -> Row {
    let document = Jsonb::parse(&document.to_string()).expect("serde_json writes JSON");
    vec![Datum::Int4(1), Datum::Int4(41), Datum::Jsonb(document)]
}

fn value(datum: &Datum) -> Option<Value> {
    match datum {
        Datum::Jsonb(document) => serde_json::from_str(&document.to_string()).ok(),
        _ => None,
    }
}

fn names(steps: &[Step]) -> Vec<String> {
    steps.iter().map(Step::to_string).collect()
}

fn is_prefix(above: &[String], below: &[String]) -> bool {
    above.len() <= below.len() && above.iter().zip(below).all(|(a, b)| a == b)
}

fn overlap(one: &[String], other: &[String]) -> bool {
    is_prefix(one, other) || is_prefix(other, one)
}

/// Places where two documents differ, each as high as the difference is.
fn differences(one: &Value, other: &Value, at: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                at.push(key.clone());
                match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => differences(one, other, at, found),
                    _ => found.push(at.clone()),
                }
                at.pop();
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (position, (one, other)) in one.iter().zip(other).enumerate() {
                at.push(position.to_string());
                differences(one, other, at, found);
                at.pop();
            }
        }
        (one, other) if one == other => {}
        _ => found.push(at.clone()),
    }
}

fn lookup<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Object(members) => members.get(step),
        Value::Array(elements) => elements.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Changes a place as another transaction would; the path it would lock, or `None` if it cannot be done.
fn mutate(value: &mut Value, path: &[&str], to: &Option<Value>) -> Option<Vec<String>> {
    let (last, parents) = path.split_last()?;
    let mut place = value;
    for step in parents {
        place = match place {
            Value::Object(members) => members.get_mut(*step)?,
            Value::Array(elements) => elements.get_mut(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    match (place, to) {
        (Value::Object(members), Some(to)) => {
            members.insert((*last).to_owned(), to.clone());
        }
        (Value::Object(members), None) => {
            members.remove(*last)?;
        }
        (Value::Array(elements), Some(to)) => *elements.get_mut(last.parse::<usize>().ok()?)? = to.clone(),
        _ => return None,
    }
    Some(path.iter().map(|step| (*step).to_owned()).collect())
}

fn resolved(writes: &Option<Vec<PathWrite>>, document: &Value) -> Vec<Path> {
    resolved_in(writes, &row(document))
}

fn resolved_in(writes: &Option<Vec<PathWrite>>, row: &Row) -> Vec<Path> {
    let Datum::Jsonb(document) = &row[usize::from(DOC)] else {
        return Vec::new();
    };
    let paths = match writes {
        None => vec![Path::column(DOC)],
        Some(writes) => writes
            .iter()
            .map(|write| Path::new(DOC, derive::resolve(document.view(), write)))
            .collect(),
    };
    derive::minimal(paths)
}

fn check(document: &Value, set: &str, when: &str, mutation: &(Vec<&str>, Option<Value>)) -> Result<(), TestCaseError> {
    let (Ok(set_bound), Ok(when_bound)) = (bind(set, Type::JSONB), bind(when, Type::BOOL)) else {
        return Err(TestCaseError::fail(format!("cannot be bound: {set} / {when}")));
    };
    let target = Target {
        columns: &set_bound.bound.columns,
        parameters: &[],
    };
    let mut reads: Vec<Path> = derive::reads(&when_bound.bound.expr, &when_bound.bound.columns);
    let writes = match derive::writes(DOC, &set_bound.bound.expr, target) {
        Some((writes, inputs)) => {
            inputs
                .iter()
                .for_each(|input| reads.extend(derive::reads_with(input, target)));
            Some(writes)
        }
        None => {
            reads.extend(derive::reads_with(&set_bound.bound.expr, target));
            None
        }
    };
    let paths = resolved(&writes, document);
    let locked: Vec<Vec<String>> = paths
        .iter()
        .chain(&reads)
        .filter(|path| path.column == DOC)
        .map(|path| names(&path.steps))
        .collect();
    let result = set_bound.eval(document);
    // 1: only inside of the writes, and just so by the operations that are stored.
    if let Ok(Datum::Jsonb(_)) = &result {
        let new = result.clone().ok().and_then(|new| value(&new)).unwrap_or_default();
        let mut changed = Vec::new();
        differences(document, &new, &mut Vec::new(), &mut changed);
        for place in &changed {
            let is_written = paths.iter().any(|path| is_prefix(&names(&path.steps), place));
            prop_assert!(
                is_written,
                "{set} on {document} changes {place:?}, which it has not locked: {paths:?}"
            );
        }
        let mut stored = row(document);
        let mut new_row = stored.clone();
        new_row[usize::from(DOC)] = result.clone().unwrap_or(Datum::Null);
        let changes: Vec<PathOp> = operations(&paths, &stored, &new_row);
        storage::path::apply_all(&mut stored, &changes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(
            value(&stored[usize::from(DOC)]),
            Some(new),
            "{} on {}: {:?}",
            set,
            document,
            changes
        );
    }
    check_parts((set, &set_bound), (when, &when_bound), document, (&reads, &writes))?;
    // 2: what others may change changes nothing here.
    let mut other = document.clone();
    let Some(place) = mutate(&mut other, &mutation.0, &mutation.1) else {
        return Ok(());
    };
    if locked.iter().any(|path| overlap(path, &place)) {
        return Ok(());
    }
    let context = format!("{set} WHERE {when} on {document}, beside {place:?} := {:?}", mutation.1);
    prop_assert_eq!(when_bound.eval(document), when_bound.eval(&other), "{}", &context);
    prop_assert_eq!(&resolved(&writes, &other), &paths, "{}", &context);
    let (before, after) = (set_bound.eval(document), set_bound.eval(&other));
    match (&before, &after) {
        (Ok(before), Ok(after)) => {
            let (before, after) = (value(before), value(after));
            prop_assert_eq!(before.is_some(), after.is_some(), "{}", &context);
            for path in &paths {
                let at = |value: &Option<Value>| {
                    value
                        .as_ref()
                        .and_then(|value| lookup(value, &names(&path.steps)).cloned())
                };
                prop_assert_eq!(at(&before), at(&after), "{} at {:?}", &context, path);
            }
        }
        _ => prop_assert_eq!(before.err(), after.err(), "{}", &context),
    }
    Ok(())
}

/// 3: the document read in parts does as the whole does.
fn check_parts(
    (set, set_bound): (&str, &Bound),
    (when, when_bound): (&str, &Bound),
    document: &Value,
    (reads, writes): (&[Path], &Option<Vec<PathWrite>>),
) -> Result<(), TestCaseError> {
    let mut parts = Parts::new();
    reads.iter().for_each(|path| parts.add(path));
    let derived = writes.iter().flatten();
    derived.for_each(|write| add_write(&mut parts, DOC, write));
    let whole = row(document);
    let mut taken = whole.clone();
    parts
        .take(&mut taken)
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let context = format!(
        "{set} WHERE {when} on {document}, read as {:?}",
        taken[usize::from(DOC)]
    );
    prop_assert_eq!(when_bound.eval_row(&whole), when_bound.eval_row(&taken), "{}", &context);
    let paths = resolved_in(writes, &whole);
    prop_assert_eq!(&paths, &resolved_in(writes, &taken), "{}", &context);
    let made = |old: &Row| -> Result<String, &'static str> {
        let mut new = old.clone();
        new[usize::from(DOC)] = set_bound.eval_row(old)?;
        Ok(format!("{:?}", operations(&paths, old, &new)))
    };
    prop_assert_eq!(made(&whole), made(&taken), "{}", &context);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_outside_of_the_derived_paths_is_read_or_written(
        document in document(),
        set in assignment(),
        when in condition(),
        mutations in prop::collection::vec(mutation(), 4),
    ) {
        // A path function of a scalar raises for whatever document: the interesting ones are objects.
        let document = match document {
            Value::Object(_) | Value::Array(_) => document,
            scalar => Value::Object(Map::from_iter([("a".to_owned(), scalar)])),
        };
        for mutation in &mutations {
            check(&document, &set, &when, mutation)?;
        }
    }
}

#[test]
fn places_are_derived_as_precisely_as_promised() {
    for (set, when, expected) in [
        (
            "jsonb_set(doc, '{a,b}', '1')",
            "doc->'c'->>'d' = 'x'",
            "write a/b read c/d",
        ),
        (
            "jsonb_set(doc, '{a}', to_jsonb((doc->'b')::int + n))",
            "true",
            "write a read b",
        ),
        ("doc #- '{a,b}'", "true", "write a/b"),
        ("doc - 'a' || '{\"b\": 1}'", "true", "write a write b"),
        (
            "jsonb_set(jsonb_set(doc, '{a}', '1'), '{b}', '2')",
            "doc ? 'a'",
            "write a write b read ",
        ),
        ("jsonb_set(doc, array[id::text], '1')", "true", "write * read "),
    ] {
        let (set, when) = (bind(set, Type::JSONB).unwrap(), bind(when, Type::BOOL).unwrap());
        let target = Target {
            columns: &set.bound.columns,
            parameters: &[],
        };
        let mut reads = derive::reads(&when.bound.expr, &when.bound.columns);
        let mut found: Vec<String> = Vec::new();
        match derive::writes(DOC, &set.bound.expr, target) {
            Some((writes, inputs)) => {
                found.extend(writes.iter().map(|write| format!("write {}", write.steps.join("/"))));
                inputs
                    .iter()
                    .for_each(|input| reads.extend(derive::reads_with(input, target)));
            }
            None => {
                found.push("write *".to_owned());
                reads.extend(derive::reads_with(&set.bound.expr, target));
            }
        }
        let of_document = reads.iter().filter(|path| path.column == DOC);
        found.extend(of_document.map(|path| format!("read {}", names(&path.steps).join("/"))));
        assert_eq!(found.join(" "), expected);
    }
}
