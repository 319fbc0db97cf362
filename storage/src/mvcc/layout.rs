//! Layout: keys of rows and index entries without their timestamp, and ranges of them (see [`crate::key`]).

use crate::key;

/// Bytes in front of a primary key or index value: the space and the table's or index's id.
pub const HEADER_SIZE: usize = 5;
/// Bytes behind value and primary key of an entry, which say how long the value is.
const VALUE_SIZE_SIZE: usize = 2;

/// Key of a row, without timestamp.
pub fn row_key(table: u32, primary_key: &[u8]) -> Vec<u8> {
    key::row_prefix(table, primary_key)
}

/// Key of an index entry, without timestamp.
pub fn entry_key(index: u32, value: &[u8], primary_key: &[u8]) -> Vec<u8> {
    let mut key = key::index_key(index, value, primary_key, 0);
    key.truncate(key.len() - super::TIMESTAMP_SIZE);
    key
}

/// Keys of a table's rows between two primary keys (half-open; `None` is unbounded).
pub fn row_range(table: u32, from: Option<&[u8]>, to: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let from = key::row_prefix(table, from.unwrap_or_default());
    let to = match to {
        Some(to) => key::row_prefix(table, to),
        None => end(&key::table_prefix(table)),
    };
    (from, to)
}

/// Keys of an index's entries between two values (half-open; `None` is unbounded).
pub fn entry_range(index: u32, from: Option<&[u8]>, to: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let from = key::index_value_prefix(index, from.unwrap_or_default());
    let to = match to {
        Some(to) => key::index_value_prefix(index, to),
        None => end(&key::index_prefix(index)),
    };
    (from, to)
}

/// Keys of the entries of one index value.
pub fn value_range(index: u32, value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let from = key::index_value_prefix(index, value);
    let to = end(&from);
    (from, to)
}

fn end(prefix: &[u8]) -> Vec<u8> {
    key::prefix_end(prefix).expect("a prefix begins with its space, which is not 0xFF")
}

/// Table or index of a key; `None` if it is neither a row's nor an entry's.
pub fn id_of(key: &[u8]) -> Option<u32> {
    let [key::SPACE_ROW | key::SPACE_INDEX, id @ ..] = key.first_chunk::<HEADER_SIZE>()? else {
        return None;
    };
    Some(u32::from_be_bytes(*id))
}

/// Value and primary key of an entry's key without timestamp.
pub(crate) fn split_entry(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, size) = key.split_last_chunk::<VALUE_SIZE_SIZE>()?;
    key.get(HEADER_SIZE..)?
        .split_at_checked(usize::from(u16::from_be_bytes(*size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entries_of_a_value_lie_in_its_range_and_no_others() {
        let (from, to) = value_range(7, b"ab\xff");
        for (value, is_inside) in [(&b"ab\xff"[..], true), (b"ab\xfe", false), (b"ac", false)] {
            let key = entry_key(7, value, b"\xff\xff");
            assert_eq!(from <= key && key < to, is_inside, "{value:?}");
            assert_eq!(split_entry(&key), Some((value, &b"\xff\xff"[..])));
        }
        assert_eq!(id_of(&entry_key(7, b"a", b"b")), Some(7));
    }
}
