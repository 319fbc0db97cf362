//! Deliver: rows as DataRow messages, straight into the connection's one buffer.

use bytes::{BufMut, BytesMut};
use planner::eval::SessionView;
use planner::statement::ResultColumn;
use planner::{SqlError, SqlResult, SqlState, Type, types};
use storage::Datum;
use txn::Transaction;

use super::{Outbox, Work};
use crate::session::cursor::Cursor;
use crate::session::rows::{Complete, Row};
use crate::wire::body::violation;
use crate::wire::output::put_text;

/// Formats of the columns of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formats {
    /// All text.
    Text,
    /// All binary.
    Binary,
    /// One each.
    Each(Vec<bool>),
}

impl Formats {
    /// Formats as Bind asks for them: none, one for all, or one each.
    ///
    /// # Errors
    /// 08P01 for a wrong number, 22023 for an unknown code.
    pub fn new(codes: &[i16], column_count: usize) -> SqlResult<Formats> {
        if let Some(code) = codes.iter().find(|code| !matches!(code, 0 | 1)) {
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {code}"),
            ));
        }
        match codes {
            [] | [0] => Ok(Formats::Text),
            [_] => Ok(Formats::Binary),
            codes if codes.len() == column_count => Ok(Formats::Each(codes.iter().map(|code| *code == 1).collect())),
            codes => Err(violation(format!(
                "bind message has {} result formats but query has {column_count} columns",
                codes.len()
            ))),
        }
    }

    /// Whether a column is binary.
    pub fn is_binary(&self, column: usize) -> bool {
        match self {
            Formats::Text => false,
            Formats::Binary => true,
            Formats::Each(formats) => formats.get(column).copied().unwrap_or(false),
        }
    }
}

/// Buffers for values on their way into a message.
#[derive(Default)]
pub struct Scratch {
    text: String,
    bytes: Vec<u8>,
}

/// RowDescription of columns.
pub fn describe(columns: &[ResultColumn], formats: &Formats, outbox: &mut Outbox) {
    outbox.output.message(b'T', |buffer| {
        buffer.put_i16(columns.len() as i16);
        for (position, column) in columns.iter().enumerate() {
            put_text(buffer, &column.name);
            buffer.put_u32(column.table);
            buffer.put_i16(column.attribute);
            buffer.put_u32(column.ty.oid);
            buffer.put_i16(types::info(column.ty.oid).map_or(-1, |info| info.length));
            buffer.put_i32(column.ty.modifier);
            buffer.put_i16(i16::from(formats.is_binary(position)));
        }
    });
}

/// Writes the buffer out if it is full. What the rows in it rest on cannot be lost any more by then (DESIGN T4).
///
/// # Errors
/// 40001 if it was lost.
pub async fn relieve(outbox: &mut Outbox, transaction: Option<&Transaction>) -> Work<()> {
    if outbox.output.is_full()
        && let Some(transaction) = transaction
    {
        transaction.settle().await.map_err(SqlError::from)?;
    }
    Ok(outbox.relieve().await?)
}

/// Sends rows of a cursor, at most `limit` if it is not 0. Returns how many, and whether the cursor is at its end.
///
/// # Errors
/// What the statement and the output functions raise.
pub async fn send_rows(
    cursor: &mut Cursor,
    formats: &Formats,
    limit: usize,
    outbox: &mut Outbox,
    (session, transaction): (&dyn SessionView, Option<&Transaction>),
) -> Work<(u64, bool)> {
    let columns = cursor.columns.clone();
    let mut scratch = Scratch::default();
    let mut count = 0;
    while limit == 0 || count < limit as u64 {
        let Some(row) = cursor.next().await? else {
            return Ok((count, true));
        };
        let types = columns.iter().map(|column| column.ty);
        outbox.output.try_message(b'D', |buffer| {
            encode_row(buffer, &row, types, formats, session, &mut scratch)
        })?;
        count += 1;
        relieve(outbox, transaction).await?;
    }
    Ok((count, false))
}

fn encode_row(
    buffer: &mut BytesMut,
    row: &Row,
    types: impl ExactSizeIterator<Item = Type>,
    formats: &Formats,
    session: &dyn SessionView,
    scratch: &mut Scratch,
) -> SqlResult<()> {
    buffer.put_i16(types.len() as i16);
    for ((position, datum), ty) in row.iter().enumerate().zip(types) {
        if matches!(datum, Datum::Null) {
            buffer.put_i32(-1);
        } else if formats.is_binary(position) {
            scratch.bytes.clear();
            types::binary_output(ty, datum, session, &mut scratch.bytes)?;
            put_value(buffer, &scratch.bytes);
        } else if let Datum::Text(text) = datum
            && !matches!(ty.oid, types::oid::CHAR | types::oid::JSONPATH)
        {
            put_value(buffer, text.as_bytes());
        } else {
            scratch.text.clear();
            types::output(ty, datum, session, &mut scratch.text)?;
            put_value(buffer, scratch.text.as_bytes());
        }
    }
    Ok(())
}

fn put_value(buffer: &mut BytesMut, value: &[u8]) {
    buffer.put_i32(value.len() as i32);
    buffer.put_slice(value);
}

/// Sends a command's tag.
pub fn send_complete(complete: &Complete, outbox: &mut Outbox) {
    match complete {
        Complete::Fixed(tag) => outbox.output.complete(tag),
        Complete::Counted(verb, count) => outbox.output.complete_count(verb, *count),
        Complete::Empty => outbox.output.empty_query(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_none_one_or_each() {
        assert_eq!(Formats::new(&[], 3).unwrap(), Formats::Text);
        assert_eq!(Formats::new(&[1], 3).unwrap(), Formats::Binary);
        assert!(Formats::new(&[1, 0], 2).unwrap().is_binary(0));
        assert_eq!(
            Formats::new(&[1, 0], 3).unwrap_err().code(),
            SqlState::PROTOCOL_VIOLATION
        );
        assert_eq!(
            Formats::new(&[2], 1).unwrap_err().code(),
            SqlState::INVALID_PARAMETER_VALUE
        );
    }

    #[test]
    fn rows_carry_text_binary_and_null() {
        let mut buffer = BytesMut::new();
        let row = vec![
            Datum::Int4(258),
            Datum::Int4(258),
            Datum::Null,
            Datum::Text("hé".into()),
        ];
        let types = [Type::INT4, Type::INT4, Type::INT4, Type::TEXT].into_iter();
        let formats = Formats::Each(vec![false, true, false, false]);
        let session = crate::session::shared::tests::shared();
        encode_row(&mut buffer, &row, types, &formats, &session, &mut Scratch::default()).unwrap();
        assert_eq!(
            &buffer[..],
            b"\0\x04\0\0\0\x03258\0\0\0\x04\0\0\x01\x02\xff\xff\xff\xff\0\0\0\x03h\xc3\xa9"
        );
    }
}
