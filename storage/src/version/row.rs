//! Rows with an offset table: one column is read without decoding the rest.

use std::ops::Range;

use bytes::Bytes;

use super::value::{JSONB, read_value, write_value};
use super::{read_varint, write_varint};
use crate::{Datum, Row, StorageError, StorageResult};

/// Appends a row: count, width of offsets, tags, end offsets, values.
pub fn encode_row(out: &mut Vec<u8>, row: &[Datum]) {
    write_varint(out, row.len() as u64);
    let mut tags = Vec::with_capacity(row.len());
    let mut ends = Vec::with_capacity(row.len());
    let mut values = Vec::with_capacity(row.len() * 8);
    for value in row {
        tags.push(write_value(&mut values, value));
        ends.push(values.len() as u64);
    }
    let width: u8 = match values.len() {
        0..=0xFF => 1,
        0x100..=0xFFFF => 2,
        0x1_0000..=0xFFFF_FFFF => 4,
        _ => 8,
    };
    out.push(width);
    out.extend_from_slice(&tags);
    for end in ends {
        out.extend_from_slice(&end.to_le_bytes()[..usize::from(width)]);
    }
    out.extend_from_slice(&values);
}

/// Decodes a whole row, which must be all of `bytes`.
///
/// # Errors
/// [`StorageError::Corrupted`]
pub fn decode_row(bytes: &Bytes) -> StorageResult<Row> {
    RowView::open(bytes.clone())?.to_row()
}

/// Where the parts of an encoded row are in its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    count: usize,
    width: usize,
    /// Where the tags begin.
    tags: usize,
    /// Where the values begin.
    values: usize,
}

impl Layout {
    /// Reads the header of an encoded row.
    pub(super) fn parse(bytes: &[u8]) -> StorageResult<Layout> {
        let parse = || {
            let (count, rest) = read_varint(bytes)?;
            let (&width, rest) = rest.split_first()?;
            let count = usize::try_from(count).ok()?;
            let width = usize::from(width);
            let tags = bytes.len() - rest.len();
            let values = tags.checked_add(count.checked_mul(width + 1)?)?;
            (matches!(width, 1 | 2 | 4 | 8) && values <= bytes.len()).then_some(Layout {
                count,
                width,
                tags,
                values,
            })
        };
        parse().ok_or_else(|| StorageError::corrupted("row header"))
    }

    /// A column's tag and where its value is; `None` if the row is shorter.
    pub(super) fn value(&self, bytes: &[u8], index: usize) -> StorageResult<Option<(u8, Range<usize>)>> {
        if index >= self.count {
            return Ok(None);
        }
        let start = if index == 0 { 0 } else { self.end(bytes, index - 1) };
        let range = self
            .values
            .checked_add(start)
            .zip(self.values.checked_add(self.end(bytes, index)));
        match range {
            Some((start, end)) if start <= end && end <= bytes.len() => {
                Ok(Some((bytes[self.tags + index], start..end)))
            }
            _ => Err(StorageError::corrupted("row offsets")),
        }
    }

    fn end(&self, bytes: &[u8], index: usize) -> usize {
        let at = self.tags + self.count + index * self.width;
        let mut wide = [0; 8];
        wide[..self.width].copy_from_slice(&bytes[at..at + self.width]);
        u64::from_le_bytes(wide) as usize
    }
}

/// An encoded row. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct RowView {
    bytes: Bytes,
    layout: Layout,
}

impl RowView {
    /// Reads the header of an encoded row.
    ///
    /// # Errors
    /// [`StorageError::Corrupted`]
    pub fn open(bytes: Bytes) -> StorageResult<RowView> {
        let layout = Layout::parse(&bytes)?;
        Ok(RowView { bytes, layout })
    }

    /// Number of columns stored.
    pub fn len(&self) -> usize {
        self.layout.count
    }

    /// Whether no column is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the encoded row.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Reads one column; `None` if the row is shorter (the column was added later).
    ///
    /// # Errors
    /// [`StorageError::Corrupted`]
    pub fn column(&self, index: usize) -> StorageResult<Option<Datum>> {
        self.column_at(index, 0)
    }

    /// Decodes all columns.
    ///
    /// # Errors
    /// [`StorageError::Corrupted`]
    pub fn to_row(&self) -> StorageResult<Row> {
        self.to_row_at(0)
    }

    pub(super) fn to_row_at(&self, depth: usize) -> StorageResult<Row> {
        let mut row = Vec::with_capacity(self.len());
        for index in 0..self.len() {
            row.extend(self.column_at(index, depth)?);
        }
        Ok(row)
    }

    /// As [`Self::to_row`], but only documents share the row's bytes: nothing else of the row keeps them alive.
    pub(crate) fn to_row_of_documents(&self) -> StorageResult<Row> {
        let mut row = Vec::with_capacity(self.len());
        for index in 0..self.len() {
            let Some((tag, range)) = self.layout.value(&self.bytes, index)? else {
                break;
            };
            let bytes = if tag == JSONB {
                self.bytes.slice(range)
            } else {
                Bytes::copy_from_slice(&self.bytes[range])
            };
            row.push(read_value(tag, bytes, 0)?);
        }
        Ok(row)
    }

    fn column_at(&self, index: usize, depth: usize) -> StorageResult<Option<Datum>> {
        let Some((tag, range)) = self.layout.value(&self.bytes, index)? else {
            return Ok(None);
        };
        read_value(tag, self.bytes.slice(range), depth).map(Some)
    }
}
