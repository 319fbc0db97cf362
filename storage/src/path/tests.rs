//! The law of commutation, and what each operation does.

use proptest::prelude::*;

use super::{Action, Path, PathOp, Step, apply, apply_all, decode_operations, encode_operations};
use crate::{Datum, Jsonb, Numeric, Row};

fn j(text: &str) -> Jsonb {
    Jsonb::parse(text).expect("valid JSON")
}

fn path(text: &str) -> Path {
    Path::new(0, text.split('/').filter(|step| !step.is_empty()).map(Step::from_text))
}

fn after(document: &str, operations: &[PathOp]) -> String {
    let mut row: Row = vec![Datum::Jsonb(j(document))];
    apply_all(&mut row, operations).expect("small");
    match &row[0] {
        Datum::Jsonb(value) => value.to_string(),
        other => format!("{other:?}"),
    }
}

fn op(at: &str, action: Action) -> PathOp {
    PathOp { path: path(at), action }
}

fn set(at: &str, value: &str) -> PathOp {
    op(
        at,
        Action::Set {
            value: j(value),
            create_parents: false,
        },
    )
}

#[test]
fn each_operation_changes_its_path_only() {
    let document = r#"{"a": {"b": 1}, "list": [10, 20], "3": "x"}"#;
    for (operation, expected) in [
        (set("a/b", "2"), r#"{"3": "x", "a": {"b": 2}, "list": [10, 20]}"#),
        (
            set("a/c", "2"),
            r#"{"3": "x", "a": {"b": 1, "c": 2}, "list": [10, 20]}"#,
        ),
        (set("z/c", "2"), r#"{"3": "x", "a": {"b": 1}, "list": [10, 20]}"#),
        (set("a/b/c", "2"), r#"{"3": "x", "a": {"b": 1}, "list": [10, 20]}"#),
        (set("list/1", "2"), r#"{"3": "x", "a": {"b": 1}, "list": [10, 2]}"#),
        (set("list/2", "2"), r#"{"3": "x", "a": {"b": 1}, "list": [10, 20]}"#),
        (set("3", "2"), r#"{"3": 2, "a": {"b": 1}, "list": [10, 20]}"#),
        (
            op(
                "z/y/x",
                Action::Set {
                    value: j("2"),
                    create_parents: true,
                },
            ),
            r#"{"3": "x", "a": {"b": 1}, "z": {"y": {"x": 2}}, "list": [10, 20]}"#,
        ),
        (op("a/b", Action::Remove), r#"{"3": "x", "a": {}, "list": [10, 20]}"#),
        (
            op("list/0", Action::Remove),
            r#"{"3": "x", "a": {"b": 1}, "list": [20]}"#,
        ),
        (
            op("list/1", Action::Insert(j("15"))),
            r#"{"3": "x", "a": {"b": 1}, "list": [10, 15, 20]}"#,
        ),
        (
            op("list/2", Action::Insert(j("15"))),
            r#"{"3": "x", "a": {"b": 1}, "list": [10, 20, 15]}"#,
        ),
        (
            op("a/b", Action::Add(Numeric::parse("0.50").expect("number"))),
            r#"{"3": "x", "a": {"b": 1.50}, "list": [10, 20]}"#,
        ),
        (
            op("3", Action::Add(Numeric::ONE)),
            r#"{"3": "x", "a": {"b": 1}, "list": [10, 20]}"#,
        ),
    ] {
        assert_eq!(
            after(document, std::slice::from_ref(&operation)),
            expected,
            "{operation:?}"
        );
    }
}

#[test]
fn a_digit_step_is_one_name() {
    assert!(Step::Member("3".into()).same_name(&Step::Element(3)));
    assert!(!Step::Member("03".into()).same_name(&Step::Element(3)));
    assert_eq!(Step::from_text("3"), Step::Element(3));
    assert!(path("a/3").overlaps(&Path::new(
        0,
        [Step::Member("a".into()), Step::Member("3".into()), Step::Element(0)]
    )));
    assert!(!path("a/3").overlaps(&path("a/4")));
    assert!(!Path::column(0).overlaps(&Path::column(1)));
}

#[test]
fn creating_parents_may_begin_at_a_column_that_is_null() {
    let creating = op(
        "a",
        Action::Set {
            value: j("0"),
            create_parents: true,
        },
    );
    let beside = set("1", "0");
    let row: Row = vec![Datum::Null];
    assert_ne!(result(&row, &[&creating, &beside]), result(&row, &[&beside, &creating]));
    assert!(!creating.commutes_with(&beside));
}

#[test]
fn additions_to_columns_keep_their_type() {
    let mut row: Row = vec![Datum::Int4(5), Datum::Numeric(Numeric::parse("1.0").expect("number"))];
    for column in 0..2 {
        apply(
            &mut row,
            &PathOp {
                path: Path::column(column),
                action: Action::Add(Numeric::from(2)),
            },
        )
        .expect("in range");
    }
    assert_eq!(format!("{row:?}"), "[Int4(7), Numeric(3.0)]");
    let beyond = PathOp {
        path: Path::column(0),
        action: Action::Add(Numeric::from(i64::from(i32::MAX))),
    };
    assert!(apply(&mut row, &beyond).is_err());
}

pub(crate) fn steps() -> impl Strategy<Value = Path> {
    (
        0..2_u16,
        prop::collection::vec(
            prop_oneof![
                "[ab]".prop_map(|s| Step::Member(s.into())),
                (0..3_u32).prop_map(Step::Element),
                (0..3_u32).prop_map(|n| Step::Member(n.to_string().into()))
            ],
            0..4,
        ),
    )
        .prop_map(|(column, steps)| Path { column, steps })
}

fn document() -> impl Strategy<Value = Jsonb> {
    let leaf = prop_oneof![
        (0..9_i32).prop_map(|n| n.to_string()),
        Just("null".to_owned()),
        Just("\"s\"".to_owned())
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(("[ab012]", inner), 0..4).prop_map(|members| {
                let members: Vec<String> = members
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
    .prop_map(|text| j(&text))
}

pub(crate) fn operation() -> impl Strategy<Value = PathOp> {
    let action = prop_oneof![
        document().prop_map(|value| Action::SetColumn(Datum::Jsonb(value))),
        (document(), prop::bool::weighted(0.3))
            .prop_map(|(value, create_parents)| Action::Set { value, create_parents }),
        Just(Action::Remove),
        document().prop_map(Action::Insert),
        (-5..5_i64).prop_map(|n| Action::Add(Numeric::from(n))),
    ];
    (steps(), action).prop_map(|(mut path, action)| {
        match action {
            Action::SetColumn(_) => path.steps.clear(),
            Action::Insert(_) if path.steps.is_empty() => path.steps.push(Step::Element(0)),
            _ => {}
        }
        PathOp { path, action }
    })
}

pub(crate) fn row() -> impl Strategy<Value = Row> {
    let column = || prop_oneof![8 => document().prop_map(Datum::Jsonb), 1 => Just(Datum::Null), 1 => (0..100_i32).prop_map(Datum::Int4)];
    (column(), column()).prop_map(|(a, b)| vec![a, b])
}

fn result(row: &Row, operations: &[&PathOp]) -> String {
    let mut row = row.clone();
    operations
        .iter()
        .for_each(|operation| apply(&mut row, operation).expect("small"));
    format!("{row:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]

    /// P1, first half: what does not overlap commutes.
    #[test]
    fn law_operations_apart_commute(row in row(), a in operation(), b in operation()) {
        if a.commutes_with(&b) {
            prop_assert_eq!(result(&row, &[&a, &b]), result(&row, &[&b, &a]), "{:?} {:?}", a, b);
        }
    }

    /// P1, second half: for every two overlapping paths there are operations and a document that do not commute.
    #[test]
    fn law_overlapping_paths_need_an_order(p in steps(), q in steps()) {
        if p.overlaps(&q) {
            let (upper, lower) = if p.steps.len() <= q.steps.len() { (p, q) } else { (q, p) };
            let mut inner = j("1");
            for step in lower.steps[upper.steps.len()..].iter().rev() {
                inner = j(&format!("{{\"{step}\": {inner}}}"));
            }
            let mut whole = inner.clone();
            for step in upper.steps.iter().rev() {
                whole = j(&format!("{{\"{step}\": {whole}}}"));
            }
            let mut row: Row = vec![Datum::Null, Datum::Null];
            row[usize::from(upper.column)] = Datum::Jsonb(whole);
            let (a, b) = (PathOp::set(upper, inner), PathOp::set(lower, j("2")));
            prop_assert!(!a.commutes_with(&b));
            prop_assert_ne!(result(&row, &[&a, &b]), result(&row, &[&b, &a]));
        }
    }

    #[test]
    fn many_at_once_equal_one_by_one(row in row(), operations in prop::collection::vec(operation(), 0..6)) {
        let mut at_once = row.clone();
        apply_all(&mut at_once, &operations).expect("small");
        let one_by_one = result(&row, &operations.iter().collect::<Vec<_>>());
        prop_assert_eq!(format!("{at_once:?}"), one_by_one);
    }

    #[test]
    fn results_are_well_formed(row in row(), operations in prop::collection::vec(operation(), 0..6)) {
        let mut changed = row;
        apply_all(&mut changed, &operations).expect("small");
        for column in &changed {
            if let Datum::Jsonb(document) = column {
                prop_assert!(Jsonb::from_bytes(document.as_bytes().clone()).is_ok());
            }
        }
    }

    #[test]
    fn operations_round_trip(operations in prop::collection::vec(operation(), 0..4)) {
        let mut bytes = Vec::new();
        encode_operations(&mut bytes, &operations);
        let back = decode_operations(&bytes.into()).expect("own bytes");
        prop_assert_eq!(format!("{back:?}"), format!("{operations:?}"));
    }

    #[test]
    fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = decode_operations(&bytes.into());
    }
}
