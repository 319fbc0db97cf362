//! Command: statements about the session itself — transactions, settings, prepared statements, cursors, COPY.
//!
//! sqlparser accepts other databases' spellings of these, misses PostgreSQL's, and wants the data of COPY FROM STDIN
//! inside the text; so they are read here, by PostgreSQL's grammar, from the tokens of [`super::lexer`]. The queries inside
//! them (`DECLARE … FOR query`, `PREPARE … AS statement`, `COPY (query) TO`) stay text, which the planner parses.

mod copy;
mod cursor;
mod maintenance;
mod parser;
mod set;
mod transaction;

use std::ops::Range;

use planner::SqlResult;

pub use copy::{CopyOption, CopySource, CopyStatement, CopyTarget, CopyValue};
pub use cursor::{ALL, Declare, Direction};
pub use maintenance::Named;
pub use parser::Parser;
pub use set::SetValue;
pub use transaction::Modes;

use super::settings::Scope;

/// A part of the statement's text, in bytes.
pub type Piece = Range<usize>;

/// A statement about the session.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// BEGIN, START TRANSACTION
    Begin {
        /// Modes.
        modes: Modes,
        /// Command tag: `BEGIN` or `START TRANSACTION`.
        tag: &'static str,
    },
    /// COMMIT, END
    Commit {
        /// AND CHAIN
        chain: bool,
    },
    /// ROLLBACK, ABORT
    Rollback {
        /// AND CHAIN
        chain: bool,
    },
    /// SAVEPOINT
    Savepoint(String),
    /// RELEASE
    Release(String),
    /// ROLLBACK TO
    RollbackTo(String),
    /// SET TRANSACTION
    SetTransaction(Modes),
    /// SET SESSION CHARACTERISTICS
    SetCharacteristics(Modes),
    /// PREPARE TRANSACTION and what belongs to it: the statement's name.
    TwoPhase(&'static str),
    /// SET
    Set {
        /// Name.
        name: String,
        /// Value.
        value: SetValue,
        /// SESSION or LOCAL.
        scope: Scope,
    },
    /// SET ROLE; `None` is NONE.
    SetRole(Option<String>, Scope),
    /// SET SESSION AUTHORIZATION; `None` is DEFAULT.
    SetAuthorization(Option<String>, Scope),
    /// SET CONSTRAINTS
    SetConstraints {
        /// Schema and name of each; `None` is ALL.
        names: Option<Vec<(Option<String>, String)>>,
        /// DEFERRED
        is_deferred: bool,
    },
    /// SHOW; `None` is ALL.
    Show(Option<String>),
    /// RESET; `None` is ALL.
    Reset(Option<String>),
    /// DISCARD ALL, PLANS, SEQUENCES, TEMP.
    Discard(Discard),
    /// PREPARE
    Prepare {
        /// Name.
        name: String,
        /// Types of the parameters as written.
        types: Vec<String>,
        /// The statement.
        statement: Piece,
    },
    /// EXECUTE
    Execute {
        /// Name.
        name: String,
        /// Arguments, comma-separated, if any.
        arguments: Option<Piece>,
    },
    /// DEALLOCATE; `None` is ALL.
    Deallocate(Option<String>),
    /// DECLARE … CURSOR
    Declare(Declare),
    /// FETCH, MOVE
    Fetch {
        /// Cursor.
        cursor: String,
        /// Which rows.
        direction: Direction,
        /// MOVE returns no rows.
        is_move: bool,
    },
    /// CLOSE; `None` is ALL.
    Close(Option<String>),
    /// LISTEN
    Listen(String),
    /// UNLISTEN; `None` is `*`.
    Unlisten(Option<String>),
    /// NOTIFY
    Notify {
        /// Channel.
        channel: String,
        /// Payload.
        payload: String,
    },
    /// COPY
    Copy(Box<CopyStatement>),
    /// CHECKPOINT
    Checkpoint,
    /// VACUUM, ANALYZE
    Maintain {
        /// Command tag.
        tag: &'static str,
        /// Tables; none is all.
        tables: Vec<Named>,
    },
}

/// What DISCARD forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of DISCARD")]
pub enum Discard {
    All,
    Plans,
    Sequences,
    Temp,
}

/// Reads a statement if it is about the session; `None` leaves it to the planner.
///
/// # Errors
/// 42601 as PostgreSQL words it, with the position in `text`.
pub fn parse(text: &str) -> SqlResult<Option<Command>> {
    let Some(verb) = first_word(text) else { return Ok(None) };
    if !is_ours(&verb) {
        return Ok(None);
    }
    let mut parser = Parser::new(text)?;
    parser.advance();
    let command = match verb.as_str() {
        "begin" => transaction::begin(&mut parser, "BEGIN")?,
        "start" => {
            parser.expect("transaction")?;
            transaction::begin(&mut parser, "START TRANSACTION")?
        }
        "commit" | "end" => transaction::commit(&mut parser, &verb)?,
        "rollback" | "abort" => transaction::rollback(&mut parser, &verb)?,
        "savepoint" => Command::Savepoint(parser.name()?),
        "release" => {
            parser.take("savepoint");
            Command::Release(parser.name()?)
        }
        "set" => set::set(&mut parser)?,
        "show" => Command::Show(set::variable_or_all(&mut parser)?),
        "reset" => set::reset(&mut parser)?,
        "discard" => discard(&mut parser)?,
        "prepare" => prepare(&mut parser)?,
        "execute" => execute(&mut parser)?,
        "deallocate" => {
            parser.take("prepare");
            Command::Deallocate(parser.name_or_all()?)
        }
        "declare" => cursor::declare(&mut parser)?,
        "fetch" | "move" => cursor::fetch(&mut parser, verb == "move")?,
        "close" => Command::Close(parser.name_or_all()?),
        "listen" => Command::Listen(parser.name()?),
        "unlisten" => Command::Unlisten(if parser.take_symbol('*') {
            None
        } else {
            Some(parser.name()?)
        }),
        "notify" => {
            let channel = parser.name()?;
            let payload = if parser.take_symbol(',') {
                parser.text()?
            } else {
                String::new()
            };
            Command::Notify { channel, payload }
        }
        "copy" => copy::copy(&mut parser)?,
        "checkpoint" => Command::Checkpoint,
        "vacuum" => maintenance::maintain(&mut parser, "VACUUM")?,
        "analyze" | "analyse" => maintenance::maintain(&mut parser, "ANALYZE")?,
        _ => return Ok(None),
    };
    parser.end()?;
    Ok(Some(command))
}

fn is_ours(verb: &str) -> bool {
    matches!(
        verb,
        "begin"
            | "start"
            | "commit"
            | "end"
            | "rollback"
            | "abort"
            | "savepoint"
            | "release"
            | "set"
            | "show"
            | "reset"
            | "discard"
            | "prepare"
            | "execute"
            | "deallocate"
            | "declare"
            | "fetch"
            | "move"
            | "close"
            | "listen"
            | "unlisten"
            | "notify"
            | "copy"
            | "checkpoint"
            | "vacuum"
            | "analyze"
            | "analyse"
    )
}

/// The first word of a statement, folded. Session commands never begin with anything but a plain word, so that a glance
/// at the first bytes keeps SELECTs off the slow path.
fn first_word(text: &str) -> Option<String> {
    match super::lexer::Lexer::new(text).token() {
        Ok(Some(super::lexer::Token {
            kind: super::lexer::Kind::Word(word),
            ..
        })) => Some(word),
        _ => None,
    }
}

fn discard(parser: &mut Parser<'_>) -> SqlResult<Command> {
    let what = match parser.word()?.as_str() {
        "all" => Discard::All,
        "plans" => Discard::Plans,
        "sequences" => Discard::Sequences,
        "temp" | "temporary" => Discard::Temp,
        _ => return Err(parser.error_before()),
    };
    Ok(Command::Discard(what))
}

fn prepare(parser: &mut Parser<'_>) -> SqlResult<Command> {
    if parser.take("transaction") {
        parser.text()?;
        return Ok(Command::TwoPhase("PREPARE TRANSACTION"));
    }
    let name = parser.name()?;
    let mut types = Vec::new();
    if parser.take_symbol('(') {
        loop {
            types.push(parser.type_name()?);
            if !parser.take_symbol(',') {
                break;
            }
        }
        parser.expect_symbol(')')?;
    }
    parser.expect("as")?;
    Ok(Command::Prepare {
        name,
        types,
        statement: parser.remainder()?,
    })
}

fn execute(parser: &mut Parser<'_>) -> SqlResult<Command> {
    let name = parser.name()?;
    let arguments = if parser.at_symbol('(') {
        Some(parser.parenthesised()?)
    } else {
        None
    };
    Ok(Command::Execute { name, arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(text: &str) -> Command {
        parse(text).unwrap().unwrap()
    }

    #[test]
    fn queries_are_left_to_the_planner() {
        for text in [
            "select 1",
            "(select 1)",
            "/* begin */ insert into t values (1)",
            "create table begin ()",
            "\"begin\"",
        ] {
            assert_eq!(parse(text).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn prepare_and_execute_keep_their_inner_text() {
        let text = "PREPARE p (int, numeric(5,2)[]) AS SELECT $1";
        let Command::Prepare { name, types, statement } = ours(text) else {
            panic!()
        };
        assert_eq!((name.as_str(), &text[statement]), ("p", "SELECT $1"));
        assert_eq!(types, ["int", "numeric(5,2)[]"]);
        let text = "execute p (1, 'a)', (2))";
        let Command::Execute { arguments, .. } = ours(text) else {
            panic!()
        };
        assert_eq!(&text[arguments.unwrap()], "1, 'a)', (2)");
    }

    #[test]
    fn syntax_errors_point_at_the_token() {
        let error = parse("SAVEPOINT 1").unwrap_err();
        assert_eq!(
            (error.fields().message.as_str(), error.fields().position),
            ("syntax error at or near \"1\"", Some(11))
        );
        assert_eq!(parse("COMMIT extra").unwrap_err().fields().position, Some(8));
        assert_eq!(
            parse("RELEASE").unwrap_err().fields().message,
            "syntax error at end of input"
        );
    }

    #[test]
    fn small_commands() {
        assert_eq!(ours("DEALLOCATE PREPARE ALL"), Command::Deallocate(None));
        assert_eq!(
            ours("notify Chan, 'hello'"),
            Command::Notify {
                channel: "chan".into(),
                payload: "hello".into()
            }
        );
        assert_eq!(ours("unlisten *"), Command::Unlisten(None));
        assert_eq!(ours("discard temporary"), Command::Discard(Discard::Temp));
        assert_eq!(
            ours("prepare transaction 'x'"),
            Command::TwoPhase("PREPARE TRANSACTION")
        );
    }
}
