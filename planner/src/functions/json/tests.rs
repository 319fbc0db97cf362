//! Function calls and what PostgreSQL 15.18 answered to them (`recorded/`).
//!
//! A line is `name(type 'literal', …) => result`; an error is `!SQLSTATE message`, with DETAIL, HINT and CONTEXT behind it.
//! Rows of a set are divided by ` ; `, columns by `|`.

use storage::Datum;

use crate::eval::session::FixedSession;
use crate::functions::{Body, CallContext, CallTypes, Function, by_name};
use crate::types::{self, oid};
use crate::{SqlError, SqlResult, Type};

/// Argument types and values of a recorded call.
fn arguments(mut text: &str) -> SqlResult<Vec<(Type, Datum)>> {
    let session = FixedSession::default();
    let mut arguments = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text
            .split_once([' '])
            .filter(|(name, _)| *name != "double")
            .unwrap_or_else(|| text.split_at("double precision".len()));
        let ty = types::parse_type(name)
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("type {name}"));
        let rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix("NULL") {
            arguments.push((ty, Datum::Null));
            text = rest.trim_start_matches([',', ' ']);
            continue;
        }
        let mut literal = String::new();
        let mut characters = rest[1..].char_indices().peekable();
        let end = loop {
            match characters.next().expect("closing quote") {
                (_, '\'') if characters.peek().is_some_and(|(_, next)| *next == '\'') => {
                    characters.next();
                    literal.push('\'');
                }
                (at, '\'') => break at + 2,
                (_, character) => literal.push(character),
            }
        };
        arguments.push((ty, types::input(ty, &literal, &session)?));
        text = rest[end..].trim_start_matches([',', ' ']);
    }
    Ok(arguments)
}

fn accepts(parameter: u32, argument: u32) -> bool {
    parameter == argument
        || matches!(parameter, oid::ANYELEMENT | oid::ANY)
        || (parameter == oid::ANYARRAY && types::element_of(argument).is_some())
}

fn resolve(name: &str, types: &[Type]) -> &'static Function {
    let fits = |function: &&&'static Function| {
        let parameters = function.args;
        if function.variadic && parameters == [oid::ANY] {
            return !types.is_empty();
        }
        (parameters.len() - function.defaults.len()..=parameters.len()).contains(&types.len())
            && parameters
                .iter()
                .zip(types)
                .all(|(parameter, ty)| accepts(*parameter, ty.oid))
    };
    by_name(name)
        .iter()
        .find(fits)
        .unwrap_or_else(|| panic!("no function {name} of {types:?}"))
}

fn call(name: &str, arguments: &[(Type, Datum)]) -> SqlResult<String> {
    let session = FixedSession::default();
    let types: Vec<Type> = arguments.iter().map(|(ty, _)| *ty).collect();
    let mut values: Vec<Datum> = arguments.iter().map(|(_, value)| value.clone()).collect();
    let function = resolve(name, &types);
    let missing = function.args.len().saturating_sub(values.len());
    if !function.variadic && missing > 0 {
        for (index, default) in function.defaults[function.defaults.len() - missing..]
            .iter()
            .enumerate()
        {
            let ty = Type::new(function.args[values.len() - index + index]);
            values.push(types::input(ty, default, &session)?);
        }
    }
    if function.strict && values.iter().any(Datum::is_null) {
        return Ok("NULL".to_owned());
    }
    let result = Type::new(function.returns);
    let mut context = CallContext {
        types: CallTypes { args: &types, result },
        session: &session,
    };
    let print = |ty: Type, value: &Datum| -> SqlResult<String> {
        Ok(types::to_text(ty, value, &session)?.unwrap_or_else(|| "NULL".to_owned()))
    };
    match function.body {
        Body::Scalar(body) => print(result, &body(&mut context, &values)?),
        Body::Rows(_) => unreachable!("no function of JSON makes its rows one by one"),
        Body::Set(body) => {
            let rows = body(&mut context, &values)?;
            if rows.is_empty() {
                return Ok("(no rows)".to_owned());
            }
            let mut printed = Vec::new();
            for row in rows {
                let column = |(index, value): (usize, &Datum)| {
                    print(
                        Type::new(function.columns.get(index).map_or(function.returns, |column| column.1)),
                        value,
                    )
                };
                printed.push(
                    row.iter()
                        .enumerate()
                        .map(column)
                        .collect::<SqlResult<Vec<_>>>()?
                        .join("|"),
                );
            }
            Ok(printed.join(" ; "))
        }
        Body::Aggregate(_) | Body::Window => panic!("{name} is no plain function"),
    }
}

pub(super) fn describe(error: &SqlError) -> String {
    let fields = error.fields();
    let mut text = format!("!{} {}", fields.code.0, fields.message);
    for (label, value) in [
        ("DETAIL", &fields.detail),
        ("HINT", &fields.hint),
        ("CONTEXT", &fields.context),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(" {label} {value}"));
        }
    }
    text
}

/// Checks every line of a recording.
pub(super) fn check_recording(recording: &str) {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in recording
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        count += 1;
        let (question, expected) = line.split_once(" => ").expect("a call and its answer");
        let (name, rest) = question.split_once('(').expect("a call");
        let arguments = arguments(rest.strip_suffix(')').expect("a call"));
        let answer = arguments
            .and_then(|arguments| call(name, &arguments))
            .unwrap_or_else(|error| describe(&error));
        let answer = answer.replace('\\', "\\\\").replace('\n', "\\n");
        if answer != expected {
            wrong.push(format!("{question}\n    gives   {answer}\n    not     {expected}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn functions_answer_as_recorded() {
    check_recording(include_str!("recorded/functions.txt"));
}
