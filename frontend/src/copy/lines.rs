//! Lines: cuts COPY data into lines by PostgreSQL's rules, however it arrives.

use bytes::{Bytes, BytesMut};
use planner::{SqlError, SqlResult};

use super::bad_format;

/// How lines end; the first line decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnd {
    Newline,
    Return,
    ReturnNewline,
}

/// Quoting of CSV, which hides line ends.
#[derive(Clone, Copy, Debug)]
pub struct Quoting {
    /// QUOTE
    pub quote: u8,
    /// ESCAPE
    pub escape: u8,
}

/// Cuts lines off a stream of bytes.
pub struct Lines {
    input: BytesMut,
    /// Bytes of the unfinished line already looked at.
    scanned: usize,
    quoting: Option<Quoting>,
    in_quote: bool,
    last_was_escape: bool,
    line_end: Option<LineEnd>,
    is_ended: bool,
}

impl Lines {
    /// A cutter; `quoting` for CSV, `None` for text.
    pub fn new(quoting: Option<Quoting>) -> Self {
        Self {
            input: BytesMut::new(),
            scanned: 0,
            quoting,
            in_quote: false,
            last_was_escape: false,
            line_end: None,
            is_ended: false,
        }
    }

    /// Adds bytes. After the end marker they are ignored.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.is_ended {
            self.input.extend_from_slice(bytes);
        }
    }

    /// The next whole line without its end; `None` until more bytes come. With `is_last` the rest is a line too.
    ///
    /// # Errors
    /// 22P04 for line ends of two kinds and for a quote that is never closed.
    pub fn next(&mut self, is_last: bool) -> SqlResult<Option<Bytes>> {
        if self.is_ended {
            return Ok(None);
        }
        while let Some(&byte) = self.input.get(self.scanned) {
            match self.quoting {
                None if byte == b'\\' => {
                    // The next byte belongs to the backslash, whatever it is; but `\.` may be the end marker.
                    if self.scanned + 1 >= self.input.len() && !is_last {
                        return Ok(None);
                    }
                    self.scanned = (self.scanned + 2).min(self.input.len());
                    continue;
                }
                Some(quoting) => {
                    // A doubled quote closes and opens again, which needs no escape.
                    let escape = Some(quoting.escape).filter(|escape| *escape != quoting.quote);
                    if self.in_quote && Some(byte) == escape {
                        self.last_was_escape = !self.last_was_escape;
                    }
                    if byte == quoting.quote && !self.last_was_escape {
                        self.in_quote = !self.in_quote;
                    }
                    if Some(byte) != escape {
                        self.last_was_escape = false;
                    }
                    if self.in_quote {
                        self.scanned += 1;
                        continue;
                    }
                }
                None => {}
            }
            if byte == b'\n' || byte == b'\r' {
                match self.end_of_line(byte, is_last)? {
                    Some(size) => return self.cut(size),
                    None => return Ok(None),
                }
            }
            self.scanned += 1;
        }
        if !is_last || self.input.is_empty() {
            return Ok(None);
        }
        if self.in_quote {
            return Err(bad_format("unterminated CSV quoted field"));
        }
        self.cut(0)
    }

    /// Whether the end marker was read.
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Size of the line end at the present byte; `None` if more bytes must come first.
    fn end_of_line(&mut self, byte: u8, is_last: bool) -> SqlResult<Option<usize>> {
        let found = if byte == b'\n' {
            LineEnd::Newline
        } else {
            match self.input.get(self.scanned + 1) {
                Some(b'\n') => LineEnd::ReturnNewline,
                Some(_) => LineEnd::Return,
                None if is_last => LineEnd::Return,
                None => return Ok(None),
            }
        };
        let expected = *self.line_end.get_or_insert(found);
        if found != expected {
            return Err(self.mixed(found));
        }
        Ok(Some(if found == LineEnd::ReturnNewline { 2 } else { 1 }))
    }

    fn mixed(&self, found: LineEnd) -> SqlError {
        let (what, escape) = match found {
            LineEnd::Newline => ("newline", "\\n"),
            LineEnd::Return | LineEnd::ReturnNewline => ("carriage return", "\\r"),
        };
        if self.quoting.is_some() {
            bad_format(format!("unquoted {what} found in data"))
                .hint(format!("Use quoted CSV field to represent {what}."))
        } else {
            bad_format(format!("literal {what} found in data")).hint(format!("Use \"{escape}\" to represent {what}."))
        }
    }

    fn cut(&mut self, end_size: usize) -> SqlResult<Option<Bytes>> {
        let line = self.input.split_to(self.scanned).freeze();
        let _ = self.input.split_to(end_size);
        self.scanned = 0;
        self.last_was_escape = false;
        if &line[..] == b"\\." {
            self.is_ended = true;
            self.input.clear();
            return Ok(None);
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(quoting: Option<Quoting>, chunks: &[&str]) -> Result<Vec<String>, String> {
        let mut lines = Lines::new(quoting);
        let mut found = Vec::new();
        let mut take = |lines: &mut Lines, is_last| {
            while let Some(line) = lines.next(is_last).map_err(|error| error.fields().message.clone())? {
                found.push(String::from_utf8(line.to_vec()).unwrap());
            }
            Ok::<(), String>(())
        };
        for chunk in chunks {
            lines.push(chunk.as_bytes());
            take(&mut lines, false)?;
        }
        take(&mut lines, true)?;
        Ok(found)
    }

    const CSV: Option<Quoting> = Some(Quoting {
        quote: b'"',
        escape: b'"',
    });

    #[test]
    fn lines_do_not_depend_on_how_they_arrive() {
        let text = "a\tb\\\nc\r\nd\r\n\r\ne";
        let whole = all(None, &[text]).unwrap();
        assert_eq!(whole, ["a\tb\\\nc", "d", "", "e"]);
        let bytes: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(
            all(None, &bytes.iter().map(String::as_str).collect::<Vec<_>>()).unwrap(),
            whole
        );
    }

    #[test]
    fn quotes_hide_line_ends() {
        assert_eq!(
            all(CSV, &["1,\"a\nb\"\"\n\"", "\n2,x\n"]).unwrap(),
            ["1,\"a\nb\"\"\n\"", "2,x"]
        );
        assert_eq!(all(CSV, &["1,\"open\n"]).unwrap_err(), "unterminated CSV quoted field");
    }

    #[test]
    fn the_marker_ends_the_data() {
        assert_eq!(all(None, &["a\n\\.\nnot data\n"]).unwrap(), ["a"]);
    }

    #[test]
    fn line_ends_do_not_mix() {
        assert_eq!(
            all(None, &["a\nb\r\n"]).unwrap_err(),
            "literal carriage return found in data"
        );
        assert_eq!(all(None, &["a\r\nb\n"]).unwrap_err(), "literal newline found in data");
        assert_eq!(
            all(CSV, &["a\nb\r\n"]).unwrap_err(),
            "unquoted carriage return found in data"
        );
    }
}
