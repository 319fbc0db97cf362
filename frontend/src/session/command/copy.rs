//! COPY: its two grammars, the one with options in parentheses and the old one.

use planner::SqlResult;

use super::{Command, Parser, Piece};
use crate::session::lexer::Kind;

/// COPY
#[derive(Clone, Debug, PartialEq)]
pub struct CopyStatement {
    /// Table or query.
    pub source: CopySource,
    /// FROM rather than TO.
    pub is_from: bool,
    /// The other side.
    pub target: CopyTarget,
    /// Options in the order written.
    pub options: Vec<CopyOption>,
    /// Condition of FROM … WHERE.
    pub condition: Option<Piece>,
}

/// What is copied.
#[derive(Clone, Debug, PartialEq)]
pub enum CopySource {
    /// A table.
    Table {
        /// Schema, if written.
        schema: Option<String>,
        /// Name.
        name: String,
        /// Columns, if written.
        columns: Option<Vec<String>>,
        /// Character position of the name.
        position: Option<u32>,
    },
    /// A query (TO only).
    Query(Piece),
}

/// Where to or from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyTarget {
    /// STDIN or STDOUT: the client.
    Client,
    /// A file on the server.
    File(String),
    /// A program on the server.
    Program(String),
}

/// One option.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyOption {
    /// Name, folded.
    pub name: String,
    /// Value.
    pub value: CopyValue,
    /// Character position, for messages.
    pub position: Option<u32>,
}

/// Value of an option.
#[derive(Clone, Debug, PartialEq)]
pub enum CopyValue {
    /// None written.
    Absent,
    /// A word, string or number.
    Text(String),
    /// Columns.
    List(Vec<String>),
    /// `*`
    Star,
}

/// After COPY.
pub fn copy(parser: &mut Parser<'_>) -> SqlResult<Command> {
    let mut options = Vec::new();
    if parser.at("binary")
        && parser
            .peek_at(1)
            .is_some_and(|next| matches!(next, Kind::Word(word) if word != "from" && word != "to"))
    {
        options.push(option(parser, "format", CopyValue::Text("binary".into())));
        parser.advance();
    }
    let source = source(parser)?;
    let is_from = match parser.take_any(&["from", "to"]) {
        Some("from") if matches!(source, CopySource::Query(_)) => return Err(parser.error_before()),
        Some(word) => word == "from",
        None => return Err(parser.error()),
    };
    let target = target(parser)?;
    if parser.take("using") {
        parser.expect("delimiters")?;
        let value = CopyValue::Text(parser.text()?);
        options.push(option(parser, "delimiter", value));
    } else if parser.take("delimiters") {
        let value = CopyValue::Text(parser.text()?);
        options.push(option(parser, "delimiter", value));
    }
    parser.take("with");
    if parser.at_symbol('(') {
        parser.advance();
        modern_options(parser, &mut options)?;
    } else {
        legacy_options(parser, &mut options)?;
    }
    let condition = if is_from && parser.take("where") {
        Some(parser.remainder()?)
    } else {
        None
    };
    Ok(Command::Copy(Box::new(CopyStatement {
        source,
        is_from,
        target,
        options,
        condition,
    })))
}

fn source(parser: &mut Parser<'_>) -> SqlResult<CopySource> {
    if parser.at_symbol('(') {
        return parser.parenthesised().map(CopySource::Query);
    }
    let position = parser.position();
    let mut names = vec![parser.name()?];
    while parser.take_symbol('.') {
        names.push(parser.name()?);
    }
    // A third part names the database, which can only be this one.
    let name = names.pop().unwrap_or_default();
    let schema = names.pop();
    let columns = if parser.take_symbol('(') {
        Some(name_list(parser)?)
    } else {
        None
    };
    Ok(CopySource::Table {
        schema,
        name,
        columns,
        position,
    })
}

/// Names up to the closing parenthesis.
fn name_list(parser: &mut Parser<'_>) -> SqlResult<Vec<String>> {
    let mut names = Vec::new();
    loop {
        names.push(parser.name()?);
        if !parser.take_symbol(',') {
            parser.expect_symbol(')')?;
            return Ok(names);
        }
    }
}

fn target(parser: &mut Parser<'_>) -> SqlResult<CopyTarget> {
    if parser.take_any(&["stdin", "stdout"]).is_some() {
        return Ok(CopyTarget::Client);
    }
    if parser.take("program") {
        return parser.text().map(CopyTarget::Program);
    }
    parser.text().map(CopyTarget::File)
}

fn modern_options(parser: &mut Parser<'_>, options: &mut Vec<CopyOption>) -> SqlResult<()> {
    loop {
        let position = parser.position();
        let name = parser.name()?;
        let value = match parser.peek() {
            Some(Kind::Symbol('*')) => {
                parser.advance();
                CopyValue::Star
            }
            Some(Kind::Symbol('(')) => {
                parser.advance();
                CopyValue::List(name_list(parser)?)
            }
            Some(Kind::Symbol('-' | '+')) => CopyValue::Text(parser.integer()?.to_string()),
            Some(Kind::Text(text) | Kind::Number(text) | Kind::Word(text) | Kind::Quoted(text)) => {
                let value = CopyValue::Text(text.clone());
                parser.advance();
                value
            }
            _ => CopyValue::Absent,
        };
        options.push(CopyOption { name, value, position });
        if !parser.take_symbol(',') {
            return parser.expect_symbol(')');
        }
    }
}

fn legacy_options(parser: &mut Parser<'_>, options: &mut Vec<CopyOption>) -> SqlResult<()> {
    loop {
        let new = match parser.take_any(&[
            "binary",
            "freeze",
            "delimiter",
            "null",
            "csv",
            "header",
            "quote",
            "escape",
            "force",
            "encoding",
        ]) {
            Some("binary") => option(parser, "format", CopyValue::Text("binary".into())),
            Some("csv") => option(parser, "format", CopyValue::Text("csv".into())),
            Some("freeze") => option(parser, "freeze", CopyValue::Absent),
            Some("header") => option(parser, "header", CopyValue::Absent),
            Some("force") => force(parser)?,
            Some(name) => {
                parser.take("as");
                let value = CopyValue::Text(parser.text()?);
                option(parser, name, value)
            }
            None => return Ok(()),
        };
        options.push(new);
    }
}

/// After FORCE: `NOT NULL a, b`, `NULL a, b`, `QUOTE a, b`, `QUOTE *`.
fn force(parser: &mut Parser<'_>) -> SqlResult<CopyOption> {
    let name = match parser.take_any(&["not", "null", "quote"]) {
        Some("not") => {
            parser.expect("null")?;
            "force_not_null"
        }
        Some("null") => "force_null",
        Some(_) => "force_quote",
        None => return Err(parser.error()),
    };
    if name == "force_quote" && parser.take_symbol('*') {
        return Ok(option(parser, name, CopyValue::Star));
    }
    let mut columns = vec![parser.name()?];
    while parser.take_symbol(',') {
        columns.push(parser.name()?);
    }
    Ok(option(parser, name, CopyValue::List(columns)))
}

fn option(parser: &Parser<'_>, name: &str, value: CopyValue) -> CopyOption {
    CopyOption {
        name: name.to_owned(),
        value,
        position: parser.position(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn copy_of(text: &str) -> CopyStatement {
        match parse(text).unwrap().unwrap() {
            Command::Copy(copy) => *copy,
            other => panic!("{other:?}"),
        }
    }

    fn options_of(text: &str) -> Vec<(String, CopyValue)> {
        copy_of(text)
            .options
            .into_iter()
            .map(|option| (option.name, option.value))
            .collect()
    }

    #[test]
    fn tables_queries_and_targets() {
        let copy = copy_of("COPY s.\"T\" (a, b) FROM STDIN WHERE a > 1");
        assert!(
            matches!(&copy.source, CopySource::Table { schema: Some(s), name, columns: Some(c), .. } if s == "s" && name == "T" && c.len() == 2)
        );
        assert!(copy.is_from && copy.condition.is_some());
        let text = "copy (select ')' from t) to stdout";
        let copy = copy_of(text);
        assert!(matches!(&copy.source, CopySource::Query(piece) if &text[piece.clone()] == "select ')' from t"));
        assert_eq!(copy_of("copy t to '/tmp/x'").target, CopyTarget::File("/tmp/x".into()));
        assert!(parse("copy (select 1) from stdin").is_err());
    }

    #[test]
    fn options_of_both_grammars() {
        assert_eq!(
            options_of("copy t from stdin with (format csv, header, delimiter ';', force_null (a, b), force_quote *)"),
            [
                ("format".into(), CopyValue::Text("csv".into())),
                ("header".into(), CopyValue::Absent),
                ("delimiter".into(), CopyValue::Text(";".into())),
                ("force_null".into(), CopyValue::List(vec!["a".into(), "b".into()])),
                ("force_quote".into(), CopyValue::Star),
            ]
        );
        assert_eq!(
            options_of("copy binary t to stdout"),
            [("format".into(), CopyValue::Text("binary".into()))]
        );
        assert_eq!(
            options_of("copy t to stdout csv header null as 'x' force quote a, b"),
            [
                ("format".into(), CopyValue::Text("csv".into())),
                ("header".into(), CopyValue::Absent),
                ("null".into(), CopyValue::Text("x".into())),
                ("force_quote".into(), CopyValue::List(vec!["a".into(), "b".into()])),
            ]
        );
        assert_eq!(
            options_of("copy t from stdin using delimiters '|' with null ''")[0].0,
            "delimiter"
        );
    }
}
