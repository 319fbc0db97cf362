//! Options of EXPLAIN: both spellings (`EXPLAIN ANALYZE VERBOSE`, `EXPLAIN (ANALYZE, FORMAT JSON)`), with PostgreSQL's checks.

use sqlparser::ast::{Expr, Ident, Statement, UnaryOperator, UtilityOption, Value};
use sqlparser::tokenizer::Location;

use crate::statement::Parsed;
use crate::{SqlError, SqlResult, SqlState};

/// How the plan is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The statement is run, and what it did is shown.
    pub(crate) analyze: bool,
    /// Output columns and schemas.
    pub(crate) verbose: bool,
    /// Estimates.
    pub(crate) costs: bool,
    /// Buffer counters (Cambium has no shared buffers: all are zero).
    pub(crate) buffers: bool,
    /// Actual times beside actual rows.
    pub(crate) timing: bool,
    /// Planning and execution time.
    pub(crate) summary: bool,
    /// The locks the statement would take, instead of its plan.
    pub(crate) locks: bool,
    /// Form.
    pub(crate) format: Format,
}

impl Options {
    /// Reads the options of a statement.
    ///
    /// # Errors
    /// 42601 and 22023, as PostgreSQL raises them.
    pub(crate) fn of(statement: &Parsed) -> SqlResult<Options> {
        let mut chosen = Options {
            analyze: false,
            verbose: false,
            costs: true,
            buffers: false,
            timing: true,
            summary: false,
            locks: false,
            format: Format::Text,
        };
        let Statement::Explain {
            analyze,
            verbose,
            options,
            ..
        } = &*statement.ast
        else {
            return Ok(chosen);
        };
        (chosen.analyze, chosen.verbose) = (*analyze, *verbose);
        let (mut timing, mut summary, mut wal) = (None, None, false);
        for option in options.iter().flatten() {
            let name = option.name.value.to_ascii_lowercase();
            match name.as_str() {
                "analyze" => chosen.analyze = boolean(&name, option)?,
                "verbose" => chosen.verbose = boolean(&name, option)?,
                "costs" => chosen.costs = boolean(&name, option)?,
                "buffers" => chosen.buffers = boolean(&name, option)?,
                "locks" => chosen.locks = boolean(&name, option)?,
                "wal" => wal = boolean(&name, option)?,
                "settings" => {
                    if boolean(&name, option)? {
                        return Err(SqlError::unsupported("EXPLAIN option SETTINGS")
                            .hint("SHOW prints a setting, and pg_settings all of them."));
                    }
                }
                "timing" => timing = Some(boolean(&name, option)?),
                "summary" => summary = Some(boolean(&name, option)?),
                "format" => chosen.format = format(option, statement)?,
                _ => {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        format!("unrecognized EXPLAIN option \"{name}\""),
                    )
                    .at(position(statement, &option.name)));
                }
            }
        }
        if wal && !chosen.analyze {
            return Err(requires_analyze("WAL"));
        }
        if wal {
            return Err(
                SqlError::unsupported("EXPLAIN option WAL").hint("Cambium counts no log records per statement.")
            );
        }
        if timing == Some(true) && !chosen.analyze {
            return Err(requires_analyze("TIMING"));
        }
        chosen.timing = timing.unwrap_or(chosen.analyze);
        chosen.summary = summary.unwrap_or(chosen.analyze);
        Ok(chosen)
    }
}

fn requires_analyze(option: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("EXPLAIN option {option} requires ANALYZE"),
    )
}

fn format(option: &UtilityOption, statement: &Parsed) -> SqlResult<Format> {
    let Some(text) = option.arg.as_ref().and_then(word) else {
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, "format requires a parameter"));
    };
    match text.as_str() {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        "xml" | "yaml" => Err(
            SqlError::unsupported(format_args!("EXPLAIN (FORMAT {})", text.to_ascii_uppercase()))
                .hint("Use FORMAT TEXT or FORMAT JSON."),
        ),
        _ => Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unrecognized value for EXPLAIN option \"format\": \"{text}\""),
        )
        .at(position(statement, &option.name))),
    }
}

/// The word or number an option is given.
fn word(arg: &Expr) -> Option<String> {
    match arg {
        Expr::Identifier(name) => Some(match name.quote_style {
            Some(_) => name.value.clone(),
            None => name.value.to_ascii_lowercase(),
        }),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::Number(text, _) => Some(text.clone()),
            Value::Boolean(value) => Some(value.to_string()),
            _ => None,
        },
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => word(expr).map(|number| format!("-{number}")),
        _ => None,
    }
}

/// A Boolean option: no argument is true.
pub(crate) fn boolean(name: &str, option: &UtilityOption) -> SqlResult<bool> {
    let Some(arg) = &option.arg else { return Ok(true) };
    match word(arg).map(|word| word.to_ascii_lowercase()).as_deref() {
        Some("true" | "on" | "1") => Ok(true),
        Some("false" | "off" | "0") => Ok(false),
        _ => Err(SqlError::new(
            SqlState::SYNTAX_ERROR,
            format!("{name} requires a Boolean value"),
        )),
    }
}

/// Character position of a name in the client's text.
fn position(statement: &Parsed, name: &Ident) -> Option<u32> {
    let Location { line, column } = name.span.start;
    let before = match line {
        0 => return None,
        1 => 0,
        line => {
            let mut breaks = statement.text.chars().enumerate().filter(|(_, c)| *c == '\n');
            breaks.nth(line as usize - 2)?.0 as u32 + 1
        }
    };
    Some(statement.offset + before + column as u32)
}
