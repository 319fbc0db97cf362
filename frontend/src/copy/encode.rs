//! Encode: rows as COPY data.

use bytes::{BufMut, BytesMut};
use planner::eval::SessionView;
use planner::types;
use planner::{SqlResult, Type};
use storage::Datum;

use super::binary::SIGNATURE;
use super::{CopyOptions, Format, Header};

/// Encodes the rows of one COPY TO.
pub struct Encoder {
    options: CopyOptions,
    columns: Vec<(String, Type)>,
    force_quote: Vec<bool>,
    text: String,
    bytes: Vec<u8>,
}

impl Encoder {
    /// An encoder of rows of these columns.
    pub fn new(options: CopyOptions, columns: Vec<(String, Type)>, force_quote: Vec<bool>) -> Self {
        Self {
            options,
            columns,
            force_quote,
            text: String::new(),
            bytes: Vec::new(),
        }
    }

    /// What comes before the rows: the binary signature, or the header line.
    pub fn start(&mut self, out: &mut BytesMut) {
        if self.options.format == Format::Binary {
            out.put_slice(SIGNATURE);
            out.put_slice(&[0; 8]);
        } else if self.options.header != Header::None {
            for (position, (name, _)) in self.columns.iter().enumerate() {
                self.delimit(position, out);
                match self.options.format {
                    Format::Csv => self.csv(name, false, out),
                    Format::Text | Format::Binary => self.escaped(name, out),
                }
            }
            out.put_u8(b'\n');
        }
    }

    /// One row.
    ///
    /// # Errors
    /// What the type's output function raises.
    pub fn row(&mut self, row: &[Datum], session: &dyn SessionView, out: &mut BytesMut) -> SqlResult<()> {
        if self.options.format == Format::Binary {
            return self.binary_row(row, session, out);
        }
        for (position, datum) in row.iter().enumerate().take(self.columns.len()) {
            self.delimit(position, out);
            if matches!(datum, Datum::Null) {
                out.put_slice(self.options.null.as_bytes());
                continue;
            }
            let mut text = std::mem::take(&mut self.text);
            text.clear();
            types::output(self.columns[position].1, datum, session, &mut text)?;
            match self.options.format {
                Format::Csv => self.csv(&text, self.force_quote.get(position).copied().unwrap_or(false), out),
                Format::Text | Format::Binary => self.escaped(&text, out),
            }
            self.text = text;
        }
        out.put_u8(b'\n');
        Ok(())
    }

    /// What comes after the rows.
    pub fn end(&self, out: &mut BytesMut) {
        if self.options.format == Format::Binary {
            out.put_i16(-1);
        }
    }

    fn delimit(&self, position: usize, out: &mut BytesMut) {
        if position > 0 {
            out.put_u8(self.options.delimiter);
        }
    }

    fn binary_row(&mut self, row: &[Datum], session: &dyn SessionView, out: &mut BytesMut) -> SqlResult<()> {
        out.put_i16(self.columns.len() as i16);
        for (datum, (_, ty)) in row.iter().zip(&self.columns) {
            if matches!(datum, Datum::Null) {
                out.put_i32(-1);
                continue;
            }
            self.bytes.clear();
            types::binary_output(*ty, datum, session, &mut self.bytes)?;
            out.put_i32(self.bytes.len() as i32);
            out.put_slice(&self.bytes);
        }
        Ok(())
    }

    /// Text format: control characters, the delimiter and the backslash get a backslash.
    fn escaped(&self, text: &str, out: &mut BytesMut) {
        for byte in text.bytes() {
            match byte {
                8 => out.put_slice(b"\\b"),
                9 => out.put_slice(b"\\t"),
                10 => out.put_slice(b"\\n"),
                11 => out.put_slice(b"\\v"),
                12 => out.put_slice(b"\\f"),
                13 => out.put_slice(b"\\r"),
                b'\\' => out.put_slice(b"\\\\"),
                byte => {
                    if byte == self.options.delimiter {
                        out.put_u8(b'\\');
                    }
                    out.put_u8(byte);
                }
            }
        }
    }

    /// CSV: quoted where the value would be read differently.
    fn csv(&self, text: &str, is_forced: bool, out: &mut BytesMut) {
        let options = &self.options;
        let needs_quotes = is_forced
            || text == options.null
            || (text == "\\." && self.columns.len() == 1)
            || text
                .bytes()
                .any(|byte| byte == options.delimiter || byte == options.quote || byte == b'\n' || byte == b'\r');
        if !needs_quotes {
            out.put_slice(text.as_bytes());
            return;
        }
        out.put_u8(options.quote);
        for byte in text.bytes() {
            if byte == options.quote || byte == options.escape {
                out.put_u8(options.escape);
            }
            out.put_u8(byte);
        }
        out.put_u8(options.quote);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::command::{Command, parse};

    fn encoder(statement: &str, names: &[&str]) -> Encoder {
        let Some(Command::Copy(copy)) = parse(statement).unwrap() else {
            panic!()
        };
        let options = CopyOptions::new(&copy.options, copy.is_from).unwrap();
        Encoder::new(
            options,
            names.iter().map(|name| ((*name).to_owned(), Type::TEXT)).collect(),
            vec![],
        )
    }

    fn header(statement: &str, names: &[&str]) -> String {
        let mut out = BytesMut::new();
        encoder(statement, names).start(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn values_that_would_read_differently_are_escaped_or_quoted() {
        assert_eq!(
            header("copy t to stdout (header)", &["a\tb\\c", "d\n"]),
            "a\\tb\\\\c\td\\n\n"
        );
        assert_eq!(header("copy t to stdout (header, delimiter ':')", &["a:b"]), "a\\:b\n");
        assert_eq!(
            header("copy t to stdout csv header", &["a,b", "c\"d", "", "plain"]),
            "\"a,b\",\"c\"\"d\",\"\",plain\n"
        );
        assert_eq!(header("copy t to stdout csv header", &["\\."]), "\"\\.\"\n");
    }
}
