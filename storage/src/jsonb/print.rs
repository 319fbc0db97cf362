//! Text of a document, exactly as PostgreSQL prints jsonb, compact and pretty.

use std::fmt::{self, Write};

use super::{JsonKind, JsonRef, Jsonb};

impl fmt::Display for JsonRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_value(f, *self, false)
    }
}

impl fmt::Debug for JsonRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_value(f, *self, false)
    }
}

impl Jsonb {
    /// Text with line breaks and four spaces per level (`jsonb_pretty`).
    pub fn pretty(&self) -> String {
        let mut text = String::with_capacity(self.size() * 2);
        // Writing to a string cannot fail.
        let _ = write_value(&mut text, self.view(), true);
        text
    }
}

/// An open container and the position of its next child.
struct Open<'a> {
    container: JsonRef<'a>,
    next: usize,
}

fn write_value(out: &mut impl Write, root: JsonRef<'_>, pretty: bool) -> fmt::Result {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut value = Some(root);
    loop {
        if let Some(current) = value.take() {
            match current.kind() {
                JsonKind::Array | JsonKind::Object => {
                    out.write_char(if current.is_object() { '{' } else { '[' })?;
                    open.push(Open {
                        container: current,
                        next: 0,
                    });
                }
                JsonKind::Null => out.write_str("null")?,
                JsonKind::Bool => out.write_str(if current.as_bool() == Some(true) {
                    "true"
                } else {
                    "false"
                })?,
                JsonKind::Number => write!(out, "{}", current.as_number().unwrap_or_default())?,
                JsonKind::String => write_escaped(out, current.as_str().unwrap_or(""))?,
            }
        }
        let depth = open.len();
        let Some(innermost) = open.last_mut() else {
            return Ok(());
        };
        let (container, index) = (innermost.container, innermost.next);
        innermost.next += 1;
        if index >= container.len() {
            open.pop();
            if pretty {
                new_line(out, depth - 1)?;
            }
            out.write_char(if container.is_object() { '}' } else { ']' })?;
            continue;
        }
        if index > 0 {
            out.write_str(if pretty { "," } else { ", " })?;
        }
        if pretty {
            new_line(out, depth)?;
        }
        value = if container.is_object() {
            let (key, member) = container.member(index).unwrap_or((&[], JsonRef(&[])));
            write_escaped(out, std::str::from_utf8(key).unwrap_or(""))?;
            out.write_str(": ")?;
            Some(member)
        } else {
            container.element_at(index)
        };
    }
}

fn new_line(out: &mut impl Write, depth: usize) -> fmt::Result {
    out.write_char('\n')?;
    for _ in 0..depth {
        out.write_str("    ")?;
    }
    Ok(())
}

/// Writes a JSON string literal with the escapes PostgreSQL uses.
pub fn write_escaped(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0C => "\\f",
            0..=0x1F => "",
            _ => continue,
        };
        out.write_str(&text[plain..at])?;
        if escape.is_empty() {
            write!(out, "\\u{byte:04x}")?
        } else {
            out.write_str(escape)?
        }
        plain = at + 1;
    }
    out.write_str(&text[plain..])?;
    out.write_char('"')
}
