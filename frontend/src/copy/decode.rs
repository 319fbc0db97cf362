//! Decode: COPY data as records, whatever the format, with the context an error reports.

use bytes::Bytes;
use planner::{SqlError, SqlResult};

use super::binary::Tuples;
use super::csv::{self, Forced};
use super::lines::{Lines, Quoting};
use super::{CopyOptions, Format, Header, bad_format, text};

/// One field as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// NULL
    Null,
    /// Text for the type's input function.
    Text(String),
    /// Bytes for the type's receive function.
    Binary(Bytes),
}

/// One record and where it came from.
#[derive(Debug)]
pub struct Record {
    /// Fields, one per column.
    pub fields: Vec<Field>,
    /// Number of its line (of its tuple, in binary), from 1.
    pub line: u64,
}

enum Source {
    Lines(Lines),
    Tuples(Tuples),
}

/// Decodes the data of one COPY FROM.
pub struct Decoder {
    source: Source,
    options: CopyOptions,
    forced: Forced,
    table: String,
    columns: Vec<String>,
    line: u64,
    is_header_due: bool,
}

impl Decoder {
    /// A decoder of rows for the columns of a table.
    pub fn new(options: CopyOptions, forced: Forced, table: String, columns: Vec<String>) -> Self {
        let source = match options.format {
            Format::Text => Source::Lines(Lines::new(None)),
            Format::Csv => Source::Lines(Lines::new(Some(Quoting {
                quote: options.quote,
                escape: options.escape,
            }))),
            Format::Binary => Source::Tuples(Tuples::new(columns.len())),
        };
        let is_header_due = options.header != Header::None;
        Self {
            source,
            options,
            forced,
            table,
            columns,
            line: 0,
            is_header_due,
        }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// 22P04 for bytes after the end of binary data.
    pub fn push(&mut self, bytes: &[u8]) -> SqlResult<()> {
        match &mut self.source {
            Source::Lines(lines) => {
                lines.push(bytes);
                Ok(())
            }
            Source::Tuples(tuples) => tuples.push(bytes),
        }
    }

    /// The next whole record; `None` until more bytes come. With `is_last` no more will.
    ///
    /// # Errors
    /// 22P04 and 22021 with the context `COPY t, line 3: "…"`.
    pub fn next(&mut self, is_last: bool) -> SqlResult<Option<Record>> {
        let line = match &mut self.source {
            Source::Tuples(tuples) => {
                let tuple = tuples
                    .next(is_last)
                    .map_err(|error| error.context(|| self.table_line(self.line + 1)));
                let Some(fields) = tuple? else { return Ok(None) };
                self.line += 1;
                return Ok(Some(Record {
                    fields,
                    line: self.line,
                }));
            }
            Source::Lines(lines) => lines.next(is_last),
        };
        let number = self.line + 1;
        let Some(line) = line.map_err(|error| error.context(|| self.table_line(number)))? else {
            return Ok(None);
        };
        self.line = number;
        if std::mem::take(&mut self.is_header_due) {
            self.check_header(&line)
                .map_err(|error| error.context(|| self.line_context(number, &line)))?;
            return self.next(is_last);
        }
        let fields = self.split(&line).and_then(|fields| self.check_count(fields));
        let fields = fields.map_err(|error| error.context(|| self.line_context(number, &line)))?;
        Ok(Some(Record { fields, line: number }))
    }

    /// Context of an error about one value.
    pub fn value_context(&self, line: u64, column: usize, field: &Field) -> String {
        let place = format!("{}, line {line}, column {}", self.copy_table(), self.columns[column]);
        match field {
            Field::Null => format!("{place}: null input"),
            Field::Text(text) => format!("{place}: \"{}\"", excerpt(text)),
            Field::Binary(_) => place,
        }
    }

    /// Context of an error about a row.
    pub fn table_line(&self, line: u64) -> String {
        format!("{}, line {line}", self.copy_table())
    }

    fn copy_table(&self) -> String {
        format!("COPY {}", self.table)
    }

    fn line_context(&self, number: u64, line: &[u8]) -> String {
        format!(
            "{}: \"{}\"",
            self.table_line(number),
            excerpt(&String::from_utf8_lossy(line))
        )
    }

    fn split(&self, line: &[u8]) -> SqlResult<Vec<Field>> {
        if self.columns.is_empty() && line.is_empty() {
            return Ok(Vec::new());
        }
        match self.options.format {
            Format::Csv => csv::split(line, &self.options, &self.forced),
            Format::Text | Format::Binary => text::split(line, self.options.delimiter, &self.options.null),
        }
    }

    fn check_count(&self, fields: Vec<Field>) -> SqlResult<Vec<Field>> {
        if fields.len() > self.columns.len() {
            return Err(bad_format("extra data after last expected column"));
        }
        match self.columns.get(fields.len()) {
            Some(column) => Err(bad_format(format!("missing data for column \"{column}\""))),
            None => Ok(fields),
        }
    }

    fn check_header(&self, line: &[u8]) -> SqlResult<()> {
        if self.options.header != Header::Match {
            return Ok(());
        }
        let fields = self.split(line)?;
        if fields.len() != self.columns.len() {
            return Err(bad_format(format!(
                "wrong number of fields in header line: got {}, expected {}",
                fields.len(),
                self.columns.len()
            )));
        }
        for (position, (field, column)) in fields.iter().zip(&self.columns).enumerate() {
            let mismatch = match field {
                Field::Text(text) if text == column => continue,
                Field::Text(text) => format!("got \"{text}\""),
                Field::Null | Field::Binary(_) => format!("got null value (\"{}\")", self.options.null),
            };
            return Err(self.header_mismatch(position, &mismatch, column));
        }
        Ok(())
    }

    fn header_mismatch(&self, position: usize, got: &str, column: &str) -> SqlError {
        bad_format(format!(
            "column name mismatch in header line field {}: {got}, expected \"{column}\"",
            position + 1
        ))
    }
}

/// The first hundred bytes of a text, as PostgreSQL shows them.
fn excerpt(text: &str) -> String {
    const SIZE_MAX: usize = 100;
    if text.len() <= SIZE_MAX {
        return text.to_owned();
    }
    let end = (0..=SIZE_MAX)
        .rev()
        .find(|size| text.is_char_boundary(*size))
        .unwrap_or(0);
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::command::{Command, parse};

    fn decode(statement: &str, data: &str) -> Result<Vec<Vec<Field>>, (String, String)> {
        let Some(Command::Copy(copy)) = parse(statement).unwrap() else {
            panic!()
        };
        let options = CopyOptions::new(&copy.options, copy.is_from).unwrap();
        let mut decoder = Decoder::new(options, Forced::default(), "t".into(), vec!["a".into(), "b".into()]);
        let mut rows = Vec::new();
        decoder.push(data.as_bytes()).unwrap();
        loop {
            match decoder.next(true) {
                Ok(Some(record)) => rows.push(record.fields),
                Ok(None) => return Ok(rows),
                Err(error) => {
                    let fields = error.fields();
                    return Err((fields.message.clone(), fields.context.clone().unwrap_or_default()));
                }
            }
        }
    }

    #[test]
    fn errors_name_the_line() {
        let error = |message: &str, context: &str| Err((message.to_owned(), context.to_owned()));
        assert_eq!(
            decode("copy t from stdin", "1\t2\n3\n"),
            error("missing data for column \"b\"", "COPY t, line 2: \"3\"")
        );
        assert_eq!(
            decode("copy t from stdin", "1\t2\t3\n"),
            error("extra data after last expected column", "COPY t, line 1: \"1\t2\t3\"")
        );
        assert_eq!(
            decode("copy t from stdin (format csv, header match)", "a,c\n1,2\n"),
            error(
                "column name mismatch in header line field 2: got \"c\", expected \"b\"",
                "COPY t, line 1: \"a,c\""
            )
        );
    }

    #[test]
    fn headers_are_skipped() {
        let rows = decode("copy t from stdin csv header", "x,y\n1,\n").unwrap();
        assert_eq!(rows, [vec![Field::Text("1".into()), Field::Null]]);
    }
}
