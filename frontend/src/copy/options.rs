//! Options of COPY: checked in PostgreSQL's order, with its messages.

use planner::{SqlError, SqlResult, SqlState};

use crate::session::command::{CopyOption, CopyValue};
use crate::session::settings::value;

/// Format of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the formats of their names")]
pub enum Format {
    Text,
    Csv,
    Binary,
}

/// What the first line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Data.
    None,
    /// Column names, not looked at when reading.
    Present,
    /// Column names that must match.
    Match,
}

/// Columns an option is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    /// None.
    None,
    /// All of them.
    All,
    /// These.
    Named(Vec<String>),
}

/// Options with their defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// FORMAT
    pub format: Format,
    /// DELIMITER
    pub delimiter: u8,
    /// NULL
    pub null: String,
    /// HEADER
    pub header: Header,
    /// QUOTE
    pub quote: u8,
    /// ESCAPE
    pub escape: u8,
    /// FORCE_QUOTE
    pub force_quote: Columns,
    /// FORCE_NOT_NULL
    pub force_not_null: Columns,
    /// FORCE_NULL
    pub force_null: Columns,
}

#[derive(Default)]
struct Given {
    format: Option<Format>,
    delimiter: Option<String>,
    null: Option<String>,
    header: Option<Header>,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Option<Columns>,
    force_not_null: Option<Columns>,
    force_null: Option<Columns>,
    freeze: Option<bool>,
    encoding: Option<String>,
}

impl CopyOptions {
    /// Checks the options of a statement.
    ///
    /// # Errors
    /// 42601, 22023 and 0A000 as PostgreSQL 15 raises them.
    pub fn new(options: &[CopyOption], is_from: bool) -> SqlResult<CopyOptions> {
        let mut given = Given::default();
        for option in options {
            given.take(option).map_err(|error| error.at(option.position))?;
        }
        given.check(is_from)
    }
}

impl Given {
    fn take(&mut self, option: &CopyOption) -> SqlResult<()> {
        let name = option.name.as_str();
        match name {
            "format" => {
                let format = match text(option)?.as_str() {
                    "text" => Format::Text,
                    "csv" => Format::Csv,
                    "binary" => Format::Binary,
                    other => return Err(value::invalid(format!("COPY format \"{other}\" not recognized"))),
                };
                once(&mut self.format, format)
            }
            "delimiter" => once(&mut self.delimiter, text(option)?),
            "null" => once(&mut self.null, text(option)?),
            "header" => once(&mut self.header, header(option)?),
            "quote" => once(&mut self.quote, text(option)?),
            "escape" => once(&mut self.escape, text(option)?),
            "freeze" => once(&mut self.freeze, boolean(option)?),
            "encoding" => once(&mut self.encoding, text(option)?),
            "force_quote" => once(&mut self.force_quote, columns(option, true)?),
            "force_not_null" => once(&mut self.force_not_null, columns(option, false)?),
            "force_null" => once(&mut self.force_null, columns(option, false)?),
            _ => Err(syntax(format!("option \"{name}\" not recognized"))),
        }
    }

    fn check(self, is_from: bool) -> SqlResult<CopyOptions> {
        let format = self.format.unwrap_or(Format::Text);
        let is_csv = format == Format::Csv;
        if format == Format::Binary && self.delimiter.is_some() {
            return Err(syntax("cannot specify DELIMITER in BINARY mode"));
        }
        if format == Format::Binary && self.null.is_some() {
            return Err(syntax("cannot specify NULL in BINARY mode"));
        }
        let delimiter = one_byte(
            self.delimiter.as_deref().unwrap_or(if is_csv { "," } else { "\t" }),
            "delimiter",
        )?;
        let null = self
            .null
            .unwrap_or_else(|| if is_csv { String::new() } else { "\\N".into() });
        if matches!(delimiter, b'\n' | b'\r') {
            return Err(value::invalid("COPY delimiter cannot be newline or carriage return"));
        }
        if null.contains(['\n', '\r']) {
            return Err(value::invalid(
                "COPY null representation cannot use newline or carriage return",
            ));
        }
        if !is_csv && b"\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(&delimiter) {
            return Err(value::invalid(format!(
                "COPY delimiter cannot be \"{}\"",
                delimiter as char
            )));
        }
        let header = self.header.unwrap_or(Header::None);
        if format == Format::Binary && header != Header::None {
            return Err(unsupported("cannot specify HEADER in BINARY mode"));
        }
        if !is_csv && self.quote.is_some() {
            return Err(unsupported("COPY quote available only in CSV mode"));
        }
        let quote = one_byte(self.quote.as_deref().unwrap_or("\""), "quote")?;
        if is_csv && delimiter == quote {
            return Err(value::invalid("COPY delimiter and quote must be different"));
        }
        if !is_csv && self.escape.is_some() {
            return Err(unsupported("COPY escape available only in CSV mode"));
        }
        let escape = match &self.escape {
            Some(escape) => one_byte(escape, "escape")?,
            None => quote,
        };
        let force_quote = force(self.force_quote, "force quote", is_csv, !is_from, "COPY TO")?;
        let force_not_null = force(self.force_not_null, "force not null", is_csv, is_from, "COPY FROM")?;
        let force_null = force(self.force_null, "force null", is_csv, is_from, "COPY FROM")?;
        if null.as_bytes().contains(&delimiter) {
            return Err(value::invalid(
                "COPY delimiter must not appear in the NULL specification",
            ));
        }
        if is_csv && null.as_bytes().contains(&quote) {
            return Err(value::invalid(
                "CSV quote character must not appear in the NULL specification",
            ));
        }
        if let Some(encoding) = self.encoding {
            check_encoding(&encoding)?;
        }
        Ok(CopyOptions {
            format,
            delimiter,
            null,
            header,
            quote,
            escape,
            force_quote,
            force_not_null,
            force_null,
        })
    }
}

impl Columns {
    /// Which of the copied columns are meant.
    ///
    /// # Errors
    /// 42703 for a name the table has not, 42P10 for one that is not copied.
    pub fn flags(
        &self,
        option: &str,
        copied: &[&str],
        exists: impl Fn(&str) -> Option<String>,
    ) -> SqlResult<Vec<bool>> {
        let names = match self {
            Columns::None => return Ok(vec![false; copied.len()]),
            Columns::All => return Ok(vec![true; copied.len()]),
            Columns::Named(names) => names,
        };
        let mut flags = vec![false; copied.len()];
        for name in names {
            match copied.iter().position(|column| column == name) {
                Some(position) => flags[position] = true,
                None => {
                    if let Some(message) = exists(name) {
                        return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
                    }
                    return Err(SqlError::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        format!("{option} column \"{name}\" not referenced by COPY"),
                    ));
                }
            }
        }
        Ok(flags)
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> SqlResult<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(syntax("conflicting or redundant options")),
    }
}

fn text(option: &CopyOption) -> SqlResult<String> {
    match &option.value {
        CopyValue::Text(text) => Ok(text.clone()),
        _ => Err(syntax(format!("{} requires a parameter", option.name))),
    }
}

fn boolean(option: &CopyOption) -> SqlResult<bool> {
    match &option.value {
        CopyValue::Absent => Ok(true),
        CopyValue::Text(text) => {
            exact_boolean(text).ok_or_else(|| syntax(format!("{} requires a Boolean value", option.name)))
        }
        _ => Err(syntax(format!("{} requires a Boolean value", option.name))),
    }
}

fn header(option: &CopyOption) -> SqlResult<Header> {
    let present = |is_present| if is_present { Header::Present } else { Header::None };
    match &option.value {
        CopyValue::Absent => Ok(Header::Present),
        CopyValue::Text(text) if text.eq_ignore_ascii_case("match") => Ok(Header::Match),
        CopyValue::Text(text) if exact_boolean(text).is_some() => Ok(present(exact_boolean(text) == Some(true))),
        _ => Err(syntax("header requires a Boolean value or \"match\"")),
    }
}

fn exact_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Some(true),
        "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn columns(option: &CopyOption, star: bool) -> SqlResult<Columns> {
    match &option.value {
        CopyValue::Star if star => Ok(Columns::All),
        CopyValue::List(names) => Ok(Columns::Named(names.clone())),
        _ => Err(value::invalid(format!(
            "argument to option \"{}\" must be a list of column names",
            option.name
        ))),
    }
}

fn force(given: Option<Columns>, what: &str, is_csv: bool, applies: bool, side: &str) -> SqlResult<Columns> {
    match given {
        None => Ok(Columns::None),
        Some(_) if !is_csv => Err(unsupported(format!("COPY {what} available only in CSV mode"))),
        Some(_) if !applies => Err(unsupported(format!("COPY {what} only available using {side}"))),
        Some(columns) => Ok(columns),
    }
}

fn one_byte(text: &str, what: &str) -> SqlResult<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(unsupported(format!("COPY {what} must be a single one-byte character"))),
    }
}

fn check_encoding(name: &str) -> SqlResult<()> {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    match plain.as_str() {
        "UTF8" | "UNICODE" | "SQLASCII" => Ok(()),
        "LATIN1" | "LATIN9" | "WIN1252" | "ISO88591" => {
            Err(unsupported(format!("COPY in encoding {name} is not supported")).hint("Convert the data to UTF8."))
        }
        _ => Err(value::invalid(
            "argument to option \"encoding\" must be a valid encoding name",
        )),
    }
}

fn syntax(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::SYNTAX_ERROR, message)
}

fn unsupported(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::command::{Command, parse};

    fn options(text: &str) -> Result<CopyOptions, String> {
        let Some(Command::Copy(copy)) = parse(text).unwrap() else {
            panic!("{text}")
        };
        CopyOptions::new(&copy.options, copy.is_from).map_err(|error| error.fields().message.clone())
    }

    #[test]
    fn defaults_follow_the_format() {
        let text = options("copy t from stdin").unwrap();
        assert_eq!((text.delimiter, text.null.as_str()), (b'\t', "\\N"));
        let csv = options("copy t from stdin (format csv, quote '''')").unwrap();
        assert_eq!(
            (csv.delimiter, csv.null.as_str(), csv.quote, csv.escape),
            (b',', "", b'\'', b'\'')
        );
    }

    #[test]
    fn wrong_options_get_postgresqls_messages() {
        for (text, message) in [
            ("copy t from stdin (format xml)", "COPY format \"xml\" not recognized"),
            ("copy t from stdin (colour red)", "option \"colour\" not recognized"),
            (
                "copy t from stdin (format csv, format csv)",
                "conflicting or redundant options",
            ),
            (
                "copy t from stdin (format binary, delimiter ',')",
                "cannot specify DELIMITER in BINARY mode",
            ),
            (
                "copy t from stdin (delimiter 'ab')",
                "COPY delimiter must be a single one-byte character",
            ),
            ("copy t from stdin (delimiter 'a')", "COPY delimiter cannot be \"a\""),
            ("copy t from stdin (quote 'x')", "COPY quote available only in CSV mode"),
            (
                "copy t from stdin (format csv, force_quote (a))",
                "COPY force quote only available using COPY TO",
            ),
            (
                "copy t to stdout (format csv, force_null (a))",
                "COPY force null only available using COPY FROM",
            ),
            (
                "copy t from stdin (header perhaps)",
                "header requires a Boolean value or \"match\"",
            ),
            (
                "copy t from stdin (format csv, null '\"')",
                "CSV quote character must not appear in the NULL specification",
            ),
        ] {
            assert_eq!(options(text).unwrap_err(), message, "{text}");
        }
    }
}
