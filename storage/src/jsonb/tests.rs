//! What PostgreSQL 15 prints and says for the same input.

use super::*;

fn j(text: &str) -> Jsonb {
    Jsonb::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn path(text: &str) -> Vec<Option<String>> {
    if text.is_empty() {
        Vec::new()
    } else {
        text.split('/').map(|step| Some(step.to_owned())).collect()
    }
}

#[test]
fn prints_as_postgresql() {
    for (input, output) in [
        (r#"{"b": [1, 2], "a": "x"}"#, r#"{"a": "x", "b": [1, 2]}"#),
        (
            r#"{"bb":1,"a":2,"ccc":3,"aa":4}"#,
            r#"{"a": 2, "aa": 4, "bb": 1, "ccc": 3}"#,
        ),
        (
            r#"{"a":1,"b":{"c":[]},"a":{"d":2}}"#,
            r#"{"a": {"d": 2}, "b": {"c": []}}"#,
        ),
        (
            "[1.50, 1e2, -0.0, 1E-3, 12345678901234567890123456789012345678901234567890]",
            "[1.50, 100, 0.0, 0.001, 12345678901234567890123456789012345678901234567890]",
        ),
        (r#" "\u00e9\n\ud83d\ude00\u0001\/" "#, "\"é\\n😀\\u0001/\""),
        ("{}", "{}"),
        ("[]", "[]"),
        ("null", "null"),
        ("[true,false,null]", "[true, false, null]"),
        (r#"{"":1}"#, r#"{"": 1}"#),
    ] {
        let document = j(input);
        assert_eq!(document.to_string(), output);
        assert_eq!(
            Jsonb::from_bytes(document.0.clone()).expect("own bytes").to_string(),
            output
        );
    }
    assert_eq!(
        j(r#"{"a":[],"b":{"c":1}}"#).pretty(),
        "{\n    \"a\": [\n    ],\n    \"b\": {\n        \"c\": 1\n    }\n}"
    );
}

#[test]
fn errors_say_what_postgresql_says() {
    for (input, detail, context) in [
        ("", "The input string ended unexpectedly.", "JSON data, line 1: "),
        (
            "{\"a\":",
            "The input string ended unexpectedly.",
            "JSON data, line 1: {\"a\":",
        ),
        ("'", "Token \"'\" is invalid.", "JSON data, line 1: '"),
        (
            "[1,\n2,\ntruf]",
            "Token \"truf\" is invalid.",
            "JSON data, line 3: truf...",
        ),
        (
            "{\"abc\":1,}",
            "Expected string, but found \"}\".",
            "JSON data, line 1: {\"abc\":1,}",
        ),
        (
            "{\"abc\"=1}",
            "Token \"=\" is invalid.",
            "JSON data, line 1: {\"abc\"=...",
        ),
        (
            "[1,2,]",
            "Expected JSON value, but found \"]\".",
            "JSON data, line 1: [1,2,]",
        ),
        (
            "[1 2]",
            "Expected \",\" or \"]\", but found \"2\".",
            "JSON data, line 1: [1 2...",
        ),
        (
            "1 1",
            "Expected end of input, but found \"1\".",
            "JSON data, line 1: 1 1",
        ),
        ("01", "Token \"01\" is invalid.", "JSON data, line 1: 01"),
        (
            "\"\\v\"",
            "Escape sequence \"\\v\" is invalid.",
            "JSON data, line 1: \"\\v...",
        ),
        (
            "\"abc\ndef\"",
            "Character with value 0x0a must be escaped.",
            "JSON data, line 1: \"abc",
        ),
        (
            "{1:2}",
            "Expected string or \"}\", but found \"1\".",
            "JSON data, line 1: {1...",
        ),
        (
            r#"{"a": "\ud800"}"#,
            "Unicode low surrogate must follow a high surrogate.",
            r#"JSON data, line 1: {"a": "\ud800"..."#,
        ),
    ] {
        let error = Jsonb::parse(input).expect_err(input);
        assert_eq!(
            (error.detail.as_deref(), error.context.as_deref()),
            (Some(detail), Some(context)),
            "{input}"
        );
        assert_eq!(error.kind, JsonErrorKind::Syntax);
    }
    let error = Jsonb::parse(r#"{"a": "\u0000"}"#).expect_err("NUL");
    assert_eq!(error.message, "unsupported Unicode escape sequence");
    assert_eq!(error.kind.sqlstate(), "22P05");
    assert!(validate(r#"{"a": "\u0000\ud800"}"#).is_ok());
    assert!(validate(r#"{"a": "\x"}"#).is_err());
}

#[test]
fn depth_is_bounded_and_no_operation_recurses() {
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(
        Jsonb::parse(&deep(100_000)).expect_err("deep").kind,
        JsonErrorKind::Depth
    );
    assert_eq!(
        validate(&"{\"a\":".repeat(100_000)).expect_err("deep").kind,
        JsonErrorKind::Depth
    );
    let mut document = j(&deep(DEPTH_MAX));
    for _ in 0..50_000 {
        let mut builder = JsonBuilder::new();
        builder.begin_array();
        // Only the outermost levels are rebuilt; the inner ones are one slice.
        builder.value(document.view());
        document = builder.finish().expect("small");
        if document.size() > 400_000 {
            break;
        }
    }
    assert_eq!(document.cmp(&document.clone()), std::cmp::Ordering::Equal);
    assert!(document.contains(&document));
    assert_eq!(strip_nulls(&document).expect("same").to_string(), document.to_string());
    let mut key = Vec::new();
    document.write_key(&mut key);
    assert_eq!(Jsonb::read_key(&key).map(|(back, _)| back), Some(document.clone()));
    assert!(Jsonb::from_bytes(document.0).is_ok());
}

#[test]
fn access_by_member_element_and_path() {
    let document = j(r#"{"a": {"b": [10, 20, {"c": "x"}]}, "n": null, "long member name": 1.10}"#);
    let text = |value: Option<Jsonb>| value.map(|value| value.to_string());
    assert_eq!(text(document.get("long member name")), Some("1.10".to_owned()));
    assert_eq!(text(document.get("zz")), None);
    assert_eq!(text(document.path(&["a", "b", "-1", "c"])), Some("\"x\"".to_owned()));
    assert_eq!(text(document.path(&["a", "b", "1"])), Some("20".to_owned()));
    assert_eq!(text(document.path(&["a", "b", "x"])), None);
    assert_eq!(text(j("[1,2,3]").element(-3)), Some("1".to_owned()));
    assert_eq!(text(j("[1,2,3]").element(-4)), None);
    assert_eq!(
        document
            .get("n")
            .and_then(|n| n.view().to_text().map(|t| t.into_owned())),
        None
    );
}

#[test]
fn order_is_that_of_postgresql_btree() {
    let ordered = [
        "[]",
        "null",
        "\"a\"",
        "\"ab\"",
        "\"b\"",
        "-1",
        "1",
        "1.5",
        "2",
        "false",
        "true",
        "[[]]",
        "[true]",
        "[1, 2]",
        "[1, 3]",
        "[[], 1]",
        "[[1], 1]",
        "{}",
        r#"{"a": 1}"#,
        r#"{"a": 2}"#,
        r#"{"a": []}"#,
        r#"{"b": 1}"#,
        r#"{"a": 1, "b": 1}"#,
    ];
    // Elements of one-element arrays compare by type: an array is greater than true.
    let mut documents: Vec<Jsonb> = ordered.iter().map(|text| j(text)).collect();
    documents.swap(11, 12);
    let keys: Vec<Vec<u8>> = documents
        .iter()
        .map(|document| {
            let mut key = Vec::new();
            document.write_key(&mut key);
            key
        })
        .collect();
    for (i, left) in documents.iter().enumerate() {
        for (k, right) in documents.iter().enumerate() {
            assert_eq!(left.cmp(right), i.cmp(&k), "{left} {right}");
            assert_eq!(keys[i].cmp(&keys[k]), i.cmp(&k), "{left} {right}");
        }
        assert_eq!(
            Jsonb::read_key(&keys[i]).map(|(back, _)| back.to_string()),
            Some(left.to_string())
        );
    }
    assert_eq!(j("1.0"), j("1.00"));
    assert_eq!(j(r#"{"b":1.0,"a":1}"#), j(r#"{"a":1,"b":1.00}"#));
}

#[test]
fn containment() {
    for (outer, inner, expected) in [
        (r#"{"a":1,"b":2}"#, r#"{"a":1}"#, true),
        (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, false),
        ("[1,2,3]", "[3,1,1]", true),
        ("[1,2]", "1", true),
        ("1", "[1]", false),
        ("1", "1.0", true),
        (r#"[{"a":1,"b":2},{"a":2}]"#, r#"[{"a":2}]"#, true),
        ("[[1,2],[3]]", "[[3],[1]]", true),
        ("[[1,2],[3]]", "[[1,3]]", false),
        ("[[\"a\"]]", "\"a\"", false),
        (r#"{"a":{"b":[1,{"c":[1,2]}]}}"#, r#"{"a":{"b":[{"c":[2]}]}}"#, true),
        ("{}", "[]", false),
        ("[]", "[]", true),
        (r#"{"a":[]}"#, r#"{"a":{}}"#, false),
    ] {
        assert_eq!(j(outer).contains(&j(inner)), expected, "{outer} @> {inner}");
    }
}

#[test]
fn changes_at_paths() {
    use SetMode::*;
    for (document, at, value, mode, expected) in [
        (
            r#"{"a":{"b":1},"c":2}"#,
            "a/b",
            "[9]",
            Replace,
            r#"{"a": {"b": [9]}, "c": 2}"#,
        ),
        (r#"{"a":1}"#, "b", "2", Create, r#"{"a": 1, "b": 2}"#),
        (r#"{"a":1}"#, "b", "2", Replace, r#"{"a": 1}"#),
        (r#"{"a":1}"#, "b/c", "2", Create, r#"{"a": 1}"#),
        (r#"{"a":1}"#, "a/c", "2", Create, r#"{"a": 1}"#),
        ("[1,2,3]", "-5", "0", Create, "[0, 1, 2, 3]"),
        ("[1,2,3]", "7", "0", Create, "[1, 2, 3, 0]"),
        ("[1,2,3]", "-1", "0", Create, "[1, 2, 0]"),
        ("[]", "5", "0", Create, "[0]"),
        ("[1,2]", "1", "9", InsertBefore, "[1, 9, 2]"),
        ("[1,2]", "1", "9", InsertAfter, "[1, 2, 9]"),
        ("[1,2]", "9", "9", InsertBefore, "[1, 2, 9]"),
        (r#"{"a":1}"#, "b", "9", InsertBefore, r#"{"a": 1, "b": 9}"#),
        (r#"{"a":1}"#, "b/c", "9", Assign, r#"{"a": 1, "b": {"c": 9}}"#),
        ("[]", "2/a", "9", Assign, r#"[null, null, {"a": 9}]"#),
        (r#"{"a":[1]}"#, "a/3", "9", Assign, r#"{"a": [1, null, null, 9]}"#),
        ("{}", "a/2", "9", Assign, r#"{"a": [null, null, 9]}"#),
    ] {
        let changed = set(&j(document), &path(at), &j(value), mode).expect(document);
        assert_eq!(changed.to_string(), expected, "{document} {at} {mode:?}");
        assert!(Jsonb::from_bytes(changed.0).is_ok());
    }
    let fails = |document: &str, at: &str, mode| set(&j(document), &path(at), &j("1"), mode).map_err(|e| e.to_string());
    assert_eq!(fails("1", "a", Create), Err("cannot set path in scalar".to_owned()));
    assert_eq!(
        fails("[1]", "a", Create),
        Err("path element at position 1 is not an integer: \"a\"".to_owned())
    );
    assert_eq!(
        fails("[1]", "-2", Assign),
        Err("path element at position 1 is out of range: -2".to_owned())
    );
    assert_eq!(
        fails(r#"{"a":1}"#, "a", InsertAfter),
        Err("cannot replace existing key".to_owned())
    );
    assert_eq!(
        fails(r#"{"a":1}"#, "a/b", Assign),
        Err("cannot replace existing key".to_owned())
    );
    for (document, at, expected) in [
        (r#"{"a":{"b":1,"c":2}}"#, "a/b", r#"{"a": {"c": 2}}"#),
        (r#"{"a":[1,2,3]}"#, "a/-2", r#"{"a": [1, 3]}"#),
        (r#"{"a":1}"#, "b", r#"{"a": 1}"#),
        (r#"{"a":1}"#, "a", "{}"),
        ("[1]", "4", "[1]"),
    ] {
        assert_eq!(
            delete_path(&j(document), &path(at)).expect(document).to_string(),
            expected
        );
    }
    assert_eq!(
        delete_key(&j(r#"["a","b","a",1]"#), "a").expect("array").to_string(),
        r#"["b", 1]"#
    );
    assert_eq!(delete_index(&j("[1,2,3]"), -1).expect("array").to_string(), "[1, 2]");
}

#[test]
fn concatenation_and_stripping() {
    for (left, right, expected) in [
        (r#"{"a":1,"b":2}"#, r#"{"b":3,"c":4}"#, r#"{"a": 1, "b": 3, "c": 4}"#),
        ("[1]", "[2]", "[1, 2]"),
        ("1", "2", "[1, 2]"),
        ("[]", "1", "[1]"),
        (r#"{"a":1}"#, "[1]", r#"[{"a": 1}, 1]"#),
        (r#"{"a":1}"#, "1", r#"[{"a": 1}, 1]"#),
        ("{}", "[]", "[{}]"),
    ] {
        assert_eq!(
            concat(&j(left), &j(right)).expect("small").to_string(),
            expected,
            "{left} || {right}"
        );
    }
    let stripped = strip_nulls(&j(r#"{"a":null,"b":[null,{"c":null}],"d":{"e":1}}"#)).expect("small");
    assert_eq!(stripped.to_string(), r#"{"b": [null, {}], "d": {"e": 1}}"#);
}

#[test]
fn damaged_bytes_are_refused_and_never_panic() {
    let good = j(r#"{"a": [1, 2.5, "x", {"b": null}], "long": "0123456789012345678901234567890123456789"}"#).0;
    for index in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.to_vec();
            bad[index] ^= 1 << bit;
            let view = Jsonb(bad.clone().into());
            let _ = (
                view.to_string(),
                view.pretty(),
                view.contains(&view),
                view.path(&["a", "3", "b"]),
                strip_nulls(&view),
            );
            let _ = Jsonb::from_bytes(bad.into()).map(|document| document.to_string());
        }
        let _ = Jsonb::from_bytes(good.slice(..index)).map(|document| document.to_string());
        let _ = Jsonb::from_bytes(good.slice(index..)).map(|document| document.to_string());
    }
}
