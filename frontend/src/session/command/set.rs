//! SET, SHOW and RESET.

use planner::SqlResult;
use planner::functions::quote_identifier;

use super::{Command, Parser, transaction};
use crate::session::lexer::Kind;
use crate::session::settings::{SETTINGS, Scope, table};

/// The value of SET.
#[derive(Clone, Debug, PartialEq)]
pub enum SetValue {
    /// DEFAULT
    Default,
    /// FROM CURRENT has no meaning outside functions: the value stays.
    Current,
    /// A list of constants; identifiers and strings are told apart for lists of names.
    List(Vec<String>),
}

/// After SET.
pub fn set(parser: &mut Parser<'_>) -> SqlResult<Command> {
    if parser.at("session") && parser.is_word_at(1, "characteristics") {
        parser.advance();
        parser.advance();
        parser.expect("as")?;
        parser.expect("transaction")?;
        return transaction::modes(parser, true).map(Command::SetCharacteristics);
    }
    let mut scope = Scope::Session;
    // `SET session = 1` would be a setting of that name; nothing is called that.
    if parser.take("local") {
        scope = Scope::Local;
    } else if !(parser.at("session") && parser.is_word_at(1, "authorization")) {
        parser.take("session");
    }
    if parser.take("transaction") {
        if parser.take("snapshot") {
            parser.text()?;
            return Ok(Command::TwoPhase("SET TRANSACTION SNAPSHOT"));
        }
        return transaction::modes(parser, true).map(Command::SetTransaction);
    }
    if parser.take("time") {
        parser.expect("zone")?;
        return Ok(Command::Set {
            name: "TimeZone".into(),
            value: time_zone(parser)?,
            scope,
        });
    }
    if parser.take("names") {
        let value = if parser.at_end() || parser.take("default") {
            SetValue::Default
        } else {
            SetValue::List(vec![parser.text()?])
        };
        return Ok(Command::Set {
            name: "client_encoding".into(),
            value,
            scope,
        });
    }
    if parser.at("schema") && matches!(parser.peek_at(1), Some(Kind::Text(_))) {
        parser.advance();
        return Ok(Command::Set {
            name: "search_path".into(),
            value: SetValue::List(vec![quote_identifier(&parser.text()?)]),
            scope,
        });
    }
    if parser.at("constraints") {
        return constraints(parser);
    }
    if parser.at("role") && !is_assignment_at(parser, 1) {
        parser.advance();
        return Ok(Command::SetRole(role(parser, "none")?, scope));
    }
    if parser.take("session") {
        parser.expect("authorization")?;
        return Ok(Command::SetAuthorization(role(parser, "default")?, scope));
    }
    if parser.at("xml") {
        parser.advance();
        parser.expect("option")?;
        return Ok(Command::Set {
            name: "xmloption".into(),
            value: SetValue::List(vec![parser.word()?]),
            scope,
        });
    }
    let name = variable(parser)?;
    if parser.take("from") {
        parser.expect("current")?;
        return Ok(Command::Set {
            name,
            value: SetValue::Current,
            scope,
        });
    }
    if !parser.take("to") {
        parser.expect_symbol('=')?;
    }
    let value = if parser.take("default") {
        SetValue::Default
    } else {
        SetValue::List(list(parser, &name)?)
    };
    Ok(Command::Set { name, value, scope })
}

/// After RESET.
pub fn reset(parser: &mut Parser<'_>) -> SqlResult<Command> {
    if parser.at("session") && parser.is_word_at(1, "authorization") {
        parser.advance();
        parser.advance();
        return Ok(Command::SetAuthorization(None, Scope::Session));
    }
    if parser.take("role") {
        return Ok(Command::SetRole(None, Scope::Session));
    }
    variable_or_all(parser).map(Command::Reset)
}

/// The name after SHOW or RESET, with the standard's own spellings of some.
pub fn variable_or_all(parser: &mut Parser<'_>) -> SqlResult<Option<String>> {
    if parser.take("all") {
        return Ok(None);
    }
    if parser.take("time") {
        parser.expect("zone")?;
        return Ok(Some("TimeZone".into()));
    }
    if parser.at("transaction") && parser.is_word_at(1, "isolation") {
        parser.advance();
        parser.advance();
        parser.expect("level")?;
        return Ok(Some("transaction_isolation".into()));
    }
    if parser.at("session") && parser.is_word_at(1, "authorization") {
        parser.advance();
        parser.advance();
        return Ok(Some("session_authorization".into()));
    }
    variable(parser).map(Some)
}

/// A setting's name: identifiers joined by dots.
fn variable(parser: &mut Parser<'_>) -> SqlResult<String> {
    let mut name = parser.name()?;
    while parser.take_symbol('.') {
        name.push('.');
        name.push_str(&parser.name()?);
    }
    Ok(name)
}

fn list(parser: &mut Parser<'_>, name: &str) -> SqlResult<Vec<String>> {
    let holds_names = table::find(name).is_some_and(|position| SETTINGS[position].kind == table::Kind::Names);
    let mut values = Vec::new();
    loop {
        let value = constant(parser)?;
        values.push(if holds_names { quote_identifier(&value) } else { value });
        if !parser.take_symbol(',') {
            return Ok(values);
        }
    }
}

fn constant(parser: &mut Parser<'_>) -> SqlResult<String> {
    match parser.peek() {
        Some(Kind::Symbol('-' | '+')) => {
            let sign = if parser.take_symbol('-') { "-" } else { "" };
            if sign.is_empty() {
                parser.take_symbol('+');
            }
            match parser.peek() {
                Some(Kind::Number(digits)) => {
                    let value = format!("{sign}{digits}");
                    parser.advance();
                    Ok(value)
                }
                _ => Err(parser.error()),
            }
        }
        Some(Kind::Number(text) | Kind::Text(text)) => {
            let text = text.clone();
            parser.advance();
            Ok(text)
        }
        // A word may be reserved (`on`, `true`) or not; all are taken as their text.
        Some(Kind::Word(_) | Kind::Quoted(_)) => parser.name(),
        _ => Err(parser.error()),
    }
}

fn time_zone(parser: &mut Parser<'_>) -> SqlResult<SetValue> {
    if parser.take("local") || parser.take("default") {
        return Ok(SetValue::Default);
    }
    if parser.take("interval") {
        let text = parser.text()?;
        if parser.take("hour") && parser.take("to") {
            parser.expect("minute")?;
        }
        return Ok(SetValue::List(vec![hours(&text).ok_or_else(|| parser.error_before())?]));
    }
    Ok(SetValue::List(vec![constant(parser)?]))
}

/// `-08:30` as decimal hours.
fn hours(text: &str) -> Option<String> {
    let (sign, digits) = match text.trim().strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.trim().trim_start_matches('+')),
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    Some((sign * (hours.parse::<f64>().ok()? + minutes.parse::<f64>().ok()? / 60.0)).to_string())
}

fn constraints(parser: &mut Parser<'_>) -> SqlResult<Command> {
    parser.advance();
    let mut names = None;
    if !parser.take("all") {
        let names = names.get_or_insert_with(Vec::new);
        loop {
            let first = parser.name()?;
            names.push(match parser.take_symbol('.') {
                true => (Some(first), parser.name()?),
                false => (None, first),
            });
            if !parser.take_symbol(',') {
                break;
            }
        }
    }
    match parser.take_any(&["deferred", "immediate"]) {
        Some(word) => Ok(Command::SetConstraints {
            names,
            is_deferred: word == "deferred",
        }),
        None => Err(parser.error()),
    }
}

fn role(parser: &mut Parser<'_>, absent: &str) -> SqlResult<Option<String>> {
    if parser.take(absent) {
        return Ok(None);
    }
    match parser.peek() {
        Some(Kind::Text(_)) => parser.text().map(|name| if name == absent { None } else { Some(name) }),
        _ => parser.name().map(Some),
    }
}

fn is_assignment_at(parser: &Parser<'_>, ahead: usize) -> bool {
    parser.peek_at(ahead) == Some(&Kind::Symbol('=')) || parser.is_word_at(ahead, "to")
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn set_of(text: &str) -> (String, SetValue, Scope) {
        match parse(text).unwrap().unwrap() {
            Command::Set { name, value, scope } => (name, value, scope),
            other => panic!("{other:?}"),
        }
    }

    fn list(values: &[&str]) -> SetValue {
        SetValue::List(values.iter().map(|value| (*value).to_owned()).collect())
    }

    #[test]
    fn values_are_constants_or_lists() {
        assert_eq!(
            set_of("SET search_path TO a, \"B c\", 'd'"),
            ("search_path".into(), list(&["a", "\"B c\"", "d"]), Scope::Session)
        );
        assert_eq!(
            set_of("set local work_mem = '64MB'"),
            ("work_mem".into(), list(&["64MB"]), Scope::Local)
        );
        assert_eq!(
            set_of("set session x.y to -1.5"),
            ("x.y".into(), list(&["-1.5"]), Scope::Session)
        );
        assert_eq!(set_of("set enable_sort = off").1, list(&["off"]));
        assert_eq!(set_of("set jit to default").1, SetValue::Default);
        assert_eq!(set_of("set datestyle = iso, dmy").1, list(&["iso", "dmy"]));
    }

    #[test]
    fn standard_spellings_name_settings() {
        assert_eq!(
            set_of("set time zone 'UTC'"),
            ("TimeZone".into(), list(&["UTC"]), Scope::Session)
        );
        assert_eq!(
            set_of("set time zone interval '-08:30' hour to minute").1,
            list(&["-8.5"])
        );
        assert_eq!(set_of("set time zone local").1, SetValue::Default);
        assert_eq!(set_of("set names 'utf8'").0, "client_encoding");
        assert_eq!(
            set_of("set schema 'S'"),
            ("search_path".into(), list(&["\"S\""]), Scope::Session)
        );
        assert_eq!(
            parse("show transaction isolation level").unwrap(),
            Some(Command::Show(Some("transaction_isolation".into())))
        );
        assert_eq!(parse("show all").unwrap(), Some(Command::Show(None)));
    }

    #[test]
    fn roles_and_transactions_are_their_own_commands() {
        assert_eq!(
            parse("set role none").unwrap(),
            Some(Command::SetRole(None, Scope::Session))
        );
        assert_eq!(
            parse("set local role Ann").unwrap(),
            Some(Command::SetRole(Some("ann".into()), Scope::Local))
        );
        assert_eq!(
            parse("set session authorization default").unwrap(),
            Some(Command::SetAuthorization(None, Scope::Session))
        );
        assert!(matches!(
            parse("set transaction read only").unwrap(),
            Some(Command::SetTransaction(_))
        ));
        assert!(matches!(
            parse("set session characteristics as transaction isolation level serializable").unwrap(),
            Some(Command::SetCharacteristics(_))
        ));
        assert_eq!(
            parse("set constraints all deferred").unwrap(),
            Some(Command::SetConstraints {
                names: None,
                is_deferred: true
            })
        );
        assert_eq!(
            parse("set constraints A, s.\"B\" immediate").unwrap(),
            Some(Command::SetConstraints {
                names: Some(vec![(None, "a".into()), (Some("s".into()), "B".into())]),
                is_deferred: false
            })
        );
    }
}
