//! Texts, errors and results recorded from PostgreSQL 15.18.

use crate::functions::json::tests::{check_recording, describe};

#[test]
fn texts_and_errors_are_as_recorded() {
    let mut wrong = Vec::new();
    let unescape = |text: &str| text.replace("\\\\", "\\");
    for line in include_str!("../recorded/paths.txt")
        .lines()
        .filter(|line| !line.starts_with("##"))
    {
        let (input, expected) = line.rsplit_once(" => ").expect("a path and its text");
        let answer = super::canonical(input).unwrap_or_else(|error| describe(&error));
        if answer != unescape(expected) {
            wrong.push(format!("{input}\n    gives   {answer}\n    not     {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn results_are_as_recorded() {
    check_recording(include_str!("../recorded/queries.txt"));
}

#[test]
fn deep_paths_are_refused_and_do_not_overflow_the_stack() {
    for text in [
        format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("${}", ".a".repeat(100_000)),
        format!("{}1", "-".repeat(100_000)),
        format!("$ ? ({}@ == 1{})", "(".repeat(5_000), ")".repeat(5_000)),
        vec!["1 == 1"; 100_000].join(" && "),
        vec!["1"; 100_000].join(" + "),
        format!("${}", "[$".repeat(100_000)),
        format!("${}", " ? (@.a".repeat(100_000)),
    ] {
        assert!(super::canonical(&text).is_err(), "{}…", &text[..20]);
    }
    let long = vec!["@.a == 1"; 900].join(" || ");
    assert!(super::canonical(&format!("$ ? ({long})")).is_ok());
}
